//! `window`: results over spans of event time.
//!
//! A record is in the windows that its `start` is in. A window is one of
//!
//! | | from | to |
//! |---|---|---|
//! | `size` (tumbling) | a multiple of `size` since 1970 | `size` later, exclusive |
//! | `size`, `slide` (sliding) | a multiple of `slide` | `size` later, exclusive |
//! | `gap` (session) | the start of a record | the end of one, after which none begins for `gap` |
//!
//! **The watermark.** Each key has its own clock, because HealthKit is read type by type and person by person: how far one is
//! says nothing of another. A key's watermark is how far all of its sources are (an app on a product is a source) that do not
//! lag by more than `idle`, less `lateness`. It follows event time alone, so a replay finds the same. When it passes the end
//! of a window (of a session: `gap` later), the result goes out. A record that comes later corrects it, under the same id with
//! a higher revision, until `allowed_lateness` has passed too; then the window is final, its records are forgotten, and what
//! comes later is a dead letter, or dropped (`late`). At the end of a finite input all windows go out; what is read after
//! that corrects them.
//!
//! **Deletions** of records that are held take them back: the result is corrected, or withdrawn by a deletion when nothing
//! is left. A session whose bounds change is another one: the old id is deleted. Other deletions are absorbed, and counted as
//! filtered: they are of what never was in a window, or of final ones. A correction of a record takes its place.
//!
//! **A result** has the type, the unit and the `by` texts of its records, the bounds of its window, and the numbers by name. Its id
//! is made of pipeline, transform, key and bounds. Sums are left out for types that do not add up, and numbers that can't be
//! computed. Records without a number only count for `count`.
//!
//! **State** is the records of windows that are not final, at most `max_samples` ([`MAX_SAMPLES`](Config::max_samples) says
//! what if there were more), and a clock for each key, at most a million of them: a record with a further key is rejected.
//!
//! Records are counted as superseded when they are absorbed, and results as derived.

mod clock;
mod config;
mod function;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use afferent_core::{
    Batch, Emit, Error, Record, RecordId, Result, Snapshot, State, Timestamp, Transform, TransformCx, Value,
    record::Aggregate,
};

pub use self::config::{Config, Late, MAX_OVERLAP, MAX_REACH};
use self::{
    clock::{Clock, Sources},
    config::{Plan, Shape, adds_up},
    function::compute,
};
use super::{
    by,
    keyed::{
        Get, Groups, Identity, MAX_GROUPS, Put, Row, Sample, Shown, Slices, Table, Tally, damaged, digest,
    },
};
use afferent_core::Problem;

/// Rows of the fields by which windows are told apart.
const BY: u8 = 0;
/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of samples.
const SAMPLES: u8 = 2;
/// Rows of what was given out.
const SHOWN: u8 = 3;

/// Where a window is: its group and its bounds, in µs.
type Place = (u32, i64, i64);

/// Results over spans of event time.
#[derive(Debug)]
pub struct Window {
    plan: Plan,
    identity: Identity,
    groups: Groups<Open>,
    samples: Table<RecordId, Sample>,
    /// What was given out and may still be corrected.
    shown: Table<Place, Shown>,
    /// The first slices of all groups, and others: which are the oldest.
    oldest: BTreeSet<(i64, u32)>,
    sources: Sources,
    tally: Tally,
    /// Windows of which the result is to be looked at; kept for its buffer.
    touched: Vec<Place>,
    /// Sessions that are no more; kept for its buffer.
    ended: Vec<Place>,
    /// Whether the fields of `by` are saved.
    by_saved: bool,
}

/// The windows of a group that are not final.
#[derive(Clone, Debug)]
struct Open {
    clock: Clock,
    slices: Slices,
    /// When the next window closes, at the earliest.
    due: i64,
    /// When the first one becomes final, at the earliest.
    expires: i64,
    /// Sessions: by their start, their end.
    sessions: BTreeMap<i64, i64>,
    /// Bounds that something was given out for.
    shown: BTreeSet<(i64, i64)>,
}

impl Default for Open {
    fn default() -> Open {
        Open {
            clock: Clock::default(),
            slices: Slices::default(),
            due: i64::MAX,
            expires: i64::MAX,
            sessions: BTreeMap::new(),
            shown: BTreeSet::new(),
        }
    }
}

impl Row for Open {
    fn put(&self, to: &mut Put) {
        self.clock.put(to);
    }
    fn get(from: &mut Get<'_>) -> Option<Open> {
        Some(Open { clock: Clock::get(from)?, ..Open::default() })
    }
}

