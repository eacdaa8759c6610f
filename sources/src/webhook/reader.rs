//! [`Reader`]: from entries of the log to records. In jobs only.

use afferent_core::{
    Batch, Error, Limits, Record, Reject, Rejects, Result,
    segment_log::{Entries, LogPosition, LogReader},
};
use afferent_formats::{Format, wire::WireDecoder};

use super::{
    forms::{Bodies, Pieces},
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
    inside: Option<Inside>,
    /// How much of it was given: records of the wire form, bytes of others.
    done: u64,
    /// Where `done` counts from.
    entry: LogPosition,
    strict: bool,
    /// For bodies of the form that came last.
    bodies: Bodies,
}

/// Where in a body it is.
#[derive(Debug)]
enum Inside {
    Wire(Cursor),
    Other(Pieces),
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
    /// Goes on in `log` after what is `done` of the entry that it is at.
    pub(super) fn new(log: LogReader, done: u64, strict: bool) -> Result<Reader> {
        let entry = log.position();
        let bodies = bodies(Format::Json, strict)?;
        Ok(Reader { log, entries: Entries::new(), index: 0, inside: None, done, entry, strict, bodies })
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
            let (head, content) = Head::split(entry.payload)?;
            if self.bodies.format() != head.format {
                self.bodies = bodies(head.format, self.strict)?;
            }
            if self.inside.is_none() {
                let resumes = entry.position == self.entry;
                self.entry = entry.position;
                if !resumes {
                    self.done = 0;
                }
            }
            let number = entry.position.number();
            let inside = self.inside.take();
            let left = if let Some(decoder) = self.bodies.wire() {
                // After a restart: what was given before it is passed over.
                let passed = if inside.is_none() { std::mem::take(&mut self.done) } else { 0 };
                let cursor = if let Some(Inside::Wire(cursor)) = inside { cursor } else { Cursor::default() };
                let done = &mut self.done;
                read_wire(content, cursor, done, passed, number, decoder, limits, batch, rejects)
                    .map(Inside::Wire)
            } else if let Some(decoder) = self.bodies.other() {
                let mut pieces = match inside {
                    Some(Inside::Other(pieces)) => pieces,
                    _ => {
                        let mut pieces = Pieces::new(head.format);
                        pieces.resume(content, usize::try_from(self.done).unwrap_or(usize::MAX), decoder);
                        pieces
                    }
                };
                let name = format!("webhook entry {number}");
                let mut is_over = false;
                while !is_over && !is_full(limits, batch, rejects) {
                    let (from, wanted) = (pieces.done, limits.records - batch.len() - rejects.len());
                    is_over = pieces.give(content, wanted, &name, decoder, batch, rejects);
                    batch.add_bytes(pieces.done - from);
                }
                self.done = pieces.done as u64;
                (!is_over).then_some(Inside::Other(pieces))
            } else {
                None
            };
            if left.is_some() {
                self.inside = left;
                return Ok(());
            }
            self.index += 1;
            (self.entry, self.done) = (entry.after, 0);
        }
        Ok(())
    }
}

fn bodies(format: Format, strict: bool) -> Result<Bodies> {
    Bodies::new(format, strict).ok_or_else(|| Error::config("in `format`: this form is only written"))
}

fn is_full(limits: Limits, batch: &Batch<Record>, rejects: &Rejects) -> bool {
    batch.len() + rejects.len() >= limits.records || batch.bytes() >= limits.bytes
}

/// Gives records of a body in the wire form; where it is in it, unless it is at its end.
#[allow(clippy::too_many_arguments, reason = "the parts of a reader, of which some are borrowed")]
fn read_wire(
    content: &[u8],
    cursor: Cursor,
    done: &mut u64,
    passed: u64,
    number: u64,
    decoder: &mut WireDecoder,
    limits: Limits,
    batch: &mut Batch<Record>,
    rejects: &mut Rejects,
) -> Option<Cursor> {
    let mut items = Items::new(content, cursor);
    loop {
        if *done >= passed && is_full(limits, batch, rejects) {
            return Some(items.cursor());
        }
        // It was found to be good before it was stored.
        let Ok(Some(item)) = items.next() else { return None };
        *done += 1;
        if *done <= passed {
            continue;
        }
        match decoder.decode_record(item) {
            Ok(record) => batch.push(record),
            // By another version, which knew less, or more.
            Err(refused) => {
                let location = format!("webhook entry {number}, record {done}");
                let mut reject = Reject::raw(item.as_bytes(), refused.reason, location);
                reject.key = refused.id.map(|id| id.to_string());
                rejects.push(reject);
            }
        }
        batch.add_bytes(item.len());
    }
}
