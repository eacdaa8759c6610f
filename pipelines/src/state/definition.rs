//! Definitions and desired states: what a restart starts again.

use afferent_core::Name;
use serde::{Deserialize, Serialize};

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
