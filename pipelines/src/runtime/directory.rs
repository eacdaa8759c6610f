//! The state directory: made, locked, and asked who holds it.

use std::path::Path;

use afferent_core::{
    Error, Result,
    disk::{Disk, DiskFile, DiskLock, FileId, OpenMode},
    io_error,
};

/// The lock's name in the state directory.
const LOCK: &str = "lock";
/// Longest process id in the lock file, in bytes.
const MAX_PID_BYTES: usize = 20;

/// Another process holds a directory.
#[derive(Debug)]
pub(super) struct Held {
    /// Which, as far as it has said so.
    pub(super) pid: Option<u32>,
    /// The file that it has locked.
    pub(super) file: FileId,
}

/// Makes the directory if need be and locks it for this process. Blocks.
///
/// # Errors
/// `CantCreate` when another process holds it, which is named, or when it can't be made.
pub(super) fn lock(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn DiskLock>> {
    try_lock(disk, directory)?.map_err(|held| {
        let holder = held.pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
        Error::cant_create(format!(
            "the state directory {} is in use by {holder}; stop it, end it with `afferent run --take-over`, or use another directory",
            directory.display()
        ))
    })
}

/// The same, without an error when another process holds it.
pub(super) fn try_lock(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<std::result::Result<Box<dyn DiskLock>, Held>> {
    disk.create_dir_all(directory).map_err(|error| io_error("create", directory, error))?;
    let path = directory.join(LOCK);
    let failed = |error| io_error("lock", &path, error);
    let Some(lock) = disk.lock(&path).map_err(failed)? else {
        let file = disk.open(&path, OpenMode::Read).map_err(failed)?;
        return Ok(Err(Held { pid: read_pid(&*file), file: file.info().map_err(failed)?.id }));
    };
    // It only helps the next one's message, so it need not be durable.
    disk.open(&path, OpenMode::Write)
        .and_then(|file| {
            file.set_len(0)?;
            file.write_at(0, std::process::id().to_string().as_bytes())
        })
        .map_err(|error| io_error("write", &path, error))?;
    Ok(Ok(lock))
}

fn read_pid(file: &dyn DiskFile) -> Option<u32> {
    let mut buffer = [0; MAX_PID_BYTES];
    let read = file.read_at(0, &mut buffer).ok()?;
    str::from_utf8(&buffer[..read]).ok()?.trim().parse().ok()
}
