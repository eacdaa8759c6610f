//! Where the reader is.

use afferent_core::{Position, Result};
use serde::{Deserialize, Serialize};

use super::skipped::Skipped;

/// Version of [`Place`]'s form.
const VERSION: u16 = 2;

/// A place between two records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Offset in the (inflated) XML behind the last top-level element that was read whole; 0 is the beginning of
    /// the document.
    pub(super) offset: u64,
    /// How many records and rejects of the element that begins there were given already.
    pub(super) given: u32,
    /// The last electrocardiogram that was dealt with: they come by name, before the document.
    pub(super) recording: Option<String>,
    /// What was passed over so far.
    pub(super) skipped: Skipped,
}

impl Place {
    /// The position of this place in the input with this fingerprint.
    pub(super) fn to_position(&self, fingerprint: &str) -> Result<Position> {
        Position::new(VERSION, fingerprint, self)
    }

    /// Reads [`to_position`](Place::to_position) back.
    ///
    /// # Errors
    /// `State` when a newer version wrote it or it is damaged.
    pub(super) fn from_position(position: &Position) -> Result<Place> {
        if position.version < VERSION {
            // Version 1 read no electrocardiograms, and counted unknown elements only.
            let (offset, given, _): (u64, u32, u64) = position.read(VERSION)?;
            return Ok(Place { offset, given, ..Place::default() });
        }
        position.read(VERSION)
    }
}
