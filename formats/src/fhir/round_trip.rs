//! Observations read back: what they say is what the record says, for every type of the catalogue and every kind of value that has
//! a form.

use std::{cell::Cell, sync::Arc};

use afferent_core::{
    Kind, Record, RecordId, Timestamp, Unit, Value,
    kind::{category, workout},
    record::{ActivitySummary, Correlation, Statistic},
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;
use crate::{Encoder, testing};

/// A number and its unit.
type Measured = (f64, Option<Unit>);

/// What a component, or the Observation itself, says.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Number(Measured),
    Category(i64),
    Activity(String),
    Text(String),
    Span(Timestamp, Timestamp),
    Voltages(Vec<f64>),
}

/// What an Observation says of its record.
#[derive(Debug, PartialEq)]
struct Reading {
    id: RecordId,
    kind: String,
    start: Timestamp,
    end: Timestamp,
    value: Option<Said>,
    /// Each with the last of its codes, or its text.
    parts: Vec<(String, Said)>,
}

/// An Observation, or a component of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    identifier: Vec<Identifier<'a>>,
    code: Concept,
    effective_date_time: Option<&'a str>,
    effective_period: Option<Period<'a>>,
    value_quantity: Option<Quantity<'a>>,
    value_integer: Option<i64>,
    value_codeable_concept: Option<Concept>,
    value_string: Option<String>,
    value_period: Option<Period<'a>>,
    value_sampled_data: Option<SampledData>,
    #[serde(default)]
    component: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Identifier<'a> {
    value: &'a str,
}

#[derive(Deserialize)]
struct Concept {
    #[serde(default)]
    coding: Vec<Coding>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Coding {
    code: String,
}

#[derive(Deserialize)]
struct Period<'a> {
    start: &'a str,
    end: &'a str,
}

#[derive(Deserialize)]
struct Quantity<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    unit: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct SampledData {
    data: String,
}

impl Concept {
    fn last(self) -> String {
        self.coding.into_iter().next_back().map(|coding| coding.code).or(self.text).unwrap()
    }

    /// The code before the last: of a statistic, the type.
    fn codes(self) -> String {
        let all: Vec<String> = self.coding.iter().map(|coding| coding.code.clone()).collect();
        match all.as_slice() {
            [.., kind, statistic]
                if ["sum", "average", "minimum", "maximum"].contains(&statistic.as_str()) =>
            {
                format!("{kind} {statistic}")
            }
            _ => self.last(),
        }
    }
}

impl Quantity<'_> {
    fn read(self) -> Measured {
        let text = self.value.get();
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let moved = if self.code.as_deref() == Some("%") { 2 } else { 0 };
        let text = format!("{digits}e{}", exponent.parse::<i32>().unwrap() - moved);
        (text.parse().unwrap(), self.unit.map(|unit| Unit::parse(&unit).unwrap()))
    }
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap().0
}

impl Part<'_> {
    /// The value, if there is one.
    fn said(&mut self) -> Option<Said> {
        let concept = |code: String| match category::value_of(&code) {
            Some(raw) => Said::Category(raw),
            None => Said::Activity(code),
        };
        let voltages = |text: &str| text.split(' ').map(|text| text.parse().unwrap()).collect();
        let mut all = [
            self.value_quantity.take().map(|quantity| Said::Number(quantity.read())),
            self.value_integer.map(Said::Category),
            self.value_codeable_concept.take().map(|code| concept(code.last())),
            self.value_string.take().map(Said::Text),
            self.value_period.take().map(|Period { start, end }| Said::Span(instant(start), instant(end))),
            self.value_sampled_data.take().map(|data| Said::Voltages(voltages(&data.data))),
        ]
        .into_iter()
        .flatten();
        let said = all.next();
        assert_eq!(all.next(), None, "it has one value");
        said
    }
}

fn read(line: &[u8]) -> Reading {
    let mut observation: Part<'_> = serde_json::from_slice(line).unwrap();
    assert_eq!(observation.identifier.len(), 1);
    let (start, end) = match (observation.effective_date_time, observation.effective_period.take()) {
        (Some(at), None) => (instant(at), instant(at)),
        (None, Some(Period { start, end })) => (instant(start), instant(end)),
        _ => panic!("it has one time"),
    };
    Reading {
        id: RecordId::parse(observation.identifier[0].value).unwrap(),
        value: observation.said(),
        kind: observation.code.last(),
        start,
        end,
        parts: observation
            .component
            .into_iter()
            .map(|mut part| (part.said().unwrap(), part.code.codes()))
            .map(|(said, code)| (code, said))
            .collect(),
    }
}

