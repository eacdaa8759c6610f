//! [`Guard`]: who may write to an outbox, by an advisory lock and by a fence beside it.

use std::{path::Path, path::PathBuf, sync::Arc};

use afferent_core::{
    Error, Fence, Result,
    disk::{Disk, DiskLock, OpenMode, directory_of},
    io_error,
};

/// The generation, then the CRC-32C of the eight bytes.
const FENCE_LEN: usize = 12;

/// The right to write to an outbox. The lock keeps out every other sink of this machine; the fence, which is read again
/// inside each effect, holds where locks do not.
#[derive(Debug)]
pub(super) struct Guard {
    watch: Watch,
    lock_path: PathBuf,
    /// `None` while an older generation holds it, which was taken over.
    lock: Option<Box<dyn DiskLock>>,
    taken_over: bool,
}

/// The fence of an outbox. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    fence: Fence,
}

impl Guard {
    /// Takes the lock and raises the fence of the outbox in `directory`, which is there. `take_over` lets it pass over the
    /// lock: only an older generation can have it, for a directory belongs to one sink.
    ///
    /// # Errors
    /// `Transient` while another holds the lock, `Fenced` for an older generation.
    pub(super) fn take(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        fence: Fence,
        take_over: bool,
    ) -> Result<Guard> {
        let lock_path = directory.join("outbox.lock");
        let lock = disk.lock(&lock_path).map_err(|error| io_error("lock", &lock_path, error))?;
        if lock.is_none() && !take_over {
            return Err(Error::transient(format!(
                "another sink has the outbox in {} open; it goes on when that one has ended",
                directory.display()
            )));
        }
        let watch = Watch { disk: disk.clone(), path: directory.join("outbox.fence"), fence };
        let written = watch.written()?;
        watch.compare(written)?;
        if written != Some(watch.fence.generation.0) {
            watch.raise().map_err(|error| io_error("write", &watch.path, error))?;
        }
        Ok(Guard { watch, lock_path, taken_over: lock.is_none(), lock })
    }

    /// Whether an older generation has the outbox open, and may go on at any time.
    pub(super) fn taken_over(&self) -> bool {
        self.taken_over
    }

    /// The fence alone.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Whether this generation may still act.
    ///
    /// # Errors
    /// `Fenced` when a newer one has come.
    pub(super) fn check(&self) -> Result<()> {
        self.watch.check()
    }

    /// The same, before bodies are written. Takes the lock when the older generation has left it.
    pub(super) fn check_to_append(&mut self) -> Result<()> {
        if self.lock.is_none() {
            let lock = self.watch.disk.lock(&self.lock_path);
            self.lock = lock.map_err(|error| io_error("lock", &self.lock_path, error))?;
        }
        self.check()
    }
}

impl Watch {
    /// See [`Guard::check`].
    pub(super) fn check(&self) -> Result<()> {
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
                "a newer run of pipeline `{}` has this outbox",
                self.fence.pipeline
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
