//! An HTTP listener: records that are posted to it, stored before they are acknowledged.
//!
//! A push can't be replayed, so it goes through a log on disk at the edge. What is answered with 2xx is in the log, or is
//! committed; from there it is read like any other source, from a position, as often as a crash makes necessary.
//!
//! # What is promised
//!
//! 1. **2xx means kept.** With `ack = "durable"` (202) the body and its id were synced together, as one frame of the log,
//!    in a sync that many requests share. With `ack = "committed"` (200) the epoch with all of its records has passed its
//!    commit point too; at an upload that means sealed.
//! 2. **Anything else means nothing.** A body is stored whole or not at all. In the wire form one bad record refuses it (400),
//!    with the number of the record and the name of the field: its sender can mend it. In the dialect of another program it is
//!    stored if it is JSON at all; its records are delivered, and each that is bad is a dead letter of its own, counted in the
//!    answer as `rejected`: the sender could not mend it and would send it for ever. After 503 it is open whether the body was
//!    stored; the same id sent again finds out.
//! 3. **An id is stored once.** `webhook-id`, or else `Idempotency-Key`, names a body for [`KEPT`]: a repeat that comes
//!    while the first is under way waits for it; a later one gets the same answer and stores nothing; with other content it
//!    is refused (409), because answering 2xx would lose it. Ids are those of the path, whoever signs: a sender that
//!    changes its key is still the same sender.
//! 4. **Order** is that of the log: of requests that did not overlap, the order of their answers.
//! 5. **What can't be stored is not taken**: 429 with `Retry-After` when bodies in memory, the log or the ids are at their
//!    bound.
//!
//! A body without an id may be stored twice if its sender repeats it; sinks absorb that by the records' own ids.
//!
//! # Where things are
//!
//! ```text
//! request ─▶ listener ─▶ endpoint ─▶ intake ─▶ log/  ─▶ reader ─▶ engine
//!            address,     who, form,   ids,     one frame   position
//!            TLS, time    size         group    per body
//!                                      commit └▶ ids/
//! ```
//!
//! `log/` is a [segment log](afferent_core::segment_log) of bodies. It is trimmed only below the position in the oldest
//! checkpoint that is kept. Without a checkpoint it is read from its first entry, because senders were told that it is kept.
//!
//! `ids/` is a second one, an index of the first, so that ids outlive the trimming of their bodies. There is no atomic step
//! over both: *the frame is the truth*. A block of ids is written now and then, and always before the bodies that it is
//! about may be trimmed; opening reads all blocks, and then the frames that came after the last one.
//!
//! # What goes wrong
//!
//! | what | answer | and then |
//! |---|---|---|
//! | a sync or a write fails | 503 to all who shared it, and to all after | the log is never synced again: the source says `Transient`, and its next pull opens the log anew, which finds what is there |
//! | the commit takes longer than `ack_timeout` | 503 | a repeat with the same id waits for the same commit |
//! | the log is full, because a sink is away | 429 | committing makes room |
//! | an entry is damaged | | an alarm with the numbers lost; reading goes on behind it |
//! | [`Config::max_ids`] ids within [`KEPT`] | | the oldest is forgotten with an alarm; while the oldest is younger than [`REPLAY_WINDOW`], 429 |
//! | the pipeline stops | connection refused, or 404 where others share the address | senders try again |
//!
//! # Who may post
//!
//! With the `format` of a vendor, whoever has that vendor's proof; its challenges are answered. See [`Scheme`]. Otherwise:
//!
//! Signatures of Standard Webhooks 1.0.0 by any of `secrets`, bearer `tokens`, certificates of `tls.client_ca`; see
//! [`Credentials`]. A signature holds for [`TOLERANCE`] on either side of its timestamp, within which the ids, which are on
//! disk, refuse to take it twice. Everything is compared in constant time, and all who are not let in get the same answer.
//! Without any of these, or without TLS, it listens to this machine only, unless `insecure` is set.
//!
//! # Bounds
//!
//! Header, body, idle and handshake time, connections, streams, bytes of a body before and after decompression, bytes of
//! all bodies in memory, depth of JSON, log and ids: each has a key or a named limit. A body that inflates to more than
//! `max_body` is refused when it passes that, not after.
//!
//! # For fuzzing
//!
//! What looks at bytes of strangers is pure and public: [`Keys::judge`] and [`Keys::has_signed`] (headers, signatures),
//! [`SigningKey::parse`], [`inflate`] (bodies that are compressed, within a [`Budget`]), [`check_records`] (bodies as they are
//! stored), [`Config`] by its `check`.

mod answer;
mod blocks;
mod body;
mod config;
mod credentials;
mod endpoint;
mod forms;
mod frame;
mod ids;
mod intake;
mod items;
mod listener;
mod listeners;
mod openapi;
mod position;
mod reader;
mod routes;
mod signature;
mod source;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;
mod vendor;

use std::time::Duration;

pub use self::{
    answer::Refusal,
    body::{Budget, Encoding, inflate},
    config::{Ack, Config, MAX_BODY, Timeouts, Tls},
    credentials::{Credentials, Keys, Proof},
    items::{Checked, Malformed, check_records},
    listeners::Listeners,
    openapi::openapi,
    signature::{Signed, SigningKey, TOLERANCE},
    source::Webhook,
    vendor::{Claim, Scheme},
};

/// How long an id is kept: senders repeat for up to 76 h, and a day more for a clock that is wrong.
pub const KEPT: Duration = Duration::from_secs(4 * 24 * 3600);

/// While a signature may still be sent again: its timestamp may be [`TOLERANCE`] ahead when it comes first, and is believed
/// for as long after it.
pub const REPLAY_WINDOW: Duration = Duration::from_secs(2 * TOLERANCE.as_secs());
