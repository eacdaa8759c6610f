//! [`LetterLimits`]: how many dead letters a pipeline may have, and what happens where there are more.

use std::time::Duration;

use super::{CheckpointStore, Generation};
use crate::{DeadLetter, Error, Name, Result, Timestamp, metrics, reject::Fate};

/// How many dead letters a pipeline may have.
///
/// Nothing is dropped unless this says so: where there is no room, what was withdrawn makes room, and then the pipeline stops
/// before it passes what would not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterLimits {
    /// Bytes of all of them.
    pub max_bytes: u64,
    /// Older ones are dropped.
    pub max_age: Option<Duration>,
    /// What happens where there is no room.
    pub on_full: OnFull,
    /// An alarm says that the oldest is older than this.
    pub alarm_age: Duration,
}

/// What happens where there is no room for dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The pipeline stops; nothing is passed over.
    #[default]
    Stop,
    /// The oldest are dropped.
    DropOldest,
}

impl Default for LetterLimits {
    /// 64 MiB, about 100,000 records: more of them means that something else is wrong. A week: time for somebody to look.
    fn default() -> LetterLimits {
        LetterLimits {
            max_bytes: 64 << 20,
            max_age: None,
            on_full: OnFull::Stop,
            alarm_age: Duration::from_secs(7 * 86_400),
        }
    }
}

/// What a pipeline has of dead letters. Those that were put in again don't count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LettersHeld {
    /// Bytes of all, withdrawn ones included.
    pub bytes: u64,
    /// When the first was rejected that is dead.
    pub oldest: Option<Timestamp>,
}

/// Which letters are dropped: those of before a time, and then the oldest until the others take so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Rejected before.
    pub before: Option<Timestamp>,
    /// Bytes that may be left.
    pub max_bytes: u64,
    /// Only those that were withdrawn.
    pub only_withdrawn: bool,
}

impl Trim {
    /// Whether `letter`, the oldest that was not asked about, is dropped when what is there takes `bytes`.
    pub fn drops(&self, letter: &DeadLetter, bytes: u64) -> bool {
        let eligible = match letter.fate {
            Fate::Dead => !self.only_withdrawn,
            Fate::Withdrawn(_) => true,
            Fate::Retried(_) => false,
        };
        eligible && (bytes > self.max_bytes || self.before.is_some_and(|before| letter.time < before))
    }
}

impl DeadLetter {
    /// What it counts for in limits: its texts, its payload, and itself.
    pub fn bytes(&self) -> u64 {
        const ITSELF: usize = 128;
        (self.payload.bytes().len() + self.reason.len() + self.location.len() + ITSELF) as u64
    }
}

/// Sees to it that `new` bytes more have room.
///
/// # Errors
/// `State` when they have none, `Fenced` when a newer generation has come.
pub(crate) async fn make_room(
    store: &dyn CheckpointStore,
    (pipeline, generation): (&Name, Generation),
    limits: &LetterLimits,
    new: u64,
    now: Timestamp,
) -> Result<()> {
    let allowed = limits.max_bytes.saturating_sub(new);
    let before = limits.max_age.map(|age| {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros_clamped(now.as_micros().saturating_sub(age))
    });
    let held = store.letters_held(pipeline).await?;
    let old = before.is_some_and(|before| held.oldest.is_some_and(|oldest| oldest < before));
    if held.bytes <= allowed && !old {
        return Ok(());
    }
    if held.bytes > allowed {
        let trim = Trim { before: None, max_bytes: allowed, only_withdrawn: true };
        store.trim_letters(pipeline, generation, trim).await?;
    }
    let max_bytes = if limits.on_full == OnFull::DropOldest { allowed } else { u64::MAX };
    if old || max_bytes != u64::MAX {
        let trim = Trim { before, max_bytes, only_withdrawn: false };
        let dropped = store.trim_letters(pipeline, generation, trim).await?;
        if dropped > 0 {
            metrics::letters_dropped(pipeline, dropped);
            tracing::warn!(dropped, "dead letters were dropped, as `dead_letters` says");
        }
    }
    let held = store.letters_held(pipeline).await?;
    if held.bytes <= allowed {
        return Ok(());
    }
    Err(Error::state(format!(
        "there is no room for more dead letters: they take {} bytes, and `dead_letters.max_bytes` is {}; put them in again or drop them (afferent dlq ls {pipeline}), or allow more; nothing was passed over",
        held.bytes, limits.max_bytes
    )))
}
