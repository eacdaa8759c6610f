//! [`Upload`]: the sink's side of the protocol.

use std::sync::{Arc, Mutex, PoisonError};

use afferent_core::{
    Batch, Epoch, Error, ErrorKind, Opened, Prepared, Record, Result, Sink, SinkCx, Token,
    disk::Disk,
    guard::{FencedDisk, Guard},
    mailbox::Need,
    stage::Permission,
};
use afferent_formats::Format;
use tokio::sync::{mpsc, watch};

use super::{
    Delivery, Settings, Transport,
    attempt::Courier,
    crash::crash_point,
    driver::{Driver, DriverCx, Keep, Progress},
    feed::{Feed, Made, Released},
    gate::Gate,
    keeper::Refusals,
    metrics::Metrics,
    open::{OpenOutbox, Opening},
    outbox::Outbound,
    sealing::{Sealed, Sealer, Sealing},
    state::{Counters, OutboxToken, State},
};
use crate::jobs::{Jobs, not_open};

/// Without an outbox, bodies are in memory until the receiver has them: this much of them, and `write` waits.
const DIRECT_BYTES: u64 = 8 << 20;

/// What is written while it is not known what may be sent is asked for again.
const UNKNOWN: u64 = u64::MAX;

/// A sink that uploads with `T`. See the [module](super).
#[derive(Debug)]
pub struct Upload<T> {
    settings: Settings,
    /// Until it opens.
    transport: Option<T>,
    open: Option<Open>,
    /// What the receiver lets through.
    standing: Option<Arc<Gate>>,
    /// What may be sent.
    permissions: watch::Sender<Permission<Record>>,
    /// Its version, as what seals bodies was told.
    told: u64,
}

struct Open {
    sealing: Jobs<Sealing, Record>,
    mode: Mode,
    driver: Link,
    made: Made,
    metrics: Metrics,
}

enum Mode {
    Outbox {
        outbound: Outbound,
        released: watch::Sender<Option<Released>>,
        /// What the account knows: as of the last `prepare`.
        known: Box<Counters>,
        sealed: u64,
        /// Between `prepare` and `commit`, what was pending when it was prepared.
        prepared: Option<u64>,
    },
    Direct {
        refusals: Refusals,
    },
}

