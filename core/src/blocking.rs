//! Blocking work off the runtime's workers.
//!
//! SQLite, fsync, inflate and XML block. A stage runs such work as a *job*: it moves what the job needs into
//! it (the connection, the batch), awaits the job before it starts the next, and so has at most one in
//! flight. The number of threads is bounded by the tokio runtime's `max_blocking_threads`.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

/// Starts blocking jobs and knows when all of them have ended. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Blocking {
    tracker: TaskTracker,
}

impl Blocking {
    /// A new group of jobs.
    pub fn new() -> Blocking {
        Blocking::default()
    }

    /// Starts `work` on a thread that may block.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that starts blocking jobs")]
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        Job { handle: self.tracker.spawn_blocking(work) }
    }

    /// Waits until every job of the group has ended, so that nothing an aborted epoch started can still act.
    pub async fn idle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }
}

/// A running job; awaiting it gives its result. Dropping it lets the job run to its end unheard.
#[derive(Debug)]
#[must_use = "a job that nobody awaits fails unheard"]
pub struct Job<T> {
    handle: JoinHandle<T>,
}

impl<T> Future for Job<T> {
    type Output = Result<T>;

    /// The job's result; `Bug` when it panicked, `Transient` when the runtime is shutting down.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        Pin::new(&mut self.handle).poll(cx).map(|joined| {
            joined.map_err(|error| {
                if error.is_panic() {
                    Error::bug("a blocking job panicked; see the log for its message")
                } else {
                    Error::transient("the runtime is shutting down")
                }
            })
        })
    }
}
