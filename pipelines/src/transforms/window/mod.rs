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

mod config;
mod function;
mod holding;
mod results;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use afferent_core::{
    Batch, Delta, Emit, Problem, Record, RecordId, Result, Snapshot, State, Transform, TransformCx,
};

pub use self::config::{Config, Late, MAX_OVERLAP, MAX_REACH};
use self::config::{Plan, Shape};
use super::keyed::{
    Basis, Clock, Get, Groups, Identity, MAX_GROUPS, Put, Row, Sample, Shown, Slices, Sources, Table, Tally,
    damaged, delta, each_row,
};

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
    fn put(&self, to: &mut Put<'_>) {
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
        self.samples.foresee(input.iter().map(|record| record.id));
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
        let mut changes = Delta::new();
        self.plan.by_text.save(&mut changes);
        self.groups.save(&mut changes);
        self.samples.save(&mut changes);
        self.shown.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            match tag {
                Basis::TAG => self.plan.by_text.restore(value, "`by`")?,
                GROUPS => self.groups.restore(key, value)?,
                SAMPLES => {
                    let (_, sample) = self.samples.restore(key, value)?;
                    if !self.groups.numbers().contains(&sample.group) {
                        return Err(damaged());
                    }
                }
                SHOWN => {
                    let ((group, ..), _) = self.shown.restore(key, value)?;
                    if !self.groups.numbers().contains(&group) {
                        return Err(damaged());
                    }
                }
                _ => return Err(damaged()),
            }
            Ok(())
        })?;
        self.rebuild();
        Ok(())
    }
}
