//! [`Guard`]: who may write to a log on disk, by an advisory lock and by a fence beside it.

use std::{path::Path, path::PathBuf, sync::Arc};

use crate::{
    Error, Fence, Result,
    disk::{Disk, DiskLock, OpenMode, directory_of},
    io_error,
};

/// The generation, then the CRC-32C of the eight bytes.
const FENCE_LEN: usize = 12;

/// The right to write to an outbox or to the log of a queue. The lock keeps out every other sink of this machine; the fence,
/// which is read again inside each effect, holds where locks do not. Everything blocks: use it in jobs.
#[derive(Debug)]
pub struct Guard {
    /// What it guards, as messages and files call it.
    what: &'static str,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    fence: Fence,
    #[expect(dead_code, reason = "held, and released when it is dropped")]
    lock: Box<dyn DiskLock>,
}

impl Guard {
    /// Takes the lock and raises the fence of `what` in `directory`, which is there.
    ///
    /// # Errors
    /// `Transient` while another holds the lock, `Fenced` for an older generation.
    pub fn take(disk: &Arc<dyn Disk>, directory: &Path, what: &'static str, fence: Fence) -> Result<Guard> {
        let path = directory.join(format!("{what}.lock"));
        let lock = disk.lock(&path).map_err(|error| io_error("lock", &path, error))?.ok_or_else(|| {
            Error::transient(format!(
                "another sink has the {what} in {} open; it goes on when that one has ended",
                directory.display()
            ))
        })?;
        let guard =
            Guard { what, disk: disk.clone(), path: directory.join(format!("{what}.fence")), fence, lock };
        let written = guard.written()?;
        guard.compare(written)?;
        if written != Some(guard.fence.generation.0) {
            guard.raise().map_err(|error| io_error("write", &guard.path, error))?;
        }
        Ok(guard)
    }

    /// Whether this generation may still act.
    ///
    /// # Errors
    /// `Fenced` when a newer one has come.
    pub fn check(&self) -> Result<()> {
        let written = self.written()?;
        self.compare(written)
    }

    fn compare(&self, written: Option<u64>) -> Result<()> {
        if written.is_some_and(|newest| newest > self.fence.generation.0) {
            return Err(Error::fenced(format!(
                "a newer run of pipeline `{}` has this {}",
                self.fence.pipeline, self.what
            )));
        }
        Ok(())
    }

    /// The generation that was written last. One that was torn off by a crash had not begun to act.
    fn written(&self) -> Result<Option<u64>> {
        let io = |error| io_error("read", &self.path, error);
        if self.disk.info(&self.path).map_err(io)?.is_none() {
            return Ok(None);
        }
        let mut bytes = [0; FENCE_LEN];
        let file = self.disk.open(&self.path, OpenMode::Read).map_err(io)?;
        let read = file.read_at(0, &mut bytes).map_err(io)?;
        let (generation, crc) = bytes.split_at(8);
        let is_whole = read == FENCE_LEN && crc32c::crc32c(generation).to_le_bytes() == crc;
        Ok(is_whole.then(|| u64::from_le_bytes(*generation.first_chunk().expect("it has eight bytes"))))
    }

    fn raise(&self) -> std::io::Result<()> {
        let generation = self.fence.generation.0.to_le_bytes();
        let mut bytes = generation.to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&generation).to_le_bytes());
        let file = self.disk.open(&self.path, OpenMode::Create)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        self.disk.sync_dir(directory_of(&self.path))
    }
}
