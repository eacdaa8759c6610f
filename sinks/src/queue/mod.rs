//! Into a queue on disk, which other pipelines read with a source of the same type.
//!
//! Records are written in MessagePack, a batch as one entry, as long as it stays below [`ENTRY_BYTES`]; deletions travel like
//! additions. What lies in the queue when an epoch is committed has been delivered, as far as this pipeline goes: the
//! accounts of those that read it go on from there.
//!
//! All else is promised and told in [`afferent_core::queue::disk`]: exactly once, order, what pushes back and what is
//! detached.

mod sink;
#[cfg(test)]
mod tests;

use afferent_core::{
    Name, Problem,
    config::{Configure, Guarantee, Size},
    queue::disk::WhenFull,
};
use serde::Deserialize;

pub use self::sink::QueueSink;

/// An entry is split where it is longer, in bytes: consumers hold two of them for each producer. One record may be longer.
pub const ENTRY_BYTES: usize = 512 << 10;
/// The smallest `max_bytes`: below it, a few batches would stop the pipeline.
pub const MIN_QUEUE_BYTES: u64 = 1 << 20;
/// `max_bytes` unless told otherwise: days of one person's records, and an hour of a busy feed.
pub const DEFAULT_QUEUE_BYTES: u64 = 256 << 20;

/// Configuration of [`QueueSink`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the queue: 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`, the first a letter or digit.
    pub queue: String,
    /// Bytes that may wait in it for its slowest reader (default `"256MiB"`): more of them push back to the source.
    #[serde(default = "default_bytes")]
    pub max_bytes: Size,
    /// What happens when it is full because of a reader that does not run: `wait` (the default), or `detach` that
    /// reader, with an alarm that says how much it loses.
    #[serde(default)]
    pub when_full: WhenFull,
}

fn default_bytes() -> Size {
    Size(DEFAULT_QUEUE_BYTES)
}

impl Config {
    /// Into the queue `queue`, with defaults.
    pub fn new(queue: impl Into<String>) -> Config {
        Config { queue: queue.into(), max_bytes: default_bytes(), when_full: WhenFull::default() }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            afferent_core::queue::disk::check_name(&Name::from(self.queue.as_str())).into_iter().collect();
        if self.max_bytes.0 < MIN_QUEUE_BYTES {
            let least = Size(MIN_QUEUE_BYTES);
            let problem = Problem::new("max_bytes", format!("{} is too little for a queue", self.max_bytes));
            problems.push(problem.help(format!("write at least \"{least}\"")));
        }
        problems
    }

    fn guarantee(&self) -> Option<Guarantee> {
        Some(Guarantee::ExactlyOnce("readers get what a checkpoint has committed, by its token".to_owned()))
    }
}
