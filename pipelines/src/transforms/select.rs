//! `select`: keeps the records of some types.
//!
//! It is about types, so it drops the deletions of other types too. A deletion without a type passes: it may be
//! of a sample that was kept.

use afferent_core::{Batch, Emit, Kind, Problem, Record, Result, Transform, config::Configure};
use serde::Deserialize;

use super::at;
use crate::cel::{KindSet, unknown_type};

/// Configuration of [`Select`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The types to keep, by short or full name.
    pub types: Vec<String>,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Select::new(self.clone()).err().unwrap_or_default()
    }
}

/// Keeps the records of some types.
#[derive(Clone, Debug)]
pub struct Select {
    kinds: KindSet,
}

impl Select {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// Unknown types, or none at all.
    pub fn new(config: Config) -> Result<Select, Vec<Problem>> {
        let (mut kinds, mut problems) = (Vec::new(), Vec::new());
        for (index, name) in config.types.iter().enumerate() {
            match Kind::parse(name) {
                Ok(kind) => kinds.push(kind),
                Err(unknown) => problems.push(at(["types", &index.to_string()], unknown_type(&unknown))),
            }
        }
        if config.types.is_empty() {
            problems.push(
                Problem::new("types", "no type is selected").help("name at least one, such as \"HeartRate\""),
            );
        }
        if problems.is_empty() { Ok(Select { kinds: KindSet::new(kinds) }) } else { Err(problems) }
    }
}

impl Transform for Select {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let before = input.len();
        input.retain(|record| match record.kind {
            Some(kind) => self.kinds.contains(kind),
            None => record.is_deletion(),
        });
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

    fn select(types: &[&str]) -> Result<Select, Vec<Problem>> {
        Select::new(Config { types: types.iter().map(|&name| name.to_owned()).collect() })
    }

    /// Scenario: additions and deletions of types that are selected and of others, by short and full name.
    /// Guarantees: G3; what is kept keeps its order, and a deletion without a type passes.
    #[test]
    fn keeps_types_and_typeless_deletions() {
        let input = [
            quantity(1, "HeartRate", 60.0, 0),
            quantity(2, "StepCount", 5.0, 0),
            deletion(3, Some("StepCount")),
            deletion(4, Some("BodyMass")),
            deletion(5, None),
            quantity(6, "BodyMass", 70.0, 0),
        ];
        let make = || select(&["HeartRate", "HKQuantityTypeIdentifierBodyMass"]).unwrap();
        let output = transform_contract(make, &input, 0..4);
        assert_eq!(output, [0, 3, 4, 5].map(|index: usize| input[index].clone()));
        transform_contract(make, &records(500, 1), 0..20);
    }

    /// Scenario: misspelt types. Guarantees: each is a problem at its place.
    #[test]
    fn misspelt_types_are_problems() {
        let problems = select(&["HeartRate", "StepCuont", "x"]).unwrap_err();
        assert_eq!(key_paths(&problems), ["types.1", "types.2"]);
        assert_eq!(problems[0].help.as_deref(), Some("did you mean `StepCount`?"));
        assert_eq!(key_paths(&Config { types: Vec::new() }.check()), ["types"]);
    }
}
