//! [`LogLimits`].

use super::layout::{FRAME_LEN, HEADER_LEN, MAX_ENTRY_BYTES};
use crate::{Error, Result};

/// A segment unless told otherwise. Each costs three syncs, which at 10 ms still allows 130 MB/s, and it is what
/// opening reads and what trimming can't free yet.
pub const DEFAULT_SEGMENT_BYTES: u64 = 4 << 20;
/// The smallest segment: below it, headers and syncs cost more than entries.
pub const MIN_SEGMENT_BYTES: u64 = 64 << 10;
/// The largest segment: opening reads it whole.
pub const MAX_SEGMENT_BYTES: u64 = 64 << 20;

/// How large a log and its segments may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes after which the next segment is begun.
    pub segment_bytes: u64,
    /// Bytes of all segments together. At least two segments, so that one can be trimmed while the other fills.
    pub max_bytes: u64,
}

impl LogLimits {
    /// A log of at most `max_bytes`, in segments of the default size, or smaller ones if it is small.
    pub fn new(max_bytes: u64) -> LogLimits {
        let segment_bytes = (max_bytes / 4).clamp(MIN_SEGMENT_BYTES, DEFAULT_SEGMENT_BYTES);
        LogLimits { segment_bytes, max_bytes }
    }

    /// Whether the limits make sense.
    ///
    /// # Errors
    /// `Config`, and what to write instead.
    pub fn check(&self) -> Result<()> {
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.segment_bytes) {
            return Err(Error::config(format!(
                "a segment of {} bytes is not between {MIN_SEGMENT_BYTES} and {MAX_SEGMENT_BYTES} bytes",
                self.segment_bytes
            )));
        }
        if self.max_bytes < 2 * self.segment_bytes {
            return Err(Error::config(format!(
                "a log of {} bytes is less than two segments of {}; allow more bytes or smaller segments",
                self.max_bytes, self.segment_bytes
            )));
        }
        Ok(())
    }

    /// The longest entry that fits once everything before it was trimmed.
    pub fn max_entry_bytes(&self) -> u64 {
        // After trimming at most half a segment is left, and the rest of it covers headers and marks.
        let room = self.max_bytes.saturating_sub(self.segment_bytes);
        room.saturating_sub((HEADER_LEN + FRAME_LEN) as u64).min(MAX_ENTRY_BYTES)
    }
}
