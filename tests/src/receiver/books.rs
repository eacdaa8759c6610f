//! [`Books`]: what a receiver knows, and what it decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::Arc,
    time::Duration,
};

use afferent_core::clock::Clock;
use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::Value;

use super::{Fault, Script, Tally};
use crate::given::{Identity, identity};

/// How much a body may hold, uncompressed: ours have a few KiB.
const BODY_BYTES: u64 = 16 << 20;

/// What a receiver knows: bodies by key, records in the order in which it committed them, and what it did to its clients.
#[derive(Debug)]
pub struct Books {
    /// What it committed, in order.
    pub committed: Vec<Value>,
    /// What no client may do, and one did.
    pub violations: Vec<String>,
    /// How often each fault was done.
    pub faults: Tally,
    /// How many requests were read.
    pub requests: u64,
    /// How many of them had a key whose body was committed.
    pub repeats: u64,
    pub(super) script: Script,
    poison: BTreeSet<Identity>,
    /// Which `Authorization` it wants, if any.
    pub(super) wanted: Option<String>,
    bodies: BTreeMap<String, Body>,
    random: fastrand::Rng,
    clock: Arc<dyn Clock>,
}

/// A body that was seen.
#[derive(Debug)]
struct Body {
    content: Bytes,
    records: Vec<Value>,
    /// Its final answer: 2xx, or a refusal.
    answer: Option<u16>,
    /// Somebody is about to commit it.
    busy: bool,
}

/// What is read of a request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: hyper::Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) content: Bytes,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Fate {
    Answer(Answer),
    /// An answer that comes late.
    Late(Duration, Answer),
    /// A body that is committed late, and answered then.
    Commit(Duration, String),
    /// None.
    Silence,
    /// None, and the connection breaks.
    Cut,
    /// An answer, and no more requests on this connection.
    GoAway(Answer),
    /// None, no more requests on this connection, and it breaks.
    GoAwayAndCut,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
}

impl From<u16> for Answer {
    fn from(status: u16) -> Answer {
        Answer { status, retry_after: None }
    }
}

impl Books {
    pub(super) fn new(
        script: Script,
        poison: BTreeSet<Identity>,
        wanted: Option<String>,
        seed: u64,
        clock: Arc<dyn Clock>,
    ) -> Books {
        Books {
            committed: Vec::new(),
            violations: Vec::new(),
            faults: Tally::new(),
            requests: 0,
            repeats: 0,
            script,
            poison,
            wanted,
            bodies: BTreeMap::new(),
            random: seeded(seed),
            clock,
        }
    }

    /// From now on it behaves.
    pub fn heal(&mut self) {
        self.script.budget = 0;
    }

    /// A fault was done.
    pub(super) fn did(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Draws one fault of the script, if there is to be one among `allowed`.
    pub(super) fn misfortune(&mut self, allowed: impl Fn(Fault) -> bool) -> Option<Fault> {
        if self.script.budget == 0 {
            return None;
        }
        let mut roll = self.random.f64();
        let fault =
            self.script.odds.iter().filter(|(fault, _)| allowed(**fault)).find_map(|(fault, odds)| {
                roll -= odds;
                (roll < 0.0).then_some(*fault)
            })?;
        self.script.budget -= 1;
        self.did(fault);
        Some(fault)
    }

    /// A random number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.u64(..bound)
    }

    /// Reads a request, and decides what becomes of it.
    pub(super) fn judge(&mut self, asked: &Asked, http2: bool) -> Fate {
        self.requests += 1;
        let key = match self.enter(asked) {
            Ok(key) => key,
            Err(violation) => {
                self.violations.push(violation);
                return Fate::Answer(500.into());
            }
        };
        if let Some(wanted) = &self.wanted
            && asked.headers.get("authorization").is_none_or(|shown| shown != wanted)
        {
            self.did(Fault::Unauthorized);
            return Fate::Answer([401, 403][usize::from(self.random.bool())].into());
        }
        if self.bodies[&key].busy {
            return Fate::Answer(409.into());
        }
        if self.bodies[&key].answer.is_some_and(|answer| answer < 300) {
            self.repeats += 1;
        }
        let of_http2 = |fault| matches!(fault, Fault::GoAway | Fault::GoAwayAndCut);
        match self.misfortune(|fault| fault != Fault::Refused && (http2 || !of_http2(fault))) {
            None | Some(Fault::Refused) => Fate::Answer(self.settle(&key)),
            Some(fault) => self.strike(fault, key),
        }
    }

