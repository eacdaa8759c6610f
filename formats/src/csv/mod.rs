//! CSV with a header: one record a row, RFC 4180 quoting.
//!
//! The columns are those of [`COLUMNS`], written in that order and read in any; their cells are as the keys of
//! the [wire form](crate::wire), with `source` and `device` spread over a column for each of their keys:
//!
//! - `value` is a number; any other value is in `value_json`, in its one-key object. A row has at most one.
//! - `metadata` is the JSON object of the wire form.
//! - `deleted` is `true` on a deletion, else empty.
//! - An empty cell is an absent value, so an empty text reads back as none.
//!
//! **Header.** The first row a decoder is given is the header; whoever resumes in the middle of a file gives it
//! the header first. A column that is not known is refused in strict mode and otherwise goes into the metadata,
//! as text. With a header that can't be used (a column twice, no `type` or `start`), every row is a reject.
//!
//! **Rows** may span lines: a line end inside a quoted cell is part of it. [`Splitter`](crate::Splitter) finds
//! where they end. A row with more or fewer cells than the header is a reject.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use self::{decode::CsvDecoder, encode::CsvEncoder};

/// The columns, in the order in which they are written.
pub const COLUMNS: &[&str] = &[
    "id",
    "type",
    "start",
    "end",
    "value",
    "unit",
    "subject",
    "zone",
    "revision",
    "deleted",
    "source_name",
    "source_bundle",
    "source_version",
    "source_product",
    "source_os",
    "device_name",
    "device_manufacturer",
    "device_model",
    "device_hardware",
    "device_firmware",
    "device_software",
    "metadata",
    "value_json",
];
