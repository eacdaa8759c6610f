//! [`TableFormat`]: how a table is written.

use std::path::Path;

use afferent_core::Problem;
use serde::Deserialize;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Rows of cells below a header, by RFC 4180.
    Csv,
    /// An array of objects, or an object a line.
    Json,
}

impl TableFormat {
    /// What the end of the name of a file says.
    fn of(path: &Path) -> Option<TableFormat> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(TableFormat::Csv),
            "json" | "ndjson" | "jsonl" => Some(TableFormat::Json),
            _ => None,
        }
    }
}

/// How the table at `path` is written, as the key `format` says, or its name.
pub(crate) fn check_format(path: &Path, format: Option<TableFormat>) -> Result<TableFormat, Problem> {
    format.or_else(|| TableFormat::of(path)).ok_or_else(|| {
        Problem::new("table", "expected a name that ends in .csv, .json, .ndjson or .jsonl")
            .help("or say how it is written: format = \"csv\" or format = \"json\"")
    })
}
