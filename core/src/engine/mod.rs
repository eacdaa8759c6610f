//! The engine: drives one pipeline through its epochs.
//!
//! # The exactly-once argument
//!
//! An epoch is what happens between two checkpoints. Saving the checkpoint is its commit point:
//!
//! 1. **Before the save** nothing of the epoch counts. Sources have acknowledged nothing, transforms have only
//!    changed in memory, sinks have staged their writes or can roll them back to their token. Any error or crash
//!    drops all stages; the next start opens new ones from the last checkpoint, sinks roll back what lies after
//!    their token, and sources give the same records again (G1, G2).
//! 2. **After the save** everything of the epoch counts. `commit` finishes it from the tokens in the checkpoint;
//!    it is idempotent and runs again after a crash, and the next epoch is not prepared before it has succeeded.
//! 3. **The save is atomic** and a compare-and-set on (generation, epoch − 1), so of two processes that believe to
//!    own the pipeline only the newer one can pass it (G10).
//!
//! # Starting
//!
//! claim → load → sinks `open` (and roll back) → `commit` again → transforms `restore` and `look` → epoch 0 or a bridging
//! epoch is saved if a sink opened elsewhere, a sink was added or the incarnation is new → sinks are told what may be
//! [sent](crate::stage::Permission) → sources `open`. Where a transform says what may be sent, sinks send nothing before they are told,
//! and what its look has found is in a checkpoint then.
//! Nothing is written to a sink before its token is in a saved checkpoint.
//!
//! # Opening and closing an epoch
//!
//! Before what comes when no epoch is open, transforms look at what they take from outside, such as a table in a file: what is
//! new is saved by an epoch of its own before any record meets it; see [`Look`](crate::stage::Look). Then an epoch is opened, and
//! they `tick` before its first record: they learn what time it is. Where a transform says what may be sent, they look, too, while
//! something is pending, four times a second, also while a sink makes the pipeline wait; then what is new undoes the epoch. What a
//! checkpoint says may be sent is told to the sinks before it is committed to them.
//!
//! On the interval, on a record or byte limit, when a source seals, on command, or at the end, and once more when receivers
//! have acknowledged all that was pending; otherwise never when neither records came nor a position moved: transforms `tick` and `snapshot` → sinks `prepare` → **save** → sinks
//! `commit` → publish `Committed` to the sources. Pulls that are under way are kept.
//!
//! # Errors
//!
//! | kind | in a source's `next` | anywhere else before the save | in `commit` |
//! |---|---|---|---|
//! | `Waiting` | epoch closed, pulled again at once | start again after back-off | retried |
//! | `Transient` | pulled again after back-off | start again after back-off | retried |
//! | `Auth` | paused until `Resume`, then start again | the same | the same |
//! | others | the run ends with the error | the run ends with the error | the run ends with the error |
//!
//! Drivers of dropped stages are stopped, and their blocking jobs awaited, before new stages are made, so nothing an undone
//! epoch started can still act.
//!
//! # Cancellation
//!
//! Cancelling [`EngineCx::kill`] ends the run between two polls; dropping the future of [`run`] does the same,
//! except that nobody awaits the blocking jobs.

mod backoff;
mod claim;
mod close;
mod control;
mod crash;
mod life;
mod look;
mod pulls;
mod retry;
mod stages;
mod start;
mod tally;
#[cfg(test)]
mod tests;
mod wake;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use self::{
    backoff::Backoff,
    claim::Claim,
    crash::{CRASH_POINTS, CRASHED},
    retry::{Again, BoxLetters, Entry, Letters},
    stages::{BoxStages, NamedSink, Stages, Superseding, When},
};
use self::{
    control::{Abort, Control},
    life::Life,
};
use crate::{
    CheckpointStore, Epoch, Error, ErrorKind, Limits, Name, Result, Sink, Source,
    blocking::Blocking,
    checkpoint::LetterLimits,
    clock::{self, Clock},
    disk::Disk,
    driver::Drivers,
    event::{EventKind, Events},
    ledger::Ledger,
    mailbox::{Activity, Command, Need},
    metrics,
    queue::disk::Queues,
    random::Random,
    stage::Transforms,
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
    /// How many dead letters there may be.
    pub letters: LetterLimits,
    /// End when at one instant all sources are drained, everything is committed and nothing is pending.
    pub until_idle: bool,
}

