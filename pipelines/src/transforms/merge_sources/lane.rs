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
    pub(super) fn touches(&self, other: &Stretch) -> bool {
        // Of two samples one covers the other only if it lasts.
        self.start < other.end.max(other.start + 1) && other.start < self.end.max(self.start + 1)
    }

    /// The starts of the slices that it touches.
    pub(super) fn slices(&self) -> impl Iterator<Item = i64> + use<> {
        let first = self.start.div_euclid(SLICE);
        let last = (self.end - 1).max(self.start).div_euclid(SLICE);
        (first..=last).map(|slice| slice * SLICE)
    }
}

/// The samples of a person and a type.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) slices: BTreeMap<i64, Vec<Stretch>>,
    /// What begins before it is final, in µs.
    pub(super) open_from: i64,
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
