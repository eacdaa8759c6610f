//! The epoch protocol over the real store, on a disk that loses its power.

use afferent_core::testing::{
    Fault,
    protocol::{CheckedStore, Protocol},
};

use super::*;

/// Scenario: random inputs and faults of sources and sinks; the process dies at a random poll, or the disk fails or
/// stops at a random operation; then the power fails, and the pipeline starts again on what is left, until it finishes. The
/// same while dead letters are put in again.
/// Guarantees: G1, G2, G3, G5: what the sinks show equals the model, the ledger balances, positions never go back.
#[tokio::test(start_paused = true)]
async fn power_loss_changes_nothing_that_sinks_show() {
    let (mut deaths, mut lives) = (0, 0);
    for seed in 0..80 {
        let mut random = Random::from_seed(seed);
        let case = Protocol::draw(seed);
        let mut disk = sim_disk(seed);
        for life in 0..random.below(8) {
            if random.chance(0.7) {
                let fault = [Fault::Io, Fault::Full, Fault::Halt][random.below(3) as usize];
                disk.fail(None, random.below(400), fault);
            }
            if let Ok(store) = open(disk.shared(), Path::new(DIRECTORY), seed).await {
                let store = Arc::new(CheckedStore::new(store, 0.0, seed));
                lives += 1;
                match case.live(store, Some(random.below(80))).await {
                    Ok(None) => deaths += 1,
                    Ok(Some(_)) => {}
                    Err(error) => panic!("seed {seed}, life {life}: {error}"),
                }
            }
            disk = disk.power_loss(random.u64());
        }
        let store = open(disk.shared(), Path::new(DIRECTORY), seed).await;
        let store = store.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        case.verify(Arc::new(CheckedStore::new(store, 0.0, seed))).await;
        for _ in 0..random.below(4) {
            disk.fail(None, random.below(200), Fault::Halt);
            if let Ok(store) = open(disk.shared(), Path::new(DIRECTORY), seed).await {
                let store = Arc::new(CheckedStore::new(store, 0.0, seed));
                match case.retry(store, Some(random.below(60))).await {
                    Ok(_) => {}
                    Err(error) => panic!("seed {seed}, retry: {error}"),
                }
            }
            disk = disk.power_loss(random.u64());
        }
        let store = open(disk.shared(), Path::new(DIRECTORY), seed).await.unwrap();
        case.verify_retry(Arc::new(CheckedStore::new(store, 0.0, seed))).await;
    }
    println!("{deaths} deaths in {lives} lives");
    assert!(deaths > 20, "{deaths} deaths in {lives} lives");
}
