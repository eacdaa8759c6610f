//! What the benches share: ratios measured within one run.
//!
//! Machines differ and drift; the ratio of two things measured in turn on one machine says more than either
//! time. Each bench prints such ratios first and then lets criterion record the times.

mod line;

use std::{
    fs::File,
    hint::black_box,
    io::{self, BufWriter, Write},
    path::Path,
    time::{Duration, Instant},
};

use afferent_core::Timestamp;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

pub use self::line::{Line, Source};

/// The spread of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; quote this.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `figures`.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        Spread { min: figures[0], median: figures[figures.len() / 2], max: figures[figures.len() - 1] }
    }
}

/// A runtime with two workers, whatever the machine has.
///
/// # Panics
/// If it can't be started.
pub fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs `ours` and `theirs` in turn, once unmeasured and then `pairs` times, and prints the ratio of their times
/// (above 1: ours takes longer) with the median throughput of each in `items` a second.
#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
pub fn pair<A, B>(
    name: &str,
    items: u64,
    pairs: usize,
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) -> Spread {
    black_box((ours(), theirs()));
    let mut figures = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        let (a, b) = (time(&mut ours), time(&mut theirs));
        figures.0.push(a.as_secs_f64() / b.as_secs_f64());
        figures.1.push(items as f64 / a.as_secs_f64());
        figures.2.push(items as f64 / b.as_secs_f64());
    }
    let ratio = Spread::of(figures.0);
    println!(
        "{name}: {:.3}× of the hand-written loop's time ({:.3}–{:.3}, {pairs} pairs); {:.0} against {:.0} records/s",
        ratio.median,
        ratio.min,
        ratio.max,
        Spread::of(figures.1).median,
        Spread::of(figures.2).median,
    );
    ratio
}

/// How long `work` takes.
#[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
pub fn time<T>(mut work: impl FnMut() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

/// The types of [`write_ndjson`]; a filter keeps the first three.
pub const TYPES: [(&str, &str); 6] = [
    ("HKQuantityTypeIdentifierHeartRate", "count/min"),
    ("HKQuantityTypeIdentifierStepCount", "count"),
    ("HKQuantityTypeIdentifierActiveEnergyBurned", "kcal"),
    ("HKQuantityTypeIdentifierDistanceWalkingRunning", "m"),
    ("HKQuantityTypeIdentifierBasalEnergyBurned", "kcal"),
    ("HKQuantityTypeIdentifierOxygenSaturation", "%"),
];

/// Writes `records` lines of the wire form, about 300 bytes each, of six types in turn and values with many
/// digits.
///
/// # Errors
/// As the file system's.
#[allow(clippy::disallowed_methods, reason = "a bench's own files")]
pub fn write_ndjson(path: &Path, records: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    // Any fixed mixing will do: ids must be spread, and the same in every run.
    let mix =
        |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    for number in 0..records {
        let (kind, unit) = TYPES[(number % 6) as usize];
        let id = Uuid::from_u64_pair(mix(number), mix(number + records));
        let value = (mix(number * 3) >> 11) as f64 / (1_u64 << 53) as f64 * 200.0;
        let mut start = Vec::new();
        Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 1_000_000)
            .write_rfc3339(&mut start);
        let start = String::from_utf8_lossy(&start);
        writeln!(
            out,
            r#"{{"id":"{id}","type":"{kind}","start":"{start}","end":"{start}","value":{value},"unit":"{unit}","subject":"user-{}","source":{{"name":"Apple Watch","bundle":"com.apple.health.watch","version":"10.2","product":"Watch6,7"}}}}"#,
            number % 4,
        )?;
    }
    out.flush()
}
