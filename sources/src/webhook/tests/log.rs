//! What is stored is read, once, in order; ids hold across restarts.

use std::time::Duration;

use afferent_core::testing::{Fault, Op, SimDisk, Surroundings, source_contract};
use serde_json::json;

use super::*;

/// Scenario: bodies of one record and of many, as arrays and as lines; the source is stopped after every pull and another
/// one goes on. Guarantees: G1, G2, G3, every record once and in order, across pulls that end within a body; G7, a pull
/// keeps its limits.
#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_sources_holds() {
    let mut around = Surroundings::new();
    around.limits.records = 7;
    let listeners = Listeners::new();
    let make = || Webhook::new(config(json!({})), listeners.clone());
    let mut source = make();
    afferent_core::Source::open(&mut source, around.source(None)).await.unwrap();
    let client = Client::new(listeners.bound().await[0]);
    let mut next = 0;
    for count in [1, 30, 2, 7, 14, 1] {
        let body = if count % 2 == 0 {
            array(next..next + count)
        } else {
            (next..next + count).map(record).collect::<Vec<_>>().join("\n")
        };
        let got = client.send(post(body)).await;
        assert_eq!((got.status, got.body), (202, json!({ "records": count })));
        next += count;
    }
    drop(source);
    around.blocking.idle().await;
    let all = source_contract(make, &around, 100).await;
    assert_eq!(numbers(&all), (0..next).collect::<Vec<_>>());
}

/// Scenario: an id again: at once, after a restart, after its body was committed and trimmed, after four days; and with
/// another body. Guarantees: G2, a repeat stores nothing and gets the same answer for as long as ids are kept; another body
/// under the id is refused, not lost in silence.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_stored_once() {
    let mut world = World::new(json!({ "max_bytes": "1MiB", "max_body": "64KiB" })).await;
    let first = post(array(0..3)).with("webhook-id", "msg_1");
    let expected = world.client().await.send(first.clone()).await;
    assert_eq!(expected.status, 202);
    for _ in 0..3 {
        let client = world.client().await;
        let again = client.send(first.clone()).await;
        assert_eq!((again.status, again.body), (202, expected.body.clone()));
        // The same content, in another form of transfer.
        let other = post(array(0..4)).with("webhook-id", "msg_1");
        assert_eq!(client.send(other).await.status, 409);
        // Another header is another name.
        world.clock.pass(Duration::from_secs(24 * 3600 - 60));
        world.drain().await;
        world.commit();
        // Enough to trim the first one away.
        for number in 0..40 {
            let filler = format!("[{}{}]", record(1000 + number), " ".repeat(30_000));
            let got = client
                .send(post(filler).with("idempotency-key", format!("{number}-{}", world.clock.seconds())))
                .await;
            assert_eq!(got.status, 202, "{:?}", got.body);
            world.drain().await;
            world.commit();
        }
        world.reopen().await;
    }
    let given = world.drain().await;
    assert!(!given.contains(&0), "it was stored again");
    world.clock.pass(Duration::from_secs(24 * 3600 + 600));
    assert_eq!(world.client().await.send(first).await.status, 202);
    assert_eq!(world.drain().await, [0, 1, 2], "after four days it is new");
}

/// Scenario: the same id ten times at once, among others. Guarantees: G2, one is stored, all get the same answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_in_flight_waits_for_the_first() {
    let mut world = World::new(json!({})).await;
    let client = world.client().await;
    let posts = (0..100_u64).map(|number| {
        let id = number % 10;
        client.send(post(array([id])).with("webhook-id", format!("msg_{id}")))
    });
    for got in futures::future::join_all(posts).await {
        assert_eq!(got.status, 202);
    }
    let mut given = world.drain().await;
    given.sort_unstable();
    assert_eq!(given, (0..10).collect::<Vec<_>>());
}

