//! [`Gate`]: what all lanes pass before each attempt. It limits the rate, and it is the circuit breaker.
//!
//! | the gate is | and lets pass | until |
//! |---|---|---|
//! | closed | nobody waits, but for the rate | [`FAILURES`] attempts in a row find the receiver unavailable, or credentials are refused |
//! | open | nobody | a back-off of at most 8 s has passed, or what the receiver asked for |
//! | half open | one attempt at a time | it is answered: back to the first row; otherwise the one before |
//!
//! (Closed as a circuit is: current flows.) Each outage is one alarm, and its end one notice. That credentials are refused,
//! and that they are accepted again, is an event of its own: whoever waits for the end has to tell it from an outage.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use afferent_core::{
    ErrorKind,
    clock::{self, Instant},
    engine::Backoff,
    event::StageEvents,
    mailbox::Need,
    random::Random,
};
use tokio::sync::Notify;

use super::{Rate, metrics::Metrics};

/// Failures in a row after which one attempt at a time is enough to find out whether the receiver is back.
pub(super) const FAILURES: u32 = 5;

/// What all lanes pass before each attempt.
#[derive(Debug)]
pub(super) struct Gate {
    inner: Mutex<Inner>,
    changed: Notify,
    events: StageEvents,
    metrics: Metrics,
    receiver: String,
    /// What is to be done when credentials are refused.
    renewal: &'static str,
}

#[derive(Debug)]
struct Inner {
    bucket: Option<Bucket>,
    failures: u32,
    outage: Option<Outage>,
    random: Random,
}

#[derive(Debug)]
struct Outage {
    /// When the next attempt may be made.
    until: Instant,
    probing: bool,
    backoff: Backoff,
    /// Whether credentials were refused.
    unauthorized: bool,
    /// Whether it was told: a pause that the receiver asked for is none.
    told: bool,
}

impl Outage {
    fn new(now: Instant) -> Outage {
        Outage { until: now, probing: false, backoff: Backoff::default(), unauthorized: false, told: false }
    }
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Takes a token, or says when there will be one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let per_token = self.rate.per.0.as_secs_f64() / f64::from(self.rate.requests);
        let gained = now.duration_since(self.filled).as_secs_f64() / per_token;
        self.tokens = (self.tokens + gained).min(f64::from(self.rate.requests));
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(now + Duration::from_secs_f64((1.0 - self.tokens) * per_token) + Duration::from_millis(1))
    }
}

/// The right to make one attempt. Given back without an answer, it frees the gate for another.
#[derive(Debug)]
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    probe: bool,
}

impl Gate {
    pub(super) fn new(
        rate: Option<Rate>,
        random: Random,
        events: StageEvents,
        metrics: Metrics,
        (receiver, renewal): (String, &'static str),
    ) -> Gate {
        let bucket =
            rate.map(|rate| Bucket { rate, tokens: f64::from(rate.requests), filled: clock::instant() });
        Gate {
            inner: Mutex::new(Inner { bucket, failures: 0, outage: None, random }),
            changed: Notify::new(),
            events,
            metrics,
            receiver,
            renewal,
        }
    }

    /// Waits until an attempt may be made.
    pub(super) async fn pass(&self) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before the look, so that no change between look and wait is missed.
            changed.as_mut().enable();
            let wait = match self.inner().look(clock::instant()) {
                Ok(probe) => return Pass { gate: self, probe },
                Err(wait) => wait,
            };
            match wait {
                Some(until) => tokio::select! {
                    biased;
                    () = clock::sleep_until(until) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// A wait between two attempts at one body.
    pub(super) fn wait(&self, backoff: &mut Backoff, retry_after: Option<Duration>) -> Duration {
        backoff.next(ErrorKind::Transient { retry_after }, &mut self.inner().random)
    }

    /// What is in the way of attempts now: credentials, or that the last one found nobody.
    pub(super) fn need(&self) -> Option<Need> {
        let inner = self.inner();
        match &inner.outage {
            Some(outage) if outage.unauthorized => Some(Need::Credentials),
            _ => (inner.failures > 0).then_some(Need::Network),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is whole in itself.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether attempts are held back now.
    pub(super) fn is_open(&self) -> bool {
        self.inner().outage.is_some()
    }

    /// The receiver has answered.
    fn answered(&self, probe: bool) {
        let (told, unauthorized) = {
            let mut inner = self.inner();
            inner.failures = 0;
            // An attempt that began before the outage must not cut short what the receiver asked for meanwhile.
            if !probe && inner.outage.as_ref().is_some_and(|outage| outage.until > clock::instant()) {
                return;
            }
            let Some(outage) = inner.outage.take() else { return };
            (outage.told, outage.unauthorized)
        };
        self.changed.notify_waiters();
        if unauthorized {
            self.events.credentials(true);
        }
        if told {
            self.metrics.available(true);
            self.events.notice(format!("{} answers again; sending goes on", self.receiver));
        }
    }

    fn unavailable(&self, reason: &str, retry_after: Option<Duration>, unauthorized: bool) {
        let alarm = {
            let mut inner = self.inner();
            let Inner { failures, outage, random, .. } = &mut *inner;
            *failures = failures.saturating_add(1);
            if outage.is_none() && *failures < FAILURES && !unauthorized && retry_after.is_none() {
                return;
            }
            let now = clock::instant();
            let outage = outage.get_or_insert_with(|| Outage::new(now));
            let wait = outage.backoff.next(ErrorKind::Transient { retry_after }, random);
            outage.until = outage.until.max(now + wait);
            let news = unauthorized && !outage.unauthorized;
            let alarm = news || (*failures >= FAILURES && !outage.told);
            outage.unauthorized |= unauthorized;
            outage.told |= alarm;
            alarm
        };
        self.changed.notify_waiters();
        if alarm {
            self.metrics.available(false);
            if unauthorized {
                self.events.credentials(false);
            }
            self.events.alarm(match unauthorized {
                true => format!(
                    "{} refuses the credentials ({reason}); everything is kept; {}",
                    self.receiver, self.renewal
                ),
                false => format!(
                    "{} can't be reached ({reason}); everything is kept and tried again",
                    self.receiver
                ),
            });
        }
    }
}

impl Inner {
    /// Whether an attempt may be made now, and whether it is a probe; else when to look again, or after a change.
    fn look(&mut self, now: Instant) -> Result<bool, Option<Instant>> {
        if let Some(outage) = &self.outage {
            if outage.probing {
                return Err(None);
            }
            if now < outage.until {
                return Err(Some(outage.until));
            }
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now).map_err(Some)?;
        }
        match &mut self.outage {
            Some(outage) => {
                outage.probing = true;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl Pass<'_> {
    /// The receiver has answered, whatever it said of this body.
    pub(super) fn answered(self) {
        self.gate.answered(self.probe);
    }

    /// It did not, or can't take anything now.
    pub(super) fn unavailable(self, reason: &str, retry_after: Option<Duration>) {
        self.gate.unavailable(reason, retry_after, false);
    }

    /// It refuses the credentials.
    pub(super) fn unauthorized(self, reason: &str) {
        self.gate.unavailable(reason, None, true);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            if let Some(outage) = &mut self.gate.inner().outage {
                outage.probing = false;
            }
            self.gate.changed.notify_waiters();
        }
    }
}
