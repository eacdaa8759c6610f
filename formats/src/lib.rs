//! Health data formats: a folder per dialect, decode and encode side by side.
//!
//! | module | what it is about |
//! |---|---|
//! | [`wire`] | `format = "json"`: NDJSON |
//! | [`csv`] | `format = "csv"`: CSV with a header |
//! | [`msgpack`] | records on disk queues; `format = "msgpack"`: the wire form as MessagePack |
//! | [`fhir`] | `format = "fhir"`: FHIR R4 Observations; written, not read |
//! | [`omh`] | `format = "open-mhealth"`: data points of Open mHealth and IEEE 1752.1; written, not read |
//! | [`influx`] | `format = "influxdb"`: InfluxDB's line protocol; written, not read |
//! | [`health_kit_reporter`] | `format = "health_kit_reporter"`: the Flutter plugin's events and samples |
//! | [`health_auto_export`] | `format = "health_auto_export"`: the app's exports and requests |
//! | [`react_native_healthkit`] | `format = "react_native_healthkit"`: the library's samples, as JSON |
//! | [`flutter_health`] | `format = "flutter_health"`: the points of the Flutter plugin `health` |
//! | [`open_wearables`] | `format = "open_wearables"`: what its SDKs post and its webhooks send |
//! | [`health_connect`] | `format = "health_connect"`: changes and records of Android's store, as JSON |
//! | [`vendors`] | `format = "oura"`, …: what vendors' webhooks send |
//! | [`document`] | how dialects whose bodies are JSON documents are read |
//! | [`terms`] | what other standards call HealthKit's types and units |
//! | [`identity`] | ids of records that come without one |

mod cache;
mod context;
pub mod csv;
mod decimal;
pub mod document;
mod draft;
pub mod fhir;
pub mod flutter_health;
pub mod health_auto_export;
pub mod health_connect;
pub mod health_kit_reporter;
pub mod identity;
pub mod influx;
mod json;
pub mod msgpack;
mod names;
pub mod omh;
pub mod open_wearables;
mod quick;
pub mod react_native_healthkit;
mod splitter;
pub mod terms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod unescape;
pub mod vendors;
pub mod wire;
mod workouts;
mod writer;
mod zones;

use afferent_core::{Batch, Problem, Record, Rejects};
use serde::{Deserialize, Serialize};

pub use self::splitter::Splitter;
use self::vendors::Vendor;

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
    /// The wire form as MessagePack.
    #[serde(rename = "msgpack")]
    Msgpack,
    /// Events and samples of the Flutter plugin of that name.
    #[serde(rename = "health_kit_reporter")]
    HealthKitReporter,
    /// Exports and requests of the app of that name.
    #[serde(rename = "health_auto_export")]
    HealthAutoExport,
    /// Samples of the library of that name, as JSON.
    #[serde(rename = "react_native_healthkit")]
    ReactNativeHealthkit,
    /// Points of the Flutter plugin `health`.
    #[serde(rename = "flutter_health")]
    FlutterHealth,
    /// Bodies of the SDKs and webhooks of Open Wearables.
    #[serde(rename = "open_wearables")]
    OpenWearables,
    /// Changes and records of Health Connect, as JSON.
    #[serde(rename = "health_connect")]
    HealthConnect,
    /// Webhooks of Google Health.
    #[serde(rename = "google_health")]
    GoogleHealth,
    /// Webhooks of Fitbit's former API.
    #[serde(rename = "fitbit")]
    Fitbit,
    /// Webhooks of Oura.
    #[serde(rename = "oura")]
    Oura,
    /// Webhooks of Withings.
    #[serde(rename = "withings")]
    Withings,
    /// Webhooks of Strava.
    #[serde(rename = "strava")]
    Strava,
    /// Webhooks of Polar.
    #[serde(rename = "polar")]
    Polar,
    /// Webhooks of Whoop.
    #[serde(rename = "whoop")]
    Whoop,
    /// Webhooks of Suunto.
    #[serde(rename = "suunto")]
    Suunto,
    /// Webhooks of Terra.
    #[serde(rename = "terra")]
    Terra,
    /// Webhooks of Junction (Vital).
    #[serde(rename = "junction")]
    Junction,
    /// Webhooks of Garmin.
    #[serde(rename = "garmin")]
    Garmin,
}

