//! [`Transport`]: what an uploading sink sends its bodies with.

use std::{fmt::Debug, future::Future, time::Duration};

use afferent_core::{Result, SinkCx};

use super::SealedBody;

/// What became of one attempt. Reasons say what was expected and what was found; they never hold the receiver's words,
/// which may repeat health values.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The receiver has the body.
    Delivered,
    /// It refuses what is in the body, and would refuse it again: the records that it means are looked for.
    Refused {
        /// Why.
        reason: String,
    },
    /// It has taken the body but for some of its records, and would refuse those again.
    Partly {
        /// Which, counted from 0 in the order of the body, and why.
        refused: Vec<(u32, String)>,
    },
    /// It refuses the credentials: nothing is sent but a try now and then, and everything is kept.
    Unauthorized {
        /// Why.
        reason: String,
    },
    /// It can't take this body now, but goes on taking others.
    Later {
        /// Why.
        reason: String,
        /// What it asks to wait.
        retry_after: Option<Duration>,
    },
    /// It can't take any body now, or did not answer.
    Unavailable {
        /// Why.
        reason: String,
        /// What it asks to wait.
        retry_after: Option<Duration>,
        /// Whether it may have the body all the same.
        in_doubt: bool,
    },
}

/// Sends bodies.
///
/// Contract: one attempt sends `content` as it is, under `key`, and has an end: time-outs are the transport's. After
/// [`Unauthorized`](Outcome::Unauthorized) the next attempt reads the credentials anew. A dropped attempt is an attempt in
/// doubt. Calls are made from several lanes at once.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Where it sends to, for people; without credentials.
    fn receiver(&self) -> &str;

    /// What is to be done when its credentials are refused, for people.
    fn renewal(&self) -> &'static str {
        "sending goes on by itself when they are renewed"
    }

    /// Gets ready to send. Blocking work runs as a job of the context's `blocking`.
    fn open(&mut self, cx: &SinkCx) -> impl Future<Output = Result<()>> + Send {
        let _ = cx;
        std::future::ready(Ok(()))
    }

    /// Makes one attempt.
    fn send(&self, body: &SealedBody) -> impl Future<Output = Outcome> + Send;
}