/// FHIR has no white space but these, and so neither has what is read back.
fn text(text: &str) -> Said {
    let taken = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n') || !(c.is_whitespace() || c == '\u{feff}');
    Said::Text(text.chars().map(|c| if taken(c) { c } else { ' ' }).collect())
}

fn number(number: f64, unit: &str) -> Said {
    Said::Number((number, Some(Unit::parse(unit).unwrap())))
}

fn statistics(all: &[Statistic]) -> Vec<(String, Said)> {
    let mut parts = Vec::new();
    for one in all {
        for (name, value) in
            [("sum", one.sum), ("average", one.average), ("minimum", one.minimum), ("maximum", one.maximum)]
        {
            let unit = Some(one.unit);
            parts.extend(
                value.map(|value| (format!("{} {name}", one.kind.name()), Said::Number((value, unit)))),
            );
        }
    }
    parts
}

fn activity(number: u32) -> String {
    workout::constant_of_activity(number)
        .map_or_else(|| format!("HKWorkoutActivityType {number}"), str::to_owned)
}

/// What is to be read of a record.
fn expected(record: &Record) -> Reading {
    let mut parts: Vec<(String, Said)> = Vec::new();
    let mut value = None;
    match &record.value {
        Value::Quantity(number, unit) => value = Some(Said::Number((*number, Some(*unit)))),
        Value::Category(raw) => value = Some(Said::Category(*raw)),
        Value::Json(document) => value = Some(text(document)),
        Value::Correlation(correlation) => {
            for sample in &correlation.samples {
                let said = match sample.value {
                    Value::Quantity(number, unit) => Said::Number((number, Some(unit))),
                    Value::Category(raw) => Said::Category(raw),
                    _ => panic!("a sample of another value"),
                };
                parts.push((sample.kind.unwrap().name().to_owned(), said));
            }
        }
        Value::Workout(workout) => {
            value = Some(Said::Activity(activity(workout.activity)));
            parts.extend(workout.duration.map(|duration| ("duration".to_owned(), number(duration, "s"))));
            parts.extend(statistics(&workout.statistics));
            for event in &workout.events {
                parts.push(("an event".to_owned(), Said::Span(event.start, event.end)));
            }
            for part in &workout.activities {
                parts.push((activity(part.activity), Said::Span(part.start, part.end)));
            }
        }
        Value::Electrocardiogram(ecg) => {
            let apple = |name: &str| format!("HKElectrocardiogram.{name}");
            let word = ecg.classification.as_deref();
            parts.extend(word.map(|word| (apple("Classification"), text(word))));
            let heart = Kind::parse("HeartRate").unwrap().name();
            parts.extend(ecg.average_heart_rate.map(|rate| (heart.to_owned(), number(rate, "count/min"))));
            let frequency = ecg.sampling_frequency.map(|frequency| number(frequency, "Hz"));
            parts.extend(frequency.map(|frequency| (apple("SamplingFrequency"), frequency)));
            if !ecg.voltages.is_empty() {
                parts.push(("131329".to_owned(), Said::Voltages(ecg.voltages.clone())));
            }
        }
        Value::ActivitySummary(summary) => parts.extend(summarised(summary)),
        Value::Aggregate(aggregate) => {
            for (name, result) in &aggregate.results {
                let name = if name.as_str() == "min" { "minimum" } else { name };
                parts.push((name.to_owned(), Said::Number((*result, aggregate.unit))));
            }
        }
        _ => panic!("a value without a form"),
    }
    let kind = record.kind.unwrap().name().to_owned();
    Reading { id: record.id, kind, start: record.start, end: record.end, value, parts }
}

