//! The metrics of the engine, through the `metrics` facade: name, unit and meaning in one table.
//!
//! Labels are `pipeline` and `stage`, never a subject, a type or a value (G8).

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::{Name, ledger::Account};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Whether it only counts up; a histogram otherwise.
    pub counter: bool,
    /// What it means.
    pub meaning: &'static str,
}

const READ: &str = "afferent_records_read_total";
const DELIVERED: &str = "afferent_records_delivered_total";
const FILTERED: &str = "afferent_records_filtered_total";
const SUPERSEDED: &str = "afferent_records_superseded_total";
const DEAD: &str = "afferent_records_dead_total";
const EPOCHS: &str = "afferent_epochs_committed_total";
const RESTARTS: &str = "afferent_restarts_total";
const LETTERS_DROPPED: &str = "afferent_dead_letters_dropped_total";
const CLOSE_SECONDS: &str = "afferent_epoch_close_seconds";

/// Every metric there is.
pub const METRICS: &[Metric] = &[
    Metric {
        name: READ,
        unit: Unit::Count,
        counter: true,
        meaning: "records that a sink's account has read",
    },
    Metric { name: DELIVERED, unit: Unit::Count, counter: true, meaning: "records visible in the sink" },
    Metric { name: FILTERED, unit: Unit::Count, counter: true, meaning: "records dropped on purpose" },
    Metric {
        name: SUPERSEDED,
        unit: Unit::Count,
        counter: true,
        meaning: "records a newer one beat or a result absorbed",
    },
    Metric { name: DEAD, unit: Unit::Count, counter: true, meaning: "records in the dead letters" },
    Metric {
        name: LETTERS_DROPPED,
        unit: Unit::Count,
        counter: true,
        meaning: "dead letters dropped because of their age or for room, where the pipeline says so",
    },
    Metric { name: EPOCHS, unit: Unit::Count, counter: true, meaning: "epochs committed" },
    Metric { name: RESTARTS, unit: Unit::Count, counter: true, meaning: "starts after an error" },
    Metric {
        name: CLOSE_SECONDS,
        unit: Unit::Seconds,
        counter: false,
        meaning: "time from the last batch of an epoch to its publication",
    },
];

const LETTERS_BYTES: &str = "afferent_dead_letters_bytes";
const TYPES_SILENT: &str = "afferent_source_types_silent";
const LETTERS_AGE: &str = "afferent_dead_letters_oldest_seconds";
const STALE: &str = "afferent_transform_stale";

/// Every gauge of the engine there is: name, unit and meaning. Those of dead letters are set while there are any, every ten
/// minutes.
pub const GAUGES: &[(&str, Unit, &str)] = &[
    (LETTERS_BYTES, Unit::Bytes, "bytes of dead letters, of which `dead_letters.max_bytes` is the limit"),
    (TYPES_SILENT, Unit::Count, "types that a source should give by its `expect`, and does not"),
    (LETTERS_AGE, Unit::Seconds, "age of the oldest dead letter; 0 without any"),
    (
        STALE,
        Unit::Count,
        "1 while the newest version of a transform's table can't be used, and an older one is in force",
    ),
];

/// Tells the installed recorder what each metric means.
pub fn describe() {
    for metric in METRICS {
        if metric.counter {
            describe_counter!(metric.name, metric.unit, metric.meaning);
        } else {
            describe_histogram!(metric.name, metric.unit, metric.meaning);
        }
    }
    for (name, unit, meaning) in GAUGES {
        describe_gauge!(*name, *unit, *meaning);
    }
}

/// Says how many types a source should give and does not.
pub fn types_silent(pipeline: &Name, source: &Name, types: u64) {
    gauge!(TYPES_SILENT, "pipeline" => pipeline.to_string(), "stage" => source.to_string()).set(types as f64);
}

/// Says whether a transform goes on with something older than what is outside.
pub(crate) fn stale(pipeline: &Name, transform: &Name, is_stale: bool) {
    let value = if is_stale { 1.0 } else { 0.0 };
    gauge!(STALE, "pipeline" => pipeline.to_string(), "stage" => transform.to_string()).set(value);
}

/// Says what a pipeline has of dead letters.
pub(crate) fn letters_held(pipeline: &Name, bytes: u64, oldest_seconds: f64) {
    gauge!(LETTERS_BYTES, "pipeline" => pipeline.to_string()).set(bytes as f64);
    gauge!(LETTERS_AGE, "pipeline" => pipeline.to_string()).set(oldest_seconds);
}

/// Counts what an epoch added to a sink's account.
pub(crate) fn account(pipeline: &Name, sink: &Name, before: &Account, after: &Account) {
    let add = |name: &'static str, before: u64, after: u64| {
        if after > before {
            counter!(name, "pipeline" => pipeline.to_string(), "stage" => sink.to_string())
                .increment(after - before);
        }
    };
    add(READ, before.read, after.read);
    add(DELIVERED, before.delivered, after.delivered);
    add(FILTERED, before.filtered, after.filtered);
    add(SUPERSEDED, before.superseded, after.superseded);
    add(DEAD, before.dead, after.dead);
}

/// Counts a committed epoch and the time it took to close.
pub(crate) fn epoch(pipeline: &Name, seconds: f64) {
    counter!(EPOCHS, "pipeline" => pipeline.to_string()).increment(1);
    histogram!(CLOSE_SECONDS, "pipeline" => pipeline.to_string()).record(seconds);
}

/// Counts dead letters that were dropped.
pub(crate) fn letters_dropped(pipeline: &Name, count: u64) {
    counter!(LETTERS_DROPPED, "pipeline" => pipeline.to_string()).increment(count);
}

/// Counts a start after an error.
pub fn restart(pipeline: &Name) {
    counter!(RESTARTS, "pipeline" => pipeline.to_string()).increment(1);
}