impl Window {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Window, Vec<Problem>> {
        let plan = Plan::new(config)?;
        Ok(Window {
            groups: Groups::new(GROUPS, plan.by.len()),
            plan,
            identity: Identity::default(),
            samples: Table::new(SAMPLES),
            shown: Table::new(SHOWN),
            oldest: BTreeSet::new(),
            sources: Sources::default(),
            tally: Tally::default(),
            touched: Vec::new(),
            ended: Vec::new(),
            by_saved: false,
        })
    }

    /// Takes an addition in.
    #[inline]
    fn add(&mut self, record: &Record, out: &mut Emit<Record>) {
        let by = &self.plan.by;
        let found = self.groups.find(record.kind, record.value.unit(), |index| by[index].name(record));
        let Some(group) = found else {
            out.reject_record(record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        let sample = Sample::of(record, group);
        let known = self.samples.get(&record.id).copied();
        if known.is_some_and(|known| known.revision >= sample.revision) {
            self.tally.superseded(record.kind);
            return;
        }
        if self.is_late(&sample) {
            match self.plan.late {
                Late::Dead => out.reject_record(record, "it came too late: its window is final"),
                Late::Drop => self.tally.filtered(record.kind),
            }
            return;
        }
        if let Some(known) = known {
            self.take(known.id);
        }
        self.put(sample);
        self.tally.superseded(record.kind);
        self.settle(out);
        let source = self.sources.of(record);
        let (idle, lateness) = (self.plan.idle, self.plan.lateness);
        let group_state = self.groups.get_mut(group);
        if group_state.state.clock.hear(source, sample.start, idle, lateness) {
            self.groups.change(group);
            self.advance(group, out);
        }
        while self.samples.len() > self.plan.max_samples {
            self.close_oldest(out);
        }
    }

    /// Takes a deletion in; whether it was of a record that is held.
    fn delete(&mut self, record: &Record, out: &mut Emit<Record>) -> bool {
        let held = self.take(record.id);
        self.settle(out);
        held
    }

    /// Whether all windows of a sample are final.
    fn is_late(&self, sample: &Sample) -> bool {
        let open = &self.groups.get(sample.group).state;
        let closes = match self.plan.shape {
            Shape::Fixed { size, slide } => slice(sample.start, slide).saturating_add(size),
            Shape::Session { gap } => {
                if session::near(open, sample.start, sample.end, gap).next().is_some() {
                    return false;
                }
                sample.end.saturating_add(gap)
            }
        };
        closes.saturating_add(self.plan.allowed) <= open.clock.watermark()
    }

    /// Holds a sample.
    #[inline]
    fn put(&mut self, sample: Sample) {
        self.samples.insert(sample.id, sample);
        let width = self.plan.width();
        let (at, group) = (slice(sample.start, width), sample.group);
        let open = &mut self.groups.get_mut(group).state;
        if open.slices.insert(at, sample) {
            self.oldest.insert((at, group));
        }
        match self.plan.shape {
            Shape::Fixed { size, slide } => {
                let watermark = open.clock.watermark();
                open.expires = open.expires.min(at.saturating_add(size).saturating_add(self.plan.allowed));
                if watermark < at && open.shown.is_empty() {
                    // None of its windows is closed yet.
                    open.due = open.due.min(at.saturating_add(slide));
                    return;
                }
                for start in windows(at, size, slide) {
                    let end = start.saturating_add(size);
                    if end > watermark {
                        open.due = open.due.min(end);
                    }
                    let is_final = end.saturating_add(self.plan.allowed) <= watermark;
                    if !is_final && (end <= watermark || open.shown.contains(&(start, end))) {
                        self.touched.push((group, start, end));
                    }
                }
            }
            Shape::Session { gap } => {
                session::join(
                    open,
                    (group, sample.start, sample.end),
                    gap,
                    &mut self.ended,
                    &mut self.touched,
                );
                session::expire(open, gap, self.plan.allowed);
            }
        }
    }

    /// Takes a sample back; whether it was held.
    fn take(&mut self, id: RecordId) -> bool {
        let Some(sample) = self.samples.remove(&id) else { return false };
        let (at, group) = (slice(sample.start, self.plan.width()), sample.group);
        let open = &mut self.groups.get_mut(group).state;
        if open.slices.remove(at, id) {
            self.oldest.remove(&(at, group));
        }
        match self.plan.shape {
            Shape::Fixed { size, slide } => {
                let windows = windows(at, size, slide).map(|start| (start, start.saturating_add(size)));
                let shown = windows.filter(|bounds| open.shown.contains(bounds));
                self.touched.extend(shown.map(|(start, end)| (group, start, end)));
            }
            Shape::Session { gap } => {
                session::split(open, (group, sample.start), gap, &mut self.ended, &mut self.touched);
                session::expire(open, gap, self.plan.allowed);
            }
        }
        true
    }

    /// Gives out what the last changes make of the windows that they touched.
    fn settle(&mut self, out: &mut Emit<Record>) {
        if self.ended.is_empty() && self.touched.is_empty() {
            return;
        }
        let (mut ended, mut touched) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.touched));
        touched.sort_unstable_by_key(|(group, start, end)| (*end, *start, *group));
        touched.dedup();
        // A session that came back under its old bounds did not end.
        ended.retain(|(group, start, end)| {
            self.groups.get(*group).state.sessions.get(start).is_none_or(|now| now != end)
        });
        for place in ended.drain(..) {
            self.withdraw(place, out);
        }
        for place in touched.drain(..) {
            let open = &self.groups.get(place.0).state;
            if self.is_session() && open.sessions.get(&place.1) != Some(&place.2) {
                continue;
            }
            let is_closed = self.plan.closes(place.2) <= open.clock.watermark();
            if is_closed || open.shown.contains(&(place.1, place.2)) {
                self.show(place, out);
            }
        }
        (self.ended, self.touched) = (ended, touched);
    }

