//! `merge_sources`: counts each moment once, though several sources measured it.
//!
//! A phone and a watch both count steps. Adding them up counts a walk twice; taking the watch alone misses the walk without it. So
//! of each type the sources have an order (`priority`): *at each moment the best source that has a sample over it counts*, with all its
//! samples, and the others fill the gaps. No two sources are equally good: of those that nobody named the order is that of a
//! digest of bundle, name and product, which is arbitrary and always the same. A record without a source is the
//! best of those that nobody named.
//!
//! **What comes out** are the pieces of samples that count: a sample that no better source touches comes out whole, one that is
//! covered in the middle as two pieces, one that is covered wholly not at all. Of a quantity a piece has the part of the amount
//! that it has of the time, as if it had been spread evenly; a category keeps its value. An instant counts unless it is
//! inside a better sample, and covers nothing. Ends are exclusive. What a piece is of stays: source, device, metadata.
//!
//! A piece's id is made of pipeline, transform, the sample's id and where the piece starts: there is exactly one sample behind it, so
//! what comes late can't make it another's. Its revision is how often it changed since it first was there. A piece that is covered
//! later is deleted; if it comes back it has another id. Pieces go out when time passes (`tick`, at each checkpoint), so that
//! what a burst of a watch corrects is corrected once.
//!
//! Corrections take the place of their record, deletions take it back, and what they covered counts again.
//!
//! **State** is every record of the types, until there are more than `max_samples`; then the oldest ten minutes of a person become
//! final, and what comes for them later is a dead letter, or dropped (`late`).
//!
//! Other types pass. Records are counted as superseded when they are absorbed, and pieces as derived.

mod config;
mod lane;
mod pieces;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use afferent_core::{
    Batch, Delta, Emit, Error, Kind, Origin, Problem, Record, RecordId, Result, Snapshot, State, Timestamp,
    Transform, TransformCx,
};

pub use self::config::{Config, DEFAULT_SAMPLES};
use self::{
    config::{Plan, Rank},
    lane::{Lane, SLICE, Slice, Stretch},
    pieces::{Held, bounds, uncovered},
};
use super::{
    keyed::{Basis, Groups, Identity, MAX_GROUPS, Origins, Recent, Table, Tally, damaged, delta, each_row},
    window::Late,
};

/// How many of these a sample may touch: four weeks. A longer one is no measurement of what happened in them.
pub const MAX_SLICES: i64 = 4096;

/// Of how many records the rows are looked up at once when they are told.
const TOLD_AT_ONCE: usize = 1024;

/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of origins, which records name.
const ORIGINS: u8 = 3;
/// Rows of records.
const HELD: u8 = 4;
/// Rows of records with their origins, as programs of before the first release wrote them.
const WHOLE: u8 = 2;

/// Counts each moment once.
#[derive(Debug)]
pub struct MergeSources {
    plan: Plan,
    identity: Identity,
    groups: Groups<Lane>,
    origins: Origins,
    held: Table<RecordId, Held>,
    /// How many of these are not gone.
    live: usize,
    /// Slices by their start.
    oldest: BTreeSet<(i64, u32)>,
    /// Records of which pieces changed since they were told, with their start; some are there twice.
    changed: Vec<(i64, RecordId)>,
    /// How good the sources of the last records were: a few take turns.
    recent: Recent<(Option<Kind>, Arc<Origin>), Rank>,
    tally: Tally,
    buffers: Buffers,
}

/// Kept for their buffers.
#[derive(Debug, Default)]
struct Buffers {
    /// Samples of which other pieces may count than before.
    affected: Vec<Stretch>,
    covered: Vec<(i64, i64)>,
    /// What of a sample no better one covers.
    left: Vec<(i64, i64)>,
}

impl Buffers {
    /// Puts what of `stretch` no better sample covers into `left`.
    fn uncover(&mut self, lane: &Lane, stretch: &Stretch) {
        self.covered.clear();
        let better = lane.near(stretch).filter(|other| other.covers(stretch));
        self.covered.extend(better.map(|other| (other.start, other.end)));
        uncovered(stretch.start, stretch.end, &mut self.covered, &mut self.left);
    }

    /// `stretch` comes to those of a slice: better ones cover it, and less good ones that it touches are affected by it.
    fn meet(&mut self, slice: &Slice, stretch: &Stretch) {
        for other in slice.near(stretch) {
            if other.covers(stretch) {
                self.covered.push((other.start, other.end));
            } else if stretch.covers(other) {
                self.affected.push(*other);
            }
        }
    }
}

impl MergeSources {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<MergeSources, Vec<Problem>> {
        Ok(MergeSources {
            plan: Plan::new(config)?,
            identity: Identity::default(),
            groups: Groups::new(GROUPS, 1),
            origins: Origins::new(ORIGINS),
            held: Table::new(HELD),
            live: 0,
            oldest: BTreeSet::new(),
            changed: Vec::new(),
            recent: Recent::default(),
            tally: Tally::default(),
            buffers: Buffers::default(),
        })
    }

