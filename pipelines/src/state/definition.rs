//! Definitions and desired states: what a restart starts again.

use std::path::PathBuf;

use afferent_core::{Error, Name, Result};
use redb::{ReadableTable, StorageError};
use serde::{Deserialize, Serialize};

use super::rows::{Failure, unpack};
use crate::DefinitionSource;

/// What a pipeline that was applied should be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Desired {
    /// It runs; a restart starts it again.
    Running,
    /// It was paused.
    Paused,
    /// It was stopped or drained.
    Stopped,
    /// It came to the end of its sources.
    Finished,
}

/// A pipeline that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDefinition {
    /// Its name.
    pub name: Name,
    /// What it was read from; `None` for one made in Rust code.
    pub source: Option<DefinitionSource>,
    /// What it should be doing.
    pub desired: Desired,
}

/// A row of `definitions`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DefinitionRow {
    /// Text and path.
    source: Option<(String, PathBuf)>,
    desired: Desired,
}

impl DefinitionRow {
    pub(super) fn new(source: Option<DefinitionSource>, desired: Desired) -> DefinitionRow {
        DefinitionRow { source: source.map(|source| (source.text, source.path)), desired }
    }

    pub(super) fn with(self, desired: Desired) -> DefinitionRow {
        DefinitionRow { desired, ..self }
    }

    pub(super) fn named(self, name: &str) -> StoredDefinition {
        let source = self.source.map(|(text, path)| DefinitionSource { text, path });
        StoredDefinition { name: Name::from(name), source, desired: self.desired }
    }
}

/// A pipeline's definition, if it was applied.
pub(super) fn find(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    pipeline: &str,
) -> Result<Option<DefinitionRow>, Failure> {
    let Some(row) = table.get(pipeline)? else { return Ok(None) };
    match unpack(&[pipeline.as_bytes()], row.value()) {
        Some(definition) => Ok(Some(definition)),
        None => Err(Error::state(damaged(pipeline)).into()),
    }
}

/// All definitions, by name; a damaged one is an error in its place, so that it does not keep the others from
/// being started.
pub(super) fn all(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<Result<StoredDefinition>>, StorageError> {
    let mut definitions = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let name = key.value();
        let row: Option<DefinitionRow> = unpack(&[name.as_bytes()], value.value());
        definitions.push(match row {
            Some(row) => Ok(row.named(name)),
            None => Err(Error::state(damaged(name))),
        });
    }
    Ok(definitions)
}

/// What is said of a damaged definition, or one that is lost.
pub(super) fn damaged(pipeline: &str) -> String {
    format!("the definition of pipeline `{pipeline}` in the state database is damaged; apply it again")
}
