//! Observer queries of the mock: who is woken when, and who is no longer.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use afferent_core::{
    Kind,
    clock::{Instant, instant},
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::watch;

use super::{
    config::Speed,
    person::{HOUR, LOCKED_FROM},
    store::Shared,
};
use crate::healthkit::{Completion, Wake};

/// Steps in an hour of mock time at which someone may be woken: a minute, below which no system coalesces less.
const STEPS: i64 = 60;
/// Wakes whose completion is remembered. More than that outstanding are misses in any case.
const MAX_OUTSTANDING: usize = 64;

/// One observer query.
pub(super) struct Observer {
    shared: Arc<Shared>,
    kinds: Vec<Kind>,
    started: bool,
    unlocks: watch::Receiver<u64>,
    /// The next block that nobody was woken for.
    block: u64,
    /// The next step, counted from the first day.
    step: i64,
    /// Types that changed, and when each was last woken for.
    pending: BTreeSet<Kind>,
    woken: BTreeMap<Kind, i64>,
    /// The wake that is due is held back.
    held: bool,
    strikes: Arc<Mutex<Strikes>>,
}

/// Wakes that were or were not completed in time.
#[derive(Debug)]
struct Strikes {
    budget: Duration,
    in_a_row: u32,
    next: u64,
    outstanding: VecDeque<(u64, Instant)>,
}

impl Strikes {
    fn wake(&mut self) -> u64 {
        self.next += 1;
        if self.outstanding.len() >= MAX_OUTSTANDING {
            self.outstanding.pop_front();
            self.in_a_row += 1;
        }
        self.outstanding.push_back((self.next, instant() + self.budget));
        self.next
    }

    fn complete(&mut self, number: u64) {
        self.expire();
        let before = self.outstanding.len();
        self.outstanding.retain(|(wake, _)| *wake != number);
        if self.outstanding.len() < before {
            self.in_a_row = 0;
        }
    }

    /// Counts the wakes that are past their time.
    fn expire(&mut self) {
        let now = instant();
        while self.outstanding.front().is_some_and(|(_, deadline)| *deadline < now) {
            self.outstanding.pop_front();
            self.in_a_row += 1;
        }
    }
}

impl Observer {
    pub(super) fn new(shared: Arc<Shared>, kinds: &[Kind]) -> Observer {
        let now = shared.clock.now();
        let since = now - shared.log.studio.world.start();
        let strikes =
            Strikes { budget: shared.config.budget.0, in_a_row: 0, next: 0, outstanding: VecDeque::new() };
        Observer {
            kinds: kinds.iter().copied().filter(|kind| !shared.denied.contains(kind)).collect(),
            started: false,
            unlocks: shared.unlocks.subscribe(),
            block: shared.log.end_at(now),
            step: since.div_euclid(HOUR / STEPS) + 1,
            pending: BTreeSet::new(),
            woken: BTreeMap::new(),
            held: false,
            strikes: Arc::new(Mutex::new(strikes)),
            shared,
        }
    }

    pub(super) fn stream(self) -> BoxStream<'static, Wake> {
        stream::unfold(self, |mut observer| async move {
            let wake = observer.next().await;
            Some((wake, observer))
        })
        .boxed()
    }

    async fn next(&mut self) -> Wake {
        if !self.started {
            // A handler is called once right after the query is executed, whatever there is.
            self.started = true;
            return self.wake(self.kinds.clone());
        }
        if self.shared.config.force_quit {
            return std::future::pending().await;
        }
        loop {
            let kinds = match self.shared.config.speed {
                Speed::Max => self.unlock().await,
                Speed::Factor(_) => self.step().await,
            };
            if self.is_silent() {
                return std::future::pending().await;
            }
            if let Some(kinds) = kinds {
                return self.wake(kinds);
            }
        }
    }

    fn wake(&self, kinds: Vec<Kind>) -> Wake {
        let strikes = self.strikes.clone();
        let number = lock(&strikes).wake();
        let completion = Completion::new(move || lock(&strikes).complete(number));
        Wake { kinds: Some(kinds), completion }
    }

    /// Whether too many wakes in a row were not completed in time.
    fn is_silent(&self) -> bool {
        let mut strikes = lock(&self.strikes);
        strikes.expire();
        strikes.in_a_row >= self.shared.config.strikes
    }

    /// At `max` nothing happens by itself but the unlock after a read that found the phone locked.
    async fn unlock(&mut self) -> Option<Vec<Kind>> {
        // The store, which holds the sender, lives as long as its observers.
        let _ = self.unlocks.changed().await;
        Some(self.kinds.clone())
    }

    /// Waits for the next minute of mock time and says for which types it wakes, if any.
    async fn step(&mut self) -> Option<Vec<Kind>> {
        let shared = self.shared.clone();
        let start = shared.log.studio.world.start();
        let passed = (shared.clock.now() - start).div_euclid(HOUR / STEPS);
        if passed > self.step + STEPS {
            // A reader came with an anchor and moved the time: whatever was missed is one wake.
            self.step = passed;
            self.block = shared.log.end_at(shared.clock.now());
            self.pending.extend(&self.kinds);
        }
        if self.block >= shared.log.blocks() && self.pending.is_empty() && shared.config.locked_hours() == 0 {
            // The log is at its end: nothing will ever change.
            return std::future::pending().await;
        }
        let time = start + self.step * (HOUR / STEPS);
        shared.clock.wait_until(time).await;
        self.step += 1;
        let end = shared.log.end_at(time);
        let ended = end >= shared.log.blocks();
        let arrived = end > self.block;
        for block in self.block..end {
            for kind in &self.kinds {
                if let Some(plan) = shared.plans.get(kind)
                    && !self.pending.contains(kind)
                    && shared.log.changes(plan, block)
                {
                    self.pending.insert(*kind);
                }
            }
        }
        self.block = end.max(self.block);
        if shared.is_locked(time) {
            return None;
        }
        let key = shared.log.studio.world.key.with(21).with(self.step as u64);
        let unlocked = self.is_unlock(time);
        let due: Vec<Kind> =
            self.pending.iter().copied().filter(|kind| unlocked || self.is_due(*kind, time)).collect();
        let per_step = |chance: f64| chance / STEPS as f64;
        if due.is_empty() {
            let spurious = !ended && key.with(1).chance(per_step(shared.config.spurious));
            return (spurious || unlocked).then(|| self.kinds.clone());
        }
        // What was held back waits for the next phone to save something.
        if arrived {
            self.held = !unlocked && !ended && key.with(2).chance(shared.config.coalesced);
        }
        if self.held && !unlocked {
            return None;
        }
        for kind in &due {
            self.pending.remove(kind);
            self.woken.insert(*kind, time);
        }
        Some(due)
    }

    fn is_due(&self, kind: Kind, time: i64) -> bool {
        let asked = self.shared.config.frequency.period();
        let hourly = self.shared.plans.get(&kind).is_some_and(super::plan::Plan::is_hourly);
        let period = if hourly { asked.max(HOUR) } else { asked };
        self.woken.get(&kind).is_none_or(|woken| time - woken >= period)
    }

    /// Whether the phone has been unlocked since the last step.
    fn is_unlock(&self, time: i64) -> bool {
        let hours = self.shared.config.locked_hours();
        hours > 0 && (time - (LOCKED_FROM + hours) * HOUR).rem_euclid(24 * HOUR) < HOUR / STEPS
    }
}

fn lock(strikes: &Mutex<Strikes>) -> std::sync::MutexGuard<'_, Strikes> {
    // A few numbers: a panic elsewhere leaves nothing half done.
    strikes.lock().unwrap_or_else(PoisonError::into_inner)
}
