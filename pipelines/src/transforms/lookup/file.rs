//! The file of a table: whether it has changed, and what is in it.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use afferent_core::Timestamp;

use super::{MAX_TABLE_BYTES, SETTLE};

/// What tells two versions of a file apart without reading them, mostly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// µs since 1970.
    modified: i64,
    length: u64,
    /// Device and inode: a renamed file is another one.
    id: (u64, u64),
}

impl Stamp {
    /// That of the file at `path` now.
    pub(super) fn of(path: &Path) -> io::Result<Stamp> {
        Stamp::new(&std::fs::metadata(path)?)
    }

    fn new(metadata: &Metadata) -> io::Result<Stamp> {
        let modified = metadata.modified()?;
        let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let modified = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        };
        Ok(Stamp { modified, length: metadata.len(), id: id(metadata) })
    }

    /// Whether the file changed so shortly before `now` that it may still be changing. The future is no short time ago: clocks
    /// of file systems differ from ours.
    pub(super) fn is_young(self, now: Timestamp) -> bool {
        (0..SETTLE).contains(&now.as_micros().saturating_sub(self.modified))
    }

    /// Whether it tells every later change: clocks of file systems have ticks, and within one a file may change twice.
    pub(super) fn is_telling(self, now: Timestamp) -> bool {
        now.as_micros().saturating_sub(self.modified) >= SETTLE
    }
}

#[cfg(unix)]
fn id(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn id(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Why there are no contents.
#[derive(Debug)]
pub(super) enum Unread {
    /// It can't be read.
    Io(io::Error),
    /// It is larger than it may be.
    TooLarge,
    /// It changed while it was read.
    Changing,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        Unread::Io(error)
    }
}

/// What is in the file at `path`, which was `stamp` before.
pub(super) fn read(path: &Path, stamp: Stamp) -> Result<Vec<u8>, Unread> {
    let file = File::open(path)?;
    let is_same = |file: &File| Ok::<bool, io::Error>(Stamp::new(&file.metadata()?)? == stamp);
    if !is_same(&file)? {
        return Err(Unread::Changing);
    }
    if stamp.length > MAX_TABLE_BYTES {
        return Err(Unread::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.length).unwrap_or(0));
    // One byte more than it had would be a file that grows.
    (&file).take(stamp.length + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == stamp.length && is_same(&file)? { Ok(bytes) } else { Err(Unread::Changing) }
}
