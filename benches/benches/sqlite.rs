//! What the SQLite sink costs: random ids, five types one after the other over ten years, in batches of 1,024 and a
//! transaction every 256 of them, against the same statements in a loop written by hand.
//!
//! `AFFERENT_BENCH_ROWS` sets how many rows are inserted into each database (1,000,000): what a key does to the rate
//! shows when the table has outgrown the cache.

use std::{collections::HashMap, path::Path, sync::Arc};

use afferent_benches::pair;
use afferent_core::{
    Batch, Epoch, Fence, Generation, Incarnation, Kind, MemoryStore, Name, Record, RecordId, Sink, SinkCx,
    StoreId, Timestamp, Unit, Value,
    blocking::Blocking,
    checkpoint::{Acknowledgements, LetterLimits},
    clock::SystemClock,
    disk::OsDisk,
    driver::Drivers,
    event::Events,
    queue::disk::Queues,
    random::Random,
    record::Origin,
};
use afferent_sinks::sqlite::{Config, Sqlite};
use criterion::{Criterion, Throughput, criterion_group};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

const BATCH: u64 = 1024;
/// Batches of an epoch: about what a second takes.
const EPOCH: u64 = 256;
const TYPES: [(&str, &str); 5] = [
    ("HeartRate", "count/min"),
    ("StepCount", "count"),
    ("ActiveEnergyBurned", "kcal"),
    ("DistanceWalkingRunning", "m"),
    ("OxygenSaturation", "%"),
];
const BEGAN: i64 = 1_420_070_400_000_000;
const TEN_YEARS: i64 = 3_652 * 86_400_000_000;

/// Makes the records, one batch after another.
struct Feed {
    rows: u64,
    types: Vec<(Kind, Unit)>,
    origin: Arc<Origin>,
    random: Random,
    made: u64,
}

impl Feed {
    fn new(rows: u64) -> Feed {
        let types = TYPES.iter().map(|(kind, unit)| {
            (Kind::parse(kind).expect("in the catalogue"), Unit::parse(unit).expect("a unit"))
        });
        let origin = Origin { name: Some("Watch".into()), ..Origin::default() };
        Feed { rows, types: types.collect(), origin: Arc::new(origin), random: Random::from_seed(7), made: 0 }
    }

    /// Fills an empty batch; false at the end.
    fn fill(&mut self, batch: &mut Batch<Record>) -> bool {
        let per_type = self.rows.div_ceil(TYPES.len() as u64).max(1);
        let step = TEN_YEARS / per_type as i64;
        let count = BATCH.min(self.rows - self.made);
        batch.extend((self.made..self.made + count).map(|number| {
            let (kind, unit) = self.types[(number / per_type) as usize];
            let start = Timestamp::from_micros_clamped(BEGAN + step * (number % per_type) as i64);
            let value = Value::Quantity(self.random.unit() * 200.0, unit);
            let id = RecordId::from_u128(self.random.u128());
            Record { origin: Some(self.origin.clone()), ..Record::added(id, kind, start, start, value) }
        }));
        self.made += count;
        count > 0
    }
}

fn cx(generation: u64) -> SinkCx {
    let (pipeline, stage) = (Name::from("bench"), Name::from("sqlite"));
    let (events, _) = Events::alone(pipeline.clone());
    let fence = Fence {
        store: StoreId([1; 16]),
        pipeline: pipeline.clone(),
        sink: stage.clone(),
        generation: Generation(generation),
    };
    let (directory, store) = (std::env::temp_dir(), Arc::new(MemoryStore::new()));
    SinkCx {
        token: None,
        incarnation: Incarnation::from_u128(1),
        drivers: Drivers::new(),
        acknowledgements: Acknowledgements::new(
            store.clone(),
            fence.clone(),
            LetterLimits::default(),
            SystemClock::shared(),
        ),
        fence,
        take_over: false,
        clock: SystemClock::shared(),
        disk: OsDisk::shared(),
        blocking: Blocking::new(),
        random: Random::from_seed(1),
        queues: Queues::new(OsDisk::shared(), directory.join("queues"), store),
        directory,
        events: events.stage(stage.clone()),
        pipeline,
        stage,
    }
}

