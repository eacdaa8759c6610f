//! The n-th operation fails, for every n: with an I/O error, because the disk is full, or because a sync fails, which leaves
//! what was written in doubt. Nobody does anything about it. Afterwards the power fails, too, so that what was only in memory
//! shows.

use afferent_core::testing::{Fault, Op};

use super::{
    Case,
    simulation::{LATENCY, Life, MODELS, Script, World, model},
};

/// Tries until a process that could not open its state directory must have: one fault is planned.
const TRIES: u64 = 3;

/// What fails.
const KINDS: [(Option<Op>, Fault); 3] = [(None, Fault::Io), (None, Fault::Full), (Some(Op::Sync), Fault::Io)];

/// How many seeds are a full sweep of one pipeline, the `number`-th.
pub fn length(number: u64) -> u64 {
    let model = model(number);
    2 * model.operations + model.syncs
}

/// Plays one seed: sweep after sweep, each of another pipeline.
pub fn play(seed: u64) -> Case {
    let (mut number, mut place) = (0, seed);
    while place >= length(number) {
        place -= length(number);
        number += 1;
    }
    let operations = model(number).operations;
    let (op, fault) = KINDS[((place / operations) as usize).min(2)];
    fail(number, op, place % operations, fault)
}

fn fail(number: u64, op: Option<Op>, nth: u64, fault: Fault) -> Case {
    let mut case = Case::default();
    let mut world = World::new(number % MODELS, Script { latency: LATENCY, ..Script::default() }, number);
    case.records = world.model.given.welcome() as u64;
    world.disk.fail(op, nth, fault);
    let before = world.disk.operations(op);
    let mut life = world.live();
    for _ in 1..TRIES {
        let Life::Failed(error) = &life else { break };
        if !error.kind().is_retryable() {
            break;
        }
        case.note("could not open, and was started again");
        life = world.live();
    }
    case.faults = u64::from(world.disk.operations(op) > before + nth);
    world.check(&life, &mut case);
    if case.wrong.is_none() {
        world.disk = world.disk.power_loss(nth);
        let life = world.live();
        world.check(&life, &mut case);
    }
    case.wrong =
        case.wrong.map(|wrong| format!("pipeline {number}, operation {nth}, {op:?}, {fault:?}: {wrong}"));
    case.trace = world.trace();
    case
}
