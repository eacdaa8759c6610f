//! Uploads through the real engine, to a receiver that honours keys and otherwise does what receivers do.

mod consent;
mod fence;
mod gate;
mod receiver;
mod sealing;
mod world;

use afferent_core::testing::{Fault, Op};

use self::{
    receiver::Script,
    world::{World, record},
};

/// Cases of each property; more with `AFFERENT_CASES`.
fn cases() -> u64 {
    std::env::var("AFFERENT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

/// Scenario: a receiver that fails, answers after its answer is lost, refuses one record of many, is slow, asks to wait;
/// processes that die at a random moment, power losses, failing disks; drawn from a seed. Guarantees: G1, G2, G3, G5:
/// each record once, in the order of its subject, a deletion after its addition, each refused record one dead letter,
/// withdrawn when its deletion arrived, the account balanced with the right numbers.
#[test]
fn whatever_happens_each_record_arrives_once() {
    let (mut lives, mut repeats, mut withdrawn) = (0, 0, 0);
    for seed in 0..cases() {
        let mut world = World::draw(seed);
        let died = world.random.below(6);
        for _ in 0..died {
            if world.random.chance(0.3) {
                let ops = [None, Some(Op::Write), Some(Op::Sync), Some(Op::SyncDir)];
                let op = ops[world.random.below(4) as usize];
                let fault = if world.random.chance(0.5) { Fault::Io } else { Fault::Full };
                world.disk.fail(op, world.random.below(60), fault);
            }
            let polls = 1 + world.random.below(400);
            lives += 1;
            match world.live(Some(polls)) {
                None => {}
                Some(Ok(outcome)) => world.compare(&outcome),
                Some(Err(error)) => assert!(
                    matches!(error.kind(), afferent_core::ErrorKind::CantCreate),
                    "seed {seed}: {error}"
                ),
            }
            if world.random.chance(0.5) {
                let draw = world.random.u64();
                world.disk = world.disk.power_loss(draw);
            }
        }
        world.verify();
        repeats += world.receiver.repeats();
        withdrawn += world.withdrawn();
    }
    assert!(lives > 0 && repeats > 0, "the receiver was sent what it had, and recognised it");
    assert!(withdrawn > 0, "deletions withdrew dead letters");
}

/// Scenario: what a receiver refused is put in again when it takes it, by processes that die at random moments, with the
/// failures of the receiver and power losses. Guarantees: G1, G2, G5: each record is there once, in a body of its own; what a
/// deletion withdrew stays away; the account balances.
#[test]
fn refused_records_are_put_in_again() {
    let mut dead = 0;
    for seed in 2000..2000 + cases() {
        let mut world = World::draw(seed);
        let script = world.receiver.script();
        world.verify();
        world.receiver.accept();
        world.receiver.behave(script);
        for _ in 0..world.random.below(4) {
            let polls = 1 + world.random.below(60);
            dead += usize::from(world.retry(Some(polls)).is_none());
            let draw = world.random.u64();
            world.disk = world.disk.power_loss(draw);
        }
        world.receiver.heal();
        world.verify_retry();
    }
    assert!(dead > 0, "some retries died");
}

/// Scenario: each process spreads subjects over another number of lanes, and dies at a random moment. Guarantees: G1, G2, G3:
/// bodies that were spread otherwise are sent first, each record arrives once and in order.
#[test]
fn lanes_may_change_between_lives() {
    for seed in 2000..2000 + cases() {
        let mut world = World::draw(seed);
        for _ in 0..1 + world.random.below(5) {
            world.settings.lanes = 1 + world.random.below(8) as u16;
            let polls = 1 + world.random.below(400);
            match world.live(Some(polls)) {
                None => {}
                Some(Ok(outcome)) => world.compare(&outcome),
                Some(Err(error)) => panic!("seed {seed}: {error}"),
            }
        }
        world.settings.lanes = 1 + world.random.below(8) as u16;
        world.verify();
    }
}

/// Scenario: a bit of the outbox rots while bodies wait in it, any bit. Guarantees: G1, G3 and G5: at most the body that it
/// is part of is lost, with an alarm, and its records are counted as dead; the others arrive, in order.
#[test]
fn a_rotten_bit_costs_at_most_its_body() {
    let mut lost = 0;
    for seed in 0..cases() {
        let mut world = World::new((0..100).map(|number| record(number, Some("ada"))).collect());
        world.random = afferent_core::random::Random::from_seed(seed);
        world.settings.batch.records = 10;
        world.receiver.behave(Script { failing: 1.0, answers_from: u64::MAX, ..Script::default() });
        assert!(world.live(Some(300)).is_none(), "the receiver is away");
        let disk = world.disk.shared();
        let directory = std::path::Path::new("/state/sink/outbox");
        let segments: Vec<_> = disk
            .list(directory)
            .unwrap()
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        let segment = &segments[world.random.below(segments.len() as u64) as usize];
        let bits = disk.info(segment).unwrap().unwrap().len * 8;
        let bit = world.random.below(bits);
        world.disk.flip(segment, bit).unwrap();
        world.receiver.heal();
        let outcome = match world.live(None) {
            Some(Ok(outcome)) => outcome,
            other => panic!("seed {seed}, bit {bit}: {other:?}"),
        };
        let account = outcome.ledger.accounts["sink"];
        assert!(outcome.ledger.is_balanced(), "seed {seed}: {account:?}");
        assert_eq!((account.read, account.pending), (100, 0), "seed {seed}, bit {bit}");
        assert!(account.dead == 0 || account.dead == 10, "seed {seed}, bit {bit}: {account:?}");
        let applied = world.receiver.applied();
        assert_eq!(applied.len() as u64, account.delivered, "seed {seed}, bit {bit}");
        assert!(applied.is_sorted() && applied.windows(2).all(|pair| pair[0] != pair[1]), "seed {seed}");
        if account.dead > 0 {
            lost += 1;
            assert!(world.alarms().iter().any(|alarm| alarm.contains("damage")), "seed {seed}, bit {bit}");
        }
    }
    assert!(lost > cases() / 3, "{lost} bits hit a body");
}

/// Scenario: the same without an outbox, and without deaths. Guarantees: G1, G3, G11; what is refused is a dead letter of its
/// epoch.
#[test]
fn directly_each_record_arrives() {
    for seed in 1000..1000 + cases() {
        World::draw(seed).direct().without_faults().verify();
    }
}

/// Scenario: the receiver refuses the credentials for a while. Guarantees: G11, one alarm, nothing is dropped, and it
/// goes on by itself.
#[test]
fn refused_credentials_pause_and_heal() {
    let mut world = World::new((0..50).map(|number| record(number, Some("ada"))).collect());
    world.receiver.behave(Script { unauthorized: (0, 40), ..Script::default() });
    let outcome = world.live(None).unwrap().unwrap();
    world.compare(&outcome);
    assert_eq!(world.receiver.attempts(), 40, "39 tries, and the one that was let in");
    let alarms = world.alarms();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].contains("credentials"), "{alarms:?}");
}