/// Opens the sink, which creates the schema, and writes `rows` rows.
fn sink(runtime: &Runtime, rows: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    fill_by_sink(runtime, &directory.path().join("health.db"), rows);
}

fn fill_by_sink(runtime: &Runtime, path: &Path, rows: u64) {
    runtime.block_on(async {
        let cx = cx(1);
        let blocking = cx.blocking.clone();
        let mut sink = Sqlite::new(Config { path: path.to_owned() });
        sink.open(cx).await.expect("opens");
        let (mut feed, mut batch, mut batches) = (Feed::new(rows), Batch::new(), 0);
        while feed.fill(&mut batch) {
            sink.write(&mut batch).await.expect("writes");
            batches += 1;
            if batches % EPOCH == 0 {
                sink.prepare(Epoch(batches / EPOCH)).await.expect("prepares");
            }
        }
        sink.prepare(Epoch(batches)).await.expect("prepares");
        drop(sink);
        blocking.idle().await;
    });
}

/// The same rows into the same schema, on one thread.
fn by_hand(runtime: &Runtime, rows: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("health.db");
    fill_by_sink(runtime, &path, 0);
    insert(&path, rows).expect("inserts");
}

fn insert(path: &Path, rows: u64) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA cache_size = -8192; PRAGMA foreign_keys = 0; PRAGMA synchronous = full; PRAGMA secure_delete = on; \
         INSERT INTO origin VALUES (1, '{\"name\":\"Watch\"}')",
    )?;
    let mut feed = Feed::new(rows);
    let mut numbers = HashMap::new();
    for (number, (kind, unit)) in (1..).zip(&feed.types) {
        connection
            .execute("INSERT INTO type VALUES (?1, ?2, ?3)", params![number, kind.name(), kind.short()])?;
        connection.execute("INSERT INTO unit VALUES (?1, ?2)", params![number, unit.as_str()])?;
        numbers.insert(*kind, number);
    }
    let mut insert = connection.prepare(
        "INSERT INTO sample \
         (type, month, id, revision, start, \"end\", value, unit, subject, origin, zone, metadata) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
    )?;
    let mut batch = Batch::new();
    let mut batches = 0;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    while feed.fill(&mut batch) {
        for record in batch.drain(..) {
            let number: i64 = numbers[&record.kind.expect("it has one")];
            let start = record.start.as_micros();
            insert.execute(params![
                number,
                // Nearly a month; which rows are neighbours is what matters.
                start / (30 * 86_400_000_000),
                record.id.to_bytes(),
                record.revision,
                start,
                record.end.as_micros(),
                record.value.as_f64(),
                number,
                None::<i64>,
                1,
                None::<i64>,
                None::<&str>,
            ])?;
        }
        batches += 1;
        if batches % EPOCH == 0 {
            connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        }
    }
    connection.execute_batch("COMMIT")
}

fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let rows = std::env::var("AFFERENT_BENCH_ROWS")
        .map_or(1_000_000, |rows| rows.parse().expect("AFFERENT_BENCH_ROWS is a number"));
    pair("sqlite sink", rows, 5, || sink(&runtime, rows), || by_hand(&runtime, rows));

    let rows = 100 * BATCH;
    let mut group = criterion.benchmark_group("sqlite");
    group.throughput(Throughput::Elements(rows)).sample_size(10);
    group.bench_function("hand", |bench| bench.iter(|| by_hand(&runtime, rows)));
    group.bench_function("sink", |bench| bench.iter(|| sink(&runtime, rows)));
    group.finish();
}

criterion_group!(sqlite, benches);

fn main() {
    sqlite();
    Criterion::default().configure_from_args().final_summary();
}
