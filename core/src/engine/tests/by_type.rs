//! Tests of the accounts by type, beyond those of the protocol's property.

use super::*;
use crate::{
    Census, Kind,
    ledger::{Account, NO_TYPE},
};

/// The type of an item: one of two, or none.
fn kind_of(item: u64) -> Option<Kind> {
    let name = ["HeartRate", "StepCount"].get(usize::try_from(item % 3).ok()?)?;
    Kind::parse(name).ok()
}

fn count(items: &[u64], census: &mut Census) {
    items.iter().for_each(|item| census.count(kind_of(*item), 1));
}

fn name_of(item: u64) -> &'static str {
    kind_of(item).map_or(NO_TYPE, Kind::name)
}

/// Scenario: a pipeline that was not counted by type, as of an older version, then is. Guarantees: G5; what was there before has
/// no type, what comes later has its own, and both make up the account.
#[tokio::test(start_paused = true)]
async fn what_was_there_before_has_no_type() {
    let (world, recording) = (World::new(), Recording::default());
    let script = |count| Script::new((0..count).collect::<Vec<u64>>());
    let (cx, _outside) = world.run();
    let first = script(9);
    let outcome = run(cx, || stages(first.source(), recording.sink())).await.unwrap();
    assert_eq!(outcome.ledger.types, Default::default());

    let (cx, _outside) = world.run();
    let longer = script(30);
    let make = || Ok(stages(longer.source(), recording.sink())?.counting(count, count));
    let outcome = run(cx, make).await.unwrap();
    assert!(outcome.ledger.is_balanced(), "{:?}", outcome.ledger);
    let rows = &outcome.ledger.types["sink"].0;
    for (item, records) in [(0, 7), (1, 7), (2, 9 + 7)] {
        let expected = Account { read: records, delivered: records, ..Account::default() };
        assert_eq!(rows[name_of(item)], expected, "{}", name_of(item));
    }
}

/// A sink that says of the first record of an epoch that it was beaten, under the wrong type.
struct Confused(u64);

impl Sink for Confused {
    type Item = u64;
    async fn open(&mut self, _: crate::SinkCx) -> Result<crate::Opened> {
        Ok(crate::Opened::Elsewhere)
    }
    async fn write(&mut self, batch: &mut Batch<u64>) -> Result<()> {
        self.0 += batch.drain(..).count() as u64;
        Ok(())
    }
    async fn prepare(&mut self, _: Epoch) -> Result<crate::Prepared> {
        let written = std::mem::take(&mut self.0);
        let superseded = [(Kind::parse("BodyMass").ok(), written.min(1))].into_iter().collect();
        Ok(crate::Prepared { superseded, ..crate::Prepared::default() })
    }
    async fn commit(&mut self, _: Epoch, _: Option<&crate::Token>) -> Result<()> {
        Ok(())
    }
}

/// Scenario: a sink reports a type that it was not given. Guarantees: the pipeline goes on, its account balances, and the rows
/// say that something is wrong.
#[tokio::test(start_paused = true)]
async fn a_record_under_the_wrong_type_is_found() {
    let world = World::new();
    let (cx, _outside) = world.run();
    let script = Script::new((0..9_u64).collect());
    let make = || Ok(stages(script.source(), Confused(0))?.counting(count, count));
    let outcome = run(cx, make).await.unwrap();
    assert_eq!(outcome.end, End::Finished);
    assert!(outcome.ledger.accounts["sink"].is_balanced());
    assert!(!outcome.ledger.is_balanced(), "{:?}", outcome.ledger.types);
}

/// Scenario: items that change their type on the way, with a word on it and without. Guarantees: the one balances by type, the
/// other ends the run and says what to do.
#[tokio::test(start_paused = true)]
async fn another_type_is_another_record() {
    struct Next {
        says: bool,
    }
    impl Transform for Next {
        type In = u64;
        type Out = u64;
        fn apply(&mut self, input: &mut Batch<u64>, out: &mut Emit<u64>) -> Result<()> {
            for item in input.iter_mut() {
                if self.says {
                    let one = crate::stage::Counts::default();
                    out.count(kind_of(*item), crate::stage::Counts { superseded: 1, ..one });
                    out.count(kind_of(*item + 1), crate::stage::Counts { derived: 1, ..one });
                }
                *item += 1;
            }
            out.take(input);
            Ok(())
        }
    }
    let script = Script::new((0..9_u64).collect());
    for says in [true, false] {
        let (world, recording) = (World::new(), Recording::default());
        let (cx, _outside) = world.run();
        let make = || {
            let next = Named::new("next", Next { says }).counting(count, count);
            let stages = Stages::line(("source", script.source()), next, ("sink", recording.sink()));
            Ok(stages.counting(count, count))
        };
        match run(cx, make).await {
            Ok(outcome) => {
                assert!(says && outcome.ledger.is_balanced(), "{:?}", outcome.ledger.types);
                assert_eq!(outcome.ledger.types["sink"].0[name_of(1)].derived, 3);
            }
            Err(error) => {
                assert!(!says && error.kind() == ErrorKind::Bug, "{error}");
                assert!(error.to_string().contains("superseded"), "{error}");
            }
        }
    }
}
