//! `split`: takes apart what is made of parts.
//!
//! | of | comes out |
//! |---|---|
//! | a correlation | its samples, in its place; each under its own id, because they also come by themselves and count once |
//! | a workout | itself, and after it an aggregate for each of its statistics, and a record for each of its events |
//! | anything else | itself |
//!
//! A part has the subject, the zone and the source of the whole where it has none of its own, and the whole's revision if that is
//! higher. A statistic has the type that it is of, the times of the workout, and the numbers `sum`, `avg`, `min` and `max`
//! that it has. An event has the type `afferent.workout.event`, the number of HealthKit's event type as its value (0 if it has
//! none) and its name in the metadata under `event`. Ids of these are made of pipeline, transform, the workout's id and which
//! part it is. A route is a record of its own already, and activities stay in their workout.
//!
//! **Deletions and corrections.** Of the last `capacity` wholes the parts are known: a deletion of the whole deletes them too, and a
//! correction deletes those that it no longer has. The deletion of a whole that is forgotten passes.
//!
//! Correlations are counted as superseded, parts as derived.

use std::collections::{BTreeMap, BTreeSet};

use afferent_core::{
    Batch, Delta, Emit, Kind, MetaValue, Name, Problem, Record, RecordId, Result, Snapshot, State, Transform,
    TransformCx, Value,
    config::Configure,
    kind::category,
    record::{Aggregate, Correlation, Statistic, Workout},
};
use serde::Deserialize;

use super::{
    dedupe::{DEFAULT_CAPACITY, check_capacity},
    keyed::{Get, Identity, Put, Row, Table, Tally, damaged, delta, each_row},
};

/// Rows of wholes.
const WHOLES: u8 = 1;

/// The type of the events of workouts.
pub const EVENT: &str = "afferent.workout.event";

/// Configuration of [`Split`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many wholes are remembered, so that a deletion finds their parts.
    #[serde(default = "default_capacity")]
    pub capacity: usize,
}

fn default_capacity() -> usize {
    DEFAULT_CAPACITY
}

impl Default for Config {
    fn default() -> Config {
        Config { capacity: DEFAULT_CAPACITY }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        check_capacity(self.capacity)
    }
}

/// Takes apart what is made of parts.
#[derive(Debug)]
pub struct Split {
    capacity: usize,
    event: Kind,
    identity: Identity,
    wholes: Table<RecordId, Whole>,
    /// By number, the wholes: the first is forgotten first.
    order: BTreeMap<u64, RecordId>,
    tally: Tally,
}

/// What is known of a whole.
#[derive(Clone, Debug)]
struct Whole {
    number: u64,
    revision: u32,
    /// Whether it did not come out itself.
    is_replaced: bool,
    subject: Option<Name>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    id: RecordId,
    kind: Option<Kind>,
    revision: u32,
}

impl Row for Whole {
    fn put(&self, to: &mut Put<'_>) {
        to.u64(self.number);
        to.u32(self.revision);
        to.u8(u8::from(self.is_replaced));
        to.text(self.subject.as_deref());
        to.u32(self.parts.len() as u32);
        for part in &self.parts {
            to.id(part.id);
            to.text(part.kind.map(Kind::name));
            to.u32(part.revision);
        }
    }

    fn get(from: &mut Get<'_>) -> Option<Whole> {
        let (number, revision, is_replaced) = (from.u64()?, from.u32()?, from.u8()? != 0);
        let (subject, count) = (from.name()?, from.u32()?);
        let mut part = || Some(Part { id: from.id()?, kind: from.kind()?, revision: from.u32()? });
        let parts = (0..count).map(|_| part()).collect::<Option<_>>()?;
        Some(Whole { number, revision, is_replaced, subject, parts })
    }
}

