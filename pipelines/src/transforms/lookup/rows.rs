//! What is read of a table: rows of the columns that somebody asked for.

use std::borrow::Cow;

use afferent_core::MetaValue;

use super::{MAX_TABLE_ROWS, TableFormat, csv, json};

/// The longest text in a cell, in bytes: what goes into the metadata of every record is a word, no document.
const MAX_CELL_BYTES: usize = 4096;

/// The byte order mark that some programs put first.
const BOM: char = '\u{feff}';

/// A column that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Whether a table without it is bad.
    pub(crate) is_required: bool,
}

impl Column {
    pub(crate) fn required(name: impl Into<String>) -> Column {
        Column { name: name.into(), is_required: true }
    }

    pub(crate) fn optional(name: impl Into<String>) -> Column {
        Column { name: name.into(), is_required: false }
    }
}

/// A row: of each column that was asked for, in their order, what is in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Where it begins in its file; 0 for a row that was saved.
    pub(crate) line: u64,
    /// Texts, numbers and truth values; nothing for an empty cell.
    pub(crate) cells: Vec<Option<MetaValue>>,
}

/// What is wrong with a table: what was expected and what was found, without any cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line; 0 for the whole.
    pub(crate) line: u64,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(line: u64, message: impl Into<String>) -> Fault {
        Fault { line, message: message.into() }
    }

    /// Of a row that tells the same thing as another.
    pub(crate) fn twice(row: &Row, first: u64) -> Fault {
        Fault::new(row.line, format!("expected a row for each key, found the key of line {first} again"))
    }

    /// Of a column without a value.
    pub(crate) fn empty(row: &Row, column: &str) -> Fault {
        Fault::new(row.line, format!("expected a value in `{column}`, found none"))
    }
}

/// The rows of a table.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn read(bytes: &[u8], format: TableFormat, columns: &[Column]) -> Result<Vec<Row>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Fault::new(line as u64, "expected UTF-8, found another byte")
    })?;
    let text = text.strip_prefix(BOM).unwrap_or(text);
    match format {
        TableFormat::Csv => csv::read(text, columns),
        TableFormat::Json => json::read(text, columns),
    }
}

/// Adds a row, if there is room for it.
pub(super) fn push(rows: &mut Vec<Row>, row: Row) -> Result<(), Fault> {
    let is_long = |cell: &Option<MetaValue>| matches!(cell, Some(MetaValue::String(text)) if text.len() > MAX_CELL_BYTES);
    if row.cells.iter().any(is_long) {
        return Err(Fault::new(
            row.line,
            format!("expected at most {MAX_CELL_BYTES} bytes in a cell, found more"),
        ));
    }
    if rows.len() == MAX_TABLE_ROWS {
        return Err(Fault::new(row.line, format!("expected at most {MAX_TABLE_ROWS} rows, found more")));
    }
    rows.push(row);
    Ok(())
}

/// The text by which a value is looked up: a number as JSON has it; nothing for times and quantities, which are no keys.
pub(crate) fn text_of(value: &MetaValue) -> Option<Cow<'_, str>> {
    match value {
        MetaValue::String(text) => Some(Cow::Borrowed(text)),
        MetaValue::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        MetaValue::Number(value) => Some(Cow::Owned(value.to_string())),
        MetaValue::Date(_) | MetaValue::Quantity(..) => None,
    }
}
