//! The metrics of the engine, through the `metrics` facade: name, unit and meaning in one table.
//!
//! Labels are `pipeline` and `stage`, never a subject, a type or a value (G8).

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

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
    Metric { name: EPOCHS, unit: Unit::Count, counter: true, meaning: "epochs committed" },
    Metric { name: RESTARTS, unit: Unit::Count, counter: true, meaning: "starts after an error" },
    Metric {
        name: CLOSE_SECONDS,
        unit: Unit::Seconds,
        counter: false,
        meaning: "time from the last batch of an epoch to its publication",
    },
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

/// Counts a start after an error.
pub fn restart(pipeline: &Name) {
    counter!(RESTARTS, "pipeline" => pipeline.to_string()).increment(1);
}
