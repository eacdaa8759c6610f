//! [`HealthKit`]: the source over a [`HealthStore`].

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, mem,
    sync::Arc,
    time::Duration,
};

use afferent_core::{
    Batch, Committed, Error, ErrorKind, Kind, Limits, Position, Pulled, Record, Result, Source, SourceCx,
    clock::sleep, event::StageEvents,
};
use tokio::sync::watch;

use super::{Anchor, Changes, Config, HealthStore, keeper::Keeper};

/// Version of the position: a map from kind to anchor.
const POSITION_VERSION: u16 = 1;

/// How often a locked store is looked at, should the wake of its unlock be missed. A read of a locked store
/// costs next to nothing, and a minute is far below what a person expects of a phone that was locked.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The source that reads a [`HealthStore`]; see the module's documentation for its contract.
pub struct HealthKit {
    config: Config,
    store: Arc<dyn HealthStore>,
    open: Option<Open>,
}

impl HealthKit {
    /// A source over `store`; the caller has made or found it by `config.store`.
    pub fn new(config: Config, store: Arc<dyn HealthStore>) -> HealthKit {
        HealthKit { config, store, open: None }
    }
}

impl fmt::Debug for HealthKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthKit").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Source for HealthKit {
    type Item = Record;

    /// # Errors
    /// `Config` when a type is unknown, `State` when the position is damaged or of a newer version.
    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let kinds = self.config.kinds(&*self.store)?;
        let identity = self.store.identity();
        let mut anchors: BTreeMap<Kind, Anchor> = BTreeMap::new();
        match &cx.position {
            Some(position) if position.fingerprint == identity => anchors = position.read(POSITION_VERSION)?,
            Some(_) => cx.events.alarm(
                "this is another HealthKit store than the one read before (restored, or another device); all of it \
                 is read from the start: what is known already is absorbed by id, deletions made in between can't be \
                 seen",
            ),
            None => {}
        }
        let mut open = Open {
            store: self.store.clone(),
            committed: cx.committed,
            limits: cx.limits,
            events: cx.events,
            identity,
            anchors,
            queue: kinds.iter().copied().collect(),
            kinds,
            keeper: None,
            phase: Phase::Draining,
            seen: 0,
            pulls: 0,
            carried: 0,
            told: false,
            held: None,
        };
        match open.observe().await {
            // `next` says it and tries again: only there may a source fail and stay usable.
            Err(error) if error.kind().is_retryable() => {}
            other => other?,
        }
        self.open = Some(open);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let open = self.open.as_mut().ok_or_else(|| Error::bug("`next` before `open`"))?;
        open.next().await.map(Some)
    }
}

/// What the source does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It reads the types in `queue`.
    Draining,
    /// It has read them; it has to say that it is drained, unless a wake came meanwhile.
    Drained,
    /// It waits for a wake.
    Idle,
    /// It has said `Waiting` and waits for the store to be unlocked.
    Locked,
}

struct Open {
    store: Arc<dyn HealthStore>,
    committed: watch::Receiver<Committed>,
    limits: Limits,
    events: StageEvents,
    identity: String,
    kinds: Vec<Kind>,
    anchors: BTreeMap<Kind, Anchor>,
    /// The observer query and its helper; none when it has to be started (again).
    keeper: Option<Keeper>,
    phase: Phase,
    /// The types that this drain has still to read.
    queue: VecDeque<Kind>,
    /// The last wake that this drain answers.
    seen: u64,
    /// How many pulls were given.
    pulls: u64,
    /// The last pull that carried records: when it is committed, so is everything that was read.
    carried: u64,
    /// `Waiting` was said since the store could last be read.
    told: bool,
    /// An error behind records that had to go out first.
    held: Option<Error>,
}

impl Open {
    async fn next(&mut self) -> Result<Pulled<Record>> {
        if let Some(error) = self.held.take() {
            return Err(error);
        }
        loop {
            if self.keeper.is_none() && self.phase != Phase::Locked {
                match self.observe().await {
                    Err(error) if error.kind() == ErrorKind::Waiting => self.fail(error, 0)?,
                    other => other?,
                }
            }
            match self.phase {
                Phase::Draining => {
                    if let Some(pulled) = self.drain().await? {
                        return Ok(pulled);
                    }
                }
                Phase::Drained if self.wakes() > self.seen => self.begin(),
                Phase::Drained => {
                    self.phase = Phase::Idle;
                    self.pulls += 1;
                    return Ok(Pulled::drained(self.position()?));
                }
                Phase::Idle => self.wait().await?,
                Phase::Locked => self.wait_for_unlock().await,
            }
        }
    }

    /// Starts the observer query, if there is none, and a drain of everything: what changed while nobody
    /// observed woke nobody.
    async fn observe(&mut self) -> Result<()> {
        if self.keeper.is_none() {
            let wakes = self.store.observe(&self.kinds).await?;
            self.keeper = Some(Keeper::start(wakes, self.committed.clone()));
            self.seen = 0;
            self.drain_all();
        }
        Ok(())
    }

