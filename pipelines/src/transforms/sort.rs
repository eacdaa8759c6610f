//! `sort`: gives records out in the order of event time.
//!
//! Of each key the records come out by `start`, then by id and revision. They are held until the newest of the key is `lateness` ahead
//! of them, so the order is right as long as nothing comes later than that. What does passes at once, out of order, or is a
//! dead letter (`late`). At the end of a finite input everything comes out, that of all keys in the order of time.
//!
//! A deletion never overtakes its addition: what is held of its id is absorbed by it, and it passes at once.
//!
//! **State** is what is held, at most `max_records`: where there would be more, the oldest comes out early. It belongs to keys of `by`:
//! with another `by` it is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use afferent_core::{
    Batch, Delta, Emit, Problem, Record, RecordId, Result, Snapshot, State, Transform,
    config::{Configure, Span},
};
use serde::Deserialize;

use super::{
    by::fields,
    keyed::{Basis, Get, Groups, MAX_GROUPS, Put, Row, Table, Tally, damaged, delta, each_row},
    window::MAX_REACH,
};
use crate::cel::Field;

/// How many records are held if the file does not say: about 20 MiB of plain quantities.
pub const DEFAULT_RECORDS: usize = 100_000;

/// Highest `max_records`: about 2 GiB.
pub const MAX_RECORDS: usize = 10_000_000;

/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of records.
const HELD: u8 = 2;

/// What becomes of a record that comes too late to be put in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Late {
    /// It passes, out of order.
    #[default]
    Pass,
    /// It is a dead letter.
    Dead,
}

/// Configuration of [`Sort`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a record waits for what is late, in event time.
    pub lateness: Span,
    /// For each different value of these fields an order of its own; the type always tells apart.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// What becomes of a record that comes later: `"pass"`, out of order, or `"dead"`, it is a dead letter.
    #[serde(default)]
    pub late: Late,
    /// How many records are held. Where there would be more, the oldest come out early.
    #[serde(default = "default_records")]
    pub max_records: usize,
}

fn default_by() -> Vec<String> {
    vec!["subject".into(), "type".into()]
}

fn default_records() -> usize {
    DEFAULT_RECORDS
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Sort::new(self).err().unwrap_or_default()
    }
}

/// Where a record is in the order: its start, its id and revision, and its number.
type Place = (i64, RecordId, u32, u64);

/// Gives records out in the order of event time.
#[derive(Debug)]
pub struct Sort {
    by: Vec<Field>,
    /// `by`, as text.
    by_text: Basis,
    lateness: i64,
    late: Late,
    max_records: usize,
    groups: Groups<Lane>,
    held: Table<u64, Held>,
    /// The number of the next record that is held.
    next: u64,
    /// By id, the numbers of what is held.
    ids: HashMap<RecordId, Vec<u64>, foldhash::fast::RandomState>,
    /// Everything that is held, in order, with its group.
    order: BTreeSet<(Place, u32)>,
    tally: Tally,
}

/// What is held of a group.
#[derive(Clone, Debug)]
struct Lane {
    /// The newest event time, in µs.
    newest: i64,
    order: BTreeMap<Place, ()>,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane { newest: i64::MIN, order: BTreeMap::new() }
    }
}

impl Row for Lane {
    fn put(&self, to: &mut Put<'_>) {
        to.i64(self.newest);
    }
    fn get(from: &mut Get<'_>) -> Option<Lane> {
        Some(Lane { newest: from.i64()?, ..Lane::default() })
    }
}

#[derive(Clone, Debug)]
struct Held {
    record: Record,
    group: u32,
}

impl Row for Held {
    fn put(&self, to: &mut Put<'_>) {
        to.record(&self.record);
        to.u32(self.group);
    }
    fn get(from: &mut Get<'_>) -> Option<Held> {
        Some(Held { record: from.record()?, group: from.u32()? })
    }
}

fn place(number: u64, record: &Record) -> Place {
    (record.start.as_micros(), record.id, record.revision, number)
}

