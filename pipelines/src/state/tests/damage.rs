//! Tests of damage: flipped bits, newer versions, lost rows.

use afferent_core::{
    Change, Epoch, ErrorKind, Generation, LetterId, RecordId, RecordKey,
    reject::{Fate, LetterKeeper, RejectedBy},
};

use super::*;

/// Damages the newest `count` of the checkpoints 0 to 9 of pipeline `a`.
async fn damaged(count: u64) -> SimDisk {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    save_epochs(&store, "a", 0..10).await;
    save_epochs(&store, "b", 0..10).await;
    store.close().await.unwrap();
    for epoch in 10 - count..10 {
        damage(&disk, rows::CHECKPOINTS, ("a", epoch), |value| value[30] ^= 4);
    }
    disk
}

/// Scenario: the newest one or two checkpoints are damaged; the process crashes right after it fell back. Guarantees:
/// G1, G4, G5: the one before is loaded, with its state; later dead letters are gone; the fallback is reported until
/// a checkpoint was saved after it.
#[tokio::test]
async fn damaged_checkpoints_fall_back_loudly() {
    for count in 1..3 {
        let disk = damaged(count).await;
        if count == 2 {
            // A row that is gone is damage, too.
            remove(&disk, rows::CHECKPOINTS, ("a", 9));
        }
        let good = 9 - count;
        for _ in 0..2 {
            let store = open_sim(&disk).await;
            let loaded = resume(&store, "a").await.unwrap().unwrap();
            assert_eq!(loaded.checkpoint, store_contract::checkpoint("a", good));
            assert_eq!(loaded.oldest, store_contract::checkpoint("a", 7).positions);
            assert_eq!(loaded.fallback.unwrap().lost, Epoch(9));
            let rows = store_contract::rows(&store, "a", 100).await.unwrap();
            assert_eq!(rows, [(b"key".to_vec(), good.to_be_bytes().to_vec())]);
            assert_eq!(store.count_dead_letters(&Name::from("a")).await.unwrap(), good + 1);
            let letters = store.dead_letters(&Name::from("a"), 100).await.unwrap();
            assert_eq!(letters.last().unwrap().epoch, Epoch(good));
            assert_eq!(letters.len() as u64, good + 1);
            let other = resume(&store, "b").await.unwrap().unwrap();
            assert_eq!((other.checkpoint.epoch, other.fallback), (Epoch(9), None));
        }
        let store = open_sim(&disk).await;
        save_epochs(&store, "a", good + 1..15).await;
        let loaded = resume(&store, "a").await.unwrap().unwrap();
        assert_eq!((loaded.checkpoint.epoch, loaded.fallback), (Epoch(14), None));
        assert_eq!(store_contract::rows(&store, "a", 14).await.unwrap().len(), 1);
    }
}

/// Scenario: the newest checkpoint, whose epoch withdrew one dead letter and put in another, is damaged. Guarantees: G1: both
/// are dead again, as the checkpoint before says, and can be settled anew.
#[tokio::test]
async fn a_fallback_gives_dead_letters_back() {
    let (disk, name) = (sim_disk(1), Name::from("a"));
    let id = |epoch, number| LetterId { epoch: Epoch(epoch), number };
    let store = open_sim(&disk).await;
    let generation = store.claim(&name).await.unwrap();
    let save = |generation, epoch| store_contract::save("a", generation, epoch, Snapshot::Unchanged);
    let mut first = save(generation, 0);
    first.dead_letters = (1..4).map(|id| store_contract::record_letter(0, id, 0, RejectedBy::Sink)).collect();
    store.save(first).await.unwrap();
    let held = store.letters_held(&name).await.unwrap();
    let mut second = save(generation, 1);
    (second.withdrawn, second.retried) = (vec![id(0, 0)], vec![id(0, 1)]);
    second.dead_letters = vec![store_contract::record_letter(1, 2, 0, RejectedBy::Sink)];
    store.save(second).await.unwrap();
    assert_eq!(store.count_dead_letters(&name).await.unwrap(), 2);
    store.close().await.unwrap();
    damage(&disk, rows::CHECKPOINTS, ("a", 1), |value| value[30] ^= 4);

    let store = open_sim(&disk).await;
    assert_eq!(resume(&store, "a").await.unwrap().unwrap().checkpoint.epoch, Epoch(0));
    let letters = store.letters(&name, None, 99).await.unwrap();
    let fates: Vec<_> = letters.iter().map(|(id, letter)| (*id, letter.fate)).collect();
    assert_eq!(fates, [0, 1, 2].map(|number| (id(0, number), Fate::Dead)));
    assert_eq!(store.count_dead_letters(&name).await.unwrap(), 3);
    assert_eq!(store.letters_held(&name).await.unwrap(), held);
    let mut again = save(store.claim(&name).await.unwrap(), 1);
    (again.withdrawn, again.retried) = (vec![id(0, 1)], vec![id(0, 0)]);
    store.save(again).await.unwrap();
    assert_eq!(store.count_dead_letters(&name).await.unwrap(), 1);
}

