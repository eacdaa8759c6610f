//! A receiver that is away for a week: what waits for it costs neither memory nor more disk than allowed, and is sent in
//! order when it is back.
//!
//! Time is simulated, so the receiver is a function of this process: bytes on their way through a socket would have the
//! paused clock jump.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, though most of them not in the functions that are"
)]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use afferent::{
    Builder,
    runtime::{Runtime, RuntimeOptions},
};
use afferent_core::{
    Batch, Kind, Name, Position, Pulled, Record, RecordId, Result, Source, SourceCx, Timestamp, Unit, Value,
    clock::{self, Instant},
    engine::{End, Settings as EngineSettings},
    testing::TestClock,
};
use afferent_sinks::upload::{
    BatchLimits, Compression, Framing, Outcome, SealedBody, Settings, Transport, Upload,
};

/// What comes in the week.
const RECORDS: u64 = 10_000_000;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Whose records they are, in turn.
const SUBJECTS: u64 = 8;
/// Records that come at a time.
const BATCH: u64 = 1000;
/// When an epoch is closed: four times an hour, and when the receiver is back and everything goes fast, after so many records.
const EPOCH: (Duration, u64) = (Duration::from_secs(900), 100_000);
/// How often, in records, is looked at memory and disk.
const LOOK: u64 = 250_000;
/// What may wait, on disk: about half of what comes.
const MAX_BYTES: u64 = 240 << 20;
/// What may be on disk beside the bound: the open epoch, whole segments, and what the kept checkpoints need.
const SLACK: u64 = 32 << 20;

/// Scenario: ten million records come in a week, evenly, and the receiver is away for all of it; the bound on what may wait is
/// reached before. Then it comes back. Guarantees: G1, G2, G3, G7: memory stays as it is, within 10 %, while more and more
/// waits and while less and less does; the disk stays within its bound; each record arrives once, in the order of its subject;
/// the ledger balances.
#[test]
fn a_week_without_the_receiver_costs_no_memory() {
    let place = tempfile::tempdir().unwrap();
    // One thread for jobs, none of which waits for another: with more, what the allocator keeps for each of them adds to the
    // memory of the process, and says nothing of ours.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let receiver = runtime.block_on(week(place.path().to_owned()));
    let books = receiver.0.lock().unwrap();
    assert_eq!(books.next.iter().sum::<u64>(), RECORDS, "each record has arrived once");

    let (away, back) = (&books.away, &books.back);
    println!("MiB of memory and of disk: away {away:?}, back {back:?}; {} attempts", books.attempts);
    let disk = away.iter().chain(back).map(|look| look.disk).max().unwrap();
    assert!((MAX_BYTES / 10 * 9..=MAX_BYTES + SLACK).contains(&disk), "{disk} bytes wait, {MAX_BYTES} may");
    for looks in [away, back] {
        // What is allocated once is there after the first ones.
        let memory = looks.iter().skip(2).map(|look| look.memory);
        let (least, most) = (memory.clone().min().unwrap(), memory.max().unwrap());
        assert!(most - least <= least / 5, "memory is between {least} and {most} bytes: {looks:?}");
    }
}

/// Lives through the week, and through what comes after it.
async fn week(place: PathBuf) -> Receiver {
    let began = clock::instant();
    let receiver = Receiver(Arc::new(Mutex::new(Books {
        returns: began + WEEK,
        attempts: 0,
        next: [0; SUBJECTS as usize],
        received: 0,
        away: Vec::new(),
        back: Vec::new(),
        place: place.clone(),
    })));
    let options = RuntimeOptions { clock: Arc::new(TestClock::default()), ..RuntimeOptions::default() };
    let runtime = Runtime::open(&place, options).await.unwrap();
    let settings = Settings {
        framing: Framing::Lines,
        compression: Compression::Zstd,
        batch: BatchLimits { records: 500, ..BatchLimits::default() },
        max_bytes: MAX_BYTES,
        ..Settings::default()
    };
    let (books, transport) = (receiver.clone(), receiver.clone());
    let spec = Builder::new("away")
        .settings(EngineSettings { every: EPOCH.0, records: EPOCH.1, ..EngineSettings::default() })
        .source("feed", move || Ok(Feed { began, given: 0, receiver: books.clone() }))
        .sink("upload", move || Ok(Upload::new(settings.clone(), transport.clone())))
        .build()
        .unwrap();
    let outcome = runtime.run(spec).await.unwrap().wait().await.unwrap();
    runtime.shutdown(Duration::from_secs(60)).await.unwrap();
    let account = outcome.ledger.accounts[&Name::from("upload")];
    assert_eq!(outcome.end, End::Finished);
    assert!(outcome.ledger.is_balanced(), "{account:?}");
    assert_eq!((account.read, account.delivered, account.pending), (RECORDS, RECORDS, 0), "{account:?}");
    assert!(clock::instant() >= began + WEEK);
    receiver
}

