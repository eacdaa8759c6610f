//! Afferent in an app: a health store of one's own, started, stopped, and started again.
use afferent::{Builder, afferent_core::*, runtime::*, sinks::Stdout, sources::healthkit::*};
use std::{sync::Arc, time::Duration};
/// Three heart rates. A real one asks `HKObserverQuery` and `HKAnchoredObjectQuery`.
struct Phone;

#[async_trait::async_trait]
impl HealthStore for Phone {
    fn identity(&self) -> String {
        "this phone".into()
    }
    fn kinds(&self) -> Vec<Kind> {
        Vec::from_iter(Kind::parse("HeartRate"))
    }
    async fn observe(&self, _: &[Kind]) -> Result<futures::stream::BoxStream<'static, Wake>> {
        Ok(Box::pin(futures::stream::pending()))
    }
    async fn changes(&self, kind: Kind, after: Option<&Anchor>, _: usize) -> Result<Changes> {
        let (read, at) = (after.map_or(0, |anchor| anchor.as_bytes()[0]), Timestamp::default());
        let rate = |n| Value::Quantity(f64::from(60 + n), Unit::parse("count/min").expect("a unit"));
        let record = |n| Record::added(RecordId::from_u128(n as u128), kind, at, at, rate(n));
        let added = (read..3).map(record).collect();
        Ok(Changes::Page(Page { added, deleted: vec![], anchor: Anchor::new([3]), more: false }))
    }
}
#[tokio::main]
async fn main() -> Result<()> {
    let store = StoreConfig::Host(HostConfig { name: "phone".into() });
    let config = Config { store, types: vec!["*".into()] };
    let source = move || Ok(HealthKit::new(config.clone(), Arc::new(Phone)));
    let spec =
        Builder::new("heart").source("phone", source).sink("screen", || Ok(Stdout::new(<_>::default())));
    let runtime = Runtime::open(".afferent/embed".as_ref(), RuntimeOptions::default()).await?;
    let mut events = runtime.events();
    runtime.run(spec.build()?).await?;
    while !matches!(events.recv().await, Ok(event::Event { kind: event::EventKind::Idle, .. })) {}
    runtime.stop("heart").await?;
    runtime.start("heart").await?; // from its checkpoint: what was shown is not shown again
    runtime.shutdown(Duration::from_secs(5)).await
}
