//! What the other tools read, and how their forms map to ours.
//!
//! Both keep texts as they stand in the export. Of these, a date with an offset is an instant; a number is the `f64`
//! next to it; a constant is HealthKit's raw value, or itself where our table has none; and the value of a category that
//! is absent is 0, *not applicable*.

use std::{collections::BTreeSet, path::Path};

use afferent::afferent_core::{
    Kind,
    kind::{category, workout},
};
use rusqlite::Connection;
use serde_json::Value as Json;

use super::facts::{Facts, Number, PLACE, SUMMARY, Sample, Value, Workout, instant, short};

/// A row, by the names of its columns.
struct Row(Vec<(String, rusqlite::types::Value)>);

impl Row {
    fn text(&self, column: &str) -> Option<&str> {
        self.0.iter().find_map(|(name, value)| match value {
            rusqlite::types::Value::Text(text) if name == column => Some(text.as_str()),
            _ => None,
        })
    }

    fn needs(&self, column: &str) -> &str {
        self.text(column).unwrap_or_else(|| panic!("a row without {column}"))
    }

    /// A number, which the tool has as text or as a number.
    fn number(&self, column: &str) -> Option<Number> {
        self.0.iter().find_map(|(name, value)| match value {
            rusqlite::types::Value::Real(number) if name == column => Some(Number(*number)),
            rusqlite::types::Value::Text(text) if name == column => Some(number(text)),
            _ => None,
        })
    }
}

/// Reads the database that `healthkit-to-sqlite` wrote: a table of each type, called `r` and its short name, and
/// `workouts`, `workout_points` and `activity_summary`. A table or column that nothing was found for is not there.
///
/// It writes a row for every Record at any depth, those inside correlations and workouts included, and keeps rows that
/// are equal. Here each is a sample once, as it is once for us: those that differ only in the address of their device are
/// one.
pub(crate) fn healthkit_to_sqlite(database: &Path) -> Facts {
    let database = Connection::open(database).expect("the database");
    let mut facts = Facts::default();
    for table in tables(&database) {
        let rows = rows(&database, &table);
        match table.as_str() {
            "workouts" => facts.workouts = rows.iter().map(workout_of).collect(),
            "workout_points" => {
                facts.places = rows
                    .iter()
                    .map(|row| (moment(row.needs("date")), PLACE.map(|(_, name)| row.number(name)).into()))
                    .collect();
            }
            "activity_summary" => {
                facts.summaries = rows
                    .iter()
                    .map(|row| {
                        let unit = row.text("activeEnergyBurnedUnit").map(str::to_owned);
                        let numbers = SUMMARY.map(|(_, name)| row.number(name)).into();
                        (row.needs("dateComponents").to_owned(), unit, numbers)
                    })
                    .collect();
            }
            _ => {
                let kind = kind_of_table(&table);
                let samples: BTreeSet<_> = rows.iter().map(|row| sample_of(&kind, row)).collect();
                facts.samples.extend(samples.into_iter().map(|(sample, ..)| sample));
            }
        }
    }
    facts
}

fn tables(database: &Connection) -> Vec<String> {
    let mut tables = database.prepare("select name from sqlite_schema where type = 'table'").expect("tables");
    let tables = tables.query_map([], |row| row.get(0)).expect("tables");
    tables.map(|name| name.expect("a name")).collect()
}