/// What the sink has of its driver.
struct Link {
    progress: watch::Receiver<Progress>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl<T: Transport> Upload<T> {
    /// A sink that uploads.
    pub fn new(settings: Settings, transport: T) -> Upload<T> {
        let permissions = watch::Sender::new(Permission::Free);
        Upload { settings, transport: Some(transport), open: None, standing: None, permissions, told: 0 }
    }

    async fn open_outbox(
        &mut self,
        cx: SinkCx,
        mut courier: Courier<T>,
        metrics: Metrics,
    ) -> Result<(Open, Opened)> {
        let (disk, directory) = (cx.disk.clone(), cx.directory.join("outbox"));
        let (fence, take_over) = (cx.fence.clone(), cx.take_over);
        let guarding = cx.blocking.spawn(move || {
            disk.create_dir_all(&directory)
                .map_err(|error| afferent_core::io_error("create the directory", &directory, error))?;
            Guard::take(&disk, &directory, "outbox", fence, take_over)
        });
        let guard = guarding.await??;
        cx.acknowledgements.check_claim().await?;
        courier.watch = Some((guard.watch(), cx.blocking.clone()));
        let saved = cx.acknowledgements.load().await?;
        let state = saved.as_deref().map(State::from_bytes).transpose()?;
        let token = cx.token.as_ref().map(OutboxToken::read).transpose()?;
        let (settings, directory) = (self.settings.clone(), cx.directory.join("outbox"));
        let disk: Arc<dyn Disk> = Arc::new(FencedDisk::new(cx.disk.clone(), guard.watch()));
        let incarnation = cx.incarnation;
        let (mut random, events) = (cx.random.clone(), cx.events.clone());
        let random = random.fork();
        let open = move || {
            let opening = Opening { settings, incarnation, guard, token, state, random, events };
            let OpenOutbox { outbox, sealed, opened, state, changed, known, reader } =
                opening.open(&disk, &directory)?;
            crash_point!("upload.opened");
            Ok((outbox, (sealed, opened, state, changed, known, reader)))
        };
        let (jobs, (sealed, opened, state, changed, known, reader)) =
            Jobs::open(cx.blocking.clone(), open).await?;
        if changed {
            let state = state.to_bytes()?;
            let acknowledgement = afferent_core::checkpoint::Acknowledgement { state, ..Default::default() };
            cx.acknowledgements.save(acknowledgement).await?;
        }
        let (released, seen) = watch::channel(None);
        let feed =
            Feed::Outbox { reader: Some(Box::new(reader)), released: seen, blocking: cx.blocking.clone() };
        let keep = Keep::Durably(cx.acknowledgements.clone());
        let state = (state, sealed.next);
        let driver = drive(&cx, self.settings.format, courier, feed, keep, state, metrics.clone());
        let made = Made::default();
        let (bodies, queue) = mpsc::unbounded_channel();
        let records = sealed.totals.records;
        let sealing =
            Sealing::new(&self.settings, sealer(&cx, &self.settings), sealed, bodies, made.clone())?;
        let outbound = Outbound { jobs, sealed: queue, waiting: Batch::new() };
        let mode =
            Mode::Outbox { outbound, released, known: Box::new(known), sealed: records, prepared: None };
        let sealing = Jobs::new(cx.blocking.clone(), sealing);
        Ok((Open { sealing, mode, driver, made, metrics }, opened))
    }

    async fn open_direct(
        &mut self,
        cx: SinkCx,
        courier: Courier<T>,
        metrics: Metrics,
    ) -> Result<(Open, Opened)> {
        if let Some(token) = &cx.token {
            let token = OutboxToken::read(token)?;
            let saved = cx.acknowledgements.load().await?;
            let settled = saved.as_deref().map(State::from_bytes).transpose()?;
            let settled = settled.as_ref();
            let settled = settled.map_or(&token.counters, |state| &state.counters).settled();
            let pending = token.sealed.records.saturating_sub(settled);
            if pending > 0 {
                return Err(Error::config(format!(
                    "{pending} records wait in the outbox, and `delivery = \"direct\"` does without it; run with `delivery = \"outbox\"` until they are delivered"
                )));
            }
        }
        let made = Made::default();
        let (bodies, queue) = mpsc::unbounded_channel();
        let sealer = sealer(&cx, &self.settings);
        let sealing = Sealing::new(&self.settings, sealer, Sealed::default(), bodies, made.clone())?;
        let sealing = Jobs::new(cx.blocking.clone(), sealing);
        let refusals = Refusals::default();
        let keep = Keep::InMemory(refusals.clone());
        let feed = Feed::Direct { bodies: queue };
        let driver =
            drive(&cx, self.settings.format, courier, feed, keep, (State::none(), 0), metrics.clone());
        Ok((Open { sealing, mode: Mode::Direct { refusals }, driver, made, metrics }, Opened::Resumed))
    }
}

fn sealer(cx: &SinkCx, settings: &Settings) -> Sealer {
    Sealer {
        incarnation: cx.incarnation,
        sink: cx.stage.clone(),
        compression: settings.compression,
        clock: cx.clock.clone(),
    }
}

/// Starts the driver.
fn drive<T: Transport>(
    cx: &SinkCx,
    format: Format,
    courier: Courier<T>,
    feed: Feed,
    keep: Keep,
    (state, new): (State, u64),
    metrics: Metrics,
) -> Link {
    let surroundings = DriverCx {
        stage: cx.stage.clone(),
        incarnation: cx.incarnation,
        clock: cx.clock.clone(),
        blocking: cx.blocking.clone(),
        random: cx.random.clone(),
        events: cx.events.clone(),
        metrics,
        format,
    };
    let (driver, progress) = Driver::new(surroundings, courier, feed, keep, (state, new));
    let failure = Arc::new(Mutex::new(None));
    let (slot, events) = (failure.clone(), cx.events.clone());
    cx.drivers.spawn(driver.run(move |error: Error| {
        if error.kind() != ErrorKind::Fenced {
            events.alarm(format!("nothing is sent any more: {error}"));
        }
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }));
    Link { progress, failure }
}

impl Link {
    fn counters(&self) -> Counters {
        self.progress.borrow().counters.clone()
    }

    fn settled(&self) -> u64 {
        self.progress.borrow().counters.settled()
    }

    /// Bytes that were made and are not settled.
    fn left_of(&self, made: &Made) -> u64 {
        // In this order: both go on meanwhile, and what is settled was made before.
        let settled = self.progress.borrow().counters.bytes;
        made.get().saturating_sub(settled)
    }

    /// Waits until the driver has come further.
    async fn further(&mut self) -> Result<()> {
        match self.progress.changed().await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failed()),
        }
    }

    fn failed(&self) -> Error {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.unwrap_or_else(|| Error::bug("the upload driver has ended; see the log for its message"))
    }

    /// Whether the driver still runs.
    fn check(&self) -> Result<()> {
        match self.progress.has_changed() {
            Ok(_) => Ok(()),
            Err(_) => Err(self.failed()),
        }
    }
}

