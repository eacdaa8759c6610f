//! The sources of a pipeline and their pulls.
//!
//! Each pull is a future that owns its source: it is kept until it completes, whatever else the engine does,
//! so a source may hold work inside it. The futures' memory is reused, pull after pull.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use super::backoff::Backoff;
use crate::{Committed, Name, Position, Pulled, Result, Source, clock};

/// A source and what its pull gave.
type Given<S> = (S, Result<Option<Pulled<<S as Source>::Item>>>);
type Pull<S> = ReusableBoxFuture<'static, Given<S>>;

/// One source.
pub(super) struct SourceSlot<S: Source> {
    pub(super) name: Name,
    pull: Pull<S>,
    /// Whether a pull is under way; not so before the first, after the end, and while a result is handled.
    pulling: bool,
    pub(super) position: Option<Position>,
    /// How many pulls were taken.
    pub(super) pulls: u64,
    /// The last pull had nothing more.
    pub(super) drained: bool,
    /// The last pull said that it waits for something outside.
    pub(super) waits: bool,
    pub(super) ended: bool,
    pub(super) backoff: Backoff,
    pub(super) committed: watch::Sender<Committed>,
}

/// All sources, polled in turn so that a busy one can't starve another.
pub(super) struct Pulls<S: Source> {
    pub(super) slots: Vec<SourceSlot<S>>,
    next: usize,
}

/// A completed pull: which source, the source itself, and what it gave.
pub(super) struct Completed<S: Source> {
    pub(super) index: usize,
    pub(super) source: S,
    pub(super) result: Result<Option<Pulled<S::Item>>>,
}

impl<S: Source> SourceSlot<S> {
    pub(super) fn new(
        name: Name,
        position: Option<Position>,
        committed: watch::Sender<Committed>,
    ) -> SourceSlot<S> {
        SourceSlot {
            name,
            pull: ReusableBoxFuture::new(std::future::pending()),
            pulling: false,
            position,
            pulls: 0,
            drained: false,
            waits: false,
            ended: false,
            backoff: Backoff::default(),
            committed,
        }
    }

    /// Starts the next pull, after `delay`.
    pub(super) fn pull(&mut self, mut source: S, delay: Option<Duration>) {
        self.pull.set(async move {
            if let Some(delay) = delay {
                clock::sleep(delay).await;
            }
            let result = source.next().await;
            (source, result)
        });
        self.pulling = true;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Given<S>> {
        if !self.pulling {
            return Poll::Pending;
        }
        let completed = std::task::ready!(self.pull.poll(cx));
        self.pulling = false;
        Poll::Ready(completed)
    }
}

impl<S: Source> Pulls<S> {
    pub(super) fn new(slots: Vec<SourceSlot<S>>) -> Pulls<S> {
        Pulls { slots, next: 0 }
    }

    /// The next pull that completes; pends for ever when none is under way. Dropping this future drops no pull.
    pub(super) async fn completed(&mut self) -> Completed<S> {
        poll_fn(|cx| {
            let count = self.slots.len();
            for turn in 0..count {
                let index = (self.next + turn) % count;
                if let Poll::Ready((source, result)) = self.slots[index].poll(cx) {
                    self.next = index + 1;
                    return Poll::Ready(Completed { index, source, result });
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Whether every source has ended.
    pub(super) fn all_ended(&self) -> bool {
        self.slots.iter().all(|slot| slot.ended)
    }

    /// Whether no source has anything more for now.
    pub(super) fn all_drained(&self) -> bool {
        self.slots.iter().all(|slot| slot.drained || slot.ended)
    }
}
