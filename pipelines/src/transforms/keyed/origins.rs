//! [`Origins`]: the apps and devices of held records, each once.

use std::{collections::HashMap, sync::Arc};

use afferent_core::{Delta, Origin, Result};

use super::{
    recent::Recent,
    row::{Get, Put, Row, damaged},
    table::{Table, Tag},
};

/// The number of an origin; records name it by this.
pub(crate) type OriginNumber = u32;

/// The apps and devices of held records, each once: in memory, and in the checkpoint, where they would be most of a record. One
/// that no record has any more is forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    rows: Table<OriginNumber, Arc<Origin>>,
    numbers: HashMap<Arc<Origin>, OriginNumber, foldhash::fast::RandomState>,
    /// By number, how many held records have it.
    uses: Vec<u32>,
    /// Numbers that may be given again.
    free: Vec<OriginNumber>,
    /// What was found last: a few take turns.
    recent: Recent<Arc<Origin>, OriginNumber>,
}

impl Origins {
    pub(crate) fn new(tag: Tag) -> Origins {
        Origins {
            rows: Table::new(tag),
            numbers: HashMap::default(),
            uses: Vec::new(),
            free: Vec::new(),
            recent: Recent::default(),
        }
    }

    /// The number of an origin that one more record has.
    #[inline]
    pub(crate) fn take(&mut self, origin: &Arc<Origin>) -> OriginNumber {
        let known = self.recent.get(|known| Arc::ptr_eq(known, origin));
        let number = known.unwrap_or_else(|| self.find(origin));
        self.uses[number as usize] += 1;
        number
    }

    fn find(&mut self, origin: &Arc<Origin>) -> OriginNumber {
        let number = self.numbers.get(origin).copied().unwrap_or_else(|| {
            let number = self.free.pop().unwrap_or(self.uses.len() as OriginNumber);
            self.put(number, origin.clone());
            self.rows.insert(number, origin.clone());
            number
        });
        self.recent.put(origin.clone(), number);
        number
    }

    fn put(&mut self, number: OriginNumber, origin: Arc<Origin>) {
        self.numbers.insert(origin, number);
        let count = self.uses.len().max(number as usize + 1);
        self.uses.resize(count, 0);
    }

    /// The origin of this number.
    #[inline]
    pub(crate) fn get(&self, number: OriginNumber) -> Option<&Arc<Origin>> {
        self.rows.get(&number)
    }

    /// One record less has it.
    pub(crate) fn give_back(&mut self, number: OriginNumber) {
        let uses = &mut self.uses[number as usize];
        *uses -= 1;
        if *uses == 0
            && let Some(origin) = self.rows.remove(&number)
        {
            self.numbers.remove(&origin);
            self.free.push(number);
            self.recent = Recent::default();
        }
    }

    /// Adds what changed to `changes`.
    pub(crate) fn save(&mut self, changes: &mut Delta) {
        self.rows.save(changes);
    }

    /// Takes up a saved row, whose key is `key` without its tag. They come before the records that name them.
    ///
    /// # Errors
    /// `State` when it is damaged or of a newer version.
    pub(crate) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (number, origin) = self.rows.restore(key, value)?;
        let origin = origin.clone();
        // Numbers are given from the lowest on.
        if number as usize > MOST || self.numbers.contains_key(&origin) {
            return Err(damaged());
        }
        self.put(number, origin);
        Ok(())
    }

    /// A restored record has this one.
    ///
    /// # Errors
    /// `State` when there is no such origin.
    pub(crate) fn restored(&mut self, number: OriginNumber) -> Result<()> {
        self.rows.get(&number).ok_or_else(damaged)?;
        self.uses[number as usize] += 1;
        Ok(())
    }

    /// All that will be were restored.
    pub(crate) fn complete(&mut self) {
        let unused = |number: &OriginNumber| self.rows.get(number).is_none();
        self.free = (0..self.uses.len() as OriginNumber).rev().filter(unused).collect();
    }
}

/// Highest number that is believed: a stage has hardly more origins than records, and few are deleted and not told yet.
const MOST: usize = 2 * super::sample::MOST_SAMPLES;

impl Row for Arc<Origin> {
    fn put(&self, to: &mut Put<'_>) {
        to.plain(&**self);
    }
    fn get(from: &mut Get<'_>) -> Option<Arc<Origin>> {
        from.plain().map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use afferent_core::random::Random;

    use super::*;

    fn origin(number: u64) -> Arc<Origin> {
        Arc::new(Origin { name: Some(format!("app {number}").into()), ..Origin::default() })
    }

    /// Scenario: records with a few origins come and go, with snapshots and restarts between. Guarantees: G1, G7; a record
    /// gets back what it had, however often numbers are given again, and nothing is held that no record has.
    #[test]
    fn each_is_held_once_while_a_record_has_it() {
        let mut random = Random::from_seed(1);
        let (mut origins, mut rows) = (Origins::new(7), BTreeMap::<Vec<u8>, Vec<u8>>::new());
        let mut records: Vec<(OriginNumber, u64)> = Vec::new();
        for _ in 0..10_000 {
            if random.chance(0.5) {
                let number = random.below(40);
                records.push((origins.take(&origin(number)), number));
            } else if !records.is_empty() {
                let (number, _) = records.swap_remove(random.below(records.len() as u64) as usize);
                origins.give_back(number);
            }
            for (number, expected) in &records {
                assert_eq!(origins.get(*number), Some(&origin(*expected)));
            }
            let distinct: std::collections::BTreeSet<u64> = records.iter().map(|record| record.1).collect();
            assert_eq!(origins.rows.len(), distinct.len());
            if random.chance(0.01) {
                let mut changes = Delta::new();
                origins.save(&mut changes);
                for (key, value) in changes.iter() {
                    match value {
                        Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                        None => rows.remove(key),
                    };
                }
                origins = Origins::new(7);
                for (key, value) in &rows {
                    origins.restore(&key[1..], value).unwrap();
                }
                records.iter().for_each(|(number, _)| origins.restored(*number).unwrap());
                origins.complete();
                assert!(origins.restored(1000).is_err());
            }
        }
    }
}