    /// Takes an addition in.
    fn add(&mut self, mut record: Record, out: &mut Emit<Record>) {
        let kind = record.kind;
        // The unit is none of the key: metres and kilometres of one walk are still one walk.
        let Some(group) = self.groups.find(kind, None, |_| record.subject.as_ref()) else {
            out.reject_record(&record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        let known = self.held.get(&record.id);
        let is_held = known.is_some_and(|known| !known.gone);
        if known.is_some_and(|known| !known.gone && known.record.revision >= record.revision) {
            self.tally.superseded(kind);
            return;
        }
        let (start, end) = bounds(&record);
        if (end - start) / SLICE >= MAX_SLICES {
            out.reject_record(&record, "it lasts longer than four weeks");
            return;
        }
        if start < self.groups.get(group).state.open_from {
            match self.plan.late {
                Late::Dead => out.reject_record(&record, "it came too late: what it overlaps is final"),
                Late::Drop => self.tally.filtered(kind),
            }
            return;
        }
        let pieces = known.map(|known| known.pieces.clone()).unwrap_or_default();
        let rank = self.rank(&record);
        let origin = record.origin.take().map(|origin| self.origins.take(&origin));
        let mut held = Held { record, origin, group, pieces, gone: false };
        let stretch = held.stretch(rank);
        self.buffers.affected.clear();
        if is_held {
            self.lift(stretch.id);
        }
        self.place(stretch, group);
        let Buffers { covered, left, .. } = &mut self.buffers;
        uncovered(stretch.start, stretch.end, covered, left);
        if held.update(&self.buffers.left, true) {
            self.changed.push((stretch.start, stretch.id));
        }
        if let Some(Held { origin: Some(before), .. }) = self.held.insert(stretch.id, held) {
            self.origins.give_back(before);
        }
        self.live += usize::from(!is_held);
        self.settle();
        self.tally.superseded(kind);
        while self.live > self.plan.max_samples && self.end_oldest(out) {}
    }

    /// How good the source of a record is.
    fn rank(&mut self, record: &Record) -> Rank {
        let Some(origin) = &record.origin else { return self.plan.rank(record.kind, None) };
        let is =
            |(kind, known): &(Option<Kind>, Arc<Origin>)| *kind == record.kind && Arc::ptr_eq(known, origin);
        self.recent.get(is).unwrap_or_else(|| {
            let rank = self.plan.rank(record.kind, Some(origin));
            self.recent.put((record.kind, origin.clone()), rank);
            rank
        })
    }

    /// Takes a deletion in; whether it was of a record that is held.
    fn delete(&mut self, id: RecordId) -> bool {
        if self.held.get(&id).is_none_or(|held| held.gone) {
            return false;
        }
        self.buffers.affected.clear();
        self.lift(id);
        if let Some(held) = self.held.change(&id) {
            held.gone = true;
            held.update(&[], false);
            self.changed.push((held.start(), id));
            self.live -= 1;
        }
        self.settle();
        true
    }

    /// Puts a sample where it is looked for, and finds what is there: what covers it, and what it affects.
    fn place(&mut self, stretch: Stretch, group: u32) {
        let lane = &mut self.groups.get_mut(group).state;
        self.buffers.covered.clear();
        for slice in stretch.slices() {
            let there = lane.slices.entry(slice).or_default();
            if there.is_empty() {
                self.oldest.insert((slice, group));
            }
            self.buffers.meet(there, &stretch);
            there.insert(stretch);
        }
    }

    /// Where a held sample is in time, and how good its source.
    fn stretch(&self, held: &Held) -> Stretch {
        let origin = held.origin.and_then(|origin| self.origins.get(origin)).map(|origin| &**origin);
        held.stretch(self.plan.rank(held.record.kind, origin))
    }

    /// Takes a sample, if it is held, from where it is looked for; what it covered is affected.
    fn lift(&mut self, id: RecordId) {
        let Some(held) = self.held.get(&id).filter(|held| !held.gone) else { return };
        let (stretch, group) = (self.stretch(held), held.group);
        let lane = &mut self.groups.get_mut(group).state;
        for slice in stretch.slices() {
            if let Some(there) = lane.slices.get_mut(&slice) {
                there.remove(&stretch);
                if there.is_empty() {
                    lane.slices.remove(&slice);
                    self.oldest.remove(&(slice, group));
                }
            }
        }
        self.buffers.affected.extend(lane.near(&stretch).filter(|other| stretch.covers(other)));
    }

    /// Works out again what counts of those that are affected.
    fn settle(&mut self) {
        let mut affected = std::mem::take(&mut self.buffers.affected);
        affected.sort_unstable_by_key(|stretch| stretch.id);
        affected.dedup_by_key(|stretch| stretch.id);
        let MergeSources { held, groups, buffers, changed, .. } = self;
        for stretch in &affected {
            // What is not touched is not saved again.
            held.change_if(&stretch.id, |held| {
                let was_pending = held.is_pending();
                buffers.uncover(&groups.get(held.group).state, stretch);
                let is_changed = held.update(&buffers.left, false);
                if is_changed && !was_pending {
                    changed.push((stretch.start, stretch.id));
                }
                is_changed
            });
        }
        self.buffers.affected = affected;
    }

    /// Gives out what became of a record's pieces since they were told.
    fn tell(&mut self, id: RecordId, out: &mut Emit<Record>) {
        let Some(held) = self.held.change(&id) else { return };
        let kind = held.record.kind;
        let origin = held
            .origin
            .map(|origin| self.origins.get(origin).expect("invariant: it is there while a record has it"));
        let new_id = |start: i64, life| self.identity.of_record(id, &[&start.to_be_bytes()], life);
        for piece in held.pieces.iter().filter(|piece| !piece.is_told()) {
            if piece.told_changes > 0 && piece.told_life < piece.life {
                let mut record = Record::deleted(new_id(piece.start, piece.told_life), kind);
                record.subject = held.record.subject.clone();
                record.revision = piece.told_changes - 1;
                out.push(record);
                self.tally.derived(kind);
            }
            if piece.changes > 0 {
                let mut record = held.piece(piece.start, piece.end);
                record.origin = origin.cloned();
                (record.id, record.revision) = (new_id(piece.start, piece.life), piece.changes - 1);
                out.push(record);
                self.tally.derived(kind);
            }
        }
        for piece in &mut held.pieces {
            (piece.told_life, piece.told_changes) = (piece.life, piece.changes);
        }
        if held.gone {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: RecordId) {
        if let Some(Held { origin: Some(origin), .. }) = self.held.remove(&id) {
            self.origins.give_back(origin);
        }
    }

    fn tell_all(&mut self, out: &mut Emit<Record>) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for some in changed.chunks(TOLD_AT_ONCE) {
            self.held.foresee(some.iter().map(|(_, id)| *id));
            for (_, id) in some {
                self.tell(*id, out);
            }
        }
        changed.clear();
        self.changed = changed;
        self.tally.tell(out);
    }

    /// The oldest slice is final from now on: what ends in it is told, and forgotten. Whether there was one.
    fn end_oldest(&mut self, out: &mut Emit<Record>) -> bool {
        let Some((slice, number)) = self.oldest.pop_first() else { return false };
        let lane = &mut self.groups.change(number).state;
        lane.open_from = lane.open_from.max(slice + SLICE);
        for stretch in lane.slices.remove(&slice).unwrap_or_default() {
            // What reaches into the next slice is still held by that.
            if stretch.end <= slice + SLICE {
                self.tell(stretch.id, out);
                self.forget(stretch.id);
                self.live -= 1;
            }
        }
        true
    }
}

impl Transform for MergeSources {
    type In = Record;
    type Out = Record;

    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        self.identity = Identity::new(cx);
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let plan = &self.plan;
        let about = input.iter().filter(|record| record.kind.is_none_or(|kind| plan.is_about(kind)));
        self.held.foresee(about.map(|record| record.id));
        for record in input.drain(..) {
            if record.kind.is_some_and(|kind| !self.plan.is_about(kind)) {
                out.push(record);
            } else if !record.is_deletion() {
                self.add(record, out);
            } else if self.delete(record.id) {
                self.tally.superseded(record.kind);
            } else if record.kind.is_none() {
                // It may be of a record that passed.
                out.push(record);
            } else {
                self.tally.filtered(record.kind);
            }
        }
        self.tally.tell(out);
        Ok(())
    }

    fn tick(&mut self, _: Timestamp, out: &mut Emit<Record>) -> Result<()> {
        self.tell_all(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Emit<Record>) -> Result<()> {
        self.tell_all(out);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut changes = Delta::new();
        self.plan.what.save(&mut changes);
        self.groups.save(&mut changes);
        self.origins.save(&mut changes);
        self.held.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            match tag {
                Basis::TAG => self.plan.what.restore(value, "`priority`")?,
                GROUPS => self.groups.restore(key, value)?,
                ORIGINS => self.origins.restore(key, value)?,
                HELD => {
                    let (_, held) = self.held.restore(key, value)?;
                    if let Some(origin) = held.origin {
                        self.origins.restored(origin)?;
                    }
                }
                WHOLE => {
                    let message = "its state was saved by a program of before the first release; start the pipeline again with --from-start to begin anew";
                    return Err(Error::state(message));
                }
                _ => return Err(damaged()),
            }
            Ok(())
        })?;
        self.origins.complete();
        let mut stretches = Vec::with_capacity(self.held.len());
        for (id, held) in self.held.iter() {
            if !self.groups.numbers().contains(&held.group) || held.record.id != *id {
                return Err(damaged());
            }
            if !held.gone {
                self.live += 1;
                stretches.push((self.stretch(held), held.group));
            }
            if held.is_pending() {
                self.changed.push((held.start(), *id));
            }
        }
        for (stretch, group) in stretches {
            // What is final was taken from its first slices.
            let open_from = self.groups.get(group).state.open_from;
            self.place(stretch, group);
            // What became of all of them is in their pieces.
            self.buffers.affected.clear();
            let lane = &mut self.groups.get_mut(group).state;
            while let Some((&slice, _)) =
                lane.slices.first_key_value().filter(|(slice, _)| **slice < open_from)
            {
                lane.slices.remove(&slice);
                self.oldest.remove(&(slice, group));
            }
        }
        Ok(())
    }
}
