//! `rate`: from the readings of a counter, how fast it runs.
//!
//! Each reading gives, together with the one before it in event time, a result: the difference of the two divided by the time
//! between them, over that time. It has the type that `to` names, and the unit of the counter by that of `per`. There is no result
//! where the counter went back (it was reset), where both are of one instant, or where they are further apart than `max_gap`.
//!
//! A result's id is made of pipeline, transform and the id of its reading, so a late reading corrects the result of the one after
//! it, and gives one of its own. A correction of a reading corrects both; a deletion deletes its result and corrects the next.
//!
//! **State** is the readings, at most `max_samples`; where there would be more, the oldest is forgotten, and what is older than that
//! is a dead letter from then on. It belongs to keys of `by` and results of `to` and `per`: with others it is refused.
//!
//! Other types pass. Readings are counted as superseded, results as derived.

use std::collections::BTreeSet;

use afferent_core::{
    Batch, Delta, Emit, Kind, Problem, Record, RecordId, Result, Snapshot, State, Timestamp, Transform,
    TransformCx, Unit, Value,
    config::{Configure, Span},
};
use serde::Deserialize;

use super::{
    at,
    by::{self, fields},
    keyed::{
        Basis, Get, Groups, Identity, MAX_GROUPS, MAX_SAMPLES, Put, Row, Sample, Shown, Table, Tally,
        check_samples, damaged, delta, digest, each_row,
    },
    window::MAX_REACH,
};
use crate::cel::{Field, KindSet, unknown_type};

/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of readings.
const SAMPLES: u8 = 2;
/// Rows of what was given out, by reading.
const SHOWN: u8 = 3;

/// Configuration of [`Rate`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The types whose values are readings of a counter.
    pub types: Vec<String>,
    /// The type of the results: a reverse-domain name, or one that is known.
    pub to: String,
    /// By which time: `"1s"`, `"1min"` or `"1h"`.
    #[serde(default = "second")]
    pub per: Span,
    /// Readings that are further apart give no result.
    #[serde(default = "day")]
    pub max_gap: Span,
    /// For each different value of these fields a counter of its own; `source` stands for `source.name`, `source.bundle` and
    /// `source.product`. Type and unit always tell counters apart.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// How many readings are held.
    #[serde(default = "default_samples")]
    pub max_samples: usize,
}

fn second() -> Span {
    Span(std::time::Duration::from_secs(1))
}

fn day() -> Span {
    Span(std::time::Duration::from_secs(86_400))
}

fn default_by() -> Vec<String> {
    vec!["subject".into(), "source".into()]
}

fn default_samples() -> usize {
    MAX_SAMPLES
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Rate::new(self).err().unwrap_or_default()
    }
}

