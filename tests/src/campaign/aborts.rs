//! The real command aborts at a crash point, and then comes to its end: at every crash point of the engine, of uploads and of
//! queues, at its first start, and when an earlier life has left bodies that nobody was sent; once, or three times in a row.
//! At those of queues it runs two pipelines, joined by one.
//!
//! The points are those that the crates list, so that a new one is played as soon as it is there.

use std::os::unix::process::ExitStatusExt;

use afferent::sinks::upload;
use afferent_core::{engine, queue::disk};

use super::{
    Case,
    machine::{runtime, seeded},
};
use crate::{
    given::Given,
    receiver::Script,
    sender::{JOINED, Sender, UPLOAD},
};

/// Where epoch 0 is made: nothing came before.
const FIRST_ONLY: &[&str] = &["start.prepared", "start.saved"];
/// Once epoch 0 is saved, it is not saved again.
const ONCE_ONLY: &str = "start.saved";
/// A life that has saved an epoch whose bodies nobody was sent.
const EARLIER: &str = "close.saved 2";
/// The signal of an abort.
const SIGABRT: i32 = 6;
/// Records of an epoch.
const EPOCH: usize = 12;

/// A life for each, which aborts where it says.
pub type Plans = Vec<String>;

/// Every crash point.
pub fn points() -> impl Iterator<Item = &'static str> {
    [engine::CRASH_POINTS, upload::CRASH_POINTS, disk::CRASH_POINTS].into_iter().flatten().copied()
}

/// What there is to play: for each crash point, `times` aborts in a row, at the first start and later.
pub fn plans(times: usize) -> Vec<Plans> {
    let in_a_row = |point: &str| {
        let times = if point == ONCE_ONLY { 1 } else { times };
        vec![format!("{point} 1"); times]
    };
    let later = points().filter(|point| !FIRST_ONLY.contains(point));
    let later = later.map(|point| [vec![EARLIER.to_owned()], in_a_row(point)].concat());
    points().map(in_a_row).chain(later).collect()
}

/// Plays one of the [`plans`], by the seed modulo their number. The case notes each point at which a life aborted.
pub fn play(seed: u64, times: usize, binary: &str) -> Case {
    let all = plans(times);
    let plans = &all[(seed % all.len() as u64) as usize];
    let mut case = Case::default();
    if let Err(wrong) = abort_and_finish(seed, plans, binary, &mut case) {
        case.blame(format!("{plans:?}: {wrong}"));
    }
    case
}

fn abort_and_finish(seed: u64, plans: &[String], binary: &str, case: &mut Case) -> Result<(), String> {
    let mut random = seeded(seed);
    // Each life closes an epoch at most twice before it aborts, and the last must have something left.
    let mut given = Given::draw(EPOCH * (2 + 2 * plans.len()), 0.0, &mut random);
    // In every epoch, so that each life has something to narrow down.
    given.poison = given.untouched().into_iter().step_by(4).collect();
    case.records = given.welcome() as u64;
    let runtime = runtime();
    let of_queue = plans.iter().any(|plan| disk::CRASH_POINTS.iter().any(|point| plan.starts_with(point)));
    let command = if of_queue { JOINED } else { UPLOAD };
    let sender = runtime.block_on(Sender::with(command, binary, given, Script::default(), EPOCH, seed));
    for plan in plans {
        let output = sender.place.command(command).env("AFFERENT_ABORT_AT", plan).output();
        let output = output.map_err(|error| format!("the command does not start: {error}"))?;
        if output.status.signal() != Some(SIGABRT) {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("never came to {plan}: {}, {said}", output.status));
        }
        case.faults += 1;
        let (point, _) = plan.split_once(' ').unwrap_or((plan, ""));
        case.notes.extend(points().find(|known| *known == point).map(|known| (known, 1)));
    }
    let ran = sender.place.run(command);
    // 65: there are dead letters of this run.
    if !matches!(ran.code, Some(0 | 65)) {
        return Err(format!("{ran:?}"));
    }
    let found = sender.given.difference(&sender.receiver.books().committed);
    (case.lost, case.duplicated) = (found.lost, found.duplicated);
    runtime.block_on(sender.check(&ran.stdout))
}
