//! [`Guard`]: who may write, by an advisory lock and by the fence beside the file. What it can't keep an older generation
//! from is told in the [module](super).

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
/// locks do not (a network file system, a sidecar that was deleted, an older generation that was taken over): it records
/// the newest generation by (checkpoint store, pipeline, sink) and is read again inside each effect.
#[derive(Debug)]
pub(super) struct Guard {
    fence: Fence,
    path: PathBuf,
    behind: bool,
    lock_path: PathBuf,
    /// `None` while an older generation holds it, which was taken over.
    lock: Option<Box<dyn DiskLock>>,
    take_over: bool,
    taken_over: bool,
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

/// What the fence records of a sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    claim: Claim,
    /// Another has written here since its last checkpoint.
    #[serde(default)]
    behind: bool,
}

impl Guard {
    /// Takes the lock and raises the fence. `resumes` says whether the sink has a token of this place; `take_over` lets it
    /// pass over the lock of an older generation of this sink, whose fence is the last that was raised.
    ///
    /// # Errors
    /// `Transient` while another holds the lock: it ends when that one does. `Fenced` for an older generation.
    pub(super) fn take(
        disk: &dyn Disk,
        names: &Names,
        fence: Fence,
        resumes: bool,
        take_over: bool,
    ) -> Result<Guard> {
        let lock_path = names.sidecar("lock");
        let lock = disk.lock(&lock_path).map_err(|error| io_error("lock", &lock_path, error))?;
        let taken_over = lock.is_none();
        let mut guard = Guard {
            fence,
            path: names.sidecar("fence"),
            behind: false,
            lock_path,
            lock,
            take_over,
            taken_over,
        };
        let entries: Vec<Entry> = sidecar::read(disk, &guard.path)?;
        if taken_over && !(take_over && entries.last().is_none_or(|entry| guard.owns(entry))) {
            return Err(Error::transient(format!(
                "another sink writes to {}; stop it, or give one of the two another path",
                names.path().display()
            )));
        }
        let another = entries.last().is_some_and(|entry| !guard.owns(entry));
        guard.behind = resumes && (another || entries.iter().any(|entry| guard.owns(entry) && entry.behind));
        guard.check(disk)?;
        Ok(guard)
    }

    /// Whether another pipeline, sink or checkpoint store has written here since the token was saved: what lies after
    /// the token may then be the other's.
    pub(super) fn behind(&self) -> bool {
        self.behind
    }

    /// The generation that may write.
    pub(super) fn generation(&self) -> Generation {
        self.fence.generation
    }

    /// Whether it may pass over the lock of an older generation.
    pub(super) fn takes_over(&self) -> bool {
        self.take_over
    }

    /// Whether an older generation has the files open, and may go on at any time.
    pub(super) fn taken_over(&self) -> bool {
        self.taken_over
    }

    /// Like [`check`](Guard::check), before records are written. A checkpoint of where the sink opened has been saved
    /// by then, so what others wrote lies before it.
    pub(super) fn check_to_write(&mut self, disk: &dyn Disk) -> Result<()> {
        self.behind = false;
        if self.lock.is_none() {
            // The older generation has ended: from now on others are kept out again.
            let lock = disk.lock(&self.lock_path);
            self.lock = lock.map_err(|error| io_error("lock", &self.lock_path, error))?;
        }
        self.check(disk)
    }

    /// Whether this generation may still act; to be called inside each effect.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come; nothing may be written then.
    pub(super) fn check(&self, disk: &dyn Disk) -> Result<()> {
        let mut entries: Vec<Entry> = sidecar::read(disk, &self.path)?;
        let mine = entries.iter().position(|entry| self.owns(entry));
        if mine.is_some_and(|index| entries[index].claim.generation > self.fence.generation) {
            return Err(Error::fenced(format!(
                "a newer run of pipeline `{}` writes to this file",
                self.fence.pipeline
            )));
        }
        let entry = Entry { claim: Claim::of(&self.fence, self.fence.generation), behind: self.behind };
        if entries.last() == Some(&entry) {
            return Ok(());
        }
        if let Some(index) = mine {
            entries.remove(index);
        }
        entries.push(entry);
        let surplus = entries.len().saturating_sub(MAX_FENCES);
        entries.drain(..surplus);
        sidecar::replace(disk, &self.path, &entries)
    }

    /// Whether this sink wrote `entry`, now or in an earlier run.
    fn owns(&self, entry: &Entry) -> bool {
        Claim::of(&self.fence, entry.claim.generation) == entry.claim
    }
}
