//! [`Holder`] on Linux.

use std::{fs, os::fd::OwnedFd, os::unix::fs::MetadataExt};

use afferent_core::disk::FileId;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::Signal;

/// A process that has a lock file open.
pub(super) struct Holder {
    pid: u32,
    handle: OwnedFd,
}

impl Holder {
    /// Process `pid`, if it has `file` open.
    pub(super) fn of(pid: u32, file: FileId) -> Result<Holder, String> {
        if pid == std::process::id() {
            return Err("this process itself holds it".to_owned());
        }
        let known = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let known = known.ok_or_else(|| format!("{pid} is no process"))?;
        // Before the look: from here on the handle is of the process that was looked at, or of one that has ended.
        let handle = pidfd_open(known, PidfdFlags::empty())
            .map_err(|error| format!("process {pid} can't be reached: {error}"))?;
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .map_err(|error| format!("what process {pid} has open can't be seen: {error}"))?;
        let is_it = |path| {
            fs::metadata(path).is_ok_and(|found| FileId { device: found.dev(), inode: found.ino() } == file)
        };
        match open.flatten().any(|entry| is_it(entry.path())) {
            true => Ok(Holder { pid, handle }),
            false => Err(format!("its lock names process {pid}, which does not have it open")),
        }
    }

    pub(super) fn send(&self, signal: Signal) -> Result<(), String> {
        let signal = match signal {
            Signal::End => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        match pidfd_send_signal(&self.handle, signal) {
            // It has ended.
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(format!("process {} can't be sent a signal: {error}", self.pid)),
        }
    }
}
