//! The position of a webhook source.

use afferent_core::{
    Position, Result,
    segment_log::{LogId, LogPosition},
};
use serde::{Deserialize, Serialize};

/// Version of the position's form.
const VERSION: u16 = 1;

/// Where it is in the log: before a record of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) log: LogId,
    /// Before this entry,
    pub(super) entry: LogPosition,
    /// of which so many records are done.
    pub(super) done: u64,
    /// How often a checkpoint was asked for so that the log could be trimmed: it makes one position differ from another.
    pub(super) asked: u64,
}

impl Place {
    pub(super) fn save(&self, path: &str) -> Result<Position> {
        Position::new(VERSION, path, self)
    }

    pub(super) fn load(position: &Position) -> Result<Place> {
        position.read(VERSION)
    }
}
