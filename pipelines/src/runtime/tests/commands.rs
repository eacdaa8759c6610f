//! Tests of runs and commands.

use afferent_core::{Epoch, ErrorKind, engine::End, mailbox::Activity};

use super::*;

async fn activity(runtime: &Runtime, name: &str) -> Activity {
    match runtime.status(name).await.unwrap().state {
        PipelineState::Active(status) => status.activity,
        other => panic!("{other:?}"),
    }
}

/// Scenario: a finite pipeline is run to its end and awaited by two; then it is run again. Guarantees: G1, G2; nothing
/// but its checkpoints is stored.
#[tokio::test(start_paused = true)]
async fn a_finite_pipeline_is_run_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::finite());
    let handle = runtime.run(feed.spec("a")).await.unwrap();
    let (one, two) = futures::future::join(handle.wait(), handle.clone().wait()).await;
    let outcome = one.unwrap();
    assert_eq!((outcome.end, two.unwrap().end), (End::Finished, End::Finished));
    assert_eq!(outcome.ledger.accounts["sink"].delivered, 100);
    feed.assert_shown();
    let status = runtime.status("a").await.unwrap();
    assert!(matches!(status.state, PipelineState::Ended(_)), "{status:?}");
    assert_eq!(status.desired, None);
    assert!(runtime.store().definitions().await.unwrap().is_empty());

    let again = runtime.run(feed.spec("a")).await.unwrap().wait().await.unwrap();
    assert!(again.epoch >= outcome.epoch);
    feed.assert_shown();
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: every command, on a pipeline that runs, is paused, and has ended. Guarantees: each is answered when its
/// effect is there.
#[tokio::test(start_paused = true)]
async fn commands_are_answered_when_done() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::endless());
    let mut events = runtime.events();
    let handle = runtime.run(feed.spec("a")).await.unwrap();
    wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Idle)).await;
    feed.assert_shown();
    assert_eq!(activity(&runtime, "a").await, Activity::Idle);
    let twice = runtime.run(feed.spec("a")).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Config);
    assert!(runtime.checkpoint("a").await.unwrap() >= Epoch(1));
    runtime.pause("a").await.unwrap();
    assert_eq!(activity(&runtime, "a").await, Activity::Paused);
    runtime.resume("a").await.unwrap();
    assert_ne!(activity(&runtime, "a").await, Activity::Paused);
    runtime.stop("a").await.unwrap();
    assert_eq!(handle.wait().await.unwrap().end, End::Stopped);
    runtime.stop("a").await.unwrap();
    assert_eq!(runtime.drain("a", None).await.unwrap(), 0);
    assert_eq!(runtime.checkpoint("a").await.unwrap_err().kind(), ErrorKind::State);
    assert_eq!(handle.status().await.unwrap_err().kind(), ErrorKind::State);

    let handle = runtime.start("a").await.unwrap();
    assert_eq!(runtime.drain("a", None).await.unwrap(), 0);
    assert_eq!(handle.wait().await.unwrap().end, End::Stopped);
    runtime.resume("a").await.unwrap();
    assert!(matches!(runtime.status("a").await.unwrap().state, PipelineState::Active(_)));
    assert_eq!(runtime.start("b").await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(runtime.run(feed.spec("../a")).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(runtime.list(), ["a".into()]);
    runtime.shutdown(PATIENCE).await.unwrap();
    assert!(runtime.start("a").await.unwrap_err().kind().is_retryable(), "nothing starts after shutdown");
}

/// Scenario: a pipeline is forgotten, while it runs and afterwards. Guarantees: refused while it runs; then it begins
/// anew.
#[tokio::test(start_paused = true)]
async fn forgetting_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::finite());
    runtime.run(feed.spec("a")).await.unwrap().wait().await.unwrap();
    feed.assert_shown();
    let endless = runtime.run(Feed::endless().spec("b")).await.unwrap();
    assert_eq!(runtime.forget("b").await.unwrap_err().kind(), ErrorKind::Config);
    endless.kill();
    assert_eq!(endless.wait().await.unwrap().end, End::Killed);
    runtime.forget("b").await.unwrap();
    runtime.forget("never heard of").await.unwrap();
    runtime.forget("a").await.unwrap();
    runtime.run(feed.spec("a")).await.unwrap().wait().await.unwrap();
    assert_eq!(feed.shown.visible().len(), 200);
    runtime.remove("a").await.unwrap();
    assert_eq!(runtime.list(), ["b".into()]);
    runtime.shutdown(PATIENCE).await.unwrap();
}
