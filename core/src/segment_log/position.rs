//! [`LogPosition`].

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A place in a log: before the entry with this number. It holds across restarts.
///
/// The number is what it means, and what it is compared by; segment and offset only say where to look first.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LogPosition {
    pub(super) number: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl LogPosition {
    /// After every entry there will ever be: no limit, for a reader.
    pub const MAX: LogPosition = LogPosition { number: u64::MAX, segment: u64::MAX, offset: u64::MAX };

    /// The number of the entry after it, counted from 0.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl PartialEq for LogPosition {
    fn eq(&self, other: &LogPosition) -> bool {
        self.number == other.number
    }
}

impl Eq for LogPosition {}

impl PartialOrd for LogPosition {
    fn partial_cmp(&self, other: &LogPosition) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LogPosition {
    fn cmp(&self, other: &LogPosition) -> Ordering {
        self.number.cmp(&other.number)
    }
}
