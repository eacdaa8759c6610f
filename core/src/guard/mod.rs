//! [`Guard`]: who may write to a log on disk, by an advisory lock and by a fence beside it. Everything blocks: use it in jobs.

mod fenced_disk;

use std::{path::Path, path::PathBuf, sync::Arc};

pub use self::fenced_disk::FencedDisk;
use crate::{
    Error, Fence, Result,
    disk::{Disk, DiskLock, OpenMode, directory_of},
    io_error,
};

/// The generation, then the CRC-32C of the eight bytes.
const FENCE_LEN: usize = 12;

/// The right to write to an outbox or to the log of a queue. The lock keeps out every other sink of this machine; the fence,
/// which is read again inside each effect, holds where locks do not.
#[derive(Debug)]
pub struct Guard {
    watch: Watch,
    lock_path: PathBuf,
    /// `None` while an older generation holds it, which was taken over.
    lock: Option<Box<dyn DiskLock>>,
    taken_over: bool,
}

/// The fence of a log. Clones are the same.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What it guards, as messages and files call it.
    what: &'static str,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    fence: Fence,
}

impl Guard {
    /// Takes the lock and raises the fence of `what` in `directory`, which is there. `take_over` lets it pass over the
    /// lock: only an older generation can have it, for a directory belongs to one sink.
    ///
    /// # Errors
    /// `Transient` while another holds the lock, `Fenced` for an older generation.
    pub fn take(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        what: &'static str,
        fence: Fence,
        take_over: bool,
    ) -> Result<Guard> {
        let lock_path = directory.join(format!("{what}.lock"));
        let lock = disk.lock(&lock_path).map_err(|error| io_error("lock", &lock_path, error))?;
        if lock.is_none() && !take_over {
            return Err(Error::transient(format!(
                "another sink has the {what} in {} open; it goes on when that one has ended",
                directory.display()
            )));
        }
        let watch = Watch { what, disk: disk.clone(), path: directory.join(format!("{what}.fence")), fence };
        let written = watch.written()?;
        watch.compare(written)?;
        if written != Some(watch.fence.generation.0) {
            watch.raise().map_err(|error| io_error("write", &watch.path, error))?;
        }
        Ok(Guard { watch, lock_path, taken_over: lock.is_none(), lock })
    }

    /// Whether an older generation has it open, and may go on at any time.
    pub fn taken_over(&self) -> bool {
        self.taken_over
    }

    /// The fence alone.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Whether this generation may still act.
    ///
    /// # Errors
    /// `Fenced` when a newer one has come.
    pub fn check(&self) -> Result<()> {
        self.watch.check()
    }

    /// The same, before something is appended. Takes the lock when the older generation has left it.
    ///
    /// # Errors
    /// As [`check`](Guard::check), or as the disk fails.
    pub fn check_to_append(&mut self) -> Result<()> {
        if self.lock.is_none() {
            let lock = self.watch.disk.lock(&self.lock_path);
            self.lock = lock.map_err(|error| io_error("lock", &self.lock_path, error))?;
        }
        self.check()
    }
}

impl Watch {
    /// See [`Guard::check`].
    ///
    /// # Errors
    /// `Fenced` when a newer one has come.
    pub fn check(&self) -> Result<()> {
        let written = self.written()?;
        if written.is_some_and(|written| written < self.fence.generation.0) {
            // An older generation was stopped on its way to raising its own, and has just done so.
            self.raise().map_err(|error| io_error("write", &self.path, error))?;
        }
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
