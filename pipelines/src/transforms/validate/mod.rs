//! `validate`: looks whether records can be true, and does what the file says about those that can't.
//!
//! | rule | what breaks it | what `"correct"` does |
//! |---|---|---|
//! | `missing` | a field of `require` is absent, or an empty text | |
//! | `order` | the record ends before it starts | exchanges `start` and `end` |
//! | `future` | it starts or ends more than `tolerance` after now | |
//! | `past` | it starts or ends before `not_before`, or before its subject was `born` | |
//! | `unit` | its unit is none of its type, or one nobody knows | |
//! | `percent` | a share of a whole, which is a fraction, stands above 1 and not above 100 | divides it by 100 |
//! | `range` | the value is beyond what is plausible of its type | moves it to the nearest plausible one |
//!
//! For each rule the file says what becomes of a record that breaks it: it is tagged (the default), rejected, corrected where
//! the table has a correction, or passed. A tag is the metadata [`INVALID`]: the names of the rules, in the order of the table, with
//! commas between them. A correction is told by the metadata [`CORRECTED`] in the same way, and what a value was before by
//! [`ORIGINAL`]: nothing changes silently (G4). What is told already, by another `validate`, stays told. A record that breaks
//! a rule which rejects is rejected as it came. A reason names the field, what was expected and what to do, never a value (G8).
//!
//! **What is plausible** of a type is in the catalogue ([`Plausible`](afferent_core::kind::Plausible), with a source for each
//! row), and `ranges` of the file takes its place, type by type. Bounds are in. They are converted into the unit that a value
//! has, not the value into theirs, so a corrected value is plausible for whoever looks again. A value that breaks `unit` or
//! `percent` is not held against the range: it is one fault.
//!
//! Samples in a correlation are looked at like records: what becomes of their values stands in the metadata of the sample, and the
//! rules they broke in that of the whole, too. Aggregates, workouts and the others have no value to look at, only times and
//! fields. Deletions pass untouched.
//!
//! **Now, and a replay.** The wall clock is none of a transform's: a replay sees another. What counts is the time that the engine
//! told it last ([`Transform::tick`]), which it does when an epoch opens and when it closes. That time is kept in the state,
//! and never goes back. So within an epoch the answer depends on the state and the records alone, wherever batches end; a
//! replay of an epoch, which is later than what it repeats, lets everything pass that passed before, and may find true what was in
//! the future then. As the epoch before was undone, each record has one outcome; only a store that runs ahead of its checkpoint
//! may keep the tag of the first. A clock that shows less than [`EARLIEST_NOW`] was never set, and judges nothing; nor does
//! anything before the first time that is told. A clock that was ahead for a moment makes the rule lenient until that time
//! has come: never the other way round.

mod config;
mod note;
mod range;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use afferent_core::{
    Batch, Delta, Emit, Kind, MetaValue, Problem, Record, Result, Snapshot, State, Timestamp, Transform,
    Unit, Value, record::Correlation,
};

pub use self::config::{Action, Config, Range};
use self::{
    config::{Plan, Required},
    note::{Rule, Rules},
    range::{Broken, Target},
};
use super::keyed::{Get, Put, Row, Table, damaged, delta, each_row};

/// The key of the metadata that names the rules which a record breaks.
pub const INVALID: &str = "afferent.invalid";

/// The key of the metadata that names the rules by which a record was corrected.
pub const CORRECTED: &str = "afferent.corrected";

/// The key of the metadata with the value as it was before its correction.
pub const ORIGINAL: &str = "afferent.original.value";

/// A clock that shows less was never set: a board without a battery begins in 1970. 2025-01-01T00:00:00Z.
pub const EARLIEST_NOW: Timestamp = Timestamp::from_micros_clamped(1_735_689_600_000_000);

/// The row of the time that was told last.
const NOW: u8 = 1;

/// Looks whether records can be true.
#[derive(Debug)]
pub struct Validate {
    plan: Plan,
    /// The time that was told last, under 0, if there was one.
    now: Table<u32, Now>,
    /// What is later is in the future, in µs.
    latest: i64,
}

