//! What survives on disk: checkpoints, dead letters, definitions and desired states, in one embedded database.
//!
//! [`RedbStore`] is the [`CheckpointStore`](afferent_core::CheckpointStore) of a state directory. Files in it:
//!
//! | file | what |
//! |---|---|
//! | `state.redb` | the database |
//! | `state.redb.new` | a database being created; it becomes `state.redb` by a rename, so a torn one is never opened |
//! | `state.redb.damaged-N` | one that could not be read and was set aside on request |
//! | `reserve` | disk space given back when the disk is full, so that checkpoints can still be saved |
//!
//! **Atomicity.** Every write is a transaction. Writes that wait at the same time share one, and so one fsync: a
//! blocking job takes whatever is queued, applies it, commits, answers, and ends when nothing is queued. Only a
//! write that is refused (a stale generation, an epoch that does not follow) is left out.
//!
//! **Durability.** An answer is given after the fsync. An I/O error leaves the outcome unknown: everyone in the
//! transaction is told `Transient`, and the database is opened again before its next use, which recovers it.
//! After a failed fsync the file is first written over with what it reads as, because the kernel may have dropped
//! what it could not write and will not say so again.
//!
//! **Integrity.** Every value carries a CRC-32C over itself and its key. A damaged checkpoint falls back to the
//! one before it (see [`Loaded`](afferent_core::checkpoint::Loaded)); a damaged state row is an error of kind
//! `State`. Rows that can't be found any more are missed, too: the names of pipelines and of definitions
//! are kept in a table of their own, and a pipeline that has only its name left is not begun as if it had never been, unless somebody
//! asks for it. The layout has a version; a newer one is
//! refused.
//!
//! **Cost.** A save costs what changed, not what is held: versions of rows that a save supersedes are listed under
//! its epoch, and dropped once the oldest kept checkpoint has reached it.

mod backend;
mod caught;
mod definition;
mod digest;
mod file;
mod group;
mod inspect;
mod letters;
mod reserve;
mod rows;
mod seal;
mod store;
mod tables;
#[cfg(test)]
mod tests;

pub use self::{
    caught::catches_panics,
    definition::{Desired, StoredDefinition},
    store::{DATABASE, RedbStore},
};
