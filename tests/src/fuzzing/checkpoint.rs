//! The state database.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use afferent::state::{DATABASE, RedbStore};
use afferent_core::{
    CheckpointStore, ErrorKind, Name, Snapshot, blocking,
    disk::{Disk, OpenMode},
    random::Random,
    testing::{SimDisk, TestClock, store_contract},
};
use tokio::runtime::Builder;

use super::{hash, shape};

const DIRECTORY: &str = "/state";

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
    blocking::inline(|| runtime.block_on(work))
}

/// A database with a few epochs of two pipelines.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new(DIRECTORY)).expect("a disk without faults");
    run(async {
        let store = open(&disk).await.expect("a disk without faults");
        for pipeline in ["a", "b"] {
            let generation = store.claim(&Name::from(pipeline)).await.expect("a disk without faults");
            for epoch in 0..4_u64 {
                let state = Snapshot::Delta([(b"key", Some(epoch.to_be_bytes()))].into_iter().collect());
                let mut save = store_contract::save(pipeline, generation, epoch, state);
                save.dead_letters.push(store_contract::dead_letter(epoch, "bad"));
                store.save(save).await.expect("a disk without faults");
            }
        }
        store.close().await.expect("a disk without faults");
    });
    disk.content(&Path::new(DIRECTORY).join(DATABASE)).expect("it is there")
});

/// A list of (offset, byte) that are written over a whole database: an input as long as a database would say nothing new. Each
/// pipeline gives a checkpoint that was saved, or an error of kind `State` that says what to do; never garbage, never a panic that
/// is not caught.
pub(super) fn checkpoint(bytes: &[u8]) -> u64 {
    let mut whole = WHOLE.clone();
    for change in bytes.chunks_exact(4) {
        let offset = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
        let offset = offset % whole.len();
        whole[offset] = change[3];
    }
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new(DIRECTORY)).expect("a disk without faults");
    let file =
        disk.open(&Path::new(DIRECTORY).join(DATABASE), OpenMode::CreateNew).expect("a disk without faults");
    file.write_at(0, &whole).expect("a disk without faults");
    run(async {
        let store = match open(&disk).await {
            Ok(store) => store,
            Err(error) => return refusal(&error),
        };
        let mut behaved = Vec::new();
        for pipeline in ["a", "b"] {
            let name = Name::from(pipeline);
            let loaded = match store.claim(&name).await {
                Ok(generation) => store.load(&name, generation).await,
                Err(error) => Err(error),
            };
            behaved.push(match loaded {
                Ok(Some(loaded)) => {
                    let epoch = loaded.checkpoint.epoch.0;
                    assert_eq!(
                        loaded.checkpoint,
                        store_contract::checkpoint(pipeline, epoch),
                        "a checkpoint changed"
                    );
                    epoch
                }
                Ok(None) => panic!("the checkpoints of {pipeline} are gone, and nobody is told"),
                Err(error) => refusal(&error),
            });
        }
        hash(behaved)
    })
}

fn refusal(error: &afferent_core::Error) -> u64 {
    assert_eq!(error.kind(), ErrorKind::State, "{error}");
    hash(shape(error.message()))
}

async fn open(disk: &SimDisk) -> afferent_core::Result<RedbStore> {
    let clock = Arc::new(TestClock::default());
    RedbStore::open(disk.shared(), clock, Random::from_seed(1), Path::new(DIRECTORY), false).await
}