impl Default for Settings {
    /// An epoch a second, or each million records, or each GiB: what a crash replays at most. The interval is
    /// what closes ordinary epochs; the other two bound an epoch whose source is very fast.
    fn default() -> Settings {
        Settings {
            every: Duration::from_secs(1),
            records: 1_000_000,
            bytes: 1 << 30,
            limits: Limits::default(),
            letters: LetterLimits::default(),
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
    /// How it is claimed there.
    pub claim: Claim,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Randomness.
    pub random: Random,
    /// A directory for the state files of the pipeline's stages; each gets one of its own below it.
    pub directory: PathBuf,
    /// The queues between pipelines; all that use one state directory share them.
    pub queues: Queues,
    /// Commands.
    pub mailbox: mpsc::Receiver<Command>,
    /// Events.
    pub events: Events,
    /// Cancelled to kill the pipeline: it ends at once, without closing its epoch.
    pub kill: CancellationToken,
}

/// The part of the world that stages are opened with.
struct World {
    pipeline: Name,
    settings: Settings,
    store: Arc<dyn CheckpointStore>,
    claim: Claim,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    random: Random,
    directory: PathBuf,
    queues: Queues,
    blocking: Blocking,
    /// Of this life.
    drivers: Drivers,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All sources ended.
    Finished,
    /// All were drained, and `until_idle` was set or a command asked for it (`Finish`).
    Idle,
    /// A command asked for it (`Stop`, `Drain`, `Wake`).
    Stopped,
    /// It was killed; the open epoch is replayed by the next run.
    Killed,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The last committed epoch; `None` when it ended before there was one.
    pub epoch: Option<Epoch>,
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
    lives(cx, factory, || None).await
}

/// Puts dead letters into a pipeline again, without pulling from its sources, until all have become something.
///
/// `letters` gives those that are left, for the first start and again after each error that undoes an epoch.
///
/// # Errors
/// As [`run`]; `Config` when a letter is for a stage that is not there.
pub async fn retry<S, X, K, F, L>(cx: EngineCx, factory: F, mut letters: L) -> Result<Outcome>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
    F: FnMut() -> Result<Stages<S, X, K>> + Send,
    L: FnMut() -> BoxLetters<S::Item, X::Out> + Send,
{
    lives(cx, factory, || Some(letters())).await
}

async fn lives<S, X, K, F, L>(cx: EngineCx, mut factory: F, mut letters: L) -> Result<Outcome>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
    F: FnMut() -> Result<Stages<S, X, K>> + Send,
    L: FnMut() -> Option<BoxLetters<S::Item, X::Out>> + Send,
{
    let span = tracing::info_span!("pipeline", name = %cx.pipeline);
    let EngineCx {
        pipeline,
        settings,
        store,
        claim,
        clock,
        disk,
        random,
        directory,
        queues,
        mailbox,
        events,
        kill,
    } = cx;
    let mut control = Control::new(mailbox, kill, events);
    let mut world = World {
        pipeline,
        settings,
        store,
        claim,
        clock,
        disk,
        random,
        directory,
        queues,
        blocking: Blocking::new(),
        drivers: Drivers::new(),
    };
    let mut backoff = Backoff::default();
    async move {
        loop {
            let committed = control.status.epoch;
            let result = life(&mut world, &mut control, &mut factory, letters()).await;
            std::mem::take(&mut world.drivers).stop().await;
            world.blocking.idle().await;
            if control.status.epoch != committed {
                backoff.reset();
            }
            let result = match result {
                Err(Abort::Failed(error)) => recover(error, &mut world, &mut control, &mut backoff).await,
                ended => ended.map(Some),
            };
            let end = match result {
                Ok(None) => continue,
                Ok(Some(end)) => end,
                Err(Abort::Killed) => End::Killed,
                Err(Abort::Failed(error)) => {
                    let error = quiet(error, &world).await;
                    control.endings.needs(vec![Need::Help(error.to_string())]);
                    control.events.send(EventKind::Failed { error: error.to_string() });
                    return Err(error);
                }
            };
            tracing::info!(?end, "ended");
            control.ended();
            if end != End::Killed {
                control.events.send(EventKind::Finished);
            }
            return Ok(Outcome { end, epoch: control.status.epoch, ledger: control.status.ledger.clone() });
        }
    }
    .instrument(span)
    .await
}

/// From start to end or failure, with stages of its own.
async fn life<S, X, K, F>(
    world: &mut World,
    control: &mut Control,
    factory: &mut F,
    letters: Option<BoxLetters<S::Item, X::Out>>,
) -> Result<End, Abort>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
    F: FnMut() -> Result<Stages<S, X, K>>,
{
    control.set(Activity::Starting, None);
    let stages = factory()?;
    Life::start(world, control, stages, letters).await?.run().await
}

/// The error that ends a run; `Fenced` if a newer claim is there, whatever its stages met: that they found their files
/// otherwise than they left them is no defect then.
async fn quiet(error: Error, world: &World) -> Error {
    if error.kind() == ErrorKind::Fenced || !world.claim.is_fenced(&*world.store, &world.pipeline).await {
        return error;
    }
    tracing::debug!("{error}");
    Error::fenced(format!("a newer run has claimed pipeline `{}`", world.pipeline))
}

/// What follows an error: `None` to start again, or the end if it was asked for meanwhile.
async fn recover(
    error: Error,
    world: &mut World,
    control: &mut Control,
    backoff: &mut Backoff,
) -> Result<Option<End>, Abort> {
    control.fails(&error);
    match error.kind() {
        ErrorKind::Auth => {
            tracing::error!("{error}; everything is kept, resume when the credentials are mended");
            control.pause(&error.to_string());
        }
        kind if kind.is_retryable() => {
            metrics::restart(&world.pipeline);
            let wait = backoff.next(kind, &mut world.random);
            let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!("{error}; starting again in {after_ms} ms");
            control.events.send(EventKind::Retrying { error: error.to_string(), after_ms });
            control.set(Activity::BackingOff, Some(&error.to_string()));
            let until = clock::instant() + wait;
            // A drain is not done while something fails, so it goes on being tried.
            while !control.is_stopping() {
                let due = control.endings.due();
                let command = tokio::select! {
                    biased;
                    command = control.command() => command?,
                    () = clock::sleep_until(until) => return Ok(None),
                    () = clock::sleep_until(due.unwrap_or(until)), if due.is_some() => continue,
                };
                let was_woken = control.endings.is_woken();
                control.receive(command);
                if control.endings.is_woken() && !was_woken {
                    // Its time is short.
                    return Ok(None);
                }
                // Nothing is open while it backs off, so a pause is there as soon as it is asked for.
                control.closed(None);
            }
            return Ok(Some(End::Stopped));
        }
        _ => return Err(error.into()),
    }
    while control.paused && !control.is_stopping() {
        let due = control.endings.due();
        let command = tokio::select! {
            biased;
            command = control.command() => command?,
            () = clock::sleep_until(due.unwrap_or_else(clock::instant)), if due.is_some() => continue,
        };
        control.receive(command);
        control.closed(None);
    }
    Ok(control.is_stopping().then_some(End::Stopped))
}
