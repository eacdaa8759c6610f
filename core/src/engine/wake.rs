//! How a pipeline ends in time: drains with a deadline, and wakes.
//!
//! A **drain** ends once nothing is pending at receivers, or at its deadline, as `Stop` does.
//!
//! A **wake** is one run of a pipeline within a budget. Until [`PULLING`] of it has passed the pipeline pulls as always; then
//! it closes its epoch and waits for receivers until [`SENDING`] of it has passed; then it ends. It ends earlier when it is
//! idle. What is left of the budget is for closing files and awaiting jobs. Whoever asked for it kills the pipeline when the
//! budget is over: no step here is trusted to take no time.

use std::{sync::Arc, time::Duration};

use tokio::sync::{oneshot, watch};

use crate::{
    Result,
    clock::{self, Instant},
    ledger::Ledger,
    mailbox::{Need, Woken},
};

/// The share of a wake's budget in which it takes records; what comes after the commit then has time to be sent.
pub(super) const PULLING: f64 = 0.6;
/// The share of a wake's budget after which it waits for no receiver any more.
pub(super) const SENDING: f64 = 0.9;

/// What was asked of a pipeline that is to end by itself, later.
#[derive(Debug, Default)]
pub(super) struct Endings {
    answers: Vec<oneshot::Sender<Result<()>>>,
    stops: bool,
    /// Some drains have none.
    drain_until: Option<Instant>,
    drains: bool,
    wake: Option<Wake>,
}

#[derive(Debug)]
struct Wake {
    pull_until: Instant,
    send_until: Instant,
    report: watch::Sender<Woken>,
}

impl Endings {
    pub(super) fn stop(&mut self, answer: oneshot::Sender<Result<()>>) {
        self.stops = true;
        self.answers.push(answer);
    }

    /// Of several deadlines the earliest holds.
    pub(super) fn drain(&mut self, within: Option<Duration>, answer: oneshot::Sender<Result<()>>) {
        let until = within.and_then(|within| clock::instant().checked_add(within));
        self.drain_until = self.drain_until.into_iter().chain(until).min();
        self.drains = true;
        self.answers.push(answer);
    }

    /// The newest wake counts: it is asked for when the earlier ones are over, or by another supervisor of the same.
    pub(super) fn wake(
        &mut self,
        budget: Duration,
        report: watch::Sender<Woken>,
        answer: oneshot::Sender<Result<()>>,
    ) {
        let now = clock::instant();
        let (pull_until, send_until) = (now + budget.mul_f64(PULLING), now + budget.mul_f64(SENDING));
        self.wake = Some(Wake { pull_until, send_until, report });
        self.answers.push(answer);
    }

    /// Whether the pipeline is to pull nothing more, and end.
    pub(super) fn is_ending(&self) -> bool {
        self.stops
            || self.drains
            || self.wake.as_ref().is_some_and(|wake| clock::instant() >= wake.pull_until)
    }

    /// Whether it is to end without waiting for receivers.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_ending() && (self.stops || self.wait_until().is_some_and(|until| clock::instant() >= until))
    }

    /// Whether it may end before receivers have acknowledged everything, because its time is over.
    pub(super) fn is_timed(&self) -> bool {
        self.wait_until().is_some()
    }

    /// Whether it is to end as soon as it is idle.
    pub(super) fn is_woken(&self) -> bool {
        self.wake.is_some()
    }

    /// Until when it waits for receivers, if it does not do so for as long as it takes.
    fn wait_until(&self) -> Option<Instant> {
        self.drain_until.into_iter().chain(self.wake.as_ref().map(|wake| wake.send_until)).min()
    }

    /// When it next changes by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        let steps = [self.wake.as_ref().map(|wake| wake.pull_until), self.wait_until()];
        let now = clock::instant();
        steps.into_iter().flatten().filter(|step| *step > now).min()
    }

    /// The accounts are `ledger` now.
    pub(super) fn account(&self, ledger: &Ledger) {
        let Some(wake) = &self.wake else { return };
        wake.report.send_modify(|woken| {
            let before = woken.before.get_or_insert_with(|| Arc::new(ledger.clone()));
            let (mut read, mut sent, mut remaining) = (0, 0, 0);
            let held = ledger.held_total();
            for (sink, account) in &ledger.accounts {
                let earlier = before.accounts.get(sink).copied().unwrap_or_default();
                read = account.read.saturating_sub(earlier.read).max(read);
                sent += account.delivered.saturating_sub(earlier.delivered);
                remaining += account.pending.saturating_sub(held);
            }
            (woken.ingested, woken.sent, woken.remaining) = (read, sent, remaining);
        });
    }

    /// What is in the way now.
    pub(super) fn needs(&self, needs: Vec<Need>) {
        if let Some(wake) = &self.wake {
            wake.report.send_modify(|woken| woken.needs = needs);
        }
    }

    /// Answers all: the pipeline has ended.
    pub(super) fn answer(&mut self) {
        for answer in self.answers.drain(..) {
            // Whoever asked may have gone away.
            let _ = answer.send(Ok(()));
        }
    }
}
