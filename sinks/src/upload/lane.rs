//! [`Lane`]: bodies that are sent one after the other.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use afferent_core::{
    Timestamp,
    clock::{self, Clock, Instant},
};

use super::{
    body::{Entry, Unpacked},
    feed::{Queued, Spot},
    state::{Part, Split},
};

/// Bodies that are sent one after the other.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) queue: VecDeque<Queued>,
    pub(super) current: Option<Current>,
    /// Whether the first body of this life has begun: an earlier life may have sent it, too.
    pub(super) begun: bool,
}

/// The body that is being sent.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) spot: Spot,
    pub(super) entry: Entry,
    /// What is left of it, if it is sent in parts.
    pub(super) parts: VecDeque<Part>,
    pub(super) unpacked: Option<Arc<Unpacked>>,
    pub(super) phase: Phase,
    /// Whether and since when the receiver may have what comes next.
    pub(super) doubt: Option<Doubt>,
    /// The version of the permission that all of it has.
    pub(super) permission: u64,
}

/// The receiver may have a body: for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// Since this moment,
    pub(super) since: Instant,
    /// and so long before it.
    pub(super) before: Duration,
    /// It was told that this is longer than the receiver remembers.
    pub(super) is_told: bool,
}

impl Doubt {
    /// Since now.
    pub(super) fn new(since: Instant, before: Duration) -> Doubt {
        Doubt { since, before, is_told: false }
    }
}

/// What a body waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be sent.
    Ready,
    /// For the receiver, or for a job.
    Busy,
    /// For this change to be saved.
    Saving(u64),
}

impl Lane {
    /// Where its oldest body lies that is not settled.
    pub(super) fn front(&self) -> Option<Spot> {
        let current = self.current.as_ref().map(|current| current.spot);
        current.or_else(|| self.queue.front().map(|queued| queued.spot))
    }

    /// When that was sealed.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let current = self.current.as_ref().map(|current| &current.entry);
        let entry = current.or_else(|| self.queue.front().map(|queued| &queued.entry));
        entry.map(|entry| entry.head.sealed_at)
    }

    /// Makes the next body the current one; `low` is the number before which everything is settled, `new` that of the first body of
    /// this life.
    pub(super) fn begin(&mut self, low: u64, new: u64, split: &mut Vec<Split>, clock: &dyn Clock) {
        let may_begin = |queued: &Queued| queued.entry.head.after <= low;
        if self.current.is_some() || !self.queue.front().is_some_and(may_begin) {
            return;
        }
        let Some(Queued { spot, entry }) = self.queue.pop_front() else { return };
        let known = split.iter().position(|split| split.number == spot.number);
        let parts = known.map(|index| split.swap_remove(index).parts).unwrap_or_default();
        let in_doubt = !std::mem::replace(&mut self.begun, true) && spot.number < new;
        let permission = entry.head.permission;
        // An earlier life may have sent it at once, and known nothing of its fate.
        let age = clock.now().as_micros().saturating_sub(entry.head.sealed_at.as_micros());
        let before = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        let doubt = in_doubt.then(|| Doubt::new(clock::instant(), before));
        let (unpacked, phase) = (None, Phase::Ready);
        self.current = Some(Current { spot, entry, parts, unpacked, phase, doubt, permission });
    }
}

impl Current {
    /// The records that are sent next: their range in the body.
    pub(super) fn range(&self) -> std::ops::Range<u32> {
        match self.parts.front() {
            Some(part) => part.start..part.end,
            None => 0..self.entry.head.records,
        }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> VecDeque<Part> {
        if !self.parts.is_empty() {
            return self.parts.clone();
        }
        VecDeque::from([Part { start: 0, end: self.entry.head.records, key: self.entry.head.key }])
    }

    /// What is left of it, to be saved.
    pub(super) fn split(&self) -> Option<Split> {
        let number = self.spot.number;
        (!self.parts.is_empty()).then(|| Split { number, parts: self.parts.clone() })
    }
}
