//! A receiver in memory that honours keys, and answers as a script drawn from a seed says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use afferent_core::{Change, RecordId, clock, random::Random};

use crate::upload::{Compression, Key, Outcome, SealedBody, Transport, compress};

/// How often the receiver misbehaves, each in `[0, 1)`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Script {
    pub(super) failing: f64,
    pub(super) lost_answers: f64,
    pub(super) too_many: f64,
    pub(super) later: f64,
    pub(super) slow: f64,
    /// Whether it takes what it can of a body, and refuses only single records of it.
    pub(super) partly: bool,
    /// Most records that it takes in a body.
    pub(super) most: Option<u32>,
    /// Attempts, counted over all lives, during which it refuses the credentials.
    pub(super) unauthorized: (u64, u64),
    /// From this attempt on it answers.
    pub(super) answers_from: u64,
    /// At this attempt somebody withdraws.
    pub(super) withdraws_at: u64,
}

/// A receiver in memory that honours keys. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Receiver(Arc<Mutex<Inner>>);

struct Inner {
    script: Script,
    random: Random,
    poison: BTreeSet<(RecordId, Change)>,
    attempts: u64,
    /// Every body that was ever seen, and what was answered when it was applied.
    bodies: BTreeMap<Key, (bytes::Bytes, Option<Outcome>)>,
    applied: Vec<(RecordId, Change)>,
    repeats: u64,
    /// Bodies are in a form that it can't read: it counts records, and has none.
    counts_only: bool,
    counted: u64,
    /// What happens when somebody withdraws.
    withdraw: Option<Box<dyn Fn() + Send>>,
}