/// Scenario: no checkpoint, but a log with bodies that were acknowledged. Guarantees: G1, they are read.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_checkpoint_nothing_is_lost() {
    let mut world = World::new(json!({})).await;
    assert_eq!(world.client().await.send(post(array(0..5))).await.status, 202);
    assert_eq!(world.drain().await.len(), 5);
    world.position = None;
    world.reopen().await;
    assert_eq!(world.drain().await, [0, 1, 2, 3, 4]);
    assert!(world.told().iter().any(|told| told.contains("no checkpoint")), "{:?}", world.told);
}

/// Scenario: a sync fails while bodies are stored, or a write does. Guarantees: G1, no 2xx for what is not on disk; G5, the
/// source says `Transient` once and goes on with a new log; a repeat under the same id finds out, and is stored once.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_told_and_healed() {
    for (op, seed) in [(Op::Sync, 1), (Op::Write, 2), (Op::Sync, 3), (Op::Write, 4)] {
        let mut world = World::on(SimDisk::new(seed), json!({})).await;
        let client = world.client().await;
        assert_eq!(client.send(post(array([1])).with("webhook-id", "a")).await.status, 202);
        world.drain().await;
        world.disk.fail(Some(op), 0, Fault::Io);
        let body = post(array([2])).with("webhook-id", "b");
        let got = client.send(body.clone()).await;
        assert_eq!((got.status, got.body["error"].as_str()), (503, Some("unavailable")));
        assert!(got.header("retry-after").is_some());
        assert_eq!(client.send(post(array([3])).with("webhook-id", "c")).await.status, 503, "all are told");
        let error = world.source.as_mut().unwrap();
        let error = afferent_core::Source::next(error).await.unwrap_err();
        assert!(matches!(error.kind(), afferent_core::ErrorKind::Transient { .. }), "{error}");
        world.disk.heal();
        let mut given = world.drain().await;
        assert_eq!(client.send(body).await.status, 202);
        given.extend(world.drain().await);
        assert_eq!(given, [2], "{op:?}, seed {seed}");
    }
}

/// Scenario: a small log, a sink that is away, then back. Guarantees: G7, G11, 429 with `Retry-After` when it is full, and
/// nothing of what was acknowledged is lost; G6, committing makes room, even where only older checkpoints are in the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_pushes_back() {
    let mut world = World::new(json!({ "max_bytes": "512KiB", "max_body": "64KiB" })).await;
    let client = world.client().await;
    let body = |number: u64| post(format!("[{}{}]", record(number), " ".repeat(50_000)));
    let mut stored = 0;
    let refused = loop {
        let got = client.send(body(stored)).await;
        if got.status != 202 {
            break got;
        }
        stored += 1;
        assert!(stored < 20, "the log is bounded");
    };
    assert_eq!((refused.status, refused.body["error"].as_str()), (429, Some("full")));
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(world.drain().await, (0..stored).collect::<Vec<_>>());
    // The oldest checkpoint that is kept is behind by two, as the runtime's are.
    let mut kept: std::collections::VecDeque<_> = [None, None].into();
    for _ in 0..4 {
        kept.push_back(world.position.clone());
        let oldest = kept.pop_front().unwrap();
        let committed =
            afferent_core::Committed { pulls: world.pulls, position: oldest, ..Default::default() };
        world.around.committed.send_replace(committed);
        // It asks for another checkpoint for as long as the log is full.
        let pull = tokio::time::timeout(Duration::from_millis(200), world.pull());
        match pull.await {
            Ok(pulled) => assert!(pulled.is_drained()),
            Err(_) => break,
        }
    }
    assert_eq!(client.send(body(stored)).await.status, 202, "there is room again");
    assert_eq!(world.drain().await, [stored]);
}