    fn is_session(&self) -> bool {
        matches!(self.plan.shape, Shape::Session { .. })
    }

    /// Gives out the result of a window, if it is new or another than before.
    fn show(&mut self, place: Place, out: &mut Emit<Record>) {
        let (number, start, end) = place;
        let (width, is_session) = (self.plan.width(), self.is_session());
        let group = self.groups.get_mut(number);
        let kind = group.key.kind.expect("invariant: an addition has a type");
        let to = if is_session { end.saturating_add(1) } else { end };
        let samples = group.state.slices.range(slice(start, width), to);
        let samples = samples.filter(|sample| sample.start >= start && sample.start < to);
        let is_empty = samples.clone().next().is_none();
        let results = compute(&self.plan.functions, samples, adds_up(kind));
        if is_empty {
            self.withdraw(place, out);
            return;
        }
        let value = Value::Aggregate(Aggregate { unit: group.key.unit, results }.into());
        let digest = digest(start, end, &value);
        let mut shown = self.shown.get(&place).copied().unwrap_or_default();
        let Some(revision) = shown.show(digest) else { return };
        let is_final =
            self.plan.closes(end).saturating_add(self.plan.allowed) <= group.state.clock.watermark();
        if !is_final {
            group.state.shown.insert((start, end));
            self.shown.insert(place, shown);
        }
        let group = self.groups.get(number);
        let bounds = [start.to_be_bytes(), end.to_be_bytes()];
        let id = self.identity.of_group(&group.key, &[&bounds[0], &bounds[1]], shown.life);
        let time = Timestamp::from_micros_clamped;
        let mut record = Record::added(id, kind, time(start), time(end), value);
        record.revision = revision;
        by::write(&self.plan.by, &group.key.texts, &mut record);
        self.tally.derived(Some(kind));
        out.push(record);
    }

    /// Deletes the result of a window, if one is there.
    fn withdraw(&mut self, place: Place, out: &mut Emit<Record>) {
        let Some((life, revision)) = self.shown.change(&place).and_then(Shown::withdraw) else { return };
        let (number, start, end) = place;
        let key = &self.groups.get(number).key;
        let bounds = [start.to_be_bytes(), end.to_be_bytes()];
        let mut record =
            Record::deleted(self.identity.of_group(key, &[&bounds[0], &bounds[1]], life), key.kind);
        record.revision = revision;
        by::write(&self.plan.by, &key.texts, &mut record);
        self.tally.derived(key.kind);
        out.push(record);
    }

    /// Gives out what the watermark of a group has passed, and forgets what is final.
    #[inline]
    fn advance(&mut self, group: u32, out: &mut Emit<Record>) {
        let open = &self.groups.get(group).state;
        let watermark = open.clock.watermark();
        if watermark >= open.due {
            self.close(group, watermark, out);
        }
        if watermark >= self.groups.get(group).state.expires {
            self.forget(group, watermark);
        }
    }

