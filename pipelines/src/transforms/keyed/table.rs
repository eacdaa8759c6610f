//! [`Table`]: rows by key that know what changed.

use std::{collections::HashSet, hash::Hash};

use afferent_core::{Delta, RecordId, Result};

use super::{
    index::Index,
    row::{Row, damaged, read},
};

/// The first byte of the keys of a table's rows.
pub(crate) type Tag = u8;

/// The list of changes has one entry for so many rows at most: passing over a row is much less than looking one up, so with more
/// of them all rows are passed over.
const MANY: usize = 8;

/// How many entries the list of changes may have, however few rows there are.
const FEW: usize = 1024;

/// A table with so many rows is larger than the nearer caches of a processor.
const COLD: usize = 1 << 15;

/// What rows are kept under.
pub(crate) trait Key: Copy + Eq + Hash {
    /// Writes it behind a tag.
    fn write(&self, to: &mut Vec<u8>);
    /// Reads it back.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Key for RecordId {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_bytes());
    }
    fn read(bytes: &[u8]) -> Option<RecordId> {
        bytes.try_into().ok().map(|bytes| RecordId::from_u128(u128::from_be_bytes(bytes)))
    }
}

impl Key for u32 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Option<u32> {
        bytes.try_into().ok().map(u32::from_be_bytes)
    }
}

impl Key for u64 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Option<u64> {
        bytes.try_into().ok().map(u64::from_be_bytes)
    }
}

/// A group, and two instants in it: the bounds of a window.
impl Key for (u32, i64, i64) {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_be_bytes());
        to.extend_from_slice(&self.1.to_be_bytes());
        to.extend_from_slice(&self.2.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Option<(u32, i64, i64)> {
        let (group, rest) = bytes.split_first_chunk()?;
        let (start, end) = rest.split_first_chunk()?;
        let end = i64::from_be_bytes(end.try_into().ok()?);
        Some((u32::from_be_bytes(*group), i64::from_be_bytes(*start), end))
    }
}

#[derive(Clone, Debug)]
struct Slot<K, R> {
    key: K,
    row: R,
    /// Whether the checkpoint has a row under this key.
    saved: bool,
    /// Whether it is new or other than at the last snapshot.
    changed: bool,
}

/// Which rows changed.
#[derive(Clone, Debug)]
struct Changes<K> {
    /// Every key that changed and is there, and some that are not any more; unless there were too `many`.
    keys: Vec<K>,
    many: bool,
}

impl<K> Changes<K> {
    /// Adds a key of a table that has so many `rows`.
    #[inline]
    fn add(&mut self, key: K, rows: usize) {
        if self.many {
            return;
        }
        self.keys.push(key);
        if self.keys.len() > FEW + rows / MANY {
            self.keys.clear();
            self.many = true;
        }
    }
}

/// Rows by key that know what changed since the last snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, R> {
    tag: Tag,
    /// In one piece of memory, so that a checkpoint after which many have changed passes over it instead of looking each up.
    slots: Vec<Slot<K, R>>,
    index: Index<K>,
    changes: Changes<K>,
    /// Rows that the checkpoint has and that are gone, by place and key.
    gone: HashSet<(Option<i64>, K), foldhash::fast::RandomState>,
    /// Keys whose rows the checkpoint has without their places, as programs before wrote them.
    unplaced: Vec<K>,
}

/// Writes the key of a saved row.
fn write_key<K: Key>(tag: Tag, place: Option<i64>, key: &K, to: &mut Vec<u8>) {
    to.push(tag);
    if let Some(place) = place {
        to.extend_from_slice(&place_bytes(place));
    }
    key.write(to);
}

/// A place in bytes that are in the order of places.
fn place_bytes(place: i64) -> [u8; 8] {
    (place ^ i64::MIN).to_be_bytes()
}

