//! Tests of the segment log.

mod committer;
mod cost;
mod damage;
mod faults;
mod flips;
mod layout;
mod limits;
mod model;
mod reading;
mod take_over;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    ErrorKind, Result,
    random::Random,
    testing::{Fault, Op, SimDisk},
};

/// Small segments, so that histories of a few dozen entries have several.
const SEGMENT: u64 = 4 << 10;
const LIMITS: LogLimits = LogLimits { segment_bytes: SEGMENT, max_bytes: 16 * SEGMENT };
/// Tries until planned faults must have happened.
const TRIES: usize = 20;

fn directory() -> PathBuf {
    PathBuf::from("/queues/test")
}

fn open(disk: &SimDisk, expected: Option<LogPosition>) -> Result<(SegmentLog, Recovery)> {
    SegmentLog::open_unchecked(disk.shared(), &directory(), LIMITS, expected, &mut Random::from_seed(7))
}

/// The `serial`-th payload of a history: no two are the same, even at the same number.
fn payload(serial: u64, len: usize) -> Vec<u8> {
    let mut random = Random::from_seed(serial);
    let mut bytes: Vec<u8> = serial.to_le_bytes().to_vec();
    bytes.extend((bytes.len()..len).map(|_| random.below(256) as u8));
    bytes
}

/// Appends entries of these lengths, whose serials are their numbers.
fn fill(log: &mut SegmentLog, lens: &[usize]) {
    for len in lens {
        let serial = log.end().number();
        assert!(matches!(log.append(&payload(serial, *len)).unwrap(), Appended::At(_)));
    }
}

/// Reads everything up to the synced end: entries by number, and damage.
fn read_all(log: &SegmentLog) -> (BTreeMap<u64, Vec<u8>>, Vec<Damage>) {
    read_from(log, log.first())
}

fn read_from(log: &SegmentLog, from: LogPosition) -> (BTreeMap<u64, Vec<u8>>, Vec<Damage>) {
    let (mut reader, mut batch) = (log.reader(from), Entries::new());
    let (mut entries, mut damage) = (BTreeMap::new(), Vec::new());
    loop {
        reader.read(log.synced(), &mut batch).unwrap();
        for entry in batch.iter() {
            assert_eq!(entry.after.number(), entry.position.number() + 1);
            assert_eq!(entries.insert(entry.position.number(), entry.payload.to_vec()), None);
        }
        damage.extend(batch.damage().cloned());
        if batch.is_empty() && batch.damage().is_none() {
            assert_eq!(reader.position(), log.synced());
            return (entries, damage);
        }
    }
}

/// The files of the log's segments, in order.
fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let mut files = disk.shared().list(&directory()).unwrap();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

fn len_of(disk: &SimDisk, path: &Path) -> u64 {
    disk.shared().info(path).unwrap().unwrap().len
}

/// A log, and what it must contain.
struct Subject {
    disk: SimDisk,
    log: SegmentLog,
    /// Every entry that may be there, by number.
    entries: Vec<Vec<u8>>,
    /// Entries that must be there, whatever happens.
    synced: LogPosition,
    /// A cut that may or may not have happened.
    in_doubt: Option<u64>,
    /// Numbers below were trimmed or may have been.
    trimmed: u64,
    /// Positions that were given.
    positions: Vec<LogPosition>,
    serial: u64,
    random: Random,
}

impl Subject {
    fn new(seed: u64) -> Subject {
        let disk = SimDisk::new(seed);
        let (log, report) = open(&disk, None).unwrap();
        assert_eq!(report, Recovery::default());
        Subject {
            disk,
            synced: log.end(),
            log,
            entries: Vec::new(),
            in_doubt: None,
            trimmed: 0,
            positions: Vec::new(),
            serial: 0,
            random: Random::from_seed(seed),
        }
    }

