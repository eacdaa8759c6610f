//! Tables in CSV: a header, then rows of as many cells. Every cell is a text.

use afferent_core::{MetaValue, NameCache};
use afferent_formats::{Format, Splitter};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::rows::{Column, Fault, Row, push};
use crate::cel::nearest;

/// The rows below the header. Blank lines are passed over.
pub(super) fn read(text: &str, columns: &[Column]) -> Result<Vec<Row>, Fault> {
    let (mut splitter, mut cells, mut names) =
        (Splitter::new(Format::Csv), Cells::new(), NameCache::default());
    let (mut rest, mut line, mut header, mut rows) = (text, 1, None, Vec::new());
    while !rest.is_empty() {
        let end = splitter.find_end(rest.as_bytes());
        if end.is_none() && splitter.find_end(b"\n").is_none() {
            return Err(Fault::new(line, "expected a quote that closes the last cell, found the end"));
        }
        let (row, after) = rest.split_at(end.unwrap_or(rest.len()));
        let content = row.strip_suffix('\n').unwrap_or(row);
        let content = content.strip_suffix('\r').unwrap_or(content);
        if !content.trim().is_empty() {
            cells.read(content);
            match &header {
                None => header = Some(Header::new(&cells, columns, line)?),
                Some(header) => push(&mut rows, header.row(&cells, line, &mut names)?)?,
            }
        }
        line += row.bytes().filter(|byte| *byte == b'\n').count() as u64;
        rest = after;
    }
    match header {
        Some(_) => Ok(rows),
        None => Err(Fault::new(0, "expected a header with the names of the columns, found nothing")),
    }
}

/// Where the columns stand that are asked for.
struct Header {
    places: Vec<Option<usize>>,
    width: usize,
}

impl Header {
    fn new(cells: &Cells, columns: &[Column], line: u64) -> Result<Header, Fault> {
        let place = |column: &Column| {
            let mut found = cells.iter().enumerate().filter(|(_, name)| *name == column.name);
            let place = found.next().map(|(place, _)| place);
            if found.next().is_some() {
                return Err(Fault::new(line, format!("the column `{}` comes twice", column.name)));
            }
            if place.is_none() && column.is_required {
                // What stands there may be no header but somebody's row: only what is like the name is said.
                let near = nearest(&column.name, &cells.iter().collect::<Vec<_>>());
                let near = near.map(|near| format!("; there is `{near}`")).unwrap_or_default();
                return Err(Fault::new(
                    line,
                    format!("expected a column `{}`, found none{near}", column.name),
                ));
            }
            Ok(place)
        };
        Ok(Header { places: columns.iter().map(place).collect::<Result<_, _>>()?, width: cells.ends.len() })
    }

    fn row(&self, cells: &Cells, line: u64, names: &mut NameCache) -> Result<Row, Fault> {
        let found = cells.ends.len();
        if found != self.width {
            let message = format!("expected {} cells, as in the header, found {found}", self.width);
            return Err(Fault::new(line, message));
        }
        let cell = |place: &Option<usize>| {
            let text = cells.get((*place)?);
            (!text.is_empty()).then(|| MetaValue::String(names.get(text)))
        };
        Ok(Row { line, cells: self.places.iter().map(cell).collect() })
    }
}

/// The cells of one row, without their quotes; its buffers are used again.
struct Cells {
    reader: Reader,
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    fn new() -> Cells {
        let mut builder = ReaderBuilder::new();
        let reader = builder.terminator(Terminator::Any(b'\n')).build();
        Cells { reader, text: String::new(), ends: Vec::new() }
    }

    /// Takes the quotes off the cells of `row`, which is not blank and has no line end of its own.
    fn read(&mut self, row: &str) {
        // A row never has more text or more cells than bytes, so one pass is enough; the reader does nothing without room.
        let mut text = std::mem::take(&mut self.text).into_bytes();
        text.resize(row.len() + 1, 0);
        self.ends.resize(row.bytes().filter(|byte| *byte == b',').count() + 1, 0);
        let (_, _, written, cells) = self.reader.read_record(row.as_bytes(), &mut text, &mut self.ends);
        let (result, _, more, more_cells) =
            self.reader.read_record(b"\n", &mut text[written..], &mut self.ends[cells..]);
        debug_assert_eq!(result, ReadRecordResult::Record);
        self.ends.truncate(cells + more_cells);
        text.truncate(written + more);
        self.text = String::from_utf8(text).expect("a row is UTF-8, and quotes are whole characters of it");
    }

    fn get(&self, place: usize) -> &str {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[place]]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|place| self.get(place))
    }
}
