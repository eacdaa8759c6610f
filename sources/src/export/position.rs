//! Where the reader is.

use std::collections::BTreeSet;

use afferent_core::{Position, Result};
use serde::{Deserialize, Serialize};

use super::skipped::Skipped;

/// Version of [`Place`]'s form.
const VERSION: u16 = 3;

/// A place between two records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Files beside the XML that were named so far, by a hash of their names. `None` when it is not known, and once the
    /// others are counted.
    pub(super) named: Option<BTreeSet<u32>>,
}

impl Default for Place {
    /// The beginning.
    fn default() -> Place {
        Place {
            offset: 0,
            given: 0,
            recording: None,
            skipped: Skipped::default(),
            named: Some(BTreeSet::new()),
        }
    }
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
        let unnamed = Place { named: None, ..Place::default() };
        match position.version {
            // It read no electrocardiograms, and counted unknown elements only.
            1 => {
                let (offset, given, _): (u64, u32, u64) = position.read(VERSION)?;
                Ok(Place { offset, given, ..unnamed })
            }
            // It did not know which files are named.
            2 => {
                let (offset, given, recording, skipped) = position.read(VERSION)?;
                Ok(Place { offset, given, recording, skipped, ..unnamed })
            }
            _ => position.read(VERSION),
        }
    }
}
