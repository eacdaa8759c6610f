//! [`Committer`]: many tasks append, and share a sync.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Appended, SegmentLog};
use crate::{
    Error, Result,
    blocking::{Blocking, Job},
};

/// Bytes that may wait for a sync: what a disk writes in a moment, so that whoever comes next waits, not grows memory.
/// An entry that is longer goes alone.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// What an entry costs beside its bytes, so that empty ones are bounded as well.
const ENTRY_COST: usize = 128;

/// Lets many tasks append to a log at the same time. While one sync runs, entries gather in memory; then one job
/// writes them all and syncs once. Clones share the log.
///
/// There is no thread of its own: whoever finds the queue without a job starts one, and it ends when the queue is
/// empty. An entry is durable when its [`append`](Committer::append) returns a position. Dropping that future does not
/// take the entry back. Entries are appended in the order in which they found room to wait.
///
/// An error leaves it open whether the entry will be in the log: a later sync, or opening the log again, may still find it.
/// After a failed sync all who shared it are told, and so is everyone who comes later: open the log again.
#[derive(Clone, Debug)]
pub struct Committer {
    shared: Arc<Inner>,
    blocking: Blocking,
}

#[derive(Debug)]
struct Inner {
    /// Held inside jobs only; `None` once it is closed.
    log: Mutex<Option<SegmentLog>>,
    queue: Mutex<Queue>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a job takes care of the queue.
    attended: bool,
}

#[derive(Debug)]
struct Waiting {
    payload: Vec<u8>,
    answer: oneshot::Sender<Result<Appended>>,
    _room: OwnedSemaphorePermit,
}

impl Committer {
    /// Takes over `log`; jobs are `blocking`'s.
    pub fn new(log: SegmentLog, blocking: Blocking) -> Committer {
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        let shared = Inner { log: Mutex::new(Some(log)), queue: Mutex::default(), room };
        Committer { shared: Arc::new(shared), blocking }
    }

    /// Appends `payload`; returns once it is durable, or was not taken because the log is full.
    ///
    /// # Errors
    /// As [`SegmentLog::append`] and [`SegmentLog::sync`].
    pub async fn append(&self, payload: Vec<u8>) -> Result<Appended> {
        let cost = (payload.len() + ENTRY_COST).min(MAX_WAITING_BYTES) as u32;
        let room = self.shared.room.clone().acquire_many_owned(cost).await;
        let room = room.expect("the semaphore is never closed");
        let (answer, answered) = oneshot::channel();
        let start = {
            let mut queue = self.shared.queue();
            queue.waiting.push(Waiting { payload, answer, _room: room });
            !std::mem::replace(&mut queue.attended, true)
        };
        if start {
            let job = Attendant { shared: self.shared.clone(), done: false };
            // Nobody waits for the job: whoever waits for an answer hears of it.
            drop(self.blocking.spawn(move || job.run()));
        }
        answered.await.unwrap_or_else(|_| Err(Error::transient("the runtime is shutting down")))
    }

    /// Does `work` with the log, in a job, between two groups: trimming, making a reader.
    ///
    /// # Errors
    /// As [`Blocking`]'s jobs fail; `Transient` once it is closed.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SegmentLog) -> T + Send + 'static,
    ) -> Result<T> {
        let shared = self.shared.clone();
        self.blocking.spawn(move || shared.log().as_mut().map(work).ok_or_else(closed)).await?
    }

    /// Starts a job that takes the log away once the group that is being written is done. Nothing is written to it after
    /// that job, whoever still holds a clone: the log can be opened again. Who appends later, or waits, is told so.
    pub fn close(&self) -> Job<()> {
        let shared = self.shared.clone();
        self.blocking.spawn(move || drop(shared.log().take()))
    }
}

impl Inner {
    fn log(&self) -> MutexGuard<'_, Option<SegmentLog>> {
        // A log is whole between its operations, and poisons itself when it can't say so.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each change is one step, so a panic elsewhere leaves it whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who wait; with nobody left, the queue is unattended from then on.
    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        queue.attended = !queue.waiting.is_empty();
        std::mem::take(&mut queue.waiting)
    }

    fn commit(&self, group: Vec<Waiting>) {
        let mut guard = self.log();
        let Some(log) = &mut *guard else {
            drop(guard);
            group.into_iter().for_each(|waiting| drop(waiting.answer.send(Err(closed()))));
            return;
        };
        let appended: Vec<Result<Appended>> =
            group.iter().map(|waiting| log.append(&waiting.payload)).collect();
        let synced = log.sync();
        drop(guard);
        for (waiting, appended) in group.into_iter().zip(appended) {
            let answer = match (appended, &synced) {
                (Ok(Appended::At(_)), Err(error)) => Err(again(error)),
                (appended, _) => appended,
            };
            // Whoever asked may have gone away.
            let _ = waiting.answer.send(answer);
        }
    }
}

/// The same error, for one more.
fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message())
}

fn closed() -> Error {
    Error::transient("the log was closed; open it again")
}

/// The job that attends the queue.
struct Attendant {
    shared: Arc<Inner>,
    done: bool,
}

impl Attendant {
    fn run(mut self) {
        loop {
            let group = self.shared.take();
            if group.is_empty() {
                // From here on the queue may have another job.
                self.done = true;
                return;
            }
            self.shared.commit(group);
        }
    }
}

impl Drop for Attendant {
    /// A job that never ran, because the runtime was shutting down, leaves nobody waiting.
    fn drop(&mut self) {
        if !self.done {
            let mut queue = self.shared.queue();
            queue.attended = false;
            queue.waiting.clear();
        }
    }
}
