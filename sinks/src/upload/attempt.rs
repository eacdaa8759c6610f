//! [`Courier`]: tries to send one body until the receiver has said what becomes of it.

use std::{sync::Arc, time::Duration};

use afferent_core::{
    Record, Result, blocking::Blocking, clock, engine::Backoff, event::StageEvents, guard::Watch,
    stage::Permission,
};
use tokio::sync::watch;

use super::{Outcome, SealedBody, Transport, gate::Gate, lane::Doubt, metrics::Metrics};

/// A body that the receiver can't take for so long, though it takes others, raises an alarm: what it waits for does not come by
/// itself (a moved address, a conflict that nobody resolves).
const LATER_ALARM: Duration = Duration::from_secs(600);

/// What the receiver decided.
#[derive(Debug)]
pub(super) enum Verdict {
    Delivered,
    Refused {
        reason: String,
    },
    /// Delivered but for these records, counted from the body's first.
    Partly {
        refused: Vec<(u32, String)>,
    },
    /// Nobody: what may be sent has changed, and it is to be asked for again.
    Reconsider {
        doubt: Option<Doubt>,
    },
}

/// What became of a body.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) verdict: Verdict,
    /// Whether it was sent again when the receiver may have forgotten its key.
    pub(super) unresolved: bool,
}

/// Sends bodies, one at a time for each lane.
#[derive(Debug)]
pub(super) struct Courier<T> {
    pub(super) transport: T,
    pub(super) gate: Arc<Gate>,
    /// The fence of the outbox that the bodies come from, and where it is looked at.
    pub(super) watch: Option<(Watch, Blocking)>,
    pub(super) dedupe_window: Option<Duration>,
    /// What may be sent.
    pub(super) permissions: watch::Receiver<Permission<Record>>,
    pub(super) events: StageEvents,
    pub(super) metrics: Metrics,
}

impl<T: Transport> Courier<T> {
    /// Tries for as long as it takes, and as it may be sent under the permission of `version`. `doubt`: it may have been sent, and
    /// the outcome not be known.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come: looked at before each attempt.
    pub(super) async fn deliver(
        self: Arc<Courier<T>>,
        body: SealedBody,
        version: u64,
        mut doubt: Option<Doubt>,
    ) -> Result<Sent> {
        let mut permissions = self.permissions.clone();
        let mut changed = std::pin::pin!(changed(&mut permissions, version));
        let mut backoff = Backoff::default();
        let mut unresolved = false;
        // Since when the receiver answers that it can't take it, and whether that was told.
        let (mut refused_since, mut told) = (None, false);
        loop {
            let pass = tokio::select! {
                biased;
                () = &mut changed => return Ok(reconsider(doubt, unresolved)),
                pass = self.gate.pass() => pass,
            };
            if let Err(error) = self.check_fence().await {
                if !error.kind().is_retryable() {
                    return Err(error);
                }
                tracing::warn!("{error}; nothing is sent before that is known");
                drop(pass);
                let wait = self.gate.wait(&mut backoff, None);
                tokio::select! {
                    biased;
                    () = &mut changed => return Ok(reconsider(doubt, unresolved)),
                    () = clock::sleep(wait) => continue,
                }
            }
            if let (Some(doubt), Some(window)) = (&mut doubt, self.dedupe_window)
                && !doubt.is_told
                && clock::instant().duration_since(doubt.since) + doubt.before > window
            {
                (doubt.is_told, unresolved) = (true, true);
                self.metrics.unresolved();
                self.events.alarm(format!(
                    "a body of {} records has been under way for longer than the receiver's dedupe_window: {} may already have it and take it again; look there for repeats (Idempotency-Key {})",
                    body.records,
                    self.transport.receiver(),
                    body.key
                ));
            }
            // Whether this generation may send was asked meanwhile.
            if self.permissions.borrow().version() != Some(version) {
                return Ok(reconsider(doubt, unresolved));
            }
            let began = clock::instant();
            self.metrics.attempt();
            let (wait, reason) = match self.transport.send(&body).await {
                Outcome::Delivered => {
                    pass.answered();
                    self.metrics.delivered(body.content.len() as u64);
                    return Ok(Sent { verdict: Verdict::Delivered, unresolved });
                }
                Outcome::Refused { reason } => {
                    pass.answered();
                    return Ok(Sent { verdict: Verdict::Refused { reason }, unresolved });
                }
                Outcome::Partly { refused } => {
                    pass.answered();
                    self.metrics.delivered(body.content.len() as u64);
                    return Ok(Sent { verdict: Verdict::Partly { refused }, unresolved });
                }
                Outcome::Unauthorized { reason } => {
                    pass.unauthorized(&reason);
                    (None, reason)
                }
                Outcome::Later { reason, retry_after } => {
                    pass.answered();
                    let since = *refused_since.get_or_insert(began);
                    if !told && clock::instant().duration_since(since) > LATER_ALARM {
                        told = true;
                        self.events.alarm(format!(
                            "{} has not taken a body of {} records for {} min, and takes others ({reason}); it is tried again, and what comes after it in its lane waits (Idempotency-Key {})",
                            self.transport.receiver(),
                            body.records,
                            LATER_ALARM.as_secs() / 60,
                            body.key
                        ));
                    }
                    (Some(self.gate.wait(&mut backoff, retry_after)), reason)
                }
                Outcome::Unavailable { reason, retry_after, in_doubt } => {
                    if in_doubt {
                        doubt.get_or_insert(Doubt::new(began, Duration::ZERO));
                    }
                    pass.unavailable(&reason, retry_after);
                    let wait = self.gate.wait(&mut backoff, retry_after);
                    // An open gate waits for all lanes.
                    ((!self.gate.is_open()).then_some(wait), reason)
                }
            };
            self.metrics.failed_attempt();
            tracing::debug!(key = %body.key, %reason, "a body will be sent again");
            if let Some(wait) = wait {
                tokio::select! {
                    biased;
                    () = &mut changed => return Ok(reconsider(doubt, unresolved)),
                    () = clock::sleep(wait) => {}
                }
            }
        }
    }

    /// Whether this generation may still send.
    async fn check_fence(&self) -> Result<()> {
        match &self.watch {
            Some((watch, blocking)) => {
                let watch = watch.clone();
                blocking.spawn(move || watch.check()).await?
            }
            // What is sent directly has no outbox; the checkpoint store refuses its epoch.
            None => Ok(()),
        }
    }
}

/// Until something else may be sent than what `version` allows.
async fn changed(permissions: &mut watch::Receiver<Permission<Record>>, version: u64) {
    if permissions.wait_for(|permission| permission.version() != Some(version)).await.is_err() {
        // The sink has gone; it changes nothing any more.
        std::future::pending().await
    }
}

fn reconsider(doubt: Option<Doubt>, unresolved: bool) -> Sent {
    Sent { verdict: Verdict::Reconsider { doubt }, unresolved }
}