/// Scenario: a database of the first layout, with dead letters. Guarantees: G5: it is read, its letters are found by their
/// records and counted, and programs of before refuse it from then on.
#[tokio::test]
async fn the_first_layout_is_read() {
    let (disk, name) = (sim_disk(1), Name::from("a"));
    let store = open_sim(&disk).await;
    let mut first = store_contract::save("a", store.claim(&name).await.unwrap(), 0, Snapshot::Unchanged);
    first.dead_letters = vec![store_contract::record_letter(0, 7, 0, RejectedBy::Sink)];
    store.save(first).await.unwrap();
    let held = store.letters_held(&name).await.unwrap();
    store.close().await.unwrap();
    let head = (Generation(1), Some(Epoch(0)), 1_u64, None::<(Epoch, String)>);
    let head = seal::seal(&[b"a"], &rows::pack(&head).unwrap());
    damage(&disk, rows::PIPELINES, "a", |value| *value = head);
    damage(&disk, rows::META, "schema", |value| *value = seal::seal(&[b"schema"], &[0, 1]));
    let database = raw(&disk);
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(rows::LETTERS_BY_RECORD).unwrap();
    transaction.delete_table(rows::RETRIED).unwrap();
    transaction.delete_table(rows::ACKNOWLEDGED).unwrap();
    transaction.delete_table(rows::NAMES).unwrap();
    transaction.commit().unwrap();
    database.close().unwrap();

    let store = open_sim(&disk).await;
    assert_eq!(store.count_dead_letters(&name).await.unwrap(), 1);
    resume(&store, "a").await.unwrap().unwrap();
    assert_eq!(store.letters_held(&name).await.unwrap(), held);
    let passed = vec![RecordKey { id: RecordId::from_u128(7), change: Change::Deleted, revision: 0 }];
    assert_eq!(store.withdrawable(&name, passed, LetterKeeper::Engine).await.unwrap().len(), 1);
    store.close().await.unwrap();
    damage(&disk, rows::META, "schema", |value| {
        assert_eq!(*value, seal::seal(&[b"schema"], &rows::SCHEMA.to_be_bytes()));
    });
}

/// Scenario: every kept checkpoint is damaged. Guarantees: an error of kind `State` that says what to do; forgetting
/// helps, and keeps the generation.
#[tokio::test]
async fn nothing_readable_is_an_error() {
    let disk = damaged(3).await;
    let store = open_sim(&disk).await;
    for _ in 0..2 {
        let error = resume(&store, "a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("--from-start"), "{error}");
    }
    store.forget(&Name::from("a")).await.unwrap();
    assert!(resume(&store, "a").await.unwrap().is_none());
    assert!(store.claim(&Name::from("a")).await.unwrap() > Generation(3));
}

/// Scenario: a state row (or it is lost), a dead letter, a list of superseded versions, a definition and a pipeline's row are damaged.
/// Guarantees: G4, G5, G10: no garbage is given out; what can go on does, and a lost generation is passed by far.
#[tokio::test]
async fn damaged_rows_are_never_given_out() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    let name = Name::from("a");
    save_epochs(&store, "a", 0..10).await;
    store.define(&name, None, Desired::Running).await.unwrap();
    store.define(&Name::from("b"), None, Desired::Running).await.unwrap();
    store.close().await.unwrap();
    damage(&disk, rows::DEAD_LETTERS, ("a", 3, 0), |value| value[9] ^= 1);
    damage(&disk, rows::SUPERSEDED, ("a", 8), |value| value[5] ^= 1);
    damage(&disk, rows::DEFINITIONS, "a", |value| value[0] ^= 1);
    damage(&disk, rows::PIPELINES, "a", |value| value.truncate(3));

    let store = open_sim(&disk).await;
    let letters = store.dead_letters(&name, 100).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.epoch.0).collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    let definitions = store.definitions().await.unwrap();
    assert_eq!(definitions[0].as_ref().unwrap_err().kind(), ErrorKind::State);
    assert_eq!(definitions[1].as_ref().unwrap().name.as_str(), "b");
    let refused = store.save(store_contract::save("a", Generation(1), 10, Snapshot::Unchanged)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::State);
    assert!(store.claim(&name).await.unwrap() > Generation(1 << 30));
    save_epochs(&store, "a", 10..20).await;
    assert_eq!(store_contract::rows(&store, "a", 19).await.unwrap().len(), 1);
    store.close().await.unwrap();

    remove(&disk, rows::STATES, ("a", "stage", b"key", 17));
    damage(&disk, rows::STATES, ("a", "stage", b"key", 18), |value| value[6] ^= 1);
    let store = open_sim(&disk).await;
    assert_eq!(store_contract::rows(&store, "a", 19).await.unwrap().len(), 1, "another version is damaged");
    for lost in [17, 18] {
        let error = store_contract::rows(&store, "a", lost).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
    }
    store.close().await.unwrap();

    damage(&disk, rows::CHECKPOINTS, ("a", 19), |value| value[6] ^= 1);
    let store = open_sim(&disk).await;
    let generation = store.claim(&name).await.unwrap();
    let refused = store.save(store_contract::save("a", generation, 20, Snapshot::Unchanged)).await;
    assert!(refused.unwrap_err().kind().is_retryable(), "the next try loads, and falls back");
}