/// From the readings of a counter, how fast it runs.
#[derive(Debug)]
pub struct Rate {
    kinds: KindSet,
    /// What results and keys depend on.
    what: Basis,
    to: Kind,
    /// µs, and the unit of that time.
    per: (i64, &'static str),
    max_gap: i64,
    by: Vec<Field>,
    max_samples: usize,
    identity: Identity,
    groups: Groups<Counter>,
    samples: Table<RecordId, Sample>,
    shown: Table<RecordId, Shown>,
    /// All readings, in the order of event time.
    oldest: BTreeSet<(i64, RecordId)>,
    tally: Tally,
}

/// The readings of a group.
#[derive(Clone, Debug)]
struct Counter {
    order: BTreeSet<(i64, RecordId)>,
    /// What is older was forgotten, in µs.
    open_from: i64,
}

impl Default for Counter {
    fn default() -> Counter {
        Counter { order: BTreeSet::new(), open_from: i64::MIN }
    }
}

impl Row for Counter {
    fn put(&self, to: &mut Put<'_>) {
        to.i64(self.open_from);
    }
    fn get(from: &mut Get<'_>) -> Option<Counter> {
        Some(Counter { open_from: from.i64()?, ..Counter::default() })
    }
}

impl Rate {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Rate, Vec<Problem>> {
        let (mut problems, mut kinds) = (Vec::new(), Vec::new());
        for (index, name) in config.types.iter().enumerate() {
            let index = index.to_string();
            match Kind::parse(name) {
                Ok(kind) if kind.class().is_some() && !kind.is_quantity() => {
                    let message = format!("`{}` is not a quantity: it counts nothing", kind.short());
                    problems.push(at(["types", &index], Problem::new("", message)));
                }
                Ok(kind) => kinds.push(kind),
                Err(unknown) => problems.push(at(["types", &index], unknown_type(&unknown))),
            }
        }
        if config.types.is_empty() {
            problems.push(Problem::new("types", "no type is named").help("name the types that are counters"));
        }
        let to = Kind::parse(&config.to).map_err(|unknown| problems.push(at(["to"], unknown_type(&unknown))));
        let per = match config.per.0.as_secs_f64() {
            1.0 => Some((1_000_000, "s")),
            60.0 => Some((60_000_000, "min")),
            3600.0 => Some((3_600_000_000, "hr")),
            _ => {
                let message = format!("expected \"1s\", \"1min\" or \"1h\", found \"{}\"", config.per);
                problems.push(Problem::new("per", message));
                None
            }
        };
        if config.max_gap.0.is_zero() || config.max_gap > MAX_REACH {
            problems.push(Problem::new("max_gap", format!("expected a span above 0, at most {MAX_REACH}")));
        }
        let by = fields(&config.by, &mut problems);
        problems.extend(check_samples(config.max_samples));
        let (Ok(to), Some(per), true) = (to, per, problems.is_empty()) else { return Err(problems) };
        Ok(Rate {
            kinds: KindSet::new(kinds),
            what: Basis::new(format!("{} {} {}", config.by.join(","), to.name(), config.per)),
            to,
            per,
            max_gap: i64::try_from(config.max_gap.0.as_micros()).unwrap_or(i64::MAX),
            groups: Groups::new(GROUPS, by.len()),
            by,
            max_samples: config.max_samples,
            identity: Identity::default(),
            samples: Table::new(SAMPLES),
            shown: Table::new(SHOWN),
            oldest: BTreeSet::new(),
            tally: Tally::default(),
        })
    }

    fn add(&mut self, record: &Record, out: &mut Emit<Record>) {
        let by = &self.by;
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
        if sample.start < self.groups.get(group).state.open_from {
            out.reject_record(record, "it came too late: the readings around it are forgotten");
            return;
        }
        let mut touched = known.map(|known| self.take(&known)).unwrap_or_default();
        self.samples.insert(sample.id, sample);
        self.oldest.insert((sample.start, sample.id));
        let order = &mut self.groups.get_mut(group).state.order;
        order.insert((sample.start, sample.id));
        touched.push(sample.id);
        touched.extend(next(order, (sample.start, sample.id)));
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().for_each(|id| self.show(id, out));
        self.tally.superseded(record.kind);
        while self.samples.len() > self.max_samples
            && let Some((start, id)) = self.oldest.pop_first()
        {
            if let Some(sample) = self.samples.remove(&id) {
                let counter = &mut self.groups.change(sample.group).state;
                counter.order.remove(&(start, id));
                counter.open_from = counter.open_from.max(start);
            }
            self.shown.remove(&id);
        }
    }

    fn delete(&mut self, id: RecordId, out: &mut Emit<Record>) -> bool {
        let Some(sample) = self.samples.get(&id).copied() else { return false };
        let touched = self.take(&sample);
        self.withdraw(&sample, out);
        self.shown.remove(&id);
        touched.into_iter().for_each(|id| self.show(id, out));
        true
    }

    /// Takes a reading out; the one after it is touched.
    fn take(&mut self, sample: &Sample) -> Vec<RecordId> {
        let place = (sample.start, sample.id);
        self.samples.remove(&sample.id);
        self.oldest.remove(&place);
        let order = &mut self.groups.get_mut(sample.group).state.order;
        order.remove(&place);
        next(order, place).into_iter().collect()
    }

