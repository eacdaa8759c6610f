//! [`Reading`]: how far one consumer is, as producers need to know it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{StageKey, away::Away, state::QueuePosition};
use crate::{
    Committed,
    clock::{self, Instant},
    segment_log::{LogId, LogPosition},
};

/// Pulls of an open epoch whose positions are remembered one by one. Beyond them the last one stands for those before it,
/// which only makes a producer believe for one epoch that less was consumed.
const REMEMBERED: usize = 1024;

/// How far one consumer is.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) consumer: StageKey,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The life that reads; `None` while it is away.
    life: Option<u64>,
    /// Since when it is away.
    since: Instant,
    lives: u64,
    /// Of the last life; before the first, of its checkpoints.
    committed: Option<watch::Receiver<Committed>>,
    /// In its oldest checkpoint; `None` needs everything.
    oldest: Option<QueuePosition>,
    /// In its newest checkpoint.
    newest: Arc<QueuePosition>,
    /// Positions after pulls that are not known to be committed, by number of the pull.
    given: VecDeque<(u64, Arc<QueuePosition>)>,
}

impl Reading {
    /// A consumer that is away.
    pub(super) fn away(consumer: StageKey, away: Away) -> Reading {
        let state = State {
            life: None,
            since: clock::instant(),
            lives: 0,
            committed: None,
            oldest: away.oldest,
            newest: Arc::new(away.newest),
            given: VecDeque::new(),
        };
        Reading { consumer, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It reads, from `position` on; the number of this life.
    pub(super) fn attach(&self, committed: watch::Receiver<Committed>, position: QueuePosition) -> u64 {
        let mut state = self.state();
        state.lives += 1;
        state.life = Some(state.lives);
        state.committed = Some(committed);
        state.newest = Arc::new(position);
        state.given.clear();
        state.lives
    }

    /// The life `life` reads no more.
    pub(super) fn detach(&self, life: u64) {
        let mut state = self.state();
        state.advance();
        state.given.clear();
        if state.life.take_if(|reading| *reading == life).is_some() {
            state.since = clock::instant();
        }
    }

    /// Where it is after its pull number `pull`.
    pub(super) fn gave(&self, pull: u64, position: Arc<QueuePosition>) {
        let mut state = self.state();
        state.advance();
        if state.given.len() >= REMEMBERED {
            state.given.pop_back();
        }
        state.given.push_back((pull, position));
    }

    /// Whether it reads, in this process.
    pub(super) fn is_attached(&self) -> bool {
        self.state().life.is_some()
    }

    /// Since when it is away; `None` while it reads.
    pub(super) fn away_since(&self) -> Option<Instant> {
        let state = self.state();
        state.life.is_none().then_some(state.since)
    }

    /// Where it is in its newest checkpoint.
    pub(super) fn newest(&self) -> Arc<QueuePosition> {
        let mut state = self.state();
        state.advance();
        state.newest.clone()
    }

    /// What it needs of the log `id` of `producer`; `None` for everything, also when its position can't be read: that is for
    /// itself to say.
    pub(super) fn needs(&self, producer: &StageKey, id: LogId) -> Option<LogPosition> {
        let state = self.state();
        let published = state.committed.as_ref().map(|committed| committed.borrow().position.clone());
        let oldest = match published {
            None => state.oldest.clone(),
            Some(position) => position.and_then(|position| QueuePosition::read(&position).ok()),
        };
        oldest?.at(producer, id).map(|at| at.next)
    }

    /// Tells when it has committed more.
    pub(super) fn committed(&self) -> Option<watch::Receiver<Committed>> {
        self.state().committed.clone()
    }
}

impl State {
    fn advance(&mut self) {
        let Some(committed) = &self.committed else { return };
        let pulls = committed.borrow().pulls;
        while let Some((_, position)) = self.given.pop_front_if(|(pull, _)| *pull <= pulls) {
            self.newest = position;
        }
    }
}
