//! [`Lane`]: what is held of a key. [`Lasting`]: a record that lasts, and what of it came out.

use std::collections::BTreeMap;

use afferent_core::{Record, RecordId};

use crate::transforms::keyed::{Clock, Get, Put, Row, Sample};

/// What is held of a key. That of the key alone has what lasts; that of the key with a type and a unit has its samples.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// The number of the group of the key alone: its own, or that of the key whose samples these are.
    pub(super) lane: u32,
    pub(super) clock: Clock,
    /// What starts before it is late, in µs.
    pub(super) open_from: i64,
    /// The groups of its samples.
    pub(super) series: Vec<u32>,
    /// Samples by their start, in µs, and id.
    pub(super) samples: BTreeMap<(i64, RecordId), Sample>,
    /// What lasts, by its start, in µs, and id: its end.
    pub(super) lasting: BTreeMap<(i64, RecordId), i64>,
    /// No shorter than what lasts longest, in µs.
    pub(super) longest: i64,
    /// When the first of it all starts, as `oldest` has it.
    pub(super) first: Option<i64>,
}

/// The number of a group that has none yet.
pub(super) const NONE: u32 = u32::MAX;

impl Default for Lane {
    fn default() -> Lane {
        Lane {
            lane: NONE,
            clock: Clock::default(),
            open_from: i64::MIN,
            series: Vec::new(),
            samples: BTreeMap::new(),
            lasting: BTreeMap::new(),
            longest: 0,
            first: None,
        }
    }
}

impl Row for Lane {
    fn put(&self, to: &mut Put<'_>) {
        to.u32(self.lane);
        to.i64(self.open_from);
        self.clock.put(to);
    }

    fn get(from: &mut Get<'_>) -> Option<Lane> {
        let (lane, open_from) = (from.u32()?, from.i64()?);
        Some(Lane { lane, open_from, clock: Clock::get(from)?, ..Lane::default() })
    }
}

impl Lane {
    /// What lasts and has all of the time from `start` to `end` in it.
    pub(super) fn around(&self, start: i64, end: i64) -> impl Iterator<Item = RecordId> + '_ {
        let earliest = start.saturating_sub(self.longest);
        let range = (earliest, RecordId::from_u128(0))..=(start, RecordId::from_u128(u128::MAX));
        self.lasting.range(range).filter(move |(_, until)| **until >= end).map(|((_, id), _)| *id)
    }

    /// The samples that have all of their time between `start` and `end`, in the order of their start.
    pub(super) fn inside(&self, start: i64, end: i64) -> impl Iterator<Item = &Sample> {
        let range = (start, RecordId::from_u128(0))..=(end.max(start), RecordId::from_u128(u128::MAX));
        self.samples.range(range).map(|(_, sample)| sample).filter(move |sample| sample.end <= end)
    }
}

/// A record that lasts, and what of it came out.
#[derive(Clone, Debug)]
pub(super) struct Lasting {
    /// As it came last.
    pub(super) record: Record,
    /// The number of the group of its key.
    pub(super) lane: u32,
    /// The revision of what it says now.
    pub(super) revision: u32,
    /// Whether it has not come out since it came in.
    pub(super) is_held: bool,
    /// Whether it came out as what it says now.
    pub(super) is_told: bool,
}

impl Lasting {
    /// When it starts, and when it ends; in µs.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let start = self.record.start.as_micros();
        (start, self.record.end.as_micros().max(start))
    }

    /// The revision of what comes after it, which its source calls `revision`.
    pub(super) fn next(&self, revision: u32) -> u32 {
        self.revision.saturating_add(1).max(revision)
    }
}

impl Row for Lasting {
    fn put(&self, to: &mut Put<'_>) {
        to.u32(self.lane);
        to.u32(self.revision);
        to.u8(u8::from(self.is_held));
        to.u8(u8::from(self.is_told));
        to.record(&self.record);
    }

    fn get(from: &mut Get<'_>) -> Option<Lasting> {
        let (lane, revision) = (from.u32()?, from.u32()?);
        let (is_held, is_told) = (from.u8()? != 0, from.u8()? != 0);
        Some(Lasting { record: from.record()?, lane, revision, is_held, is_told })
    }
}
