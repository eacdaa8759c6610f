//! [`Appended`].

use super::LogPosition;

/// What became of an entry that was to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a full log has not taken the entry"]
pub enum Appended {
    /// It is the entry at this position, durable after the next sync.
    At(LogPosition),
    /// The log is as large as it may be: the entry was not taken. Trimming makes room.
    Full,
}
