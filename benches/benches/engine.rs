//! What the engine costs: ready batches → filter → map → filter → counting sink, static, boxed, and boxed with accounts by type,
//! against the same loop written by hand. Batches of 1,024 records.

use std::{hint::black_box, sync::Arc};

use afferent_benches::pair;
use afferent_core::{
    Batch, Epoch, Kind, MemoryStore, Name, Opened, Position, Prepared, Pulled, Record, RecordId, Result,
    Sink, SinkCx, Source, SourceCx, Timestamp, Token, Unit, Value,
    clock::SystemClock,
    disk::OsDisk,
    engine::{self, BoxStages, EngineCx, Settings, Stages},
    event::Events,
    mailbox::mailbox,
    queue::disk::Queues,
    random::Random,
    stage::{BoxSink, BoxSource, BoxTransform, Line, Named, ops},
};
use criterion::{Criterion, Throughput, criterion_group};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const BATCH: u64 = 1024;
const BATCHES: u64 = 1024;

fn template() -> Arc<Vec<Record>> {
    let kind = Kind::parse("HeartRate").expect("in the catalogue");
    let unit = Unit::parse("count/min").expect("a unit");
    let record = |number: u64| {
        let at = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 1_000_000);
        let value = Value::Quantity((number % 220) as f64, unit);
        Record::added(RecordId::from_u128(u128::from(number)), kind, at, at, value)
    };
    Arc::new((0..BATCH).map(record).collect())
}

fn first(record: &Record) -> bool {
    record.value.as_f64().is_some_and(|value| value > 30.0)
}

fn change(record: &mut Record) {
    if let Value::Quantity(value, _) = &mut record.value {
        *value /= 60.0;
    }
}

fn second(record: &Record) -> bool {
    record.value.as_f64().is_some_and(|value| value < 3.5)
}

/// Gives a copy of the same batch again and again.
struct Ready {
    template: Arc<Vec<Record>>,
    left: u64,
}

impl Source for Ready {
    type Item = Record;
    async fn open(&mut self, _: SourceCx) -> Result<()> {
        Ok(())
    }
    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let batch: Batch<Record> = Vec::clone(&self.template).into();
        Ok(Some(Pulled {
            batch,
            rejects: Vec::new(),
            position: Position::new(1, "", &self.left)?,
            seal: false,
        }))
    }
}

#[derive(Default)]
struct Counting {
    count: u64,
    sum: f64,
}

impl Counting {
    fn take(&mut self, records: &[Record]) {
        self.count += records.len() as u64;
        self.sum += records.iter().filter_map(|record| record.value.as_f64()).sum::<f64>();
        black_box(self.sum);
    }
}

impl Sink for Counting {
    type Item = Record;
    async fn open(&mut self, _: SinkCx) -> Result<Opened> {
        Ok(Opened::Resumed)
    }
    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.take(batch);
        batch.clear();
        Ok(())
    }
    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        Ok(Prepared::default())
    }
    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}

fn cx() -> EngineCx {
    let (events, _) = Events::alone(Name::from("bench"));
    let (directory, store) = (std::env::temp_dir(), Arc::new(MemoryStore::new()));
    EngineCx {
        pipeline: Name::from("bench"),
        settings: Settings::default(),
        claim: Default::default(),
        clock: SystemClock::shared(),
        disk: OsDisk::shared(),
        random: Random::from_seed(1),
        queues: Queues::new(OsDisk::shared(), directory.join("queues"), store.clone()),
        store,
        directory,
        mailbox: mailbox().1,
        events,
        kill: CancellationToken::new(),
    }
}

fn by_hand(template: &Arc<Vec<Record>>) -> u64 {
    let mut counting = Counting::default();
    for _ in 0..BATCHES {
        let mut batch = Vec::clone(template);
        batch.retain_mut(|record| {
            if !first(record) {
                return false;
            }
            change(record);
            second(record)
        });
        counting.take(&batch);
    }
    counting.count
}

fn fixed(runtime: &Runtime, template: &Arc<Vec<Record>>) -> u64 {
    let stages = || {
        let source = Ready { template: template.clone(), left: BATCHES };
        let transform = Named::new("ops", ops().filter(first).map(change).filter(second).build());
        Ok(Stages::line(("ready", source), transform, ("count", Counting::default())))
    };
    delivered(runtime.block_on(engine::run(cx(), stages)))
}

fn boxed(runtime: &Runtime, template: &Arc<Vec<Record>>, by_type: bool) -> u64 {
    let stages = || {
        let source: BoxSource<Record> = Box::new(Ready { template: template.clone(), left: BATCHES });
        let one: BoxTransform<Record> = Box::new(ops().filter(first).build());
        let two: BoxTransform<Record> = Box::new(ops().map(change).build());
        let three: BoxTransform<Record> = Box::new(ops().filter(second).build());
        let line = Line::new(vec![("one".into(), one), ("two".into(), two), ("three".into(), three)])?;
        let sink: BoxSink<Record> = Box::<Counting>::default();
        Ok(match by_type {
            false => BoxStages::line(("ready", source), line, ("count", sink)),
            true => BoxStages::line(("ready", source), line.counting(Record::count), ("count", sink))
                .counting(Record::count, Record::count),
        })
    };
    delivered(runtime.block_on(engine::run(cx(), stages)))
}

fn delivered(outcome: Result<engine::Outcome>) -> u64 {
    outcome.expect("the run ends").ledger.accounts["count"].delivered
}

fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let template = template();
    assert_eq!(by_hand(&template), fixed(&runtime, &template));
    assert_eq!(by_hand(&template), boxed(&runtime, &template, false));
    assert_eq!(by_hand(&template), boxed(&runtime, &template, true));
    let records = BATCH * BATCHES;
    pair("engine, static", records, 15, || fixed(&runtime, &template), || by_hand(&template));
    pair("engine, boxed", records, 15, || boxed(&runtime, &template, false), || by_hand(&template));
    pair("engine, by type", records, 15, || boxed(&runtime, &template, true), || by_hand(&template));

    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("hand", |bench| bench.iter(|| by_hand(&template)));
    group.bench_function("static", |bench| bench.iter(|| fixed(&runtime, &template)));
    group.bench_function("boxed", |bench| bench.iter(|| boxed(&runtime, &template, false)));
    group.bench_function("by type", |bench| bench.iter(|| boxed(&runtime, &template, true)));
    group.finish();
}

criterion_group!(engine, benches);

fn main() {
    engine();
    Criterion::default().configure_from_args().final_summary();
}