/// Gives each record when its time has come: the last one at the end of the week.
struct Feed {
    began: Instant,
    given: u64,
    receiver: Receiver,
}

impl Source for Feed {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        self.given = cx.position.map_or(Ok(0), |position| position.read(1))?;
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        if self.given == RECORDS {
            return Ok(None);
        }
        let upto = RECORDS.min(self.given + BATCH);
        clock::sleep_until(self.began + WEEK.mul_f64(upto as f64 / RECORDS as f64)).await;
        if upto / LOOK > self.given / LOOK {
            self.receiver.look();
        }
        let batch: Batch<Record> = (self.given..upto).map(record).collect();
        self.given = upto;
        let position = Position::new(1, "feed", &upto)?;
        Ok(Some(Pulled { batch, rejects: Vec::new(), position, seal: false }))
    }
}

fn record(number: u64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 60_000);
    let kind = Kind::parse("HeartRate").unwrap();
    let value = Value::Quantity(60.0 + (number % 97) as f64 / 4.0, Unit::parse("count/min").unwrap());
    let mut record = Record::added(RecordId::from_u128(number.into()), kind, start, start, value);
    record.subject = Some(Name::from(format!("subject {}", number % SUBJECTS).as_str()));
    record
}

/// A receiver that is away until the week is over.
#[derive(Clone, Debug)]
struct Receiver(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    returns: Instant,
    attempts: u64,
    /// How many records of each subject it has, which is the place of the next one.
    next: [u64; SUBJECTS as usize],
    received: u64,
    away: Vec<Look>,
    back: Vec<Look>,
    place: PathBuf,
}

/// Bytes of this process and of its outbox.
#[derive(Clone, Copy)]
struct Look {
    memory: u64,
    disk: u64,
}

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.memory >> 20, self.disk >> 20)
    }
}

impl Receiver {
    fn look(&self) {
        self.0.lock().unwrap().look();
    }
}

impl Books {
    fn look(&mut self) {
        let look = Look { memory: resident(), disk: bytes_below(&self.place) };
        if clock::instant() < self.returns { self.away.push(look) } else { self.back.push(look) }
    }

    /// Takes the records of a body, each of which must be the next of its subject.
    fn take(&mut self, plain: &[u8]) -> u32 {
        const ID: std::ops::Range<usize> = 31..43;
        let mut records = 0;
        for line in plain.split_inclusive(|byte| *byte == b'\n') {
            assert!(line.starts_with(b"{\"id\":\"00000000-0000-0000-0000-"));
            let number = u64::from_str_radix(std::str::from_utf8(&line[ID]).unwrap(), 16).unwrap();
            let next = &mut self.next[(number % SUBJECTS) as usize];
            assert_eq!(number / SUBJECTS, *next, "of subject {}", number % SUBJECTS);
            *next += 1;
            records += 1;
        }
        let before = self.received;
        self.received += u64::from(records);
        if self.received / LOOK > before / LOOK {
            self.look();
        }
        records
    }
}

impl Transport for Receiver {
    fn receiver(&self) -> &str {
        "a receiver that is away"
    }

    async fn send(&self, body: &SealedBody) -> Outcome {
        let mut books = self.0.lock().unwrap();
        books.attempts += 1;
        if clock::instant() < books.returns {
            let reason = "it is away".to_owned();
            return Outcome::Unavailable { reason, retry_after: None, in_doubt: false };
        }
        let plain = zstd::bulk::decompress(&body.content, 1 << 21).unwrap();
        assert_eq!(books.take(&plain), body.records);
        Outcome::Delivered
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Bytes of all files in `directory`, and below it.
fn bytes_below(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().filter_map(std::result::Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            // It was removed meanwhile.
            Err(_) => 0,
        })
        .sum()
}
