//! The disk. State files, logs and file sinks go through it and nothing else touches them (lint-enforced),
//! so power loss and full disks are simulated once for all of them.
//!
//! It is synchronous, positional and `&self`, as redb's storage backend is. Calls block: use them inside jobs
//! of [`blocking`](crate::blocking).
//!
//! Durability is what POSIX gives and no more: written bytes survive a crash of the process, and a power loss
//! only after [`DiskFile::sync`]; a created, renamed or removed name only after [`Disk::sync_dir`]. After a
//! failed sync the state of the unsynced bytes is unknown: reopen and recover, never sync again.

mod os;

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use self::os::OsDisk;

/// How a file is opened. It is always readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must be there; read only.
    Read,
    /// It must be there; read and write.
    Write,
    /// Created if it is not there; read and write.
    Create,
    /// It must not be there; read and write.
    CreateNew,
}

/// Tells a file from another that later stands at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Which file it is.
    pub id: FileId,
    /// Its length in bytes.
    pub len: u64,
}

/// A held advisory lock; released when dropped, or when the process ends.
pub trait DiskLock: Debug + Send + Sync + 'static {}

/// The file system, as far as Afferent writes to it. Files it creates are readable by their owner only
/// (0600), directories too (0700).
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// What stands at `path`; `None` if nothing does.
    fn info(&self, path: &Path) -> io::Result<Option<FileInfo>>;
    /// Renames a file, replacing what stands at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is no error, so that a repeated removal is none either.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and those above it, durably.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The files in a directory, in no order; none if it is not there.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes created, renamed and removed names of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the advisory lock on a file, which is created; `None` when another holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
}

/// An open file. All calls are positional; several threads may use one.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads at `offset` until `buffer` is full or the file ends; how many bytes were read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Length and identity.
    fn info(&self) -> io::Result<FileInfo>;
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes everything written durable (fdatasync, with the length).
    fn sync(&self) -> io::Result<()>;
}

/// The directory of `path`, for [`Disk::sync_dir`]; `.` where it names none.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
