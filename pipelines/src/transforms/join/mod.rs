//! `join`: tells a workout of the samples inside it.
//!
//! Two sides: records that last (`into`, by default workouts) and quantities (`types`). A sample is inside a record that lasts if
//! the fields of `by` are the same in both, it starts no earlier and ends no later. It may be inside several.
//!
//! | of | comes out |
//! |---|---|
//! | a sample | itself, at once: what is joined is not taken away |
//! | a workout | itself, with a statistic for each type of the samples inside it, as HealthKit's workouts have them |
//! | another record that lasts (sleep) | itself, with the same numbers in its metadata: `afferent.joined.HeartRate.avg`, … |
//! | anything else | itself, at once |
//!
//! The numbers are those of [`statistics`](super::statistics): `sum` of cumulative types, `min`, `avg` and `max` of others, `avg`
//! weighted by time where HealthKit weighs. What is measured in different units is never mixed. The metadata
//! `afferent.joined.HeartRate.count` says of how many samples they are. A statistic that a workout brought itself stays, and none of
//! its type is joined, unless `replace` says so: HealthKit's own are of all sources, merged.
//!
//! **When.** Records that last are held until time passes (`tick`, which the engine calls at each checkpoint), and then come out with
//! what is inside them by then. A sample that comes later, is corrected or deleted changes them: they come out again at the next
//! checkpoint, under the same id with a higher revision. Revisions do not depend on when that is: each sample that comes or goes
//! raises it by one, and a correction by its source at least to the source's own. So no (id, revision) has two contents,
//! whatever a replay does. Nothing waits for a watermark: of a workout with nothing after it, it might not come for days.
//!
//! **Deletions** pass, at once. One of a sample is a change to the records it was inside; one of a record that lasts ends it, and if
//! it had not come out yet, it is absorbed: a deletion never overtakes its addition.
//!
//! **State** is the samples and the records that last: all of them, because an import gives one type's years after another's.
//! They are forgotten from the oldest on, a record that lasts together with its samples and after it has come out for the last time:
//!
//! - when there would be more than `max_samples`;
//! - with `lateness`, when the watermark of its key is so much past its end. The watermark is that of [`window`](super::window),
//!   with each type of each app on each product as a source, and `idle` as there.
//!
//! What starts before what was forgotten is late. It passes without being joined, or is a dead letter (`late`). A late correction
//! passes under its source's revision, which a store takes for an old one where samples had raised the revision beyond it.
//!
//! Records that last are counted as held until they come out, what comes out again as derived.

mod config;
mod holding;
mod lane;
mod numbers;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use afferent_core::{
    Batch, Delta, Emit, Problem, Record, RecordId, Result, Snapshot, State, Timestamp, Transform,
};

pub use self::config::{Config, Late};
use self::{
    config::Plan,
    lane::{Lane, Lasting},
};
use super::keyed::{Basis, Groups, MAX_GROUPS, Sample, Sources, Table, Tally, damaged, delta, each_row};

/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of samples.
const SAMPLES: u8 = 2;
/// Rows of records that last.
const LASTING: u8 = 3;

/// Tells a workout of the samples inside it.
#[derive(Debug)]
pub struct Join {
    plan: Plan,
    /// By key without a type, what lasts; by key with type and unit, samples.
    groups: Groups<Lane>,
    samples: Table<RecordId, Sample>,
    lasting: Table<RecordId, Lasting>,
    /// When the first of each key starts, and its group.
    oldest: BTreeSet<(i64, u32)>,
    sources: Sources,
    tally: Tally,
    /// What is to come out, in the order in which it first changed; some may have gone since.
    changed: Vec<RecordId>,
}

impl Join {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Join, Vec<Problem>> {
        let plan = Plan::new(config)?;
        Ok(Join {
            groups: Groups::new(GROUPS, plan.by.len()),
            plan,
            samples: Table::new(SAMPLES),
            lasting: Table::new(LASTING),
            oldest: BTreeSet::new(),
            sources: Sources::default(),
            tally: Tally::default(),
            changed: Vec::new(),
        })
    }

