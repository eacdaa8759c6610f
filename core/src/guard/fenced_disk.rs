//! [`FencedDisk`]: the disk of a log that may be taken over.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Watch;
use crate::disk::{Disk, DiskFile, DiskLock, FileInfo, OpenMode};

/// A disk that removes and renames nothing once a newer generation has come. Opening a log removes segments whose creation
/// was cut short; an older generation that is stopped before it looks, and then finds one that the newer one is just making,
/// must not take it for such.
///
/// The look at the fence comes after the files were listed: of a newer generation that made one of them it sees the fence.
#[derive(Debug)]
pub struct FencedDisk {
    disk: Arc<dyn Disk>,
    watch: Watch,
}

impl FencedDisk {
    /// `disk`, behind the fence that `watch` looks at.
    pub fn new(disk: Arc<dyn Disk>, watch: Watch) -> FencedDisk {
        FencedDisk { disk, watch }
    }

    fn check(&self) -> io::Result<()> {
        self.watch.check().map_err(io::Error::other)
    }
}

impl Disk for FencedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }

    fn info(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        self.disk.info(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.disk.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.disk.lock(path)
    }
}
