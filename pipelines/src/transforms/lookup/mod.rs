//! Tables in files, which transforms look records up in, and which are read again when they change.
//!
//! **A replay finds the table changed.** So the table in force is state of its transform: a checkpoint holds it before any record
//! meets it, by the protocol of [`Look`](afferent_core::stage::Look). Its contents are saved, and not only a digest, because
//! the file that they came from may be gone when they are needed again. Hence:
//! - A committed epoch was computed with one version, that of the checkpoint before it. Whatever batches there were, and wherever
//!   the process died, each record was looked up in the version that was in force in its epoch.
//! - A version never gives way to an older one, and a pipeline goes on, over restarts, too, while the file is missing or bad.
//! - A changed file is in force from the next epoch on that begins a second after it was written: a pipeline of a
//!   steady feed closes an epoch a second, and one that was idle looks before its first record moves.
//!
//! An epoch that was undone is replayed with the version that it had, or with a newer one if the file has changed since: where epochs
//! end is not repeated, either. No sink whose checkpoint is the truth shows the difference. One that shows more than its checkpoint
//! (`sqlite` is ahead of it until the epoch is saved, `stdout` and `delivery = "direct"` are at least once) may show, of a record
//! that an undone epoch had, what the version of that epoch made of it.
//!
//! **What is saved** is the columns that the configuration names, and no other: what else is in the file is nobody's business. A
//! configuration that names others makes the saved ones useless; then the file must be there when the pipeline starts.
//!
//! **A file is read whole** where blocking is allowed, if its metadata has changed, or is so young that the next change might not
//! show in it. Whoever writes it renames a finished one into its place. What is half written may look finished, so a
//! file that changes while it is read, or changed less than a second ago, is read later, unless there is nothing in force yet.
//!
//! **A bad file** is an error with its line when there is nothing in force, and otherwise an alarm, once for each thing that is
//! wrong, and the gauge `afferent_transform_stale`; what is in force stays. No cell of a table is ever printed.

mod csv;
mod file;
mod format;
mod json;
mod reloading;
mod rows;
mod saved;
#[cfg(test)]
mod tests;

pub use self::format::TableFormat;
pub(super) use self::{
    format::check_format,
    reloading::{Built, Plan, Reloading},
    rows::{Column, Fault, Row, text_of},
};

/// The largest file: a hundred thousand people with 160 bytes each. A table takes about ten times as much memory while it is read.
pub const MAX_TABLE_BYTES: u64 = 16 << 20;

/// The most rows: a hundred thousand people with five each.
pub const MAX_TABLE_ROWS: usize = 500_000;

/// How old a changed file must be before it is read, in µs: whoever writes one in place is done after a second, mostly.
const SETTLE: i64 = 1_000_000;
