//! The contract of sources, over several producers.

#![allow(clippy::single_range_in_vec_init, reason = "each range is an entry")]

use afferent_core::{
    Kind, RecordId, Timestamp, Token, Unit, Value,
    queue::disk::Producer,
    testing::{Surroundings, source_contract},
};
use tokio::sync::watch;

use super::*;

fn record(number: u128) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000);
    let value = Value::Quantity(60.25, Unit::parse("count/min").unwrap());
    Record::added(RecordId::from_u128(number), Kind::parse("HeartRate").unwrap(), start, start, value)
}

/// A producer that has released `entries`, each with some records.
async fn producer(around: &Surroundings, sink: &str, entries: &[std::ops::Range<u128>]) -> (Producer, Token) {
    let mut cx = around.sink(None, 1);
    cx.stage = Name::from(sink);
    let (mut producer, _, _) = around.queues.produce(&Name::from("steps"), 1 << 20, &cx).await.unwrap();
    for entry in entries {
        let records: Vec<Record> = entry.clone().map(record).collect();
        let mut bytes = Vec::new();
        msgpack::encode(&records, &mut bytes).unwrap();
        producer.append(&bytes).unwrap();
    }
    let token = producer.prepare().unwrap();
    producer.commit(&token).unwrap();
    (producer, token)
}

fn source() -> QueueSource {
    QueueSource::new(Config { queue: "steps".to_owned() })
}

/// Scenario: one producer, entries of many sizes, pulls of at most seven records; stopped after every pull. Guarantees: G1, G2, G3.
#[tokio::test]
async fn the_source_keeps_the_contract() {
    let mut around = Surroundings::new();
    around.limits.records = 7;
    let entries = [0..1, 1..30, 30..31, 31..45, 45..45, 45..200];
    let _producer = producer(&around, "sink", &entries).await;
    let all = source_contract(source, &around, 100).await;
    assert!(all == (0..200).map(record).collect::<Vec<_>>());
}

/// Scenario: two producers, and a third that comes later. Guarantees: G1 and G3: the records of all, those of each in order; a
/// source that waits wakes for a producer that is new.
#[tokio::test]
async fn several_producers_are_merged() {
    let around = Surroundings::new();
    let first = producer(&around, "first", &[0..10, 10..500]).await;
    let second = producer(&around, "second", &[1000..1500]).await;
    let mut source = source();
    source.open(around.source(None)).await.unwrap();
    let mut read = Vec::new();
    let mut pull = async |source: &mut QueueSource| {
        loop {
            let pulled = source.next().await.unwrap().unwrap();
            if pulled.is_drained() {
                return;
            }
            read.extend(pulled.batch.into_vec());
        }
    };
    pull(&mut source).await;
    let third = async { producer(&around, "third", &[2000..2001]).await };
    let (_third, ()) = futures::join!(third, pull(&mut source));
    let of = |numbers: std::ops::Range<u128>| -> Vec<u128> {
        read.iter().map(|record: &Record| record.id.as_u128()).filter(|id| numbers.contains(id)).collect()
    };
    assert_eq!(of(0..1000), (0..500).collect::<Vec<_>>());
    assert_eq!(of(1000..2000), (1000..1500).collect::<Vec<_>>());
    assert_eq!((read.len(), of(2000..3000)), (1001, vec![2000]));
    drop((first, second));
}

/// Scenario: a source is opened over another queue than before. Guarantees: G11: it says so, begins at the oldest entry, and the former
/// queue no longer keeps anything for it.
#[tokio::test]
async fn another_queue_is_another_input() {
    let mut around = Surroundings::new();
    let _producer = producer(&around, "sink", &[0..10]).await;
    let mut other = QueueSource::new(Config { queue: "other".to_owned() });
    other.open(around.source(None)).await.unwrap();
    let position = other.next().await.unwrap().unwrap().position;
    drop(other);
    let mut source = source();
    let (committed, receiver) = watch::channel(Default::default());
    let cx = SourceCx { committed: receiver, ..around.source(Some(position)) };
    source.open(cx).await.unwrap();
    assert_eq!(source.next().await.unwrap().unwrap().batch.len(), 10);
    let registered = around.queues.registered(&around.blocking).await.unwrap();
    assert_eq!(registered.iter().map(|one| one.queue.as_str()).collect::<Vec<_>>(), ["steps"]);
    let mut notices = 0;
    while let Ok(event) = around.events.try_recv() {
        notices += usize::from(matches!(event.kind, afferent_core::event::EventKind::Notice { .. }));
    }
    assert_eq!(notices, 1);
    drop(committed);
}
