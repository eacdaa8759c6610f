//! Bounded queues: in memory, and on disk between pipelines.
//!
//! | module | joins |
//! |---|---|
//! | this one | a thread or task that makes batches with the pipeline that takes them, for as long as both live |
//! | [`disk`] | pipelines with each other, exactly once and across restarts |

pub mod disk;
mod memory;

pub use self::memory::{QueueLimits, Receiver, SendError, Sender, Weigh, queue};
