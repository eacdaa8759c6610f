//! Uploads: the outbox, and the driver that all uploading sinks share.
//!
//! A sink that uploads is an [`Upload`] over a [`Transport`], which sends one body and says what became of it. All else
//! is here.
//!
//! # What is promised
//!
//! 1. **A receiver that honours keys sees each record exactly once** (G1, G2), whatever happens to either side or between
//!    them. A body that was sent is sent again byte for byte, under the same `Idempotency-Key`, until its fate is known and
//!    saved; a body whose epoch was undone was never sent.
//! 2. **Order** (G3). The bodies of a lane are sent one after the other, in the order of the source; a subject is always in
//!    the same lane. A deletion without a subject may be of a sample in any lane: its body comes after all earlier
//!    records in the outbox, and is sent when all bodies before it are settled. When the number of lanes changes, later
//!    bodies wait for all that were sealed before.
//! 3. **Nothing is dropped** (G11). Refused credentials pause and alarm; what the receiver refuses for good is narrowed
//!    down to the record that it means, which is a dead letter; everything else is tried for as long as it takes.
//! 4. **Bounds** (G7). In memory: an open body in each lane, one under way in each, 16 MiB of bodies that were read
//!    ahead, and 6 MiB that wait for the disk. On disk: `max_bytes` that are not acknowledged, the open epoch, and what the
//!    kept checkpoints need. Where `max_bytes` is reached, `write` waits, and so the source does; but only while something is
//!    released and not acknowledged, so that an epoch larger than the bound does not wait for itself.
//! 5. **Discretion** (G8). Neither records nor what a receiver says get into logs, errors, alarms or reasons.
//!
//! # The protocol
//!
//! ```text
//!  write ─▶ open bodies, one in each lane ──closed──▶ sealed ──append──▶ outbox (a segment log)
//!  prepare ─▶ close and seal all ─▶ sync the outbox ─▶ token: log, end, counters
//!  (the engine saves the checkpoint: the commit point)
//!  commit ─▶ release up to the token's end ─ ─ ─▶ driver ─▶ receiver ─▶ acknowledgement: counters, position, dead letters
//! ```
//!
//! *Sealing* makes a body final: framing, compression, and the key, which is over (incarnation, sink, epoch, lane, ordinal,
//! body). Key and body are one entry of the outbox. They are never computed again.
//!
//! **Order of what is made durable**, and what a crash between two steps means:
//!
//! | step | a crash after it |
//! |---|---|
//! | 1. bodies are appended, and synced by `prepare` | `open` cuts them off: they lie after the token |
//! | 2. the checkpoint with the token is saved | `commit` runs again and releases them |
//! | 3. `commit` releases them: nothing on disk | the same |
//! | 4. a body is sent and answered | it is sent again, with its key |
//! | 5. the acknowledgement is saved, with its dead letters | it is not sent again |
//! | 6. the next checkpoint takes the counters into the accounts | the accounts are behind until then, and say *pending* |
//!
//! A body that is refused (413, 400, 422 over HTTP) is halved, and between 4 and 5 lies one step more: both halves, with keys
//! over (parent's key, range, bytes), are saved in its place before either is sent. They are sent in order. A part is a
//! slice of what the outbox has and is not compressed: it must be the same bytes whichever version of a compressor is
//! there. Acknowledgements that arrive while one is being saved are saved together.
//!
//! A receiver that takes a body but for some records, and says which ([`Outcome::Partly`]), is not sent it again: those are dead
//! letters and the others delivered, in one acknowledgement.
//!
//! What is refused must be a record again, to be put in once more. It is read back from the body; where nothing reads the
//! body's format, the index of the entry carries a copy of each record in MessagePack.
//!
//! # The driver's state
//!
//! By lane, the number before which all of its bodies are settled; where everything is; what is left of refused
//! bodies; cumulative counters. The pending of an account is the records of the token less the settled ones, so a restart
//! counts nothing anew. After a fallback to an older checkpoint (its incarnation is not the engine's) the position is
//! the smaller of the acknowledged and the token's, the counters are the token's, and what is left is counted.
//!
//! # What goes wrong
//!
//! | what | what happens |
//! |---|---|
//! | the receiver is away, or says so (5xx, 429) | tried again after a back-off of at most 8 s, or after what it asks for; after five failures in a row by one attempt at a time, see `gate` |
//! | it can't take one body now (409, 404, 408) | that lane waits; the others go on, until 16 MiB lie behind it; after ten minutes an alarm |
//! | a body waits for an hour, whatever the reason | an alarm |
//! | there is no room for dead letters | an alarm; nothing is sent any more, and the pipeline stops (`State`) |
//! | it refuses the credentials | an alarm; nothing but a try now and then, with credentials that are read anew |
//! | a body's fate is unknown for longer than `dedupe_window` | an alarm, and `unresolved` is counted; it is sent all the same, because a repeat can be found and a loss can't |
//! | the disk fails or is full | the engine starts again from the last checkpoint |
//! | an acknowledgement can't be saved | what is there is read, and it is tried again; sending goes on |
//! | a newer generation has come | the driver ends before its next attempt or at its next acknowledgement, the sink with its next effect (G10) |
//! | it takes over from one that was stopped | see below |
//! | the outbox is damaged, or gone | an alarm; what was pending and can't be read is counted as dead |
//! | there is an outbox and no checkpoint | it is set aside with an alarm, never cut |
//!
//! # Taking over
//!
//! An older generation that holds the lock may have been stopped anywhere. What it may still do when it goes on:
//!
//! | | |
//! |---|---|
//! | write to its last segment, or begin others | void: the newer one has taken the log over, see [`segment_log`](afferent_core::segment_log) |
//! | remove segments | those of before the oldest checkpoint that it knew, which nobody needs; no others: it looks at the fence between listing them and removing one |
//! | raise its own fence over the newer one's | it asks the checkpoint store before it does anything by it; the newer one's next effect raises the fence again |
//! | finish attempts that were under way, one in each lane | bodies that the newer one sends too, under the same keys |
//! | save an acknowledgement | the checkpoint store refuses it |
//!
//! # Without an outbox
//!
//! `delivery = "direct"` sends the same bodies under the same kind of key before the commit point: `prepare` returns when the
//! receiver has them all. A replay cuts its batches elsewhere, so it is at least once. What is refused is a dead letter of
//! the epoch.
//!
//! # What may not be sent any more
//!
//! The last transforms may say what may be sent ([`Permission`](afferent_core::stage::Permission)). A body says under which version of that it was
//! sealed. Where the version in force is another, before the first attempt or between two, the body is read back; what is not allowed
//! is taken out, and what is left replaces the body as the halves of a refused one do. `sifting` says what that means for a body
//! that the receiver may have. What was taken out is settled, and filtered in the account. It stays in the outbox, as what was
//! delivered does, until its segment is removed. What lies behind the body that is under way is looked at when its turn comes.
//!
//! Without a permission nothing is asked: who takes it out of a pipeline lets go what waits. After a fallback to an older checkpoint
//! what was withheld since counts as delivered, as what was refused since does.
//!
//! # Dead letters that are withdrawn
//!
//! A deletion or a higher revision that the receiver has taken withdraws the dead letter of its record: it is of no use any
//! more, and putting it in again could bring back what was deleted. The acknowledgement that says so marks the letter and
//! counts it, in one step. Every entry of the outbox carries id, change and revision of its records for that; they are only
//! looked at while letters of this receiver are dead. Letters that the engine wrote, also of what has no form in a body or was
//! refused when sent directly, are the engine's to withdraw.

mod age;
mod attempt;
mod body;
mod compress;
mod crash;
mod dissection;
mod driver;
mod feed;
mod gate;
mod keeper;
mod key;
mod lane;
mod letter;
pub mod metrics;
mod open;
mod outbox;
mod packer;
mod sealing;
mod settings;
mod sifting;
mod sink;
mod state;
#[cfg(test)]
mod tests;
mod transport;

pub use self::{
    body::SealedBody,
    crash::CRASH_POINTS,
    key::Key,
    settings::{
        BatchLimits, Compression, DEFAULT_LANES, DEFAULT_OUTBOX_BYTES, Delivery, Framing, MAX_BATCH_BYTES,
        MAX_LANES, MIN_OUTBOX_BYTES, Rate, Settings,
    },
    sink::Upload,
    transport::{Outcome, Transport},
};
