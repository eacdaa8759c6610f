//! [`Settings`]: how a sink uploads, whatever it uploads to.

use std::time::Duration;

use afferent_core::{
    Problem,
    config::{Guarantee, Size, Span},
};
use afferent_formats::{
    Encoder, Format,
    fhir::{FhirEncoder, Patient, Shape},
};
use serde::Deserialize;

/// Most lanes: each may hold an open body and has a connection of its own.
pub const MAX_LANES: u16 = 64;
/// The largest `batch.bytes`: a body is in memory as a whole, once for each lane.
pub const MAX_BATCH_BYTES: u64 = 16 << 20;
/// The smallest `max_bytes`: below it, a few bodies would stop the pipeline.
pub const MIN_OUTBOX_BYTES: u64 = 1 << 20;

/// How a sink uploads.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What records are written in.
    pub format: Format,
    /// How records are put together in a body.
    pub framing: Framing,
    /// How FHIR refers to people.
    pub patient: Patient,
    /// How bodies are compressed.
    pub compression: Compression,
    /// When a body is closed.
    pub batch: BatchLimits,
    /// How many bodies may be under way at once.
    pub lanes: u16,
    /// Through the outbox or directly.
    pub delivery: Delivery,
    /// For how long the receiver recognises a key; `None` for ever.
    pub dedupe_window: Option<Duration>,
    /// Bytes of bodies that are not acknowledged: more of them push back to the source.
    pub max_bytes: u64,
    /// How often it may send.
    pub rate: Option<Rate>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            format: Format::default(),
            framing: Framing::default(),
            patient: Patient::default(),
            compression: Compression::default(),
            batch: BatchLimits::default(),
            lanes: DEFAULT_LANES,
            delivery: Delivery::default(),
            dedupe_window: None,
            max_bytes: DEFAULT_OUTBOX_BYTES,
            rate: None,
        }
    }
}

/// Lanes unless told otherwise: enough that one slow answer does not stop the others, few enough for any receiver.
pub const DEFAULT_LANES: u16 = 4;
/// `max_bytes` unless told otherwise: days of one person's records, and an hour of a busy feed.
pub const DEFAULT_OUTBOX_BYTES: u64 = 1 << 30;

impl Settings {
    /// The framing, if it is one of the format's; otherwise the format's usual one.
    pub(super) fn framing(&self) -> Framing {
        let those = Framing::of(self.format);
        if those.contains(&self.framing) { self.framing } else { those[0] }
    }

    /// What writes records; `None` if the format is only read.
    pub(super) fn encoder(&self) -> Option<Box<dyn Encoder>> {
        match self.format {
            Format::Fhir => {
                let shape = if self.framing().is_bundle() { Shape::Entry } else { Shape::Resource };
                Some(Box::new(FhirEncoder::new(shape, self.patient)))
            }
            format => format.encoder(),
        }
    }

    /// Everything that is wrong with them; the paths are those that the configurations of uploading sinks have in common.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.format.check_written().into_iter().collect();
        if self.lanes == 0 || self.lanes > MAX_LANES {
            problems.push(Problem::new("lanes", format!("expected 1 to {MAX_LANES}, found {}", self.lanes)));
        }
        if self.batch.records == 0 {
            problems.push(Problem::new("batch.records", "expected more than 0"));
        }
        if self.batch.bytes.0 == 0 || self.batch.bytes.0 > MAX_BATCH_BYTES {
            let found = self.batch.bytes;
            problems.push(Problem::new("batch.bytes", format!("expected at most 16MiB, found {found}")));
        }
        if self.max_bytes < MIN_OUTBOX_BYTES {
            let found = Size(self.max_bytes);
            problems.push(Problem::new("max_bytes", format!("expected at least 1MiB, found {found}")));
        }
        if self.rate.is_some_and(|rate| rate.requests == 0) {
            problems.push(Problem::new("rate.requests", "expected more than 0"));
        }
        if self.rate.is_some_and(|rate| rate.per.0.is_zero()) {
            problems.push(Problem::new("rate.per", "expected more than 0"));
        }
        problems
    }

    /// What they promise.
    pub fn guarantee(&self) -> Guarantee {
        match (self.delivery, self.dedupe_window) {
            (Delivery::Direct, _) => Guarantee::AtLeastOnce(
                "records are sent before the checkpoint; those of an epoch that a crash interrupts are sent again, under other keys".to_owned(),
            ),
            (Delivery::Outbox, None) => Guarantee::ExactlyOnce(
                "a body is sealed with its `Idempotency-Key` before it is sent, and sent again as it is; the receiver must know a key for as long as it may take (say so with `dedupe_window`)".to_owned(),
            ),
            (Delivery::Outbox, Some(window)) => Guarantee::ExactlyOnce(format!(
                "a body is sealed with its `Idempotency-Key` before it is sent, and sent again as it is; one whose fate is unknown for longer than {} raises an alarm, for the receiver may have forgotten its key",
                Span(window)
            )),
        }
    }
}

