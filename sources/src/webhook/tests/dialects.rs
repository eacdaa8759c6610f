//! Bodies in the dialects of other programs.

use afferent_core::Limits;
use serde_json::json;

use super::*;

/// A sample of health_kit_reporter.
fn sample(value: &str) -> String {
    format!(
        "{{\"identifier\":\"HKQuantityTypeIdentifierStepCount\",\"startTimestamp\":1735689600,\
         \"harmonized\":{{\"value\":{value},\"unit\":\"count\"}}}}"
    )
}

fn event(values: impl IntoIterator<Item = String>) -> String {
    let samples: Vec<String> = values.into_iter().map(|value| sample(&value)).collect();
    format!("{{\"samples\":[{}],\"deletedObjects\":[]}}", samples.join(","))
}

/// Scenario: bodies of health_kit_reporter, one with a bad record among good ones, one with nothing, one that is no JSON.
/// Guarantees: G1, G11, the good records are delivered and the bad one is dead-lettered alone, with its place; what is no JSON
/// is refused and not stored; G8, no answer holds a value.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_does_not_keep_the_others() {
    let mut world = World::new(json!({ "format": "health_kit_reporter" })).await;
    let client = world.client().await;
    let got = client.send(post(event(["1", "\"4711\"", "2"].map(String::from)))).await;
    assert_eq!((got.status, got.body), (202, json!({ "records": 2, "rejected": 1 })));
    let got = client.send(post(event([]))).await;
    assert_eq!((got.status, got.body), (202, json!({ "records": 0 })));
    for broken in ["{\"samples\":[4711", "4711 secret", "{\"samples\":}"] {
        let got = client.send(post(broken)).await;
        assert_eq!((got.status, got.body["error"].as_str()), (400, Some("malformed")), "{broken}");
        let text = got.body.to_string();
        assert!(!text.contains("4711") && !text.contains("secret"), "{text}");
    }
    let pulled = world.pull().await;
    assert_eq!(numbers(&pulled.batch), [1, 2]);
    let [reject] = &pulled.rejects[..] else { panic!("one reject: {:?}", pulled.rejects) };
    assert_eq!(reject.location, "webhook entry 0:1");
    assert_eq!(reject.payload.bytes(), sample("\"4711\"").as_bytes());
}

/// Scenario: bodies of many records, read a few at a time, the source stopped after every pull. Guarantees: G1, G2, each record
/// comes once wherever reading is taken up again.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_resumed_anywhere() {
    let mut world = World::new(json!({ "format": "health_kit_reporter" })).await;
    for from in [0, 40] {
        let client = world.client().await;
        let body = event((from..from + 40).map(|number: u64| number.to_string()));
        assert_eq!(client.send(post(body)).await.status, 202);
    }
    world.around.limits = Limits { records: 7, bytes: 1 << 20 };
    let mut all = Vec::new();
    loop {
        world.reopen().await;
        let pulled = world.pull().await;
        assert!(pulled.rejects.is_empty());
        all.extend(numbers(&pulled.batch));
        if pulled.is_drained() {
            break;
        }
    }
    assert_eq!(all, (0..80).collect::<Vec<_>>());
}

/// Scenario: a pipeline whose `format` is changed while bodies of the one before are in its log. Guarantees: G1, each body is
/// read as what it was sent as.
#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_is_changed_leaves_the_log_readable() {
    let mut world = World::new(json!({})).await;
    for (format, body) in [
        ("csv", array([1])),
        ("health_kit_reporter", "type,start,value,unit\nStepCount,2025-01-31T08:00:00Z,2,count\n".to_owned()),
        ("json", event(["3".to_owned()])),
    ] {
        let kind = if body.starts_with("type") { "text/csv" } else { "application/json" };
        assert_eq!(
            world.client().await.send(post(body).with("content-type", kind)).await.status,
            202,
            "{format}"
        );
        world.config = config(json!({ "format": format }));
        world.reopen().await;
    }
    assert_eq!(world.drain().await, [1, 2, 3]);
}

/// Scenario: CSV with a bad row, without a usable header, and as JSON. Guarantees: as above.
#[tokio::test(flavor = "multi_thread")]
async fn csv_is_received() {
    let mut world = World::new(json!({ "format": "csv" })).await;
    let client = world.client().await;
    let csv = |body: &str| post(body).with("content-type", "text/csv; charset=utf-8");
    let rows = "type,start,value,unit\nStepCount,2025-01-31T08:00:00Z,1,count\nStepCount,then,2,count\nStepCount,2025-01-31T08:00:00Z,3,count";
    let got = client.send(csv(rows)).await;
    assert_eq!((got.status, got.body), (202, json!({ "records": 2, "rejected": 1 })));
    let got = client.send(csv(rows)).await;
    assert_eq!(got.status, 202, "the header is read anew: {}", got.body);
    assert_eq!(client.send(csv("start,value\n2025-01-31T08:00:00Z,1\n")).await.status, 400);
    assert_eq!(client.send(post("[]")).await.status, 415);
    let pulled = world.pull().await;
    assert_eq!((numbers(&pulled.batch), pulled.rejects.len()), (vec![1, 3, 1, 3], 2));
}
