//! Tests of power loss, failing operations and a full disk.

use std::collections::BTreeMap;

use afferent_core::{Epoch, ErrorKind, Generation, MemoryStore, testing::Fault};

use super::*;

const PIPELINES: [&str; 3] = ["a", "b", "c"];
/// Epochs that a history saves in each pipeline.
const EPOCHS: u64 = 6;
/// Tries until an operation must have healed: one fault is planned.
const TRIES: usize = 4;

/// What a pipeline saves at the end of an epoch: a function of its arguments.
fn state_at(seed: u64, pipeline: &str, epoch: u64) -> Snapshot {
    let mut random = Random::from_seed(seed ^ (epoch << 8) ^ u64::from(pipeline.as_bytes()[0]));
    let value = |random: &mut Random| vec![epoch as u8; random.below(3000) as usize];
    match random.below(5) {
        0 => Snapshot::Full(value(&mut random)),
        _ => Snapshot::Delta(
            (0..random.below(6))
                .map(|_| ([random.below(5) as u8], random.chance(0.7).then(|| value(&mut random))))
                .collect(),
        ),
    }
}

/// What the state must be at the end of `epoch`.
async fn expected(seed: u64, pipeline: &str, epoch: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let model = MemoryStore::new();
    let generation = model.claim(&Name::from(pipeline)).await.unwrap();
    for epoch in 0..=epoch {
        let save = store_contract::save(pipeline, generation, epoch, state_at(seed, pipeline, epoch));
        model.save(save).await.unwrap();
    }
    store_contract::rows(&model, pipeline, epoch).await.unwrap()
}

/// What a store has acknowledged.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    generations: BTreeMap<&'static str, Generation>,
    /// Newest epoch that was saved, and newest that was tried.
    epochs: BTreeMap<&'static str, (Option<u64>, Option<u64>)>,
}

impl Acknowledged {
    /// Claims, loads and compares with what was acknowledged; the generation and the next epoch.
    async fn resume(
        &mut self,
        store: &RedbStore,
        pipeline: &'static str,
        seed: u64,
    ) -> afferent_core::Result<(Generation, u64)> {
        let name = Name::from(pipeline);
        let generation = store.claim(&name).await?;
        let before = self.generations.insert(pipeline, generation);
        assert!(before.is_none_or(|before| generation > before), "seed {seed}: {before:?} then {generation}");
        let loaded = store.load(&name, generation).await?;
        let (saved, tried) = self.epochs.get(pipeline).copied().unwrap_or_default();
        let found = loaded.as_ref().map(|loaded| loaded.checkpoint.epoch.0);
        assert!(
            found >= saved && found <= tried,
            "seed {seed}, {pipeline}: {saved:?} <= {found:?} <= {tried:?}"
        );
        let Some(loaded) = loaded else { return Ok((generation, 0)) };
        let Epoch(epoch) = loaded.checkpoint.epoch;
        assert_eq!(loaded.checkpoint, store_contract::checkpoint(pipeline, epoch), "seed {seed}");
        assert_eq!(loaded.fallback, None, "seed {seed}: nothing was damaged");
        let rows = store_contract::rows(store, pipeline, epoch).await?;
        assert_eq!(rows, expected(seed, pipeline, epoch).await, "seed {seed}, {pipeline}, epoch {epoch}");
        self.epochs.insert(pipeline, (Some(epoch), tried.max(Some(epoch))));
        Ok((generation, epoch + 1))
    }