/// Scenario: more ids than may be kept, within the time of replays and after it. Guarantees: G7, G11: 429 while a replay could
/// pass for new, the oldest is forgotten with an alarm afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn ids_are_bounded() {
    let mut world = World::new(json!({ "max_ids": 10 })).await;
    let client = world.client().await;
    let body = |number: u64| post(array([number])).with("webhook-id", format!("msg_{number}"));
    for number in 0..10 {
        assert_eq!(client.send(body(number)).await.status, 202);
    }
    assert_eq!(client.send(body(10)).await.status, 429);
    assert_eq!(client.send(body(3)).await.status, 202, "known ones are still known");
    world.clock.pass(REPLAY_WINDOW + Duration::from_secs(1));
    assert_eq!(client.send(body(10)).await.status, 202);
    assert!(world.told().iter().any(|told| told.contains("max_ids")), "{:?}", world.told);
    world.reopen().await;
    let client = world.client().await;
    assert_eq!(client.send(body(10)).await.status, 202);
    assert_eq!(world.drain().await, (0..11).collect::<Vec<_>>());
}

/// Scenario: bytes of the log rot. Guarantees: G1, G5: an alarm with what is lost, and reading goes on behind it.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_and_passed_over() {
    let mut world = World::new(json!({})).await;
    let client = world.client().await;
    for number in 0..5 {
        assert_eq!(client.send(post(array([number]))).await.status, 202);
    }
    world.close().await;
    let segment = afferent_core::disk::Disk::list(&world.disk, "/state/source/log".as_ref()).unwrap();
    let segment = segment.iter().find(|path| path.extension().is_some_and(|end| end == "log")).unwrap();
    // In the second entry: header, frame, head.
    world.disk.flip(segment, (576 + 300) * 8).unwrap();
    world.open().await;
    let given = world.drain().await;
    assert!(given.len() < 5 && given.ends_with(&[4]), "{given:?}");
    assert!(
        world.told().iter().any(|told| told.starts_with("alarm") && told.contains("lost")),
        "{:?}",
        world.told
    );
}

/// Scenario: pipelines at one address: on two paths, on the same path, with other settings; one goes and comes back. Guarantees:
/// each gets its own, what can't be is `Config` and says what differs.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_shared() {
    let mut one = World::new(json!({})).await;
    let address = one.listeners.bound().await[0];
    let at = |path: &str, more: serde_json::Value| {
        let mut keys = json!({ "listen": address.to_string(), "path": path });
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        keys
    };
    let mut two = World::closed(SimDisk::new(2), config(at("/two", json!({}))));
    two.listeners = one.listeners.clone();
    two.open().await;
    let client = Client::new(address);
    let to_two = |number| Post { path: "/two".to_owned(), ..post(array([number])) };
    assert_eq!(client.send(post(array([1]))).await.status, 202);
    assert_eq!(client.send(to_two(2)).await.status, 202);
    assert_eq!((one.drain().await, two.drain().await), (vec![1], vec![2]));

    for (path, more, says) in [
        ("/in", json!({}), "another pipeline receives"),
        ("/three", json!({ "timeouts": { "header": "1s" } }), "another `timeouts`"),
        ("/three", json!({ "connections": 3 }), "another `connections`"),
    ] {
        let mut other = World::closed(SimDisk::new(3), config(at(path, more)));
        other.listeners = one.listeners.clone();
        let error = other.try_open().await.unwrap_err();
        assert_eq!(error.kind(), afferent_core::ErrorKind::Config);
        assert!(error.message().contains(says), "{error}");
    }
    two.close().await;
    assert_eq!(client.send(to_two(3)).await.status, 404);
    two.open().await;
    assert_eq!(client.send(to_two(3)).await.status, 202);
    // The last one goes, and the address with it; it can be bound again at once.
    (one.config.listen, two.config.listen) = (address.to_string(), address.to_string());
    two.close().await;
    one.close().await;
    one.open().await;
    assert_eq!(client.send(post(array([4]))).await.status, 202);
    assert_eq!(one.drain().await, [4]);
    // Another program has it.
    let mut stranger = World::closed(SimDisk::new(4), one.config.clone());
    let error = stranger.try_open().await.unwrap_err();
    assert_eq!(error.kind(), afferent_core::ErrorKind::CantCreate, "{error}");
}
