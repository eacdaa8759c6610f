//! [`Jobs`]: a sink's state and the blocking jobs it travels in.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use afferent_core::{
    Batch, Error, Result,
    blocking::{Blocking, Job},
};
#[cfg(feature = "upload")]
use futures::FutureExt;
use tokio::sync::Notify;

/// The state of an open sink, which travels in blocking jobs, one in flight.
///
/// One batch may wait for the job in flight, which goes on with it at once: there is no change of threads between two
/// batches while the sink is what the others wait for. Its buffer is one that was emptied before, so nothing is allocated per batch.
/// An error of a job is reported by the next call but one at the latest; the state has been dropped in the job by then,
/// and every later call fails.
///
/// Closing the state may block and releases locks that the next sink needs: it never happens on a worker of the
/// runtime, and has happened when [`Blocking::idle`] returns.
pub(crate) struct Jobs<S: Send + 'static, T: Send + 'static> {
    blocking: Blocking,
    slot: Slot<S>,
    handover: Arc<Handover<T>>,
}

enum Slot<S> {
    Here(Box<S>),
    Away(Job<Result<Box<S>>>),
    Lost,
}

/// What a job and its sink share.
struct Handover<T> {
    next: Mutex<Next<T>>,
    /// The batch that waited has been begun.
    begun: Notify,
}

struct Next<T> {
    /// Whether a job will look here before it ends.
    is_awaited: bool,
    waiting: Option<Batch<T>>,
    /// An emptied buffer.
    spare: Batch<T>,
}

impl<T> Handover<T> {
    fn next(&self) -> MutexGuard<'_, Next<T>> {
        // Nothing panics while it is held.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves `batch` for the job in flight, in exchange for an empty one; `false` if another waits or no job will come.
    fn leave(&self, batch: &mut Batch<T>) -> bool {
        let mut next = self.next();
        if !next.is_awaited || next.waiting.is_some() {
            return false;
        }
        let spare = mem::take(&mut next.spare);
        next.waiting = Some(mem::replace(batch, spare));
        true
    }

    /// Gives `emptied` back and takes what waits; without it, the job ends.
    fn proceed(&self, emptied: Batch<T>) -> Option<Batch<T>> {
        let waited = {
            let mut next = self.next();
            next.spare = emptied;
            next.is_awaited = next.waiting.is_some();
            next.waiting.take()
        };
        self.begun.notify_one();
        waited
    }
}

impl<S: Send + 'static, T: Send + 'static> Jobs<S, T> {
    /// Runs `open` as the first job; its state is what later jobs get.
    pub(crate) async fn open<O: Send + 'static>(
        blocking: Blocking,
        open: impl FnOnce() -> Result<(S, O)> + Send + 'static,
    ) -> Result<(Jobs<S, T>, O)> {
        let (state, opened) = blocking.spawn(open).await??;
        Ok((Jobs::new(blocking, state), opened))
    }

    /// Jobs that get `state`.
    pub(crate) fn new(blocking: Blocking, state: S) -> Jobs<S, T> {
        let next = Next { is_awaited: false, waiting: None, spare: Batch::new() };
        let handover = Arc::new(Handover { next: Mutex::new(next), begun: Notify::new() });
        Jobs { blocking, slot: Slot::Here(Box::new(state)), handover }
    }

    /// [`write`](Jobs::write), unless one batch waits already: then `batch` is left as it is, and the result is `false`.
    #[cfg(feature = "upload")]
    pub(crate) fn offer(
        &mut self,
        batch: &mut Batch<T>,
        work: fn(&mut S, &mut Batch<T>) -> Result<()>,
    ) -> Result<bool> {
        if let Slot::Away(job) = &mut self.slot {
            if self.handover.leave(batch) {
                return Ok(true);
            }
            let Some(ended) = job.now_or_never() else { return Ok(false) };
            self.slot = Slot::Lost;
            self.slot = Slot::Here(ended??);
        }
        let Slot::Here(state) = mem::replace(&mut self.slot, Slot::Lost) else { return Err(was_lost()) };
        self.begin(state, batch, work);
        Ok(true)
    }

    /// Has all of `batch` written, after those before it. Waits while one waits already.
    pub(crate) async fn write(
        &mut self,
        batch: &mut Batch<T>,
        work: fn(&mut S, &mut Batch<T>) -> Result<()>,
    ) -> Result<()> {
        while let Slot::Away(job) = &mut self.slot {
            if self.handover.leave(batch) {
                return Ok(());
            }
            let ended = tokio::select! {
                biased;
                () = self.handover.begun.notified() => None,
                ended = job => Some(ended),
            };
            if let Some(ended) = ended {
                self.slot = Slot::Lost;
                self.slot = Slot::Here(ended??);
            }
        }
        let state = self.settle().await?;
        self.begin(state, batch, work);
        Ok(())
    }

    /// Runs one job and waits for it.
    pub(crate) async fn run<O: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut S) -> Result<O> + Send + 'static,
    ) -> Result<O> {
        let mut state = self.settle().await?;
        let (state, outcome) = self
            .blocking
            .spawn(move || {
                let outcome = work(&mut state)?;
                Ok::<_, Error>((state, outcome))
            })
            .await??;
        self.slot = Slot::Here(state);
        Ok(outcome)
    }

    /// Starts a job that writes `batch` and what comes after it.
    fn begin(
        &mut self,
        mut state: Box<S>,
        batch: &mut Batch<T>,
        work: fn(&mut S, &mut Batch<T>) -> Result<()>,
    ) {
        let mut taken = {
            let mut next = self.handover.next();
            next.is_awaited = true;
            let spare = mem::take(&mut next.spare);
            mem::replace(batch, spare)
        };
        let handover = self.handover.clone();
        self.slot = Slot::Away(self.blocking.spawn(move || {
            loop {
                work(&mut state, &mut taken)?;
                taken.clear();
                match handover.proceed(taken) {
                    Some(next) => taken = next,
                    None => return Ok(state),
                }
            }
        }));
    }

    /// Waits for the job in flight and takes the state back.
    async fn settle(&mut self) -> Result<Box<S>> {
        if let Slot::Away(job) = &mut self.slot {
            // Awaited in place: if this future is dropped, the job is still known.
            let ended = job.await;
            self.slot = Slot::Lost;
            self.slot = Slot::Here(ended??);
        }
        match mem::replace(&mut self.slot, Slot::Lost) {
            Slot::Here(state) => Ok(state),
            _ => Err(was_lost()),
        }
    }
}

impl<S: Send + 'static, T: Send + 'static> Drop for Jobs<S, T> {
    fn drop(&mut self) {
        let slot = mem::replace(&mut self.slot, Slot::Lost);
        if tokio::runtime::Handle::try_current().is_ok() {
            // The state itself, or what a job is about to give back. Nobody awaits it here; whoever needs its
            // locks released awaits `Blocking::idle`.
            drop(self.blocking.spawn(move || drop(slot)));
        }
    }
}

fn was_lost() -> Error {
    Error::bug("a sink was used after it had failed")
}

/// A sink that has not been opened was used.
pub(crate) fn not_open() -> Error {
    Error::bug("a sink was used before it was opened")
}
