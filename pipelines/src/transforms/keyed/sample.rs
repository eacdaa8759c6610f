//! [`Sample`]: what is held of a record.

use afferent_core::{Problem, Record, RecordId};

use super::row::{Get, Put, Row};

/// How many samples a stage holds if the file does not say: up to 430 MiB of memory when all are there and each has a window of its own.
pub(crate) const MAX_SAMPLES: usize = 1_000_000;

/// Highest `max_samples`: about 7 GiB.
pub(super) const MOST_SAMPLES: usize = 50_000_000;

/// What is wrong with `max_samples`.
pub(crate) fn check_samples(samples: usize) -> Option<Problem> {
    let message = format!("expected a number from 1 to {MOST_SAMPLES}, found {samples}");
    (!(1..=MOST_SAMPLES).contains(&samples)).then(|| Problem::new("max_samples", message))
}

/// What is held of a record: enough to compute results, to take it back, and to know a repeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) id: RecordId,
    /// µs since 1970.
    pub(crate) start: i64,
    /// µs since 1970.
    pub(crate) end: i64,
    /// Its number; NaN if it has none.
    pub(crate) value: f64,
    pub(crate) revision: u32,
    /// The number of its group.
    pub(crate) group: u32,
}

impl Sample {
    #[inline]
    pub(crate) fn of(record: &Record, group: u32) -> Sample {
        Sample {
            id: record.id,
            start: record.start.as_micros(),
            end: record.end.as_micros().max(record.start.as_micros()),
            value: record.value.as_f64().unwrap_or(f64::NAN),
            revision: record.revision,
            group,
        }
    }
}

impl Row for Sample {
    fn place(&self) -> Option<i64> {
        Some(self.start)
    }

    fn put(&self, to: &mut Put<'_>) {
        to.id(self.id);
        to.i64(self.start);
        to.i64(self.end);
        to.f64(self.value);
        to.u32(self.revision);
        to.u32(self.group);
    }

    fn get(from: &mut Get<'_>) -> Option<Sample> {
        Some(Sample {
            id: from.id()?,
            start: from.i64()?,
            end: from.i64()?,
            value: from.f64()?,
            revision: from.u32()?,
            group: from.u32()?,
        })
    }
}
