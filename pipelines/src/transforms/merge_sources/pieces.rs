//! Pieces: what is left of a sample where a better source has none.

use afferent_core::{Record, Timestamp, Value};
use smallvec::SmallVec;

use super::{config::Rank, lane::Stretch};
use crate::transforms::keyed::{Get, OriginNumber, Put, Row};

/// A piece of a sample that counts, or did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    /// µs; what tells it from other pieces of the sample.
    pub(super) start: i64,
    /// µs.
    pub(super) end: i64,
    /// How often it went: part of its id.
    pub(super) life: u32,
    /// Changes in this life; 0 while it is gone.
    pub(super) changes: u32,
    /// The life that went out last, and its changes; none when that is 0.
    pub(super) told_life: u32,
    pub(super) told_changes: u32,
}

impl Piece {
    pub(super) fn is_told(&self) -> bool {
        (self.told_life, self.told_changes) == (self.life, self.changes)
            || (self.changes == 0 && self.told_changes == 0)
    }
}

/// When a record began and ended, in µs.
pub(super) fn bounds(record: &Record) -> (i64, i64) {
    let start = record.start.as_micros();
    (start, record.end.as_micros().max(start))
}

/// A record that is held, and what counts of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Without its origin.
    pub(super) record: Record,
    pub(super) origin: Option<OriginNumber>,
    pub(super) group: u32,
    /// Most samples have one.
    pub(super) pieces: SmallVec<[Piece; 1]>,
    /// Whether it was deleted; it is held until that is told.
    pub(super) gone: bool,
}

impl Held {
    pub(super) fn start(&self) -> i64 {
        bounds(&self.record).0
    }

    /// Where it is in time, if its source is as good as `rank` says.
    pub(super) fn stretch(&self, rank: Rank) -> Stretch {
        let (start, end) = bounds(&self.record);
        Stretch { start, end, rank, id: self.record.id }
    }

    /// Whether something became of it that was not told.
    pub(super) fn is_pending(&self) -> bool {
        self.gone || !self.pieces.iter().all(Piece::is_told)
    }

    /// From now on `left`, in order, is what counts; whether that is another than before. With `renewed` the record is another
    /// one, too.
    pub(super) fn update(&mut self, left: &[(i64, i64)], renewed: bool) -> bool {
        let mut changed = false;
        for piece in &mut self.pieces {
            if piece.changes > 0 && !left.iter().any(|(start, _)| *start == piece.start) {
                (piece.life, piece.changes, changed) = (piece.life + 1, 0, true);
            }
        }
        for &(start, end) in left {
            match self.pieces.iter_mut().find(|piece| piece.start == start) {
                Some(piece) if piece.changes > 0 && piece.end == end && !renewed => {}
                Some(piece) => (piece.end, piece.changes, changed) = (end, piece.changes + 1, true),
                None => {
                    let told = Piece { start, end, life: 0, changes: 1, told_life: 0, told_changes: 0 };
                    self.pieces.push(told);
                    changed = true;
                }
            }
        }
        if changed {
            self.pieces.sort_unstable_by_key(|piece| piece.start);
        }
        changed
    }

    /// The record of a piece, without its id, revision and origin.
    pub(super) fn piece(&self, start: i64, end: i64) -> Record {
        let mut record = self.record.clone();
        let (whole_start, whole_end) = bounds(&self.record);
        let (whole, part) = (whole_end - whole_start, end - start);
        if let Value::Quantity(value, _) = &mut record.value
            && part < whole
        {
            *value *= part as f64 / whole as f64;
        }
        record.start = Timestamp::from_micros_clamped(start);
        record.end = Timestamp::from_micros_clamped(end);
        record
    }
}

impl Row for Held {
    fn place(&self) -> Option<i64> {
        Some(self.start())
    }

    fn put(&self, to: &mut Put<'_>) {
        to.record(&self.record);
        // 0 is none.
        to.u32(self.origin.map_or(0, |origin| origin + 1));
        to.u32(self.group);
        to.u8(u8::from(self.gone));
        to.u32(self.pieces.len() as u32);
        for piece in &self.pieces {
            to.i64(piece.start);
            to.i64(piece.end);
            [piece.life, piece.changes, piece.told_life, piece.told_changes]
                .into_iter()
                .for_each(|n| to.u32(n));
        }
    }

    fn get(from: &mut Get<'_>) -> Option<Held> {
        let record = from.record()?;
        let origin = from.u32()?.checked_sub(1);
        let (group, gone, count) = (from.u32()?, from.u8()? != 0, from.u32()?);
        let mut piece = || {
            Some(Piece {
                start: from.i64()?,
                end: from.i64()?,
                life: from.u32()?,
                changes: from.u32()?,
                told_life: from.u32()?,
                told_changes: from.u32()?,
            })
        };
        let pieces = (0..count).map(|_| piece()).collect::<Option<_>>()?;
        Some(Held { record, origin, group, pieces, gone })
    }
}

/// What is left of `start..end` without `covered`, which it sorts. An instant is left if it is in none.
pub(super) fn uncovered(start: i64, end: i64, covered: &mut [(i64, i64)], left: &mut Vec<(i64, i64)>) {
    left.clear();
    if start == end {
        if !covered.iter().any(|(from, to)| (*from..*to).contains(&start)) {
            left.push((start, end));
        }
        return;
    }
    covered.sort_unstable();
    let mut from = start;
    for &(cover_start, cover_end) in covered.iter() {
        if cover_start >= end {
            break;
        }
        if cover_start > from {
            left.push((from, cover_start));
        }
        from = from.max(cover_end);
    }
    if from < end {
        left.push((from, end));
    }
}
