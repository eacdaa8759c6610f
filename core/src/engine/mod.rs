//! The engine: drives one pipeline through its epochs.

mod stages;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::stages::{BoxStages, Stages, When};
use crate::{
    CheckpointStore, Epoch, Limits, Name, Result, Sink, Source, clock::Clock, disk::Disk, event::Events,
    ledger::Ledger, mailbox::Command, random::Random, stage::Transforms,
};

/// When epochs are closed, and when a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Close an epoch that is this old.
    pub every: Duration,
    /// Close an epoch that has read this many records.
    pub records: u64,
    /// Close an epoch that has read this many bytes, dead letters included.
    pub bytes: u64,
    /// How much one pull may give.
    pub limits: Limits,
    /// End when at one instant all sources are drained, everything is committed and nothing is pending.
    pub until_idle: bool,
}

impl Default for Settings {
    /// An epoch a second, or each million records, or each 64 MiB: what a crash replays at most.
    fn default() -> Settings {
        Settings {
            every: Duration::from_secs(1),
            records: 1_000_000,
            bytes: 64 << 20,
            limits: Limits::default(),
            until_idle: false,
        }
    }
}

/// The world of one pipeline.
#[derive(Debug)]
pub struct EngineCx {
    /// The pipeline's name: keys its checkpoints, metrics and dead letters.
    pub pipeline: Name,
    /// When epochs are closed.
    pub settings: Settings,
    /// Where checkpoints are kept.
    pub store: Arc<dyn CheckpointStore>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Randomness.
    pub random: Random,
    /// A directory for the state files of the pipeline's stages; each gets one of its own below it.
    pub directory: PathBuf,
    /// Commands.
    pub mailbox: mpsc::Receiver<Command>,
    /// Events.
    pub events: Events,
    /// Cancelled to kill the pipeline: it ends at once, without closing its epoch.
    pub kill: CancellationToken,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All sources ended.
    Finished,
    /// All were drained and `until_idle` was set.
    Idle,
    /// A command asked for it (`Stop`, `Drain`), or the mailbox was closed.
    Stopped,
    /// It was killed; the open epoch is replayed by the next run.
    Killed,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The last committed epoch.
    pub epoch: Epoch,
    /// The accounts at its end.
    pub ledger: Ledger,
}

/// Runs a pipeline until it ends, and through every failure that may heal.
///
/// `factory` makes the stages, for the first start and again after each error that undoes an epoch.
///
/// # Errors
/// What does not heal by itself: `Config`, `State`, `CantCreate`, `Fenced`, `Bug`, `Data`. `Transient` is retried
/// with capped back-off, `Auth` pauses until `Resume`.
pub async fn run<S, X, K, F>(cx: EngineCx, factory: F) -> Result<Outcome>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
    F: FnMut() -> Result<Stages<S, X, K>> + Send,
{
    let _ = (cx, factory);
    Err(crate::Error::bug("not yet"))
}
