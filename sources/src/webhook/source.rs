//! [`Webhook`]: hands what is in the log to the engine.

use std::{path::PathBuf, sync::Arc, time::Duration};

use afferent_core::{
    Batch, Committed, Error, Limits, Position, Pulled, Record, Result, Source, SourceCx,
    blocking::{Blocking, Job},
    clock::{self, Clock, Instant},
    disk::Disk,
    event::StageEvents,
    random::Random,
    segment_log::LogPosition,
};
use tokio::sync::watch;

use super::{
    Ack, Config, Listeners,
    endpoint::Endpoint,
    intake::{self, Intake, Progress, trimmable},
    listeners::Lease,
    position::Place,
    reader::{Reader, Step},
};

/// How often the log is trimmed while it has room: it costs a sync of the ids.
const TRIM_EVERY: Duration = Duration::from_secs(1);

/// How long it waits for another body before it says that it has nothing more. That closes the epoch, which costs syncs, and
/// bodies of a busy sender come every few milliseconds; a lone one can wait so long. Not where senders wait for the commit.
const LINGER: Duration = Duration::from_millis(20);

/// A source of records that are posted to it; see the module's documentation.
#[derive(Debug)]
pub struct Webhook {
    config: Config,
    listeners: Listeners,
    open: Option<Box<Open>>,
}

impl Webhook {
    /// A source that listens where `config` says, through `listeners`, which all sources of a process share.
    pub fn new(config: Config, listeners: Listeners) -> Webhook {
        Webhook { config, listeners, open: None }
    }
}

#[derive(Debug)]
struct Open {
    world: World,
    endpoint: Arc<Endpoint>,
    intake: Arc<Intake>,
    committed: watch::Receiver<Committed>,
    /// The reader, while no step is under way.
    reader: Option<Reader>,
    /// The step that is under way; it has the reader.
    job: Option<Job<(Reader, Result<Step>)>>,
    /// Where it is.
    place: Place,
    /// Pulls that were given.
    pulls: u64,
    /// That it has nothing more was said.
    drained: bool,
    /// It gave something since, and waits a little before it says so.
    lingers: bool,
    /// That the log failed was said.
    told_broken: bool,
    /// How far the log was trimmed, and when.
    trimmed: Option<(LogPosition, Instant)>,
    /// The pull with which a checkpoint was asked for, so that the log could be trimmed.
    asked: u64,
    /// Held for as long as this listens.
    _lease: Lease,
}

/// What opening the log takes.
#[derive(Debug)]
struct World {
    config: Config,
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    random: Random,
    events: StageEvents,
    limits: Limits,
}

impl Source for Webhook {
    type Item = Record;

    /// # Errors
    /// `Config` for secrets and certificates that are none, a path that another pipeline has, and settings in which it does
    /// not agree with another one at its address; `CantCreate` if it can't listen there; `State` for a log of a newer
    /// version; else as the disk fails.
    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let endpoint = Arc::new(Endpoint::open(&self.config, &cx).await?);
        let place = cx.position.as_ref().map(Place::load).transpose()?;
        let mut world = World {
            config: self.config.clone(),
            disk: cx.disk,
            directory: cx.directory,
            clock: cx.clock,
            blocking: cx.blocking,
            random: cx.random,
            events: cx.events,
            limits: cx.limits,
        };
        let (intake, reader) = world.open(place, None).await?;
        endpoint.set_intake(Some(intake.clone()));
        let lease = match self.listeners.listen(&self.config, endpoint.clone()).await {
            Ok(lease) => lease,
            Err(error) => {
                intake.close().await?;
                return Err(error);
            }
        };
        let scheme = if self.config.tls.is_some() { "https" } else { "http" };
        world.events.notice(format!("receiving at {scheme}://{}{}", lease.address, self.config.path));
        self.open = Some(Box::new(Open {
            world,
            endpoint,
            intake,
            committed: cx.committed,
            place: reader.place(),
            reader: Some(reader),
            job: None,
            pulls: 0,
            drained: false,
            lingers: false,
            told_broken: false,
            trimmed: None,
            asked: 0,
            _lease: lease,
        }));
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let open = self.open.as_mut().ok_or_else(|| Error::bug("`next` before `open`"))?;
        open.next().await.map(Some)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.endpoint.set_intake(None);
        // Jobs, for which the engine waits before it opens another source over the same log. Without a runtime there are none,
        // and nothing writes.
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(self.intake.close());
        }
    }
}

impl World {
    /// Opens the log, for reading on at `place`, or from its first entry. Without `progress`, everything before that is
    /// committed.
    async fn open(
        &mut self,
        place: Option<Place>,
        progress: Option<Arc<Progress>>,
    ) -> Result<(Arc<Intake>, Reader)> {
        let (disk, directory, now) = (self.disk.clone(), self.directory.clone(), self.clock.now());
        let (limits, max_ids) = (self.config.log_limits(), self.config.max_ids);
        let mut random = self.random.fork();
        let job = self.blocking.spawn(move || {
            intake::open(&disk, &directory, limits, max_ids, place.as_ref(), now, &mut random)
        });
        let opened = job.await??;
        opened.alarms.iter().for_each(|alarm| self.events.alarm(alarm));
        let (first, entries) = (opened.log.first(), opened.log.end().number() - opened.log.first().number());
        let (from, done) = match place {
            Some(place) if place.log == opened.log.id() => (place.entry, place.done),
            Some(_) => {
                self.events.alarm(
                    "the webhook's log is another than the one read before: it was lost, or the state directory was \
                     replaced; it is read from its first entry, and what was in the other one and not committed is lost",
                );
                (first, 0)
            }
            None => {
                if entries > 0 {
                    self.events.notice(format!(
                        "there is no checkpoint; all {entries} bodies that were acknowledged and are still here are read"
                    ));
                }
                (first, 0)
            }
        };
        let reader = Reader::new(opened.log.reader(from), done, self.config.strict)?;
        let (clock, blocking, events) = (self.clock.clone(), self.blocking.clone(), self.events.clone());
        let progress = progress.unwrap_or_else(|| Arc::new(Progress::new(from.number())));
        let intake = Intake::new(opened, limits, progress, clock, blocking, events);
        Ok((Arc::new(intake), reader))
    }
}