/// Scenario: everything that is known of one pipeline of three is lost but its name, and the definition of another. Guarantees: G5: that
/// is told, each time, by name, and keeps nobody else from anything; the pipeline is begun anew when somebody asks for it, and what
/// was told is over once the definition is there again.
#[tokio::test]
async fn lost_rows_are_missed() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    for name in ["a", "b", "c"] {
        save_epochs(&store, name, 0..3).await;
        store.define(&Name::from(name), None, Desired::Running).await.unwrap();
    }
    store.close().await.unwrap();
    remove(&disk, rows::PIPELINES, "b");
    (0..3).for_each(|epoch| remove(&disk, rows::CHECKPOINTS, ("b", epoch)));
    remove(&disk, rows::DEFINITIONS, "c");
    damage(&disk, rows::PIPELINES, "a", |value| value[5] ^= 1);

    for _ in 0..2 {
        let store = open_sim(&disk).await;
        store.forget(&Name::from("stranger")).await.unwrap();
        assert!(resume(&store, "new").await.unwrap().is_none());
        let error = store.claim(&Name::from("b")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("`b`") && error.message().contains("--from-start"), "{error}");
        for name in ["a", "c"] {
            assert_eq!(resume(&store, name).await.unwrap().unwrap().checkpoint.epoch, Epoch(2));
        }
        let definitions = store.definitions().await.unwrap();
        assert_eq!(definitions.len(), 3);
        assert!(definitions[2].as_ref().unwrap_err().message().contains("`c`"), "{definitions:?}");
    }
    let store = open_sim(&disk).await;
    store.forget(&Name::from("b")).await.unwrap();
    assert!(resume(&store, "b").await.unwrap().is_none());
    assert!(
        store.claim(&Name::from("b")).await.unwrap() > Generation(1 << 30),
        "sinks may know the lost one"
    );
    store.define(&Name::from("c"), None, Desired::Running).await.unwrap();
    assert!(store.definitions().await.unwrap().iter().all(Result::is_ok));
    store.undefine(&Name::from("c")).await.unwrap();
    assert_eq!(open_sim(&disk).await.definitions().await.unwrap().len(), 2);
}

