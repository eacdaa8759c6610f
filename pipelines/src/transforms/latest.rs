//! `latest`: of each key the newest record, as one record that changes.
//!
//! What comes out has an id of its own for each key, so a store has one row of it: the newest by `start` (then by id), with its
//! value, times, source and metadata. It goes out when it changes: with `on = "value"` when its value or unit is another, with
//! `on = "record"` whenever there is a newer record. Its revision is how often it went out.
//!
//! A correction of the newest record, and its deletion, are changes: of each key the newest [`DEPTH`] records are held, so that a
//! deletion gives back the one before. When all of these are deleted, the result is deleted, too.
//!
//! What is held belongs to keys of `by`: with another `by` it is refused.
//!
//! Records are counted as superseded, results as derived, and deletions of what is not held as filtered.

use std::collections::BTreeSet;

use afferent_core::{
    Batch, Delta, Emit, Problem, Record, RecordId, Result, Snapshot, State, Transform, TransformCx,
    config::Configure,
};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    by::fields,
    keyed::{
        Basis, Get, Groups, Identity, MAX_GROUPS, Put, Row, Shown, Table, Tally, damaged, delta, each_row,
    },
};
use crate::cel::Field;

/// How many records of a key are held, so that a deletion gives back the one before: a person corrects the last few values by
/// hand, not hundreds.
pub const DEPTH: usize = 8;

/// Rows of groups.
const GROUPS: u8 = 1;
/// Rows of records.
const HELD: u8 = 2;

/// What is a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Another value or unit.
    #[default]
    Value,
    /// Any newer record.
    Record,
}

/// Configuration of [`Latest`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For each different value of these fields a newest record; the type always tells apart.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// What is a change: `"value"`, another value or unit, or `"record"`, any newer record.
    #[serde(default)]
    pub on: On,
}

fn default_by() -> Vec<String> {
    vec!["subject".into(), "type".into()]
}

impl Default for Config {
    fn default() -> Config {
        Config { by: default_by(), on: On::default() }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Latest::new(self).err().unwrap_or_default()
    }
}

/// Of each key the newest record.
#[derive(Debug)]
pub struct Latest {
    by: Vec<Field>,
    /// `by`, as text.
    by_text: Basis,
    on: On,
    identity: Identity,
    groups: Groups<Newest>,
    held: Table<RecordId, Held>,
    tally: Tally,
}

/// What is held of a group.
#[derive(Clone, Debug, Default)]
struct Newest {
    shown: Shown,
    /// By start, in µs.
    order: BTreeSet<(i64, RecordId)>,
}

