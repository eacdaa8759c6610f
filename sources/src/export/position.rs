//! Where the reader is.

use afferent_core::{Position, Result};
use serde::{Deserialize, Serialize};

/// Version of [`Place`]'s form.
const VERSION: u16 = 1;

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Offset in the (inflated) XML behind the last top-level element that was read whole; 0 is the beginning of
    /// the document.
    pub(super) offset: u64,
    /// How many records of the element that begins there were given already.
    pub(super) given: u32,
    /// How many elements of unknown names were passed over so far.
    pub(super) unknown: u64,
}

impl Place {
    /// The position of this place in the input with this fingerprint.
    pub(super) fn to_position(self, fingerprint: &str) -> Result<Position> {
        Position::new(VERSION, fingerprint, &self)
    }

    /// Reads [`to_position`](Place::to_position) back.
    ///
    /// # Errors
    /// `State` when a newer version wrote it or it is damaged.
    pub(super) fn from_position(position: &Position) -> Result<Place> {
        position.read(VERSION)
    }
}
