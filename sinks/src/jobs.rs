//! [`Jobs`]: a sink's state and the blocking jobs it travels in.

use std::mem;

use afferent_core::{
    Batch, Error, Result,
    blocking::{Blocking, Job},
};

/// The state of an open sink, which travels in blocking jobs, one in flight.
///
/// A batch is swapped out with the buffer that the previous job emptied, so nothing is allocated per batch. An
/// error of a job is reported by the next call; the state has been dropped in the job by then, and every later
/// call fails.
///
/// Closing the state may block and releases locks that the next sink needs: it never happens on a worker of the
/// runtime, and has happened when [`Blocking::idle`] returns.
pub(crate) struct Jobs<S: Send + 'static, T: Send + 'static> {
    blocking: Blocking,
    slot: Slot<S, T>,
    spare: Batch<T>,
}

enum Slot<S, T> {
    Here(Box<S>),
    Away(Job<Result<(Box<S>, Batch<T>)>>),
    Lost,
}

impl<S: Send + 'static, T: Send + 'static> Jobs<S, T> {
    /// Runs `open` as the first job; its state is what later jobs get.
    pub(crate) async fn open<O: Send + 'static>(
        blocking: Blocking,
        open: impl FnOnce() -> Result<(S, O)> + Send + 'static,
    ) -> Result<(Jobs<S, T>, O)> {
        let (state, opened) = blocking.spawn(open).await??;
        Ok((Jobs { blocking, slot: Slot::Here(Box::new(state)), spare: Batch::new() }, opened))
    }

    /// Starts a job that writes all of `batch`, once the previous one has ended.
    pub(crate) async fn write(
        &mut self,
        batch: &mut Batch<T>,
        work: fn(&mut S, &mut Batch<T>) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.settle().await?;
        mem::swap(batch, &mut self.spare);
        let mut taken = mem::take(&mut self.spare);
        self.slot = Slot::Away(self.blocking.spawn(move || {
            work(&mut state, &mut taken)?;
            taken.clear();
            Ok((state, taken))
        }));
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

    /// Waits for the job in flight and takes the state back.
    async fn settle(&mut self) -> Result<Box<S>> {
        if let Slot::Away(job) = &mut self.slot {
            // Awaited in place: if this future is dropped, the job is still known.
            let ended = job.await;
            self.slot = Slot::Lost;
            let (state, emptied) = ended??;
            self.slot = Slot::Here(state);
            self.spare = emptied;
        }
        match mem::replace(&mut self.slot, Slot::Lost) {
            Slot::Here(state) => Ok(state),
            _ => Err(Error::bug("a sink was used after it had failed")),
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

/// A sink that has not been opened was used.
pub(crate) fn not_open() -> Error {
    Error::bug("a sink was used before it was opened")
}
