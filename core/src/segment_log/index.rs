//! The index of segments, which a log shares with its readers.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    LogPosition,
    directory::Directory,
    layout::{HEADER_LEN, LogId},
};

/// A segment as far as readers may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// The number of its first entry.
    pub(super) first: u64,
    /// Bytes that are synced.
    pub(super) len: u64,
}

impl Segment {
    pub(super) fn begin(&self) -> LogPosition {
        LogPosition { number: self.first, segment: self.number, offset: HEADER_LEN as u64 }
    }
}

/// What a log and its readers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) id: LogId,
    index: Mutex<Index>,
}

impl Shared {
    pub(super) fn new(directory: Directory, id: LogId, index: Index) -> Shared {
        Shared { directory, id, index: Mutex::new(index) }
    }

    /// The index, for the moment of a look or a step: nothing blocks while it is held.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        // Each change is one step, so a panic elsewhere leaves it whole.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segments, oldest first and never none, and where what is synced ends.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) segments: VecDeque<Segment>,
    pub(super) synced: LogPosition,
}

impl Index {
    pub(super) fn first(&self) -> LogPosition {
        self.segments.front().expect("a log has a segment").begin()
    }

    pub(super) fn last(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log has a segment")
    }

    /// The segment in which entry `number` is or would be, and the number after its last; `None` if it was trimmed.
    pub(super) fn containing(&self, number: u64) -> Option<(Segment, u64)> {
        let after = self.segments.partition_point(|segment| segment.first <= number);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        let next = self.segments.get(after).map_or(self.synced.number, |next| next.first);
        Some((*segment, next))
    }
}
