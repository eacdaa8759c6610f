//! Disk space held back, so that checkpoints can be saved when the disk is full.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use afferent_core::disk::{Disk, OpenMode, directory_of};

/// How much is held back: room for the pages of many group commits, little enough for a phone.
const RESERVE_BYTES: u64 = 1 << 20;
/// Commits after which a reserve that was given back is made again, if the disk has room by then.
const COMMITS_BETWEEN_TRIES: u32 = 256;

/// A file whose only purpose is to be removed.
#[derive(Debug)]
pub(super) struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Commits until the next try to make it; `None` while it is there.
    missing: Mutex<Option<u32>>,
}

impl Reserve {
    /// The reserve at `path`, made if there is room for it.
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Reserve {
        let reserve = Reserve { disk, path, missing: Mutex::new(Some(0)) };
        reserve.committed();
        reserve
    }

    /// The disk is full: gives the space back.
    pub(super) fn release(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.is_none() && self.disk.remove(&self.path).is_ok() {
            tracing::warn!(path = %self.path.display(), "the disk is full: the reserve for checkpoints is in use");
            *missing = Some(COMMITS_BETWEEN_TRIES);
        }
    }

    /// A commit succeeded: now and then tries to make the reserve again.
    pub(super) fn committed(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        match *missing {
            None => {}
            Some(0) => *missing = fill(&*self.disk, &self.path).err().map(|_| COMMITS_BETWEEN_TRIES),
            Some(commits) => *missing = Some(commits - 1),
        }
    }
}

/// Makes the reserve, or leaves none: zeros are written, because an empty length takes no space.
fn fill(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let filled = (|| {
        let file = disk.open(path, OpenMode::Create)?;
        if file.info()?.len == RESERVE_BYTES {
            return Ok(());
        }
        file.set_len(0)?;
        let zeros = [0; 64 << 10];
        for offset in (0..RESERVE_BYTES).step_by(zeros.len()) {
            file.write_at(offset, &zeros)?;
        }
        file.sync()
    })();
    match filled {
        Ok(()) => disk.sync_dir(directory_of(path)),
        Err(error) => {
            // A partial reserve is no reserve; if even this fails, the next try begins with cutting it.
            let _ = disk.remove(path);
            Err(error)
        }
    }
}
