//! What state costs: how much memory a million keys take, and how long a checkpoint of a million open windows takes when a
//! thousand of them changed: the snapshot, and the snapshot with the state database, synced to disk.
//!
//! Memory is measured on Linux, each transform in a process of its own, as what is resident after a million records less what was
//! before.

use std::{
    cell::{Cell, RefCell},
    env,
    fs::read_to_string,
    process::Command,
    sync::Arc,
};

use afferent::{
    afferent_core::{
        Batch, Checkpoint, CheckpointStore, Emit, Epoch, Generation, Incarnation, Kind, Name, Record,
        RecordId, Snapshot, Timestamp, Transform, Unit, Value, checkpoint::Save, clock::SystemClock,
        disk::OsDisk, random::Random,
    },
    state::RedbStore,
    transforms::{
        Dedupe, Latest, MergeSources, Statistics, Window, dedupe, latest, merge_sources, statistics, window,
    },
};
use afferent_benches::{Spread, time, two_workers};
use criterion::{BatchSize, Criterion, criterion_group};

const MILLION: u64 = 1_000_000;
/// How many of a million windows change between two checkpoints.
const CHANGES: u64 = 1000;
/// µs.
const MINUTE: i64 = 60_000_000;
/// Names the transform that a process of this bench only fills, to tell how much memory it takes.
const HOLD: &str = "AFFERENT_BENCH_HOLD";

