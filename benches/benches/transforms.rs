//! Two million records of 20 people and six types, some from a phone and some from a watch: what transforms with state cost,
//! against folds written by hand over the same records from the same decoder, on one thread. Ours also take the snapshots that
//! an engine takes, one for each million records; the folds keep nothing that survives.
//!
//! `AFFERENT_BENCH_RECORDS` sets another number of records.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use afferent::{
    afferent_core::{Batch, Emit, Kind, Name, Record, RecordId, Timestamp, Transform, Unit, Value},
    formats::{Decoder, DecoderOptions, Location, wire::WireDecoder},
    transforms::{MergeSources, Statistics, Window, merge_sources, statistics, window},
};
use afferent_benches::{TYPES, pair};
use criterion::{Criterion, Throughput, criterion_group};

/// µs.
const SECOND: i64 = 1_000_000;
/// µs.
const MINUTE: i64 = 60 * SECOND;
/// µs.
const DAY: i64 = 86_400 * SECOND;
const PEOPLE: u64 = 20;
/// How many records an engine puts into an epoch.
const EPOCH: usize = 1_000_000;

/// Writes `records` lines: every five seconds one of each person and type, ten seconds long, every other one of the phone.
#[allow(clippy::disallowed_methods, reason = "a bench's own files")]
fn write(path: &Path, records: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let origins = [
        r#"{"name":"Apple Watch","bundle":"com.apple.health.watch","version":"10.2","product":"Watch6,7"}"#,
        r#"{"name":"iPhone","bundle":"com.apple.health.phone","version":"17.2","product":"iPhone15,2"}"#,
    ];
    for number in 0..records {
        let turn = number / (PEOPLE * 6);
        let (kind, unit) = TYPES[(number / PEOPLE % 6) as usize];
        // Any fixed mixing will do: ids must be spread, and the same in every run.
        let mixed = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
        let id = RecordId::from_u128(mixed << 64 | u128::from(number.wrapping_mul(0xbf58_476d_1ce4_e5b9)));
        let value = mixed as f64 / (1_u128 << 64) as f64 * 200.0;
        let text = |seconds: i64| {
            Timestamp::from_micros_clamped(1_735_689_600 * SECOND + seconds * SECOND).to_string()
        };
        let (start, end) = (text(turn as i64 * 5), text(turn as i64 * 5 + 10));
        writeln!(
            out,
            r#"{{"id":"{id}","type":"{kind}","start":"{start}","end":"{end}","value":{value},"unit":"{unit}","subject":"user-{}","source":{}}}"#,
            number % PEOPLE,
            origins[(turn % 2) as usize],
        )?;
    }
    out.flush()
}

/// Reads the file in batches as the file source does.
fn read(path: &Path, mut take: impl FnMut(&mut Batch<Record>)) {
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path).expect("the input"));
    let mut decoder = WireDecoder::new(DecoderOptions::default());
    let (mut batch, mut rejects, mut lines, mut line) = (Batch::new(), Vec::new(), Vec::new(), 0);
    loop {
        let read = reader.read_until(b'\n', &mut lines).expect("a line");
        line += 1;
        if read == 0 || line % 1024 == 0 {
            decoder.decode(&lines, Location { name: "input", line: 1 }, &mut batch, &mut rejects);
            assert!(rejects.is_empty());
            lines.clear();
            take(&mut batch);
            batch.clear();
        }
        if read == 0 {
            return;
        }
    }
}

/// Runs a transform over the file; how many results it gave.
fn ours<X: Transform<In = Record, Out = Record>>(path: &Path, mut transform: X) -> usize {
    let (mut out, mut results, mut since) = (Emit::new(), 0, 0);
    read(path, |batch| {
        since += batch.len();
        transform.apply(batch, &mut out).expect("applies");
        if since >= EPOCH {
            since = 0;
            transform.tick(Timestamp::default(), &mut out).expect("ticks");
            drop(transform.snapshot().expect("a snapshot"));
        }
        results += out.batch.len();
        out.batch.clear();
    });
    transform.finish(&mut out).expect("finishes");
    drop(transform.snapshot().expect("a snapshot"));
    results + out.batch.len()
}

fn minutes() -> Window {
    let size = "1min".parse().expect("a span");
    let mut config = window::Config::new(size, &["count", "sum", "min", "max", "avg"]);
    config.lateness = "30s".parse().expect("a span");
    Window::new(&config).expect("a configuration")
}

