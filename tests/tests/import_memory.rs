//! How much memory an import takes: no more for 4 GB than for 100 MB.
//!
//! The exports are generated here, and not stored: some MB of elements as the generator of tests writes them, again
//! and again, with all dates some days later each time, so that no two records are the same and the database grows
//! as it would.

#![cfg(unix)]

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    ops::Range,
    path::Path,
};

use afferent::afferent_core::Timestamp;
use afferent_sources::export::testing::write_export;
use afferent_tests::Place;
use nix::sys::resource::{UsageWho, getrusage};
use rusqlite::Connection;
use serde_json::Value as Json;
use zip::{ZipWriter, write::SimpleFileOptions};

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// What an import may take, however large the export.
const LIMIT_MIB: u64 = 32;

/// Scenario: an export of 100 MB of XML. Guarantees: G1, G7.
#[test]
fn an_import_of_100_mb() {
    import(100_000_000);
}

/// Scenario: an export of 500 MB of XML. Guarantees: G1, G7.
#[test]
fn an_import_of_500_mb() {
    import(500_000_000);
}

/// Scenario: an export of 4 GB of XML, more than 32 bits can count. Guarantees: G1, G7.
#[test]
fn an_import_of_4_gb() {
    import(u64::from(u32::MAX) + 1);
}

/// Imports an export of at least `bytes` of XML into SQLite by another process; checks its peak of memory and that
/// all has arrived.
fn import(bytes: u64) {
    let place = Place::new(BINARY);
    let block = Block::new();
    let copies = bytes.div_ceil(block.text.len() as u64);
    let records = block.records * copies;
    block.write_zip(copies, &place.path().join("export.zip")).expect("the export is written");

    let ran = place.run(&["import", "export.zip", "--to", "sqlite:health.db", "-o", "json"]).exits(0);
    let peak = peak_of_children();
    assert!(peak <= LIMIT_MIB << 20, "the import took {} MiB", peak >> 20);

    let account: Json = serde_json::from_str(ran.stdout.lines().last().expect("an account")).expect("JSON");
    assert_eq!((&account["delivered"], &account["dead"]), (&records.into(), &0.into()));
    let database = Connection::open(place.path().join("health.db")).expect("the database");
    let rows = database.query_row("SELECT count(*) FROM sample", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows.expect("a count").try_into(), Ok(records));
}

/// The most memory that a process which this one has started and awaited ever had resident, in bytes. Linux gives
/// it for all of them together; the others here are smaller.
fn peak_of_children() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("this process may know");
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.max_rss()).expect("a size") * unit
}

/// Elements of an export, and where their dates are.
struct Block {
    head: Vec<u8>,
    text: Vec<u8>,
    /// Where a date is, and how many days it is after the first.
    dates: Vec<(Range<usize>, usize)>,
    first: Timestamp,
    days: usize,
    records: u64,
}

impl Block {
    /// About 8 MB, of about 4 days.
    const ELEMENTS: u64 = 20_000;

    fn new() -> Block {
        let mut export = Vec::new();
        write_export(7, Block::ELEMENTS, &mut export).expect("memory can be written");
        let export = String::from_utf8(export).expect("an export is text");
        let (head, rest) = export.split_at(export.find(" <Record").expect("it has records"));
        let text = rest.strip_suffix(Block::TAIL).expect("it ends");

        let is_date = |at: usize| text[at..].bytes().skip(4).step_by(3).take(2).eq(*b"--");
        let places: Vec<Range<usize>> = text
            .match_indices("=\"20")
            .map(|(at, found)| at + found.len() - 2)
            .filter(|at| is_date(*at))
            .map(|at| at..at + "yyyy-MM-dd".len())
            .collect();
        let first = places.iter().map(|place| day(&text[place.clone()])).min().expect("it has dates");
        let days_after = |place: &Range<usize>| {
            let micros = day(&text[place.clone()]).as_micros() - first.as_micros();
            (micros / MICROS_PER_DAY) as usize
        };
        let dates: Vec<_> = places.iter().map(|place| (place.clone(), days_after(place))).collect();
        Block {
            days: dates.iter().map(|(_, days)| days + 1).max().expect("it has dates"),
            // Those of its own at the beginning of a line; what is inside another stands further in.
            records: text.lines().filter(|line| line.starts_with(" <") && !line.starts_with(" </")).count()
                as u64,
            head: head.into(),
            text: text.into(),
            dates,
            first,
        }
    }

    const TAIL: &str = "</HealthData>\n";

    /// Writes an export of so many copies of it.
    #[allow(clippy::disallowed_methods, reason = "a test's own files")]
    fn write_zip(mut self, copies: u64, path: &Path) -> io::Result<()> {
        let mut zip = ZipWriter::new(BufWriter::new(File::create(path)?));
        let options = SimpleFileOptions::default().large_file(true).compression_level(Some(1));
        zip.start_file("apple_health_export/export.xml", options)?;
        zip.write_all(&self.head)?;
        for _ in 0..copies {
            zip.write_all(&self.text)?;
            self.move_on();
        }
        zip.write_all(Block::TAIL.as_bytes())?;
        zip.finish()?.flush()
    }

    /// Moves all dates behind the last.
    fn move_on(&mut self) {
        self.first = self.first.plus_micros(self.days as i64 * MICROS_PER_DAY);
        let dates: Vec<String> = (0..self.days as i64)
            .map(|days| self.first.plus_micros(days * MICROS_PER_DAY).to_string())
            .collect();
        for (place, days) in &self.dates {
            self.text[place.clone()].copy_from_slice(&dates[*days].as_bytes()[..place.len()]);
        }
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

fn day(date: &str) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("{date}T00:00:00Z")).expect("a date").0
}