impl Open {
    async fn next(&mut self) -> Result<Pulled<Record>> {
        loop {
            if self.intake.broken.is_cancelled() {
                if !std::mem::replace(&mut self.told_broken, true) {
                    return Err(Error::transient(
                        "the webhook's log could not be written; it is opened again",
                    ));
                }
                self.reopen().await?;
            }
            self.trim().await;
            let step = self.step().await?;
            step.alarms.iter().for_each(|alarm| self.world.events.alarm(alarm));
            let moved = step.place.entry != self.place.entry || step.place.done != self.place.done;
            self.place = Place { asked: self.place.asked, ..step.place };
            if moved || !step.batch.is_empty() || !step.rejects.is_empty() {
                self.drained = false;
                self.lingers = self.world.config.ack == Ack::Durable;
                let (batch, rejects) = (step.batch, step.rejects);
                return Ok(Pulled { batch, rejects, position: self.given()?, seal: false });
            }
            if !self.drained {
                if std::mem::take(&mut self.lingers) && self.linger().await {
                    continue;
                }
                self.drained = true;
                return Ok(Pulled::drained(self.given()?));
            }
            if self.wait().await {
                // What is committed already is in the way of what comes: checkpoints that are older have to go.
                self.place.asked += 1;
                self.asked = self.pulls + 1;
                return Ok(Pulled::drained(self.given()?));
            }
        }
    }

    /// The position of the pull that is given now.
    fn given(&mut self) -> Result<Position> {
        self.pulls += 1;
        self.intake.progress.given(self.pulls, self.place.entry.number());
        self.place.save(&self.world.config.path)
    }

    /// Closes the log, of which nothing is certain any more, and opens it again.
    async fn reopen(&mut self) -> Result<()> {
        self.endpoint.set_intake(None);
        self.intake.close().await?;
        let (intake, reader) = self.world.open(Some(self.place), Some(self.intake.progress.clone())).await?;
        (self.intake, self.reader) = (intake.clone(), Some(reader));
        (self.drained, self.told_broken, self.trimmed) = (false, false, None);
        self.endpoint.set_intake(Some(intake));
        Ok(())
    }

    async fn step(&mut self) -> Result<Step> {
        if let Some(mut reader) = self.reader.take() {
            let limits = self.world.limits;
            self.job = Some(self.world.blocking.spawn(move || {
                let step = reader.step(limits, Batch::new());
                (reader, step)
            }));
        }
        // The job stays in its place while it is awaited, so that nothing is lost if this future is dropped.
        let job = self.job.as_mut().ok_or_else(|| Error::bug("a step lost the reader of the log"))?;
        let joined = job.await;
        self.job = None;
        let (reader, step) = joined?;
        self.reader = Some(reader);
        step
    }

    /// Waits a little; whether there may be more.
    async fn linger(&mut self) -> bool {
        tokio::select! {
            () = self.intake.arrived.notified() => true,
            () = self.intake.broken.cancelled() => true,
            () = clock::sleep(LINGER) => false,
        }
    }

    /// Waits until there may be more; whether a checkpoint is needed before there can be.
    async fn wait(&mut self) -> bool {
        loop {
            if self.intake.broken.is_cancelled() {
                return false;
            }
            self.trim().await;
            if self.needs_checkpoint() {
                return true;
            }
            let committed = async {
                if self.committed.changed().await.is_err() {
                    // The engine has gone, and this will, too.
                    std::future::pending::<()>().await;
                }
            };
            let arrived = tokio::select! {
                () = self.intake.arrived.notified() => true,
                () = self.intake.broken.cancelled() => true,
                () = committed => false,
            };
            if arrived && !self.needs_room() {
                return false;
            }
        }
    }

    /// Whether it was woken because there is no room, and can do something about it.
    fn needs_room(&self) -> bool {
        self.intake.is_full()
            && self.trimmable().is_some_and(|to| self.trimmed.is_none_or(|(done, _)| done < to))
    }

    /// Whether only older checkpoints keep a full log from being trimmed, and no newer one was asked for.
    fn needs_checkpoint(&self) -> bool {
        let is_asked_for = self.committed.borrow().pulls < self.asked;
        self.intake.is_full() && !is_asked_for && self.trimmable().is_none_or(|to| to < self.place.entry)
    }

    fn trimmable(&self) -> Option<LogPosition> {
        trimmable(self.committed.borrow().position.as_ref(), self.place.log)
    }

    /// Trims the log, if it is due.
    async fn trim(&mut self) {
        let Some(to) = self.trimmable() else { return };
        let is_new = self.trimmed.is_none_or(|(done, _)| done < to);
        let now = clock::instant();
        let is_early = self.trimmed.is_some_and(|(_, at)| now.duration_since(at) < TRIM_EVERY);
        let intake = &self.intake;
        if !is_new || !intake.wants_trimming() || (is_early && !intake.is_pressed()) {
            return;
        }
        // If it fails the log is broken, and the next pull says so.
        if let Ok(true) = intake.trim(to).await {
            self.trimmed = Some((to, now));
        }
    }
}
