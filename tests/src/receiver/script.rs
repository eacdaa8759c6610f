//! [`Script`]: how hostile a receiver is.

use std::collections::BTreeMap;

use super::Fault;

/// How a receiver is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
}

/// A fault that lasts for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// It begins with this request, counted from 1.
    pub from: u64,
    /// It ends when it has struck so often.
    pub times: u64,
}

/// How hostile a receiver is.
#[derive(Clone, Debug)]
pub struct Script {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// How likely each fault is, for each request.
    pub odds: BTreeMap<Fault, f64>,
    /// After so many of those it behaves.
    pub budget: u64,
    /// Most records that it takes in a body.
    pub most_records: usize,
    /// Longest body that it takes, as it is sent.
    pub most_bytes: usize,
    /// With which status it refuses a record.
    pub refusal: u16,
    /// Credentials are refused, until others are shown.
    pub unauthorized: Option<Spell>,
    /// It shows the certificate of another authority.
    pub foreign: Option<Spell>,
}

impl Default for Script {
    /// A receiver that behaves, without TLS.
    fn default() -> Script {
        Script {
            protocol: Protocol::Plain,
            odds: BTreeMap::new(),
            budget: u64::MAX,
            most_records: usize::MAX,
            most_bytes: usize::MAX,
            refusal: 422,
            unauthorized: None,
            foreign: None,
        }
    }
}

impl Script {
    /// Any of them: a handful of faults each, some often and some seldom.
    pub fn draw(random: &mut fastrand::Rng) -> Script {
        let protocols = [Protocol::Plain, Protocol::Http1, Protocol::Http2, Protocol::Http2];
        let protocol = protocols[random.usize(..protocols.len())];
        let odds = Fault::BY_ODDS.into_iter().filter(|_| random.f64() < 0.3).collect::<Vec<_>>();
        let odds = odds.into_iter().map(|fault| (fault, random.f64() * 0.15)).collect();
        let mut spell = |odds: f64, times: u64| {
            let spell = Spell { from: random.u64(1..15), times: random.u64(1..times) };
            (random.f64() < odds).then_some(spell)
        };
        let unauthorized = spell(0.3, 8);
        let foreign = spell(0.3, 5).filter(|_| protocol != Protocol::Plain);
        Script {
            protocol,
            odds,
            budget: random.u64(5..30),
            most_records: if random.f64() < 0.3 { random.usize(1..6) } else { usize::MAX },
            // A single record always fits.
            most_bytes: if random.f64() < 0.2 { random.usize(600..2500) } else { usize::MAX },
            refusal: if random.bool() { 400 } else { 422 },
            unauthorized,
            foreign,
        }
    }
}
