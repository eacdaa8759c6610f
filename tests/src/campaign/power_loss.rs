//! Simulated power loss: at a random operation everything stops; what was written and not synced is there, is torn, is there in
//! another order, or is lost, and so are names. Then the machine starts again, and may lose its power again at once.

use afferent_core::{random::Random, testing::Fault};

use super::{
    Case,
    simulation::{Life, MODELS, Script, World},
};

/// Most losses of one machine, before it is left alone.
const LOSSES: u64 = 4;

/// Plays one seed.
pub fn play(seed: u64) -> Case {
    let mut random = Random::from_seed(seed);
    let mut case = Case::default();
    let mut world = World::new(seed % MODELS, script(&mut random), random.u64());
    case.records = world.model.given.welcome() as u64;
    for loss in 0..1 + random.below(LOSSES) {
        // Every other loss comes while the machine recovers from the one before.
        let within = if loss > 0 && random.chance(0.5) { 60 } else { world.model.operations };
        world.disk.fail(None, random.below(within), Fault::Halt);
        match world.live() {
            Life::Halted => {}
            // The last operations are those of closing, which a life that has ended need not do.
            Life::Failed(_) if world.disk.is_halted() => {}
            life @ Life::Finished(_) => {
                world.check(&life, &mut case);
                case.trace = world.trace();
                return case;
            }
            life => {
                case.blame(format!("after {loss} losses: {life:?}"));
                return case;
            }
        }
        case.faults += 1;
        if loss > 0 && within == 60 {
            case.note("while it recovered");
        }
        world.disk = world.disk.power_loss(random.u64());
    }
    let life = world.live();
    world.check(&life, &mut case);
    case.add("bodies sent again", world.receiver.seen().repeats);
    case.trace = world.trace();
    case
}

/// A network that fails now and then, in half of the cases.
pub(super) fn script(random: &mut Random) -> Script {
    let share = if random.chance(0.5) { 0.0 } else { 0.1 * random.unit() };
    Script { failing: share, unanswered: share, later: share / 2.0, ..Script::default() }
}
