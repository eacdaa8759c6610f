//! Consents that are withdrawn while records wait to be sent.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use afferent_core::{
    Batch, Change, Emit, Record, RecordId, Result, Snapshot, State, Timestamp, Transform,
    random::Random,
    stage::{Look, Looked, Permission, Permit},
};
use afferent_formats::Format;

use super::{
    cases,
    receiver::Script,
    world::{World, record, records},
};
use crate::upload::{CRASH_POINTS, Delivery};

/// Who has withdrawn, outside. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Arc<Mutex<BTreeSet<String>>>);

impl Table {
    pub(super) fn withdraw(&self, subject: &str) {
        self.0.lock().unwrap().insert(subject.to_owned());
    }

    fn now(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Those who have withdrawn.
#[derive(Debug)]
struct Withdrawn(BTreeSet<String>);

impl Permit<Record> for Withdrawn {
    fn version(&self) -> u64 {
        let subjects = self.0.iter().flat_map(|subject| [subject.as_bytes(), &[0xff]]).collect::<Vec<_>>();
        xxhash_rust::xxh3::xxh3_64(&subjects.concat())
    }

    fn allows(&self, record: &Record) -> bool {
        record.is_deletion() || !record.subject.as_deref().is_some_and(|subject| self.0.contains(subject))
    }
}

/// Lets pass what nobody has withdrawn: the least that the transform `consent` does.
pub(super) struct Consent {
    table: Table,
    in_force: Option<Arc<Withdrawn>>,
    found: Arc<Mutex<Option<BTreeSet<String>>>>,
    is_saved: bool,
}

impl Consent {
    pub(super) fn new(table: &Table) -> Consent {
        Consent { table: table.clone(), in_force: None, found: Arc::default(), is_saved: false }
    }

    fn take_up(&mut self) {
        if let Some(found) = self.found.lock().unwrap().take() {
            (self.in_force, self.is_saved) = (Some(Arc::new(Withdrawn(found))), false);
        }
    }
}

impl Transform for Consent {
    type In = Record;
    type Out = Record;

    fn look(&mut self, _: Timestamp) -> Option<Look> {
        let (table, found) = (self.table.clone(), self.found.clone());
        let in_force = self.in_force.clone();
        let is_saved = self.is_saved;
        Some(Box::new(move || {
            let now = table.now();
            let changed = in_force.is_none_or(|in_force| in_force.0 != now);
            if changed {
                *found.lock().unwrap() = Some(now);
            }
            Ok(Looked { is_new: changed || !is_saved, ..Looked::default() })
        }))
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let in_force = self.in_force.clone().expect("it was looked for");
        let before = input.len();
        input.retain(|record| in_force.allows(record));
        out.filtered(before - input.len());
        out.take(input);
        Ok(())
    }

    fn permission(&mut self) -> Permission<Record> {
        if self.in_force.is_none() {
            self.take_up();
        }
        self.in_force.clone().map_or(Permission::Unknown, |in_force| Permission::by(in_force))
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.take_up();
        let Some(in_force) = self.in_force.as_ref().filter(|_| !self.is_saved) else {
            return Ok(Snapshot::Unchanged);
        };
        let bytes = serde_json::to_vec(&in_force.0).expect("texts");
        self.is_saved = true;
        Ok(Snapshot::Full(bytes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let in_force = serde_json::from_slice(&row?.1).expect("texts");
            (self.in_force, self.is_saved) = (Some(Arc::new(Withdrawn(in_force))), true);
        }
        Ok(())
    }
}

/// Records of two subjects in turn, in bodies of ten.
fn of_two() -> World {
    let items = (0..40).map(|number| record(number, Some(["ada", "bo"][number as usize % 2]))).collect();
    let mut world = World::new(items);
    world.settings.batch.records = 10;
    world.settings.lanes = 1;
    world.table = Some(Table::default());
    world
}

fn ids(world: &World) -> Vec<u128> {
    world.receiver.applied().iter().map(|(id, _)| id.as_u128()).collect()
}

fn of_bo() -> Vec<u128> {
    (0..40).filter(|number| number % 2 == 1).collect()
}

/// What of the account must be so when half was withheld, and no types are lost.
fn check_half(world: &World, outcome: &afferent_core::engine::Outcome) {
    let account = outcome.ledger.accounts["sink"];
    assert!(outcome.ledger.is_balanced(), "{account:?}");
    assert_eq!(
        (account.read, account.delivered, account.filtered, account.dead, account.pending),
        (40, 20, 20, 0, 0)
    );
    let rows = &outcome.ledger.types["sink"].0;
    assert_eq!(rows["HKQuantityTypeIdentifierHeartRate"].filtered, 20);
    assert_eq!(ids(world), of_bo());
}

/// Scenario: the receiver is away when somebody withdraws, and the pipeline is idle, in one life; bodies in forms that are read back and in one
/// that is not. Guarantees: what waits of that subject is not sent and counts as filtered, everything else arrives once, in order.
#[test]
fn what_waits_is_withheld() {
    for format in [Format::Json, Format::Msgpack, Format::HealthKitReporter, Format::Fhir] {
        let mut world = of_two();
        world.settings.format = format;
        world.receiver.behave(Script {
            too_many: 1.0,
            withdraws_at: 3,
            answers_from: 6,
            ..Script::default()
        });
        let table = world.table.clone().unwrap();
        world.receiver.on_withdrawal(move || table.withdraw("ada"));
        if format != Format::Json {
            world.receiver.counts_only();
        }
        let outcome = world.live(None).unwrap().unwrap();
        let alarms = world.alarms();
        assert!(!alarms.iter().any(|alarm| alarm.contains("delete them")), "{format:?}: {alarms:?}");
        if format == Format::Json {
            check_half(&world, &outcome);
        }
        let account = outcome.ledger.accounts["sink"];
        assert!(outcome.ledger.is_balanced(), "{format:?}: {account:?}");
        assert_eq!((account.delivered, account.filtered, account.pending), (20, 20, 0), "{format:?}");
        assert_eq!(world.receiver.counted(), 20, "{format:?}");
    }
}

/// Scenario: somebody withdraws while the process is away, and it comes back when the receiver does. Guarantees: nothing of them is sent
/// before the table is known.
#[test]
fn what_waited_over_a_restart_is_withheld() {
    let mut world = of_two();
    world.receiver.behave(Script { too_many: 1.0, ..Script::default() });
    assert!(world.live(Some(400)).is_none(), "the receiver is away");
    world.table.as_ref().unwrap().withdraw("ada");
    world.receiver.heal();
    let outcome = world.live(None).unwrap().unwrap();
    check_half(&world, &outcome);
}

/// Scenario: the receiver has a body and its answer was lost, when somebody withdraws. Guarantees: G11, an alarm says that the receiver may
/// have it, and it is not sent again; the others of it are.
#[test]
fn what_may_be_there_already_is_told() {
    let mut world = of_two();
    world.receiver.behave(Script {
        lost_answers: 1.0,
        withdraws_at: 2,
        answers_from: 6,
        ..Script::default()
    });
    let table = world.table.clone().unwrap();
    world.receiver.on_withdrawal(move || table.withdraw("ada"));
    let outcome = world.live(None).unwrap().unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert!(outcome.ledger.is_balanced(), "{account:?}");
    assert_eq!((account.delivered, account.filtered, account.pending), (20, 20, 0));
    let alarms = world.alarms();
    assert!(alarms.iter().any(|alarm| alarm.contains("delete them there")), "{alarms:?}");
    let others: BTreeSet<u128> = ids(&world).into_iter().filter(|id| id % 2 == 1).collect();
    assert_eq!(others.into_iter().collect::<Vec<_>>(), of_bo());
}

/// Scenario: everything that a body holds is withheld. Guarantees: it leaves the outbox, and what comes behind it is sent.
#[test]
fn a_body_of_which_nothing_is_left_is_settled() {
    let mut world = of_two();
    world.settings.batch.records = 1;
    world.receiver.behave(Script { too_many: 1.0, withdraws_at: 1, answers_from: 4, ..Script::default() });
    let table = world.table.clone().unwrap();
    world.receiver.on_withdrawal(move || table.withdraw("ada"));
    let outcome = world.live(None).unwrap().unwrap();
    check_half(&world, &outcome);
}

/// Scenario: what was withheld of a body that the receiver refuses, too. Guarantees: G11, what is refused is a dead letter, the rest is delivered.
#[test]
fn what_is_left_may_be_refused() {
    let mut world = of_two().with_poison(7);
    world.receiver.behave(Script { too_many: 1.0, withdraws_at: 3, answers_from: 6, ..Script::default() });
    let table = world.table.clone().unwrap();
    world.receiver.on_withdrawal(move || table.withdraw("ada"));
    let outcome = world.live(None).unwrap().unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert!(outcome.ledger.is_balanced(), "{account:?}");
    assert_eq!((account.delivered, account.filtered, account.dead, account.pending), (19, 20, 1, 0));
}

/// Scenario: a record that was refused is put in again after somebody has withdrawn. Guarantees: it is filtered, not sent.
#[test]
fn a_dead_letter_of_somebody_who_withdrew_is_not_sent() {
    let mut world = of_two().with_poison(6);
    let outcome = world.live(None).unwrap().unwrap();
    assert_eq!(outcome.ledger.accounts["sink"].dead, 1);
    world.table.as_ref().unwrap().withdraw("ada");
    world.receiver.accept();
    let outcome = world.retry(None).unwrap().unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert!(outcome.ledger.is_balanced(), "{account:?}");
    assert_eq!((account.delivered, account.filtered, account.dead, account.pending), (39, 1, 0, 0));
    assert_eq!(ids(&world).len(), 39);
}

/// Scenario: without an outbox. Guarantees: what was written under a consent is sent under it, and the next epoch asks anew.
#[test]
fn directly_the_next_epoch_asks() {
    let mut world = of_two();
    world.settings.delivery = Delivery::Direct;
    world.table.as_ref().unwrap().withdraw("ada");
    let outcome = world.live(None).unwrap().unwrap();
    check_half(&world, &outcome);
}

/// Scenario: records of many, deletions among them, receivers that misbehave, processes that die, power losses; somebody withdraws at a
/// random attempt. Guarantees: G1, G5: of everybody else each record is there, what was withheld counts as filtered, the account balances; no
/// record of them comes when the consent is gone from the start of a life.
#[test]
fn whatever_happens_withdrawals_hold() {
    let mut withheld = 0;
    for seed in 3000..3000 + cases() {
        let mut world = World::draw(seed);
        world.poison.clear();
        world.receiver.accept();
        let mut random = Random::from_seed(seed);
        world.source.items = Arc::new(records(1 + random.below(300), &mut random));
        let table = Table::default();
        world.table = Some(table.clone());
        let script =
            Script { withdraws_at: 1 + world.random.below(20), most: None, ..world.receiver.script() };
        world.receiver.behave(script);
        world.receiver.on_withdrawal(move || table.withdraw("ada"));
        for _ in 0..world.random.below(5) {
            let polls = 1 + world.random.below(400);
            if let Some(Err(error)) = world.live(Some(polls)) {
                panic!("seed {seed}: {error}");
            }
            let draw = world.random.u64();
            world.disk = world.disk.power_loss(draw);
        }
        world.table.as_ref().unwrap().withdraw("ada");
        let before = world.receiver.applied().len();
        world.receiver.heal();
        let outcome = world.live(None).unwrap().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let account = outcome.ledger.accounts["sink"];
        assert!(outcome.ledger.is_balanced(), "seed {seed}: {account:?}");
        assert_eq!((account.read, account.pending), (world.source.items.len() as u64, 0), "seed {seed}");
        let of_ada = |id: RecordId, change: Change| {
            let of = world.source.items.iter().find(|record| (record.id, record.change) == (id, change));
            change == Change::Added && of.is_some_and(|record| record.subject.as_deref() == Some("ada"))
        };
        let applied = world.receiver.applied();
        assert!(
            !applied[before..].iter().any(|(id, change)| of_ada(*id, *change)),
            "seed {seed}: sent after that"
        );
        let arrived: BTreeSet<_> = applied.into_iter().collect();
        for record in world.source.items.iter().filter(|record| !of_ada(record.id, record.change)) {
            assert!(arrived.contains(&(record.id, record.change)), "seed {seed}: {} is missing", record.id);
        }
        withheld += account.filtered;
    }
    assert!(withheld > 0, "something was withheld");
}

/// Scenario: the process stops at each crash point in turn while what was withdrawn is taken out. Guarantees: G1, G5, as above.
#[test]
fn withholding_survives_a_crash_at_every_point() {
    if std::env::var_os("NEXTEST").is_none() {
        // Crash points are of the whole process: beside other tests, as `cargo test` runs them, they would meet these.
        return;
    }
    let mut withdrawn = 0;
    for point in CRASH_POINTS {
        for skipped in 0..3 {
            let scenario = fail::FailScenario::setup();
            let mut world = of_two();
            world.receiver.behave(Script {
                too_many: 1.0,
                withdraws_at: 3,
                answers_from: 6,
                ..Script::default()
            });
            let table = world.table.clone().unwrap();
            world.receiver.on_withdrawal(move || table.withdraw("ada"));
            fail::cfg(*point, &format!("{skipped}*off->1*return->off")).unwrap();
            let first = world.live(Some(20_000));
            scenario.teardown();
            let outcome = match first {
                Some(Ok(outcome)) => outcome,
                _ => {
                    world.receiver.heal();
                    world.live(None).unwrap().unwrap()
                }
            };
            let account = outcome.ledger.accounts["sink"];
            assert!(outcome.ledger.is_balanced(), "{point}: {account:?}");
            assert_eq!((account.read, account.pending), (40, 0), "{point}");
            if world.table.as_ref().unwrap().now().contains("ada") {
                assert_eq!((account.delivered, account.filtered), (20, 20), "{point}");
                assert_eq!(
                    ids(&world),
                    of_bo(),
                    "{point}: nothing of who withdrew, and each other once, in order"
                );
                withdrawn += 1;
            }
            let odd: Vec<u128> = ids(&world).into_iter().filter(|id| id % 2 == 1).collect();
            assert_eq!(odd, of_bo(), "{point}: each once, in order");
        }
    }
    assert!(withdrawn > CRASH_POINTS.len(), "somebody withdrew in most of them: {withdrawn}");
}

/// Scenario: the outbox is as large as it may be, and the pipeline waits for the receiver, when somebody withdraws; with an outbox and directly.
/// Guarantees: the table is looked at all the same, and nothing of them is sent when the receiver is back.
#[test]
fn a_pipeline_that_waits_looks_all_the_same() {
    let cases = [(Delivery::Outbox, 5, 3), (Delivery::Direct, 5, 3), (Delivery::Direct, 1_000, 1)];
    for (delivery, records, withdraws_at) in cases {
        let mut world = of_two();
        world.settings.delivery = delivery;
        world.settings.batch.records = 1;
        world.settings.max_bytes = 500;
        world.engine.records = records;
        world.engine.limits.records = 5;
        let script = Script { too_many: 1.0, withdraws_at, answers_from: 12, ..Script::default() };
        world.receiver.behave(script);
        let table = world.table.clone().unwrap();
        world.receiver.on_withdrawal(move || table.withdraw("ada"));
        let outcome = world.live(None).unwrap().unwrap();
        check_half(&world, &outcome);
    }
}