impl<T: Transport> Sink for Upload<T> {
    type Item = Record;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        if self.settings.encoder().is_none() {
            return Err(Error::config("`format` of the sink can't be written"));
        }
        let mut transport = self.transport.take().ok_or_else(|| Error::bug("a sink was opened twice"))?;
        transport.open(&cx).await?;
        let metrics = Metrics::new(&cx.pipeline, &cx.stage);
        let people = (transport.receiver().to_owned(), transport.renewal());
        let mut random = cx.random.clone();
        let (events, rate) = (cx.events.clone(), self.settings.rate);
        let gate = Gate::new(rate, random.fork(), events.clone(), metrics.clone(), people);
        let dedupe_window = self.settings.dedupe_window;
        let gate = Arc::new(gate);
        let standing = gate.clone();
        let permissions = self.permissions.subscribe();
        let metrics_of = metrics.clone();
        let courier =
            Courier { transport, gate, watch: None, dedupe_window, permissions, events, metrics: metrics_of };
        let (open, opened) = match self.settings.delivery {
            Delivery::Outbox => self.open_outbox(cx, courier, metrics).await?,
            Delivery::Direct => self.open_direct(cx, courier, metrics).await?,
        };
        self.standing = Some(standing);
        self.open = Some(open);
        Ok(opened)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        let most = self.settings.max_bytes;
        let Open { sealing, mode, driver, made, .. } = self.open.as_mut().ok_or_else(not_open)?;
        driver.check()?;
        let version = self.permissions.borrow().version().unwrap_or(UNKNOWN);
        if version != self.told {
            let permit = move |sealing: &mut Sealing| {
                sealing.permit(version);
                Ok(())
            };
            sealing.run(permit).await?;
            self.told = version;
        }
        match mode {
            Mode::Outbox { outbound, released, .. } => {
                // Only while released bodies are not acknowledged: an epoch that is larger than the bound goes on.
                let free = released.borrow().as_ref().map_or(0, |released| released.sealed.bytes);
                while driver.left_of(made) >= most && free > driver.progress.borrow().counters.bytes {
                    driver.further().await?;
                }
                sealing.write(batch, Sealing::write).await?;
                outbound.proceed().await
            }
            Mode::Direct { .. } => {
                while driver.left_of(made) >= DIRECT_BYTES {
                    driver.further().await?;
                }
                sealing.write(batch, Sealing::write).await
            }
        }
    }

    async fn prepare(&mut self, epoch: Epoch) -> Result<Prepared> {
        let Open { sealing, mode, driver, metrics, .. } = self.open.as_mut().ok_or_else(not_open)?;
        driver.check()?;
        let (made, mut rejects) = sealing.run(move |sealing| sealing.prepare(epoch)).await?;
        match mode {
            Mode::Outbox { outbound, known, sealed, prepared, .. } => {
                let now = driver.counters();
                let token = outbound.prepare(made, now.clone()).await?;
                let refused = now.types.refused.without(&known.types.refused);
                let withdrawn = now.types.withdrawn.without(&known.types.withdrawn);
                let withheld = now.types.withheld.without(&known.types.withheld);
                let pending = token.sealed.records.saturating_sub(now.settled());
                let by_type = token.sealed.types.without(&now.types.settled);
                (**known, *sealed, *prepared) = (now, token.sealed.records, Some(pending));
                metrics.pending(pending);
                Ok(Prepared {
                    token: Some(token.save()?),
                    rejects,
                    refused,
                    withdrawn,
                    withheld,
                    pending: Some(by_type),
                    ..Prepared::default()
                })
            }
            Mode::Direct { refusals } => {
                while driver.settled() < made.totals.records {
                    driver.further().await?;
                }
                rejects.extend(refusals.take());
                Ok(Prepared { rejects, ..Prepared::default() })
            }
        }
    }

    async fn commit(&mut self, epoch: Epoch, token: Option<&Token>) -> Result<()> {
        let Open { sealing, mode, driver, .. } = self.open.as_mut().ok_or_else(not_open)?;
        sealing
            .run(move |sealing| {
                sealing.commit(epoch);
                Ok(())
            })
            .await?;
        if let Mode::Outbox { outbound, released, prepared, .. } = mode {
            let token = OutboxToken::read(token.ok_or_else(|| Error::bug("an outbox without a token"))?)?;
            let low = driver.progress.borrow().low;
            outbound.commit(token.end, low).await?;
            *prepared = None;
            released.send_replace(Some(Released { end: token.end, sealed: token.sealed }));
        }
        Ok(())
    }

    fn permit(&mut self, permission: Permission<Record>) {
        self.permissions.send_replace(permission);
    }

    fn need(&self) -> Option<Need> {
        self.standing.as_ref()?.need()
    }

    fn check(&self) -> Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.driver.check())
    }

    fn pending(&self) -> u64 {
        match self.open.as_ref().map(|open| (&open.mode, &open.driver)) {
            Some((Mode::Outbox { sealed, prepared, .. }, driver)) => {
                prepared.unwrap_or_else(|| sealed.saturating_sub(driver.settled()))
            }
            _ => 0,
        }
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}
