//! [`MockStore`]: the store over the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use afferent_core::{Error, Kind, Result, config::Configure};
use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::watch;

use super::{
    clock::MockClock,
    config::{Config, Speed},
    key::Key,
    log::{Cursor, Log, Shares},
    observer::Observer,
    person::{DAY, HOUR, LOCKED_FROM, World},
    plan::Plan,
    samples::Studio,
};
use crate::healthkit::{Anchor, Changes, HealthStore, Page, Wake};

/// How long after a lock reads still succeed, in seconds: the system gives up access about ten minutes later.
const LOCK_GRACE: i64 = 600;

/// A deterministic HealthKit; see the module's documentation.
#[derive(Debug)]
pub struct MockStore {
    shared: Arc<Shared>,
}

/// What store and observers share; nothing in it changes but the clock and the count of unlocks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) log: Log,
    pub(super) plans: BTreeMap<Kind, Plan>,
    pub(super) denied: BTreeSet<Kind>,
    pub(super) clock: MockClock,
    /// At `speed = "max"`: how many unlocks mock time has jumped to.
    pub(super) unlocks: watch::Sender<u64>,
}

impl MockStore {
    /// The store that `config` describes.
    ///
    /// # Errors
    /// `Config` when [`Config::check`](Configure::check) finds something.
    pub fn new(config: Config) -> Result<MockStore> {
        if let Some(problem) = config.check().into_iter().find(|problem| !problem.warning) {
            return Err(Error::config(format!(
                "mock store, `{}`: {}",
                problem.key_path.join("."),
                problem.message
            )));
        }
        let key = Key::new(config.seed);
        let shares = Shares {
            back_dated: config.back_dated,
            edits: config.edits,
            deletions: config.deletions,
            replacements: config.replacements,
        };
        let world = World::new(&config, key);
        let clock = MockClock::new(config.speed, world.start());
        let plans = Kind::all().filter_map(|kind| Some((kind, Plan::of(kind, key)?))).collect();
        let denied = config.denied.iter().filter_map(|name| Kind::parse(name).ok()).collect();
        let log = Log::new(Studio::new(world, config.density, config.overlap), shares, identity(&config));
        let (unlocks, _) = watch::channel(0);
        Ok(MockStore { shared: Arc::new(Shared { config, log, plans, denied, clock, unlocks }) })
    }
}

#[async_trait]
impl HealthStore for MockStore {
    fn identity(&self) -> String {
        format!("mock-{:016x}", self.shared.log.store.bits())
    }

    fn kinds(&self) -> Vec<Kind> {
        self.shared.plans.keys().copied().collect()
    }

    async fn observe(&self, kinds: &[Kind]) -> Result<BoxStream<'static, Wake>> {
        Ok(Observer::new(self.shared.clone(), kinds).stream())
    }

    async fn changes(&self, kind: Kind, anchor: Option<&Anchor>, limit: usize) -> Result<Changes> {
        let shared = &*self.shared;
        let store = shared.log.store;
        let cursor = match anchor {
            None => Cursor::default(),
            Some(anchor) => match Cursor::of(anchor, store) {
                Some(cursor) if cursor.block <= shared.log.blocks() => cursor,
                _ => return Ok(Changes::AnchorUnknown),
            },
        };
        if cursor != Cursor::default() {
            shared.clock.advance(shared.log.saved_at(cursor.block.saturating_sub(1)));
        }
        let end = shared.readable(cursor)?;
        let Some(plan) = shared.plans.get(&kind).filter(|_| !shared.denied.contains(&kind)) else {
            // Denied or unknown: like a type without samples.
            let page =
                Page { added: Vec::new(), deleted: Vec::new(), anchor: cursor.anchor(store), more: false };
            return Ok(Changes::Page(page));
        };
        let (mut page, cursor) = shared.log.page(plan, cursor, limit, end, shared.purged());
        if shared.config.speed == Speed::Max {
            page.more = cursor.block < shared.log.blocks();
        }
        Ok(Changes::Page(page))
    }
}

impl Shared {
    /// The block before which the log may be read from `cursor` on.
    ///
    /// # Errors
    /// `Waiting` when the phone is locked. At `max` it is found locked once for each lock, and the call moves
    /// mock time to the unlock.
    fn readable(&self, cursor: Cursor) -> Result<u64> {
        let locked =
            || Error::waiting("the phone to be unlocked: health data is protected while it is locked");
        if self.config.speed != Speed::Max {
            let now = self.clock.now();
            return if self.is_locked(now) { Err(locked()) } else { Ok(self.log.end_at(now)) };
        }
        if self.config.locked_hours() == 0 {
            return Ok(self.log.blocks());
        }
        // What is saved at an unlock is behind that lock. Time only moves on, so each lock is met once, whichever
        // type comes to it first.
        let slot = self.log.slot(cursor.block);
        let world = &self.log.studio.world;
        let next = |from: i64| (from..from + 24).find(|slot| world.is_unlock(*slot)).unwrap_or(from);
        let passed = |unlock: i64| self.clock.now() >= self.log.saved_at(self.log.first_of(unlock));
        let mut unlock = next(slot);
        if cursor > Cursor::at(self.log.first_of(unlock)) {
            unlock = next(slot + 1);
        }
        let end = self.log.first_of(unlock);
        if cursor.block < end {
            return Ok(end.min(self.log.blocks()));
        }
        if end < self.log.blocks() && !passed(unlock) {
            self.clock.advance(self.log.saved_at(end));
            self.unlocks.send_modify(|unlocks| *unlocks += 1);
            return Err(locked());
        }
        Ok(self.log.first_of(next(unlock + 1)).min(self.log.blocks()))
    }

    /// Whether reads fail at `time`.
    pub(super) fn is_locked(&self, time: i64) -> bool {
        let since_lock = (time - LOCKED_FROM * HOUR).rem_euclid(DAY);
        (LOCK_GRACE..self.config.locked_hours() * HOUR).contains(&since_lock)
    }

    /// Deletions up to this time are purged.
    fn purged(&self) -> i64 {
        let age = i64::try_from(self.config.purge.0.as_secs()).unwrap_or(i64::MAX);
        if age == 0 {
            return i64::MIN;
        }
        let now = match self.config.speed {
            Speed::Max => self.log.saved_at(self.log.blocks()),
            Speed::Factor(_) => self.clock.now(),
        };
        now.saturating_sub(age)
    }
}

/// The key of everything the places in the log depend on: another log is another store. How fast it is read, who
/// is woken, what may be read and what is purged is not part of it.
fn identity(config: &Config) -> Key {
    let parts = [
        config.start.since_1970() as u64,
        u64::from(config.days),
        u64::from(config.users),
        config.density.to_bits(),
        config.late.to_bits(),
        config.back_dated.to_bits(),
        config.edits.to_bits(),
        config.deletions.to_bits(),
        config.replacements.to_bits(),
        u64::from(config.overlap),
        config.locked_hours() as u64,
    ];
    parts.into_iter().fold(Key::new(config.seed), Key::with)
}