    fn wakes(&self) -> u64 {
        self.keeper.as_ref().map_or(0, Keeper::wakes)
    }

    fn drain_all(&mut self) {
        self.queue = self.kinds.iter().copied().collect();
        self.phase = Phase::Draining;
    }

    /// Begins to read what the wakes since the last drain ask for.
    fn begin(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let due = keeper.due();
        self.queue = self.kinds.iter().copied().filter(|kind| due.asks(*kind, self.seen)).collect();
        self.seen = due.wakes;
        self.phase = Phase::Draining;
    }

    async fn wait(&mut self) -> Result<()> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        let due = keeper.wait(self.seen).await;
        if due.wakes > self.seen {
            self.begin();
        } else if due.ended {
            self.keeper = None;
            return Err(Error::transient("the store ended its observer query; it is started again"));
        }
        Ok(())
    }

    async fn wait_for_unlock(&mut self) {
        match &mut self.keeper {
            Some(keeper) => {
                let mut ended = false;
                let mut woken = self.seen;
                tokio::select! {
                    biased;
                    due = keeper.wait(self.seen) => (woken, ended) = (due.wakes, due.ended),
                    () = sleep(LOOK_AGAIN) => {}
                }
                self.seen = woken;
                if ended {
                    self.keeper = None;
                }
            }
            None => sleep(LOOK_AGAIN).await,
        }
        self.drain_all();
    }

    /// Reads until a batch is full or the drain is at its end. `None` when the store is still locked.
    async fn drain(&mut self) -> Result<Option<Pulled<Record>>> {
        let mut batch = Batch::new();
        let mut failed = false;
        while let Some(&kind) = self.queue.front() {
            let room = self.limits.records.saturating_sub(batch.len());
            if room == 0 || batch.bytes() >= self.limits.bytes {
                break;
            }
            // Read before the store is asked: the wake of an unlock that follows the answer counts as new.
            let wakes = self.wakes();
            match self.page(kind, room, &mut batch).await {
                Ok(true) => {}
                Ok(false) => {
                    self.queue.pop_front();
                }
                Err(error) => {
                    if let Err(error) = self.fail(error, wakes) {
                        if batch.is_empty() {
                            return Err(error);
                        }
                        self.held = Some(error);
                    } else if batch.is_empty() {
                        return Ok(None);
                    }
                    failed = true;
                    break;
                }
            }
        }
        let done = self.queue.is_empty() && !failed;
        self.pulls += 1;
        if !batch.is_empty() {
            self.carried = self.pulls;
        }
        if done {
            self.phase = if batch.is_empty() { Phase::Idle } else { Phase::Drained };
            if let Some(keeper) = &self.keeper {
                // A pull that changes nothing closes no epoch: the last one that carried records does.
                keeper.cover(self.seen, self.carried);
            }
        }
        let position = self.position()?;
        // Without records, only a drained pull gets here.
        Ok(Some(Pulled { seal: done || failed, batch, rejects: Vec::new(), position }))
    }

    /// Appends a page of `kind` to `batch`; whether there is more.
    async fn page(&mut self, kind: Kind, limit: usize, batch: &mut Batch<Record>) -> Result<bool> {
        let anchor = self.anchors.get(&kind);
        let page = match self.store.changes(kind, anchor, limit).await? {
            Changes::Page(page) => page,
            Changes::AnchorUnknown => {
                if self.anchors.remove(&kind).is_none() {
                    return Err(Error::bug(format!("the store refuses to read {kind} from the start")));
                }
                self.events.alarm(format!(
                    "the store no longer knows how far {kind} was read; it is read from the start: what is known \
                     already is absorbed by id, deletions made in between can't be seen"
                ));
                return Ok(true);
            }
        };
        self.told = false;
        if page.is_empty() && page.more {
            if anchor == Some(&page.anchor) {
                return Err(Error::bug(format!(
                    "the store says that there is more of {kind}, but its anchor does not move"
                )));
            }
            // A run of empty pages must not keep the worker from other tasks.
            tokio::task::yield_now().await;
        }
        batch.add_bytes(
            page.added.iter().map(Record::weight).sum::<usize>() + page.deleted.len() * size_of::<Record>(),
        );
        batch.extend(page.added);
        batch.extend(page.deleted);
        self.anchors.insert(kind, page.anchor);
        Ok(page.more)
    }

    /// Nothing more comes of the wakes up to `wakes`. `Ok` when it is a lock of which was told already.
    fn fail(&mut self, error: Error, wakes: u64) -> Result<()> {
        if let Some(keeper) = &self.keeper {
            keeper.cover(wakes, 0);
        }
        if error.kind() == ErrorKind::Waiting {
            self.phase = Phase::Locked;
            self.seen = wakes;
            if mem::replace(&mut self.told, true) {
                return Ok(());
            }
        }
        Err(error)
    }

    fn position(&self) -> Result<Position> {
        Position::new(POSITION_VERSION, self.identity.clone(), &self.anchors)
    }
}
