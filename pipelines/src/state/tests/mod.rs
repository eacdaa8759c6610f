//! Tests of the store.

mod damage;
mod faults;
mod group;
mod protocol;

use std::{path::Path, sync::Arc};

use afferent_core::{
    CheckpointStore, Name, Snapshot,
    checkpoint::Loaded,
    disk::{Disk, OsDisk},
    random::Random,
    testing::{
        SimDisk, TestClock,
        store_contract::{self, store_contract},
    },
};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::{rows, *};

const DIRECTORY: &str = "/state";

/// A disk with an empty state directory.
fn sim_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DIRECTORY)).unwrap();
    disk
}

async fn open(disk: Arc<dyn Disk>, directory: &Path, seed: u64) -> afferent_core::Result<RedbStore> {
    RedbStore::open(disk, Arc::new(TestClock::default()), Random::from_seed(seed), directory, false).await
}

async fn open_sim(disk: &SimDisk) -> RedbStore {
    open(disk.shared(), Path::new(DIRECTORY), 1).await.unwrap()
}

/// Claims and loads.
async fn resume(store: &RedbStore, pipeline: &str) -> afferent_core::Result<Option<Loaded>> {
    let pipeline = Name::from(pipeline);
    let generation = store.claim(&pipeline).await?;
    store.load(&pipeline, generation).await
}

/// Saves epochs of one pipeline, each with the same key changed and a dead letter.
async fn save_epochs(store: &RedbStore, pipeline: &str, epochs: std::ops::Range<u64>) {
    let generation = store.claim(&Name::from(pipeline)).await.unwrap();
    for epoch in epochs {
        let state = Snapshot::Delta([(b"key", Some(epoch.to_be_bytes()))].into_iter().collect());
        let mut save = store_contract::save(pipeline, generation, epoch, state);
        save.dead_letters.push(store_contract::dead_letter(epoch, "bad"));
        store.save(save).await.unwrap();
    }
}

/// Scenario: the contract suite, on files of the operating system and on a simulated disk, closed in order and
/// abandoned. Guarantees: G1, G10 as far as a store gives them.
#[tokio::test]
async fn redb_store_keeps_the_contract() {
    let (directory, mut opened) = (tempfile::tempdir().unwrap(), 0);
    store_contract(async |store: Option<RedbStore>| {
        match store {
            Some(store) => store.close().await.unwrap(),
            None => opened += 1,
        }
        let path = directory.path().join(opened.to_string());
        OsDisk.create_dir_all(&path).unwrap();
        open(OsDisk::shared(), &path, opened).await.unwrap()
    })
    .await;
    let (mut disk, mut opened) = (sim_disk(1), 0);
    store_contract(async |store: Option<RedbStore>| {
        if store.is_none() {
            opened += 1;
            disk = sim_disk(opened);
        }
        drop(store);
        open(disk.shared(), Path::new(DIRECTORY), opened).await.unwrap()
    })
    .await;
}

/// Scenario: a thousand epochs change the same few keys among many. Guarantees: G7: versions that no kept checkpoint
/// needs are dropped, and so are lists of them; a save does not touch what did not change.
#[tokio::test]
async fn superseded_state_is_dropped() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    let generation = store.claim(&Name::from("a")).await.unwrap();
    let many = (0..500u64).map(|key| (key.to_be_bytes(), Some([0; 8]))).collect();
    store.save(store_contract::save("a", generation, 0, Snapshot::Delta(many))).await.unwrap();
    for epoch in 1..1000u64 {
        let value = (epoch % 3 != 0).then(|| epoch.to_be_bytes());
        let state = Snapshot::Delta([((epoch % 7).to_be_bytes(), value)].into_iter().collect());
        store.save(store_contract::save("a", generation, epoch, state)).await.unwrap();
    }
    store.close().await.unwrap();
    let database = raw(&disk);
    let transaction = database.begin_read().unwrap();
    let states = transaction.open_table(rows::STATES).unwrap().len().unwrap();
    let lists = transaction.open_table(rows::SUPERSEDED).unwrap().len().unwrap();
    let checkpoints = transaction.open_table(rows::CHECKPOINTS).unwrap().len().unwrap();
    assert!(states <= 500 + 4 && lists <= 2 && checkpoints == 3, "{states} {lists} {checkpoints}");
}

/// Scenario: definitions are stored, changed, removed, and read after a restart. Guarantees: G9: what an answer was
/// given for is there.
#[tokio::test]
async fn definitions_survive() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    let (a, b) = (Name::from("a"), Name::from("b"));
    let source = crate::DefinitionSource { text: "name = \"a\"".to_owned(), path: "/etc/a.toml".into() };
    store.define(&a, Some(source.clone()), Desired::Running).await.unwrap();
    store.define(&b, None, Desired::Running).await.unwrap();
    assert!(store.set_desired(&b, Desired::Paused).await.unwrap());
    assert!(!store.set_desired(&Name::from("c"), Desired::Running).await.unwrap());
    let store = open_sim(&disk.power_loss(3)).await;
    let all: Vec<StoredDefinition> =
        store.definitions().await.unwrap().into_iter().map(Result::unwrap).collect();
    let expected = [
        StoredDefinition { name: a.clone(), source: Some(source), desired: Desired::Running },
        StoredDefinition { name: b.clone(), source: None, desired: Desired::Paused },
    ];
    assert_eq!(all, expected);
    store.undefine(&a).await.unwrap();
    assert_eq!(store.definition(&a).await.unwrap(), None);
    assert_eq!(store.definition(&b).await.unwrap().as_ref(), expected.last());
}

/// The database of a closed store, for looking at it and damaging it.
fn raw(disk: &SimDisk) -> redb::Database {
    let file = disk.open(&Path::new(DIRECTORY).join(DATABASE), afferent_core::disk::OpenMode::Write).unwrap();
    let backend =
        backend::Backend { file, abandoned: Arc::default(), in_doubt: Arc::default(), in_the_making: false };
    redb::Builder::new().create_with_backend(backend).unwrap()
}

/// Changes a value of a closed store in place.
fn damage<K: redb::Key + 'static>(
    disk: &SimDisk,
    table: redb::TableDefinition<'static, K, &'static [u8]>,
    key: K::SelfType<'_>,
    change: impl FnOnce(&mut Vec<u8>),
) {
    let database = raw(disk);
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(table).unwrap();
        let mut value = table.get(&key).unwrap().unwrap().value().to_vec();
        change(&mut value);
        table.insert(&key, value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    database.close().unwrap();
}

/// Removes a row of a closed store.
fn remove<K: redb::Key + 'static>(
    disk: &SimDisk,
    table: redb::TableDefinition<'static, K, &'static [u8]>,
    key: K::SelfType<'_>,
) {
    let database = raw(disk);
    let transaction = database.begin_write().unwrap();
    assert!(transaction.open_table(table).unwrap().remove(&key).unwrap().is_some());
    transaction.commit().unwrap();
    database.close().unwrap();
}