    /// Gives out the windows of a group that close between what was due and `watermark`.
    fn close(&mut self, group: u32, watermark: i64, out: &mut Emit<Record>) {
        let open = &mut self.groups.get_mut(group).state;
        let from = open.due;
        let mut closed = BTreeSet::new();
        match self.plan.shape {
            Shape::Fixed { size, slide } => {
                let (first, last) = (from.saturating_sub(size), watermark.saturating_sub(1));
                for at in open.slices.starts(first, last.saturating_add(1)) {
                    let ends = windows(at, size, slide).map(|start| (start.saturating_add(size), start));
                    closed.extend(ends.filter(|(end, _)| *end >= from && *end <= watermark));
                }
                let next =
                    open.slices.starts(watermark.saturating_sub(size).saturating_add(1), i64::MAX).next();
                open.due = next.map_or(i64::MAX, |at| {
                    windows(at, size, slide)
                        .map(|start| start.saturating_add(size))
                        .filter(|end| *end > watermark)
                        .min()
                        .unwrap_or(i64::MAX)
                });
            }
            Shape::Session { gap } => {
                open.due = i64::MAX;
                for (start, end) in open.sessions.iter().rev() {
                    let closes = end.saturating_add(gap);
                    if closes < from {
                        break;
                    }
                    if closes <= watermark {
                        closed.insert((*end, *start));
                    } else {
                        open.due = open.due.min(closes);
                    }
                }
            }
        }
        for (end, start) in closed {
            self.show((group, start, end), out);
        }
    }

    /// Forgets the windows of a group that are final.
    fn forget(&mut self, group: u32, watermark: i64) {
        let (width, allowed) = (self.plan.width(), self.plan.allowed);
        let open = &mut self.groups.get_mut(group).state;
        match self.plan.shape {
            Shape::Fixed { size, .. } => {
                let expires = |at: i64| at.saturating_add(size).saturating_add(allowed);
                while let Some(at) = open.slices.first().filter(|at| expires(*at) <= watermark) {
                    for sample in open.slices.remove_slice(at) {
                        self.samples.remove(&sample.id);
                    }
                    self.oldest.remove(&(at, group));
                }
                open.expires = open.slices.first().map_or(i64::MAX, expires);
            }
            Shape::Session { gap } => {
                let expires = |end: i64| end.saturating_add(gap).saturating_add(allowed);
                while let Some((&start, &end)) =
                    open.sessions.first_key_value().filter(|(_, end)| expires(**end) <= watermark)
                {
                    open.sessions.pop_first();
                    let within = open.slices.range(slice(start, width), end.saturating_add(1));
                    let within: Vec<(i64, RecordId)> = within
                        .filter(|sample| sample.start >= start && sample.start <= end)
                        .map(|sample| (slice(sample.start, width), sample.id))
                        .collect();
                    for (at, id) in within {
                        self.samples.remove(&id);
                        if open.slices.remove(at, id) {
                            self.oldest.remove(&(at, group));
                        }
                    }
                }
                session::expire(open, gap, allowed);
            }
        }
        let plan = &self.plan;
        while let Some((start, end)) = open
            .shown
            .first()
            .copied()
            .filter(|(_, end)| plan.closes(*end).saturating_add(allowed) <= watermark)
        {
            open.shown.pop_first();
            self.shown.remove(&(group, start, end));
        }
    }

    /// Closes the oldest window early, to make room: as if its watermark had passed it for good.
    fn close_oldest(&mut self, out: &mut Emit<Record>) {
        let Some(&(at, group)) = self.oldest.first() else { return };
        let open = &mut self.groups.change(group).state;
        let closes = match self.plan.shape {
            Shape::Fixed { size, .. } => at.saturating_add(size),
            Shape::Session { gap } => {
                open.sessions.first_key_value().map_or(at, |(_, end)| *end).saturating_add(gap)
            }
        };
        open.clock.raise(closes.saturating_add(self.plan.allowed));
        self.advance(group, out);
    }

    /// Knows again which windows are open, from the samples and clocks that were restored.
    fn rebuild(&mut self) {
        let mut samples: Vec<Sample> = self.samples.iter().map(|(_, sample)| *sample).collect();
        samples.sort_unstable_by_key(|sample| (sample.start, sample.id));
        let mut places: Vec<Place> = self.shown.iter().map(|(place, _)| *place).collect();
        places.sort_unstable();
        let (width, shape, allowed) = (self.plan.width(), self.plan.shape, self.plan.allowed);
        for sample in samples {
            let (at, group) = (slice(sample.start, width), sample.group);
            let open = &mut self.groups.get_mut(group).state;
            if open.slices.insert(at, sample) {
                self.oldest.insert((at, group));
            }
            let watermark = open.clock.watermark();
            match shape {
                Shape::Fixed { size, slide } => {
                    open.expires = open.expires.min(at.saturating_add(size).saturating_add(allowed));
                    let ends = windows(at, size, slide).map(|start| start.saturating_add(size));
                    open.due = ends.filter(|end| *end > watermark).fold(open.due, i64::min);
                }
                Shape::Session { gap } => {
                    session::join(
                        open,
                        (group, sample.start, sample.end),
                        gap,
                        &mut self.ended,
                        &mut self.touched,
                    );
                }
            }
        }
        self.ended.clear();
        self.touched.clear();
        for group in self.groups.numbers() {
            let open = &mut self.groups.get_mut(group).state;
            if let Shape::Session { gap } = shape {
                let (watermark, closes) = (open.clock.watermark(), |end: &i64| end.saturating_add(gap));
                open.due =
                    open.sessions.values().map(closes).find(|end| *end > watermark).unwrap_or(i64::MAX);
                session::expire(open, gap, allowed);
            }
        }
        for (group, start, end) in places {
            self.groups.get_mut(group).state.shown.insert((start, end));
        }
    }
}