/// How a decoder treats what it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecoderOptions {
    /// Refuse a record with an unknown field, which otherwise goes into its metadata.
    pub strict: bool,
}

impl Format {
    /// All of them.
    pub const ALL: &[Format] = &[
        Format::Json,
        Format::Csv,
        Format::Msgpack,
        Format::Fhir,
        Format::OpenMhealth,
        Format::InfluxDb,
        Format::HealthKitReporter,
        Format::HealthAutoExport,
        Format::ReactNativeHealthkit,
        Format::FlutterHealth,
        Format::OpenWearables,
        Format::HealthConnect,
        Format::GoogleHealth,
        Format::Fitbit,
        Format::Oura,
        Format::Withings,
        Format::Strava,
        Format::Polar,
        Format::Whoop,
        Format::Suunto,
        Format::Terra,
        Format::Junction,
        Format::Garmin,
    ];

    /// Its name in `format = "…"`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Msgpack => "msgpack",
            Format::Fhir => "fhir",
            Format::OpenMhealth => "open-mhealth",
            Format::InfluxDb => "influxdb",
            Format::HealthKitReporter => "health_kit_reporter",
            Format::HealthAutoExport => "health_auto_export",
            Format::ReactNativeHealthkit => "react_native_healthkit",
            Format::FlutterHealth => "flutter_health",
            Format::OpenWearables => "open_wearables",
            Format::HealthConnect => "health_connect",
            Format::GoogleHealth => "google_health",
            Format::Fitbit => "fitbit",
            Format::Oura => "oura",
            Format::Withings => "withings",
            Format::Strava => "strava",
            Format::Polar => "polar",
            Format::Whoop => "whoop",
            Format::Suunto => "suunto",
            Format::Terra => "terra",
            Format::Junction => "junction",
            Format::Garmin => "garmin",
        }
    }

    /// A new decoder, for one file or stream: what it has read so far (a CSV header) belongs to that. `None` if this form is
    /// only written.
    pub fn decoder(self, options: DecoderOptions) -> Option<Box<dyn Decoder>> {
        Some(match self {
            Format::Json => Box::new(wire::WireDecoder::new(options)),
            Format::Csv => Box::new(csv::CsvDecoder::new(options)),
            Format::Msgpack => Box::new(msgpack::MsgpackDecoder::new(options)),
            Format::HealthKitReporter => documents(health_kit_reporter::Reporter::new(options), options),
            Format::HealthAutoExport => {
                documents(health_auto_export::HealthAutoExport::new(options), options)
            }
            Format::ReactNativeHealthkit => {
                documents(react_native_healthkit::ReactNativeHealthkit::new(options), options)
            }
            Format::FlutterHealth => documents(flutter_health::FlutterHealth::new(options), options),
            Format::OpenWearables => documents(open_wearables::OpenWearables::new(options), options),
            Format::HealthConnect => documents(health_connect::HealthConnect::new(options), options),
            Format::Withings => Box::new(vendors::FormDecoder::new(options)),
            Format::GoogleHealth => vendor(Vendor::GoogleHealth, options),
            Format::Fitbit => vendor(Vendor::Fitbit, options),
            Format::Oura => vendor(Vendor::Oura, options),
            Format::Strava => vendor(Vendor::Strava, options),
            Format::Polar => vendor(Vendor::Polar, options),
            Format::Whoop => vendor(Vendor::Whoop, options),
            Format::Suunto => vendor(Vendor::Suunto, options),
            Format::Terra => vendor(Vendor::Terra, options),
            Format::Junction => vendor(Vendor::Junction, options),
            Format::Garmin => vendor(Vendor::Garmin, options),
            Format::Fhir | Format::OpenMhealth | Format::InfluxDb => return None,
        })
    }

    /// A new encoder. `None` if this form is only read.
    pub fn encoder(self) -> Option<Box<dyn Encoder>> {
        Some(match self {
            Format::Json => Box::new(wire::WireEncoder),
            Format::Csv => Box::new(csv::CsvEncoder::default()),
            Format::Msgpack => Box::new(msgpack::MsgpackEncoder::default()),
            Format::HealthKitReporter => Box::new(health_kit_reporter::ReporterEncoder::default()),
            Format::Fhir => Box::new(fhir::FhirEncoder::default()),
            Format::OpenMhealth => Box::new(omh::OmhEncoder::default()),
            Format::InfluxDb => Box::new(influx::InfluxEncoder),
            // Those of which the writer is an app.
            _ => return None,
        })
    }

    /// Whether bodies of this form are JSON.
    pub fn is_json(self) -> bool {
        !matches!(self, Format::Csv | Format::Msgpack | Format::Withings | Format::InfluxDb)
    }

    /// What stands behind each record: a line end, or nothing where its bytes say where it ends.
    pub fn ending(self) -> &'static [u8] {
        if self == Format::Msgpack { b"" } else { LINE_END }
    }

    /// What is wrong with reading this form, if it is only written.
    pub fn check_read(self) -> Option<Problem> {
        let is_read = |format: Format| format.decoder(DecoderOptions::default()).is_some();
        (!is_read(self)).then(|| expected("this form is written and not read", is_read))
    }

    /// What is wrong with writing this form, if it is only read.
    pub fn check_written(self) -> Option<Problem> {
        let is_written = |format: Format| format.encoder().is_some();
        (!is_written(self)).then(|| expected("this form is read and not written", is_written))
    }

    /// Where in a file of this form reading may be taken up again.
    pub fn resumption(self) -> Resumption {
        match self {
            Format::Json | Format::Withings | Format::Fhir | Format::OpenMhealth | Format::InfluxDb => {
                Resumption::Items
            }
            Format::Csv => Resumption::Header,
            _ => Resumption::Everything,
        }
    }
}

