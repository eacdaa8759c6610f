//! The segment log: a queue on disk, under the outbox of uploads, the log of a webhook and queues between
//! pipelines.
//!
//! A [`SegmentLog`] appends entries (bytes) and numbers them from 0 without a gap. [`LogReader`]s follow it, each from
//! a position of its own. Entries go away at two ends: [`truncate`](SegmentLog::truncate) cuts the log back to a
//! position, [`trim`](SegmentLog::trim) removes whole segments that nobody needs any more. A [`Committer`] lets many
//! tasks append at the same time and share a sync.
//!
//! # Invariants
//!
//! 1. **Numbers are positions.** An entry keeps its number for life; a number that was cut off is given to another entry
//!    only by `truncate`, which its owner asked for. Damage leaves a gap in the numbers, never a shift.
//! 2. **What was synced stays.** After [`sync`](SegmentLog::sync) has returned, every entry before its position survives
//!    a power loss until it is truncated or trimmed.
//! 3. **What was not synced is a prefix.** After a crash, the entries beyond the last sync are a prefix of what was
//!    appended, possibly empty, never one of them without those before it.
//! 4. **Nothing is read that was not written.** Each entry is read back byte for byte, or reported as damage.
//! 5. **One segment is appended to, the last.** All others are *sealed*: they were synced before their successor was made.
//! 6. **Segment numbers only rise**, so no checksum of an earlier life fits a later one: checksums begin with the log's id
//!    and the segment's number.
//! 7. **Bounds.** Files never exceed `max_bytes` (by more than marks of 20 bytes); one file handle per log and one per
//!    reader; memory is one write buffer per log and one chunk or entry per reader.
//!
//! # Bytes
//!
//! A log is a directory. Its segments are `00000000000000000001.log` and so on; `damaged/` holds copies of segments in
//! which damage was found; other names are left alone. All numbers are little-endian, checksums are CRC-32C.
//!
//! ```text
//! segment                       header block                  frame
//!    0  header block               0  magic "AFLOGSEG"           0  number             u64
//!   64  cut, or zeros              8  version         u32        8  length             u32
//!  128  cut, or zeros             12  crc of 0..12    u32       12  crc of payload     u32
//!  512  header block, again       16  log id     16 bytes       16  crc of seed, 0..16 u32
//!  576  frames, to the end        32  segment         u64       20  payload
//!                                 40  first number    u64
//! cut                             48  crc of 0..48    u32
//!    0  number of the end    u64
//!    8  offset of the end    u64  seed: crc of log id, segment
//!   16  void through segment u64
//!   24  crc of seed, 0..24   u32
//! ```
//!
//! The second header is in another sector than the first; either will do. The version has a checksum of its own, at a
//! place that no version will move, so that a damaged segment is not mistaken for one of a newer program.
//!
//! Of two cuts the one with the lower number holds. A new one is written over the other, so that a cut that was done
//! can't come undone while the next one is written.
//!
//! A frame is an entry, or, with the length `0xFFFFFFFF`, a *mark*: it has no payload, its number is that of the next
//! entry, and it says that everything before it in the segment was synced. An entry that does not fit into a segment
//! has one of its own.
//!
//! # Order of operations on disk
//!
//! - **append**: into a buffer; when it is full, one write at the end of the last segment.
//! - **sync**: write the buffer; sync the file; *only then* write a mark (not synced: it matters only if it survives).
//! - **roll**: sync the last segment; create the next, write its header, sync it, sync the directory; only then append.
//!   A file without a valid header and not longer than one is a creation that was cut short, and holds nothing: it is
//!   removed.
//! - **truncate** to an entry of segment *k*: write the cut into the header of *k* and sync it. *This is the point at which
//!   the log is cut*: segments after *k* up to the one named in the cut are void. Remove them, sync the directory, cut the
//!   file of *k* and sync it. Opening finishes what a crash interrupted. No step needs free space, because a full disk may
//!   be why the log is cut. Nothing is appended to *k* again: the next entry opens a new segment.
//! - **take over** from an owner that may go on writing: the same cut, also at the very end, and the segments that it makes
//!   void are 1,024 more than there are. Whatever the other one can still do lies behind the cut or in those.
//! - **trim**: remove segments, oldest first, syncing the directory between two, so that no hole appears. The last
//!   segment stays, because it carries the numbers and the id; when everything was trimmed and it is half full, it is
//!   rolled first.
//!
//! # Opening
//!
//! Reads the header of each segment and the frames of the last: the cost grows with the number of segments and the
//! size of one, never with the bytes in the backlog. What is valid beyond the last mark may be in the page cache and not
//! on disk, if a sync failed: it is written again and synced. So is the directory, so that no file which a failed handle
//! created or removed changes its mind later. After opening, everything is synced.
//!
//! # What goes wrong
//!
//! | what | what happens |
//! |---|---|
//! | an invalid frame in the last segment, beyond what is known to be synced | a torn tail: cut, with all that follows; reported as [`Torn`]. Whole frames among it are copied to `damaged/` first |
//! | an invalid frame before a mark, before `expected`, or in a sealed segment | damage: reported with the numbers lost, the segment copied to `damaged/`, passed over; the next valid frame counts |
//! | both headers of a segment are invalid, or a segment is of another log | moved to `damaged/`, reported; its entries are missing |
//! | a segment is missing, or shorter than it was | readers see from the numbers what is missing, and report it |
//! | the log ends before `expected` | damage; numbers go on at `expected` |
//! | the header has a newer version | `State`: use the program that wrote it |
//! | a write fails or the disk is full | what was written in part is cut off; `Transient`; nothing is lost, the next call tries again |
//! | a sync fails | the log is *poisoned*: every later call is `Transient` and says to open it again. The sync is not tried again, for it would lie |
//! | truncate fails | poisoned; opening finds it done or not done |
//! | a read fails | `Transient`, never damage: a disk that does not answer says nothing about the bytes |
//! | `max_bytes` is reached | [`Appended::Full`]: not an error, trimming makes room |
//!
//! **What can't be told.** A synced entry at the very end that rots looks like a torn tail if the mark after it is gone as
//! well: the mark is written after each sync but reaches the disk when the system pleases, mostly within half a minute.
//! An owner that keeps the synced end elsewhere (a sink's token) passes it as `expected` and is told. If the only segment of
//! a log loses both headers, its id is lost too: the log begins anew, with another id, at `expected` or at 0.
//! Damage is met, and reported, by the opening and by every reader; only a reader knows the numbers lost in sealed segments.
//!
//! # Cancellation and threads
//!
//! Everything blocks: use it in jobs of [`blocking`](crate::blocking). The log is `&mut`; readers are values of their own,
//! may be in other threads, and share with it only an index of segments. A reader never reads beyond the synced end, nor
//! beyond the limit it is given. Dropping a log drops what is in its buffer, as a crash would.

mod appended;
mod committer;
mod cut;
mod damage;
mod directory;
mod index;
mod layout;
mod limits;
mod log;
mod position;
mod reader;
mod recovery;
mod scan;
#[cfg(test)]
mod tests;
mod window;

pub use self::{
    appended::Appended,
    committer::Committer,
    damage::{Damage, Recovery, Torn},
    directory::set_aside,
    layout::{LogId, MAX_ENTRY_BYTES},
    limits::{DEFAULT_SEGMENT_BYTES, LogLimits, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES},
    log::SegmentLog,
    position::LogPosition,
    reader::{Entries, Entry, LogReader},
};