/// When a body is closed: at whichever comes first, and at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchLimits {
    /// After this many records.
    pub records: usize,
    /// Before it gets longer than this, uncompressed. A single record may be.
    pub bytes: Size,
}

impl Default for BatchLimits {
    /// 500 records, 1 MiB: what many receivers take at most.
    fn default() -> BatchLimits {
        BatchLimits { records: 500, bytes: Size(1 << 20) }
    }
}

/// How records are put together in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// One JSON array.
    #[default]
    Array,
    /// One record a line: NDJSON, rows of CSV. Of MessagePack, one behind the other.
    Lines,
    /// One record a body.
    Single,
    /// A FHIR Bundle of which all or nothing is carried out.
    Transaction,
    /// A FHIR Bundle of which each entry is carried out for itself.
    Batch,
}

impl Framing {
    /// The framings of a format, the usual one first.
    pub fn of(format: Format) -> &'static [Framing] {
        match format {
            Format::Csv | Format::InfluxDb => &[Framing::Lines],
            // An array says first how many elements it has, which is not known before it is closed.
            Format::Msgpack => &[Framing::Lines, Framing::Single],
            Format::Fhir => &[Framing::Transaction, Framing::Batch, Framing::Lines, Framing::Single],
            // JSON; or only read, so there are no bodies of it.
            _ => &[Framing::Array, Framing::Lines, Framing::Single],
        }
    }

    /// What is wrong with it as the `framing` of bodies of `format`, if it is none of that format's.
    pub(crate) fn check(self, format: Format) -> Option<Problem> {
        let those = Framing::of(format);
        (!those.contains(&self)).then(|| {
            let names = those.iter().map(|framing| format!("`{}`", framing.name()));
            Problem::new("framing", "bodies of this format are not put together like that").help(format!(
                "it can be {}; without it, it is the first of these",
                names.collect::<Vec<_>>().join(", ")
            ))
        })
    }

    /// As configuration names it.
    fn name(self) -> &'static str {
        match self {
            Framing::Array => "array",
            Framing::Lines => "lines",
            Framing::Single => "single",
            Framing::Transaction => "transaction",
            Framing::Batch => "batch",
        }
    }

    pub(super) fn is_bundle(self) -> bool {
        matches!(self, Framing::Transaction | Framing::Batch)
    }

    /// What stands before the first record.
    pub(super) fn begin(self) -> &'static [u8] {
        match self {
            Framing::Array => b"[",
            Framing::Lines | Framing::Single => b"",
            Framing::Transaction => b"{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[",
            Framing::Batch => b"{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[",
        }
    }

    /// What stands behind the last one.
    pub(super) fn end(self) -> &'static [u8] {
        match self {
            Framing::Array => b"]",
            Framing::Lines | Framing::Single => b"",
            Framing::Transaction | Framing::Batch => b"]}",
        }
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Whether bodies go through the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Through the outbox, after the commit point: exactly once at a receiver that honours keys.
    #[default]
    Outbox,
    /// Without it, before the commit point: at least once.
    Direct,
}

/// How often may be sent: a token bucket that holds so many requests and gains as many in each such span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many requests.
    pub requests: u32,
    /// In which time.
    pub per: Span,
}
