//! [`Intake`]: what takes bodies while the log is open.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use afferent_core::{
    Committed, Error, Position, Result, Timestamp,
    blocking::Blocking,
    clock::Clock,
    disk::Disk,
    event::StageEvents,
    random::Random,
    segment_log::{Appended, Committer, LogId, LogLimits, LogPosition, SegmentLog},
};
use afferent_formats::Format;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    answer::Refusal,
    blocks::Blocks,
    body::Budget,
    frame::{BodyId, Head},
    ids::{Due, Found, Ids, Outcome, Outcomes, Seen, recover},
    position::Place,
    tasks,
};

/// Takes bodies: gives each its place in the log and its id to the ids.
///
/// Once something about its log has failed it is *broken*: it takes nothing more, and only a new one over the same
/// directory knows what is there.
#[derive(Debug)]
pub(super) struct Intake {
    committer: Committer,
    log: LogId,
    limits: LogLimits,
    /// Held inside jobs only; `None` once it is closed.
    blocks: Arc<Mutex<Option<Blocks>>>,
    ids: Mutex<Ids>,
    /// One block at a time.
    indexing: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    events: StageEvents,
    /// Entries were stored, or there was no room for one.
    pub(super) arrived: Notify,
    pub(super) broken: CancellationToken,
    /// A body found no room since the log was trimmed last.
    full: AtomicBool,
    /// Bytes of the log, about.
    bytes: AtomicU64,
    pub(super) progress: Arc<Progress>,
}

/// What opening gives.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log: SegmentLog,
    blocks: Blocks,
    ids: Ids,
    /// What an operator should know.
    pub(super) alarms: Vec<String>,
}

/// Opens what is in `directory`, whose reader is at `position`. Blocks.
pub(super) fn open(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    limits: LogLimits,
    max_ids: u64,
    position: Option<&Place>,
    now: Timestamp,
    random: &mut Random,
) -> Result<Opened> {
    let mut opened = Blocks::open(disk.clone(), &directory.join("ids"), max_ids, random)?;
    // Both were durable: should the log end before them, something was lost.
    let expected = position.map(|place| place.entry).max(opened.blocks.last(None));
    let (log, recovery) = SegmentLog::open(disk.clone(), &directory.join("log"), limits, expected, random)?;
    let ids = recover(&opened, max_ids, &log, now)?;
    let mut alarms = std::mem::take(&mut opened.alarms);
    alarms.extend(recovery.damage.iter().map(lost));
    Ok(Opened { log, blocks: opened.blocks, ids, alarms })
}

/// What is said of damage in the log.
pub(super) fn lost(damage: &afferent_core::segment_log::Damage) -> String {
    format!(
        "bodies that were acknowledged are lost from the webhook's log: {damage}; ask their senders to send them again"
    )
}

/// A body that was taken, or was before.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is under way.
    InFlight(Outcomes),
    /// It is stored.
    Stored(Seen),
}

impl Intake {
    pub(super) fn new(
        opened: Opened,
        limits: LogLimits,
        progress: Arc<Progress>,
        clock: Arc<dyn Clock>,
        blocking: Blocking,
        events: StageEvents,
    ) -> Intake {
        let Opened { log, blocks, ids, .. } = opened;
        let (id, bytes) = (log.id(), log.bytes());
        Intake {
            committer: Committer::new(log, blocking.clone()),
            log: id,
            limits,
            blocks: Arc::new(Mutex::new(Some(blocks))),
            ids: Mutex::new(ids),
            indexing: tokio::sync::Mutex::new(()),
            clock,
            blocking,
            events,
            arrived: Notify::new(),
            broken: CancellationToken::new(),
            full: AtomicBool::new(false),
            bytes: AtomicU64::new(bytes),
            progress,
        }
    }

    /// Takes a body that was found to be good. What it takes of `budget` is given back when it is stored.
    ///
    /// # Errors
    /// `IdReused`, or `Full`.
    #[allow(clippy::too_many_arguments, reason = "what is known of a body")]
    pub(super) fn take(
        self: &Arc<Self>,
        id: Option<BodyId>,
        hash: u64,
        records: u32,
        format: Format,
        content: Vec<u8>,
        budget: Budget,
    ) -> Result<Taken, Refusal> {
        let received = self.clock.now();
        let (sender, outcomes) = watch::channel(None);
        if let Some(id) = id {
            let (found, forgotten) = {
                let mut ids = self.ids();
                (ids.begin(id, hash, received, &outcomes)?, ids.take_forgotten())
            };
            self.tell_forgotten(forgotten);
            match found {
                Found::New => {}
                Found::InFlight(outcomes) => return Ok(Taken::InFlight(outcomes)),
                Found::Stored(seen) => return Ok(Taken::Stored(seen)),
            }
        }
        let head = Head { received, records, hash, id, format };
        let intake = self.clone();
        // Whoever sent it may hang up: what became of it has to be known all the same.
        tasks::spawn(async move {
            let entry = head.with(&content);
            drop(content);
            let bytes = entry.len() as u64;
            let outcome = match intake.committer.append(entry).await {
                Ok(Appended::At(position)) => {
                    intake.bytes.fetch_add(bytes, Ordering::Relaxed);
                    intake.ids().stored(position, bytes, &head);
                    Outcome::Stored(position.number())
                }
                Ok(Appended::Full) => {
                    intake.full.store(true, Ordering::Relaxed);
                    id.inspect(|id| intake.ids().abandon(*id));
                    Outcome::Full
                }
                Err(error) => {
                    intake.fail(&error);
                    id.inspect(|id| intake.ids().abandon(*id));
                    Outcome::Failed
                }
            };
            drop(budget);
            sender.send_replace(Some(outcome));
            intake.arrived.notify_one();
            if intake.ids().is_due()
                && let Ok(_alone) = intake.indexing.try_lock()
            {
                // If it fails, that was said.
                let _ = intake.index(|_| true).await;
            }
        });
        Ok(Taken::InFlight(outcomes))
    }

