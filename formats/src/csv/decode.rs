//! Reading CSV.

use std::{borrow::Cow, sync::Arc};

use afferent_core::{Batch, MetaValue, Name, Record, Reject, Rejects};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use serde::de::DeserializeSeed;

use super::COLUMNS;
use crate::{
    Decoder, DecoderOptions, Format, Location, Splitter,
    context::{Context, ORIGIN_TEXTS},
    draft::{Draft, DraftValue},
    wire::{Field, ReadValue, Scalar, cause, printable, read_metadata, set},
};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads records from CSV. Blank lines, CRLF and a byte order mark at the beginning are passed over.
#[derive(Debug)]
pub struct CsvDecoder {
    cx: Context,
    header: Header,
    row: Row,
}

#[derive(Debug)]
enum Header {
    Unread,
    Columns(Arc<[Column]>),
    Unusable(String),
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
enum Column {
    Field(Field),
    /// A text of source or device, by its place among them.
    Origin(usize),
    ValueJson,
    Unknown(Name),
}

impl CsvDecoder {
    /// A decoder that expects a header.
    pub fn new(options: DecoderOptions) -> CsvDecoder {
        CsvDecoder { cx: Context::new(options), header: Header::Unread, row: Row::default() }
    }

    /// Reads a row; a header gives none.
    fn decode_row(&mut self, row: &[u8], draft: &mut Draft) -> Result<Option<Record>, String> {
        let text = std::str::from_utf8(row).map_err(|error| {
            format!("expected UTF-8, found another byte at byte {} of the row", error.valid_up_to() + 1)
        })?;
        self.row.read(text);
        let columns = match &self.header {
            Header::Columns(columns) => columns.clone(),
            Header::Unread => {
                let columns = read_header(&self.row, &mut self.cx);
                let reason = columns.as_ref().err().cloned();
                self.header =
                    columns.map_or_else(Header::Unusable, |columns| Header::Columns(columns.into()));
                return reason.map_or(Ok(None), Err);
            }
            Header::Unusable(reason) => return Err(format!("the header can't be used: {reason}")),
        };
        if self.row.len() != columns.len() {
            return Err(format!(
                "expected {} cells, as in the header, found {}",
                columns.len(),
                self.row.len()
            ));
        }
        read_cells(&self.row, &columns, draft, &mut self.cx)?;
        std::mem::take(draft).finish(&mut self.cx).map(Some).map_err(str::to_owned)
    }
}

impl Decoder for CsvDecoder {
    /// The next row is the header of another file.
    fn finish(&mut self, _: Location<'_>, _: &mut Batch<Record>, _: &mut Rejects) {
        self.header = Header::Unread;
    }

    fn decode(&mut self, bytes: &[u8], at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        let bytes = if at.line == 1 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
        let mut splitter = Splitter::new(Format::Csv);
        let (mut begin, mut line) = (0, at.line);
        while begin < bytes.len() {
            let rest = &bytes[begin..];
            let row = &rest[..splitter.find_end(rest).unwrap_or(rest.len())];
            let text = row.strip_suffix(b"\n").unwrap_or(row);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.trim_ascii().is_empty() {
                let mut draft = Draft::default();
                match self.decode_row(text, &mut draft) {
                    Ok(record) => out.extend(record),
                    Err(reason) => {
                        let mut reject = Reject::raw(text, reason, format!("{}:{line}", at.name));
                        reject.key = draft.id.map(|id| id.to_string());
                        rejects.push(reject);
                    }
                }
            }
            begin += row.len();
            line += memchr::memchr_iter(b'\n', row).count() as u64;
        }
    }
}

fn read_header(row: &Row, cx: &mut Context) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for name in row.cells() {
        let column = match COLUMNS.iter().position(|known| *known == name) {
            Some(index) if (SOURCE_NAME..SOURCE_NAME + ORIGIN_TEXTS).contains(&index) => {
                Column::Origin(index - SOURCE_NAME)
            }
            Some(_) => Field::of(name).map_or(Column::ValueJson, Column::Field),
            None if cx.strict => return Err(format!("unknown column `{}`", printable(name))),
            None => Column::Unknown(cx.name(name)),
        };
        if columns.contains(&column) {
            return Err(format!("the column `{}` comes twice", printable(name)));
        }
        columns.push(column);
    }
    for (field, name) in [(Field::Type, "type"), (Field::Start, "start")] {
        if !columns.contains(&Column::Field(field)) {
            return Err(format!("expected a header with a column `{name}`, found none"));
        }
    }
    Ok(columns)
}

