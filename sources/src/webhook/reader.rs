//! [`Reader`]: from entries of the log to records. In jobs only.

use afferent_core::{
    Batch, Limits, Record, Reject, Rejects, Result,
    segment_log::{Entries, LogPosition, LogReader},
};
use afferent_formats::{DecoderOptions, wire::WireDecoder};

use super::{
    frame::Head,
    intake::lost,
    items::{Cursor, Items},
    position::Place,
};

/// Reads the log, step by step.
pub(super) struct Reader {
    log: LogReader,
    entries: Entries,
    /// How many of `entries` are done.
    index: usize,
    /// Where in the next one it is.
    cursor: Cursor,
    /// How many records of it were given.
    done: u64,
    /// Where `done` counts from.
    entry: LogPosition,
    decoder: WireDecoder,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("entry", &self.entry).field("done", &self.done).finish_non_exhaustive()
    }
}

/// What one step gave.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) batch: Batch<Record>,
    pub(super) rejects: Rejects,
    /// Where it is after them.
    pub(super) place: Place,
    /// What an operator should know.
    pub(super) alarms: Vec<String>,
}

impl Reader {
    /// Goes on in `log` after the first `done` records of the entry that it is at.
    pub(super) fn new(log: LogReader, done: u64, strict: bool) -> Reader {
        let entry = log.position();
        let decoder = WireDecoder::new(DecoderOptions { strict });
        Reader { log, entries: Entries::new(), index: 0, cursor: Cursor::default(), done, entry, decoder }
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        Place { log: self.log.id(), entry: self.entry, done: self.done, asked: 0 }
    }

    /// Reads on until `limits` are reached or there is nothing more.
    pub(super) fn step(&mut self, limits: Limits, mut batch: Batch<Record>) -> Result<Step> {
        let (mut rejects, mut alarms) = (Rejects::new(), Vec::new());
        while batch.len() + rejects.len() < limits.records && batch.bytes() < limits.bytes {
            if self.index == self.entries.len() {
                self.log.read(LogPosition::MAX, &mut self.entries)?;
                self.index = 0;
                if let Some(damage) = self.entries.damage() {
                    alarms.push(lost(damage));
                    (self.entry, self.done) = (self.log.position(), 0);
                    continue;
                }
                if self.entries.is_empty() {
                    break;
                }
            }
            self.read_entries(limits, &mut batch, &mut rejects)?;
        }
        Ok(Step { batch, rejects, place: self.place(), alarms })
    }

    /// Gives records of the entries in memory.
    fn read_entries(
        &mut self,
        limits: Limits,
        batch: &mut Batch<Record>,
        rejects: &mut Rejects,
    ) -> Result<()> {
        for entry in self.entries.iter().skip(self.index) {
            if self.cursor == Cursor::default() {
                let resumes = entry.position == self.entry;
                self.entry = entry.position;
                if !resumes {
                    self.done = 0;
                }
            }
            let (_, content) = Head::split(entry.payload)?;
            let mut items = Items::new(content, self.cursor);
            // After a restart: what was given before it is passed over.
            let passed = if self.cursor == Cursor::default() { std::mem::take(&mut self.done) } else { 0 };
            loop {
                if self.done >= passed
                    && (batch.len() + rejects.len() >= limits.records || batch.bytes() >= limits.bytes)
                {
                    self.cursor = items.cursor();
                    return Ok(());
                }
                // It was found to be good before it was stored.
                let Ok(Some(item)) = items.next() else { break };
                self.done += 1;
                if self.done <= passed {
                    continue;
                }
                match self.decoder.decode_record(item) {
                    Ok(record) => batch.push(record),
                    // By another version, which knew less, or more.
                    Err(refused) => {
                        let location =
                            format!("webhook entry {}, record {}", entry.position.number(), self.done);
                        let mut reject = Reject::raw(item.as_bytes(), refused.reason, location);
                        reject.key = refused.id.map(|id| id.to_string());
                        rejects.push(reject);
                    }
                }
                batch.add_bytes(item.len());
            }
            self.index += 1;
            (self.entry, self.done, self.cursor) = (entry.after, 0, Cursor::default());
        }
        Ok(())
    }
}
