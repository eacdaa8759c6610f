//! [`Receiver`]: one in memory that honours keys, behind a network that fails as its [`Script`] says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use afferent::sinks::upload::{Compression, Key, Outcome, SealedBody, Transport};
use afferent_core::{clock, random::Random};
use bytes::Bytes;
use serde_json::Value;

use crate::given::{Identity, identity};

/// How hostile it is. Shares are of attempts, each in `[0, 1)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Script {
    /// No answer, and nothing was done.
    pub failing: f64,
    /// No answer, but the body was committed.
    pub unanswered: f64,
    /// Not this body, not now.
    pub later: f64,
    /// How long an answer takes.
    pub latency: Duration,
    /// It is away from then on, for so long, counted from the beginning of the first life.
    pub away: Option<(Duration, Duration)>,
}

/// A receiver in memory. Clones are the same.
#[derive(Clone, Debug)]
pub struct Receiver(Arc<Mutex<Inner>>);

#[derive(Clone, Debug)]
struct Inner {
    script: Script,
    random: Random,
    poison: BTreeSet<Identity>,
    bodies: BTreeMap<Key, (Bytes, bool)>,
    seen: Seen,
    /// How long earlier lives took.
    passed: Duration,
    began: clock::Instant,
}

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What it committed, in order.
    pub committed: Vec<Value>,
    /// Attempts.
    pub requests: u64,
    /// Attempts with bodies that it had.
    pub repeats: u64,
    /// When each attempt came, from the beginning of the first life.
    pub times: Vec<Duration>,
    /// What no client may do, and one did.
    pub violation: Option<String>,
    /// All that it was sent, as a number.
    pub trace: u64,
}

impl Receiver {
    /// One that refuses the records of `poison` for good.
    pub fn new(script: Script, poison: BTreeSet<Identity>, seed: u64) -> Receiver {
        Receiver::from(Inner {
            script,
            random: Random::from_seed(seed),
            poison,
            bodies: BTreeMap::new(),
            seen: Seen::default(),
            passed: Duration::ZERO,
            began: clock::instant(),
        })
    }

    /// What it has seen.
    pub fn seen(&self) -> Seen {
        self.inner().seen.clone()
    }

    /// Another that has seen the same.
    pub fn copy(&self) -> Receiver {
        Receiver::from(self.inner().clone())
    }

    /// From now on it behaves so.
    pub fn behave(&self, script: Script) {
        self.inner().script = script;
    }

    /// A life begins, `passed` after the beginning of the first.
    pub(super) fn begin(&self, passed: Duration) {
        let mut inner = self.inner();
        (inner.passed, inner.began) = (passed, clock::instant());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A case that panicked has failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Inner> for Receiver {
    fn from(inner: Inner) -> Receiver {
        Receiver(Arc::new(Mutex::new(inner)))
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.passed + clock::instant().saturating_duration_since(self.began)
    }

    /// Enters an attempt.
    fn enter(&mut self, body: &SealedBody) {
        let now = self.now();
        self.seen.requests += 1;
        self.seen.times.push(now);
        let sum = crc32c::crc32c_append(self.seen.trace as u32, &body.content);
        self.seen.trace = self.seen.trace.rotate_left(17) ^ u64::from(sum) ^ (now.as_micros() as u64) << 32;
        let known = self.bodies.entry(body.key).or_insert_with(|| (body.content.clone(), false));
        if known.0 != body.content {
            self.seen.violation.get_or_insert_with(|| "two bodies under one key".to_owned());
        }
    }

    /// Commits a body, unless it has it; its answer.
    fn commit(&mut self, body: &SealedBody) -> Outcome {
        if self.bodies.get(&body.key).is_some_and(|(_, committed)| *committed) {
            self.seen.repeats += 1;
            return Outcome::Delivered;
        }
        match records(body) {
            Ok(records) if records.iter().any(|record| self.poison.contains(&identity(record))) => {
                Outcome::Refused { reason: "simulated: 422".to_owned() }
            }
            Ok(records) => {
                self.bodies.insert(body.key, (body.content.clone(), true));
                self.seen.committed.extend(records);
                Outcome::Delivered
            }
            Err(wrong) => {
                self.seen.violation.get_or_insert(wrong);
                Outcome::Refused { reason: "simulated: 400".to_owned() }
            }
        }
    }

    fn answer(&mut self, body: &SealedBody) -> Outcome {
        let unavailable =
            |in_doubt| Outcome::Unavailable { reason: "simulated".to_owned(), retry_after: None, in_doubt };
        let now = self.now();
        if self.script.away.is_some_and(|(from, length)| (from..from + length).contains(&now)) {
            return unavailable(false);
        }
        let Script { failing, unanswered, later, .. } = self.script;
        let roll = self.random.unit();
        if roll < failing {
            return unavailable(true);
        }
        if roll < failing + unanswered {
            self.commit(body);
            return unavailable(true);
        }
        if roll < failing + unanswered + later {
            return Outcome::Later { reason: "simulated: 409".to_owned(), retry_after: None };
        }
        self.commit(body)
    }
}

/// A transport to a [`Receiver`].
#[derive(Debug)]
pub(super) struct Wire(pub(super) Receiver);

impl Transport for Wire {
    fn receiver(&self) -> &str {
        "the simulated receiver"
    }

    async fn send(&self, body: &SealedBody) -> Outcome {
        let latency = {
            let mut inner = self.0.inner();
            inner.enter(body);
            inner.script.latency
        };
        clock::sleep(latency).await;
        self.0.inner().answer(body)
    }
}

/// Longest body, uncompressed: those of a simulation have a few KiB.
const BODY_BYTES: u64 = 16 << 20;

fn records(body: &SealedBody) -> Result<Vec<Value>, String> {
    let mut plain = Vec::new();
    match body.compression {
        Compression::None => plain.extend_from_slice(&body.content),
        _ => {
            let unpacked =
                flate2::read::GzDecoder::new(&body.content[..]).take(BODY_BYTES).read_to_end(&mut plain);
            unpacked.map_err(|error| format!("a body that can't be unpacked: {error}"))?;
        }
    }
    let records: Result<Vec<Value>, _> = match plain.first() {
        Some(b'[') => serde_json::from_slice(&plain),
        _ => plain.split_inclusive(|byte| *byte == b'\n').map(serde_json::from_slice).collect(),
    };
    match records {
        Ok(records) if records.len() == body.records as usize => Ok(records),
        Ok(_) => Err("a body with another number of records than it says".to_owned()),
        Err(error) => Err(format!("a body that is no JSON: {error}")),
    }
}
