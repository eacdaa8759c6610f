//! What an idle pipeline costs.
#![cfg(target_os = "linux")]

use afferent_core::mailbox::Activity;

use super::*;

/// Pipelines to measure with; as many are there before, so that what is paid once is not counted.
const COUNT: usize = 2000;
/// A hundred thousand of them must fit in one process, with room to spare on a machine of 4 GiB.
const MOST_BYTES: usize = 20 << 10;

/// Resident memory of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Runs `COUNT` pipelines that have nothing to do, and waits until each has noticed.
async fn idle(runtime: &Runtime, prefix: &str) {
    let feed = Feed { script: Script { finite: false, ..Script::new(Vec::new()) }, ..Feed::finite() };
    let mut events = runtime.events();
    let mut handles = Vec::new();
    for number in 0..COUNT {
        handles.push(runtime.run(feed.spec(&format!("{prefix}-{number}"))).await.unwrap());
    }
    for handle in handles {
        while handle.status().await.unwrap().activity != Activity::Idle {
            // Falling behind is allowed: there are more events than the queue holds.
            let _ = events.recv().await;
        }
    }
}

/// Scenario: four thousand pipelines run and have nothing to do. Guarantees: G7: what each costs is bounded, and they
/// share commits.
#[tokio::test]
async fn an_idle_pipeline_is_small() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    idle(&runtime, "first").await;
    let before = resident();
    idle(&runtime, "second").await;
    let each = resident().saturating_sub(before) / COUNT;
    let commits = runtime.store().commits();
    println!("{each} bytes of resident memory per idle pipeline; {commits} commits for {} writes", 4 * COUNT);
    assert!(each <= MOST_BYTES, "{each} bytes per idle pipeline");
    assert!(commits < COUNT as u64 / 4, "{commits} commits");
    runtime.shutdown(PATIENCE).await.unwrap();
}