impl Split {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Split, Vec<Problem>> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        let event = Kind::parse(EVENT).map_err(|unknown| vec![Problem::new("", unknown.to_string())])?;
        Ok(Split {
            capacity: config.capacity,
            event,
            identity: Identity::default(),
            wholes: Table::new(WHOLES),
            order: BTreeMap::new(),
            tally: Tally::default(),
        })
    }

    fn add(&mut self, record: Record, out: &mut Emit<Record>) {
        let (parts, is_replaced) = match &record.value {
            Value::Correlation(correlation) => (samples(&record, correlation), true),
            Value::Workout(workout) => (self.parts_of(&record, workout), false),
            _ => (Vec::new(), false),
        };
        let known = self.wholes.get(&record.id);
        if !is_replaced && parts.is_empty() && known.is_none() {
            out.push(record);
            return;
        }
        let known = known.cloned();
        if is_replaced {
            self.tally.superseded(record.kind);
            if known.as_ref().is_some_and(|known| known.revision >= record.revision) {
                return;
            }
        }
        let (id, revision, subject) = (record.id, record.revision, record.subject.clone());
        if !is_replaced {
            out.push(record);
            if known.as_ref().is_some_and(|known| known.revision >= revision) {
                return;
            }
        }
        let now: BTreeSet<RecordId> = parts.iter().map(|part| part.id).collect();
        let before = known.as_ref().map_or(&[][..], |known| &known.parts);
        for part in before.iter().filter(|part| !now.contains(&part.id)) {
            self.delete_part(part, &subject, out);
        }
        let whole = Whole {
            number: match &known {
                Some(known) => known.number,
                None => self.order.last_key_value().map_or(0, |(number, _)| number + 1),
            },
            revision,
            is_replaced,
            subject,
            parts: parts
                .iter()
                .map(|part| Part { id: part.id, kind: part.kind, revision: part.revision })
                .collect(),
        };
        self.order.insert(whole.number, id);
        self.wholes.insert(id, whole);
        for part in parts {
            self.tally.derived(part.kind);
            out.push(part);
        }
        if self.order.len() > self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.wholes.remove(&oldest);
        }
    }

    fn delete(&mut self, record: Record, out: &mut Emit<Record>) {
        let Some(whole) = self.wholes.remove(&record.id) else {
            out.push(record);
            return;
        };
        self.order.remove(&whole.number);
        for part in &whole.parts {
            self.delete_part(part, &whole.subject, out);
        }
        if whole.is_replaced {
            self.tally.superseded(record.kind);
        } else {
            out.push(record);
        }
    }

    fn delete_part(&mut self, part: &Part, subject: &Option<Name>, out: &mut Emit<Record>) {
        let mut deletion = Record::deleted(part.id, part.kind);
        (deletion.revision, deletion.subject) = (part.revision, subject.clone());
        self.tally.derived(part.kind);
        out.push(deletion);
    }

    /// The statistics and events of a workout.
    fn parts_of(&self, record: &Record, workout: &Workout) -> Vec<Record> {
        let part = |what: &[&[u8]], kind, value| {
            let id = self.identity.of_record(record.id, what, 0);
            Record { id, value, kind: Some(kind), metadata: None, ..record.clone() }
        };
        let statistics = workout.statistics.iter().map(|statistic| {
            let what =
                [&b"statistic"[..], statistic.kind.name().as_bytes(), statistic.unit.as_str().as_bytes()];
            part(&what, statistic.kind, aggregate(statistic))
        });
        let events = workout.events.iter().enumerate().map(|(index, event)| {
            let index = (index as u64).to_be_bytes();
            let number = category::value_of_name("HKWorkoutEventType", &event.event).unwrap_or(0);
            let mut part = part(&[b"event", &index], self.event, Value::Category(number));
            (part.start, part.end) = (event.start, event.end);
            part.metadata_mut().push("event", MetaValue::String(event.event.clone()));
            part
        });
        let mut seen = BTreeSet::new();
        // Two statistics of one type and unit are one that was given twice.
        statistics.chain(events).filter(|part| seen.insert(part.id)).collect()
    }
}

fn aggregate(statistic: &Statistic) -> Value {
    let Statistic { sum, average, minimum, maximum, .. } = statistic;
    let numbers = [("sum", sum), ("avg", average), ("min", minimum), ("max", maximum)];
    let results = numbers.into_iter().filter_map(|(name, number)| Some((Name::from(name), (*number)?)));
    Value::Aggregate(Aggregate { unit: Some(statistic.unit), results: results.collect() }.into())
}

/// The samples of a correlation.
fn samples(record: &Record, correlation: &Correlation) -> Vec<Record> {
    let sample = |sample: &Record| {
        let mut sample = sample.clone();
        sample.revision = sample.revision.max(record.revision);
        sample.subject = sample.subject.or_else(|| record.subject.clone());
        sample.zone = sample.zone.or_else(|| record.zone.clone());
        sample.origin = sample.origin.or_else(|| record.origin.clone());
        sample
    };
    correlation.samples.iter().map(sample).collect()
}

