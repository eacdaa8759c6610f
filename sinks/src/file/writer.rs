//! [`Writer`]: the open file, written in jobs.

use std::{mem, path::PathBuf, sync::Arc};

use afferent_core::{
    Batch, Prepared, Record, Reject, Rejects, Result, Timestamp, Token,
    clock::Clock,
    disk::{Disk, DiskFile, FileId, OpenMode, directory_of},
    io_error,
};
use afferent_formats::Encoder;

use super::{
    Roll,
    guard::Guard,
    names::Names,
    token::{FileToken, TOKEN_VERSION},
};

/// Encoded bytes that are gathered before they are written: a batch of usual records in one call.
const BUFFER_BYTES: usize = 256 << 10;

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
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    pub(super) sequence: u64,
    /// Bytes in the file; the buffer comes after them.
    pub(super) length: u64,
    pub(super) begun: Timestamp,
    /// Whether a record is in it, the buffer included: a file without one is never rolled.
    pub(super) filled: bool,
    /// Its last line has no end, so the next one must not go on in it.
    pub(super) unterminated: bool,
    /// Bytes were written since the last sync.
    pub(super) unsynced: bool,
}

impl Current {
    /// Looks at an open file, of which the first `info.len` bytes stay.
    pub(super) fn of(
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        sequence: u64,
        begun: Timestamp,
    ) -> Result<Current> {
        let failed = |error| io_error("read", &path, error);
        let info = file.info().map_err(failed)?;
        let mut last = [b'\n'];
        if info.len > 0 {
            file.read_at(info.len - 1, &mut last).map_err(failed)?;
        }
        Ok(Current {
            id: info.id,
            length: info.len,
            filled: info.len > 0,
            unterminated: last != [b'\n'],
            unsynced: false,
            file,
            path,
            sequence,
            begun,
        })
    }
}

impl Writer {
    /// Encodes the batch and writes it.
    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.guard.check(&*self.disk)?;
        self.roll_when_due()?;
        let limit = self.roll.as_ref().and_then(|roll| roll.size).map(|size| size.0);
        for record in batch.drain(..) {
            self.begin();
            let start = self.buffer.len();
            if let Err(reason) = self.encoder.encode(&record, &mut self.buffer) {
                self.rejects.push(Reject::record(&record, reason));
                continue;
            }
            let end = self.current.length + self.buffer.len() as u64;
            if self.current.filled && limit.is_some_and(|limit| end > limit) {
                let record = self.buffer.split_off(start);
                self.roll()?;
                self.begin();
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
            file: self.current.id,
            sequence: self.current.sequence,
            length: self.current.length,
            begun: self.current.begun,
            ..self.template.clone()
        };
        Ok(Prepared {
            token: Some(Token::new(TOKEN_VERSION, &token)?),
            superseded: 0,
            rejects: mem::take(&mut self.rejects),
        })
    }

    /// What stands before the next record: the end of a foreign last line, or a new file's header.
    fn begin(&mut self) {
        if !self.buffer.is_empty() {
            return;
        }
        if self.current.length == 0 {
            self.encoder.header(&mut self.buffer);
        } else if mem::take(&mut self.current.unterminated) {
            self.buffer.push(b'\n');
        }
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
        let file =
            self.disk.open(&path, OpenMode::CreateNew).map_err(|error| io_error("create", &path, error))?;
        self.current = Current::of(file, path, sequence, self.clock.now())?;
        self.created = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let current = &mut self.current;
        current
            .file
            .write_at(current.length, &self.buffer)
            .map_err(|error| io_error("write to", &current.path, error))?;
        current.length += self.buffer.len() as u64;
        current.unsynced = true;
        self.buffer.clear();
        // One record of many MiB must not keep its buffer for months.
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }

    /// Makes the file and its name durable. After an error nothing is known of the bytes: the sink is dropped,
    /// and the next one cuts the file back to its token.
    fn sync(&mut self) -> Result<()> {
        if mem::take(&mut self.current.unsynced) {
            self.current.file.sync().map_err(|error| io_error("sync", &self.current.path, error))?;
        }
        if mem::take(&mut self.created) {
            let directory = directory_of(&self.current.path);
            self.disk
                .sync_dir(directory)
                .map_err(|error| io_error("sync the directory", directory, error))?;
        }
        Ok(())
    }
}