#[derive(Clone, Copy, Debug)]
struct Now(i64);

impl Row for Now {
    fn put(&self, to: &mut Put<'_>) {
        to.i64(self.0);
    }
    fn get(from: &mut Get<'_>) -> Option<Now> {
        from.i64().map(Now)
    }
}

/// What was found of a record: why it is rejected, or what is to be written into it.
#[derive(Debug, Default)]
struct Found {
    invalid: Rules,
    corrected: Rules,
    /// What takes the place of its value.
    value: Option<Value>,
}

impl Found {
    /// Takes note that `rule` is broken, for `reason`; whether it is to be corrected.
    fn breaks(
        &mut self,
        rule: Rule,
        action: Action,
        reason: impl FnOnce() -> String,
    ) -> Result<bool, String> {
        match action {
            Action::Reject => return Err(reason()),
            Action::Tag => self.invalid.add(rule),
            Action::Correct => self.corrected.add(rule),
            Action::Pass => {}
        }
        Ok(action == Action::Correct)
    }

    /// Writes it into `record`.
    fn write(self, record: &mut Record) {
        if self.corrected.has(Rule::Order) {
            std::mem::swap(&mut record.start, &mut record.end);
        }
        if let Some(value) = self.value {
            let before = std::mem::replace(&mut record.value, value);
            let is_told = record.metadata.as_ref().is_some_and(|metadata| metadata.get(ORIGINAL).is_some());
            if let (Value::Quantity(before, unit), false) = (before, is_told) {
                record.metadata_mut().push(ORIGINAL, MetaValue::Quantity(before, unit));
            }
        }
        self.invalid.write(INVALID, record);
        self.corrected.write(CORRECTED, record);
    }
}

impl Validate {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Validate, Vec<Problem>> {
        Ok(Validate { plan: Plan::new(config)?, now: Table::new(NOW), latest: i64::MAX })
    }

    /// Looks at a record and does what the file says; why it is rejected, and then it is as it came.
    fn judge(&mut self, record: &mut Record) -> Result<(), String> {
        let mut found = Found::default();
        self.presence(record, &mut found)?;
        self.times(record, &mut found)?;
        match &record.value {
            Value::Quantity(value, unit) => {
                if let Some(kind) = record.kind {
                    let corrected = self.value(kind, *value, *unit, &mut found)?;
                    found.value = corrected.map(|value| Value::Quantity(value, *unit));
                }
            }
            Value::Correlation(correlation) => self.samples(correlation, &mut found)?,
            _ => {}
        }
        found.write(record);
        Ok(())
    }

    fn presence(&self, record: &Record, found: &mut Found) -> Result<(), String> {
        let action = self.plan.action(Rule::Missing);
        for Required { path, is_there } in &self.plan.required {
            if !is_there.of(record) {
                found.breaks(Rule::Missing, action, || {
                    format!("`{path}`: expected one, found none; have the source tell it, or write it with `set` before this transform")
                })?;
            }
        }
        Ok(())
    }

    fn times(&self, record: &Record, found: &mut Found) -> Result<(), String> {
        let plan = &self.plan;
        let (start, end) = (record.start.as_micros(), record.end.as_micros());
        if end < start {
            found.breaks(Rule::Order, plan.action(Rule::Order), || {
                "`end`: expected a time that is not before `start`; exchange them with `order = \"correct\"`, or mend the source".to_owned()
            })?;
        }
        let (first, last) = (start.min(end), start.max(end));
        if last > self.latest {
            found.breaks(Rule::Future, plan.action(Rule::Future), || {
                let field = if last == start { "start" } else { "end" };
                format!("`{field}`: expected a time that is not in the future by more than `tolerance`; set the clock of the device, or raise `tolerance`")
            })?;
        }
        let born = record.subject.as_ref().and_then(|subject| plan.born.get(subject));
        if first < plan.not_before || born.is_some_and(|born| first < *born) {
            found.breaks(Rule::Past, plan.action(Rule::Past), || {
                let field = if first == start { "start" } else { "end" };
                format!("`{field}`: expected a time from `not_before`, and the day on which the subject was `born`, on; set the clock of the device, or mend these keys")
            })?;
        }
        Ok(())
    }