impl Transform for Split {
    type In = Record;
    type Out = Record;

    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        self.identity = Identity::new(cx);
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            if record.is_deletion() { self.delete(record, out) } else { self.add(record, out) }
        }
        self.tally.tell(out);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut changes = Delta::new();
        self.wholes.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            if tag != WHOLES {
                return Err(damaged());
            }
            let (id, whole) = self.wholes.restore(key, value)?;
            match self.order.insert(whole.number, id) {
                Some(_) => Err(damaged()),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{
        Timestamp, Unit,
        record::WorkoutEvent,
        testing::{results_contract, transform_contract},
    };

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity};

    fn split() -> Split {
        Split::new(&Config::default()).expect("a configuration")
    }

    fn pressure(id: u128, revision: u32, systolic: f64, both: bool) -> Record {
        let mut record = quantity(id, "StepCount", 0.0, 60);
        record.kind = Kind::parse("HKCorrelationTypeIdentifierBloodPressure").ok();
        (record.subject, record.revision) = (Some("ada".into()), revision);
        let mut samples = vec![quantity(id + 1, "BloodPressureSystolic", systolic, 60)];
        samples.extend(both.then(|| quantity(id + 2, "BloodPressureDiastolic", 80.0, 60)));
        record.value = Value::Correlation(Correlation { samples }.into());
        record
    }

    fn run(id: u128) -> Record {
        let mut record = quantity(id, "StepCount", 0.0, 600);
        record.kind = Kind::parse("HKWorkoutTypeIdentifier").ok();
        let time = Timestamp::from_micros_clamped(605_000_000);
        let workout = Workout {
            activity: 37,
            events: vec![WorkoutEvent { event: "pause".into(), start: time, end: time }],
            statistics: vec![Statistic {
                kind: Kind::parse("HeartRate").unwrap(),
                unit: Unit::parse("count/min").unwrap(),
                sum: None,
                average: Some(150.0),
                minimum: None,
                maximum: Some(180.0),
            }],
            ..Workout::default()
        };
        record.value = Value::Workout(workout.into());
        record
    }

    /// Scenario: a blood pressure, its correction to one sample, its deletion; a workout and its deletion; and others. Guarantees:
    /// G1, G2, G3; parts come in place of a correlation and after a workout, and go as the whole goes.
    #[test]
    fn parts_come_and_go_with_the_whole() {
        let others = [quantity(50, "HeartRate", 60.0, 0), deletion(51, None)];
        let input = [
            pressure(10, 0, 120.0, true),
            run(20),
            others[0].clone(),
            pressure(10, 0, 120.0, true),
            pressure(10, 1, 121.0, false),
            others[1].clone(),
            deletion(10, None),
            deletion(20, Some("HKWorkoutTypeIdentifier")),
        ];
        let output = transform_contract(split, &input, 0..30);
        let short =
            |record: &Record| (record.is_deletion(), record.kind.map_or("", Kind::short), record.revision);
        assert_eq!(
            output.iter().map(short).collect::<Vec<_>>(),
            [
                (false, "BloodPressureSystolic", 0),
                (false, "BloodPressureDiastolic", 0),
                (false, Kind::parse("HKWorkoutTypeIdentifier").unwrap().short(), 0),
                (false, "HeartRate", 0),
                (false, EVENT, 0),
                (false, "HeartRate", 0),
                (true, "BloodPressureDiastolic", 0),
                (false, "BloodPressureSystolic", 1),
                (true, "", 0),
                (true, "BloodPressureSystolic", 1),
                (true, "HeartRate", 0),
                (true, EVENT, 0),
                (true, Kind::parse("HKWorkoutTypeIdentifier").unwrap().short(), 0),
            ]
        );
        assert_eq!((output[0].id.as_u128(), output[0].subject.as_deref()), (11, Some("ada")));
        assert_eq!(
            output[4].metadata.as_ref().and_then(|all| all.get("event")),
            Some(&MetaValue::String("pause".into()))
        );
        // What is left is what the others give alone.
        let alone = results_contract(split, &others[..1], 0..3);
        assert_eq!(results_contract(split, &input, 0..30), alone);
    }

    /// Scenario: more wholes than are remembered. Guarantees: G7; the oldest are forgotten, and their deletions pass.
    #[test]
    fn the_oldest_are_forgotten() {
        let make = || Split::new(&Config { capacity: 2 }).unwrap();
        let input = [run(1), run(2), run(3), deletion(1, None), deletion(3, None)];
        let output = transform_contract(make, &input, 0..20);
        assert_eq!(output.len(), 3 * 3 + 1 + 3);
        assert_eq!(key_paths(&Config { capacity: 0 }.check()), ["capacity"]);
    }
}
