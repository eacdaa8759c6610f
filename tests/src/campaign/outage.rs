//! A receiver that is away for minutes: what retrying costs it, and how soon records arrive when it is back.
//!
//! While it is away it sees at most 1.1 times the requests a second that it saw before; over all, at most 1.1 times as many
//! as there are bodies, and those few that an outage costs whatever its length (see `PROBES`); when it is back the first
//! record arrives within ten seconds (G6).

use std::time::Duration;

use afferent_core::random::Random;

use super::{
    Case,
    simulation::{LATENCY, MODELS, Script, World},
};

/// How soon after the end of an outage something must arrive.
const HEALS: Duration = Duration::from_secs(10);
/// A back-off is capped at 8 s and has full jitter, so one attempt at a time makes a request in 4 s, and now and then in 2.
const PROBES: f64 = 0.5;
/// Requests that an outage of no length costs: one a lane, five until the breaker opens, and the first
/// back-offs, which are short.
const FIRST: f64 = 12.0;

/// Plays one seed.
pub fn play(seed: u64) -> Case {
    let mut random = Random::from_seed(seed);
    let mut case = Case::default();
    let shape = seed % MODELS;
    let takes = super::simulation::model(shape).takes;
    let (from, length) = (takes.mul_f64(random.unit() * 0.8), Duration::from_secs(1 + random.below(1200)));
    let script = Script { latency: LATENCY, away: Some((from, length)), ..Script::default() };
    let mut world = World::new(shape, script, random.u64());
    case.records = world.model.given.welcome() as u64;
    let life = world.live();
    world.check(&life, &mut case);
    let (seen, bodies) = (world.receiver.seen(), world.model.requests);
    let during =
        seen.times.iter().filter(|at| **at + LATENCY >= from && **at + LATENCY < from + length).count();
    case.faults = u64::from(during > 0);
    let steady = bodies as f64 / takes.as_secs_f64();
    let allowed = FIRST + length.as_secs_f64() * (steady * 1.1).min(PROBES);
    if during as f64 > allowed {
        case.blame(format!("{during} requests in {length:?} away, {steady:.2} a second before"));
    }
    let after = seen.times.iter().find(|at| **at + LATENCY >= from + length);
    if let Some(after) = after.filter(|_| during > 0) {
        let wait = (*after + LATENCY).saturating_sub(from + length);
        case.add("ms until the first answer after an outage", wait.as_millis() as u64);
        if wait > HEALS {
            case.blame(format!("nothing arrived for {wait:?} after the outage"));
        }
    }
    case.add("requests", seen.requests);
    case.add("bodies", bodies);
    case.add("requests during outages", during as u64);
    case.add("seconds of outages", length.as_secs());
    case.trace = world.trace();
    case
}
