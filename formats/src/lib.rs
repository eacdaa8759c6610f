//! Health data formats: a folder per dialect, decode and encode side by side.
//!
//! | module | what it is about |
//! |---|---|
//! | [`wire`] | `format = "json"`: NDJSON |
//! | [`csv`] | `format = "csv"`: CSV with a header |
//! | [`msgpack`] | records on disk queues |
//! | [`fhir`] | `format = "fhir"`: FHIR R4 Observations; written, not read |
//! | [`omh`] | `format = "open-mhealth"`: data points of Open mHealth and IEEE 1752.1; written, not read |
//! | [`influx`] | `format = "influxdb"`: InfluxDB's line protocol; written, not read |
//! | [`terms`] | what other standards call HealthKit's types and units |
//! | [`identity`] | ids of records that come without one |

mod cache;
mod context;
pub mod csv;
mod decimal;
mod draft;
pub mod fhir;
pub mod identity;
pub mod influx;
pub mod msgpack;
pub mod omh;
mod splitter;
pub mod terms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod wire;
mod zones;

use afferent_core::{Batch, Problem, Record, Rejects};
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
    /// FHIR R4: an Observation a line (NDJSON). Written, not read.
    #[serde(rename = "fhir")]
    Fhir,
    /// Open mHealth and IEEE 1752.1: a data point a line (NDJSON). Written, not read.
    #[serde(rename = "open-mhealth")]
    OpenMhealth,
    /// InfluxDB's line protocol. Written, not read.
    #[serde(rename = "influxdb")]
    InfluxDb,
}

/// How a decoder treats what it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecoderOptions {
    /// Refuse a record with an unknown field, which otherwise goes into its metadata.
    pub strict: bool,
}

impl Format {
    /// All formats, as configuration names them.
    pub const ALL: &[(Format, &str)] = &[
        (Format::Json, "json"),
        (Format::Csv, "csv"),
        (Format::Fhir, "fhir"),
        (Format::OpenMhealth, "open-mhealth"),
        (Format::InfluxDb, "influxdb"),
    ];

    /// A new decoder, for one file or stream: what it has read so far (a CSV header) belongs to that. `None` for a format
    /// that is only written.
    pub fn decoder(self, options: DecoderOptions) -> Option<Box<dyn Decoder>> {
        match self {
            Format::Json => Some(Box::new(wire::WireDecoder::new(options))),
            Format::Csv => Some(Box::new(csv::CsvDecoder::new(options))),
            Format::Fhir | Format::OpenMhealth | Format::InfluxDb => None,
        }
    }

    /// A new encoder. `None` for a format that is only read.
    pub fn encoder(self) -> Option<Box<dyn Encoder>> {
        match self {
            Format::Json => Some(Box::new(wire::WireEncoder)),
            Format::Csv => Some(Box::new(csv::CsvEncoder::default())),
            Format::Fhir => Some(Box::new(fhir::FhirEncoder::default())),
            Format::OpenMhealth => Some(Box::new(omh::OmhEncoder::default())),
            Format::InfluxDb => Some(Box::new(influx::InfluxEncoder)),
        }
    }

    /// What is wrong with it as the `format` of a source, if it can't be read.
    pub fn check_read(self) -> Option<Problem> {
        let is_read = |format: Format| format.decoder(DecoderOptions::default()).is_some();
        (!is_read(self)).then(|| self.only("read", is_read))
    }

    /// What is wrong with it as the `format` of a sink, if it can't be written.
    pub fn check_written(self) -> Option<Problem> {
        let is_written = |format: Format| format.encoder().is_some();
        (!is_written(self)).then(|| self.only("written", is_written))
    }

    fn only(self, done: &str, can: impl Fn(Format) -> bool) -> Problem {
        let name =
            |format: Format| Format::ALL.iter().find(|(of, _)| *of == format).map_or("?", |(_, name)| name);
        let those =
            Format::ALL.iter().filter(|(format, _)| can(*format)).map(|(_, name)| format!("`{name}`"));
        Problem::new("format", format!("`{}` can't be {done}", name(self)))
            .help(format!("formats that can: {}", those.collect::<Vec<_>>().join(", ")))
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
    let decoder = format.decoder(DecoderOptions::default());
    decoder.ok_or("its format can't be read")?.decode(bytes, at, &mut batch, &mut rejects);
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