    /// Gives out the result of a reading, if it is another than before.
    fn show(&mut self, id: RecordId, out: &mut Emit<Record>) {
        let Some(sample) = self.samples.get(&id).copied() else { return };
        let group = self.groups.get(sample.group);
        let before = group.state.order.range(..(sample.start, id)).next_back();
        let before = before.and_then(|(_, before)| self.samples.get(before)).copied();
        let Some((start, value)) = before.and_then(|before| self.rate(&before, &sample)) else {
            self.withdraw(&sample, out);
            return;
        };
        let unit = group.key.unit.map_or("count", Unit::as_str);
        // A product divides as a whole.
        let unit = if unit.contains('/') {
            format!("({unit})/{}", self.per.1)
        } else {
            format!("{unit}/{}", self.per.1)
        };
        let Ok(unit) = Unit::parse(&unit) else { return };
        let value = Value::Quantity(value, unit);
        let mut shown = self.shown.get(&id).copied().unwrap_or_default();
        let Some(revision) = shown.show(digest(start, sample.start, &value)) else { return };
        let time = Timestamp::from_micros_clamped;
        let new_id = self.identity.of_record(id, &[], shown.life);
        let mut record = Record::added(new_id, self.to, time(start), time(sample.start), value);
        record.revision = revision;
        by::write(&self.by, &group.key.texts, &mut record);
        self.shown.insert(id, shown);
        self.tally.derived(record.kind);
        out.push(record);
    }

    /// From when, and how fast.
    fn rate(&self, before: &Sample, now: &Sample) -> Option<(i64, f64)> {
        let (time, difference) = (now.start - before.start, now.value - before.value);
        let rate = difference * self.per.0 as f64 / time as f64;
        (time > 0 && time <= self.max_gap && difference >= 0.0 && rate.is_finite())
            .then_some((before.start, rate))
    }

