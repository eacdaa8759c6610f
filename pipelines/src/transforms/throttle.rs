//! `throttle`: at most one record in each span of time, for each subject and type.
//!
//! Time is the records' own: `start` is cut into slots of `every`, counted from 1970, and the first record to
//! arrive in a slot is the one that is kept. So a late record is treated as any other: it is kept if nothing was
//! in its slot. A correction of a record that was kept passes; deletions pass untouched.
//!
//! The last `capacity` slots that got a record are remembered, in the checkpoint too. A record that is so late
//! that its slot is forgotten counts as the first in it. When a slot is forgotten depends on the order of
//! arrival only.

use afferent_core::{
    Batch, Emit, Problem, Record, Result, Snapshot, State, Transform,
    config::{Configure, Span},
};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    at,
    by::text_field,
    dedupe::{DEFAULT_CAPACITY, check_capacity},
    recent::Recent,
};
use crate::cel::Field;

/// Configuration of [`Throttle`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The span of time that one record stands for.
    pub every: Span,
    /// For each different value of these fields a record of its own. Fields that are texts, apart from `id`.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// How many spans that got a record are remembered, of all subjects and types together.
    #[serde(default = "default_capacity")]
    pub capacity: usize,
}

fn default_by() -> Vec<String> {
    vec!["subject".into(), "type".into()]
}

fn default_capacity() -> usize {
    DEFAULT_CAPACITY
}

impl Config {
    /// One record of each subject and type in each `every`.
    pub fn new(every: Span) -> Config {
        Config { every, by: default_by(), capacity: DEFAULT_CAPACITY }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Throttle::new(self.clone()).err().unwrap_or_default()
    }
}

/// At most one record in each span of time.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// µs.
    every: i64,
    by: Vec<Field>,
    /// By slot, the id of the record that was kept. The key is a hash of what makes the slot; that two of 2^128
    /// are equal is not to be expected, and would drop a record that a throttle may drop anyway.
    slots: Recent<16, 16>,
    /// The bytes that are hashed; what depends on the configuration alone stays at the front, so that another
    /// configuration never takes up slots that meant something else.
    key: Vec<u8>,
    prefix: usize,
}

impl Throttle {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// A span of no length, fields that are none or no texts, a capacity that is out of bounds.
    pub fn new(config: Config) -> Result<Throttle, Vec<Problem>> {
        let mut problems = check_capacity(config.capacity);
        let every = i64::try_from(config.every.0.as_micros()).ok().filter(|every| *every > 0);
        if every.is_none() {
            let message = format!("expected a span of time above 0, found \"{}\"", config.every);
            problems.push(Problem::new("every", message).help("write one such as \"1min\""));
        }
        let mut by = Vec::new();
        for (index, path) in config.by.iter().enumerate() {
            match text_field(path, &[]) {
                Ok(field) => by.push(field),
                Err(problem) => problems.push(at(["by", &index.to_string()], problem)),
            }
        }
        let Some(every) = every.filter(|_| problems.is_empty()) else { return Err(problems) };
        let mut key = every.to_be_bytes().to_vec();
        config.by.iter().for_each(|path| push_text(&mut key, path));
        let prefix = key.len();
        Ok(Throttle { every, by, slots: Recent::new(config.capacity), key, prefix })
    }

    fn keeps(&mut self, record: &Record) -> bool {
        self.key.truncate(self.prefix);
        for field in &self.by {
            match field.read(record).text(&mut [0; 36]) {
                Some(text) => push_text(&mut self.key, text),
                None => self.key.extend_from_slice(&u64::MAX.to_be_bytes()),
            }
        }
        let slot = record.start.as_micros().div_euclid(self.every);
        self.key.extend_from_slice(&slot.to_be_bytes());
        let (slot, id) = (xxh3_128(&self.key).to_be_bytes(), record.id.to_bytes());
        self.slots.get_or_insert(slot, id).is_none_or(|kept| kept == id)
    }
}

/// With its length, so that no two lists of texts give the same bytes.
fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u64).to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

