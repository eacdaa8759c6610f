//! What the engine hands to a stage when it opens.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

use crate::{
    Epoch, Generation, Incarnation, Name, Position, StoreId, Token, blocking::Blocking,
    checkpoint::Acknowledgements, clock::Clock, disk::Disk, driver::Drivers, event::StageEvents,
    queue::disk::Queues, random::Random,
};

/// How much may move at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records in a batch.
    pub records: usize,
    /// Bytes of input in a batch.
    pub bytes: usize,
}

impl Default for Limits {
    /// 1,024 records, large enough that the costs per batch vanish; 1 MiB, small enough that a few batches in
    /// flight are no memory worth mentioning.
    fn default() -> Limits {
        Limits { records: 1024, bytes: 1 << 20 }
    }
}

/// What is committed, as one source sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// The newest committed epoch.
    pub epoch: Epoch,
    /// How many [`Pulled`](crate::Pulled)s of this source, since it was opened, that epoch and earlier ones
    /// cover. Positions are opaque and can't be compared; counts can.
    pub pulls: u64,
    /// The position in the oldest checkpoint that is kept: nothing after it may be trimmed.
    pub position: Option<Position>,
}

/// What a transform gets when it opens: who it is, for the ids that it derives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformCx {
    /// The pipeline.
    pub pipeline: Name,
    /// The transform's name in it.
    pub stage: Name,
}

/// What a source gets when it opens.
#[derive(Debug)]
pub struct SourceCx {
    /// The pipeline.
    pub pipeline: Name,
    /// The source's name in it.
    pub stage: Name,
    /// Resume after this; `None` starts at the beginning.
    pub position: Option<Position>,
    /// What is committed, published after each epoch.
    pub committed: watch::Receiver<Committed>,
    /// How much one pull may give.
    pub limits: Limits,
    /// The wall clock, for labels only.
    pub clock: Arc<dyn Clock>,
    /// For state files.
    pub disk: Arc<dyn Disk>,
    /// For blocking work.
    pub blocking: Blocking,
    /// For jitter.
    pub random: Random,
    /// A directory of its own for state files; not created.
    pub directory: PathBuf,
    /// The queues between pipelines.
    pub queues: Queues,
    /// For progress, notices and alarms.
    pub events: StageEvents,
}

/// Which generation may act, for sinks to re-check inside each effect.
///
/// Fences are keyed by (checkpoint store, pipeline, sink): generations of two stores can't be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The checkpoint store.
    pub store: StoreId,
    /// The pipeline.
    pub pipeline: Name,
    /// The sink.
    pub sink: Name,
    /// The generation that acts.
    pub generation: Generation,
}

/// What a sink gets when it opens.
#[derive(Debug)]
pub struct SinkCx {
    /// The pipeline.
    pub pipeline: Name,
    /// The sink's name in it.
    pub stage: Name,
    /// The token of the last checkpoint; what lies after it is to be rolled back.
    pub token: Option<Token>,
    /// The history that is being written.
    pub incarnation: Incarnation,
    /// Which generation acts.
    pub fence: Fence,
    /// An older generation may still have the sink open, and need not answer: its advisory locks keep nobody out, and what
    /// it may still do by them must not be seen.
    pub take_over: bool,
    /// The wall clock, for labels only.
    pub clock: Arc<dyn Clock>,
    /// For files.
    pub disk: Arc<dyn Disk>,
    /// For blocking work.
    pub blocking: Blocking,
    /// For jitter.
    pub random: Random,
    /// For tasks that talk to a receiver.
    pub drivers: Drivers,
    /// How far its receiver is.
    pub acknowledgements: Acknowledgements,
    /// A directory of its own for state files; not created.
    pub directory: PathBuf,
    /// The queues between pipelines.
    pub queues: Queues,
    /// For notices and alarms.
    pub events: StageEvents,
}
