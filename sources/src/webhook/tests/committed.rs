//! `ack = "committed"`.

use std::time::Duration;

use futures::{FutureExt, poll};
use serde_json::json;

use super::*;

/// Scenario: bodies are posted, pulled and committed, in this order; the same again meanwhile and afterwards. Guarantees: G1,
/// 2xx only after the commit that covers all records of the body, for repeats as well; 503 when that takes too long.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_commit() {
    let mut world = World::new(json!({ "ack": "committed", "ack_timeout": "60s" })).await;
    world.around.limits.records = 2;
    world.reopen().await;
    let client = world.client().await;
    let body = post(array(0..5)).with("webhook-id", "msg_1");
    let mut first = client.send(body.clone()).boxed();
    let mut repeat = client.send(body.clone()).boxed();
    assert!(poll!(&mut first).is_pending() && poll!(&mut repeat).is_pending());
    // Three pulls hold it, and one says that it is drained.
    let mut given = Vec::new();
    while given.len() < 5 {
        let pull = world.pull();
        let pulled = tokio::select! {
            pulled = pull => pulled,
            got = &mut first => panic!("answered early: {got:?}"),
            got = &mut repeat => panic!("answered early: {got:?}"),
        };
        given.extend(numbers(&pulled.batch));
        if given.len() < 5 {
            world.commit();
        }
    }
    let patience = Duration::from_millis(50);
    assert!(tokio::time::timeout(patience, &mut first).await.is_err(), "its last record is not committed");
    world.commit();
    for got in [first.await, repeat.await, client.send(body).await] {
        assert_eq!((got.status, got.body), (200, json!({ "records": 5 })));
    }
    assert_eq!(given, [0, 1, 2, 3, 4]);
}

/// Scenario: a sink that is away; then the pipeline starts again, and commits. Guarantees: G1, G2: 503 after `ack_timeout`; a
/// repeat waits for the commit of what is stored already, also after a restart, and nothing is stored twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_waits_for_the_same_commit() {
    let mut world = World::new(json!({ "ack": "committed", "ack_timeout": "50ms" })).await;
    let body = post(array([7])).with("webhook-id", "msg_1");
    for _ in 0..2 {
        let got = world.client().await.send(body.clone()).await;
        assert_eq!((got.status, got.header("retry-after")), (503, Some("1")));
        world.reopen().await;
    }
    assert_eq!(world.drain().await, [7]);
    assert_eq!(world.client().await.send(body.clone()).await.status, 503, "pulled is not committed");
    world.commit();
    assert_eq!(world.client().await.send(body.clone()).await.status, 200);
    // A life that begins behind it knows that it is committed.
    world.reopen().await;
    assert_eq!(world.client().await.send(body).await.status, 200);
    assert!(world.drain().await.is_empty());
}
