//! The samples of a person and a type, where they are looked for.

use std::collections::BTreeMap;

use afferent_core::RecordId;

use super::config::Rank;
use crate::transforms::keyed::{Get, Put, Row};

/// µs: samples are looked up by the ten minutes that they touch, a few of each source.
pub(super) const SLICE: i64 = 600_000_000;

/// Where a sample is in time, and how good it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) rank: Rank,
    pub(super) id: RecordId,
}

impl Stretch {
    /// Whether some of `other` does not count because of this one: it is better, it lasts, and they touch.
    pub(super) fn covers(&self, other: &Stretch) -> bool {
        self.rank < other.rank
            && self.start < self.end
            && self.start < other.end.max(other.start + 1)
            && other.start < self.end
    }

    /// The starts of the slices that it touches.
    pub(super) fn slices(&self) -> impl Iterator<Item = i64> + use<> {
        let first = self.start.div_euclid(SLICE);
        let last = (self.end - 1).max(self.start).div_euclid(SLICE);
        (first..=last).map(|slice| slice * SLICE)
    }
}

/// The samples that touch a slice, in the order of their start.
#[derive(Clone, Debug, Default)]
pub(super) struct Slice {
    stretches: Vec<Stretch>,
    /// µs: none lasts longer.
    longest: i64,
}

impl Slice {
    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    pub(super) fn insert(&mut self, stretch: Stretch) {
        let is_last = self.stretches.last().is_none_or(|last| last.start <= stretch.start);
        let at = if is_last { self.stretches.len() } else { self.index_of(stretch.start) };
        self.stretches.insert(at, stretch);
        self.longest = self.longest.max(stretch.end - stretch.start);
    }

    pub(super) fn remove(&mut self, stretch: &Stretch) {
        let from = self.index_of(stretch.start);
        let found = self.stretches[from..].iter().position(|other| other.id == stretch.id);
        if let Some(found) = found {
            self.stretches.remove(from + found);
        }
    }

    /// All of those that touch `stretch`, and others that are near.
    pub(super) fn near(&self, stretch: &Stretch) -> &[Stretch] {
        let from = self.index_of(stretch.start - self.longest);
        let end = stretch.end.max(stretch.start + 1);
        let near = &self.stretches[from..];
        &near[..near.partition_point(|other| other.start < end)]
    }

    /// The number of the first that starts at `start` or later.
    fn index_of(&self, start: i64) -> usize {
        self.stretches.partition_point(|other| other.start < start)
    }
}

impl IntoIterator for Slice {
    type Item = Stretch;
    type IntoIter = std::vec::IntoIter<Stretch>;

    fn into_iter(self) -> Self::IntoIter {
        self.stretches.into_iter()
    }
}

/// The samples of a person and a type.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) slices: BTreeMap<i64, Slice>,
    /// What begins before it is final, in µs.
    pub(super) open_from: i64,
}

impl Lane {
    /// The samples that touch `stretch`, and others that are near. What touches several slices with it is there for each.
    pub(super) fn near(&self, stretch: &Stretch) -> impl Iterator<Item = &Stretch> {
        stretch.slices().filter_map(|slice| self.slices.get(&slice)).flat_map(|slice| slice.near(stretch))
    }
}

impl Default for Lane {
    fn default() -> Lane {
        Lane { slices: BTreeMap::new(), open_from: i64::MIN }
    }
}

impl Row for Lane {
    fn put(&self, to: &mut Put<'_>) {
        to.i64(self.open_from);
    }
    fn get(from: &mut Get<'_>) -> Option<Lane> {
        Some(Lane { open_from: from.i64()?, ..Lane::default() })
    }
}
