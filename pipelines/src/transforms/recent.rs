//! The last so many keys, in the order in which they came: bounded state for [`dedupe`](super::dedupe) and
//! [`throttle`](super::throttle).
//!
//! Saved as one row per key, numbered by arrival, so the order survives a restart and eviction goes on where it
//! was. A snapshot holds the rows that came and went since the last one: what it costs follows what changed.
//!
//! A row is the number of the key (8 bytes, big-endian) and, as its value, [`ROW_VERSION`], the key and what it
//! maps to.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    ops::Range,
};

use afferent_core::{Error, Result, Snapshot, State};

/// Version of the rows.
const ROW_VERSION: u8 = 1;

/// The last `capacity` keys of `K` bytes, each with `V` bytes. First in, first out.
#[derive(Clone, Debug)]
pub(super) struct Recent<const K: usize, const V: usize> {
    capacity: usize,
    entries: HashMap<[u8; K], [u8; V], foldhash::fast::RandomState>,
    order: VecDeque<[u8; K]>,
    /// The number of the oldest key.
    first: u64,
    /// The numbers of the rows in the checkpoint.
    saved: Range<u64>,
}

impl<const K: usize, const V: usize> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Recent<K, V> {
        Recent { capacity, entries: HashMap::default(), order: VecDeque::new(), first: 0, saved: 0..0 }
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

    fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.order.len() as u64
    }

    /// What changed since the last snapshot.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let now = self.numbers();
        let gone = self.saved.start..now.start.min(self.saved.end);
        let new = now.start.max(self.saved.end)..now.end;
        if gone.is_empty() && new.is_empty() {
            return Snapshot::Unchanged;
        }
        let gone = gone.map(|number| (number.to_be_bytes().to_vec(), None));
        let rows = new.map(|number| {
            let key = self.order[(number - now.start) as usize];
            let value = self.entries.get(&key).expect("invariant: every key in the order has an entry");
            (number.to_be_bytes().to_vec(), Some([&[ROW_VERSION], &key[..], &value[..]].concat()))
        });
        let delta = gone.chain(rows).collect();
        self.saved = now;
        Snapshot::Delta(delta)
    }

    /// Takes up saved rows. If the capacity was lowered, the oldest go, also from the next checkpoint.
    ///
    /// # Errors
    /// `State` when rows are damaged or of a newer version.
    pub(super) fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (number, value) = row?;
            let number = <[u8; 8]>::try_from(&number[..]).map(u64::from_be_bytes).map_err(|_| damaged())?;
            if self.order.is_empty() {
                self.first = number;
            }
            if number != self.numbers().end {
                return Err(damaged());
            }
            let (key, value) = read(&value)?;
            if self.entries.insert(key, value).is_some() {
                return Err(damaged());
            }
            self.order.push_back(key);
        }
        self.saved = self.numbers();
        self.evict();
        Ok(())
    }
}

fn read<const K: usize, const V: usize>(row: &[u8]) -> Result<([u8; K], [u8; V])> {
    match row.split_first() {
        Some((&version, _)) if version > ROW_VERSION => Err(Error::state(format!(
            "the saved keys have version {version}, this program reads up to {ROW_VERSION}; use the program that wrote them, or a newer one"
        ))),
        Some((&ROW_VERSION, rest)) if rest.len() == K + V => {
            let (key, value) = rest.split_at(K);
            Ok((key.try_into().map_err(|_| damaged())?, value.try_into().map_err(|_| damaged())?))
        }
        _ => Err(damaged()),
    }
}

fn damaged() -> Error {
    Error::state("the saved keys are damaged; start the pipeline again with --from-start to forget them")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use afferent_core::ErrorKind;

    use super::*;

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    fn save(recent: &mut Recent<1, 1>, rows: &mut Rows) -> usize {
        let Snapshot::Delta(changes) = recent.snapshot() else { return 0 };
        let count = changes.len();
        for (key, value) in changes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        count
    }

    fn restored(capacity: usize, rows: &Rows) -> Result<Recent<1, 1>> {
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
        assert_eq!(save(&mut recent, &mut rows), 3, "what came and went between two snapshots costs nothing");
        assert_eq!(recent.snapshot(), Snapshot::Unchanged);
        assert_eq!(recent.get_or_insert([4], [0]), Some([14]));
        assert_eq!(recent.snapshot(), Snapshot::Unchanged);
        recent.get_or_insert([5], [15]);
        assert_eq!(save(&mut recent, &mut rows), 2, "one row came, one went");
        let mut again = restored(3, &rows).unwrap();
        assert_eq!(again.snapshot(), Snapshot::Unchanged);
        assert_eq!(again.order, recent.order);
        assert_eq!(again.get_or_insert([3], [0]), Some([13]));
        let mut smaller = restored(1, &rows).unwrap();
        assert_eq!(smaller.order, [[5]]);
        assert_eq!(save(&mut smaller, &mut rows), 2);
        assert_eq!(restored(9, &rows).unwrap().order, [[5]]);
    }

    /// Scenario: damaged rows, and rows of a newer program. Guarantees: G5, a clear error of kind `State`.
    #[test]
    fn damage_is_refused() {
        let row = |number: u64, value: &[u8]| (number.to_be_bytes().to_vec(), value.to_vec());
        for rows in [
            vec![row(0, &[ROW_VERSION, 1])],
            vec![row(0, &[])],
            vec![row(0, &[0, 1, 1])],
            vec![row(0, &[ROW_VERSION + 1, 1, 1])],
            vec![row(0, &[ROW_VERSION, 1, 1]), row(2, &[ROW_VERSION, 2, 1])],
            vec![row(0, &[ROW_VERSION, 1, 1]), row(1, &[ROW_VERSION, 1, 1])],
            vec![(vec![0], vec![ROW_VERSION, 1, 1])],
        ] {
            let error = restored(3, &rows.into_iter().collect()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::State);
        }
    }
}