/// A record of a person in a minute.
fn record(id: u64, person: u64, minute: u64) -> Record {
    let kind = Kind::parse("HeartRate").expect("a type");
    let unit = Unit::parse("count/min").expect("a unit");
    let time = Timestamp::from_micros_clamped(minute as i64 * MINUTE);
    // Any fixed mixing will do: ids are spread, as real ones are.
    let id = u128::from(id.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(id);
    let mut record = Record::added(RecordId::from_u128(id), kind, time, time, Value::Quantity(60.0, unit));
    record.subject = Some(Name::from(format!("user-{person}")));
    record
}

/// Gives a million records, each of a key of its own: `record` says which.
fn fill(transform: &mut dyn Transform<In = Record, Out = Record>, record: impl Fn(u64) -> Record) {
    let mut out = Emit::new();
    let (mut number, mut batch) = (0, Batch::new());
    while number < MILLION {
        batch.extend((number..number + 1000).map(&record));
        number += 1000;
        transform.apply(&mut batch, &mut out).expect("applies");
        // As an engine does at its checkpoints.
        if number % 100_000 == 0 {
            transform.tick(Timestamp::default(), &mut out).expect("ticks");
            drop(transform.snapshot().expect("a snapshot"));
        }
        out.batch.clear();
    }
}

fn windows() -> Window {
    let mut config = window::Config::new("1min".parse().expect("a span"), &["count", "sum"]);
    config.lateness = "300d".parse().expect("a span");
    config.max_samples = 2_000_000;
    Window::new(&config).expect("a configuration")
}

/// Transforms that hold state by key, and what a key of each is.
const HELD: [(&str, &str); 5] = [
    ("window", "an open window of a minute with one sample"),
    ("statistics", "a bucket of a day with one sample"),
    ("merge_sources", "a sample of a minute"),
    ("latest", "the newest record of a subject"),
    ("dedupe", "an id"),
];

/// Fills one of [`HELD`], and prints what is resident because of it.
#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
fn hold(name: &str) {
    let minutes = |number: u64| record(number, number / 1000, number % 1000);
    let days = |number: u64| record(number, number / 1000, number % 1000 * 1440);
    let people = |number: u64| record(number, number, 0);
    let samples = MILLION as usize * 2;
    let before = resident();
    let held: Box<dyn Transform<In = Record, Out = Record>> = match name {
        "window" => {
            let mut held = windows();
            fill(&mut held, minutes);
            Box::new(held)
        }
        "statistics" => {
            let day = statistics::Bucket::Day;
            let config = statistics::Config { max_samples: samples, ..statistics::Config::new(day) };
            let mut held = Statistics::new(&config).expect("a configuration");
            fill(&mut held, days);
            Box::new(held)
        }
        "merge_sources" => {
            let config = merge_sources::Config { max_samples: samples, ..Default::default() };
            let mut held = MergeSources::new(&config).expect("a configuration");
            let steps = Kind::parse("StepCount").expect("a type");
            let unit = Unit::parse("count").expect("a unit");
            fill(&mut held, |number| {
                let mut record = minutes(number);
                record.end = record.start.plus_micros(MINUTE);
                Record { kind: Some(steps), value: Value::Quantity(60.0, unit), ..record }
            });
            Box::new(held)
        }
        "latest" => {
            let config = latest::Config { by: vec!["subject".to_owned()], on: latest::On::default() };
            let mut held = Latest::new(&config).expect("a configuration");
            fill(&mut held, people);
            Box::new(held)
        }
        "dedupe" => {
            let mut held = Dedupe::new(dedupe::Config { capacity: samples }).expect("a configuration");
            fill(&mut held, minutes);
            Box::new(held)
        }
        _ => panic!("{HOLD} is one of {HELD:?}"),
    };
    println!("{}", resident() - before);
    drop(held);
}

/// How many bytes of this process are resident.
fn resident() -> u64 {
    let status = read_to_string("/proc/self/status").expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Prints how much memory a million keys of each of [`HELD`] take.
#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
fn memory() {
    for (name, key) in HELD {
        let program = env::current_exe().expect("this program");
        let output = Command::new(program).env(HOLD, name).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        println!("{name}: {} MiB for a million keys, each {key}", bytes >> 20);
    }
}

/// A state database on a disk, with a claim.
struct Store {
    store: RedbStore,
    generation: Generation,
    epoch: Cell<u64>,
    pipeline: Name,
}

impl Store {
    async fn open(directory: &std::path::Path) -> Store {
        let (disk, clock): (Arc<_>, _) = (OsDisk::shared(), SystemClock::shared());
        let store =
            RedbStore::open(disk, clock, Random::from_seed(1), directory, false).await.expect("it opens");
        let pipeline = Name::from("bench");
        let generation = store.claim(&pipeline).await.expect("a claim");
        Store { store, generation, epoch: Cell::new(0), pipeline }
    }

    /// Saves the next epoch.
    async fn save(&self, state: Snapshot) {
        self.epoch.set(self.epoch.get() + 1);
        let checkpoint = Checkpoint {
            pipeline: self.pipeline.clone(),
            incarnation: Incarnation::from_u128(7),
            epoch: Epoch(self.epoch.get()),
            time: Timestamp::default(),
            positions: Default::default(),
            tokens: Default::default(),
            ledger: Default::default(),
        };
        let save = Save {
            generation: self.generation,
            checkpoint,
            states: vec![(Name::from("window"), state)],
            dead_letters: Vec::new(),
            withdrawn: Vec::new(),
            retried: Vec::new(),
        };
        self.store.save(save).await.expect("it is saved");
    }
}

/// Which windows change between two checkpoints.
#[derive(Clone, Copy, Debug)]
enum Changed {
    /// Those of one minute, of all people: what comes now.
    OfOneTime,
    /// Of each person another minute: what comes late, or is corrected.
    Anywhere,
}

#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
fn checkpoints(criterion: &mut Criterion, changed: Changed) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = two_workers();
    let store = runtime.block_on(Store::open(directory.path()));
    let mut window = windows();
    let mut out = Emit::new();
    for person in 0..1000 {
        let mut batch: Batch<Record> =
            (0..1000).map(|minute| record(person * 1000 + minute, person, minute)).collect();
        window.apply(&mut batch, &mut out).expect("applies");
    }
    runtime.block_on(store.save(window.snapshot().expect("a snapshot")));

    // Their samples are corrected, in others each time: there are never more than a million.
    let round = Cell::new(0);
    let change = |window: &mut Window| {
        let turn = round.replace(round.get() + 1);
        let corrected = |person| {
            let minute = match changed {
                Changed::OfOneTime => turn % 1000,
                Changed::Anywhere => (person * 7 + turn) % 1000,
            };
            let mut record = record(person * 1000 + minute, person, minute);
            record.revision = 1 + (turn / 1000) as u32;
            record
        };
        let mut batch: Batch<Record> = (0..CHANGES).map(corrected).collect();
        let mut out = Emit::new();
        window.apply(&mut batch, &mut out).expect("applies");
        assert!(out.batch.is_empty() && out.take_rejects().is_empty(), "all windows are open");
    };
    let mut figures = (Vec::new(), Vec::new());
    for _ in 0..100 {
        change(&mut window);
        let with = time(|| runtime.block_on(store.save(window.snapshot().expect("a snapshot"))));
        figures.0.push(with.as_secs_f64() * 1e3);
        let without = time(|| runtime.block_on(store.save(Snapshot::Unchanged)));
        figures.1.push(without.as_secs_f64() * 1e3);
    }
    let (with, without) = (Spread::of(figures.0), Spread::of(figures.1));
    println!(
        "a checkpoint of a million open windows, a thousand changed ({changed:?}), saved and synced: {:.2} ms ({:.2} to {:.2}); of nothing: {:.2} ms ({:.2} to {:.2})",
        with.median, with.min, with.max, without.median, without.min, without.max
    );

    let window = RefCell::new(window);
    let change = || change(&mut window.borrow_mut());
    let snapshot = || window.borrow_mut().snapshot().expect("a snapshot");
    let mut group =
        criterion.benchmark_group(format!("state: 1,000 of 1,000,000 windows changed, {changed:?}"));
    group.bench_function("snapshot", |bench| {
        bench.iter_batched(change, |()| snapshot(), BatchSize::PerIteration);
    });
    // The snapshots before were not saved, which a state database does not mind.
    group.bench_function("snapshot and save", |bench| {
        bench.iter_batched(change, |()| runtime.block_on(store.save(snapshot())), BatchSize::PerIteration);
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    if cfg!(target_os = "linux") {
        memory();
    }
    checkpoints(criterion, Changed::OfOneTime);
    checkpoints(criterion, Changed::Anywhere);
}

criterion_group!(state, benches);

fn main() {
    if let Ok(name) = env::var(HOLD) {
        return hold(&name);
    }
    state();
    Criterion::default().configure_from_args().final_summary();
}
