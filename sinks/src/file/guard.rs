//! [`Guard`]: who may write, by an advisory lock and by the fence beside the file.

use std::path::PathBuf;

use afferent_core::{
    Error, Fence, Generation, Name, Result,
    disk::{Disk, DiskLock},
    io_error,
};
use serde::{Deserialize, Serialize};

use super::{names::Names, sidecar};

/// Fences that are kept, newest last. Each checkpoint store that ever wrote here has one; a test directory that
/// is made anew a hundred times must not make the file grow for ever (G7).
const MAX_FENCES: usize = 64;

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

/// A generation of a sink, as sidecars name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    store: String,
    pipeline: Name,
    sink: Name,
    generation: Generation,
}

impl Claim {
    /// One of the sink that `fence` is about.
    pub(super) fn of(fence: &Fence, generation: Generation) -> Claim {
        Claim {
            store: fence.store.to_string(),
            pipeline: fence.pipeline.clone(),
            sink: fence.sink.clone(),
            generation,
        }
    }
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
        let another =
            sidecar::read::<Vec<Claim>>(disk, &guard.path)?.last().is_some_and(|entry| !guard.owns(entry));
        guard.check(disk)?;
        Ok((guard, another))
    }

    /// Whether this generation may still act; to be called inside each effect.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come; nothing may be written then.
    pub(super) fn check(&self, disk: &dyn Disk) -> Result<()> {
        let mut entries: Vec<Claim> = sidecar::read(disk, &self.path)?;
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
        entries.push(Claim::of(&self.fence, self.fence.generation));
        let surplus = entries.len().saturating_sub(MAX_FENCES);
        entries.drain(..surplus);
        sidecar::replace(disk, &self.path, &entries)
    }

    /// Whether this sink wrote `entry`, now or in an earlier run.
    fn owns(&self, entry: &Claim) -> bool {
        entry.store == self.fence.store.to_string()
            && entry.pipeline == self.fence.pipeline
            && entry.sink == self.fence.sink
    }
}
