//! The contract suite of sinks.

use std::sync::{Arc, Mutex};

use afferent_core::{Opened, Prepared, Result, SinkCx, Token, driver::Drivers, testing::sink_contract};

use super::*;

/// The sink, whose commits return when the server has everything: the suite looks then. What drives it ends with it.
struct Awaited {
    sink: FhirSink,
    drivers: Arc<Mutex<Option<Drivers>>>,
}

impl Sink for Awaited {
    type Item = Record;

    async fn open(&mut self, mut cx: SinkCx) -> Result<Opened> {
        let before = self.drivers.lock().unwrap().take();
        if let Some(before) = before {
            before.stop().await;
        }
        cx.drivers = Drivers::new();
        *self.drivers.lock().unwrap() = Some(cx.drivers.clone());
        self.sink.open(cx).await
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.sink.write(batch).await
    }

    async fn prepare(&mut self, epoch: Epoch) -> Result<Prepared> {
        self.sink.prepare(epoch).await
    }

    async fn commit(&mut self, epoch: Epoch, token: Option<&Token>) -> Result<()> {
        self.sink.commit(epoch, token).await?;
        while self.sink.pending() > 0 {
            self.sink.check()?;
            clock::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Scenario: the contract of all sinks, with a server of which the first answers are lost; as transactions and as batches.
/// Guarantees: G1, G2, G3: wherever the sink dies, each record is created once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    for seed in 0..20_u64 {
        let fhir = Fhir::new(Behaviour { loses: 1, ..Behaviour::default() }).await;
        let around = Surroundings::new();
        let records: Vec<_> = (0..200_u8)
            .map(|number| (record(number.into(), 60.0), RecordId::from_u128(number.into()).to_string()))
            .collect();
        let bundle = if seed.is_multiple_of(2) { "transaction" } else { "batch" };
        let text = json!({
            "url": format!("{}/fhir", fhir.server.url()), "bundle": bundle, "lanes": 1, "batch": { "records": 7 },
        });
        let drivers = Arc::default();
        let make = || Awaited { sink: FhirSink::fhir(config(text.clone())), drivers: Arc::clone(&drivers) };
        sink_contract(make, || fhir.created(), &around, &records, seed).await;
        let last = drivers.lock().unwrap().take();
        if let Some(last) = last {
            last.stop().await;
        }
    }
}