impl Row for Newest {
    fn put(&self, to: &mut Put<'_>) {
        self.shown.put(to);
    }
    fn get(from: &mut Get<'_>) -> Option<Newest> {
        Some(Newest { shown: Shown::get(from)?, ..Newest::default() })
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

impl Latest {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Latest, Vec<Problem>> {
        let mut problems = Vec::new();
        let by = fields(&config.by, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Latest {
            groups: Groups::new(GROUPS, by.len()),
            by,
            by_text: Basis::new(config.by.join(",")),
            on: config.on,
            identity: Identity::default(),
            held: Table::new(HELD),
            tally: Tally::default(),
        })
    }

    fn add(&mut self, record: Record, out: &mut Emit<Record>) {
        let (by, kind) = (&self.by, record.kind);
        let Some(group) = self.groups.find(kind, None, |index| by[index].name(&record)) else {
            out.reject_record(&record, format!("more than {MAX_GROUPS} keys: its key is a further one"));
            return;
        };
        self.tally.superseded(kind);
        let known = self.held.get(&record.id);
        if known.is_some_and(|known| known.record.revision >= record.revision) {
            return;
        }
        let before = self.take(record.id).filter(|before| *before != group);
        let (at, id) = (record.start.as_micros(), record.id);
        self.held.insert(id, Held { record, group });
        let order = &mut self.groups.get_mut(group).state.order;
        order.insert((at, id));
        if order.len() > DEPTH
            && let Some((_, oldest)) = order.pop_first()
        {
            self.held.remove(&oldest);
        }
        before.into_iter().chain([group]).for_each(|group| self.show(group, out));
    }

    /// Takes a record out; the group that it was in.
    fn take(&mut self, id: RecordId) -> Option<u32> {
        let Held { record, group } = self.held.remove(&id)?;
        self.groups.get_mut(group).state.order.remove(&(record.start.as_micros(), id));
        Some(group)
    }

    /// Gives out the newest record of a group, if it is another than before.
    fn show(&mut self, number: u32, out: &mut Emit<Record>) {
        let group = self.groups.get(number);
        let mut shown = group.state.shown;
        let newest = group.state.order.last().and_then(|(_, id)| self.held.get(id));
        let Some(newest) = newest else {
            if let Some((life, revision)) = shown.withdraw() {
                let mut record =
                    Record::deleted(self.identity.of_group(&group.key, &[], life), group.key.kind);
                record.revision = revision;
                super::by::write(&self.by, &group.key.texts, &mut record);
                self.groups.change(number).state.shown = shown;
                self.tally.derived(record.kind);
                out.push(record);
            }
            return;
        };
        let Some(revision) = shown.show(digest(&newest.record, self.on)) else { return };
        let mut record = newest.record.clone();
        (record.id, record.revision) = (self.identity.of_group(&group.key, &[], shown.life), revision);
        self.groups.change(number).state.shown = shown;
        self.tally.derived(record.kind);
        out.push(record);
    }
}

/// A digest of what makes a change.
fn digest(record: &Record, on: On) -> u64 {
    // Records and values are plain data, which can be written.
    let bytes = match on {
        On::Value => rmp_serde::to_vec(&record.value),
        On::Record => rmp_serde::to_vec(record),
    };
    xxh3_64(&bytes.unwrap_or_default())
}

impl Transform for Latest {
    type In = Record;
    type Out = Record;

    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        self.identity = Identity::new(cx);
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            if !record.is_deletion() {
                self.add(record, out);
            } else if let Some(group) = self.take(record.id) {
                self.tally.superseded(record.kind);
                self.show(group, out);
            } else {
                self.tally.filtered(record.kind);
            }
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
                    let (id, held) = self.held.restore(key, value)?;
                    let (at, group) = (held.record.start.as_micros(), held.group);
                    if !self.groups.numbers().contains(&group) {
                        return Err(damaged());
                    }
                    self.groups.get_mut(group).state.order.insert((at, id));
                }
                _ => return Err(damaged()),
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{random::Random, testing::results_contract, testing::transform_contract};

    use super::*;
    use crate::transforms::testing::{deletion, is_refused, key_paths, quantity, records};

    fn latest(on: On) -> Latest {
        Latest::new(&Config { on, ..Config::default() }).expect("a configuration")
    }

    fn values(records: &[Record]) -> Vec<(bool, u32, Option<f64>)> {
        records.iter().map(|record| (record.is_deletion(), record.revision, record.value.as_f64())).collect()
    }

    /// Scenario: newer, older, equal, corrected and deleted records of one key. Guarantees: G2; one id, which changes as the newest
    /// record does, and a deletion when nothing is left.
    #[test]
    fn one_record_that_changes() {
        let input = [
            quantity(1, "BodyMass", 70.0, 10),
            quantity(2, "BodyMass", 71.0, 5),
            quantity(3, "BodyMass", 70.0, 20),
            quantity(4, "BodyMass", 72.0, 30),
            Record { revision: 1, ..quantity(4, "BodyMass", 73.0, 30) },
            deletion(4, None),
            deletion(3, Some("BodyMass")),
            deletion(1, None),
            deletion(2, None),
            deletion(9, None),
            quantity(5, "BodyMass", 80.0, 0),
        ];
        let output = transform_contract(|| latest(On::Value), &input, 0..30);
        let expected = [
            (false, 0, Some(70.0)),
            (false, 1, Some(72.0)),
            (false, 2, Some(73.0)),
            (false, 3, Some(70.0)),
            (false, 4, Some(71.0)),
            (true, 4, None),
            (false, 0, Some(80.0)),
        ];
        assert_eq!(values(&output), expected);
        assert!(output[..6].iter().all(|record| record.id == output[0].id) && output[6].id != output[0].id);
        let each = transform_contract(|| latest(On::Record), &input[..4], 0..9);
        assert_eq!(values(&each).len(), 3);
    }

    /// Scenario: random records in any order, of many keys. Guarantees: G2, G7; what a store shows in the end is the newest of each key,
    /// and what is held of a key is bounded.
    #[test]
    fn the_newest_of_each_key_is_shown() {
        let mut random = Random::from_seed(3);
        let mut input: Vec<Record> = records(400, 3);
        input.retain(|record| !record.is_deletion());
        input.iter_mut().enumerate().for_each(|(id, record)| {
            (record.id, record.revision) = (RecordId::from_u128(id as u128), 0);
        });
        let mut expected = std::collections::BTreeMap::<_, Record>::new();
        for record in &input {
            let key = (record.subject.clone(), record.kind);
            let newest = expected.entry(key).or_insert_with(|| record.clone());
            if (record.start, record.id) > (newest.start, newest.id) {
                *newest = record.clone();
            }
        }
        for _ in 0..5 {
            let output = results_contract(|| latest(On::Record), &input, 0..10);
            assert_eq!(output.len(), expected.len());
            for record in output.values() {
                let newest = &expected[&(record.subject.clone(), record.kind)];
                assert_eq!((record.start, &record.value), (newest.start, &newest.value));
            }
            for index in (1..input.len()).rev() {
                input.swap(index, random.below(index as u64 + 1) as usize);
            }
        }
        let mut stage = latest(On::Value);
        let keys = expected.len();
        stage.apply(&mut Batch::from(input), &mut Emit::new()).unwrap();
        assert!(stage.held.len() <= keys * DEPTH);
        transform_contract(|| latest(On::Value), &records(800, 5), 0..20);
    }

    /// Scenario: a restart with another `by`. Guarantees: G2; what is held is refused and not mixed up, and the message says what to do.
    #[test]
    fn another_key_is_refused() {
        is_refused(latest(On::Value), latest(On::Record), &records(50, 1), true);
        let other = Config { by: vec!["subject".into()], ..Config::default() };
        is_refused(latest(On::Value), Latest::new(&other).unwrap(), &records(50, 1), false);
    }

    /// Scenario: fields that are none. Guarantees: a problem at its place.
    #[test]
    fn problems_are_found() {
        let config = Config { by: vec!["subject".into(), "vlaue".into()], ..Config::default() };
        assert_eq!(key_paths(&config.check()), ["by.1"]);
    }
}
