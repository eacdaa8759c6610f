//! The metrics of queues, through the `metrics` facade.
//!
//! Labels are `pipeline` and `stage`, never a subject, a type or a value (G8).

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::StageKey;
use crate::metrics::Metric;

const LOST: &str = "afferent_queue_entries_lost_total";
const GIVEN_UP: &str = "afferent_queue_entries_given_up_total";
const WAITING: &str = "afferent_queue_bytes";

/// Every counter of queues there is.
pub const COUNTERS: &[Metric] = &[
    counting(LOST, "entries that a consumer could not read and passed over"),
    counting(
        GIVEN_UP,
        "entries that a producer no longer keeps for consumers it detached, or that never came",
    ),
];

/// Every gauge of queues there is: name and meaning.
pub const GAUGES: &[(&str, &str)] =
    &[(WAITING, "bytes that a producer has written and its slowest consumer has not consumed")];

const fn counting(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit: Unit::Count, counter: true, meaning }
}

/// Tells the installed recorder what each metric means.
pub fn describe() {
    for metric in COUNTERS {
        describe_counter!(metric.name, metric.unit, metric.meaning);
    }
    for (name, meaning) in GAUGES {
        describe_gauge!(*name, Unit::Bytes, *meaning);
    }
}

pub(super) fn lost(consumer: &StageKey, entries: u64) {
    add(LOST, consumer, entries);
}

pub(super) fn given_up(producer: &StageKey, entries: u64) {
    add(GIVEN_UP, producer, entries);
}

pub(super) fn waiting(producer: &StageKey, bytes: u64) {
    let StageKey { pipeline, stage } = producer;
    gauge!(WAITING, "pipeline" => pipeline.to_string(), "stage" => stage.to_string()).set(bytes as f64);
}

fn add(name: &'static str, key: &StageKey, count: u64) {
    let StageKey { pipeline, stage } = key;
    counter!(name, "pipeline" => pipeline.to_string(), "stage" => stage.to_string()).increment(count);
}
