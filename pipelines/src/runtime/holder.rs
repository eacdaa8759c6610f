//! Taking a state directory from the process that holds it.
//!
//! The database of a state directory belongs to one process, so whoever takes over ends the other: asks it to, waits, and
//! kills it if it does not come to an end. Both lose nothing. A lock file may say anything, so nobody is sent a signal who
//! does not have that very file open. The process is held on to by a handle meanwhile: its id may be given to another.

#[cfg(target_os = "linux")]
mod linux;

use std::{path::Path, sync::Arc, time::Duration};

use afferent_core::{
    Error, Result,
    blocking::Blocking,
    clock,
    disk::{Disk, DiskLock},
};

#[cfg(target_os = "linux")]
use self::linux::Holder;
use super::directory;

/// How long the other may take to end when it is asked to: what closing an epoch takes, many times over.
const ASKED: Duration = Duration::from_secs(10);
/// How long the system may take to end it when it is killed.
const KILLED: Duration = Duration::from_secs(5);
/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Locks the directory, and ends the process that holds it, if one does.
///
/// # Errors
/// `CantCreate` when it can't be ended.
pub(super) async fn take_over(
    blocking: &Blocking,
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<Box<dyn DiskLock>> {
    let held = match attempt(blocking, disk, directory).await? {
        Ok(lock) => return Ok(lock),
        Err(held) => held,
    };
    let Some(pid) = held.pid else {
        return Err(refused(directory, "it does not say who holds it"));
    };
    let holder = {
        let (file, place) = (held.file, directory.to_owned());
        blocking.spawn(move || Holder::of(pid, file).map_err(|why| refused(&place, &why))).await??
    };
    for (signal, patience) in [(Signal::End, ASKED), (Signal::Kill, KILLED)] {
        tracing::warn!(pid, ?signal, "another process holds the state directory, and is ended");
        holder.send(signal).map_err(|why| refused(directory, &why))?;
        let until = clock::instant() + patience;
        while clock::instant() < until {
            if let Ok(lock) = attempt(blocking, disk, directory).await? {
                return Ok(lock);
            }
            clock::sleep(LOOK).await;
        }
    }
    Err(refused(directory, &format!("process {pid} does not end")))
}

async fn attempt(
    blocking: &Blocking,
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<std::result::Result<Box<dyn DiskLock>, directory::Held>> {
    let (disk, directory) = (disk.clone(), directory.to_owned());
    blocking.spawn(move || directory::try_lock(&*disk, &directory)).await?
}

fn refused(directory: &Path, why: &str) -> Error {
    Error::cant_create(format!(
        "the state directory {} can't be taken over: {why}; stop whoever uses it, or use another directory",
        directory.display()
    ))
}

/// What a process is asked for.
#[derive(Clone, Copy, Debug)]
enum Signal {
    /// To end: it delivers what it has read and saves a checkpoint.
    End,
    Kill,
}

/// Elsewhere nobody can tell who has a file open.
#[cfg(not(target_os = "linux"))]
struct Holder;

#[cfg(not(target_os = "linux"))]
impl Holder {
    fn of(pid: u32, _: afferent_core::disk::FileId) -> std::result::Result<Holder, String> {
        Err(format!("that process {pid} has it can be verified on Linux only"))
    }

    fn send(&self, _: Signal) -> std::result::Result<(), String> {
        Ok(())
    }
}
