//! Tests of the group commit.

use afferent_core::{Epoch, ErrorKind};

use super::*;

/// Scenario: a thousand pipelines claim, and then save before a thread is free for it. Guarantees: they share transactions, and so
/// fsyncs; a save that is refused leaves the others in.
#[test]
fn thousands_share_a_transaction() {
    let disk = sim_disk(1);
    one_blocking_thread().block_on(async {
        let store = open_sim(&disk).await;
        let names: Vec<Name> = (0..1000).map(|number| Name::from(format!("pipeline-{number}"))).collect();
        let claims = futures::future::join_all(names.iter().map(|name| store.claim(name))).await;
        assert!(claims.iter().all(Result::is_ok));
        let syncs = || disk.operations(Some(afferent_core::testing::Op::Sync));
        let before = (store.commits(), syncs());
        let (free, busy) = occupy();
        let saves = (0..).zip(&names).map(|(number, name)| {
            // Every tenth comes under a generation that was never given out.
            let generation = afferent_core::Generation(if number % 10 == 0 { 7 } else { 1 });
            store.save(store_contract::save(name, generation, 0, Snapshot::Full(vec![1])))
        });
        let mut saves: Vec<_> = saves.collect();
        for save in &mut saves {
            assert!(futures::poll!(save).is_pending());
        }
        drop(free);
        busy.await.unwrap();
        let saved = futures::future::join_all(saves).await;
        let refused = saved.iter().filter_map(|saved| saved.as_ref().err());
        assert_eq!(refused.filter(|error| error.kind() == ErrorKind::Fenced).count(), 100);
        assert_eq!(saved.iter().filter(|saved| saved.is_ok()).count(), 900);
        let (commits, syncs) = (store.commits() - before.0, syncs() - before.1);
        assert_eq!(commits, 1);
        assert!(syncs <= 2, "{syncs} syncs for one commit");
        let loaded = store.load(&names[999], afferent_core::Generation(1)).await.unwrap().unwrap();
        assert_eq!(loaded.checkpoint.epoch, Epoch(0));
        assert!(store.load(&names[990], afferent_core::Generation(1)).await.unwrap().is_none());
    });
}

/// Scenario: the future of a save is dropped while its job waits for a thread. Guarantees: the save happens all the
/// same, and the queue goes on.
#[test]
fn dropping_a_save_does_not_undo_it() {
    let runtime = one_blocking_thread();
    let disk = sim_disk(1);
    runtime.block_on(async {
        let store = open_sim(&disk).await;
        let name = Name::from("a");
        let generation = store.claim(&name).await.unwrap();
        let (free, busy) = occupy();
        let mut save = store.save(store_contract::save("a", generation, 0, Snapshot::Unchanged));
        assert!(futures::poll!(&mut save).is_pending());
        drop(save);
        drop(free);
        busy.await.unwrap();
        // An epoch follows only the one before it, so the second shows that the first was saved.
        store.save(store_contract::save("a", generation, 1, Snapshot::Unchanged)).await.unwrap();
    });
}

/// Scenario: a runtime ends while saves wait; another one uses the store. Guarantees: nobody waits for ever, and the
/// queue works again.
#[test]
fn another_runtime_goes_on() {
    let disk = sim_disk(1);
    let first = one_blocking_thread();
    let store = first.block_on(open_sim(&disk));
    let name = Name::from("a");
    let mut claim = store.claim(&name);
    first.block_on(async {
        // The only blocking thread is busy until the runtime ends, so the job never runs.
        let (_free, _busy) = occupy();
        assert!(futures::poll!(&mut claim).is_pending());
    });
    first.shutdown_background();
    let second = one_blocking_thread();
    let claimed = second.block_on(claim);
    let again = second.block_on(store.claim(&name)).unwrap();
    // The job may have been quicker than the end of the runtime.
    assert_eq!(again.0, 1 + claimed.map_or(0, |generation| generation.0));
}

fn one_blocking_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap()
}

/// Keeps the runtime's only blocking thread busy until the first of the two is dropped.
fn occupy() -> (std::sync::mpsc::Sender<()>, afferent_core::blocking::Job<bool>) {
    let (free, freed) = std::sync::mpsc::channel::<()>();
    (free, afferent_core::blocking::Blocking::new().spawn(move || freed.recv().is_err()))
}