impl Plan {
    /// How wide the slices are that samples are kept in.
    #[inline]
    fn width(&self) -> i64 {
        match self.shape {
            Shape::Fixed { slide, .. } => slide,
            Shape::Session { gap } => gap,
        }
    }

    /// Which watermark closes a window that ends at `end`.
    fn closes(&self, end: i64) -> i64 {
        match self.shape {
            Shape::Fixed { .. } => end,
            Shape::Session { gap } => end.saturating_add(gap),
        }
    }
}

/// The start of the slice that `time` is in.
#[inline]
fn slice(time: i64, width: i64) -> i64 {
    time.div_euclid(width).saturating_mul(width)
}

/// The starts of the windows that a slice is in, latest first.
fn windows(at: i64, size: i64, slide: i64) -> impl Iterator<Item = i64> {
    (0..size / slide).map(move |index| at.saturating_sub(index * slide))
}

impl Transform for Window {
    type In = Record;
    type Out = Record;

    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        self.identity = Identity::new(cx);
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            let is_other = match (&self.plan.kinds, record.kind) {
                (Some(kinds), Some(kind)) => !kinds.contains(kind),
                _ => false,
            };
            if is_other {
                out.push(record);
            } else if !record.is_deletion() {
                self.add(&record, out);
            } else if self.delete(&record, out) {
                self.tally.superseded(record.kind);
            } else if record.kind.is_none() && self.plan.kinds.is_some() {
                // It may be of a record that passed.
                out.push(record);
            } else {
                self.tally.filtered(record.kind);
            }
        }
        self.tally.tell(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Emit<Record>) -> Result<()> {
        for group in self.groups.numbers() {
            let open = &self.groups.get(group).state;
            let open_windows: BTreeSet<(i64, i64)> = match self.plan.shape {
                Shape::Fixed { size, slide } => {
                    let starts = open.slices.starts(i64::MIN, i64::MAX);
                    let starts = starts.flat_map(|at| windows(at, size, slide));
                    starts.map(|start| (start.saturating_add(size), start)).collect()
                }
                Shape::Session { .. } => open.sessions.iter().map(|(start, end)| (*end, *start)).collect(),
            };
            let watermark = open.clock.watermark();
            for (end, start) in open_windows {
                if self.plan.closes(end) > watermark {
                    self.show((group, start, end), out);
                }
            }
        }
        self.tally.tell(out);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut changes = Vec::new();
        if !self.by_saved {
            self.by_saved = true;
            changes.push((vec![BY], Some(self.plan.by_text.clone().into_bytes())));
        }
        self.groups.save(&mut changes);
        self.samples.save(&mut changes);
        self.shown.save(&mut changes);
        Ok(if changes.is_empty() { Snapshot::Unchanged } else { Snapshot::Delta(changes) })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (key, value) = row?;
            let (&tag, key) = key.split_first().ok_or_else(damaged)?;
            match tag {
                BY if value != self.plan.by_text.as_bytes() => return Err(other_by()),
                BY => self.by_saved = true,
                GROUPS => self.groups.restore(key, &value)?,
                SAMPLES => {
                    let (_, sample) = self.samples.restore(key, &value)?;
                    if !self.groups.numbers().contains(&sample.group) {
                        return Err(damaged());
                    }
                }
                SHOWN => {
                    let ((group, ..), _) = self.shown.restore(key, &value)?;
                    if !self.groups.numbers().contains(&group) {
                        return Err(damaged());
                    }
                }
                _ => return Err(damaged()),
            }
        }
        self.rebuild();
        Ok(())
    }
}

/// What another `by` means for what is held.
pub(super) fn other_by() -> Error {
    Error::state(
        "`by` is another than when this state was saved; give the transform another name, under which it begins anew",
    )
}
