//! [`Runs`]: records of several batches in the order of their keys.

use std::mem;

use afferent_core::{Batch, Record};

use super::month::Months;

/// How many records are put in order at a time; in tests a few, so that runs end and begin in them. Where types are mixed, those of a
/// batch touch nearly as many pages as there are records; of several batches many fall into one page, which is then read, changed and
/// written once. An import of mixed types takes two thirds of the time that it takes without, one type by type a tenth less. Eight
/// batches are hardly faster, and take 2 MiB more.
const RECORDS: usize = if cfg!(test) { 3 } else { 6 * 1024 };

/// About how many bytes they may take, so that long records are not gathered. So many of 400 bytes of XML, as most are, take less.
const BYTES: usize = 3 << 20;

/// Gathers records into runs, and gives those of a run in the order of their keys. As many come out as go in, so that nobody waits
/// for a whole run to be written: while one goes out, the next gathers.
///
/// As long as all are first additions, nobody can tell but by the order of their rejects: of equal ids the one that came first
/// still comes first.
#[derive(Debug)]
pub(super) struct Runs {
    months: Months,
    /// Those that come next, the last first.
    run: Vec<Record>,
    gathered: Vec<Record>,
    /// About how many bytes `gathered` takes.
    bytes: usize,
}

impl Runs {
    pub(super) fn new() -> Runs {
        Runs { months: Months::new(), run: Vec::new(), gathered: Vec::new(), bytes: 0 }
    }

    /// Takes `records` in.
    pub(super) fn gather(&mut self, records: &mut Batch<Record>) {
        // What the batch says of its bytes is lost in some stages, and what a record weighs is without its metadata.
        self.bytes += records.bytes().max(records.iter().map(Record::weight).sum());
        self.gathered.append(records);
    }

    /// Whether so much is gathered that the next run should begin.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.len() >= RECORDS || self.bytes >= BYTES
    }

    /// The next record of the run.
    pub(super) fn next(&mut self) -> Option<Record> {
        self.run.pop()
    }

    /// What was gathered is the next run. The last one must have gone out.
    pub(super) fn begin(&mut self) {
        debug_assert!(self.run.is_empty(), "a run begins behind another");
        mem::swap(&mut self.run, &mut self.gathered);
        self.bytes = 0;
        let months = &mut self.months;
        self.run.sort_by_cached_key(|record| (record.kind, months.of(record.start), record.id.to_bytes()));
        self.run.reverse();
    }
}