    /// Nothing about the log is certain any more.
    fn fail(&self, error: &Error) {
        if !self.broken.is_cancelled() {
            tracing::warn!("the webhook's log is opened again: {error}");
            self.broken.cancel();
        }
    }

    fn tell_forgotten(&self, forgotten: u64) {
        if forgotten > 0 {
            tracing::debug!("{forgotten} ids were forgotten for room");
            if self.progress.tell_forgotten() {
                self.events.alarm(
                    "more ids came within four days than `max_ids` allows: the oldest are forgotten, and a request that \
                     its sender repeats after that is stored twice (sinks absorb it by its records' ids); allow more ids",
                );
            }
        }
    }

    /// Writes blocks about what is known by now, if `worth` it.
    async fn index(&self, worth: impl FnOnce(&Due) -> bool) -> Result<()> {
        let (due, oldest) = {
            let mut ids = self.ids();
            (ids.take_due(), ids.oldest())
        };
        if !worth(&due) {
            return Ok(());
        }
        let (blocks, log) = (self.blocks.clone(), self.log);
        let job = self.blocking.spawn(move || {
            let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
            let blocks = blocks.as_mut().ok_or_else(|| Error::transient("the webhook's ids were closed"))?;
            blocks.write(log, &due)?;
            blocks.trim(oldest)
        });
        let done = job.await.and_then(|done| done);
        done.inspect_err(|error| self.fail(error))
    }

    /// Whether trimming up to what is committed is due.
    pub(super) fn wants_trimming(&self) -> bool {
        self.is_full() || self.bytes.load(Ordering::Relaxed) >= self.limits.segment_bytes
    }

    /// Whether the log will soon be full, or is.
    pub(super) fn is_pressed(&self) -> bool {
        self.is_full() || self.bytes.load(Ordering::Relaxed) >= self.limits.max_bytes / 2
    }

    /// Whether a body found no room since the log was trimmed last.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Trims the log before `to`, which no checkpoint needs any more, after the ids in it have their blocks; whether it did.
    pub(super) async fn trim(&self, to: LogPosition) -> Result<bool> {
        let _alone = self.indexing.lock().await;
        self.index(Due::has_ids).await?;
        if self.ids().next() < to.number() {
            // Some are not known yet: they are in a moment.
            return Ok(false);
        }
        // Segment by segment: bodies that come meanwhile are stored in between.
        let bytes = loop {
            let trimmed = self.committer.with(move |log| Ok((log.trim_one(to)?, log.bytes()))).await;
            match trimmed.and_then(|trimmed| trimmed).inspect_err(|error| self.fail(error))? {
                (true, _) => {}
                (false, bytes) => break bytes,
            }
        };
        if bytes < self.bytes.swap(bytes, Ordering::Relaxed) {
            self.full.store(false, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Starts the jobs after which nothing is written any more, whoever still holds this.
    pub(super) fn close(&self) -> impl Future<Output = Result<()>> + use<> {
        self.broken.cancel();
        let blocks = self.blocks.clone();
        let log = self.committer.close();
        let ids = self.blocking.spawn(move || {
            drop(blocks.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
        async move {
            log.await?;
            ids.await
        }
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        // A panic in one of its calls would be a bug of ours, and the log is the truth.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which entries the committed pulls cover.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<Pulls>,
    told_forgotten: AtomicBool,
}

#[derive(Debug)]
struct Pulls {
    /// Each pull, and the first entry that it and those before did not give wholly.
    given: VecDeque<(u64, u64)>,
    /// The first entry that is not committed.
    committed: u64,
}

impl Progress {
    /// Everything before entry `done` is committed.
    pub(super) fn new(done: u64) -> Progress {
        let state = Mutex::new(Pulls { given: VecDeque::new(), committed: done });
        Progress { state, told_forgotten: AtomicBool::new(false) }
    }

    /// Pull `pull` gives everything before entry `through`.
    pub(super) fn given(&self, pull: u64, through: u64) {
        let mut state = self.state();
        if state.given.back().map_or(state.committed, |(_, through)| *through) < through {
            state.given.push_back((pull, through));
        }
    }

    /// The first entry that is not committed, when the first `pulls` pulls are.
    pub(super) fn committed(&self, pulls: u64) -> u64 {
        let mut state = self.state();
        while let Some((pull, through)) = state.given.front().copied()
            && pull <= pulls
        {
            state.given.pop_front();
            state.committed = through;
        }
        state.committed
    }

    /// Waits until entry `number` is committed.
    ///
    /// # Errors
    /// `Unavailable` when the source ends before that.
    pub(super) async fn wait(
        &self,
        number: u64,
        mut committed: watch::Receiver<Committed>,
    ) -> Result<(), Refusal> {
        loop {
            let pulls = committed.borrow_and_update().pulls;
            if self.committed(pulls) > number {
                return Ok(());
            }
            committed.changed().await.map_err(|_| Refusal::Unavailable)?;
        }
    }

    /// Whether that ids are forgotten has still to be said.
    fn tell_forgotten(&self) -> bool {
        !self.told_forgotten.swap(true, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, Pulls> {
        // Each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the oldest checkpoint that is kept is in `log`.
pub(super) fn trimmable(position: Option<&Position>, log: LogId) -> Option<LogPosition> {
    let place = position.and_then(|position| Place::load(position).ok())?;
    (place.log == log).then_some(place.entry)
}
