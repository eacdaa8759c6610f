//! The helper that calls completion handlers in time.
//!
//! It is a task of its own because the engine may be anywhere when a wake comes: in a slow sink, waiting for
//! a disk, between two restarts. It polls the observer, tells the source what is due, and completes each wake
//! exactly once:
//!
//! | what happens first | the wake is completed |
//! |---|---|
//! | the pulls that cover it are committed | then |
//! | the store is locked, or the source fails | at once: nothing more comes of this wake |
//! | [`COMPLETION_DEADLINE`] passes | then; the anchors make it harmless |
//! | the source or the runtime goes away | then, on drop |
//!
//! Source and helper share no lock: each owns the sending end of one `watch`.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use afferent_core::{
    Committed, Kind,
    clock::{Instant, instant, sleep_until},
};
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::watch;

use super::{Completion, Wake};

/// How long a wake may stay uncompleted: HealthKit gives about 30 s and counts a strike after that.
pub const COMPLETION_DEADLINE: Duration = Duration::from_secs(25);

/// How many wakes may be outstanding: several a second until the deadline. The oldest of more is completed
/// early, because memory must not grow with the wakes of a store that has run wild.
const MAX_OUTSTANDING: usize = 128;

/// What the wakes so far ask for. Wakes are numbered from 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    /// How many wakes there were.
    pub(super) wakes: u64,
    /// The last wake that did not say which types changed.
    everything: u64,
    /// The last wake that named each type.
    kinds: BTreeMap<Kind, u64>,
    /// The store has ended the observer query.
    pub(super) ended: bool,
}

impl Due {
    /// Whether a wake later than the one numbered `seen` may mean `kind`.
    pub(super) fn asks(&self, kind: Kind, seen: u64) -> bool {
        self.everything > seen || self.kinds.get(&kind).is_some_and(|wake| *wake > seen)
    }

    fn add(&mut self, kinds: Option<&[Kind]>) {
        self.wakes += 1;
        match kinds {
            None => self.everything = self.wakes,
            Some(kinds) => self.kinds.extend(kinds.iter().map(|kind| (*kind, self.wakes))),
        }
    }
}

/// The wakes up to `wakes` are covered once `pulls` are committed.
#[derive(Clone, Copy, Debug, Default)]
struct Covered {
    wakes: u64,
    pulls: u64,
}

/// The source's end of the helper. Dropping it ends the helper, which completes what is outstanding.
#[derive(Debug)]
pub(super) struct Keeper {
    due: watch::Receiver<Due>,
    covered: watch::Sender<Covered>,
}

impl Keeper {
    /// Starts the helper over `wakes`.
    pub(super) fn start(wakes: BoxStream<'static, Wake>, committed: watch::Receiver<Committed>) -> Keeper {
        let (due_sender, due) = watch::channel(Due::default());
        let (covered, covered_receiver) = watch::channel(Covered::default());
        #[allow(
            clippy::disallowed_methods,
            reason = "completions must not wait for the engine; ends with the source"
        )]
        tokio::spawn(keep(wakes, due_sender, covered_receiver, committed));
        Keeper { due, covered }
    }

    /// What is due now.
    pub(super) fn due(&self) -> Due {
        self.due.borrow().clone()
    }

    /// How many wakes there were.
    pub(super) fn wakes(&self) -> u64 {
        self.due.borrow().wakes
    }

    /// Waits for a wake later than the one numbered `seen`, or the end of the observer query.
    pub(super) async fn wait(&mut self, seen: u64) -> Due {
        let waited = self.due.wait_for(|due| due.wakes > seen || due.ended).await.map(|due| due.clone());
        // The helper ends before the source only when it panicked or the runtime goes away.
        waited.unwrap_or_else(|_| Due { ended: true, ..self.due() })
    }

    /// The wakes up to `wakes` are covered once `pulls` are committed; 0 completes them at once.
    pub(super) fn cover(&self, wakes: u64, pulls: u64) {
        // Only a helper that has ended does not listen, and it has completed everything.
        let _ = self.covered.send(Covered { wakes, pulls });
    }
}

/// A wake whose completion handler has not been called.
struct Outstanding {
    number: u64,
    deadline: Instant,
    /// The commit it waits for, once it is known.
    pulls: Option<u64>,
    completion: Completion,
}

async fn keep(
    mut wakes: BoxStream<'static, Wake>,
    due: watch::Sender<Due>,
    mut covered: watch::Receiver<Covered>,
    mut committed: watch::Receiver<Committed>,
) {
    let mut outstanding: VecDeque<Outstanding> = VecDeque::new();
    let (mut observing, mut engine) = (true, true);
    loop {
        let cover = *covered.borrow_and_update();
        let done = committed.borrow_and_update().pulls;
        let now = instant();
        for wake in outstanding.iter_mut().filter(|wake| wake.number <= cover.wakes) {
            wake.pulls = Some(wake.pulls.map_or(cover.pulls, |pulls| pulls.min(cover.pulls)));
        }
        // Dropping a completion calls its handler.
        outstanding.retain(|wake| wake.deadline > now && wake.pulls.is_none_or(|pulls| pulls > done));
        if outstanding.len() > MAX_OUTSTANDING
            && let Some(oldest) = outstanding.pop_front()
        {
            oldest.completion.complete();
        }
        let deadline = outstanding.front().map_or(now, |wake| wake.deadline);
        let mut woken = None;
        let mut source = true;
        tokio::select! {
            biased;
            wake = wakes.next(), if observing => woken = Some(wake),
            changed = covered.changed() => source = changed.is_ok(),
            changed = committed.changed(), if engine => engine = changed.is_ok(),
            () = sleep_until(deadline), if !outstanding.is_empty() => {}
        }
        match woken {
            Some(Some(Wake { kinds, completion })) => {
                due.send_modify(|due| due.add(kinds.as_deref()));
                let number = due.borrow().wakes;
                let deadline = instant() + COMPLETION_DEADLINE;
                outstanding.push_back(Outstanding { number, deadline, pulls: None, completion });
            }
            Some(None) => {
                observing = false;
                due.send_modify(|due| due.ended = true);
            }
            None => {}
        }
        if !source {
            return;
        }
    }
}