impl Transform for Throttle {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let before = input.len();
        input.retain(|record| record.is_deletion() || self.keeps(record));
        out.filtered(before - input.len());
        out.take(input);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(self.slots.snapshot())
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.slots.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use afferent_core::testing::transform_contract;

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn minute() -> Config {
        Config::new(Span(Duration::from_secs(60)))
    }

    fn kept(config: &Config, input: &[Record]) -> Vec<u128> {
        let make = || Throttle::new(config.clone()).unwrap();
        transform_contract(make, input, 0..10).iter().map(|record| record.id.as_u128()).collect()
    }

    /// Scenario: records in one minute and the next, of two subjects and two types, late ones, a correction and a
    /// deletion. Guarantees: the first to arrive of each minute, subject and type is kept, whatever the batches
    /// and restarts; a correction goes with its record, a deletion passes.
    #[test]
    fn keeps_the_first_of_each_slot() {
        let of = |subject: &str, record: Record| Record { subject: Some(subject.into()), ..record };
        let input = [
            of("a", quantity(1, "HeartRate", 60.0, 70)),
            of("a", quantity(2, "HeartRate", 61.0, 119)),
            of("a", quantity(3, "HeartRate", 62.0, 120)),
            of("b", quantity(4, "HeartRate", 63.0, 75)),
            of("a", quantity(5, "StepCount", 64.0, 75)),
            of("a", quantity(6, "HeartRate", 65.0, 5)),
            of("a", quantity(7, "HeartRate", 66.0, -1)),
            of("a", quantity(8, "HeartRate", 67.0, 60)),
            Record { revision: 1, ..of("a", quantity(1, "HeartRate", 68.0, 70)) },
            Record { revision: 1, ..of("a", quantity(2, "HeartRate", 69.0, 119)) },
            deletion(2, Some("HeartRate")),
            quantity(9, "HeartRate", 70.0, 70),
        ];
        assert_eq!(kept(&minute(), &input), [1, 3, 4, 5, 6, 7, 1, 2, 9]);
        assert_eq!(kept(&Config { by: Vec::new(), ..minute() }, &input), [1, 3, 6, 7, 1, 2]);
        assert_eq!(kept(&Config { by: vec!["type".into()], ..minute() }, &input), [1, 3, 5, 6, 7, 1, 2]);
    }

    /// Scenario: a record later than all that is remembered, and random records. Guarantees: G7, and the same in
    /// every run.
    #[test]
    fn forgotten_slots_are_new() {
        let input = [(1, 0), (2, 60), (3, 120), (4, 1), (5, 121)]
            .map(|(id, second)| quantity(id, "HeartRate", 60.0, second));
        assert_eq!(kept(&Config { capacity: 2, ..minute() }, &input), [1, 2, 3, 4]);
        for capacity in [1, 10, 1000] {
            let every = Span(Duration::from_secs(7));
            kept(&Config { capacity, ..Config::new(every) }, &records(1000, 5));
        }
    }

    /// Scenario: another span in the file of a pipeline that has state. Guarantees: old slots are not taken for
    /// new ones.
    #[test]
    fn another_configuration_has_other_slots() {
        let mut before = Throttle::new(minute()).unwrap();
        let record = quantity(1, "HeartRate", 60.0, 0);
        assert!(before.keeps(&record));
        let Snapshot::Delta(rows) = before.snapshot().unwrap() else { panic!("a slot was taken") };
        let mut after = Throttle::new(Config::new(Span(Duration::from_secs(3600)))).unwrap();
        let rows: Vec<_> = rows.iter().map(|(key, row)| Ok((key.to_vec(), row.unwrap().to_vec()))).collect();
        after.restore(Box::new(rows.into_iter())).unwrap();
        assert!(after.keeps(&quantity(2, "HeartRate", 60.0, 0)));
    }

    /// Scenario: what makes no sense. Guarantees: each is a problem at its place.
    #[test]
    fn problems_are_found_together() {
        let by = ["subejct", "value", "type"].map(str::to_owned).to_vec();
        let problems = Config { every: Span(Duration::ZERO), by, capacity: 0 }.check();
        assert_eq!(key_paths(&problems), ["capacity", "every", "by.0", "by.1"]);
        assert_eq!(problems[2].help.as_deref(), Some("did you mean `subject`?"));
    }
}
