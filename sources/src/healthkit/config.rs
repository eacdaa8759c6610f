//! Configuration of the HealthKit source.

use std::collections::BTreeSet;

use afferent_core::{Error, Kind, Problem, Result, config::Configure, kind::UnknownKind};
use serde::Deserialize;

use super::{HealthStore, mock};

/// What stands for all types that the store has.
const ALL: &str = "*";

/// Configuration of [`HealthKit`](super::HealthKit).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store that is read.
    pub store: StoreConfig,
    /// The types to read, by short or full identifier; `["*"]` is all that the store has. They are read in this
    /// order.
    pub types: Vec<String>,
}

/// Which store is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StoreConfig {
    /// A mock: deterministic, made from a seed.
    Mock(mock::Config),
    /// A store that the host application has registered.
    Host(HostConfig),
}

/// A store of the host application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// The name under which the host has registered it.
    pub name: String,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match &self.store {
            StoreConfig::Mock(mock) => {
                for mut problem in mock.check() {
                    problem.key_path.insert(0, "store".to_owned());
                    problems.push(problem);
                }
            }
            StoreConfig::Host(host) if host.name.is_empty() => problems.push(
                Problem::new("store.name", "the name of the store is empty")
                    .help("write the name under which the host application registers it"),
            ),
            StoreConfig::Host(_) => {}
        }
        if self.types.is_empty() {
            problems.push(
                Problem::new("types", "there is no type to read")
                    .help("name at least one, such as \"HeartRate\", or all with [\"*\"]"),
            );
        }
        if self.types.len() > 1 && self.types.iter().any(|name| name == ALL) {
            problems.push(
                Problem::new("types", "`*` stands for all types and can't be combined with others")
                    .help("write [\"*\"] alone"),
            );
        }
        for (index, name) in self.types.iter().enumerate().filter(|(_, name)| *name != ALL) {
            if let Err(unknown) = Kind::parse(name) {
                problems.push(unknown_type(&format!("types.{index}"), &unknown));
            }
        }
        problems
    }
}

impl Config {
    /// The kinds that `types` names, each once, in their order.
    pub(super) fn kinds(&self, store: &dyn HealthStore) -> Result<Vec<Kind>> {
        if self.types.iter().any(|name| name == ALL) {
            return Ok(store.kinds());
        }
        let mut seen = BTreeSet::new();
        let mut kinds = Vec::with_capacity(self.types.len());
        for name in &self.types {
            let kind = Kind::parse(name).map_err(|unknown| Error::config(unknown.to_string()))?;
            if seen.insert(kind) {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() {
            return Err(Error::config(
                "there is no type to read: name at least one in `types`, or all with [\"*\"]",
            ));
        }
        Ok(kinds)
    }
}

/// The problem of a name at `key_path` that is no type.
pub(super) fn unknown_type(key_path: &str, unknown: &UnknownKind) -> Problem {
    match unknown.suggestion {
        Some(near) => Problem::new(key_path, format!("unknown type {:?}", unknown.name))
            .help(format!("did you mean {near:?}?")),
        None => Problem::new(key_path, unknown.to_string()),
    }
}
