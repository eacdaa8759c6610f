//! Files of records: NDJSON of the wire form, CSV, or one of the dialects of `docs/formats`, one file or many.
//!
//! # Contract
//!
//! **Order.** Files in the order of their names, each from its beginning to its end; files that appear later come after
//! those that were there. Within a file, its own order.
//!
//! **End.** Without `follow` the files that were there at the start are read, also a last line without a line end, and
//! the source ends. With `follow` it never ends: it looks for more every [`POLL_INTERVAL`], in the files it knows and in new
//! ones that match; a last line without a line end waits for it.
//!
//! **Position.** For each file that was begun: which file it is (device, inode, a checksum of its first ≤ 1 KiB) and the
//! offset and line after the last item that was given. Reading resumes there by seeking. What a name means may
//! change between two looks, while the source runs or not:
//!
//! | found | read |
//! |---|---|
//! | the same file, as long or longer | on from its offset |
//! | the same file, shorter or with another beginning | from its beginning, with a notice: it was truncated |
//! | another file under its name, and it in the same directory under another name | its rest first, then the other from its beginning, with a notice: it was rotated |
//! | another file under its name, and it is gone | the other from its beginning, with a notice |
//! | a copy of it under another name | the copy, as any other file: rotate by renaming |
//! | it is gone | nothing more; an alarm, if it was known not to have been read to its end |
//!
//! **JSON documents** of a dialect may be as long as they like: their parts are read one by one. One that breaks off at the end
//! of a file is a reject, or, with `follow`, waits. What stands in the middle of one may be about anything before it: such a
//! file is read again from its beginning up to the offset, without giving the records that it gave before.
//!
//! **Memory.** A buffer of a few hundred KiB and one batch that is read ahead. An item over [`MAX_ITEM_BYTES`] is passed
//! over, in pieces, to the next line end, and becomes a reject. At most [`MAX_FILES`] files, and [`MAX_HANDLES`] of
//! them open.
//!
//! **Threads.** Files are read and decoded in blocking jobs, one at a time: while the engine handles a batch, the job
//! for the next one runs.
//!
//! **Errors.** An item that can't be decoded is a reject with file and line. Without `follow`, no file that matches, a
//! directory and a file that may not be read are `Config`; with `follow` what may heal by itself is `Transient` or simply
//! waited for.

mod config;
mod error;
mod files;
mod glob;
mod position;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

pub use self::{config::Config, source::FileSource};

/// How often a followed file is looked at: soon enough for a person who watches, seldom enough to cost nothing.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Longest line or row. A route of a day with a place each second is some 10 MB; more is no record.
pub const MAX_ITEM_BYTES: usize = 16 << 20;

/// Most files one source reads: what a position can list and a look can go through in a moment.
pub const MAX_FILES: usize = 4096;

/// Most files held open. A file that is held can be read to its end even when it was deleted; below the usual
/// limit of 256 handles of a process.
pub const MAX_HANDLES: usize = 64;