impl<K: Key, R: Row> Table<K, R> {
    pub(crate) fn new(tag: Tag) -> Table<K, R> {
        Table {
            tag,
            slots: Vec::new(),
            index: Index::default(),
            changes: Changes { keys: Vec::new(), many: false },
            gone: HashSet::default(),
            unplaced: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn find(&self, key: &K) -> Option<usize> {
        self.index.find(key, |at| self.slots[at].key == *key)
    }

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&R> {
        self.find(key).map(|at| &self.slots[at].row)
    }

    /// Looks up what is about to be looked up one by one, with other work between: here the processor waits for many places in memory at
    /// once, which takes a fraction of the time. Changes nothing.
    pub(crate) fn foresee(&self, keys: impl Iterator<Item = K>) {
        if self.slots.len() >= COLD {
            std::hint::black_box(keys.filter(|key| self.find(key).is_some()).count());
        }
    }

    /// The row, to be changed.
    pub(crate) fn change(&mut self, key: &K) -> Option<&mut R> {
        let at = self.find(key)?;
        self.note(at);
        Some(&mut self.slots[at].row)
    }

    /// Lets `update` change the row, and say whether it has; only then the row is saved. Gives what it said.
    pub(crate) fn change_if(&mut self, key: &K, update: impl FnOnce(&mut R) -> bool) -> bool {
        let Some(at) = self.find(key) else { return false };
        let changed = update(&mut self.slots[at].row);
        if changed {
            self.note(at);
        }
        changed
    }

    /// The row at `at` changes.
    #[inline]
    fn note(&mut self, at: usize) {
        let rows = self.slots.len();
        let slot = &mut self.slots[at];
        if !slot.changed {
            slot.changed = true;
            self.changes.add(slot.key, rows);
        }
    }

    /// Keeps `row`, in place of the one that is there, which it gives.
    #[inline]
    pub(crate) fn insert(&mut self, key: K, row: R) -> Option<R> {
        let Some(at) = self.find(&key) else {
            let saved = !self.gone.is_empty() && self.gone.remove(&(row.place(), key));
            self.push(Slot { key, row, saved, changed: true });
            return None;
        };
        self.note(at);
        let slot = &mut self.slots[at];
        let before = std::mem::replace(&mut slot.row, row);
        let (from, to) = (before.place(), slot.row.place());
        if from != to {
            if slot.saved {
                self.gone.insert((from, key));
            }
            slot.saved = self.gone.remove(&(to, key));
        }
        Some(before)
    }

    /// Adds a row whose key is not there.
    #[inline]
    fn push(&mut self, slot: Slot<K, R>) {
        let (key, at, changed) = (slot.key, self.slots.len(), slot.changed);
        self.slots.push(slot);
        if changed {
            self.changes.add(key, at + 1);
        }
        // Comes last: it writes to a cold place, for which the processor would wait before it reads what it wrote after that.
        self.index.put(&key, at);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<R> {
        let at = self.index.remove(key, |at| self.slots[at].key == *key)?;
        let slot = self.slots.swap_remove(at);
        if let Some(moved) = self.slots.get(at) {
            self.index.shift(&moved.key, self.slots.len(), at);
        }
        if slot.saved {
            self.gone.insert((slot.row.place(), *key));
        }
        Some(slot.row)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &R)> {
        self.slots.iter().map(|slot| (&slot.key, &slot.row))
    }

    /// Adds what changed to `changes`.
    pub(crate) fn save(&mut self, changes: &mut Delta) {
        let tag = self.tag;
        let mut gone = Vec::new();
        let unplaced = std::mem::take(&mut self.unplaced).into_iter().map(|key| (None, key));
        for (place, key) in self.gone.drain().chain(unplaced) {
            gone.clear();
            write_key(tag, place, &key, &mut gone);
            changes.remove(&gone);
        }
        let mut save = |slot: &mut Slot<K, R>| {
            if slot.changed {
                (slot.saved, slot.changed) = (true, false);
                let place = slot.row.place();
                changes.write(|to| write_key(tag, place, &slot.key, to), |to| slot.row.write(to));
            }
        };
        if std::mem::take(&mut self.changes.many) {
            self.slots.iter_mut().for_each(save);
            return;
        }
        for key in self.changes.keys.drain(..) {
            if let Some(at) = self.index.find(&key, |at| self.slots[at].key == key) {
                save(&mut self.slots[at]);
            }
        }
    }

    /// Takes up a saved row, whose key is `key` without its tag; gives both.
    ///
    /// # Errors
    /// `State` when it is damaged or of a newer version.
    pub(crate) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(K, &mut R)> {
        let row: R = read(value)?;
        let place = row.place().map(place_bytes);
        let at_place = match &place {
            Some(place) => key.strip_prefix(place).and_then(K::read),
            None => K::read(key),
        };
        let (key, is_placed) = match at_place {
            Some(key) => (key, true),
            None if place.is_some() => (K::read(key).ok_or_else(damaged)?, false),
            None => return Err(damaged()),
        };
        if self.find(&key).is_some() {
            return Err(damaged());
        }
        if !is_placed {
            self.unplaced.push(key);
        }
        let at = self.slots.len();
        self.push(Slot { key, row, saved: is_placed, changed: !is_placed });
        Ok((key, &mut self.slots[at].row))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use afferent_core::random::Random;

    use super::*;
    use crate::transforms::keyed::{Get, Put};

    #[derive(Clone, Debug, PartialEq)]
    struct Number {
        number: u32,
        place: Option<i64>,
    }

    impl Row for Number {
        fn put(&self, to: &mut Put<'_>) {
            to.u32(self.number);
            to.u8(u8::from(self.place.is_some()));
            to.i64(self.place.unwrap_or_default());
        }
        fn get(from: &mut Get<'_>) -> Option<Number> {
            let (number, is_placed, place) = (from.u32()?, from.u8()? != 0, from.i64()?);
            Some(Number { number, place: is_placed.then_some(place) })
        }
        fn place(&self) -> Option<i64> {
            self.place
        }
    }

    /// What a checkpoint has after `changes`.
    fn take(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: &Delta) {
        for (key, value) in changes.iter() {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
    }

    /// Scenario: random insertions, changes and removals, with snapshots between, against a map; of rows in the order of their
    /// keys, and of rows that have a place and change it. Guarantees: G1; what the
    /// snapshots make up is what the table holds, each key is named once, and nothing that did not change is named.
    #[test]
    fn snapshots_make_up_the_table() {
        for is_placed in [false, true] {
            snapshots_make_up(is_placed);
        }
    }

    fn snapshots_make_up(is_placed: bool) {
        let mut random = Random::from_seed(1);
        let (mut table, mut rows) = (Table::<u32, Number>::new(7), BTreeMap::new());
        let mut model = BTreeMap::new();
        for step in 0..20_000 {
            let (key, value) = (random.below(300) as u32, random.u64() as u32);
            match random.below(5) {
                0 => {
                    assert_eq!(table.remove(&key).map(|row| row.number), model.remove(&key));
                }
                1 => {
                    if let Some(row) = table.change(&key) {
                        row.number = value;
                        model.insert(key, value);
                    }
                }
                2 => {
                    let is_changed = table.change_if(&key, |row| {
                        let is_other = value.is_multiple_of(2);
                        row.number = if is_other { value } else { row.number };
                        is_other
                    });
                    if is_changed {
                        model.insert(key, value);
                    }
                }
                _ => {
                    let place = is_placed.then(|| random.below(4) as i64 - 2);
                    table.insert(key, Number { number: value, place });
                    model.insert(key, value);
                }
            }
            if random.chance(0.002) || step == 19_999 {
                let mut changes = Delta::new();
                table.save(&mut changes);
                let before = rows.clone();
                take(&mut rows, &changes);
                assert_eq!(rows.len(), model.len());
                let named = before.keys().filter(|key| !rows.contains_key(*key)).count();
                assert!(changes.iter().filter(|(_, value)| value.is_none()).count() <= named);
                let keys: std::collections::BTreeSet<_> = changes.iter().map(|(key, _)| key).collect();
                assert_eq!(keys.len(), changes.len());
                let mut restored = Table::<u32, Number>::new(7);
                for (key, value) in &rows {
                    assert_eq!(key[0], 7);
                    restored.restore(&key[1..], value).unwrap();
                }
                let held: BTreeMap<u32, u32> = restored.iter().map(|(key, row)| (*key, row.number)).collect();
                assert_eq!(held, model);
                let mut none = Delta::new();
                restored.save(&mut none);
                table.save(&mut none);
                assert!(none.is_empty(), "{none:?}");
            }
        }
    }

    /// Scenario: rows that have a place and were saved without it; one is removed before the next snapshot, the others
    /// are not touched. Guarantees: G1; they are read, and the next snapshot puts each where it belongs.
    #[test]
    fn rows_without_their_places_are_read() {
        let mut rows = BTreeMap::new();
        let mut table = Table::<u32, Number>::new(7);
        for number in 0..100_u32 {
            let row = Number { number, place: Some(-i64::from(number)) };
            let (mut key, mut value) = (vec![7], Vec::new());
            number.write(&mut key);
            row.write(&mut value);
            table.restore(&key[1..], &value).unwrap();
            rows.insert(key, value);
        }
        assert!(
            table.restore(&3_u32.to_be_bytes(), rows.values().nth(3).unwrap()).is_err(),
            "one is there twice"
        );
        table.remove(&5);
        let mut changes = Delta::new();
        table.save(&mut changes);
        take(&mut rows, &changes);
        let mut again = Table::<u32, Number>::new(7);
        for (key, value) in &rows {
            assert_eq!(key.len(), 1 + 8 + 4);
            again.restore(&key[1..], value).unwrap();
        }
        let numbers: Vec<u32> = again.iter().map(|(_, row)| row.number).collect();
        assert_eq!(
            numbers,
            (0..100).rev().filter(|number| *number != 5).collect::<Vec<_>>(),
            "in the order of their places"
        );
        let mut none = Delta::new();
        again.save(&mut none);
        assert!(none.is_empty());
    }

    /// Scenario: many rows that come and go between two snapshots. Guarantees: G7; the list of changes is bounded by what is
    /// there, and they cost the checkpoint nothing.
    #[test]
    fn what_comes_and_goes_costs_nothing() {
        let mut table = Table::<u32, Number>::new(1);
        for key in 0..100_000 {
            table.insert(key, Number { number: key, place: None });
            table.remove(&key.saturating_sub(10));
        }
        assert!(table.changes.keys.len() < 2000, "{}", table.changes.keys.len());
        let mut changes = Delta::new();
        table.save(&mut changes);
        assert_eq!(changes.len(), 10);
    }
}
