//! Real servers on this machine: what is sent, and what answers mean.

mod answers;
mod authorities;
mod configuration;
mod credentials;
mod proxies;
mod requests;
pub(crate) mod server;
mod tls;

use std::time::Duration;

use afferent_core::{
    Batch, Epoch, Kind, Record, RecordId, Sink, Timestamp, Unit, Value, clock, testing::Surroundings,
};
use serde_json::json;

use super::*;
use crate::upload::{Compression, Outcome, SealedBody, Transport};

fn config(text: serde_json::Value) -> Config {
    serde_json::from_value(text).unwrap()
}

fn record(number: u64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000);
    let value = Value::Quantity(60.25, Unit::parse("count/min").unwrap());
    Record::added(RecordId::from_u128(number.into()), Kind::parse("HeartRate").unwrap(), start, start, value)
}

/// Sends three records in one epoch, and waits until nothing is pending; how many were refused.
async fn upload(config: Config) -> u64 {
    let around = Surroundings::new();
    let mut sink = HttpSink::http(config);
    sink.open(around.sink(None, 1)).await.unwrap();
    let prepared = sink.prepare(Epoch(0)).await.unwrap();
    sink.commit(Epoch(0), prepared.token.as_ref()).await.unwrap();
    let mut batch: Batch<Record> = (1..4).map(record).collect();
    sink.write(&mut batch).await.unwrap();
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    sink.commit(Epoch(1), prepared.token.as_ref()).await.unwrap();
    while sink.pending() > 0 {
        clock::sleep(Duration::from_millis(5)).await;
    }
    let refused = sink.prepare(Epoch(2)).await.unwrap().refused;
    drop(sink);
    around.drivers.stop().await;
    refused.total()
}

/// A transport without a driver behind it: one attempt at a time.
struct Opened {
    transport: Http,
    #[expect(dead_code, reason = "its directory and jobs are used for as long as it lives")]
    around: Surroundings,
}

impl Opened {
    async fn new(text: serde_json::Value) -> Opened {
        Opened::try_new(text).await.unwrap()
    }

    async fn try_new(text: serde_json::Value) -> afferent_core::Result<Opened> {
        let around = Surroundings::new();
        let mut transport = Http::new(config(text));
        transport.open(&around.sink(None, 1)).await?;
        Ok(Opened { transport, around })
    }

    /// One attempt at a small body.
    async fn send(&self) -> Outcome {
        let key = serde_json::from_value(json!(vec![7u8; 16])).unwrap();
        let content = bytes::Bytes::from_static(b"[{}]");
        self.transport.send(&SealedBody { key, records: 1, compression: Compression::None, content }).await
    }
}

/// An outcome's kind, for tables.
fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Refused { .. } => "refused",
        Outcome::Partly { .. } => "partly",
        Outcome::Unauthorized { .. } => "unauthorized",
        Outcome::Later { .. } => "later",
        Outcome::Unavailable { in_doubt: true, .. } => "unavailable, in doubt",
        Outcome::Unavailable { in_doubt: false, .. } => "unavailable",
    }
}

fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Delivered | Outcome::Partly { .. } => "",
        Outcome::Refused { reason }
        | Outcome::Unauthorized { reason }
        | Outcome::Later { reason, .. }
        | Outcome::Unavailable { reason, .. } => reason,
    }
}
