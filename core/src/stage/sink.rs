//! The trait of sinks.

use super::permit::Permission;
use crate::{Batch, Census, Epoch, Rejects, Result, SinkCx, Token, mailbox::Need};

/// What a sink found when it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It stands where its token says; what lay after it has been rolled back.
    Resumed,
    /// It starts elsewhere: for the first time, at another path, or the file is gone. The engine saves a
    /// checkpoint with a token of the new place before it writes anything.
    Elsewhere,
}

/// What a sink gives when it is prepared.
#[derive(Debug, Default)]
pub struct Prepared {
    /// What is needed to finish or roll back the epoch after a crash.
    pub token: Option<Token>,
    /// Which of the epoch's records a newer revision or a tombstone in the sink beat, by type.
    pub superseded: Census,
    /// Which of the epoch's records could not be stored.
    pub rejects: Rejects,
    /// Which records of earlier epochs were pending at the last `prepare` and have become dead letters since, by the
    /// sink's own [acknowledgements](SinkCx::acknowledgements).
    pub refused: Census,
    /// Which of the refused, of this epoch or earlier ones, have been withdrawn since, by the same acknowledgements.
    pub withdrawn: Census,
    /// Which records of earlier epochs were pending at the last `prepare` and will not be sent, because they no longer
    /// [may](Sink::permit).
    pub withheld: Census,
    /// [`pending`](Sink::pending) by type. Without it a sink that has anything pending has no accounts by type.
    pub pending: Option<Census>,
}

impl From<Option<Token>> for Prepared {
    fn from(token: Option<Token>) -> Prepared {
        Prepared { token, ..Prepared::default() }
    }
}

/// Where records go.
///
/// Contract (the engine relies on it, the contract suite checks it):
/// - `open` comes first and once. It rolls back everything that lies after the context's token. Nothing, not
///   even a header, becomes visible before the first `prepare` of this run has been saved.
/// - `write` empties the batch. It may return before the records are stored; it must not hold more than two
///   batches: one that is being written, and one that waits for it. It must not block the thread: blocking work runs as
///   a job of the context's `blocking`, one in flight, awaited before the next is started.
/// - `prepare` returns when all earlier writes are durable or staged. What a replay could not repeat must not be
///   visible yet, unless the sink is idempotent by identity.
/// - `commit` is idempotent. It is called again after a restart, with the token of the last checkpoint. An error
///   of it is retried until it succeeds.
/// - Records are kept in the order they came.
/// - After an error of `open`, `write` or `prepare` the sink is dropped; the engine then waits for its jobs and
///   starts with a new one.
/// - Each effect re-checks the context's fence: an older generation changes nothing.
pub trait Sink: Send + 'static {
    /// What it takes.
    type Item: Send + 'static;

    /// Opens the sink and rolls back what lies after its token.
    fn open(&mut self, cx: SinkCx) -> impl Future<Output = Result<Opened>> + Send;

    /// Takes all of `batch`.
    fn write(&mut self, batch: &mut Batch<Self::Item>) -> impl Future<Output = Result<()>> + Send;

    /// Makes everything written so far durable, or stages it.
    fn prepare(&mut self, epoch: Epoch) -> impl Future<Output = Result<Prepared>> + Send;

    /// Finishes the epoch: it has passed the commit point.
    fn commit(&mut self, epoch: Epoch, token: Option<&Token>) -> impl Future<Output = Result<()>> + Send;

    /// What may be sent from now on of what it has taken, see [`Permission`]. A sink that makes records visible with their epoch has
    /// nothing to do. Called before the first `commit`, and whenever it changes.
    fn permit(&mut self, permission: Permission<Self::Item>) {
        let _ = permission;
    }

    /// How many records of prepared epochs its receiver has not yet acknowledged. Stores have none. When there are none
    /// left, the engine closes one more epoch, so that the account says so.
    fn pending(&self) -> u64 {
        0
    }

    /// What keeps its receiver from acknowledging what is pending, if it is more than time.
    fn need(&self) -> Option<Need> {
        None
    }

    /// Whether what it does beside the pipeline goes on; asked while nothing else happens and something is pending.
    ///
    /// # Errors
    /// What ended it.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
