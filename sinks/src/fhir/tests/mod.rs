//! A server in memory, over HTTP.

mod contract;
mod server;
mod smart;

use std::time::Duration;

use afferent_core::{
    Batch, Epoch, Kind, Name, Record, RecordId, Sink, Timestamp, Unit, Value, checkpoint::CheckpointStore,
    clock, config::Configure, testing::Surroundings,
};
use serde_json::{Value as Json, json};

use self::server::{Behaviour, Fhir};
use super::*;
use crate::{
    http::tests::server::{Server, json as answer},
    upload::{Compression, Outcome, SealedBody, Transport},
};

fn config(text: Json) -> Config {
    serde_json::from_value(text).unwrap()
}

fn record(number: u128, value: f64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000);
    let value = Value::Quantity(value, Unit::parse("count/min").unwrap());
    let record =
        Record::added(RecordId::from_u128(number), Kind::parse("HeartRate").unwrap(), start, start, value);
    Record { subject: Some("ada".into()), ..record }
}

fn corrected(record: Record, value: f64) -> Record {
    let value = Value::Quantity(value, Unit::parse("count/min").unwrap());
    Record { revision: record.revision + 1, value, ..record }
}

fn deleted(record: &Record) -> Record {
    Record { subject: record.subject.clone(), ..Record::deleted(record.id, record.kind) }
}

/// Sends the records in an epoch, and waits until nothing is pending; the letters, if any, and how many were refused.
async fn upload(config: Config, records: Vec<Record>) -> (u64, Surroundings) {
    let around = Surroundings::new();
    let mut sink = FhirSink::fhir(config);
    sink.open(around.sink(None, 1)).await.unwrap();
    let prepared = sink.prepare(Epoch(0)).await.unwrap();
    sink.commit(Epoch(0), prepared.token.as_ref()).await.unwrap();
    let mut batch: Batch<Record> = records.into_iter().collect();
    sink.write(&mut batch).await.unwrap();
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    sink.commit(Epoch(1), prepared.token.as_ref()).await.unwrap();
    while sink.pending() > 0 {
        clock::sleep(Duration::from_millis(5)).await;
    }
    let refused = sink.prepare(Epoch(2)).await.unwrap().refused;
    drop(sink);
    around.drivers.stop().await;
    (refused.total(), around)
}

fn values(fhir: &Fhir) -> Vec<(String, f64)> {
    let held = fhir.held();
    let one = |(identifier, there): (String, Vec<Json>)| {
        assert_eq!(there.len(), 1, "{identifier} is there once");
        (identifier[34..].to_owned(), there[0]["valueQuantity"]["value"].as_f64().unwrap())
    };
    held.into_iter().map(one).collect()
}

/// Scenario: additions, a correction, deletions, of records of the same epoch, to a server whose first answers are lost after
/// everything was carried out; as transactions and as batches, compressed or not. Guarantees: G1, G2 and G3: what is there
/// in the end is what the records say, once.
#[tokio::test]
async fn what_is_sent_again_changes_nothing() {
    for (bundle, loses) in [("transaction", 0), ("transaction", 4), ("batch", 0), ("batch", 4)] {
        let fhir = Fhir::new(Behaviour { loses, ..Behaviour::default() }).await;
        let (first, second, third) = (record(1, 60.0), record(2, 61.5), record(3, 62.0));
        let never = record(4, 63.0);
        let records = vec![
            first.clone(),
            second.clone(),
            third.clone(),
            corrected(second, 64.0),
            deleted(&third),
            deleted(&never),
            first,
        ];
        let url = format!("{}/fhir", fhir.server.url());
        let config = config(json!({ "url": url, "bundle": bundle, "lanes": 1 }));
        let (refused, _around) = upload(config, records).await;
        assert_eq!(refused, 0, "{bundle}");
        assert_eq!(values(&fhir), [("01".to_owned(), 60.0), ("02".to_owned(), 64.0)], "{bundle} {loses}");
    }
}

/// Scenario: one of many records is refused, with a text that repeats its value. Guarantees: G1, G8 and G11, the others are
/// there, the one is a dead letter whose reason has the server's codes and not its words; a batch costs one request.
#[tokio::test]
async fn a_refused_entry_is_a_dead_letter() {
    for bundle in ["transaction", "batch"] {
        let fhir = Fhir::new(Behaviour { refuses: Some(66.25), ..Behaviour::default() }).await;
        let records = (0..16_u8).map(|number| record(number.into(), 60.25 + f64::from(number))).collect();
        let url = format!("{}/fhir", fhir.server.url());
        let (refused, around) =
            upload(config(json!({ "url": url, "bundle": bundle, "lanes": 1 })), records).await;
        assert_eq!((refused, values(&fhir).len()), (1, 15), "{bundle}");
        assert!(values(&fhir).iter().all(|(_, value)| *value != 66.25));
        let requests = fhir.server.seen().len();
        assert_eq!(bundle == "batch", requests == 1, "{bundle}: {requests}");
        let letters = around.store.letters(&Name::from("test"), None, 10).await.unwrap();
        let [(_, letter)] = &letters[..] else { panic!("{} letters", letters.len()) };
        assert!(letter.reason.contains("422"), "{}", letter.reason);
        assert!(letter.reason.ends_with("OperationOutcome: value"), "{}", letter.reason);
        // It is the record, and can be put in again.
        assert_eq!(letter.payload.to_record(), Some(record(6, 66.25)));
    }
}

