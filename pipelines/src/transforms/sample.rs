//! `sample`: keeps a fraction of the records.
//!
//! Whether a record is kept is a function of its id: a replay keeps the same ones, a correction goes where the
//! record went that it corrects, and two pipelines with one fraction keep the same records. Deletions pass
//! untouched.

use afferent_core::{Batch, Emit, Problem, Record, Result, Transform, config::Configure};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

/// Configuration of [`Sample`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The fraction to keep: above 0, at most 1.
    pub fraction: f64,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Sample::new(self.clone()).err().unwrap_or_default()
    }
}

/// Keeps a fraction of the records.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Hashes below it are kept: the fraction of 2^64, which a `u64` can't hold if it is all.
    limit: u128,
}

/// How many hashes there are.
const HASHES: f64 = 18_446_744_073_709_551_616.0;

impl Sample {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// A fraction that is none.
    pub fn new(config: Config) -> Result<Sample, Vec<Problem>> {
        if config.fraction > 0.0 && config.fraction <= 1.0 {
            return Ok(Sample { limit: (config.fraction * HASHES) as u128 });
        }
        let problem = Problem::new(
            "fraction",
            format!("expected a number above 0 and at most 1, found {}", config.fraction),
        );
        Err(vec![problem.help("to keep one record in ten, write 0.1")])
    }

    fn keeps(&self, record: &Record) -> bool {
        u128::from(xxh3_64(&record.id.to_bytes())) < self.limit
    }
}

impl Transform for Sample {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let before = input.len();
        input.retain(|record| record.is_deletion() || self.keeps(record));
        out.filtered(before - input.len());
        out.take(input);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::transform_contract;

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn sample(fraction: f64) -> Sample {
        Sample::new(Config { fraction }).unwrap()
    }

    /// Scenario: a tenth, and all, of many ids, one after the other and mixed. Guarantees: the fraction is met,
    /// what it keeps does not depend on batches or restarts, corrections go with their record, deletions pass.
    #[test]
    fn keeps_a_fraction_by_id() {
        let input: Vec<Record> = (0..20_000).map(|id| quantity(id, "HeartRate", 60.0, 0)).collect();
        let kept = transform_contract(|| sample(0.1), &input, 0..3);
        assert!((1900..2100).contains(&kept.len()), "{}", kept.len());
        assert_eq!(transform_contract(|| sample(1.0), &input, 0..1).len(), input.len());
        for record in &kept {
            let mut correction = record.clone();
            correction.revision = 1;
            assert!(sample(0.1).keeps(&correction));
        }
        // These ids in this order on any machine and in any release: another hash would drop what was kept.
        let ids: Vec<u128> = kept.iter().take(4).map(|record| record.id.as_u128()).collect();
        assert_eq!(ids, [2, 4, 44, 67]);
        let deletions: Vec<Record> = (0..100).map(|id| deletion(id, None)).collect();
        assert_eq!(transform_contract(|| sample(1e-9), &deletions, 0..1), deletions);
        transform_contract(|| sample(0.5), &records(500, 3), 0..20);
    }

    /// Scenario: numbers that are no fraction. Guarantees: they are problems.
    #[test]
    fn what_is_no_fraction_is_a_problem() {
        for fraction in [0.0, -0.1, 1.1, 10.0, f64::NAN, f64::INFINITY] {
            assert_eq!(key_paths(&Config { fraction }.check()), ["fraction"], "{fraction}");
        }
    }
}
