//! Queues between pipelines: what one pipeline writes to a sink `queue`, others read from a source `queue`, exactly once.
//!
//! Sources and sinks never see each other. What they share is here: [`Queues`], one for each state directory, which hands
//! a sink its [`Producer`] and a source its [`Consumer`]. Both carry entries of bytes; what is in them is the stages'.
//!
//! # What is promised
//!
//! 1. **Exactly once** (G1, G2). A consumer reads the entries of an epoch when the checkpoint that ends it is saved,
//!    and not before; it goes on after its own last checkpoint. So an entry that was undone is never read, and one that
//!    was committed is read once in what a consumer's checkpoints say.
//! 2. **Order** (G3). The entries of one producer are read in their order. Those of several merge in no order.
//! 3. **Nothing is dropped** (G11). An entry stays until every consumer has it in the oldest checkpoint that it keeps.
//!    Consumers are registered durably before they read, so this holds also while one is away. Only the policy
//!    *detach*, or a command, takes a consumer off the list, and says what it costs.
//! 4. **Bounds** (G7). A sink waits while `max_bytes` or more are written and not consumed. It waits only while something
//!    is released and not consumed, so that an epoch larger than the bound does not wait for itself. On disk there are,
//!    besides, the open epoch, what the kept checkpoints need, and one segment.
//! 5. **Fencing** (G10). What an older generation of a producer does changes nothing: lock and fence as of an outbox.
//!
//! # The protocol
//!
//! ```text
//!  write ─▶ append ─▶ log of (queue, producer)
//!  prepare ─▶ sync ─▶ token: log, end, history
//!  (the engine saves the producer's checkpoint: the commit point)
//!  commit ─▶ release up to the token's end ─ ─ ─▶ consumers read, each from its own position
//!                                                  (the engine saves a consumer's checkpoint)
//!  commit ─▶ trim what every consumer has in its oldest checkpoint
//! ```
//!
//! The release is in memory: after a restart `commit` runs again. While the producer does not run, its last checkpoint says what
//! is released. There is one handle on each log in a process; whichever side comes first opens it, only the producer
//! appends, cuts and trims.
//!
//! **Order of what is made durable**, and what a crash between two steps means:
//!
//! | step | a crash after it |
//! |---|---|
//! | 1. a consumer's registration | it needs everything from the oldest entry on, until its first checkpoint |
//! | 2. entries are appended, and synced by `prepare` | `open` cuts them off: they lie after the token |
//! | 3. the producer's checkpoint is saved | they are released by `commit`, or by whoever looks at the checkpoint |
//! | 4. a consumer's checkpoint is saved | it goes on after them |
//! | 5. segments before all needs are removed | a power loss may bring the last one back, which harms nothing |
//!
//! # Histories
//!
//! A position is, for each producer: the log's id, the incarnation of the producer, the next entry, and how much of that
//! was read. A token lists the incarnations of its log and where each begins. When a producer falls back to an older
//! checkpoint it begins an incarnation there, and numbers after that place are given again. A consumer that stands behind it
//! goes back to it, with an alarm: what it read since is undone at the producer, which will give it again. The last
//! [`MAX_INCARNATIONS`] are kept; a consumer of an older one goes back to the oldest entry.
//!
//! # What goes wrong
//!
//! | what | what happens |
//! |---|---|
//! | a producer fell back | consumers behind the cut go to the cut, with an alarm |
//! | a producer was started over, or its checkpoint is gone | its log is set aside with an alarm; consumers begin with the new one, with a notice |
//! | a producer's log is gone or another | the producer alarms and begins another; the same for consumers |
//! | an entry can't be read | passed over, with an alarm that says how many were lost, and counted |
//! | a consumer that reads is slow | the producer waits |
//! | a consumer is away, or there was none yet, and the bound is reached | the producer waits, with an alarm that says for whom; or, by policy and after half a minute, it is detached with an alarm |
//! | a detached consumer comes back | it goes on where it was, or at the oldest entry that is there, with an alarm that says how many are gone |
//! | a consumer was started over | it begins at the oldest entry that is there |
//! | the disk fails | the pipeline whose job it was starts again from its checkpoint |
//! | a producer's checkpoints are damaged | nothing new is released until it has started and fallen back |
//! | a consumer's checkpoints are damaged | nothing is trimmed until it has started |
//!
//! **What can't be told.** A sink that is taken out of its pipeline, or writes to another queue, leaves no token: what its
//! consumers have not read by then stays in the log and is not released. Let them finish first.
//!
//! # On disk
//!
//! ```text
//! queues/QUEUE/producers/PIPELINE~SINK/queue.lock, queue.fence
//! queues/QUEUE/producers/PIPELINE~SINK/log/           a segment log
//! queues/QUEUE/producers/PIPELINE~SINK/log.aside-N/   one that was set aside
//! queues/QUEUE/consumers/PIPELINE~SOURCE              registered while it is there; empty
//! ```
//!
//! An entry is a version, the bytes of all entries before it since the log began (u64, little-endian), and what the
//! sink gave. These make the bytes that wait known without reading them.

mod away;
mod chunk;
mod consumer;
mod crash;
mod entry;
mod following;
mod key;
mod log;
pub mod metrics;
mod producer;
mod queue;
mod queues;
mod reading;
mod room;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    consumer::{Consumer, Decode},
    crash::CRASH_POINTS,
    key::{StageKey, check_name},
    producer::Producer,
    queues::{Queues, Registered},
    room::{Room, WhenFull},
    state::MAX_INCARNATIONS,
};