/// Index of the first column of source and device in [`COLUMNS`].
const SOURCE_NAME: usize = 10;

fn read_cells(row: &Row, columns: &[Column], draft: &mut Draft, cx: &mut Context) -> Result<(), String> {
    let mut origin = [""; ORIGIN_TEXTS];
    for (column, cell) in columns.iter().zip(row.cells()).filter(|(_, cell)| !cell.is_empty()) {
        match column {
            Column::Field(Field::Value) => {
                expect_no_value(draft)?;
                draft.value = match scalar(cell) {
                    Scalar::Int(number) => DraftValue::Whole(number),
                    Scalar::Float(number) => DraftValue::Real(number),
                    other => return Err(format!("expected a number in `value`, found {}", other.found())),
                };
            }
            Column::Field(Field::Metadata) => draft.metadata = read_metadata(cell, cx)?,
            Column::Field(field @ (Field::Deleted | Field::Revision)) => {
                set(draft, *field, &scalar(cell), cx)?
            }
            Column::Field(field) => set(draft, *field, &Scalar::Text(Cow::Borrowed(cell)), cx)?,
            Column::Origin(index) => origin[*index] = cell,
            Column::ValueJson => {
                expect_no_value(draft)?;
                let mut deserializer = serde_json::Deserializer::from_str(cell);
                let value = ReadValue { cx, depth: 0 }.deserialize(&mut deserializer);
                draft.value = value
                    .and_then(|value| deserializer.end().map(|()| value))
                    .map_err(|error| format!("in `value_json`: {}", cause(&error)))?;
            }
            Column::Unknown(name) => {
                let text = MetaValue::String(cx.name(cell));
                draft.unknown.push((name.clone(), text));
            }
        }
    }
    if origin.iter().any(|text| !text.is_empty()) {
        draft.origin = cx.origin(&origin);
    }
    Ok(())
}

fn expect_no_value(draft: &Draft) -> Result<(), String> {
    match draft.value {
        DraftValue::Absent => Ok(()),
        _ => Err("expected a value in `value` or in `value_json`, found both".to_owned()),
    }
}

/// A cell that is no text: what it is in JSON, in any case (spreadsheets write `TRUE`).
fn scalar(cell: &str) -> Scalar<'_> {
    if cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false") {
        return Scalar::Bool(cell.eq_ignore_ascii_case("true"));
    }
    serde_json::from_str(cell).unwrap_or(Scalar::Text(Cow::Borrowed(cell)))
}

/// The cells of one row; its buffers are used again.
#[derive(Debug, Default)]
struct Row {
    text: String,
    ends: Vec<usize>,
    cells: usize,
}

impl Row {
    /// Takes the quotes off the cells of `row`, which has no line end of its own.
    fn read(&mut self, row: &str) {
        // A row never has more text or more cells than bytes, so one pass is enough.
        let mut text = std::mem::take(&mut self.text).into_bytes();
        text.resize(row.len(), 0);
        self.ends.resize(memchr::memchr_iter(b',', row.as_bytes()).count() + 1, 0);
        let mut reader: Reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        if row.as_bytes().starts_with(BOM) {
            // What it reads first it takes a mark off, which belongs to a file and not to a row: after a blank line it does not.
            let (result, ..) = reader.read_record(b"\n", &mut text, &mut self.ends);
            debug_assert_eq!(result, ReadRecordResult::InputEmpty);
        }
        let (_, _, written, cells) = reader.read_record(row.as_bytes(), &mut text, &mut self.ends);
        let (result, _, more, more_cells) =
            reader.read_record(&[], &mut text[written..], &mut self.ends[cells..]);
        debug_assert_eq!(result, ReadRecordResult::Record);
        self.cells = cells + more_cells;
        text.truncate(written + more);
        self.text = String::from_utf8(text).expect("a row is UTF-8, and quotes are whole characters of it");
    }

    fn len(&self) -> usize {
        self.cells
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends[..self.cells]).map(|(begin, end)| &self.text[begin..*end])
    }
}