    /// What takes the place of a value, if anything does.
    #[inline]
    fn value(
        &mut self,
        kind: Kind,
        value: f64,
        unit: Unit,
        found: &mut Found,
    ) -> Result<Option<f64>, String> {
        let plan = &mut self.plan;
        let (actions, Some(target)) = (plan.actions, plan.target(kind)) else { return Ok(None) };
        let of_percent = actions[Rule::Percent as usize];
        let mut right = None;
        // A percentage that was made a fraction is looked at again.
        while let Some((broken, correction)) = target.look(right.unwrap_or(value), unit, of_percent) {
            let rule = broken.rule();
            let of_type = target.action.filter(|_| rule == Rule::Range);
            let action = of_type.unwrap_or(actions[rule as usize]);
            if found.breaks(rule, action, || reason(kind, unit, broken, target))? {
                right = correction;
            }
            if rule != Rule::Percent || action != Action::Correct {
                break;
            }
        }
        Ok(right)
    }

    fn samples(&mut self, correlation: &Correlation, found: &mut Found) -> Result<(), String> {
        let mut samples: Option<Vec<Record>> = None;
        for (index, sample) in correlation.samples.iter().enumerate() {
            let (Value::Quantity(value, unit), Some(kind)) = (&sample.value, sample.kind) else { continue };
            let mut of_sample = Found::default();
            let corrected = self.value(kind, *value, *unit, &mut of_sample)?;
            of_sample.value = corrected.map(|value| Value::Quantity(value, *unit));
            if of_sample.invalid.is_empty() && of_sample.corrected.is_empty() {
                continue;
            }
            found.invalid.add_all(of_sample.invalid);
            found.corrected.add_all(of_sample.corrected);
            let samples = samples.get_or_insert_with(|| correlation.samples.clone());
            of_sample.write(&mut samples[index]);
        }
        found.value = samples.map(|samples| Value::Correlation(Arc::new(Correlation { samples })));
        Ok(())
    }
}

/// Why a value is rejected.
fn reason(kind: Kind, unit: Unit, broken: Broken, target: &Target) -> String {
    let kind = kind.short();
    match broken {
        Broken::Unit => {
            // A text that is no unit may be anything, a health value too.
            let found = if unit.dimension().is_some() { unit.as_str() } else { "a unit nobody knows" };
            format!(
                "`unit` of {kind}: expected one that converts into {}, found {found}; mend the source",
                target.unit
            )
        }
        Broken::Percent => format!(
            "`value` of {kind}: expected a fraction from 0 to 1, found a percentage; divide it with `percent = \"correct\"`"
        ),
        Broken::Low | Broken::High => {
            let found = if broken == Broken::Low { "a lower one" } else { "a higher one" };
            format!(
                "`value` of {kind}: expected one {}, found {found}; mend the source, or give the type another range in `ranges`",
                target.expected()
            )
        }
    }
}

impl Transform for Validate {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        input.retain_mut(|record| {
            if record.is_deletion() {
                return true;
            }
            match self.judge(record) {
                Ok(()) => true,
                Err(reason) => {
                    out.reject_record(record, reason);
                    false
                }
            }
        });
        out.take(input);
        Ok(())
    }

    fn tick(&mut self, now: Timestamp, _: &mut Emit<Record>) -> Result<()> {
        let is_later = self.now.get(&0).is_none_or(|known| known.0 < now.as_micros());
        if now >= EARLIEST_NOW && is_later && self.plan.action(Rule::Future) != Action::Pass {
            self.now.insert(0, Now(now.as_micros()));
            self.latest = now.as_micros().saturating_add(self.plan.tolerance);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut changes = Delta::new();
        self.now.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| match tag {
            NOW => {
                let (_, now) = self.now.restore(key, value)?;
                self.latest = now.0.saturating_add(self.plan.tolerance);
                Ok(())
            }
            _ => Err(damaged()),
        })
    }
}
