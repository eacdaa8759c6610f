//! [`FencedDisk`]: the disk of an outbox.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::disk::{Disk, DiskFile, DiskLock, FileInfo, OpenMode};

use super::guard::Watch;

/// A disk that removes and renames nothing once a newer generation has come. Opening a log removes segments whose creation
/// was cut short; an older generation that is stopped before it looks, and then finds one that the newer one is just making,
/// must not take it for such.
///
/// The look at the fence comes after the files were listed: of a newer generation that made one of them it sees the fence.
#[derive(Debug)]
pub(super) struct FencedDisk {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) watch: Watch,
}

impl FencedDisk {
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
