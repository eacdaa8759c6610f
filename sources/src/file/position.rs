//! The position of a file source, and what tells a file from another.

use std::path::PathBuf;

use afferent_core::{
    Position, Result,
    disk::{DiskFile, FileId},
};
use serde::{Deserialize, Serialize};

/// Version of the position's form.
const VERSION: u16 = 1;

/// How much of a file's beginning tells it from another one that got the same inode.
const HEAD_BYTES: usize = 1024;

/// A checksum of a file's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// How many bytes it covers: up to [`HEAD_BYTES`], fewer where the file had fewer.
    length: u16,
    crc: u32,
}

impl Head {
    /// Whether `file` begins as it did. If so, the checksum now covers what came since.
    pub(super) fn matches(&mut self, file: &dyn DiskFile) -> std::io::Result<bool> {
        let mut buffer = [0; HEAD_BYTES];
        let length = file.read_at(0, &mut buffer)?;
        let known = usize::from(self.length);
        if length < known || crc32c::crc32c(&buffer[..known]) != self.crc {
            return Ok(false);
        }
        let length = u16::try_from(length).expect("at most HEAD_BYTES");
        *self = Head { length, crc: crc32c::crc32c(&buffer[..usize::from(length)]) };
        Ok(true)
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where the file was last seen.
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    pub(super) head: Head,
    /// After the last item that was given.
    pub(super) offset: u64,
    /// The line there, from 1.
    pub(super) line: u64,
    /// Whether nothing more was there.
    pub(super) done: bool,
}

/// As it is saved; a path that is no Unicode is only good for messages.
#[derive(Serialize, Deserialize)]
struct Saved(String, FileId, Head, u64, u64, bool);

/// The position that says where the files are that were begun.
pub(super) fn save<'m>(pattern: &str, marks: impl Iterator<Item = &'m Mark>) -> Result<Position> {
    let saved: Vec<Saved> = marks
        .map(|mark| {
            let path = mark.path.to_string_lossy().into_owned();
            Saved(path, mark.id, mark.head, mark.offset, mark.line, mark.done)
        })
        .collect();
    Position::new(VERSION, pattern, &saved)
}

/// What [`save`] saved.
pub(super) fn load(position: &Position) -> Result<Vec<Mark>> {
    let saved: Vec<Saved> = position.read(VERSION)?;
    let mark =
        |Saved(path, id, head, offset, line, done)| Mark { path: path.into(), id, head, offset, line, done };
    Ok(saved.into_iter().map(mark).collect())
}