fn vendor(vendor: Vendor, options: DecoderOptions) -> Box<dyn Decoder> {
    documents(vendors::VendorDialect::new(vendor, options), options)
}

fn documents(dialect: impl document::Dialect + 'static, options: DecoderOptions) -> Box<dyn Decoder> {
    Box::new(document::Documents::new(dialect, options))
}

fn expected(message: &str, is_one: impl Fn(Format) -> bool) -> Problem {
    let names: Vec<&str> =
        Format::ALL.iter().filter(|format| is_one(**format)).map(|format| format.name()).collect();
    Problem::new("format", message).help(format!("expected one of {}", names.join(", ")))
}

/// What a decoder has to be given of a file before it is given what stands in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Nothing: each item stands for itself.
    Items,
    /// The header.
    Header,
    /// Everything before, of which the records are dropped: what is in the middle may be about what stands before it.
    Everything,
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

    /// There is nothing more: what waits for its end, in a form whose items span chunks, is given or rejected. `at` is the
    /// end. What is decoded after that is another file.
    fn finish(&mut self, at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        let _ = (at, out, rejects);
    }
}

/// Reads bytes that should hold one record, and a header where the format has one.
///
/// # Errors
/// Why they don't, without any health value.
pub fn decode_one(format: Format, bytes: &[u8], at: Location<'_>) -> Result<Record, String> {
    match <[Record; 1]>::try_from(decode_all(format, bytes, at)?) {
        Ok([record]) => Ok(record),
        Err(_) => Err("expected one record in it, found another number".to_owned()),
    }
}

/// Reads bytes that should hold records and nothing else, and a header where the format has one; at least one.
///
/// # Errors
/// What of them is no record, without any health value; or that there is none.
pub fn decode_all(format: Format, bytes: &[u8], at: Location<'_>) -> Result<Vec<Record>, String> {
    let (mut batch, mut rejects) = (Batch::new(), Vec::new());
    let mut decoder = format.decoder(DecoderOptions::default()).ok_or("this form is only written")?;
    decoder.decode(bytes, at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    match rejects.into_iter().next() {
        Some(reject) => Err(reject.reason),
        None if batch.is_empty() => Err("expected a record in it, found none".to_owned()),
        None => Ok(batch.into_vec()),
    }
}

const LINE_END: &[u8] = b"\n";

/// Writes records as bytes.
pub trait Encoder: Send {
    /// What stands before the first record of a file (a CSV header, with its line end); nothing by default.
    fn header(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// What [`encode`](Encoder::encode) ends a record with: [`Format::ending`].
    fn ending(&self) -> &'static [u8] {
        LINE_END
    }

    /// Appends one record with its ending.
    ///
    /// # Errors
    /// The reason why this form can't carry the record, without any health value; nothing was appended then.
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String>;
}