/// Scenario: the name of a table is damaged; and all checkpoints of a pipeline are lost, of which only a damaged row is left.
/// Guarantees: G5: neither is taken for a beginning, unless somebody asks for it.
#[tokio::test]
async fn what_is_lost_is_no_beginning() {
    let disk = sim_disk(1);
    save_epochs(&open_sim(&disk).await, "a", 0..3).await;
    let whole = disk.power_loss(1);
    let database = raw(&whole);
    let transaction = database.begin_write().unwrap();
    transaction.rename_table(rows::CHECKPOINTS, rows::ByEpoch::new("checwpoints")).unwrap();
    transaction.commit().unwrap();
    database.close().unwrap();
    let error = open(whole.shared(), Path::new(DIRECTORY), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("`checkpoints`"), "{error}");

    (0..3).for_each(|epoch| remove(&disk, rows::CHECKPOINTS, ("a", epoch)));
    damage(&disk, rows::PIPELINES, "a", |value| value[5] ^= 1);
    let store = open_sim(&disk).await;
    let error = store.claim(&Name::from("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("--from-start"), "{error}");
    store.forget(&Name::from("a")).await.unwrap();
    assert!(resume(&store, "a").await.unwrap().is_none());
}

/// Scenario: a checkpoint, and then the whole database, was written by a newer version. Guarantees: refused with kind
/// `State` and what to do; nothing is taken for damage and removed.
#[tokio::test]
async fn newer_versions_are_refused() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    save_epochs(&store, "a", 0..3).await;
    store.close().await.unwrap();
    damage(&disk, rows::CHECKPOINTS, ("a", 2), |value| {
        // The digests, and the checkpoint's own version after them.
        let (digests, checkpoint) = rows::open_checkpoint("a", 2, value).unwrap();
        let newer = [&99u16.to_be_bytes(), &checkpoint[2..]].concat();
        *value = rows::seal_checkpoint("a", 2, digests, &newer);
    });
    let store = open_sim(&disk).await;
    for _ in 0..2 {
        let error = resume(&store, "a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("version 99"), "{error}");
    }
    store.close().await.unwrap();
    damage(&disk, rows::META, "schema", |value| {
        *value = seal::seal(&[b"schema"], &(rows::SCHEMA + 1).to_be_bytes());
    });
    for set_aside in [false, true] {
        let (clock, random) = (Arc::new(TestClock::default()), Random::from_seed(1));
        let opened = RedbStore::open(disk.shared(), clock, random, Path::new(DIRECTORY), set_aside).await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("newer version"), "{error}");
    }
}

/// Scenario: one bit to 64 anywhere in the file are flipped while it is closed. Guarantees: G4, G5: each pipeline gives a
/// checkpoint that was saved, with its state, or an error of kind `State`; there is never a panic or garbage.
#[tokio::test]
async fn flipped_bits_never_give_garbage() {
    let disk = sim_disk(1);
    let store = open_sim(&disk).await;
    save_epochs(&store, "a", 0..10).await;
    save_epochs(&store, "b", 0..10).await;
    store.close().await.unwrap();
    let path = Path::new(DIRECTORY).join(DATABASE);
    let file = disk.open(&path, afferent_core::disk::OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.info().unwrap().len as usize];
    file.read_at(0, &mut bytes).unwrap();
    // Most of a small database is zeros that nobody reads.
    let written: Vec<u64> =
        (0..).zip(&bytes).filter(|(_, byte)| **byte != 0).map(|(offset, _)| offset).collect();
    let (mut fell_back, mut refused) = (0, 0);
    for seed in 0..500 {
        let mut random = Random::from_seed(seed);
        let disk = disk.power_loss(seed);
        for _ in 0..=random.below(64) {
            let byte = written[random.below(written.len() as u64) as usize];
            disk.flip(&path, byte * 8 + random.below(8)).unwrap();
        }
        let store = match open(disk.shared(), Path::new(DIRECTORY), 1).await {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::State, "seed {seed}: {error}");
                refused += 1;
                continue;
            }
        };
        for name in ["a", "b"] {
            let loaded = match resume(&store, name).await {
                Ok(Some(loaded)) => loaded,
                Ok(None) => panic!("seed {seed}: the checkpoints of {name} are gone"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::State, "seed {seed}: {error}");
                    refused += 1;
                    continue;
                }
            };
            let epoch = loaded.checkpoint.epoch.0;
            fell_back += u32::from(loaded.fallback.is_some());
            assert!((7..10).contains(&epoch), "seed {seed}, {name}: epoch {epoch}");
            assert_eq!(loaded.checkpoint, store_contract::checkpoint(name, epoch), "seed {seed}");
            match store_contract::rows(&store, name, epoch).await {
                Ok(rows) => {
                    assert_eq!(rows, [(b"key".to_vec(), epoch.to_be_bytes().to_vec())], "seed {seed}")
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::State, "seed {seed}: {error}"),
            }
            let letters = store.dead_letters(&Name::from(name), 100).await;
            for letter in letters.into_iter().flatten() {
                assert_eq!(letter, store_contract::dead_letter(letter.epoch.0, "bad"), "seed {seed}");
            }
        }
    }
    println!("{fell_back} fell back, {refused} refused");
    assert!(refused > 0, "no flip hit anything");
}

/// Scenario: the database is damaged, cut to nothing, and set aside. Guarantees: G5: an error that says what to do
/// instead of a silent new beginning; nothing is deleted.
#[tokio::test]
async fn a_damaged_database_is_set_aside_on_request_only() {
    let disk = sim_disk(1);
    save_epochs(&open_sim(&disk).await, "a", 0..3).await;
    let (directory, path) = (Path::new(DIRECTORY), Path::new(DIRECTORY).join(DATABASE));
    let file = disk.open(&path, afferent_core::disk::OpenMode::Write).unwrap();
    for len in [1000, 0] {
        file.set_len(len).unwrap();
        let error = open(disk.shared(), directory, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("--from-start"), "{error}");
    }
    for number in 1..3 {
        let random = Random::from_seed(number);
        let store =
            RedbStore::open(disk.shared(), Arc::new(TestClock::default()), random, directory, true).await;
        let store = store.unwrap();
        assert!(resume(&store, "a").await.unwrap().is_none());
        drop(store);
        let aside = directory.join(format!("state.redb.damaged-{number}"));
        assert!(disk.info(&aside).unwrap().is_some());
        // Damage to what says whose it is, is damage to the whole.
        damage(&disk, rows::META, "store", |value| value[0] ^= 1);
        assert_eq!(open(disk.shared(), directory, 1).await.unwrap_err().kind(), ErrorKind::State);
    }
}
