//! [`Tail`]: an open file that is written at its end.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::{
    Error, Result,
    disk::{Disk, DiskFile, FileId, OpenMode},
    io_error,
};
use afferent_formats::Encoder;

/// Encoded bytes that are gathered before they are written: a batch of usual records in one call.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// An open file that is written at its end.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    /// Bytes in the file; what is buffered comes after them.
    pub(super) length: u64,
    file: Arc<dyn DiskFile>,
    /// Its last line has no end, so the next one must not go on in it.
    unterminated: bool,
    /// Bytes were written since the last sync.
    unsynced: bool,
}

impl Tail {
    /// The end of an open file.
    pub(super) fn of(file: Arc<dyn DiskFile>, path: PathBuf) -> Result<Tail> {
        let failed = |error| io_error("read", &path, error);
        let info = file.info().map_err(failed)?;
        let mut last = [b'\n'];
        if info.len > 0 {
            file.read_at(info.len - 1, &mut last).map_err(failed)?;
        }
        Ok(Tail { id: info.id, length: info.len, unterminated: last != [b'\n'], unsynced: false, file, path })
    }

    /// What stands before the next record, if nothing is buffered: a new file's header, or the end of a foreign last
    /// line.
    pub(super) fn lead(&mut self, encoder: &dyn Encoder, buffer: &mut Vec<u8>) {
        if !buffer.is_empty() {
            return;
        }
        if self.length == 0 {
            encoder.header(buffer);
        } else if mem::take(&mut self.unterminated) {
            buffer.push(b'\n');
        }
    }

    /// Writes the buffer and empties it.
    pub(super) fn append(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        self.file.write_at(self.length, buffer).map_err(|error| io_error("write to", &self.path, error))?;
        self.length += buffer.len() as u64;
        self.unsynced = true;
        buffer.clear();
        // One record of many MiB must not keep its buffer for months.
        buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }

    /// Makes what was written durable. After an error nothing is known of the bytes: the sink is dropped, and the
    /// next one cuts the file back to its token.
    pub(super) fn sync(&mut self) -> Result<()> {
        if mem::take(&mut self.unsynced) {
            self.file.sync().map_err(|error| io_error("sync", &self.path, error))?;
        }
        Ok(())
    }
}

/// What stands where a file was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The file, as long as it was left or longer.
    Kept,
    /// Nothing.
    Gone,
    /// Another file.
    Another,
}

/// Looks for the file `id`, which was left at `path` with `length` bytes, and cuts off what it has more.
///
/// # Errors
/// `State` when it is shorter.
pub(super) fn cut_back(disk: &dyn Disk, path: &Path, id: FileId, length: u64) -> Result<Found> {
    let found = match disk.info(path).map_err(|error| io_error("look at", path, error))? {
        None => return Ok(Found::Gone),
        Some(found) if found.id != id => return Ok(Found::Another),
        Some(found) => found,
    };
    if found.len < length {
        return Err(Error::state(format!(
            "{} has {} bytes, but the last checkpoint counts {length}: something else has cut it; put it back, or move it away and a new one is begun",
            path.display(),
            found.len,
        )));
    }
    if found.len > length {
        let cut = || {
            let file = disk.open(path, OpenMode::Write)?;
            file.set_len(length)?;
            file.sync()
        };
        cut().map_err(|error| io_error("cut back", path, error))?;
    }
    Ok(Found::Kept)
}