    fn strike(&mut self, fault: Fault, key: String) -> Fate {
        let seconds = self.random.u64(..20);
        match fault {
            Fault::TooManyForSeconds => {
                Fate::Answer(Answer { status: 429, retry_after: Some(seconds.to_string()) })
            }
            Fault::TooManyUntil => {
                let now = Duration::from_micros(self.clock.now().as_micros().unsigned_abs());
                let then = std::time::UNIX_EPOCH + now + Duration::from_secs(seconds);
                Fate::Answer(Answer { status: 429, retry_after: Some(httpdate::fmt_http_date(then)) })
            }
            Fault::ServerError => Fate::Answer(self.random.u16(500..505).into()),
            Fault::ServerErrorAfterCommit => {
                self.settle(&key);
                Fate::Answer(503.into())
            }
            Fault::NotNow => Fate::Answer([404, 408, 409][self.random.usize(..3)].into()),
            Fault::Slow => Fate::Late(self.while_it_takes(), self.settle(&key)),
            Fault::LateCommit => {
                self.body(&key).busy = true;
                Fate::Commit(self.while_it_takes(), key)
            }
            Fault::CutBeforeCommit => Fate::Cut,
            Fault::CutAfterCommit => {
                self.settle(&key);
                Fate::Cut
            }
            Fault::Silence => Fate::Silence,
            Fault::SilenceAfterCommit => {
                self.settle(&key);
                Fate::Silence
            }
            Fault::GoAway => Fate::GoAway(self.settle(&key)),
            Fault::GoAwayAndCut => {
                if self.random.bool() {
                    self.settle(&key);
                }
                Fate::GoAwayAndCut
            }
            _ => Fate::Answer(429.into()),
        }
    }

    /// Mostly within what a client waits, sometimes longer.
    fn while_it_takes(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(..8_000))
    }

    /// Commits the body of `key` or refuses it, unless either was done before; how it is answered.
    pub(super) fn settle(&mut self, key: &str) -> Answer {
        if let Some(answer) = self.bodies[key].answer {
            return answer.into();
        }
        let Body { content, records, .. } = &self.bodies[key];
        let is_too_large = records.len() > self.script.most_records || content.len() > self.script.most_bytes;
        let is_poisoned = records.iter().any(|record| self.poison.contains(&identity(record)));
        let status = if is_too_large {
            self.did(Fault::TooLarge);
            413
        } else if is_poisoned {
            self.did(Fault::Poison);
            self.script.refusal
        } else {
            self.committed.extend(self.bodies[key].records.iter().cloned());
            self.random.u16(200..205)
        };
        self.body(key).answer = Some(status);
        status.into()
    }

    /// Nobody is about to commit the body of `key` any more.
    pub(super) fn leave(&mut self, key: &str) {
        self.body(key).busy = false;
    }

    fn body(&mut self, key: &str) -> &mut Body {
        self.bodies.get_mut(key).expect("it was entered before it was judged")
    }

    /// Enters a body under its key; what is wrong with the request.
    fn enter(&mut self, asked: &Asked) -> Result<String, String> {
        let header = |name| asked.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        if asked.method != hyper::Method::POST || asked.path != "/ingest" {
            return Err(format!("{} {}", asked.method, asked.path));
        }
        let key = header("idempotency-key");
        if key.len() != 32 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("`Idempotency-Key: {key}`"));
        }
        if header("content-length") != asked.content.len().to_string() {
            return Err(format!("`Content-Length: {}`", header("content-length")));
        }
        match self.bodies.get(key) {
            Some(body) if body.content != asked.content => return Err(format!("two bodies under {key}")),
            Some(_) => {}
            None => {
                let plain = unpack(header("content-encoding"), &asked.content)
                    .map_err(|error| format!("a body that can't be unpacked: {error}"))?;
                let records = parse(header("content-type"), &plain)?;
                let body = Body { content: asked.content.clone(), records, answer: None, busy: false };
                self.bodies.insert(key.to_owned(), body);
            }
        }
        Ok(key.to_owned())
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own seed")]
fn seeded(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}

fn unpack(encoding: &str, content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match encoding {
        "" => plain.extend_from_slice(content),
        "gzip" => {
            flate2::read::GzDecoder::new(content).take(BODY_BYTES).read_to_end(&mut plain)?;
        }
        "zstd" => {
            zstd::stream::read::Decoder::new(content)?.take(BODY_BYTES).read_to_end(&mut plain)?;
        }
        other => return Err(std::io::Error::other(format!("`Content-Encoding: {other}`"))),
    }
    Ok(plain)
}

fn parse(content_type: &str, plain: &[u8]) -> Result<Vec<Value>, String> {
    let records: Result<Vec<Value>, _> = match content_type {
        "application/json" => serde_json::from_slice(plain),
        "application/x-ndjson" if plain.ends_with(b"\n") => {
            let lines = plain.split_inclusive(|byte| *byte == b'\n');
            lines.map(serde_json::from_slice).collect()
        }
        other => return Err(format!("`Content-Type: {other}`, or a line without an end")),
    };
    match records {
        Ok(records) if records.is_empty() => Err("a body without records".to_owned()),
        Ok(records) => Ok(records),
        Err(error) => Err(format!("a body that is not JSON: {error}")),
    }
}
