//! Bits flip in the state directory while nothing runs: in the database, in segments of the outbox, in locks, reserves and
//! sidecars. Then the process starts again, and nobody does anything.
//!
//! A state is flipped in as the kill left it, or after its database was closed in order. In the first case rot of the database's newest
//! commit can't be told from a commit that was cut short: it is undone without a word, as if the process had died a moment
//! earlier. What was sent or written after it may then show twice; this is noted, and nothing may be lost by it.
//!
//! What may come of it otherwise: nothing; an older checkpoint, with an alarm that names what may repeat; records that are counted as
//! dead; a process that refuses to start and says why. What may not: a panic, a loop, a value that changed, a record that is
//! lost or repeated and nobody was told.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use afferent::state::DATABASE;
use afferent_core::{ErrorKind, event::EventKind, random::Random, testing::Fault};

use super::{
    Case,
    simulation::{Life, MODELS, OUTPUT, Script, World, model},
};

/// Moments at which each pipeline is killed before bits flip in what it leaves behind.
const MOMENTS: u64 = 8;
/// Most bits that flip.
const BITS: u64 = 4;

/// What a killed process left behind, by pipeline and moment.
type Left = BTreeMap<(u64, u64), Arc<Mutex<World>>>;

/// Plays one seed.
pub fn play(seed: u64) -> Case {
    let mut random = Random::from_seed(seed);
    let mut case = Case::default();
    let mut world = left_behind(seed % MODELS, random.below(MOMENTS), seed);
    case.records = world.model.given.welcome() as u64;
    let as_killed = random.chance(0.5);
    if !as_killed {
        world.close_state();
    }
    let (flipped, in_database) = flip(&world, &mut random, &mut case);
    let life = world.live();
    let told = tell(&world, &life);
    case.trace = world.trace();
    match &life {
        Life::Finished(_) => {
            let mut found = Case::default();
            world.check(&life, &mut found);
            if found.wrong.is_none() {
                case.note(if told { "told, and all was there" } else { "without effect" });
            } else if told {
                case.note("told what is lost or may repeat");
                // Told or not, no value may change.
                let changed =
                    found.wrong.filter(|wrong| wrong.contains("changed") || wrong.contains("never given"));
                case.wrong = changed;
            } else if as_killed && in_database && found.lost == 0 && found.duplicated > 0 {
                case.note("the newest commit was undone, and records show twice");
            } else {
                (case.lost, case.duplicated, case.wrong) = (found.lost, found.duplicated, found.wrong);
            }
        }
        Life::Failed(error) if error.kind() == ErrorKind::State => {
            case.note("refused to start, and said why")
        }
        life => case.blame(format!("{life:?}")),
    }
    case.wrong = case.wrong.map(|wrong| format!("{flipped}: {wrong}"));
    case
}

/// A machine whose process was killed at a moment.
fn left_behind(shape: u64, moment: u64, seed: u64) -> World {
    static ALL: OnceLock<Mutex<Left>> = OnceLock::new();
    let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let left = all.entry((shape, moment)).or_insert_with(|| {
        let mut random = Random::from_seed(shape << 32 | moment);
        let mut world = World::new(shape, Script { failing: 0.1, ..Script::default() }, random.u64());
        // Not before there is something in which a bit can flip.
        let from = model(shape).operations / 4;
        world.disk.fail(None, from + random.below(model(shape).operations - from), Fault::Halt);
        world.live();
        Arc::new(Mutex::new(world))
    });
    let left = left.clone();
    drop(all);
    let left = left.lock().unwrap_or_else(PoisonError::into_inner);
    left.copy(seed)
}

/// Flips bits in one file of the state, or in several; what was done, and whether to the database as well.
fn flip(world: &World, random: &mut Random, case: &mut Case) -> (String, bool) {
    let files: Vec<_> = world
        .disk
        .files()
        .into_iter()
        .filter(|(path, length)| *length > 0 && path != Path::new(OUTPUT))
        .collect();
    let (mut done, mut in_database) = (Vec::new(), false);
    for _ in 0..1 + random.below(BITS) {
        let (path, length) = &files[random.below(files.len() as u64) as usize];
        // Most of a database is free pages, which nobody reads: half of the bits flip in bytes that say something.
        let content = world.disk.content(path).unwrap_or_default();
        let mut byte = random.below(*length);
        if random.chance(0.5) {
            byte = (byte..*length).find(|at| content[*at as usize] != 0).unwrap_or(byte);
        }
        let bit = byte * 8 + random.below(8);
        if world.disk.flip(path, bit).is_ok() {
            case.faults += 1;
            in_database |= path.ends_with(DATABASE);
            done.push(format!("bit {bit} of {}", path.display()));
        }
    }
    (done.join(", "), in_database)
}

/// Whether somebody was told.
fn tell(world: &World, life: &Life) -> bool {
    let alarmed = world.told.iter().any(|event| matches!(event, EventKind::Alarm { .. }));
    let dead = match life {
        Life::Finished(outcome) => outcome
            .ledger
            .accounts
            .iter()
            .any(|(sink, account)| account.dead > world.model.ledger.accounts[sink].dead),
        _ => false,
    };
    alarmed || dead
}
