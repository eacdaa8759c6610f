//! `keep`: removes all optional fields but those that it names; see [`redact`].

use afferent_core::{Batch, Emit, Problem, Record, Result, Transform, config::Configure};
use serde::Deserialize;

use super::redact::{self, Redact};

/// Configuration of [`Keep`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The optional fields that stay: `subject`, `zone`, `source`, `source.name`, `device`, `metadata`, `metadata.key`, …
    pub fields: Vec<String>,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Keep::new(self).err().unwrap_or_default()
    }
}

/// Removes all optional fields but those that are named.
#[derive(Clone, Debug)]
pub struct Keep(Redact);

impl Keep {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Keep, Vec<Problem>> {
        Redact::keeping(&redact::Config { fields: config.fields.clone() }).map(Keep)
    }
}

impl Transform for Keep {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        self.0.apply(input, out)
    }
}