    /// Takes a sample in, and sends it on.
    fn add_sample(&mut self, record: Record, out: &mut Emit<Record>) {
        let known = self.samples.get(&record.id);
        if known.is_some_and(|known| known.revision >= record.revision) {
            out.push(record);
            return;
        }
        let Some((lane, series)) = self.series_of(&record) else {
            out.reject_record(&record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        self.lift(record.id);
        let sample = Sample::of(&record, series);
        if sample.start < self.groups.get(lane).state.open_from {
            self.late(record, out);
            return;
        }
        self.put(lane, sample);
        self.hear(lane, &record, out);
        out.push(record);
        self.make_room(out);
    }

    /// Takes a record that lasts in.
    fn add_lasting(&mut self, record: Record, out: &mut Emit<Record>) {
        let known = self.lasting.get(&record.id);
        if known.is_some_and(|known| known.record.revision >= record.revision) {
            self.tally.superseded(record.kind);
            return;
        }
        let Some(lane) = self.lane_of(&record) else {
            out.reject_record(&record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        let known = self.end(record.id);
        let revision = known.as_ref().map_or(record.revision, |known| known.next(record.revision));
        if known.as_ref().is_some_and(|known| known.is_held) {
            self.tally.held(record.kind, -1);
            self.tally.superseded(record.kind);
        }
        if record.start.as_micros() < self.groups.get(lane).state.open_from {
            self.late(Record { revision, ..record }, out);
            return;
        }
        self.tally.held(record.kind, 1);
        let id = record.id;
        self.begin(Lasting { lane, revision, is_held: true, is_told: false, record });
        self.changed.push(id);
        self.hear_of(lane, id, out);
        self.make_room(out);
    }

    /// What becomes of a record that starts before what was forgotten.
    fn late(&self, record: Record, out: &mut Emit<Record>) {
        match self.plan.late {
            Late::Pass => out.push(record),
            Late::Dead => {
                out.reject_record(&record, "it came too late: what it is to be joined with is forgotten")
            }
        }
    }

    fn delete(&mut self, record: Record, out: &mut Emit<Record>) {
        self.lift(record.id);
        if let Some(gone) = self.end(record.id).filter(|gone| gone.is_held) {
            self.tally.held(gone.record.kind, -1);
            self.tally.superseded(gone.record.kind);
        }
        out.push(record);
    }

    /// Gives out what changed since it last came out.
    fn tell_all(&mut self, out: &mut Emit<Record>) {
        let changed = std::mem::take(&mut self.changed);
        for id in changed {
            self.tell(id, out);
        }
        self.tally.tell(out);
    }

    /// Gives out a record that lasts, if it changed since it last came out.
    fn tell(&mut self, id: RecordId, out: &mut Emit<Record>) {
        if self.lasting.get(&id).is_none_or(|lasting| lasting.is_told) {
            return;
        }
        let Some(lasting) = self.lasting.change(&id) else { return };
        lasting.is_told = true;
        let kind = lasting.record.kind;
        if std::mem::take(&mut lasting.is_held) {
            self.tally.held(kind, -1);
        } else {
            self.tally.derived(kind);
        }
        let lasting = lasting.clone();
        out.push(self.joined(lasting));
    }
}

impl Transform for Join {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            if record.is_deletion() {
                self.delete(record, out);
                continue;
            }
            match record.kind {
                Some(kind) if self.plan.kinds.contains(kind) && record.value.unit().is_some() => {
                    self.add_sample(record, out);
                }
                Some(kind) if self.plan.into.contains(kind) => self.add_lasting(record, out),
                _ => out.push(record),
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
        self.plan.basis.save(&mut changes);
        self.groups.save(&mut changes);
        self.samples.save(&mut changes);
        self.lasting.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            match tag {
                Basis::TAG => self.plan.basis.restore(value, "`by`, `into`, `types` or `replace`")?,
                GROUPS => self.groups.restore(key, value)?,
                SAMPLES => self.samples.restore(key, value).map(drop)?,
                LASTING => self.lasting.restore(key, value).map(drop)?,
                _ => return Err(damaged()),
            }
            Ok(())
        })?;
        self.rebuild()
    }
}
