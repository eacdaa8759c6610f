//! [`Tail`]: an open file that is written at its end.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::{
    Error, Result,
    disk::{Disk, DiskFile, FileId, OpenMode, directory_of},
    io_error,
};
use afferent_formats::Encoder;

use super::guard::Guard;

/// Encoded bytes that are gathered before they are written: a batch of usual records in one call.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// What the name of a copy has after that of its file; then comes the generation that makes it.
const COPY: &str = ".taken-";

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
            buffer.extend_from_slice(encoder.ending());
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

/// Where a file was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left<'p> {
    pub(super) path: &'p Path,
    pub(super) id: FileId,
    pub(super) length: u64,
}

impl Left<'_> {
    /// Opens the file, if it is the one that stands there.
    ///
    /// # Errors
    /// `State` when it is shorter.
    fn open(self, disk: &dyn Disk) -> Result<std::result::Result<Arc<dyn DiskFile>, Found>> {
        let Left { path, id, length } = self;
        let look = |error| io_error("look at", path, error);
        match disk.info(path).map_err(look)? {
            None => return Ok(Err(Found::Gone)),
            Some(found) if found.id != id => return Ok(Err(Found::Another)),
            Some(_) => {}
        }
        // Another may have been put there since, so what counts is what was opened.
        let file = disk.open(path, OpenMode::Write).map_err(look)?;
        let found = file.info().map_err(look)?;
        if found.id != id {
            return Ok(Err(Found::Another));
        }
        if found.len < length {
            return Err(Error::state(format!(
                "{} has {} bytes, but the last checkpoint counts {length}: something else has cut it; put it back, or move it away and a new one is begun",
                path.display(),
                found.len,
            )));
        }
        Ok(Ok(file))
    }

    /// Undoes what came later: cuts it off or, where an older generation has the file open, copies the rest. The identity of
    /// the copy, if there is one.
    ///
    /// # Errors
    /// `State` when the file is shorter, `Fenced` when a newer generation has come.
    pub(super) fn restore(self, disk: &dyn Disk, guard: &Guard) -> Result<(Found, Option<FileId>)> {
        if guard.takes_over()
            && let Some(found) =
                disk.info(self.path).map_err(|error| io_error("look at", self.path, error))?
            && found.id != self.id
            && found.len == self.length
        {
            // An earlier try has copied it, and no checkpoint knows yet.
            return Ok((Found::Kept, Some(found.id)));
        }
        match guard.taken_over() {
            true => self.renew(disk, guard),
            false => self.cut_back(disk, guard).map(|found| (found, None)),
        }
    }

    /// Cuts off what the file has more.
    ///
    /// # Errors
    /// `State` when it is shorter, `Fenced` when a newer generation has come.
    pub(super) fn cut_back(self, disk: &dyn Disk, guard: &Guard) -> Result<Found> {
        let file = match self.open(disk)? {
            Ok(file) => file,
            Err(found) => return Ok(found),
        };
        let io = |error| io_error("cut back", self.path, error);
        if file.info().map_err(io)?.len > self.length {
            guard.check(disk)?;
            file.set_len(self.length).and_then(|()| file.sync()).map_err(io)?;
        }
        Ok(Found::Kept)
    }

    /// Puts what the file had into a new one in its place, durably: whoever has the old one open changes nothing any more.
    /// The new one's identity, if there is one.
    ///
    /// # Errors
    /// `State` when it is shorter, `Fenced` when a newer generation has come.
    fn renew(self, disk: &dyn Disk, guard: &Guard) -> Result<(Found, Option<FileId>)> {
        let old = match self.open(disk)? {
            Ok(file) => file,
            Err(found) => return Ok((found, None)),
        };
        let io = |error| io_error("copy", self.path, error);
        let directory = directory_of(self.path);
        let prefix = format!("{}{COPY}", self.path.file_name().unwrap_or_default().to_string_lossy());
        let prefix = format!(".{prefix}");
        // Of those that took it over before and did not come to an end: they can't put theirs in place any more.
        for left in disk.list(directory).map_err(io)? {
            if left.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                guard.check(disk)?;
                disk.remove(&left).map_err(io)?;
            }
        }
        let copy = self.path.with_file_name(format!("{prefix}{}", guard.generation()));
        let new = disk.open(&copy, OpenMode::CreateNew).map_err(io)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = 0;
        while at < self.length {
            let most = (self.length - at).min(BUFFER_BYTES as u64) as usize;
            let read = old.read_at(at, &mut buffer[..most]).map_err(io)?;
            if read == 0 {
                return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            new.write_at(at, &buffer[..read]).map_err(io)?;
            at += read as u64;
        }
        let id = new.sync().and_then(|()| new.info()).map_err(io)?.id;
        guard.check(disk)?;
        disk.rename(&copy, self.path).and_then(|()| disk.sync_dir(directory)).map_err(io)?;
        Ok((Found::Kept, Some(id)))
    }
}
