//! Clocks jump in a running pipeline: the wall clock is set by up to ten years, forward and back, and the machine sleeps for
//! eight hours, with a monotonic clock that stands still meanwhile, or goes on.
//!
//! The pipeline uploads at a rate, to a receiver that is away now and then; it has types that are expected, ids that are
//! remembered, and, in half of the cases, a receiver that forgets keys after a day. Nothing may be lost, nothing may repeat,
//! and nothing may wait for a clock to come back: from jump to jump it takes about as long as without any.

use std::time::Duration;

use afferent_core::random::Random;

use super::{
    Case,
    simulation::{Jump, Jumps, LATENCY, Life, MODELS, Script, World},
};

/// Ten years, in µs.
const TEN_YEARS: i64 = 10 * 365 * 86_400 * 1_000_000;
/// How long the machine sleeps.
const NIGHT: Duration = Duration::from_secs(8 * 3600);
/// Most jumps of one life.
const JUMPS: u64 = 6;
/// What is allowed on top of the time that it takes without jumps: a back-off at its cap after each jump, and a second.
const SLACK: Duration = Duration::from_secs(9);

/// Plays one seed.
pub fn play(seed: u64) -> Case {
    let mut random = Random::from_seed(seed);
    let mut case = Case::default();
    let failing = if random.chance(0.5) { 0.0 } else { 0.05 };
    let script = Script { failing, unanswered: failing, latency: LATENCY, ..Script::default() };
    let mut world = World::new(seed % MODELS, script, random.u64());
    case.records = world.model.given.welcome() as u64;
    let takes = world.model.takes;
    let mut at: Vec<Duration> = (0..1 + random.below(JUMPS)).map(|_| takes.mul_f64(random.unit())).collect();
    at.sort_unstable();
    let jumps = Jumps(at.into_iter().map(|at| (at, draw(&mut random))).collect());
    let life = world.live_through(&jumps);
    world.check(&life, &mut case);
    case.faults = jumps.0.len() as u64;
    let slept: Duration = jumps.0.iter().map(|(_, jump)| gap(*jump)).sum();
    let tries = world.receiver.seen().requests.saturating_sub(world.model.requests);
    let allowed = takes * 2 + SLACK * (1 + jumps.0.len() as u32) + Duration::from_secs(8) * tries as u32;
    if world.passed.saturating_sub(slept) > allowed {
        case.blame(format!("it took {:?} besides its sleep, {takes:?} without jumps", world.passed - slept));
    }
    if !matches!(life, Life::Finished(_)) {
        case.note("did not finish");
    }
    case.trace = world.trace();
    case.wrong = case.wrong.map(|wrong| format!("{jumps:?}: {wrong}"));
    case
}

fn draw(random: &mut Random) -> Jump {
    let years = (TEN_YEARS as f64 * random.unit()) as i64;
    match random.below(6) {
        0 => Jump::Wall(TEN_YEARS),
        1 => Jump::Wall(-TEN_YEARS),
        2 => Jump::Wall(years),
        3 => Jump::Wall(-years),
        4 => Jump::Sleep(NIGHT),
        _ => Jump::SleepOfBoth(NIGHT),
    }
}

fn gap(jump: Jump) -> Duration {
    match jump {
        Jump::SleepOfBoth(length) => length,
        _ => Duration::ZERO,
    }
}
