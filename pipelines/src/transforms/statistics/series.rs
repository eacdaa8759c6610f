//! The buckets of a group, and what of them went out.

use std::collections::BTreeMap;

use crate::transforms::keyed::{Get, Put, Row, Sample, Slices};

/// The buckets of a group.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) slices: Slices,
    /// By their start, the ends of buckets.
    pub(super) ends: BTreeMap<i64, i64>,
    /// The bounds of the bucket of the last record.
    pub(super) last: (i64, i64),
    /// Buckets that begin before it are final, in µs.
    pub(super) open_from: i64,
    /// Whether its zone is known to be one.
    pub(super) has_zone: bool,
}

impl Series {
    /// The bounds of the buckets that are not final and that a sample is in.
    pub(super) fn within(&self, sample: &Sample) -> Vec<(i64, i64)> {
        let first = self.ends.range(..=sample.start).next_back().filter(|(_, end)| **end > sample.start);
        let first = first.map_or(sample.start, |(start, _)| *start);
        // An instant is in one, and an end is exclusive.
        let last = sample.end.max(sample.start.saturating_add(1));
        self.ends.range(first..last).map(|(start, end)| (*start, *end)).collect()
    }
}

impl Default for Series {
    fn default() -> Series {
        Series {
            slices: Slices::default(),
            ends: BTreeMap::new(),
            last: (0, 0),
            open_from: i64::MIN,
            has_zone: false,
        }
    }
}

impl Row for Series {
    fn put(&self, to: &mut Put<'_>) {
        to.i64(self.open_from);
    }
    fn get(from: &mut Get<'_>) -> Option<Series> {
        Some(Series { open_from: from.i64()?, ..Series::default() })
    }
}

/// What a bucket has had, and what of it went out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// How often it became empty: part of the id.
    pub(super) life: u32,
    /// Changes in this life; 0 while it is empty.
    pub(super) changes: u32,
    /// The life that went out last, and its changes; none when that is 0.
    pub(super) told_life: u32,
    pub(super) told_changes: u32,
}

impl Told {
    pub(super) fn is_told(&self) -> bool {
        (self.told_life, self.told_changes) == (self.life, self.changes)
            || (self.changes == 0 && self.told_changes == 0)
    }
}

impl Row for Told {
    fn put(&self, to: &mut Put<'_>) {
        [self.life, self.changes, self.told_life, self.told_changes].into_iter().for_each(|n| to.u32(n));
    }
    fn get(from: &mut Get<'_>) -> Option<Told> {
        Some(Told {
            life: from.u32()?,
            changes: from.u32()?,
            told_life: from.u32()?,
            told_changes: from.u32()?,
        })
    }
}
