//! The last so many keys, in the order in which they came: bounded state for [`dedupe`](super::dedupe) and
//! [`throttle`](super::throttle).
//!
//! Keys are numbered by arrival, and saved in rows of up to [`CHUNK`]: so the order survives a restart, eviction goes on where it
//! was, a snapshot holds what came since the last one, and where much comes between two, a restart reads few rows. There are two
//! sorts of rows, whose values begin with [`ROW_VERSION`]:
//!
//! | key | value |
//! |---|---|
//! | the number of the row's first key, 8 bytes, big-endian | each key and what it maps to |
//! | empty | the number of the oldest key that is still there, 8 bytes, big-endian; none is 0 |

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use afferent_core::{Delta, Error, Result, Snapshot, State};

/// Version of the rows. Those of version 1 have one key each, and the oldest row has the oldest key.
const ROW_VERSION: u8 = 2;
/// Most keys in a row: about a page of the state database.
const CHUNK: usize = 100;

/// The last `capacity` keys of `K` bytes, each with `V` bytes. First in, first out.
#[derive(Clone, Debug)]
pub(super) struct Recent<const K: usize, const V: usize> {
    capacity: usize,
    entries: HashMap<[u8; K], [u8; V], foldhash::fast::RandomState>,
    order: VecDeque<[u8; K]>,
    /// The number of the oldest key.
    first: u64,
    saved: Saved,
}

/// What is in the checkpoint.
#[derive(Clone, Debug, Default)]
struct Saved {
    /// The numbers of the rows' first keys.
    rows: VecDeque<u64>,
    /// The number after the last key.
    end: u64,
    /// The number of the oldest key.
    first: u64,
}

impl<const K: usize, const V: usize> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Recent<K, V> {
        let (entries, order) = (HashMap::default(), VecDeque::new());
        Recent { capacity, entries, order, first: 0, saved: Saved::default() }
    }

    /// What `key` maps to, if it is there; else it is added, mapped to `value`, and the oldest goes if there
    /// were too many.
    pub(super) fn get_or_insert(&mut self, key: [u8; K], value: [u8; V]) -> Option<[u8; V]> {
        match self.entries.entry(key) {
            Entry::Occupied(entry) => return Some(*entry.get()),
            Entry::Vacant(entry) => entry.insert(value),
        };
        self.order.push_back(key);
        self.evict();
        None
    }

    fn evict(&mut self) {
        while self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
            self.first += 1;
        }
    }

    /// The number after the last key.
    fn end(&self) -> u64 {
        self.first + self.order.len() as u64
    }

    /// What changed since the last snapshot.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let (first, end) = (self.first, self.end());
        if (self.saved.first, self.saved.end) == (first, end) {
            return Snapshot::Unchanged;
        }
        let mut delta = Delta::new();
        while let Some(&row) = self.saved.rows.front()
            && self.saved.rows.get(1).copied().unwrap_or(self.saved.end) <= first
        {
            delta.remove(&row.to_be_bytes());
            self.saved.rows.pop_front();
        }
        let new = (self.saved.end.max(first) - first) as usize;
        let mut number = first + new as u64;
        let keys: Vec<&[u8; K]> = self.order.range(new..).collect();
        for keys in keys.chunks(CHUNK) {
            let row = |to: &mut Vec<u8>| {
                to.push(ROW_VERSION);
                for key in keys {
                    to.extend_from_slice(*key);
                    let value =
                        self.entries.get(*key).expect("invariant: every key in the order has an entry");
                    to.extend_from_slice(value);
                }
            };
            delta.write(|to| to.extend_from_slice(&number.to_be_bytes()), row);
            self.saved.rows.push_back(number);
            number += keys.len() as u64;
        }
        if self.saved.first != first {
            delta.put(&[], &[&[ROW_VERSION][..], &first.to_be_bytes()].concat());
        }
        (self.saved.first, self.saved.end) = (first, end);
        Snapshot::Delta(delta)
    }

    /// Takes up saved rows. If the capacity was lowered, the oldest go, also from the next checkpoint.
    ///
    /// # Errors
    /// `State` when rows are damaged or of a newer version.
    pub(super) fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (number, value) = row?;
            let (version, contents) = contents(&value)?;
            if number.is_empty() {
                // It comes before all others.
                self.first = number_of(contents)?;
                continue;
            }
            let number = number_of(&number)?;
            if self.saved.rows.is_empty() {
                self.saved.end = number;
                if version == 1 && self.first == 0 {
                    self.first = number;
                }
            }
            if number != self.saved.end || contents.is_empty() || contents.len() % (K + V) > 0 {
                return Err(damaged());
            }
            self.saved.rows.push_back(number);
            for entry in contents.chunks_exact(K + V) {
                self.take(entry)?;
            }
        }
        if self.end() != self.saved.end || self.saved.rows.front().is_some_and(|row| *row > self.first) {
            return Err(damaged());
        }
        self.saved.first = self.first;
        self.evict();
        Ok(())
    }

    /// Takes up the next saved key, unless it was evicted since.
    fn take(&mut self, entry: &[u8]) -> Result<()> {
        let (key, value) = entry.split_at(K);
        let (key, value) = (key.try_into().map_err(|_| damaged())?, value.try_into().map_err(|_| damaged())?);
        if self.saved.end >= self.first {
            if self.entries.insert(key, value).is_some() {
                return Err(damaged());
            }
            self.order.push_back(key);
        }
        self.saved.end = self.saved.end.checked_add(1).ok_or_else(damaged)?;
        Ok(())
    }
}