fn rows(database: &Connection, table: &str) -> Vec<Row> {
    let mut rows = database.prepare(&format!("select * from \"{table}\"")).expect("a table");
    let columns: Vec<String> = rows.column_names().map(str::to_owned).collect();
    let rows = rows.query_map([], |row| {
        let values = columns.iter().enumerate().map(|(index, name)| Ok((name.clone(), row.get(index)?)));
        values.collect::<Result<_, _>>().map(Row)
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

/// The type whose table is called so. The tool drops what tells a quantity from a category.
fn kind_of_table(table: &str) -> String {
    let name = table.strip_prefix('r').unwrap_or_else(|| panic!("an unknown table: {table}"));
    let is_known = |identifier: &String| Kind::from_data(identifier).is_ok_and(|kind| kind.info().is_some());
    let identifiers =
        ["HKQuantityTypeIdentifier", "HKCategoryTypeIdentifier"].map(|prefix| format!("{prefix}{name}"));
    match identifiers.iter().find(|identifier| is_known(identifier)) {
        Some(identifier) => short(identifier),
        None if name.starts_with("HK") => short(name),
        None => name.to_owned(),
    }
}

/// A sample, and what else tells two of them apart: the version of the source, and the device without its address.
fn sample_of(kind: &str, row: &Row) -> (Sample, Option<String>, Option<String>) {
    let sample = Sample {
        kind: kind.to_owned(),
        start: moment(row.needs("startDate")),
        end: moment(row.needs("endDate")),
        value: value(row.text("value")),
        unit: row.text("unit").map(str::to_owned),
        source: row.needs("sourceName").to_owned(),
    };
    let device = row.text("device").and_then(|device| Some(device.split_once(", ")?.1.to_owned()));
    (sample, row.text("sourceVersion").map(str::to_owned), device)
}

fn workout_of(row: &Row) -> Workout {
    let events: Json = serde_json::from_str(row.needs("workout_events")).expect("a list of events");
    let event = |event: &Json| {
        let name = event["type"].as_str().and_then(|name| name.strip_prefix("HKWorkoutEventType"));
        let name = name.expect("a type of event");
        (name[..1].to_lowercase() + &name[1..], moment(event["date"].as_str().expect("a date")))
    };
    let seconds = match row.text("durationUnit") {
        None | Some("min") => 60.0,
        Some("hr") => 3600.0,
        Some(unit) => panic!("a duration in {unit}"),
    };
    Workout {
        activity: workout::activity_of_constant(row.needs("workoutActivityType")).expect("an activity"),
        start: moment(row.needs("startDate")),
        end: moment(row.needs("endDate")),
        duration: row.number("duration").map(|duration| Number(duration.0 * seconds)),
        source: row.needs("sourceName").to_owned(),
        events: events.as_array().expect("a list").iter().map(event).collect(),
    }
}

/// Reads what `apple_health_parser_samples.py` printed: the rows of the data frame of each type that
/// `apple-health-parser` makes.
///
/// It reads the Records that stand directly under the root and nothing else, and leaves out those without a value.
/// Its rows have no device, so that equal samples of two devices can't be told from one that is there twice; the set of
/// them is what is compared.
pub(crate) fn apple_health_parser(lines: &str) -> BTreeSet<Sample> {
    let sample = |line: &str| {
        let row: Json = serde_json::from_str(line).expect("a line of JSON");
        let text = |key: &str| row[key].as_str();
        Sample {
            kind: short(text("type").expect("a type")),
            start: instant(text("start").expect("a start")),
            end: instant(text("end").expect("an end")),
            value: value(text("value")),
            unit: text("unit").map(str::to_owned),
            source: text("source").expect("a source").to_owned(),
        }
    };
    lines.lines().map(sample).collect()
}

fn value(text: Option<&str>) -> Value {
    match text {
        None => Value::Number(Number(0.0)),
        Some(text) if text.starts_with("HK") => match category::value_of(text) {
            Some(raw) => Value::Number(Number(raw as f64)),
            None => Value::Constant(text.to_owned()),
        },
        Some(text) => Value::Number(number(text)),
    }
}

fn number(text: &str) -> Number {
    Number(text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
}

/// The instant of a date of an export, `2025-03-01 08:12:00 +0100`, or of a GPX file, which is RFC 3339.
fn moment(text: &str) -> i64 {
    match text.split(' ').collect::<Vec<_>>()[..] {
        [day, time, offset] => instant(&format!("{day}T{time}{}:{}", &offset[..3], &offset[3..])),
        _ => instant(text),
    }
}
