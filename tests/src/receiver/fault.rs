//! [`Fault`]: what a receiver does to its clients.

use std::collections::BTreeMap;

/// How often each fault was done.
pub type Tally = BTreeMap<Fault, u64>;

/// What a receiver, or the network before it, does to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 429, and no word on when to come back.
    TooMany,
    /// 429 with `Retry-After` in seconds.
    TooManyForSeconds,
    /// 429 with `Retry-After` as a date.
    TooManyUntil,
    /// 500 to 504.
    ServerError,
    /// 503 after the commit.
    ServerErrorAfterCommit,
    /// 409, 404 or 408: not now, but others may.
    NotNow,
    /// A late answer, after an early commit.
    Slow,
    /// A late commit, maybe after the client has gone; 409 to those who ask meanwhile.
    LateCommit,
    /// The connection breaks when the request was read.
    CutBeforeCommit,
    /// The connection breaks after the commit.
    CutAfterCommit,
    /// The request is read, and that was all.
    Silence,
    /// The request is committed, and that was all.
    SilenceAfterCommit,
    /// HTTP/2: no more requests on this connection; those under way are answered.
    GoAway,
    /// HTTP/2: the same, and the connection breaks.
    GoAwayAndCut,
    /// A connection is closed as soon as it is there.
    Refused,
    /// 413: more records or bytes than it takes.
    TooLarge,
    /// 400 or 422, for one record of many.
    Poison,
    /// 401 or 403, until the client shows other credentials.
    Unauthorized,
    /// A certificate of an authority that the client does not trust.
    ForeignCertificate,
}

impl Fault {
    /// Those that a script gives odds for each request, and for each connection.
    pub const BY_ODDS: [Fault; 15] = [
        Fault::TooMany,
        Fault::TooManyForSeconds,
        Fault::TooManyUntil,
        Fault::ServerError,
        Fault::ServerErrorAfterCommit,
        Fault::NotNow,
        Fault::Slow,
        Fault::LateCommit,
        Fault::CutBeforeCommit,
        Fault::CutAfterCommit,
        Fault::Silence,
        Fault::SilenceAfterCommit,
        Fault::GoAway,
        Fault::GoAwayAndCut,
        Fault::Refused,
    ];

    /// Those that come from what is sent, or come in spells.
    pub const OTHERS: [Fault; 4] =
        [Fault::TooLarge, Fault::Poison, Fault::Unauthorized, Fault::ForeignCertificate];

    /// Every fault.
    pub fn all() -> impl Iterator<Item = Fault> {
        Fault::BY_ODDS.into_iter().chain(Fault::OTHERS)
    }
}
