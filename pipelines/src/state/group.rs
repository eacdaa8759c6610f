//! Group commit: writes that wait at the same time share a transaction.
//!
//! There is no thread of its own. Whoever finds the queue without a job starts one; the job ends when the queue is
//! empty. An answer is sent after the commit, or after its failure. Dropping the future of a write does not undo
//! it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afferent_core::{Error, Result, blocking::Blocking};
use redb::StorageError;
use tokio::sync::oneshot;

use super::{
    file::{Broken, DatabaseFile},
    reserve::Reserve,
    rows::Failure,
    tables::Tables,
};

/// Writes in one transaction: enough for thousands of pipelines to share an fsync, few enough that the first
/// does not wait long for the last.
const MAX_GROUP: usize = 1024;

/// The queue of writes, and what they are done on.
#[derive(Debug)]
pub(super) struct Writer {
    file: Arc<DatabaseFile>,
    reserve: Reserve,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Box<dyn Ask>>,
    /// Whether a job takes care of the queue.
    attended: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.waiting.len())
            .field("attended", &self.attended)
            .finish()
    }
}

impl Writer {
    pub(super) fn new(file: Arc<DatabaseFile>, reserve: Reserve) -> Writer {
        Writer { file, reserve, queue: Mutex::default() }
    }

    /// Does `work` in a transaction that others may share, and answers once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        self: &Arc<Writer>,
        blocking: &Blocking,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let start = {
            let mut queue = self.queue();
            queue.waiting.push(Box::new(Asked { work: Some(work), result: None, answer }));
            !std::mem::replace(&mut queue.attended, true)
        };
        if start {
            let job = Job { writer: self.clone(), done: false };
            // Nobody waits for the job: whoever waits for an answer hears of it.
            drop(blocking.spawn(move || job.run()));
        }
        answered.await.unwrap_or_else(|_| Err(Error::transient("the runtime is shutting down")))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each change is one step, so a panic elsewhere leaves it whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next writes for a transaction; with none left, the queue is unattended from then on.
    fn take(&self) -> Vec<Box<dyn Ask>> {
        let mut queue = self.queue();
        queue.attended = !queue.waiting.is_empty();
        let count = queue.waiting.len().min(MAX_GROUP);
        queue.waiting.drain(..count).collect()
    }

    fn commit(&self, mut group: Vec<Box<dyn Ask>>) {
        let result = self.file.write(group.len(), |part, tables| group[part].apply(tables));
        match &result {
            Ok(()) => self.reserve.committed(),
            Err(broken) if broken.full => self.reserve.release(),
            Err(_) => {}
        }
        for (part, ask) in group.into_iter().enumerate() {
            ask.answer(result.as_ref().map_err(|broken| error_of(broken, part)).copied());
        }
    }
}

/// What a failed transaction means to one of its parts. Damage that was met in another part's rows is no damage of
/// this one's.
fn error_of(broken: &Broken, part: usize) -> Error {
    let elsewhere = broken.part.is_some_and(|failed| failed != part);
    if broken.is_damage() && elsewhere { broken.bystander() } else { broken.error() }
}

/// The job that attends the queue.
struct Job {
    writer: Arc<Writer>,
    done: bool,
}

impl Job {
    fn run(mut self) {
        loop {
            let group = self.writer.take();
            if group.is_empty() {
                // From here on the queue may have another job.
                self.done = true;
                return;
            }
            self.writer.commit(group);
        }
    }
}

impl Drop for Job {
    /// A job that never ran, because the runtime was shutting down, leaves nobody waiting.
    fn drop(&mut self) {
        if !self.done {
            let mut queue = self.writer.queue();
            queue.attended = false;
            queue.waiting.clear();
        }
    }
}

/// One write, with the one who waits for it.
trait Ask: Send {
    /// Does the work; whether it changed anything.
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<bool, StorageError>;
    /// Tells the result, now that the transaction has been committed or has failed.
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Asked<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Ask for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut Tables<'_>) -> Result<T, Failure> + Send,
{
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<bool, StorageError> {
        let Some(work) = self.work.take() else { return Ok(false) };
        self.result = match work(tables) {
            Ok(value) => Some(Ok(value)),
            Err(Failure::Refused(error)) => Some(Err(error)),
            Err(Failure::Broken(error)) => return Err(error),
        };
        Ok(self.result.as_ref().is_some_and(Result::is_ok))
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let Asked { result, answer, .. } = *self;
        let result =
            result.unwrap_or_else(|| Err(Error::bug("a write was committed without having been done")));
        // What was refused may have been refused because of an earlier part, so it counts only if that was
        // committed. Whoever asked may have gone away.
        let _ = answer.send(committed.and(result));
    }
}
