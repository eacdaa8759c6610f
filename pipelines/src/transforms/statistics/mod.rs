//! `statistics`: what HealthKit's statistics say, over the buckets of a calendar.
//!
//! Each bucket of a person's hours, days, weeks or months has one result for each type, as the catalogue says that its values
//! combine:
//!
//! | type | result |
//! |---|---|
//! | cumulative (steps, energy) | `sum` |
//! | discrete (body mass) | `min`, `avg`, `max` |
//! | discrete, weighted by time (heart rate) | the same, `avg` weighted by duration; an instant weighs as a second |
//! | equivalent continuous level (noise) | the same, `avg` is the level of a constant sound of the same energy |
//! | category (sleep) | seconds by value (`asleepCore`, …), and `count` |
//!
//! **A sample over the edge of a bucket** is divided: of a cumulative one each bucket gets the part of the amount that it has of
//! the time, as if it had been spread evenly; of a category each gets its part of the time; a discrete one counts in each that it
//! touches. An end is exclusive.
//!
//! **Zones.** A bucket is one of the calendar of a zone, so days have 23 to 25 hours. The rule: *a record belongs to the buckets of its
//! own `zone`*; of one that does not say, to those of the configured one. When a person travels, a date may have a bucket in each zone:
//! they overlap in time, each says its `zone`, and every record counts in one of them. With `fixed = true` all records
//! belong to the configured zone.
//!
//! **Results go out when time passes** (`tick`, which the engine calls at each checkpoint): those of all buckets that changed
//! since, so a day of steps is one record in an epoch and not thousands. Revisions do not depend on when that is: a result's
//! revision is how many changes (records, corrections, deletions) its bucket has had since its first. A late, back-dated or deleted
//! record corrects its bucket like any other. A bucket that becomes empty is deleted; if it gets a record again, its result has
//! another id.
//!
//! **State** is every record, until there are more than `max_samples` of records and buckets: then the oldest bucket is final,
//! its records are forgotten, and what comes for it later is a dead letter, or dropped (`late`). There is no other horizon, because an
//! import gives one device's years after another's.
//!
//! Types without statistics pass. Records are counted as superseded when they are absorbed, results as derived, and deletions
//! of what was never in a bucket as filtered.

mod calendar;
mod config;
mod series;
#[cfg(test)]
mod tests;
pub(super) mod value;

use std::collections::BTreeSet;

use afferent_core::{
    Batch, Delta, Emit, Name, Problem, Record, RecordId, Result, Snapshot, State, Timestamp, Transform,
    TransformCx, Value, record::Aggregate,
};

pub use self::{
    calendar::{Bucket, WeekStart},
    config::Config,
};
use self::{
    calendar::{Zones, bounds},
    config::Plan,
    series::{Series, Told},
    value::compute,
};
use super::{
    by,
    keyed::{Basis, Groups, Identity, MAX_GROUPS, Sample, Table, Tally, damaged, delta, each_row},
    window::Late,
};

/// Into how many buckets a record may reach: six weeks of hours. A longer one is no measurement of an hour.
pub const MAX_BUCKETS: usize = 1024;

/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of samples.
const SAMPLES: u8 = 2;
/// Rows of buckets.
const BUCKETS: u8 = 3;

/// Where a bucket is: its group and its bounds, in µs.
type Place = (u32, i64, i64);

/// What HealthKit's statistics say, over the buckets of a calendar.
#[derive(Debug)]
pub struct Statistics {
    plan: Plan,
    identity: Identity,
    zones: Zones,
    groups: Groups<Series>,
    samples: Table<RecordId, Sample>,
    buckets: Table<Place, Told>,
    /// Buckets by their start.
    oldest: BTreeSet<(i64, u32)>,
    /// Buckets that changed since they were told; some are there twice.
    changed: Vec<Place>,
    /// Buckets that a change is about; kept for its buffer.
    touched: Vec<Place>,
    tally: Tally,
}

