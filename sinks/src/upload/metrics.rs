//! The metrics of uploads, through the `metrics` facade.
//!
//! Labels are `pipeline` and `stage`, never a subject, a type, a value or an address (G8).

use afferent_core::{Name, metrics::Metric};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const ATTEMPTS: &str = "afferent_upload_attempts_total";
const FAILED: &str = "afferent_upload_failed_attempts_total";
const BYTES: &str = "afferent_upload_bytes_total";
const REFUSED: &str = "afferent_upload_records_refused_total";
const WITHHELD: &str = "afferent_upload_records_withheld_total";
const UNRESOLVED: &str = "afferent_upload_unresolved_total";
const AVAILABLE: &str = "afferent_upload_receiver_available";
const PENDING: &str = "afferent_upload_records_pending";
const OLDEST: &str = "afferent_upload_oldest_seconds";

/// Every counter of uploads there is.
pub const COUNTERS: &[Metric] = &[
    counting(ATTEMPTS, Unit::Count, "attempts to send a body"),
    counting(FAILED, Unit::Count, "attempts that will be repeated"),
    counting(BYTES, Unit::Bytes, "bytes of bodies that were delivered"),
    counting(REFUSED, Unit::Count, "records that the receiver refused"),
    counting(WITHHELD, Unit::Count, "records that waited to be sent and no longer may be"),
    counting(UNRESOLVED, Unit::Count, "bodies sent again after the receiver may have forgotten their key"),
];

/// Every gauge of uploads there is: name and meaning.
pub const GAUGES: &[(&str, &str)] = &[
    (AVAILABLE, "1 while the receiver answers, 0 in an outage or while credentials are refused"),
    (PENDING, "records that the receiver has not acknowledged"),
    (OLDEST, "age in seconds of the oldest body that the receiver has not acknowledged; 0 without any"),
];

const fn counting(name: &'static str, unit: Unit, meaning: &'static str) -> Metric {
    Metric { name, unit, counter: true, meaning }
}

/// Tells the installed recorder what each metric means.
pub fn describe() {
    for metric in COUNTERS {
        describe_counter!(metric.name, metric.unit, metric.meaning);
    }
    for (name, meaning) in GAUGES {
        describe_gauge!(*name, Unit::Count, *meaning);
    }
}

/// The metrics of one sink.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pipeline: String,
    stage: String,
}

impl Metrics {
    pub(super) fn new(pipeline: &Name, stage: &Name) -> Metrics {
        Metrics { pipeline: pipeline.to_string(), stage: stage.to_string() }
    }

    pub(super) fn attempt(&self) {
        self.add(ATTEMPTS, 1);
    }

    pub(super) fn failed_attempt(&self) {
        self.add(FAILED, 1);
    }

    pub(super) fn delivered(&self, bytes: u64) {
        self.add(BYTES, bytes);
    }

    pub(super) fn refused(&self, records: u64) {
        self.add(REFUSED, records);
    }

    pub(super) fn withheld(&self, records: u64) {
        self.add(WITHHELD, records);
    }

    pub(super) fn unresolved(&self) {
        self.add(UNRESOLVED, 1);
    }

    pub(super) fn available(&self, is: bool) {
        self.set(AVAILABLE, f64::from(u8::from(is)));
    }

    pub(super) fn pending(&self, records: u64) {
        self.set(PENDING, records as f64);
    }

    pub(super) fn oldest(&self, seconds: f64) {
        self.set(OLDEST, seconds);
    }

    fn add(&self, name: &'static str, count: u64) {
        counter!(name, "pipeline" => self.pipeline.clone(), "stage" => self.stage.clone()).increment(count);
    }

    fn set(&self, name: &'static str, value: f64) {
        gauge!(name, "pipeline" => self.pipeline.clone(), "stage" => self.stage.clone()).set(value);
    }
}