/// The version of a row, and what is in it.
fn contents(row: &[u8]) -> Result<(u8, &[u8])> {
    match row.split_first() {
        Some((&version, _)) if version > ROW_VERSION => Err(Error::state(format!(
            "the saved keys have version {version}, this program reads up to {ROW_VERSION}; use the program that wrote them, or a newer one"
        ))),
        Some((&version, rest)) if version > 0 => Ok((version, rest)),
        _ => Err(damaged()),
    }
}

fn number_of(bytes: &[u8]) -> Result<u64> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::state("the saved keys are damaged; start the pipeline again with --from-start to forget them")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use afferent_core::{ErrorKind, random::Random};

    use super::*;

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    fn save<const K: usize, const V: usize>(recent: &mut Recent<K, V>, rows: &mut Rows) -> usize {
        let Snapshot::Delta(changes) = recent.snapshot() else { return 0 };
        let count = changes.len();
        for (key, value) in changes.iter() {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
        count
    }

    fn restored<const K: usize, const V: usize>(capacity: usize, rows: &Rows) -> Result<Recent<K, V>> {
        let mut recent = Recent::new(capacity);
        recent.restore(Box::new(rows.clone().into_iter().map(Ok)))?;
        Ok(recent)
    }

    /// Scenario: keys come and go, with snapshots between. Guarantees: G7; a snapshot costs what changed, and a
    /// restart evicts in the same order, also with a lower capacity.
    #[test]
    fn evicts_in_order_across_restarts() {
        let (mut recent, mut rows) = (Recent::<1, 1>::new(3), Rows::new());
        for key in 0..5 {
            assert_eq!(recent.get_or_insert([key], [key + 10]), None);
        }
        assert_eq!(save(&mut recent, &mut rows), 2, "what came and went between two snapshots costs nothing");
        assert_eq!(recent.snapshot(), Snapshot::Unchanged);
        assert_eq!(recent.get_or_insert([4], [0]), Some([14]));
        assert_eq!(recent.snapshot(), Snapshot::Unchanged);
        recent.get_or_insert([5], [15]);
        assert_eq!(save(&mut recent, &mut rows), 2, "one came, and another is the oldest");
        let mut again: Recent<1, 1> = restored(3, &rows).unwrap();
        assert_eq!(again.snapshot(), Snapshot::Unchanged);
        assert_eq!(again.order, recent.order);
        assert_eq!(again.get_or_insert([3], [0]), Some([13]));
        let mut smaller: Recent<1, 1> = restored(1, &rows).unwrap();
        assert_eq!(smaller.order, [[5]]);
        assert_eq!(save(&mut smaller, &mut rows), 2, "a row went");
        assert_eq!(restored::<1, 1>(9, &rows).unwrap().order, [[5]]);
    }

    /// Scenario: thousands of keys of a few, so that evicted ones come again, in many rows, with snapshots and restarts at random
    /// places, against one that is never restarted. Guarantees: G1; both hold the same, and the rows hold little more.
    #[test]
    fn restarts_change_nothing() {
        let mut random = Random::from_seed(1);
        for capacity in [1, 7, CHUNK, 3 * CHUNK + 1] {
            let (mut recent, mut whole) = (Recent::<2, 2>::new(capacity), Recent::<2, 2>::new(capacity));
            let mut rows = Rows::new();
            for step in 0..5000_u16 {
                let key = (random.below(capacity as u64 * 2) as u16).to_be_bytes();
                let value = step.to_be_bytes();
                assert_eq!(
                    recent.get_or_insert(key, value),
                    whole.get_or_insert(key, value),
                    "{capacity} {step}"
                );
                if random.chance(0.01) {
                    save(&mut recent, &mut rows);
                    assert!(
                        rows.values().map(|row| row.len() / 4).sum::<usize>()
                            <= capacity + CHUNK + rows.len()
                    );
                }
                if random.chance(0.01) {
                    save(&mut recent, &mut rows);
                    recent = restored(capacity, &rows).unwrap();
                    assert_eq!(recent.snapshot(), Snapshot::Unchanged);
                }
            }
        }
    }

    /// Scenario: rows as programs of before wrote them, one for each key. Guarantees: G5: they are read, and go as others do.
    #[test]
    fn rows_of_before_are_read() {
        let mut rows: Rows =
            (5..8_u8).map(|key| (u64::from(key).to_be_bytes().to_vec(), vec![1, key, 0])).collect();
        let mut recent: Recent<1, 1> = restored(3, &rows).unwrap();
        assert_eq!(recent.snapshot(), Snapshot::Unchanged);
        assert_eq!(recent.order, [[5], [6], [7]]);
        recent.get_or_insert([8], [0]);
        assert_eq!(save(&mut recent, &mut rows), 3, "a row went, one came, and another key is the oldest");
        assert_eq!(restored::<1, 1>(3, &rows).unwrap().order, [[6], [7], [8]]);
    }

    /// Scenario: damaged rows, and rows of a newer program. Guarantees: G5, a clear error of kind `State`.
    #[test]
    fn damage_is_refused() {
        let row = |number: u64, value: &[u8]| (number.to_be_bytes().to_vec(), value.to_vec());
        let first = |number: u64| (Vec::new(), [&[ROW_VERSION][..], &number.to_be_bytes()].concat());
        for rows in [
            vec![row(0, &[ROW_VERSION, 1])],
            vec![row(0, &[ROW_VERSION])],
            vec![row(0, &[])],
            vec![row(0, &[0, 1, 1])],
            vec![row(0, &[ROW_VERSION + 1, 1, 1])],
            vec![row(0, &[ROW_VERSION, 1, 1, 2, 1]), row(1, &[ROW_VERSION, 3, 1])],
            vec![row(0, &[ROW_VERSION, 1, 1]), row(2, &[ROW_VERSION, 2, 1])],
            vec![row(0, &[ROW_VERSION, 1, 1]), row(1, &[ROW_VERSION, 1, 1])],
            vec![(vec![0], vec![ROW_VERSION, 1, 1])],
            vec![(Vec::new(), vec![ROW_VERSION, 1, 1])],
            vec![row(3, &[ROW_VERSION, 1, 1])],
            vec![first(9)],
            vec![first(9), row(3, &[ROW_VERSION, 1, 1])],
            vec![first(1), row(3, &[ROW_VERSION, 1, 1])],
        ] {
            let error = restored::<1, 1>(3, &rows.into_iter().collect()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::State);
        }
    }
}
