//! [`Writer`]: one file, or files that are rolled, written in jobs.

use std::{mem, sync::Arc};

use afferent_core::{
    Batch, Prepared, Record, Reject, Rejects, Result, Timestamp,
    clock::Clock,
    disk::{Disk, OpenMode, directory_of},
    io_error,
};
use afferent_formats::Encoder;

use super::{
    Roll,
    guard::Guard,
    names::Names,
    tail::{BUFFER_BYTES, Tail},
    token::FileToken,
};

/// Where the sink writes, and what it needs to.
pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) guard: Guard,
    pub(super) names: Names,
    pub(super) roll: Option<Roll>,
    pub(super) template: FileToken,
    pub(super) encoder: Box<dyn Encoder>,
    pub(super) buffer: Vec<u8>,
    pub(super) current: Current,
    pub(super) rejects: Rejects,
    /// A name was created that is not yet durable.
    pub(super) created: bool,
}

/// The file that is written now.
pub(super) struct Current {
    pub(super) tail: Tail,
    pub(super) sequence: u64,
    pub(super) begun: Timestamp,
    /// Whether a record is in it, the buffer included: a file without one is never rolled.
    pub(super) filled: bool,
}

impl Current {
    /// Begins at the end of a file.
    pub(super) fn of(tail: Tail, sequence: u64, begun: Timestamp) -> Current {
        Current { filled: tail.length > 0, tail, sequence, begun }
    }
}

impl Writer {
    /// Encodes the batch and writes it.
    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.guard.check_to_write(&*self.disk)?;
        self.roll_when_due()?;
        let limit = self.roll.as_ref().and_then(|roll| roll.size).map(|size| size.0);
        for record in batch.drain(..) {
            self.current.tail.lead(&*self.encoder, &mut self.buffer);
            let start = self.buffer.len();
            if let Err(reason) = self.encoder.encode(&record, &mut self.buffer) {
                self.rejects.push(Reject::record(&record, reason));
                continue;
            }
            let end = self.current.tail.length + self.buffer.len() as u64;
            if self.current.filled && limit.is_some_and(|limit| end > limit) {
                let record = self.buffer.split_off(start);
                self.roll()?;
                self.current.tail.lead(&*self.encoder, &mut self.buffer);
                self.buffer.extend_from_slice(&record);
            }
            self.current.filled = true;
            if self.buffer.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Makes everything written durable and says where the file ends.
    pub(super) fn prepare(&mut self) -> Result<Prepared> {
        self.guard.check(&*self.disk)?;
        self.sync()?;
        let token = FileToken {
            file: self.current.tail.id,
            sequence: self.current.sequence,
            length: self.current.tail.length,
            begun: self.current.begun,
            ..self.template.clone()
        };
        Ok(Prepared {
            token: Some(token.save()?),
            rejects: mem::take(&mut self.rejects),
            ..Prepared::default()
        })
    }

    /// Rolls when the clock is in another period than the one the file was begun in.
    fn roll_when_due(&mut self) -> Result<()> {
        let Some(every) = self.roll.as_ref().and_then(|roll| roll.every) else { return Ok(()) };
        let every = i64::try_from(every.0.as_micros()).unwrap_or(i64::MAX);
        let period = |time: Timestamp| time.as_micros().div_euclid(every);
        if self.current.filled && period(self.clock.now()) != period(self.current.begun) {
            self.roll()?;
        }
        Ok(())
    }

    /// Finishes the file and begins the next. The finished one is synced here, so that no more than one file is
    /// open however often an epoch rolls.
    fn roll(&mut self) -> Result<()> {
        self.flush()?;
        self.sync()?;
        let sequence = self.current.sequence + 1;
        let path = self.names.file(sequence);
        self.guard.check(&*self.disk)?;
        let file =
            self.disk.open(&path, OpenMode::CreateNew).map_err(|error| io_error("create", &path, error))?;
        self.current = Current::of(Tail::of(file, path)?, sequence, self.clock.now());
        self.created = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.current.tail.append(&mut self.buffer)
    }

    /// Makes the file and its name durable.
    fn sync(&mut self) -> Result<()> {
        self.current.tail.sync()?;
        if mem::take(&mut self.created) {
            let directory = directory_of(&self.current.tail.path);
            self.disk
                .sync_dir(directory)
                .map_err(|error| io_error("sync the directory", directory, error))?;
        }
        Ok(())
    }
}
