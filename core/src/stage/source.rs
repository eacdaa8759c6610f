//! The trait of sources.

use crate::{Batch, Position, Rejects, Result, SourceCx};

/// What a source gives in one pull.
#[derive(Debug)]
pub struct Pulled<T> {
    /// The records; may be empty.
    pub batch: Batch<T>,
    /// What could not be read as a record.
    pub rejects: Rejects,
    /// Where the source is after this batch and its rejects.
    pub position: Position,
    /// Close the epoch now. Together with an empty batch and no rejects it means that the source is
    /// *drained*: it had nothing more, and stays drained until its next pull returns.
    pub seal: bool,
}

impl<T> Pulled<T> {
    /// Nothing more for now: an empty, sealed pull at `position`.
    pub fn drained(position: Position) -> Pulled<T> {
        Pulled { batch: Batch::new(), rejects: Vec::new(), position, seal: true }
    }

    /// Whether this says that the source is drained.
    pub fn is_drained(&self) -> bool {
        self.seal && self.batch.is_empty() && self.rejects.is_empty()
    }
}

/// Where records come from.
///
/// Contract (the engine relies on it, the contract suite checks it):
/// - `open` comes first and once. It resumes *after* the position in the context; without one it starts at the
///   beginning. Records must come again in the same order, with the same ids, from the same position;
///   boundaries of batches need not repeat.
/// - The future of `next` is kept until it completes and is never dropped half-way, except when the whole
///   pipeline is aborted. A source may therefore hold work inside it.
/// - `next` gives at most the context's limits in a batch. It must not block the thread: blocking work runs as
///   a job of the context's `blocking`.
/// - A source that finds itself dry, also right after `open`, returns one [`Pulled::drained`]; the next `next`
///   then waits for more. `None` is the end of a finite source and is final.
/// - After `Waiting` or `Transient` the source is usable: `next` is called again (after `Waiting` at once, so it
///   must pend until that for which it waits may have changed). Any other error ends the pipeline's run.
/// - One bad record is a reject, never an error.
/// - The source may forget (acknowledge, trim) nothing but what the context's `committed` says.
pub trait Source: Send + 'static {
    /// What it gives.
    type Item: Send + 'static;

    /// Opens the source and resumes after the position in `cx`.
    fn open(&mut self, cx: SourceCx) -> impl Future<Output = Result<()>> + Send;

    /// The next batch; `None` is the end of a finite source.
    fn next(&mut self) -> impl Future<Output = Result<Option<Pulled<Self::Item>>>> + Send;
}