    fn append(&mut self, len: usize) -> Result<()> {
        self.serial += 1;
        let bytes = payload(self.serial, len);
        let before = (self.log.bytes(), self.log.end());
        match self.log.append(&bytes)? {
            Appended::At(position) => {
                assert_eq!(position.number(), self.entries.len() as u64);
                assert_eq!(position, before.1);
                assert!(self.log.bytes() <= LIMITS.max_bytes, "{} bytes", self.log.bytes());
                self.entries.push(bytes);
                self.positions.push(position);
            }
            Appended::Full => assert!(before.0 + len as u64 + SEGMENT > LIMITS.max_bytes, "{before:?}"),
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let end = self.log.sync()?;
        assert_eq!(end.number(), self.entries.len() as u64);
        self.synced = end;
        self.positions.push(end);
        Ok(())
    }

    /// Cuts at a given position, somewhere between the first and the last.
    fn truncate(&mut self, part: f64) -> Result<()> {
        let (first, end) = (self.log.first().number(), self.log.end().number());
        let number = first + ((end - first) as f64 * part).round() as u64;
        let to = self.positions.iter().rev().find(|position| position.number() == number);
        let to = *to.unwrap_or(&self.log.end());
        self.in_doubt = Some(to.number());
        self.log.truncate(to)?;
        self.in_doubt = None;
        self.cut(to.number());
        assert_eq!(self.log.end(), to);
        assert_eq!(self.log.synced(), to);
        Ok(())
    }

    fn cut(&mut self, number: u64) {
        self.entries.truncate(number as usize);
        self.positions.retain(|position| position.number() <= number);
        self.trimmed = self.trimmed.min(number);
        self.synced = self.log.synced();
    }

    fn trim(&mut self, part: f64) -> Result<()> {
        let end = self.synced.number();
        let number = self.trimmed + ((end - self.trimmed) as f64 * part).round() as u64;
        let to = self.positions.iter().rev().find(|position| position.number() == number);
        let to = *to.unwrap_or(&self.synced);
        self.trimmed = self.trimmed.max(to.number());
        let result = self.log.trim(to);
        // When it rolls, it syncs.
        self.synced = self.log.synced();
        result?;
        assert!(self.log.first() <= to);
        Ok(())
    }

    /// Opens the log again, as often as planned faults make it necessary, and looks at all of it.
    fn reopen(&mut self, with_expected: bool, what: &str) {
        let in_doubt = self.in_doubt.take();
        let expected = (with_expected && in_doubt.is_none()).then_some(self.synced);
        for attempt in 0.. {
            match open(&self.disk, expected) {
                Ok((log, report)) => {
                    assert_eq!(report.damage, [], "{what}: nothing was damaged");
                    self.log = log;
                    break;
                }
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{what}: {error}");
                    assert!(attempt < TRIES, "{what}: it never opens: {error}");
                    self.disk.heal();
                }
            }
        }
        let end = self.log.end().number();
        let most = self.entries.len() as u64;
        let is_cut = in_doubt == Some(end);
        assert!(
            is_cut || (self.synced.number()..=most).contains(&end),
            "{what}: {} <= {end} <= {most}, in doubt {in_doubt:?}",
            self.synced.number()
        );
        assert_eq!(self.log.synced(), self.log.end(), "{what}: an open log is synced");
        self.cut(end);
        self.check(what);
    }

    /// What is synced can be read, from the beginning and from any position that was given.
    fn check(&mut self, what: &str) {
        self.disk.heal();
        let first = self.log.first().number();
        assert!(first <= self.trimmed, "{what}: {first} <= {}", self.trimmed);
        let kept: Vec<LogPosition> =
            self.positions.iter().copied().filter(|position| position.number() >= first).collect();
        let from = kept.get(self.random.below(kept.len() as u64) as usize).copied();
        for from in [Some(self.log.first()), from].into_iter().flatten() {
            if from > self.log.synced() {
                continue;
            }
            let (found, damage) = read_from(&self.log, from);
            assert_eq!(damage, [], "{what}: nothing was damaged");
            let numbers = from.number()..self.log.synced().number();
            let expected: BTreeMap<u64, Vec<u8>> =
                numbers.map(|number| (number, self.entries[number as usize].clone())).collect();
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
            assert!(found == expected, "{what}: an entry has other bytes");
        }
    }
}
