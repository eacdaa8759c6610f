//! The epoch protocol under faults and deaths. Crash points are global to the process, so the tests here take
//! turns.

use std::sync::Arc;

use afferent_core::{
    CheckpointStore, ErrorKind, MemoryStore,
    engine::{CRASH_POINTS, CRASHED},
    random::Random,
    testing::protocol::{CheckedStore, Protocol},
};

/// Seeds of a run; `AFFERENT_SEED=n` repeats one.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("AFFERENT_SEED") {
        Ok(seed) => vec![seed.parse().expect("AFFERENT_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

/// Dead letters are put in again in one case of so many: with the others it would take too long.
const RETRIED: u64 = 3;

fn store(seed: u64, random: &mut Random) -> Arc<dyn CheckpointStore> {
    let faults = if random.chance(0.5) { 0.0 } else { 0.03 };
    Arc::new(CheckedStore::new(MemoryStore::new(), faults, seed << 32))
}

/// Scenario: random inputs; sources, sinks and the store fail at random; the pipeline dies at a random poll, again
/// and again, until it finishes; then its dead letters are put in again, with deaths. Guarantees: G1, G2, G3, the
/// ledger, monotone positions; a letter is dead, withdrawn or something else, never lost and never twice.
#[tokio::test(start_paused = true)]
async fn whatever_fails_the_sinks_show_the_model() {
    let _turn = fail::FailScenario::setup();
    let (mut deaths, mut retries) = (0_u64, 0_u64);
    for seed in seeds(1500) {
        let mut random = Random::from_seed(seed);
        let store = store(seed, &mut random);
        let case = Protocol::draw(seed);
        let lives = random.below(12);
        for _ in 0..lives {
            match case.live(store.clone(), Some(random.below(60))).await {
                Ok(None) => deaths += 1,
                Ok(Some(_)) => break,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        case.verify(store.clone()).await;
        if seed % RETRIED != 0 {
            continue;
        }
        for _ in 0..random.below(4) {
            match case.retry(store.clone(), Some(random.below(40))).await {
                Ok(None) => retries += 1,
                Ok(Some(_)) => break,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        case.verify_retry(store).await;
    }
    assert!(retries > 0 || std::env::var("AFFERENT_SEED").is_ok(), "no retry died");
    assert!(deaths > 0 || std::env::var("AFFERENT_SEED").is_ok(), "no case died");
}

/// Scenario: the process dies at each crash point in turn, at its first, second, … passing, also while it puts dead letters
/// in again. Guarantees: G1, G2, G3; and that every crash point is reached.
#[tokio::test(start_paused = true)]
async fn a_death_at_every_crash_point_changes_nothing() {
    let _turn = fail::FailScenario::setup();
    for point in CRASH_POINTS {
        let mut reached = 0;
        for seed in seeds(60) {
            let mut random = Random::from_seed(seed ^ 0x5eed);
            let store = store(seed, &mut random);
            let case = Protocol::draw(seed);
            for _ in 0..1 + random.below(3) {
                let passings = random.below(6);
                fail::cfg(*point, &format!("{passings}*off->1*return->off")).expect("a valid action");
                match case.live(store.clone(), None).await {
                    Ok(_) => break,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Bug, "{point}, seed {seed}: {error}");
                        assert!(error.message().contains(CRASHED), "{point}, seed {seed}: {error}");
                        reached += 1;
                    }
                }
            }
            fail::remove(*point);
            case.verify(store.clone()).await;
            if seed % RETRIED != 0 {
                continue;
            }
            fail::cfg(*point, &format!("{}*off->1*return->off", random.below(3))).expect("a valid action");
            let died = case.retry(store.clone(), None).await;
            assert!(died.is_ok() || died.is_err_and(|error| error.message().contains(CRASHED)));
            fail::remove(*point);
            case.verify_retry(store).await;
        }
        assert!(reached > 0, "crash point {point} is never reached");
    }
}
