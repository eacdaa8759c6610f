//! What an idle pipeline costs.

use super::*;

/// Pipelines to measure with.
const COUNT: usize = 10_000;
/// A hundred thousand of them must fit in one process, with room to spare on a machine of 4 GiB.
const MOST_BYTES: usize = 24 << 10;

/// Resident memory of this process.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Scenario: ten thousand pipelines are applied and have nothing to do. Guarantees: G7: what each costs is bounded, and
/// they share commits.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_idle_pipeline_is_small() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let feed = Feed { script: Script { finite: false, ..Script::new(Vec::new()) }, ..Feed::finite() };
    let names: Vec<String> = (0..COUNT).map(|number| format!("pipeline-{number}")).collect();
    let mut events = runtime.events();
    let before = resident();
    let handles = futures::future::join_all(names.iter().map(|name| runtime.run(feed.spec(name)))).await;
    assert!(handles.iter().all(Result::is_ok));
    let mut idle = 0;
    while idle < COUNT {
        match events.recv().await {
            Ok(event) => idle += usize::from(matches!(event.kind, EventKind::Idle)),
            // Falling behind is allowed; whoever did asks instead.
            Err(broadcast::error::RecvError::Lagged(_)) => {
                idle = 0;
                for handle in handles.iter().flatten() {
                    let status = handle.status().await.unwrap();
                    idle += usize::from(status.activity == afferent_core::mailbox::Activity::Idle);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    let each = resident().saturating_sub(before) / COUNT;
    println!("{each} bytes of resident memory per idle pipeline, {} commits", runtime.store().commits());
    assert!(each <= MOST_BYTES, "{each} bytes per idle pipeline");
    assert!(runtime.store().commits() < COUNT as u64 / 10);
    runtime.shutdown(PATIENCE).await.unwrap();
}