/// Scenario: the receiver takes nothing, saying that it can't take this body now. Guarantees: G11, an alarm says so after ten
/// minutes, and another that a body has waited for an hour; each once, and nothing is dropped.
#[test]
fn a_body_that_waits_for_long_raises_alarms() {
    let mut world = World::new(vec![record(1, None)]);
    world.receiver.behave(Script { later: 1.0, answers_from: 1_500, ..Script::default() });
    let outcome = world.live(None).unwrap().unwrap();
    world.compare(&outcome);
    let alarms = world.alarms();
    assert_eq!(alarms.len(), 2, "{alarms:?}");
    assert!(alarms[0].contains("for 10 min"), "{alarms:?}");
    assert!(alarms[1].contains("waited for the receiver for 6"), "{alarms:?}");
}

/// Scenario: a body may be at the receiver for longer than that one recognises its key. Guarantees: G1, it is sent all the
/// same, with one alarm.
#[test]
fn a_body_in_doubt_for_too_long_raises_an_alarm() {
    let mut world = World::new(vec![record(1, None)]);
    world.settings.dedupe_window = Some(std::time::Duration::from_secs(5));
    world.receiver.behave(Script { failing: 1.0, answers_from: 30, ..Script::default() });
    let outcome = world.live(None).unwrap().unwrap();
    world.compare(&outcome);
    let alarms = world.alarms();
    assert_eq!(alarms.iter().filter(|alarm| alarm.contains("dedupe_window")).count(), 1, "{alarms:?}");
}

/// Scenario: the process stops at each crash point in turn, in the midst of a body that is refused. Guarantees: G1, G2, G5:
/// the next one goes on, and nothing is lost or repeated.
#[test]
fn it_survives_a_crash_at_every_point() {
    if std::env::var_os("NEXTEST").is_none() {
        // Crash points are of the whole process: beside other tests, as `cargo test` runs them, they would meet these.
        return;
    }
    for point in super::CRASH_POINTS {
        for skipped in 0..3 {
            let scenario = fail::FailScenario::setup();
            let items = (0..40).map(|number| record(number, Some("ada"))).collect();
            let mut world = World::new(items).with_poison(7);
            fail::cfg(*point, &format!("{skipped}*off->1*return->off")).unwrap();
            let died = match world.live(Some(20_000)) {
                Some(Ok(outcome)) => {
                    world.compare(&outcome);
                    false
                }
                _ => true,
            };
            scenario.teardown();
            assert!(died || skipped > 0, "{point}: it is passed");
            if died {
                world.verify();
            }
        }
    }
}

/// Scenario: the outbox is deleted while bodies wait in it. Guarantees: G1, an alarm says so, they are counted as dead, and
/// the pipeline goes on.
#[test]
fn a_deleted_outbox_is_noticed() {
    let mut world = World::new((0..20).map(|number| record(number, None)).collect());
    world.receiver.behave(Script { failing: 1.0, answers_from: u64::MAX, ..Script::default() });
    assert!(world.live(Some(300)).is_none(), "the receiver is away");
    world.disk = afferent_core::testing::SimDisk::new(1);
    world.receiver.heal();
    let outcome = world.live(None).unwrap().unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert_eq!((account.read, account.delivered, account.dead, account.pending), (20, 0, 20, 0));
    assert!(outcome.ledger.is_balanced());
    assert!(world.alarms().iter().any(|alarm| alarm.contains("20 records")));
}
