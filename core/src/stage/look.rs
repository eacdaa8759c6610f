//! [`Look`]: how a transform takes something from outside and stays a function of its state and its records.
//!
//! A table in a file changes while a pipeline runs, and whoever replays an epoch finds it changed. So what a transform
//! takes from outside becomes part of its state, and only between epochs:
//!
//! 1. When a pipeline starts, and before the first record of an epoch, the engine asks each transform for a look: a job
//!    that reads what is outside, run where it may block. The engine waits for it.
//! 2. If the job says that something [is new](Looked::is_new), the engine closes the epoch, in which no record has moved yet.
//!    The transform takes it up in [`snapshot`](crate::Transform::snapshot), so a checkpoint holds it before any record
//!    meets it.
//! 3. The records of the epoch move.
//!
//! Where something waits to be sent that a transform may come to [forbid](super::Permission), the engine asks also in between. What is new then
//! ends the epoch: its records met what the checkpoint before it holds, and those of the next one meet what is new.
//!
//! Therefore every committed epoch was computed with exactly what the checkpoint before it holds, and what was once in
//! force never gives way to something older, also when the process dies and what is outside can't be read any more (G5).
//! An epoch that was undone is replayed with what it had, or with something newer: where an epoch ends is not repeated
//! either. Nobody sees the difference, except where a sink shows what no checkpoint has: one that is at least once,
//! or one that absorbs a replay by identity.

use crate::Result;

/// A job that reads what is outside. What it reads it leaves where its transform finds it.
pub type Look = Box<dyn FnOnce() -> Result<Looked> + Send>;

/// What a [`Look`] has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Whether there is something that no checkpoint has: the transform takes it up in its next snapshot.
    pub is_new: bool,
    /// Whether what is outside can't be used, so that something older stays in force.
    pub is_stale: bool,
    /// What an operator should look at; said once for each thing that is wrong.
    pub alarm: Option<String>,
    /// What is worth knowing.
    pub notice: Option<String>,
}
