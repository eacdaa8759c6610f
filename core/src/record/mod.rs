//! [`Record`]: one health fact, a sample that was added or the deletion of one.
//!
//! A record is a compact struct, not a map: what repeats (kind, unit, subject, zone, origin) is interned or
//! shared, so a plain quantity is cloned without an allocation and two million records are not two million
//! maps.

mod key;
mod metadata;
mod origin;
mod value;

use serde::{Deserialize, Serialize};

pub use self::{
    key::RecordKey,
    metadata::{MetaValue, Metadata},
    origin::{Device, Origin},
    value::{
        Activity, ActivitySummary, Aggregate, Clinical, Correlation, Electrocardiogram, Heartbeat,
        HeartbeatSeries, Location, Notification, Route, Statistic, Value, Workout, WorkoutEvent,
    },
};
use crate::{Kind, Name, RecordId, Timestamp};

/// Whether a record adds a sample or deletes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Change {
    /// A sample was added, or corrected when its revision is above 0.
    Added,
    /// The sample with this id was deleted. A deletion beats every revision of its id.
    Deleted,
}

/// One health fact, known by (id, change, revision).
///
/// Text and debug output may hold health values: never put a record into a log or an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Who it is: HealthKit's uuid, or one derived so that a replay gives it again.
    pub id: RecordId,
    /// When the fact began. For a deletion without times, the epoch of 1970.
    pub start: Timestamp,
    /// When it ended; equal to `start` for an instant.
    pub end: Timestamp,
    /// What was measured.
    pub value: Value,
    /// The type; always there on an addition, on a deletion only where the feed tells it.
    pub kind: Option<Kind>,
    /// 0, or higher for a correction of an earlier record with the same id.
    pub revision: u32,
    /// Addition or deletion.
    pub change: Change,
    /// The pseudonymous id of the person, where several share a feed.
    pub subject: Option<Name>,
    /// The zone of the person at the time: an IANA name or an offset such as `+01:00`.
    pub zone: Option<Name>,
    /// Which app and device made it.
    pub origin: Option<std::sync::Arc<Origin>>,
    /// What else is known, in the order it was given.
    pub metadata: Option<std::sync::Arc<Metadata>>,
}

impl Record {
    /// A new addition of `kind` with `value`, from `start` to `end`, revision 0 and nothing else.
    pub fn added(id: RecordId, kind: Kind, start: Timestamp, end: Timestamp, value: Value) -> Record {
        Record {
            id,
            start,
            end,
            value,
            kind: Some(kind),
            revision: 0,
            change: Change::Added,
            subject: None,
            zone: None,
            origin: None,
            metadata: None,
        }
    }

    /// The deletion of the sample `id`.
    pub fn deleted(id: RecordId, kind: Option<Kind>) -> Record {
        Record {
            id,
            start: Timestamp::default(),
            end: Timestamp::default(),
            value: Value::None,
            kind,
            revision: 0,
            change: Change::Deleted,
            subject: None,
            zone: None,
            origin: None,
            metadata: None,
        }
    }

    /// Whether this is the deletion of a sample.
    pub fn is_deletion(&self) -> bool {
        self.change == Change::Deleted
    }

    /// About how many bytes it takes in memory, without its metadata and its origin, which others may share.
    pub fn weight(&self) -> usize {
        let value = match &self.value {
            Value::Electrocardiogram(ecg) => size_of_val(&*ecg.voltages),
            Value::HeartbeatSeries(series) => size_of_val(&*series.beats),
            Value::Route(route) => size_of_val(&*route.locations),
            Value::Correlation(correlation) => size_of_val(&*correlation.samples),
            Value::Workout(workout) => {
                size_of_val(&*workout.events)
                    + size_of_val(&*workout.statistics)
                    + size_of_val(&*workout.activities)
            }
            Value::Clinical(clinical) => clinical.document.as_ref().map_or(0, |document| document.len()),
            Value::Json(text) => text.len(),
            _ => 0,
        };
        size_of::<Record>() + value
    }

    /// The metadata, made writable (and copied first if other records share it).
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        std::sync::Arc::make_mut(self.metadata.get_or_insert_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the layout of the record that everything moves. Guarantees: G7, a change of its size is
    /// a decision, not an accident.
    #[test]
    fn a_record_is_128_bytes() {
        assert_eq!(size_of::<Record>(), 128);
        assert_eq!(size_of::<Value>(), 24);
    }
}