    fn withdraw(&mut self, sample: &Sample, out: &mut Emit<Record>) {
        let Some((life, revision)) = self.shown.change(&sample.id).and_then(Shown::withdraw) else { return };
        let mut record = Record::deleted(self.identity.of_record(sample.id, &[], life), Some(self.to));
        record.revision = revision;
        by::write(&self.by, &self.groups.get(sample.group).key.texts, &mut record);
        self.tally.derived(record.kind);
        out.push(record);
    }
}

/// What comes after `place`.
fn next(order: &BTreeSet<(i64, RecordId)>, place: (i64, RecordId)) -> Option<RecordId> {
    use std::ops::Bound::{Excluded, Unbounded};
    order.range((Excluded(place), Unbounded)).next().map(|(_, id)| *id)
}

impl Transform for Rate {
    type In = Record;
    type Out = Record;

    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        self.identity = Identity::new(cx);
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            let is_other = record.kind.is_some_and(|kind| !self.kinds.contains(kind));
            if is_other || (!record.is_deletion() && record.value.unit().is_none()) {
                out.push(record);
            } else if !record.is_deletion() {
                self.add(&record, out);
            } else if self.delete(record.id, out) {
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

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut changes = Delta::new();
        self.what.save(&mut changes);
        self.groups.save(&mut changes);
        self.samples.save(&mut changes);
        self.shown.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            match tag {
                Basis::TAG => self.what.restore(value, "`by`, `to` or `per`")?,
                GROUPS => self.groups.restore(key, value)?,
                SAMPLES => {
                    let (id, &mut sample) = self.samples.restore(key, value)?;
                    if !self.groups.numbers().contains(&sample.group) {
                        return Err(damaged());
                    }
                    self.groups.get_mut(sample.group).state.order.insert((sample.start, id));
                    self.oldest.insert((sample.start, id));
                }
                SHOWN => self.shown.restore(key, value).map(drop)?,
                _ => return Err(damaged()),
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{
        random::Random,
        testing::{results_contract, transform_contract},
    };

    use super::*;
    use crate::transforms::testing::{deletion, is_refused, key_paths, quantity};

    fn config(more: &str) -> Config {
        toml::from_str(&format!("types = [\"StepCount\"]\nto = \"com.example.rate\"\n{more}"))
            .expect("a configuration")
    }

    fn rate(more: &str) -> Rate {
        Rate::new(&config(more)).expect("a configuration")
    }

    fn short(record: &Record) -> (bool, u32, i64, i64, Option<f64>) {
        let second = |time: Timestamp| time.as_micros() / 1_000_000;
        let (start, end) = (second(record.start), second(record.end));
        (record.is_deletion(), record.revision, start, end, record.value.as_f64())
    }

    /// Scenario: readings of a counter, one late, one corrected, one deleted, and a reset. Guarantees: G2; each reading gives what it
    /// and the one before it say, and the results around a change are corrected.
    #[test]
    fn readings_give_rates() {
        let input = [
            quantity(1, "StepCount", 100.0, 0),
            quantity(2, "StepCount", 160.0, 60),
            quantity(3, "StepCount", 10.0, 120),
            quantity(4, "StepCount", 40.0, 180),
            quantity(5, "StepCount", 150.0, 30),
            Record { revision: 1, ..quantity(4, "StepCount", 70.0, 180) },
            deletion(5, None),
            quantity(6, "HeartRate", 60.0, 0),
        ];
        let output = transform_contract(|| rate("per = \"1min\""), &input, 0..30);
        let expected = [
            (false, 0, 0, 60, Some(60.0)),
            (false, 0, 120, 180, Some(30.0)),
            (false, 1, 30, 60, Some(20.0)),
            (false, 0, 0, 30, Some(100.0)),
            (false, 1, 120, 180, Some(60.0)),
            (true, 0, 0, 0, None),
            (false, 2, 0, 60, Some(60.0)),
            (false, 0, 0, 0, Some(60.0)),
        ];
        let mut found: Vec<_> = output.iter().map(short).collect();
        // Of the two results of one change the order is that of ids.
        found[2..4].sort_by_key(|result| std::cmp::Reverse(result.1));
        assert_eq!(found, expected);
        assert_eq!(output[0].value.unit().map(Unit::as_str), Some("count/min"));
    }

    /// Scenario: random readings in any order, with deletions, deaths and many batches; and more than may be held. Guarantees: G1, G2,
    /// G7; what is left gives what it gives alone.
    #[test]
    fn any_order_gives_the_same() {
        let mut random = Random::from_seed(6);
        let sorted: Vec<Record> =
            (0..100).map(|id| quantity(id, "StepCount", (id * id % 97) as f64, 7 * id as i64)).collect();
        let half: Vec<Record> =
            sorted.iter().filter(|record| record.id.as_u128() % 2 == 0).cloned().collect();
        let shorts = |input: &[Record]| {
            let output = results_contract(|| rate(""), input, 0..20);
            let mut all: Vec<_> =
                output.values().map(short).map(|(_, _, start, end, value)| (start, end, value)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            all
        };
        let mut input = sorted.clone();
        for index in (1..input.len()).rev() {
            input.swap(index, random.below(index as u64 + 1) as usize);
        }
        assert_eq!(shorts(&input), shorts(&sorted));
        input.extend((0..100).filter(|id| id % 2 == 1).map(|id| deletion(id, Some("StepCount"))));
        assert_eq!(shorts(&input), shorts(&half));
        let mut stage = rate("max_samples = 10");
        stage.apply(&mut Batch::from(sorted.clone()), &mut Emit::new()).unwrap();
        assert!(stage.samples.len() <= 10 && stage.shown.len() <= 10);
        transform_contract(|| rate("max_samples = 10"), &input, 0..20);
    }

    /// Scenario: a restart with another `by`, `to` or `per`. Guarantees: G2; what is held is refused and not mixed up, and the message says
    /// what to do.
    #[test]
    fn another_key_is_refused() {
        let input: Vec<Record> = (0..20).map(|id| quantity(id, "StepCount", id as f64, id as i64)).collect();
        is_refused(rate(""), rate("max_gap = \"1h\""), &input, true);
        is_refused(rate(""), rate("by = [\"subject\"]"), &input, false);
        is_refused(rate(""), rate("per = \"1min\""), &input, false);
        let to = Config { to: "com.example.other".into(), ..config("") };
        is_refused(rate(""), Rate::new(&to).unwrap(), &input, false);
    }

    /// Scenario: what makes no sense. Guarantees: each is a problem at its place, with the reason.
    #[test]
    fn problems_are_found_together() {
        let text =
            "types = [\"SleepAnalysis\", \"StepCuont\"]\nto = \"rate\"\nper = \"2s\"\nmax_gap = \"0s\"";
        let config: Config = toml::from_str(text).expect("a configuration");
        assert_eq!(key_paths(&config.check()), ["types.0", "types.1", "to", "per", "max_gap"]);
    }
}