fn summarised(summary: &ActivitySummary) -> Vec<(String, Said)> {
    let energy = summary.energy_unit.map_or("kcal", Unit::as_str);
    let day = summary.day.as_deref().map(|day| ("dateComponents".to_owned(), text(day)));
    let numbers = [
        ("activeEnergyBurned", summary.energy, energy),
        ("activeEnergyBurnedGoal", summary.energy_goal, energy),
        ("appleMoveTime", summary.move_time, "min"),
        ("appleMoveTimeGoal", summary.move_time_goal, "min"),
        ("appleExerciseTime", summary.exercise_time, "min"),
        ("appleExerciseTimeGoal", summary.exercise_time_goal, "min"),
        ("appleStandHours", summary.stand_hours, "count"),
        ("appleStandHoursGoal", summary.stand_hours_goal, "count"),
    ];
    let numbers =
        numbers.into_iter().filter_map(|(name, value, unit)| Some((name.to_owned(), number(value?, unit))));
    day.into_iter().chain(numbers).collect()
}

fn encoded(record: &Record) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    FhirEncoder::new(Shape::Resource, Patient::Identifier).encode(record, &mut out).map(|()| out)
}

/// Scenario: each type of the catalogue, quantities in its unit, categories with each of their values and with some that nobody knows,
/// at an instant and over a time. Guarantees: G4, id, type, value, unit and times are those of the record.
#[test]
fn every_type_of_the_catalogue_reads_back() {
    let (mut quantities, mut categories) = (0, 0);
    for kind in Kind::all() {
        let info = kind.info().unwrap();
        let values: Vec<Value> = match (info.unit, info.value_enum) {
            (Some(unit), _) => [0.0, 1.0, 0.07, 0.97, 61.5, 98.6, 1e-7, 123_456_789.25, -3.5]
                .map(|number| Value::Quantity(number, unit))
                .into(),
            (None, _) if kind.is_category() => (0..40).chain([-1, 1 << 31]).map(Value::Category).collect(),
            _ => continue,
        };
        for value in values {
            for length in [0, 90_000_000] {
                let start = instant("2026-03-01T15:14:22.25Z");
                let id = RecordId::derive([kind.name().as_bytes()]);
                let record = Record::added(id, kind, start, start.plus_micros(length), value.clone());
                match encoded(&record) {
                    Ok(line) => assert_eq!(read(&line), expected(&record), "{kind}"),
                    Err(_) => assert_eq!(value, Value::Category(1 << 31), "{kind}"),
                }
            }
        }
        *if info.unit.is_some() { &mut quantities } else { &mut categories } += 1;
    }
    assert!(quantities > 100 && categories > 60, "{quantities} quantities, {categories} categories");
}

/// Scenario: any values of each kind that has a form. Guarantees: G4, each number, unit, time and text in them is there, in its
/// order, and nothing else; what is lost is what the documentation says.
#[test]
fn every_kind_of_value_reads_back() {
    let counts: [Cell<u32>; 8] = Default::default();
    let samples = proptest::collection::vec(testing::additions(), 0..8);
    proptest!(ProptestConfig::with_cases(3_000), |(record in testing::additions(), samples in samples)| {
        let mut record = record;
        let index = match &record.value {
            Value::Quantity(..) => 0,
            Value::Category(_) => 1,
            Value::Correlation(_) => {
                let is_plain = |sample: &Record| matches!(sample.value, Value::Quantity(..) | Value::Category(_));
                let samples = samples.into_iter().filter(is_plain).collect();
                record.value = Value::Correlation(Arc::new(Correlation { samples }));
                2
            }
            Value::Workout(_) => 3,
            Value::Electrocardiogram(_) => 4,
            Value::ActivitySummary(_) => 5,
            Value::Aggregate(_) => 6,
            Value::Json(_) => 7,
            _ => return Err(TestCaseError::reject("it has no form")),
        };
        // Refused are numbers beyond FHIR's, voltages without a frequency, correlations without a sample.
        let Ok(line) = encoded(&record) else { return Ok(()) };
        counts[index].set(counts[index].get() + 1);
        let (mut found, expected) = (read(&line), expected(&record));
        for ((name, _), (wanted, _)) in found.parts.iter_mut().zip(&expected.parts) {
            // The name of an event becomes a constant's.
            if wanted == "an event" {
                prop_assert!(name.starts_with("HKWorkoutEventType"), "{}", name);
                name.clone_from(wanted);
            }
        }
        prop_assert_eq!(found, expected);
    });
    assert!(counts.iter().all(|count| count.get() > 20), "{counts:?}");
}
