//! [`Guard`]: who may write, by an advisory lock and by the fence beside the file.

use std::path::PathBuf;

use afferent_core::{
    Error, Fence, Generation, Name, Result,
    disk::{Disk, DiskLock, OpenMode, directory_of},
    io_error,
};
use serde::{Deserialize, Serialize};

use super::names::Names;

/// Fences that are kept, newest last. Each checkpoint store that ever wrote here has one; a test directory that
/// is made anew a hundred times must not make the file grow for ever (G7).
const MAX_FENCES: usize = 64;

/// Longest fence file that is read: [`MAX_FENCES`] of the longest names anybody gives, many times over. A longer
/// one is none of ours.
const MAX_FENCE_BYTES: u64 = 1 << 20;

/// The right to write to the files of one path.
///
/// The lock keeps out every other sink of this machine for as long as this one is open. The fence holds where
/// locks do not (a network file system, a sidecar that was deleted): it records the newest generation by
/// (checkpoint store, pipeline, sink) and is read again inside each effect.
#[derive(Debug)]
pub(super) struct Guard {
    fence: Fence,
    path: PathBuf,
    #[expect(dead_code, reason = "held, and released when it is dropped")]
    lock: Box<dyn DiskLock>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    store: String,
    pipeline: Name,
    sink: Name,
    generation: Generation,
}

impl Guard {
    /// Takes the lock and raises the fence; also says whether it was another pipeline, sink or checkpoint store that
    /// opened these files last: what lies after this one's token may then be the other's.
    ///
    /// # Errors
    /// `Transient` while another holds the lock: it ends when that one does. `Fenced` for an older generation.
    pub(super) fn take(disk: &dyn Disk, names: &Names, fence: Fence) -> Result<(Guard, bool)> {
        let sidecar = names.sidecar("lock");
        let lock =
            disk.lock(&sidecar).map_err(|error| io_error("lock", &sidecar, error))?.ok_or_else(|| {
                Error::transient(format!(
                    "another sink writes to {}; stop it, or give one of the two another path",
                    names.path().display()
                ))
            })?;
        let guard = Guard { fence, path: names.sidecar("fence"), lock };
        let another = guard.read(disk)?.last().is_some_and(|entry| !guard.owns(entry));
        guard.check(disk)?;
        Ok((guard, another))
    }

    /// Whether this generation may still act; to be called inside each effect.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come; nothing may be written then.
    pub(super) fn check(&self, disk: &dyn Disk) -> Result<()> {
        let mut entries = self.read(disk)?;
        let mine = entries.iter().position(|entry| self.owns(entry));
        let seen = mine.map(|index| entries[index].generation);
        if seen > Some(self.fence.generation) {
            return Err(Error::fenced(format!(
                "a newer run of pipeline `{}` writes to this file",
                self.fence.pipeline
            )));
        }
        if seen == Some(self.fence.generation) && mine.is_some_and(|index| index + 1 == entries.len()) {
            return Ok(());
        }
        if let Some(index) = mine {
            entries.remove(index);
        }
        entries.push(Entry {
            store: self.fence.store.to_string(),
            pipeline: self.fence.pipeline.clone(),
            sink: self.fence.sink.clone(),
            generation: self.fence.generation,
        });
        let surplus = entries.len().saturating_sub(MAX_FENCES);
        entries.drain(..surplus);
        self.replace(disk, &entries)
    }

    /// Whether this sink wrote `entry`, now or in an earlier run.
    fn owns(&self, entry: &Entry) -> bool {
        entry.store == self.fence.store.to_string()
            && entry.pipeline == self.fence.pipeline
            && entry.sink == self.fence.sink
    }

    /// The fences that are recorded. What can't be read as such records none: the lock still stands, and nobody
    /// should have to delete a file (G5).
    fn read(&self, disk: &dyn Disk) -> Result<Vec<Entry>> {
        let failed = |error| io_error("read", &self.path, error);
        let Some(info) = disk.info(&self.path).map_err(failed)? else { return Ok(Vec::new()) };
        if info.len > MAX_FENCE_BYTES {
            return Ok(Vec::new());
        }
        let file = disk.open(&self.path, OpenMode::Read).map_err(failed)?;
        let mut bytes = vec![0; info.len as usize];
        let length = file.read_at(0, &mut bytes).map_err(failed)?;
        Ok(serde_json::from_slice(&bytes[..length]).unwrap_or_default())
    }

    /// Replaces the record as a whole: a crash leaves the old one or the new one.
    fn replace(&self, disk: &dyn Disk, entries: &[Entry]) -> Result<()> {
        let bytes = serde_json::to_vec(entries)
            .map_err(|error| Error::bug("a fence can't be written as JSON").with_source(error))?;
        let fresh = self.path.with_extension("fence-new");
        let write = || {
            let file = disk.open(&fresh, OpenMode::Create)?;
            file.set_len(0)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            disk.rename(&fresh, &self.path)?;
            disk.sync_dir(directory_of(&self.path))
        };
        write().map_err(|error| io_error("write", &self.path, error))
    }
}
