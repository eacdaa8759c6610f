//! `dedupe`: drops records that came before.
//!
//! Two records are the same if id, change and revision are: a correction and a deletion are other records than
//! the one that they are about. The last `capacity` records are remembered, in the checkpoint too; a repeat
//! that comes later than that passes. When one is forgotten depends on the order of arrival only.
//!
//! A repeat is counted as superseded.

use afferent_core::{
    Batch, Change, Emit, Problem, Record, Result, Snapshot, State, Transform, config::Configure,
};
use serde::Deserialize;

use super::recent::Recent;

/// How many records are remembered if the file does not say: a day of a very busy feed, and about 6 MiB of
/// memory when all are there.
pub const DEFAULT_CAPACITY: usize = 100_000;

/// Highest `capacity`: about 700 MiB.
pub const MAX_CAPACITY: usize = 10_000_000;

/// Configuration of [`Dedupe`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many records are remembered.
    #[serde(default = "default_capacity")]
    pub capacity: usize,
}

fn default_capacity() -> usize {
    DEFAULT_CAPACITY
}

impl Default for Config {
    fn default() -> Config {
        Config { capacity: DEFAULT_CAPACITY }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        check_capacity(self.capacity)
    }
}

/// Also `throttle`'s.
pub(super) fn check_capacity(capacity: usize) -> Vec<Problem> {
    if (1..=MAX_CAPACITY).contains(&capacity) {
        return Vec::new();
    }
    vec![Problem::new("capacity", format!("expected a number from 1 to {MAX_CAPACITY}, found {capacity}"))]
}

/// Drops records that came before.
#[derive(Clone, Debug)]
pub struct Dedupe {
    seen: Recent<KEY_BYTES, 0>,
}

/// Id, revision and change: all of them and not a hash, so that nothing is ever dropped by coincidence (G1).
const KEY_BYTES: usize = 16 + 4 + 1;

impl Dedupe {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// A capacity that is out of bounds.
    pub fn new(config: Config) -> Result<Dedupe, Vec<Problem>> {
        let problems = config.check();
        if problems.is_empty() { Ok(Dedupe { seen: Recent::new(config.capacity) }) } else { Err(problems) }
    }
}

fn key(record: &Record) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..16].copy_from_slice(&record.id.to_bytes());
    key[16..20].copy_from_slice(&record.revision.to_be_bytes());
    key[20] = match record.change {
        Change::Added => 0,
        Change::Deleted => 1,
    };
    key
}

impl Transform for Dedupe {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let before = input.len();
        input.retain(|record| self.seen.get_or_insert(key(record), []).is_none());
        out.superseded(before - input.len());
        out.take(input);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(self.seen.snapshot())
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.seen.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::transform_contract;

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn dedupe(capacity: usize) -> Dedupe {
        Dedupe::new(Config { capacity }).unwrap()
    }

    /// Scenario: repeats of an addition, a correction and a deletion. Guarantees: G2, each passes once; repeats
    /// are superseded.
    #[test]
    fn drops_what_came_before() {
        let addition = quantity(1, "HeartRate", 60.0, 0);
        let correction = Record { revision: 1, ..addition.clone() };
        let deletion = deletion(1, Some("HeartRate"));
        let once = [addition, correction, deletion];
        let twice = once.iter().chain(&once).cloned().collect::<Vec<_>>();
        assert_eq!(transform_contract(|| dedupe(9), &twice, 0..5), once);

        let mut out = Emit::new();
        dedupe(9).apply(&mut Batch::from(twice), &mut out).unwrap();
        assert_eq!(out.counts().superseded, 3);
    }

    /// Scenario: a repeat after as many other records as are remembered, and one after fewer, cut into batches
    /// and restarted anywhere. Guarantees: G7, and the same records are forgotten in every run.
    #[test]
    fn remembers_the_last_records() {
        let ids = [1, 2, 3, 2, 4, 1, 3, 2];
        let input = ids.map(|id| quantity(id, "HeartRate", 60.0, 0));
        let output = transform_contract(|| dedupe(3), &input, 0..50);
        let kept: Vec<u128> = output.iter().map(|record| record.id.as_u128()).collect();
        assert_eq!(kept, [1, 2, 3, 4, 1, 2]);
        for capacity in [1, 7, 100, 10_000] {
            transform_contract(|| dedupe(capacity), &records(1000, 4), 0..10);
        }
    }

    /// Scenario: capacities out of bounds. Guarantees: they are problems.
    #[test]
    fn capacity_is_bounded() {
        assert_eq!(Config::default().check(), []);
        for capacity in [0, MAX_CAPACITY + 1] {
            assert_eq!(key_paths(&Config { capacity }.check()), ["capacity"]);
        }
    }
}