impl Statistics {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Statistics, Vec<Problem>> {
        let plan = Plan::new(config)?;
        Ok(Statistics {
            groups: Groups::new(GROUPS, plan.by.len()),
            plan,
            identity: Identity::default(),
            zones: Zones::default(),
            samples: Table::new(SAMPLES),
            buckets: Table::new(BUCKETS),
            oldest: BTreeSet::new(),
            changed: Vec::new(),
            touched: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// Takes an addition in.
    fn add(&mut self, record: &Record, out: &mut Emit<Record>) {
        let own = record.zone.as_ref().filter(|_| !self.plan.fixed);
        let (by, zone) = (&self.plan.by, own.unwrap_or(&self.plan.zone));
        let text = |index: usize| -> Option<&Name> {
            if index + 1 == by.len() { Some(zone) } else { by[index].name(record) }
        };
        let Some(group) = self.groups.find(record.kind, record.value.unit(), text) else {
            out.reject_record(record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        if !self.groups.get(group).state.has_zone {
            if self.zones.get(zone).is_none() {
                let reason = "expected the name of a time zone or an offset in `zone`, found neither";
                out.reject_record(record, reason);
                return;
            }
            self.groups.get_mut(group).state.has_zone = true;
        }
        let sample = Sample::of(record, group);
        let known = self.samples.get(&record.id).copied();
        if known.is_some_and(|known| known.revision >= sample.revision) {
            self.tally.superseded(record.kind);
            return;
        }
        if !self.find(&sample) {
            let reason = format!("it reaches into more than {MAX_BUCKETS} buckets, or out of the calendar");
            out.reject_record(record, reason);
            return;
        }
        if self.touched[0].1 < self.groups.get(group).state.open_from {
            match self.plan.late {
                Late::Dead => out.reject_record(record, "it came too late: its bucket is final"),
                Late::Drop => self.tally.filtered(record.kind),
            }
            return;
        }
        let new = self.touched.len();
        if known.is_some() {
            self.lift(sample.id);
        }
        for index in 0..new {
            let place = self.touched[index];
            let (number, start, end) = place;
            let series = &mut self.groups.get_mut(number).state;
            if series.slices.insert(start, sample) && series.ends.insert(start, end).is_none() {
                self.oldest.insert((start, number));
                self.buckets.insert(place, Told::default());
            }
        }
        self.samples.insert(sample.id, sample);
        self.settle();
        self.tally.superseded(record.kind);
        while self.samples.len() + self.buckets.len() > self.plan.max_samples {
            self.end_oldest(out);
        }
    }

    /// Puts the buckets that a sample is in into `touched`, in order; whether they are not too many.
    fn find(&mut self, sample: &Sample) -> bool {
        self.touched.clear();
        let group = self.groups.get_mut(sample.group);
        let (mut from, mut to) = group.state.last;
        let zone = group.key.texts.last().and_then(Option::as_ref);
        let mut time = sample.start;
        loop {
            if !(from..to).contains(&time) {
                let zone = zone.and_then(|zone| self.zones.get(zone));
                match zone.and_then(|zone| bounds(time, self.plan.bucket, self.plan.week, zone)) {
                    Some(bounds) => (from, to) = bounds,
                    None => return false,
                }
            }
            if self.touched.is_empty() {
                group.state.last = (from, to);
            }
            self.touched.push((sample.group, from, to));
            if sample.end <= to {
                return true;
            }
            if self.touched.len() == MAX_BUCKETS {
                return false;
            }
            time = to;
        }
    }

    /// Takes a sample out of its buckets and adds them to `touched`; whether it was held.
    fn lift(&mut self, id: RecordId) -> bool {
        let Some(sample) = self.samples.remove(&id) else { return false };
        let series = &mut self.groups.get_mut(sample.group).state;
        for (start, end) in series.within(&sample) {
            series.slices.remove(start, id);
            self.touched.push((sample.group, start, end));
        }
        true
    }

    /// The buckets in `touched` have had a change.
    fn settle(&mut self) {
        if self.touched.len() > 1 {
            self.touched.sort_unstable();
            self.touched.dedup();
        }
        for &place in &self.touched {
            let is_empty = !self.groups.get(place.0).state.slices.has(place.1);
            let Some(told) = self.buckets.change(&place) else { continue };
            let was_told = told.is_told();
            if is_empty {
                (told.life, told.changes) = (told.life + 1, 0);
            } else {
                told.changes += 1;
            }
            if was_told {
                self.changed.push(place);
            }
        }
        self.touched.clear();
    }

    /// Gives out what became of a bucket since it was last told.
    fn tell(&mut self, place: Place, out: &mut Emit<Record>) {
        let Some(&before) = self.buckets.get(&place) else { return };
        if before.is_told() {
            return;
        }
        let (number, start, end) = place;
        if before.told_changes > 0 && before.told_life < before.life {
            let mut record =
                Record::deleted(self.id(place, before.told_life), self.groups.get(number).key.kind);
            record.revision = before.told_changes - 1;
            self.give(number, record, out);
        }
        if before.changes > 0 {
            let group = self.groups.get_mut(number);
            let kind = group.key.kind.expect("invariant: an addition has a type");
            let samples = group.state.slices.range(start, start.saturating_add(1));
            let (unit, results) = compute(kind, group.key.unit, (start, end), samples);
            let value = Value::Aggregate(Aggregate { unit, results }.into());
            let time = Timestamp::from_micros_clamped;
            let mut record = Record::added(self.id(place, before.life), kind, time(start), time(end), value);
            record.revision = before.changes - 1;
            self.give(number, record, out);
        }
        if let Some(told) = self.buckets.change(&place) {
            (told.told_life, told.told_changes) = (told.life, told.changes);
        }
    }

    fn id(&self, (group, start, end): Place, life: u32) -> RecordId {
        let bounds = [start.to_be_bytes(), end.to_be_bytes()];
        self.identity.of_group(&self.groups.get(group).key, &[&bounds[0], &bounds[1]], life)
    }

    fn give(&mut self, group: u32, mut record: Record, out: &mut Emit<Record>) {
        by::write(&self.plan.by, &self.groups.get(group).key.texts, &mut record);
        self.tally.derived(record.kind);
        out.push(record);
    }

    /// The oldest bucket is final from now on: it is told, and forgotten with its records.
    fn end_oldest(&mut self, out: &mut Emit<Record>) {
        let Some(&(start, number)) = self.oldest.first() else { return };
        let Some(&end) = self.groups.get(number).state.ends.get(&start) else { return };
        let place = (number, start, end);
        self.tell(place, out);
        self.oldest.pop_first();
        self.buckets.remove(&place);
        let series = &mut self.groups.change(number).state;
        series.ends.remove(&start);
        series.open_from = series.open_from.max(end);
        for sample in series.slices.remove_slice(start) {
            // What reaches into the next bucket is still held by that.
            if sample.end <= end {
                self.samples.remove(&sample.id);
            }
        }
    }

    fn tell_all(&mut self, out: &mut Emit<Record>) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable_by_key(|(group, start, end)| (*end, *start, *group));
        changed.dedup();
        for place in changed.drain(..) {
            self.tell(place, out);
        }
        self.changed = changed;
        self.tally.tell(out);
    }

    /// Knows again what is in which bucket, from the rows that were restored.
    fn rebuild(&mut self) -> Result<()> {
        let places: Vec<(Place, Told)> = self.buckets.iter().map(|(place, told)| (*place, *told)).collect();
        for (place, told) in places {
            let (group, start, end) = place;
            if !self.groups.numbers().contains(&group) {
                return Err(damaged());
            }
            self.groups.get_mut(group).state.ends.insert(start, end);
            self.oldest.insert((start, group));
            if !told.is_told() {
                self.changed.push(place);
            }
        }
        let samples: Vec<Sample> = self.samples.iter().map(|(_, sample)| *sample).collect();
        for sample in samples {
            if !self.groups.numbers().contains(&sample.group) {
                return Err(damaged());
            }
            let series = &mut self.groups.get_mut(sample.group).state;
            for (start, _) in series.within(&sample) {
                series.slices.insert(start, sample);
            }
        }
        Ok(())
    }
}

impl Transform for Statistics {
    type In = Record;
    type Out = Record;

    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        self.identity = Identity::new(cx);
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        self.samples.foresee(input.iter().map(|record| record.id));
        for record in input.drain(..) {
            let is_other = record.kind.is_some_and(|kind| !self.plan.is_about(kind));
            let has_number = record.value.as_f64().is_some();
            if is_other || (!record.is_deletion() && !has_number) {
                out.push(record);
            } else if !record.is_deletion() {
                self.add(&record, out);
            } else if self.lift(record.id) {
                self.settle();
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
        self.samples.save(&mut changes);
        self.buckets.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            match tag {
                Basis::TAG => self.plan.what.restore(value, "`bucket`, `week_starts` or `by`")?,
                GROUPS => self.groups.restore(key, value)?,
                SAMPLES => self.samples.restore(key, value).map(drop)?,
                BUCKETS => self.buckets.restore(key, value).map(drop)?,
                _ => return Err(damaged()),
            }
            Ok(())
        })?;
        self.rebuild()
    }
}
