//! `filter`: keeps the records that meet a condition.
//!
//! Deletions pass untouched: whoever was given a sample must hear of its end, and a deletion rarely has the
//! fields that the condition is about.

use afferent_core::{Batch, Emit, Problem, Record, Result, Transform, config::Configure};
use serde::Deserialize;

use super::at;
use crate::cel::Predicate;

/// Configuration of [`Filter`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The condition, in CEL: `type != 'HeartRate' || value > 30.0`.
    pub when: String,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Filter::new(self.clone()).err().unwrap_or_default()
    }
}

/// Keeps the records that meet a condition.
#[derive(Clone, Debug)]
pub struct Filter {
    when: Predicate,
}

impl Filter {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with the condition.
    pub fn new(config: Config) -> Result<Filter, Vec<Problem>> {
        let when = Predicate::compile(&config.when).map_err(|problems| -> Vec<Problem> {
            problems.into_iter().map(|problem| at(["when"], problem)).collect()
        })?;
        Ok(Filter { when })
    }
}

impl Transform for Filter {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let before = input.len();
        input.retain(|record| record.is_deletion() || self.when.matches(record));
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

    /// Scenario: records that meet the condition and others, with a deletion among them. Guarantees: G3, and
    /// deletions pass.
    #[test]
    fn keeps_what_meets_the_condition_and_deletions() {
        let input = [
            quantity(1, "HeartRate", 60.0, 0),
            quantity(2, "HeartRate", 20.0, 0),
            deletion(2, Some("HeartRate")),
            quantity(3, "StepCount", 5.0, 0),
            deletion(4, None),
        ];
        let make = || Filter::new(Config { when: "type != 'HeartRate' || value > 30".into() }).unwrap();
        let output = transform_contract(make, &input, 0..4);
        assert_eq!(output, [0, 2, 3, 4].map(|index: usize| input[index].clone()));
        transform_contract(make, &records(500, 2), 0..20);
    }

    /// Scenario: a condition with two mistakes. Guarantees: both are problems of `when`, with their ranges.
    #[test]
    fn problems_are_those_of_the_condition() {
        let problems = Config { when: "vlaue > 30 && type == 'HartRate'".into() }.check();
        assert_eq!(key_paths(&problems), ["when", "when"]);
        assert_eq!(problems[1].span, Some(22..32));
    }
}
