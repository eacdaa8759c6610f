//! Health data formats: a folder per dialect, decode and encode side by side.
//!
//! | module | what it is about |
//! |---|---|
//! | [`wire`] | `format = "json"`: NDJSON |
//! | [`csv`] | `format = "csv"`: CSV with a header |
//! | [`msgpack`] | records on disk queues |
//! | [`identity`] | ids of records that come without one |

mod cache;
mod context;
pub mod csv;
mod draft;
pub mod identity;
pub mod msgpack;
mod splitter;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod wire;

use afferent_core::{Batch, Record, Rejects};
use serde::{Deserialize, Serialize};

pub use self::splitter::Splitter;

/// A format that sources read and sinks write (`format = "…"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The wire form: NDJSON.
    #[default]
    #[serde(rename = "json")]
    Json,
    /// CSV with a header.
    #[serde(rename = "csv")]
    Csv,
}

/// How a decoder treats what it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecoderOptions {
    /// Refuse a record with an unknown field, which otherwise goes into its metadata.
    pub strict: bool,
}

impl Format {
    /// A new decoder, for one file or stream: what it has read so far (a CSV header) belongs to that.
    pub fn decoder(self, options: DecoderOptions) -> Box<dyn Decoder> {
        match self {
            Format::Json => Box::new(wire::WireDecoder::new(options)),
            Format::Csv => Box::new(csv::CsvDecoder::new(options)),
        }
    }

    /// A new encoder.
    pub fn encoder(self) -> Box<dyn Encoder> {
        match self {
            Format::Json => Box::new(wire::WireEncoder),
            Format::Csv => Box::new(csv::CsvEncoder::default()),
        }
    }
}

/// Where bytes stand, for the location of a reject: `name:line`.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    /// The file, or what else the bytes came from.
    pub name: &'a str,
    /// The line of the first byte, from 1.
    pub line: u64,
}

/// Reads records from bytes. One bad item is a reject and never stops the others.
pub trait Decoder: Send {
    /// Decodes a chunk of whole items (whole lines). Allocates no string per record for texts that repeat.
    fn decode(&mut self, bytes: &[u8], at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects);
}

/// Reads bytes that should hold one record, and a header where the format has one.
///
/// # Errors
/// Why they don't, without any health value.
pub fn decode_one(format: Format, bytes: &[u8], at: Location<'_>) -> Result<Record, String> {
    let (mut batch, mut rejects) = (Batch::new(), Vec::new());
    format.decoder(DecoderOptions::default()).decode(bytes, at, &mut batch, &mut rejects);
    match (batch.pop(), rejects.pop(), batch.len() + rejects.len()) {
        (Some(record), None, 0) => Ok(record),
        (None, Some(reject), 0) => Err(reject.reason),
        _ => Err("expected one record in it, found another number".to_owned()),
    }
}

/// Writes records as bytes.
pub trait Encoder: Send {
    /// What stands before the first record of a file (a CSV header, with its line end); nothing by default.
    fn header(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Appends one record with its line end.
    ///
    /// # Errors
    /// The reason why this form can't carry the record, without any health value; nothing was appended then.
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String>;
}
