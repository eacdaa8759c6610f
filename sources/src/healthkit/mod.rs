//! The feed of a HealthKit store: an observer query that wakes, anchored queries that read.
//!
//! [`HealthKit`] is a source over any [`HealthStore`]; [`mock::MockStore`] is a faithful, deterministic one.
//!
//! # The deadlock and the loss that this is built around
//!
//! HealthKit wakes an app in the background and gives it about 30 s to call a completion handler; who misses
//! it three times is never woken again. The handler is *not* an acknowledgement: what was read is known only
//! by its anchor. So the two are kept apart:
//!
//! - The **anchors** are the source's position. They are saved in the checkpoint with the records they
//!   cover, and nowhere else. A crash reads the pages after the last checkpoint again, with the same ids.
//! - The **completion handler** is called by a helper task that polls the observer itself, so that no busy
//!   engine and no slow sink can delay it: at the commit that covers the wake, on an error or a lock, or at
//!   [`COMPLETION_DEADLINE`], whichever is first; exactly once.
//!
//! # Contract
//!
//! - **Order.** Types are drained one after the other in the order of the configuration, each in the store's
//!   insertion order; in a page additions precede deletions. A back-dated or late sample comes after the
//!   anchor like any other.
//! - **Wakes** say only that something changed. One drain of all types follows `open` whatever wakes there
//!   are, so a missed one does not matter; wakes that arrive during a drain are answered by one more.
//! - **Sealing.** The last batch of a drain closes the epoch, so that a sparse feed is delivered at once; an
//!   empty sealed pull then says that the source is drained.
//! - **A locked store** is `Waiting`, said once, never an empty answer; the next pull pends until the store
//!   wakes it (or until it looks again after a minute, should that wake be missed).
//! - **Another store**, or an anchor that the store no longer knows, means reading from the start, with an
//!   alarm: sinks absorb by id what they have; deletions made in between can't be seen by any reader.

mod config;
mod keeper;
pub mod mock;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod wake;

pub use self::{
    config::{Config, HostConfig, StoreConfig},
    keeper::COMPLETION_DEADLINE,
    source::HealthKit,
    store::{Anchor, Changes, HealthStore, Page},
    wake::{Completion, Wake},
};
