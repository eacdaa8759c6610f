//! `tag`: writes metadata on the records that meet a condition.
//!
//! A tag replaces what the metadata had under its key. Deletions pass untouched: they have no metadata that anybody reads.

use std::collections::BTreeMap;

use afferent_core::{Batch, Emit, MetaValue, Name, Problem, Record, Result, Transform, config::Configure};
use serde::Deserialize;

use super::at;
use crate::cel::Predicate;

/// How many tags there may be; each is looked for in a record's metadata.
pub const MAX_TAGS: usize = 64;

/// Configuration of [`Tag`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By key of the metadata, the value: a text, a number or a truth value.
    pub tags: BTreeMap<String, TagValue>,
    /// The condition, in CEL; by default all records meet it.
    #[serde(default)]
    pub when: Option<String>,
}

/// What a tag says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum TagValue {
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Tag::new(self).err().unwrap_or_default()
    }
}

/// Writes metadata.
#[derive(Clone, Debug)]
pub struct Tag {
    when: Option<Predicate>,
    tags: Vec<(Name, MetaValue)>,
}

impl Tag {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Tag, Vec<Problem>> {
        let mut problems = Vec::new();
        let when = config.when.as_deref().map(Predicate::compile).transpose();
        let when = when.unwrap_or_else(|wrong| {
            problems.extend(wrong.into_iter().map(|problem| at(["when"], problem)));
            None
        });
        if config.tags.is_empty() || config.tags.len() > MAX_TAGS {
            let found = config.tags.len();
            let problem = Problem::new("tags", format!("expected from 1 to {MAX_TAGS} tags, found {found}"));
            problems.push(problem.help("name one, such as { study = \"sleep-2026\" }"));
        }
        let mut tags = Vec::new();
        for (key, value) in &config.tags {
            let value = match value {
                TagValue::Bool(value) => MetaValue::Bool(*value),
                TagValue::Number(value) if value.is_finite() => MetaValue::Number(*value),
                TagValue::Number(_) => {
                    problems.push(at(["tags", key], Problem::new("", "expected a finite number")));
                    continue;
                }
                TagValue::Text(value) => MetaValue::String(Name::from(&**value)),
            };
            tags.push((Name::from(&**key), value));
        }
        if problems.is_empty() { Ok(Tag { when, tags }) } else { Err(problems) }
    }
}

impl Transform for Tag {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.iter_mut().filter(|record| !record.is_deletion()) {
            if self.when.as_ref().is_none_or(|when| when.matches(record)) {
                let metadata = record.metadata_mut();
                self.tags.iter().for_each(|(key, value)| metadata.set(key.clone(), value.clone()));
            }
        }
        out.take(input);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::transform_contract;

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn config(text: &str) -> Config {
        toml::from_str(text).expect("a configuration")
    }

    /// Scenario: records that meet the condition and others, one that has the key already, a deletion. Guarantees: G4; exactly
    /// those that meet it are tagged, and nothing else of them changes.
    #[test]
    fn tags_what_meets_the_condition() {
        let config = config("when = \"value > 100.0\"\ntags = { fast = true, limit = 100, study = \"a\" }");
        let mut known = quantity(2, "HeartRate", 120.0, 0);
        known.metadata_mut().push("study", MetaValue::Number(1.0));
        known.metadata_mut().push("other", MetaValue::Number(2.0));
        let input = [quantity(1, "HeartRate", 60.0, 0), known, deletion(3, Some("HeartRate"))];
        let output = transform_contract(|| Tag::new(&config).unwrap(), &input, 0..5);
        assert_eq!((&output[0], &output[2]), (&input[0], &input[2]));
        let metadata = output[1].metadata.as_ref().expect("tags");
        let entries: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        assert_eq!(
            entries,
            [
                ("study", MetaValue::String("a".into())),
                ("other", MetaValue::Number(2.0)),
                ("fast", MetaValue::Bool(true)),
                ("limit", MetaValue::Number(100.0))
            ]
        );
        transform_contract(|| Tag::new(&config).unwrap(), &records(500, 2), 0..10);
    }

    /// Scenario: what makes no sense. Guarantees: each is a problem at its place.
    #[test]
    fn problems_are_found_together() {
        let problems = config("when = \"vlaue > 1.0\"\ntags = { a = nan }").check();
        assert_eq!(key_paths(&problems), ["when", "tags.a"]);
        assert_eq!(key_paths(&config("tags = {}").check()), ["tags"]);
    }
}