impl Receiver {
    pub(super) fn new(script: Script, poison: BTreeSet<(RecordId, Change)>, seed: u64) -> Receiver {
        Receiver(Arc::new(Mutex::new(Inner {
            script,
            random: Random::from_seed(seed),
            poison,
            attempts: 0,
            bodies: BTreeMap::new(),
            applied: Vec::new(),
            repeats: 0,
            counts_only: false,
            counted: 0,
            withdraw: None,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// From now on it answers.
    pub(super) fn heal(&self) {
        let mut inner = self.inner();
        let Script { most, partly, .. } = inner.script;
        inner.script = Script { most, partly, ..Script::default() };
    }

    pub(super) fn refuse(&self, id: RecordId) {
        self.inner().poison.insert((id, Change::Added));
    }

    /// From now on it refuses nothing.
    pub(super) fn accept(&self) {
        self.inner().poison.clear();
    }

    /// From now on it does not read what it takes.
    pub(super) fn counts_only(&self) {
        self.inner().counts_only = true;
    }

    /// How many records it has taken.
    pub(super) fn counted(&self) -> u64 {
        self.inner().counted
    }

    /// What happens at the attempt at which somebody withdraws.
    pub(super) fn on_withdrawal(&self, withdraw: impl Fn() + Send + 'static) {
        self.inner().withdraw = Some(Box::new(withdraw));
    }

    /// How it behaves.
    pub(super) fn script(&self) -> Script {
        self.inner().script
    }

    pub(super) fn behave(&self, script: Script) {
        self.inner().script = script;
    }

    /// What it has, in the order in which it came.
    pub(super) fn applied(&self) -> Vec<(RecordId, Change)> {
        self.inner().applied.clone()
    }

    pub(super) fn attempts(&self) -> u64 {
        self.inner().attempts
    }

    /// How often it was sent what it had.
    pub(super) fn repeats(&self) -> u64 {
        self.inner().repeats
    }

    pub(super) fn transport(&self) -> Scripted {
        Scripted(self.clone())
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("script", &self.script).finish_non_exhaustive()
    }
}

impl Inner {
    /// Takes a body, or says why not.
    fn apply(&mut self, body: &SealedBody) -> Outcome {
        let (_, applied) = self.bodies.get_mut(&body.key).expect("it was noted");
        if let Some(answer) = applied {
            self.repeats += 1;
            return answer.clone();
        }
        self.counted += u64::from(body.records);
        if self.counts_only {
            *applied = Some(Outcome::Delivered);
            return Outcome::Delivered;
        }
        let records = records(body);
        assert_eq!(records.len(), body.records as usize, "a body says how many records it has");
        let too_long = self.script.most.is_some_and(|most| body.records > most);
        let (poison, good): (Vec<_>, Vec<_>) =
            (0..).zip(records).partition(|(_, record)| self.poison.contains(record));
        if too_long || !self.script.partly && !poison.is_empty() {
            return Outcome::Refused { reason: "scripted: 400".to_owned() };
        }
        let refused: Vec<_> =
            poison.into_iter().map(|(index, _)| (index, "scripted: 400".to_owned())).collect();
        let answer = if refused.is_empty() { Outcome::Delivered } else { Outcome::Partly { refused } };
        *applied = Some(answer.clone());
        self.applied.extend(good.into_iter().map(|(_, record)| record));
        answer
    }
}

/// A transport to a [`Receiver`].
#[derive(Debug)]
pub(super) struct Scripted(Receiver);

impl Transport for Scripted {
    fn receiver(&self) -> &str {
        "the test's receiver"
    }

    async fn send(&self, body: &SealedBody) -> Outcome {
        let (script, roll, late) = {
            let mut inner = self.0.inner();
            inner.attempts += 1;
            if inner.attempts == inner.script.withdraws_at {
                inner.withdraw.iter().for_each(|withdraw| withdraw());
            }
            let content = inner.bodies.entry(body.key).or_insert_with(|| (body.content.clone(), None));
            assert!(content.0 == body.content, "a key names one body for ever");
            let slow = inner.script.slow;
            let late = inner.random.chance(slow).then(|| inner.random.below(5_000));
            (inner.script, inner.random.unit(), late)
        };
        if let Some(late) = late {
            clock::sleep(Duration::from_millis(late)).await;
        }
        let mut inner = self.0.inner();
        let attempts = inner.attempts;
        if (script.unauthorized.0..script.unauthorized.1).contains(&attempts) {
            return Outcome::Unauthorized { reason: "scripted: 401".to_owned() };
        }
        let unavailable = |retry_after, in_doubt| Outcome::Unavailable {
            reason: "scripted".to_owned(),
            retry_after,
            in_doubt,
        };
        if script.answers_from > 0 && attempts >= script.answers_from {
            return inner.apply(body);
        }
        let mut below = script.failing;
        if roll < below {
            return unavailable(None, true);
        }
        below += script.lost_answers;
        if roll < below {
            inner.apply(body);
            return unavailable(None, true);
        }
        below += script.too_many;
        if roll < below {
            let asked = inner.random.chance(0.5).then(|| Duration::from_secs(inner.random.below(20)));
            return unavailable(asked, false);
        }
        below += script.later;
        if roll < below {
            return Outcome::Later { reason: "scripted: 409".to_owned(), retry_after: None };
        }
        inner.apply(body)
    }
}

/// The records of a body of JSON.
fn records(body: &SealedBody) -> Vec<(RecordId, Change)> {
    let plain = match body.compression {
        Compression::None => body.content.to_vec(),
        compression => compress::unpack(compression, &body.content, 1 << 24).unwrap(),
    };
    let values: Vec<serde_json::Value> = match plain.first() {
        Some(b'[') => serde_json::from_slice(&plain).unwrap(),
        _ => {
            assert!(plain.ends_with(b"\n"), "each line has an end");
            plain
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice(line).unwrap())
                .collect()
        }
    };
    values
        .iter()
        .map(|value| {
            let change = if value["deleted"] == true { Change::Deleted } else { Change::Added };
            (RecordId::parse(value["id"].as_str().unwrap()).unwrap(), change)
        })
        .collect()
}
