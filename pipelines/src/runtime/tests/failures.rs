//! Tests of panics, defects and pipelines that hang.

use std::error::Error as _;

use afferent_core::{Error, ErrorKind, engine::End, mailbox::Activity};

use super::*;

/// Scenario: one pipeline panics three times, another runs beside it. Guarantees: G1, G2, G5: the first starts again
/// from its checkpoint, each time after a wait, and loses nothing; the second notices nothing.
#[tokio::test(start_paused = true)]
async fn a_panic_reaches_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let mut events = runtime.events();
    let (bad, good) = (Feed::finite().failing(3, true), Feed::endless());
    let undisturbed = runtime.run(good.spec("good")).await.unwrap();
    let panicking = runtime.run(bad.spec("bad")).await.unwrap();
    assert_eq!(panicking.wait().await.unwrap().end, End::Finished);
    bad.assert_shown();
    let generation = undisturbed.status().await.unwrap().generation;
    runtime.shutdown(PATIENCE).await.unwrap();
    good.assert_shown();
    let (mut failed, mut retried) = (0, 0);
    while let Ok(event) = events.try_recv() {
        let bad = event.pipeline.as_str() == "bad";
        match event.kind {
            EventKind::Failed { .. } => failed += i32::from(bad) * 10 + 1,
            EventKind::Retrying { after_ms, .. } => {
                assert!(bad && after_ms <= 8000);
                retried += 1;
            }
            _ => {}
        }
    }
    assert_eq!((failed, retried), (33, 3));
    assert_eq!(generation, Some(afferent_core::Generation(1)), "the other one was never started again");
}

/// Scenario: a pipeline that fails for ever, run in the foreground, and applied. Guarantees: the first ends with the
/// defect; the second is started again for ever, each time within the longest back-off (G6).
#[tokio::test(start_paused = true)]
async fn only_what_was_applied_is_restarted_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let mut events = runtime.events();
    let feed = Feed::finite().failing(u32::MAX, false);
    let error = runtime.run(feed.spec("a")).await.unwrap().wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug);
    assert_eq!(u32::MAX - feed.trouble.left.load(Ordering::SeqCst), MAX_RESTARTS + 1);

    runtime.apply(feed.spec("b")).await.unwrap();
    for _ in 0..5 * MAX_RESTARTS {
        let before = afferent_core::clock::instant();
        wait_for(&mut events, "b", |kind| matches!(kind, EventKind::Retrying { .. })).await;
        assert!(before.elapsed() <= Duration::from_secs(8));
    }
    runtime.stop("b").await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: commands arrive while a pipeline backs off. Guarantees: each is answered; a pause holds it, resuming
/// starts it at once, stopping ends it.
#[tokio::test(start_paused = true)]
async fn commands_are_answered_while_it_backs_off() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let mut events = runtime.events();
    let feed = Feed::endless().failing(8, true);
    let handle = runtime.apply(feed.spec("a")).await.unwrap();
    let failed = |kind: &EventKind| matches!(kind, EventKind::Retrying { .. });
    for _ in 0..6 {
        wait_for(&mut events, "a", failed).await;
    }
    runtime.pause("a").await.unwrap();
    let status = handle.status().await.unwrap();
    assert_eq!(status.activity, Activity::Paused);
    assert!(status.reason.unwrap().contains("panicked"));
    assert!(runtime.checkpoint("a").await.unwrap_err().kind().is_retryable());
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(feed.trouble.left.load(Ordering::SeqCst), 2, "a pause holds it");
    assert_eq!(runtime.status("a").await.unwrap().desired, Some(crate::state::Desired::Paused));
    runtime.resume("a").await.unwrap();
    wait_for(&mut events, "a", failed).await;
    runtime.stop("a").await.unwrap();
    assert!(matches!(handle.wait().await, Ok(outcome) if outcome.end == End::Stopped));
    let handle = runtime.start("a").await.unwrap();
    wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Idle)).await;
    feed.assert_shown();
    handle.kill();
    assert_eq!(handle.wait().await.unwrap().end, End::Killed);
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: stages can't be made. Guarantees: an error that trying again can't mend ends the pipeline; each who waits
/// gets it whole, cause included; what should run stays so.
#[tokio::test(start_paused = true)]
async fn what_cannot_heal_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let spec = PipelineSpec::new("a", Settings::default(), || {
        Err(Error::config("no such thing").at("sink").with_source(std::io::Error::other("the cause")))
    });
    let handle = runtime.apply(spec).await.unwrap();
    for _ in 0..2 {
        let error = handle.wait().await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Config, "sink: no such thing".to_owned()));
        assert_eq!(error.source().unwrap().to_string(), "the cause");
    }
    let status = runtime.status("a").await.unwrap();
    assert!(matches!(status.state, PipelineState::Failed(_)));
    assert_eq!(status.desired, Some(crate::state::Desired::Running));
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a sink never takes what it is given, at shutdown. Guarantees: the others stop in order, this one is killed
/// after the patience is over, and nothing of it is lost.
#[tokio::test(start_paused = true)]
async fn shutdown_kills_what_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let (mut hanging, other) = (Feed::endless(), Feed::endless());
    hanging.shown.gate = Arc::new(tokio::sync::Semaphore::new(50));
    let mut events = runtime.events();
    let stuck = runtime.apply(hanging.spec("stuck")).await.unwrap();
    let stopped = runtime.apply(other.spec("other")).await.unwrap();
    wait_for(&mut events, "other", |kind| matches!(kind, EventKind::Idle)).await;
    runtime.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!(stuck.wait().await.unwrap().end, End::Killed);
    assert_eq!(stopped.wait().await.unwrap().end, End::Stopped);

    hanging.shown.gate.add_permits(1000);
    let runtime = open(&directory).await;
    let mut events = runtime.events();
    let resumed = runtime.resume_active(|_| Ok(hanging.spec("stuck"))).await.unwrap();
    assert_eq!((resumed.started.len(), resumed.failed.len()), (1, 1));
    wait_for(&mut events, "stuck", |kind| matches!(kind, EventKind::Idle)).await;
    hanging.assert_shown();
    runtime.shutdown(PATIENCE).await.unwrap();
}