fn days() -> Statistics {
    let config =
        statistics::Config { max_samples: 50_000_000, ..statistics::Config::new(statistics::Bucket::Day) };
    Statistics::new(&config).expect("a configuration")
}

fn merged() -> MergeSources {
    let config = merge_sources::Config { max_samples: 50_000_000, ..Default::default() };
    MergeSources::new(&config).expect("a configuration")
}

#[derive(Default)]
struct Fold {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Fold {
    fn add(&mut self, value: f64) {
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = if self.count == 0 { value } else { self.max.max(value) };
        self.count += 1;
        self.sum += value;
    }
}

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Key = (Option<Name>, Option<Kind>, Option<Unit>);

fn key(record: &Record) -> Key {
    (record.subject.clone(), record.kind, record.value.unit())
}

/// A fold over spans of `width`, by hand; how many there are.
fn folded(path: &Path, width: i64) -> usize {
    let mut folds = Map::<(Key, i64), Fold>::default();
    read(path, |batch| {
        for record in batch.drain(..) {
            let at = record.start.as_micros().div_euclid(width);
            let Some(value) = record.value.as_f64() else { continue };
            folds.entry((key(&record), at)).or_default().add(value);
        }
    });
    std::hint::black_box(
        folds.values().map(|fold| fold.sum / fold.count as f64 + fold.min + fold.max).sum::<f64>(),
    );
    folds.len()
}

/// Merges by hand: all stretches of a key in order of time, each cut where the watch has one; how many pieces there are.
fn merged_by_hand(path: &Path) -> usize {
    let mut lanes = Map::<Key, Vec<(i64, i64, bool, f64)>>::default();
    let mut others = 0;
    let discrete = ["HeartRate", "OxygenSaturation"].map(|name| Kind::parse(name).ok());
    read(path, |batch| {
        for record in batch.drain(..) {
            if discrete.contains(&record.kind) {
                others += 1;
                continue;
            }
            let is_watch =
                record.origin.as_ref().is_some_and(|origin| origin.product.as_deref() == Some("Watch6,7"));
            let Value::Quantity(value, _) = record.value else { continue };
            let (start, end) = (record.start.as_micros(), record.end.as_micros());
            lanes.entry(key(&record)).or_default().push((start, end, is_watch, value));
        }
    });
    let mut pieces = others;
    for lane in lanes.values_mut() {
        lane.sort_unstable_by_key(|(start, ..)| *start);
        let watches: Vec<(i64, i64)> = lane.iter().filter(|one| one.2).map(|one| (one.0, one.1)).collect();
        let mut first = 0;
        for &(start, end, is_watch, value) in lane.iter() {
            if is_watch {
                pieces += 1;
                continue;
            }
            while watches.get(first).is_some_and(|watch| watch.1 <= start) {
                first += 1;
            }
            let mut from = start;
            for &(watch_start, watch_end) in watches[first..].iter().take_while(|watch| watch.0 < end) {
                if watch_start > from {
                    pieces += 1;
                    std::hint::black_box(value * (watch_start - from) as f64 / (end - start) as f64);
                }
                from = from.max(watch_end);
            }
            if from < end {
                pieces += 1;
            }
        }
    }
    pieces
}

fn benches(criterion: &mut Criterion) {
    let records = std::env::var("AFFERENT_BENCH_RECORDS")
        .map_or(2_000_000, |records| records.parse().expect("AFFERENT_BENCH_RECORDS is a number"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path: PathBuf = directory.path().join("input.ndjson");
    write(&path, records).expect("the input is written");

    assert_eq!(ours(&path, minutes()), folded(&path, MINUTE), "as many windows");
    pair("window", records, 5, || ours(&path, minutes()), || folded(&path, MINUTE));
    pair("statistics", records, 5, || ours(&path, days()), || folded(&path, DAY));
    assert_eq!(ours(&path, merged()), merged_by_hand(&path), "as many pieces");
    pair("merge_sources", records, 5, || ours(&path, merged()), || merged_by_hand(&path));

    let mut group = criterion.benchmark_group("transforms");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("window", |bench| bench.iter(|| ours(&path, minutes())));
    group.bench_function("statistics", |bench| bench.iter(|| ours(&path, days())));
    group.bench_function("merge_sources", |bench| bench.iter(|| ours(&path, merged())));
    group.finish();
}

criterion_group!(transforms, benches);

fn main() {
    transforms();
    Criterion::default().configure_from_args().final_summary();
}