/// A body of so many entries; the last is a deletion.
fn body(entries: u32) -> SealedBody {
    let key = serde_json::from_value(json!(vec![7u8; 16])).unwrap();
    let methods = (1..=entries).map(|number| if number == entries { "DELETE" } else { "POST" });
    let entries_: Vec<Json> = methods.map(|method| json!({ "request": { "method": method } })).collect();
    let text = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries_ }).to_string();
    SealedBody { key, records: entries, compression: Compression::None, content: text.into() }
}

/// What becomes of a batch of three entries that is answered with `text`.
async fn outcome_of(code: u16, text: Json) -> Outcome {
    let server = Server::plain(move |_, _| answer(code, text.clone())).await;
    let around = Surroundings::new();
    let mut transport = FhirServer::new(config(json!({ "url": server.url(), "bundle": "batch" })));
    transport.open(&around.sink(None, 1)).await.unwrap();
    transport.send(&body(3)).await
}

/// Scenario: answers to a batch of three entries. Guarantees: G1 and G11, what the table of the module says: nothing that may not
/// be there counts as delivered.
#[tokio::test]
async fn answers_to_a_batch() {
    let of = async |statuses: [&str; 3]| {
        let entries: Vec<Json> =
            statuses.iter().map(|status| json!({ "response": { "status": status } })).collect();
        outcome_of(200, json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries })).await
    };
    assert_eq!(of(["201 Created", "200", "204"]).await, Outcome::Delivered);
    for gone in ["404", "410 Gone"] {
        assert_eq!(of(["201", "200", gone]).await, Outcome::Delivered);
        assert!(matches!(of([gone, "200", "204"]).await, Outcome::Partly { refused } if refused[0].0 == 0));
    }
    for bad in ["400", "412 Precondition Failed", "422", "405"] {
        let Outcome::Partly { refused } = of([bad, "200", bad]).await else { panic!("{bad}") };
        assert_eq!(refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
    }
    for (status, expected) in [
        ("401", "Unauthorized"),
        ("403", "Unauthorized"),
        ("429", "Unavailable"),
        ("503", "Unavailable"),
        ("408", "Later"),
        ("409", "Later"),
        ("", "Later"),
        ("fine", "Later"),
        ("100", "Later"),
    ] {
        let outcome = of(["201", status, "400"]).await;
        assert!(format!("{outcome:?}").starts_with(expected), "{status}: {outcome:?}");
    }
    for text in [
        json!({}),
        json!([1]),
        json!({ "entry": [{}, {}, {}] }),
        json!({ "entry": [{ "response": { "status": "201" } }] }),
    ] {
        let outcome = outcome_of(200, text.clone()).await;
        assert!(matches!(outcome, Outcome::Later { .. }), "{text}: {outcome:?}");
    }
    let issue =
        json!({ "resourceType": "OperationOutcome", "issue": [{ "code": "required", "diagnostics": "61" }] });
    for (code, expected) in [(412, "Refused"), (422, "Refused"), (404, "Later"), (500, "Unavailable")] {
        let outcome = format!("{:?}", outcome_of(code, issue.clone()).await);
        assert!(outcome.starts_with(expected) && !outcome.contains("61"), "{code}: {outcome}");
        assert_eq!(outcome.contains("OperationOutcome: required"), code != 500, "{code}: {outcome}");
    }
}

/// Scenario: configurations. Guarantees: G8, what would leak is refused as for `http`.
#[test]
fn what_would_leak_is_refused() {
    let problems =
        |text| config(text).check().into_iter().map(|problem| problem.key_path.join(".")).collect::<Vec<_>>();
    let url = "https://clinic.example/fhir";
    assert!(problems(json!({ "url": url })).is_empty());
    assert_eq!(problems(json!({ "url": "http://clinic.example/fhir" })), ["url"]);
    let smart =
        json!({ "token_url": "http://clinic.example/token", "client_id": "me", "private_key": "hush" });
    assert_eq!(
        problems(json!({ "url": url, "auth": { "smart": smart, "bearer": "b" } })),
        ["auth", "auth.smart.token_url"]
    );
    let shown = format!("{:?}", config(json!({ "url": url, "auth": { "smart": smart } })));
    assert!(!shown.contains("hush"), "{shown}");
}
