//! The contract of sinks, entries that are too long, and what a consumer gets.

use afferent_core::{
    Batch, Epoch, Kind, Position, Pulled, Record, RecordId, Result, Sink, Source, SourceCx, Timestamp, Unit,
    Value,
    event::EventKind,
    queue::disk::{Consumer, Decode},
    testing::{Surroundings, pull_all, sink_contract},
};

use super::*;

fn record(number: u64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 1_000_000);
    Record::added(
        RecordId::from_u128(number.into()),
        Kind::parse("HeartRate").unwrap(),
        start,
        start,
        Value::Quantity(60.25, Unit::parse("count/min").unwrap()),
    )
}

/// A source that reads the queue, as another pipeline would.
struct Reader(Option<Consumer<Record>>);

impl Source for Reader {
    type Item = Record;
    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let decode: Decode<Record> = afferent_formats::msgpack::decode;
        let queues = cx.queues.clone();
        self.0 = Some(queues.consume(&Name::from("steps"), decode, cx).await?);
        Ok(())
    }
    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        self.0.as_mut().expect("it is open").next().await.map(Some)
    }
}

/// All that is released.
async fn released(around: &Surroundings, position: Option<Position>) -> Vec<Record> {
    let mut reader = Reader(None);
    reader.open(around.source(position)).await.unwrap();
    pull_all(&mut reader).await.into_iter().flat_map(|(records, ..)| records).collect()
}

/// Scenario: the contract suite, with readers that look after each commit. Guarantees: G2, G3, G5: readers see each record once, in
/// order, and nothing before its epoch is committed, wherever the sink dies.
#[tokio::test(flavor = "multi_thread")]
async fn the_sink_keeps_the_contract() {
    for seed in 0..60 {
        let around = Surroundings::new();
        let records: Vec<_> = (0..200).map(|number| (record(number), record(number))).collect();
        let show = || tokio::task::block_in_place(|| futures::executor::block_on(released(&around, None)));
        sink_contract(|| QueueSink::new(Config::new("steps")), show, &around, &records, seed).await;
    }
}

/// Scenario: batches of long records, and one that no entry can hold. Guarantees: G11: entries are split and stay below their limit; what
/// does not fit is a reject; deletions travel; G4: everything else comes back as it was.
#[tokio::test]
async fn long_batches_are_split() {
    let around = Surroundings::new();
    let mut sink = QueueSink::new(Config::new("steps"));
    sink.open(around.sink(None, 1)).await.unwrap();
    let prepared = sink.prepare(Epoch(0)).await.unwrap();
    sink.commit(Epoch(0), prepared.token.as_ref()).await.unwrap();
    let long = |number: u64, bytes: usize| {
        let mut record = record(number);
        record.value = Value::Json("x".repeat(bytes).into());
        record
    };
    let mut all: Vec<Record> = (0..50).map(|number| long(number, 100_000)).collect();
    all.push(long(50, 3 * ENTRY_BYTES));
    all.push(Record::deleted(RecordId::from_u128(7), None));
    let mut batch = Batch::from(all.clone());
    batch.push(long(51, 65 << 20));
    sink.write(&mut batch).await.unwrap();
    assert!(batch.is_empty());
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    assert_eq!(prepared.rejects.len(), 1);
    assert!(prepared.rejects[0].reason.contains("in a queue"), "{}", prepared.rejects[0].reason);
    assert!(prepared.rejects[0].key.is_some());
    sink.commit(Epoch(1), prepared.token.as_ref()).await.unwrap();
    assert_eq!(sink.pending(), 0, "what lies in the queue is delivered");
    assert!(released(&around, None).await == all);
}

/// Scenario: a queue of one batch, and a reader that went away; then with `when_full = "detach"`. Guarantees: G7 and G11: `write` waits and says
/// so; by policy the reader is detached and the oldest records make room.
#[tokio::test(start_paused = true)]
async fn a_full_queue_holds_the_pipeline_back() {
    let mut around = Surroundings::new();
    let mut config = Config::new("steps");
    config.max_bytes = Size(1);
    released(&around, None).await;
    let mut sink = QueueSink::new(config.clone());
    sink.open(around.sink(None, 1)).await.unwrap();
    let prepared = sink.prepare(Epoch(0)).await.unwrap();
    sink.commit(Epoch(0), prepared.token.as_ref()).await.unwrap();
    sink.write(&mut Batch::from(vec![record(0)])).await.unwrap();
    let token = sink.prepare(Epoch(1)).await.unwrap().token;
    sink.commit(Epoch(1), token.as_ref()).await.unwrap();
    let mut batch = Batch::from(vec![record(1)]);
    assert!(futures::FutureExt::now_or_never(sink.write(&mut batch)).is_none(), "it waits for the reader");
    assert_eq!(batch.len(), 1);
    drop(sink);
    around.blocking.idle().await;

    config.when_full = WhenFull::Detach;
    let mut sink = QueueSink::new(config);
    sink.open(around.sink(token.clone(), 2)).await.unwrap();
    sink.commit(Epoch(1), token.as_ref()).await.unwrap();
    sink.write(&mut batch).await.unwrap();
    assert!(batch.is_empty());
    let mut alarms = Vec::new();
    while let Ok(event) = around.events.try_recv() {
        if let EventKind::Alarm { message, .. } = event.kind {
            alarms.push(message);
        }
    }
    assert!(alarms.iter().any(|alarm| alarm.contains("is detached; 1 entry")), "{alarms:?}");
}

/// Scenario: what may be wrong with the configuration. Guarantees: each is said, at its key.
#[test]
fn configurations_are_checked() {
    let keys =
        |config: Config| config.check().into_iter().flat_map(|problem| problem.key_path).collect::<Vec<_>>();
    assert_eq!(keys(Config::new("steps")), [] as [String; 0]);
    assert_eq!(keys(Config::new("no name")), ["queue"]);
    assert_eq!(keys(Config { max_bytes: Size(1), ..Config::new("steps") }), ["max_bytes"]);
    assert!(matches!(Config::new("steps").guarantee(), Some(Guarantee::ExactlyOnce(_))));
}
