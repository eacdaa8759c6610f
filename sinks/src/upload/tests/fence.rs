//! Two generations of one pipeline.

use std::{collections::BTreeSet, time::Duration};

use afferent_core::{
    Batch, CheckpointStore, Epoch, ErrorKind, Opened, Record, Sink, clock, testing::Surroundings,
};

use super::{
    receiver::{Receiver, Script},
    world::record,
};
use crate::upload::{BatchLimits, Settings, Upload};

/// Scenario: a newer generation claims the pipeline while the older one has twenty bodies to send, and the receiver comes
/// back. Guarantees: G2 and G10: the older one sends at most the body that was under way, its acknowledgement is refused
/// and its sink ends with `Fenced`; the newer one sends all, each once.
#[tokio::test(start_paused = true)]
async fn an_older_generation_sends_nothing_more() {
    let around = Surroundings::new();
    let away = Script { failing: 1.0, ..Script::default() };
    let receiver = Receiver::new(away, BTreeSet::new(), 1);
    let batch = BatchLimits { records: 1, ..BatchLimits::default() };
    let settings = Settings { batch, lanes: 1, ..Settings::default() };
    let mut older = Upload::new(settings.clone(), receiver.transport());
    older.open(around.sink(None, 1)).await.unwrap();
    let prepared = older.prepare(Epoch(0)).await.unwrap();
    older.commit(Epoch(0), prepared.token.as_ref()).await.unwrap();
    let mut batch: Batch<Record> = (0..20).map(|number| record(number, Some("ada"))).collect();
    older.write(&mut batch).await.unwrap();
    let token = older.prepare(Epoch(1)).await.unwrap().token;
    older.commit(Epoch(1), token.as_ref()).await.unwrap();
    clock::sleep(Duration::from_secs(20)).await;
    assert!(receiver.attempts() > 0 && receiver.applied().is_empty());

    let cx = around.sink(token.clone(), 2);
    let (pipeline, sink) = (cx.pipeline.clone(), cx.stage.clone());
    let acknowledged = around.store.acknowledged(&pipeline, &sink).await.unwrap();
    receiver.heal();
    let error = loop {
        clock::sleep(Duration::from_secs(1)).await;
        if let Err(error) = older.write(&mut Batch::new()).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    clock::sleep(Duration::from_secs(60)).await;
    assert_eq!(receiver.applied().len(), 1, "the body that was under way");
    assert_eq!(around.store.acknowledged(&pipeline, &sink).await.unwrap(), acknowledged);
    drop(older);
    around.blocking.idle().await;

    let mut newer = Upload::new(settings, receiver.transport());
    assert_eq!(newer.open(cx).await.unwrap(), Opened::Resumed);
    newer.commit(Epoch(1), token.as_ref()).await.unwrap();
    while newer.pending() > 0 {
        clock::sleep(Duration::from_secs(1)).await;
    }
    let ids: Vec<_> = receiver.applied().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..20).map(|number| record(number, None).id).collect::<Vec<_>>());
    assert_eq!(receiver.repeats(), 1, "and it was recognised");
    drop(newer);
    around.drivers.stop().await;
}
