//! Tests of what another process finds.

use std::collections::HashMap;

use afferent_core::{CheckpointStore, Error, ErrorKind};

use super::*;
use crate::{
    DefinitionSource,
    state::{DATABASE, Desired, StoredDefinition},
};

/// Scenario: applied pipelines run, are paused, stopped, or come to their end; one was merely run; the process ends in
/// order, or is killed. Guarantees: G9: exactly the one that should run is started again, from its checkpoint; the
/// others can be started by name.
#[tokio::test(start_paused = true)]
async fn what_was_active_is_resumed() {
    for killed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let feeds: HashMap<&str, Feed> = ["runs", "paused", "stopped", "ends", "foreground"]
            .map(|name| (name, if name == "ends" { Feed::finite() } else { Feed::endless() }))
            .into();
        let runtime = open(&directory).await;
        let mut events = runtime.events();
        for (name, feed) in &feeds {
            let mut spec = feed.spec(name);
            spec.source =
                Some(DefinitionSource { text: format!("name = \"{name}\""), path: "a.toml".into() });
            match *name {
                "foreground" => runtime.run(spec).await.unwrap(),
                _ => runtime.apply(spec).await.unwrap(),
            };
        }
        wait_for(&mut events, "runs", |kind| matches!(kind, EventKind::Idle)).await;
        runtime.pause("paused").await.unwrap();
        runtime.stop("stopped").await.unwrap();
        while runtime.status("ends").await.unwrap().desired != Some(Desired::Finished) {
            tokio::task::yield_now().await;
        }
        if killed {
            let store = Arc::downgrade(runtime.store());
            drop(runtime);
            while store.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        } else {
            runtime.shutdown(PATIENCE).await.unwrap();
        }

        let runtime = open(&directory).await;
        let mut events = runtime.events();
        let mut texts = Vec::new();
        let resolve = |definition: &StoredDefinition| {
            texts.push(definition.source.clone().unwrap().text);
            Ok(feeds[definition.name.as_str()].spec(&definition.name))
        };
        let resumed = runtime.resume_active(resolve).await.unwrap();
        let started: Vec<&str> = resumed.started.iter().map(|handle| handle.name().as_str()).collect();
        assert_eq!((started.as_slice(), resumed.failed.len()), (&["runs"][..], 0), "killed: {killed}");
        assert!(texts.contains(&"name = \"runs\"".to_owned()) && texts.len() == 4);
        wait_for(&mut events, "runs", |kind| matches!(kind, EventKind::Idle)).await;
        feeds["runs"].assert_shown();
        assert!(matches!(runtime.status("paused").await.unwrap().state, PipelineState::NotStarted));
        runtime.resume("paused").await.unwrap();
        wait_for(&mut events, "paused", |kind| matches!(kind, EventKind::Idle)).await;
        feeds["paused"].assert_shown();
        runtime.start("stopped").await.unwrap();
        let list: Vec<String> = runtime.list().iter().map(ToString::to_string).collect();
        assert_eq!(list, ["ends", "paused", "runs", "stopped"]);
        runtime.shutdown(PATIENCE).await.unwrap();
    }
}

/// Scenario: definitions that can't be resolved, or give another pipeline. Guarantees: they are reported, and keep
/// nobody from starting.
#[tokio::test(start_paused = true)]
async fn a_bad_definition_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let feed = Feed::endless();
    for name in ["a", "b", "c"] {
        runtime.apply(feed.spec(name)).await.unwrap();
    }
    runtime.shutdown(PATIENCE).await.unwrap();
    let runtime = open(&directory).await;
    let resumed = runtime
        .resume_active(|definition| match definition.name.as_str() {
            "a" => Err(Error::config("it is gone")),
            "b" => Ok(feed.spec("other")),
            _ => Ok(Feed::endless().spec("c")),
        })
        .await
        .unwrap();
    assert_eq!(resumed.started[0].name().as_str(), "c");
    let errors: Vec<String> = resumed.failed.iter().map(ToString::to_string).collect();
    assert!(errors[0].contains("it is gone") && errors[1].contains("`other`"), "{errors:?}");
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a running pipeline is applied anew, with other records. Guarantees: the old run ends in order before the
/// new one starts, and the new one goes on from its checkpoint.
#[tokio::test(start_paused = true)]
async fn applying_replaces() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let mut events = runtime.events();
    let mut feed = Feed::endless();
    let old = runtime.apply(feed.spec("a")).await.unwrap();
    wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Idle)).await;
    feed.script.items = Arc::new(records(150));
    runtime.apply(feed.spec("a")).await.unwrap();
    assert_eq!(old.wait().await.unwrap().end, afferent_core::engine::End::Stopped);
    wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Idle)).await;
    feed.assert_shown();
    runtime.remove("a").await.unwrap();
    assert!(runtime.store().definitions().await.unwrap().is_empty());
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a second process opens the directory. Guarantees: it is told who holds it, and changes nothing; after the
/// first has ended it gets in. Nobody else can read the files.
#[tokio::test(start_paused = true)]
async fn one_process_per_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state");
    let first = Runtime::open(&path, options()).await.unwrap();
    let error = Runtime::open(&path, options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CantCreate);
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&path), mode(&path.join(DATABASE)), mode(&path.join("lock"))),
            (0o700, 0o600, 0o600)
        );
    }
    first.shutdown(PATIENCE).await.unwrap();
    let second = Runtime::open(&path, options()).await.unwrap();
    drop((first, second));
    Runtime::open(&path, options()).await.unwrap();
}

/// Scenario: the state database is damaged. Guarantees: G5: an error that says what to do; on request it is set aside
/// and everything begins anew.
#[tokio::test(start_paused = true)]
async fn a_damaged_database_is_set_aside_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    runtime.apply(Feed::endless().spec("a")).await.unwrap();
    let id = runtime.store().id();
    runtime.shutdown(PATIENCE).await.unwrap();
    let options = || options();
    let file = directory.path().join(DATABASE);
    let disk = options().disk;
    disk.open(&file, afferent_core::disk::OpenMode::Write).unwrap().write_at(0, &[0; 4096]).unwrap();
    let error = Runtime::open(directory.path(), options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    let options = RuntimeOptions { set_aside_damaged: true, random: Random::from_seed(2), ..options() };
    let runtime = Runtime::open(directory.path(), options).await.unwrap();
    assert_ne!(runtime.store().id(), id);
    assert!(runtime.store().definitions().await.unwrap().is_empty());
    assert!(disk.info(&directory.path().join("state.redb.damaged-1")).unwrap().is_some());
    runtime.shutdown(PATIENCE).await.unwrap();
}