    /// Saves epochs of all pipelines at the same time, up to the last, or to the first error.
    async fn run(&mut self, store: &RedbStore, seed: u64) -> afferent_core::Result<()> {
        let mut next = BTreeMap::new();
        for pipeline in PIPELINES {
            next.insert(pipeline, self.resume(store, pipeline, seed).await?);
        }
        for _ in 0..EPOCHS {
            let due: Vec<_> = next.iter().filter(|(_, (_, epoch))| *epoch < EPOCHS).collect();
            let saves = due.iter().map(|(pipeline, (generation, epoch))| {
                let saved = self.epochs.entry(pipeline).or_default();
                saved.1 = saved.1.max(Some(*epoch));
                store.save(store_contract::save(
                    pipeline,
                    *generation,
                    *epoch,
                    state_at(seed, pipeline, *epoch),
                ))
            });
            let saves: Vec<_> = saves.collect();
            let results = futures::future::join_all(saves).await;
            let mut failed = None;
            for ((pipeline, (_, epoch)), result) in due.into_iter().zip(results) {
                match result {
                    Ok(_) => self.epochs.entry(pipeline).or_default().0 = Some(*epoch),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            next.values_mut().for_each(|(_, epoch)| *epoch += 1);
        }
        Ok(())
    }
}

/// Operations of an undisturbed history, from the creation of the store.
async fn count_operations(seed: u64) -> u64 {
    let disk = sim_disk(seed);
    let store = open_sim(&disk).await;
    Acknowledged::default().run(&store, seed).await.unwrap();
    disk.operations(None)
}

/// Scenario: the power fails at a random operation of a history, creation included; several outcomes of the same loss
/// are looked at. Guarantees: G1, G5, G10: the store opens by itself, every acknowledged save and claim is there, and
/// the state is that of some saved epoch.
#[tokio::test]
async fn power_loss_keeps_what_was_acknowledged() {
    let mut random = Random::from_seed(4);
    for seed in 0..60 {
        let disk = sim_disk(seed);
        let operation = random.below(count_operations(seed).await);
        disk.fail(None, operation, Fault::Halt);
        let mut acknowledged = Acknowledged::default();
        if let Ok(store) = open(disk.shared(), Path::new(DIRECTORY), seed).await {
            // How saves are grouped is not the seed's choice, so it may all be over before that operation.
            let _ = acknowledged.run(&store, seed).await;
        }
        for loss in 0..4 {
            let mut acknowledged = acknowledged.clone();
            let disk = disk.power_loss(seed << 8 | loss);
            let context = format!("seed {seed}, operation {operation}, loss {loss}");
            let store = open(disk.shared(), Path::new(DIRECTORY), seed).await;
            let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
            acknowledged.run(&store, seed).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            drop(store);
            let store = open_sim(&disk.power_loss(loss)).await;
            acknowledged.run(&store, seed).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        }
    }
}

/// Scenario: the n-th operation fails once, for every n of a history, with an I/O error or a full disk; afterwards the
/// power fails. Guarantees: G1, G5: each call succeeds or fails with `Transient`, the same store goes on after a
/// restart of its pipelines, and what was acknowledged survives, also after a failed fsync.
#[tokio::test]
async fn every_failing_operation_heals() {
    let mut failed = 0;
    for operation in 0..count_operations(7).await {
        for fault in [Fault::Io, Fault::Full] {
            let context = format!("operation {operation}, {fault:?}");
            let disk = sim_disk(operation);
            disk.fail(None, operation, fault);
            let mut acknowledged = Acknowledged::default();
            let mut store = None;
            for _ in 0..TRIES {
                match open(disk.shared(), Path::new(DIRECTORY), 7).await {
                    Ok(opened) => {
                        store = Some(opened);
                        break;
                    }
                    Err(error) => assert!(error.kind().is_retryable(), "{context}: {error}"),
                }
            }
            let store = store.unwrap_or_else(|| panic!("{context}: it never opened"));
            let mut done = false;
            for _ in 0..TRIES {
                match acknowledged.run(&store, 7).await {
                    Ok(()) => {
                        done = true;
                        break;
                    }
                    Err(error) => {
                        failed += 1;
                        assert!(error.kind().is_retryable(), "{context}: {error}");
                    }
                }
            }
            assert!(done, "{context}: it never went on");
            let store = open_sim(&disk.power_loss(operation)).await;
            acknowledged.run(&store, 7).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(acknowledged.epochs.values().all(|epochs| epochs.0 == Some(EPOCHS - 1)), "{context}");
        }
    }
    assert!(failed > 0, "no fault was noticed");
}

/// Scenario: the disk is full, and saves go on; then there is room again. Guarantees: G5: the reserve lets checkpoints
/// be saved, and is made again.
#[tokio::test]
async fn a_full_disk_leaves_room_for_checkpoints() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    let reserve = Path::new(DIRECTORY).join("reserve");
    assert!(disk.info(&reserve).unwrap().is_some());
    save_epochs(&store, "a", 0..3).await;
    disk.set_capacity(Some(disk.used()));
    let name = Name::from("a");
    let (mut epoch, mut failures) = (3u64, 0);
    while epoch < 40 {
        let generation = match store.claim(&name).await {
            Ok(generation) => generation,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Transient { retry_after: None }, "{error}");
                failures += 1;
                continue;
            }
        };
        let next = store.load(&name, generation).await.unwrap().unwrap().checkpoint.epoch.next().0;
        assert!(next >= epoch);
        // Several versions of it need far more than the file has so far.
        let state = Snapshot::Full(vec![1; 64 << 10]);
        match store.save(store_contract::save("a", generation, next, state)).await {
            Ok(_) => epoch = next + 1,
            Err(error) => {
                assert!(error.message().contains("full"), "{error}");
                failures += 1;
            }
        }
        assert!(failures < 5, "the reserve does not help");
    }
    assert!(failures > 0, "the disk never was full");
    assert!(disk.info(&reserve).unwrap().is_none());
    disk.set_capacity(None);
    let generation = store.claim(&name).await.unwrap();
    for epoch in epoch..epoch + 300 {
        store.save(store_contract::save("a", generation, epoch, Snapshot::Unchanged)).await.unwrap();
    }
    assert!(disk.info(&reserve).unwrap().is_some(), "the reserve is made again");
}