impl Sort {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Sort, Vec<Problem>> {
        let mut problems = Vec::new();
        let by = fields(&config.by, &mut problems);
        if config.lateness > MAX_REACH {
            problems.push(Problem::new("lateness", format!("expected at most {MAX_REACH}")));
        }
        if !(1..=MAX_RECORDS).contains(&config.max_records) {
            let message = format!("expected a number from 1 to {MAX_RECORDS}, found {}", config.max_records);
            problems.push(Problem::new("max_records", message));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Sort {
            groups: Groups::new(GROUPS, by.len()),
            by,
            by_text: Basis::new(config.by.join(",")),
            lateness: i64::try_from(config.lateness.0.as_micros()).unwrap_or(i64::MAX),
            late: config.late,
            max_records: config.max_records,
            held: Table::new(HELD),
            next: 0,
            ids: HashMap::default(),
            order: BTreeSet::new(),
            tally: Tally::default(),
        })
    }

    fn add(&mut self, record: Record, out: &mut Emit<Record>) {
        let by = &self.by;
        // The unit is none of the key: it is an order of records, not of numbers.
        let Some(group) = self.groups.find(record.kind, None, |index| by[index].name(&record)) else {
            out.reject_record(&record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        let start = record.start.as_micros();
        let newest = self.groups.get(group).state.newest;
        if newest.saturating_sub(self.lateness) > start {
            match self.late {
                Late::Pass => out.push(record),
                Late::Dead => out.reject_record(&record, "it came too late to be put in order"),
            }
            return;
        }
        let number = self.next;
        self.next += 1;
        self.hold(number, Held { record, group });
        if start > newest {
            self.groups.change(group).state.newest = start;
        }
        let ready = start.max(newest).saturating_sub(self.lateness);
        while let Some((&first, ())) = self.groups.get(group).state.order.first_key_value()
            && first.0 < ready
        {
            self.give(first, group, out);
        }
        while self.held.len() > self.max_records
            && let Some(&(first, group)) = self.order.first()
        {
            self.give(first, group, out);
        }
    }

    fn hold(&mut self, number: u64, held: Held) {
        self.tally.held(held.record.kind, 1);
        self.link(number, &held);
        self.held.insert(number, held);
    }

    fn link(&mut self, number: u64, held: &Held) {
        let place = place(number, &held.record);
        self.groups.get_mut(held.group).state.order.insert(place, ());
        self.order.insert((place, held.group));
        self.ids.entry(held.record.id).or_default().push(number);
    }

    /// Takes a record out of what is held.
    fn release(&mut self, place: Place, group: u32) -> Option<Record> {
        self.groups.get_mut(group).state.order.remove(&place);
        self.order.remove(&(place, group));
        if let Some(numbers) = self.ids.get_mut(&place.1) {
            numbers.retain(|number| *number != place.3);
            if numbers.is_empty() {
                self.ids.remove(&place.1);
            }
        }
        let record = self.held.remove(&place.3)?.record;
        self.tally.held(record.kind, -1);
        Some(record)
    }

    fn give(&mut self, place: Place, group: u32, out: &mut Emit<Record>) {
        out.batch.extend(self.release(place, group));
    }

    /// What is held of the id of a deletion is absorbed by it.
    fn absorb(&mut self, id: RecordId) {
        for number in self.ids.get(&id).cloned().unwrap_or_default() {
            let Some(held) = self.held.get(&number) else { continue };
            let (place, group, kind) = (place(number, &held.record), held.group, held.record.kind);
            self.release(place, group);
            self.tally.superseded(kind);
        }
    }
}

impl Transform for Sort {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            if record.is_deletion() {
                self.absorb(record.id);
                out.push(record);
            } else {
                self.add(record, out);
            }
        }
        self.tally.tell(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Emit<Record>) -> Result<()> {
        while let Some(&(first, group)) = self.order.first() {
            self.give(first, group, out);
        }
        self.tally.tell(out);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut changes = Delta::new();
        self.by_text.save(&mut changes);
        self.groups.save(&mut changes);
        self.held.save(&mut changes);
        Ok(delta(changes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        each_row(state, |tag, key, value| {
            match tag {
                Basis::TAG => self.by_text.restore(value, "`by`")?,
                GROUPS => self.groups.restore(key, value)?,
                HELD => {
                    let (number, held) = self.held.restore(key, value)?;
                    let held = held.clone();
                    if !self.groups.numbers().contains(&held.group) {
                        return Err(damaged());
                    }
                    self.next = self.next.max(number + 1);
                    self.link(number, &held);
                }
                _ => return Err(damaged()),
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{random::Random, testing::transform_contract};

    use super::*;
    use crate::transforms::testing::{deletion, is_refused, key_paths, quantity, records};

    fn config(text: &str) -> Config {
        toml::from_str(text).expect("a configuration")
    }

    fn sort(text: &str) -> Sort {
        Sort::new(&config(text)).expect("a configuration")
    }

    fn ids(records: &[Record]) -> Vec<u128> {
        records.iter().map(|record| record.id.as_u128()).collect()
    }

    /// Scenario: records out of order, one too late, of two types, and the deletion of one that is held. Guarantees: G1, G3; they come
    /// out in order, a deletion never before its addition, and everything is accounted for.
    #[test]
    fn gives_out_in_order() {
        let input = [
            quantity(1, "HeartRate", 1.0, 10),
            quantity(2, "HeartRate", 1.0, 5),
            quantity(3, "StepCount", 1.0, 0),
            quantity(4, "HeartRate", 1.0, 25),
            quantity(5, "HeartRate", 1.0, 20),
            quantity(6, "HeartRate", 1.0, 12),
            deletion(5, None),
            quantity(7, "HeartRate", 1.0, 31),
        ];
        let make = || sort("lateness = \"10s\"");
        assert_eq!(ids(&transform_contract(make, &input, 0..20)), [2, 1, 6, 5, 3, 4, 7]);
        let dead = || sort("lateness = \"10s\"\nlate = \"dead\"");
        assert_eq!(ids(&transform_contract(dead, &input, 0..20)), [2, 1, 5, 3, 4, 7]);
        let mut out = Emit::new();
        dead().apply(&mut Batch::from(input.to_vec()), &mut out).unwrap();
        assert_eq!((out.counts().dead, out.counts().superseded, out.counts().held), (1, 1, 3));
    }

    /// Scenario: records in any order within the lateness, random ones with repeats and deletions, and more than may be held.
    /// Guarantees: G1, G7; the same order whatever that of arrival, nothing is lost, and what is held is bounded.
    #[test]
    fn any_order_within_the_lateness_is_mended() {
        let mut input: Vec<Record> = (0..300).map(|id| quantity(id, "HeartRate", 1.0, id as i64)).collect();
        let sorted = input.clone();
        let mut random = Random::from_seed(4);
        for index in (1..input.len()).rev() {
            input.swap(index, random.below(index as u64 + 1) as usize);
        }
        assert_eq!(transform_contract(|| sort("lateness = \"10min\""), &input, 0..9), sorted);
        for text in ["lateness = \"1min\"", "lateness = \"1d\"\nmax_records = 20"] {
            transform_contract(|| sort(text), &records(600, 8), 0..20);
        }
        let mut stage = sort("lateness = \"1d\"\nmax_records = 20");
        stage.apply(&mut Batch::from(sorted.clone()), &mut Emit::new()).unwrap();
        assert_eq!(stage.held.len(), 20);
    }

    /// Scenario: a restart with another `by`. Guarantees: G3; what is held is refused and not mixed up, and the message says what to do.
    #[test]
    fn another_key_is_refused() {
        let make = |more: &str| sort(&format!("lateness = \"1min\"\n{more}"));
        is_refused(make(""), make("max_records = 20\nlate = \"dead\""), &records(50, 1), true);
        is_refused(make(""), make("by = [\"subject\"]"), &records(50, 1), false);
    }

    /// Scenario: what makes no sense. Guarantees: each is a problem at its place.
    #[test]
    fn problems_are_found_together() {
        let config = config("lateness = \"500d\"\nmax_records = 0\nby = [\"value\"]");
        assert_eq!(key_paths(&config.check()), ["by.0", "lateness", "max_records"]);
    }
}
