//! What an import wrote to a database.

use std::path::Path;

use rusqlite::{Connection, types::ValueRef};
use serde_json::Value as Json;

use super::facts::{Facts, Number, PLACE, SUMMARY, Sample, Value, Workout, instant, short};

/// What an import wrote, and what the other tools have no place for.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) facts: Facts,
    /// The samples inside correlations.
    pub(crate) correlated: Vec<Sample>,
    /// Places of the second and further routes of workouts.
    pub(crate) further_places: usize,
}

/// A row of `samples` that is neither a quantity nor a category.
struct Other {
    sample: Sample,
    value: Json,
    metadata: Json,
}

/// Reads the database of an import.
pub(crate) fn read(database: &Path) -> Ours {
    let database = Connection::open(database).expect("the database");
    let mut rows = database
        .prepare("select type, start_us, end_us, value, unit, source, metadata from samples")
        .expect("the view");
    let (mut ours, mut others) = (Ours::default(), Vec::new());
    let mut rows = rows.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let identifier: String = row.get(0).expect("a type");
        let (value, other) = match row.get_ref(3).expect("a value") {
            ValueRef::Real(number) => (Value::Number(Number(number)), None),
            ValueRef::Integer(raw) => (Value::Number(Number(raw as f64)), None),
            ValueRef::Text(text) => {
                let json: Json = serde_json::from_slice(text).expect("JSON");
                match json["json"]["value"].as_str() {
                    Some(constant) => (Value::Constant(constant.to_owned()), None),
                    None => (Value::Constant(String::new()), Some(json)),
                }
            }
            value => panic!("{identifier} with a value of {}", value.data_type()),
        };
        let sample = Sample {
            kind: short(&identifier),
            start: row.get(1).expect("a start"),
            end: row.get(2).expect("an end"),
            value,
            unit: row.get(4).expect("a unit"),
            source: row.get::<_, Option<String>>(5).expect("a source").unwrap_or_default(),
        };
        match other {
            None => ours.facts.samples.push(sample),
            Some(value) => {
                let metadata: Option<String> = row.get(6).expect("metadata");
                let metadata = metadata.map_or(Json::Null, |text| serde_json::from_str(&text).expect("JSON"));
                others.push(Other { sample, value, metadata });
            }
        }
    }
    ours.add(others);
    ours
}

impl Ours {
    fn add(&mut self, others: Vec<Other>) {
        // The path of a workout's first route stands in the workout, those of further ones in its metadata.
        let further: Vec<Json> = others
            .iter()
            .filter(|other| other.value.get("workout").is_some())
            .map(|other| other.metadata["route"].clone())
            .filter(Json::is_string)
            .collect();
        for Other { sample, value, metadata } in others {
            if let Some(workout) = value.get("workout") {
                self.facts.workouts.push(Workout {
                    activity: workout["activity"].as_u64().expect("an activity") as u32,
                    start: sample.start,
                    end: sample.end,
                    duration: workout["duration"].as_f64().map(Number),
                    source: sample.source,
                    events: list(&workout["events"]).map(event).collect(),
                });
            } else if let Some(route) = value.get("route") {
                let places = list(&route["locations"]).map(|place| {
                    (instant(text(place, "time")), PLACE.map(|(name, _)| number(place, name)).into())
                });
                if further.contains(&metadata["route"]) {
                    self.further_places += places.count();
                } else {
                    self.facts.places.extend(places);
                }
            } else if let Some(summary) = value.get("activity_summary") {
                self.facts.summaries.push((
                    text(summary, "day").to_owned(),
                    summary["energy_unit"].as_str().map(str::to_owned),
                    SUMMARY.map(|(name, _)| number(summary, name)).into(),
                ));
            } else if let Some(samples) = value.get("correlation") {
                self.correlated.extend(list(samples).map(correlated));
            } else {
                panic!("no tool knows such a record: {}", sample.kind);
            }
        }
    }
}

fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}"))
}

fn number(json: &Json, key: &str) -> Option<Number> {
    json[key].as_f64().map(Number)
}

fn event(event: &Json) -> (String, i64) {
    (text(event, "event").to_owned(), instant(text(event, "start")))
}

/// A quantity inside a correlation.
fn correlated(sample: &Json) -> Sample {
    Sample {
        kind: short(text(sample, "type")),
        start: instant(text(sample, "start")),
        end: instant(text(sample, "end")),
        value: Value::Number(number(sample, "value").expect("a quantity")),
        unit: sample["unit"].as_str().map(str::to_owned),
        source: text(&sample["source"], "name").to_owned(),
    }
}
