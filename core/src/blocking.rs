//! Blocking work off the runtime's workers.
//!
//! SQLite, fsync, inflate and XML block. A stage runs such work as a *job*: it moves what the job needs into
//! it (the connection, the batch), awaits the job before it starts the next, and so has at most one in
//! flight. The number of threads is bounded by the tokio runtime's `max_blocking_threads`.
//!
//! A simulation must repeat itself operation by operation, and threads don't. It asks for jobs that run [where they are
//! started](inline).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

#[cfg(feature = "testing")]
thread_local! {
    static INLINE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Does `work`. A job that it starts on this thread has ended when [`spawn`](Blocking::spawn) returns, so that nothing but seeds
/// decides the order in which things happen. Not for stages whose jobs wait for somebody, as the reader of exports does.
#[cfg(feature = "testing")]
pub fn inline<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            INLINE.set(self.0);
        }
    }
    let _before = Before(INLINE.replace(true));
    work()
}

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
        let (sender, result) = oneshot::channel();
        #[cfg(feature = "testing")]
        if INLINE.get() {
            // As on a thread of its own, a panic ends the job and nothing else.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            drop(ended.map(|value| sender.send(value)));
            return Job { result: Some(result), handle: None };
        }
        let handle = self.tracker.spawn_blocking(move || {
            // A result that nobody waits for is dropped here, while the job still counts: a lock or a file in it
            // is released before `idle` returns.
            drop(sender.send(work()));
        });
        Job { result: Some(result), handle: Some(handle) }
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
    /// `None` once it is known that there will be no result.
    result: Option<oneshot::Receiver<T>>,
    /// `None` for a job that ran where it was started.
    handle: Option<JoinHandle<()>>,
}

impl<T> Future for Job<T> {
    type Output = Result<T>;

    /// The job's result; `Bug` when it panicked, `Transient` when the runtime is shutting down.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let Some(result) = &mut self.result {
            if let Ok(value) = std::task::ready!(Pin::new(result).poll(cx)) {
                return Poll::Ready(Ok(value));
            }
            self.result = None;
        }
        let panicked = || Error::bug("a blocking job panicked; see the log for its message");
        let Some(handle) = &mut self.handle else { return Poll::Ready(Err(panicked())) };
        Pin::new(handle).poll(cx).map(|joined| {
            Err(match joined {
                Err(error) if error.is_panic() => panicked(),
                _ => Error::transient("the runtime is shutting down"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Scenario: jobs whose results nobody awaits. Guarantees: G5, once the group is idle nothing of them is left,
    /// so a lock that travels in a result is free again.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_idle_group_holds_nothing() {
        for _ in 0..200 {
            let (blocking, held) = (Blocking::new(), Arc::new(()));
            let travels = held.clone();
            drop(blocking.spawn(move || travels));
            blocking.idle().await;
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    /// Scenario: a job that panics. Guarantees: it is an error of kind `Bug`, not a panic of the pipeline.
    #[tokio::test]
    async fn a_panic_in_a_job_is_an_error() {
        let job = Blocking::new().spawn(|| assert!(std::hint::black_box(false), "on purpose"));
        assert_eq!(job.await.unwrap_err().kind(), crate::ErrorKind::Bug);
    }

    /// Scenario: jobs run where they are started; one panics. Guarantees: each has ended when it was started; its result,
    /// and an error of kind `Bug`, come as from a thread.
    #[cfg(feature = "testing")]
    #[test]
    fn jobs_run_where_they_are_started() {
        inline(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let blocking = Blocking::new();
                let here = std::thread::current().id();
                let job = blocking.spawn(|| std::thread::current().id());
                assert_eq!(job.await.unwrap(), here);
                let job = blocking.spawn(|| assert!(std::hint::black_box(false), "on purpose"));
                assert_eq!(job.await.unwrap_err().kind(), crate::ErrorKind::Bug);
                blocking.idle().await;
            });
        });
        assert!(!INLINE.get());
    }
}
