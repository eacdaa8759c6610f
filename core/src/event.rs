//! What a pipeline tells the world: events, out of its task through a bounded queue.
//!
//! Events are for people and dashboards; no guarantee rests on them. A listener that falls behind misses the
//! oldest ones and is told how many, because a slow listener must never hold a pipeline back.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{Epoch, Generation, Name, ledger::Ledger};

/// Events a listener may fall behind before it misses some: a few seconds of a busy pipeline.
pub const EVENT_QUEUE: usize = 1024;

/// An event of one pipeline.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose.
    pub pipeline: Name,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The pipeline runs, from this epoch on.
    Started {
        /// The last checkpoint it starts from; `None` when it starts from nothing.
        from: Option<Epoch>,
        /// How often it was claimed.
        generation: Generation,
    },
    /// An epoch passed its commit point and was committed in every sink.
    Committed {
        /// Which.
        epoch: Epoch,
        /// The accounts at its end.
        ledger: Arc<Ledger>,
    },
    /// A source reports how far it is.
    Progress {
        /// Which stage.
        stage: Name,
        /// Bytes done.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// A stage waits for something outside; not a failure.
    Waiting {
        /// Which stage.
        stage: Name,
        /// For what.
        reason: String,
    },
    /// Something failed and will be tried again.
    Retrying {
        /// What failed.
        error: String,
        /// In how many milliseconds.
        after_ms: u64,
    },
    /// Credentials were refused or an operator asked: nothing moves, everything is kept.
    Paused {
        /// Why.
        reason: String,
    },
    /// It goes on.
    Resumed,
    /// The receiver of a sink has begun to refuse the credentials, or accepts them again. The pipeline goes on meanwhile.
    Credentials {
        /// Which stage.
        stage: Name,
        /// Whether they are accepted.
        accepted: bool,
    },
    /// Records were dead-lettered in an epoch that was saved.
    DeadLettered {
        /// How many in this epoch.
        count: u64,
        /// How many in all.
        total: u64,
    },
    /// All sources are drained, everything is committed, nothing is pending.
    Idle,
    /// Something an operator should look at: a fallback to an older checkpoint, a file that vanished.
    Alarm {
        /// Which stage, if one.
        stage: Option<Name>,
        /// What, and what to do.
        message: String,
    },
    /// Something worth knowing: a new file was begun, another export stands at the path.
    Notice {
        /// Which stage, if one.
        stage: Option<Name>,
        /// What.
        message: String,
    },
    /// The pipeline ended by itself or as asked.
    Finished,
    /// The pipeline ended with an error; a supervisor may start it again.
    Failed {
        /// Why.
        error: String,
    },
}

/// The sending half of a pipeline's events. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Events {
    pipeline: Name,
    sender: broadcast::Sender<Event>,
}

impl Events {
    /// Events of `pipeline`, into a queue that several pipelines may share.
    pub fn new(pipeline: Name, sender: broadcast::Sender<Event>) -> Events {
        Events { pipeline, sender }
    }

    /// A queue of its own, for a pipeline that runs alone.
    pub fn alone(pipeline: Name) -> (Events, broadcast::Receiver<Event>) {
        let (sender, receiver) = broadcast::channel(EVENT_QUEUE);
        (Events::new(pipeline, sender), receiver)
    }

    /// Sends an event; without a listener it is dropped.
    pub fn send(&self, kind: EventKind) {
        // An error means that nobody listens, which is allowed.
        let _ = self.sender.send(Event { pipeline: self.pipeline.clone(), kind });
    }

    /// A handle that names `stage` in what it sends.
    pub fn stage(&self, stage: Name) -> StageEvents {
        StageEvents { events: self.clone(), stage }
    }
}

/// Events as a stream, which ends when the last sender is gone. One that falls behind is told how many it missed
/// and goes on with the oldest that is there.
#[derive(Debug)]
pub struct EventStream(BroadcastStream<Event>);

/// How many events a listener missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed(pub u64);

impl From<broadcast::Receiver<Event>> for EventStream {
    fn from(receiver: broadcast::Receiver<Event>) -> EventStream {
        EventStream(BroadcastStream::new(receiver))
    }
}

impl Stream for EventStream {
    type Item = Result<Event, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|next| {
            next.map(|heard| heard.map_err(|BroadcastStreamRecvError::Lagged(missed)| Missed(missed)))
        })
    }
}

/// Events of one stage.
#[derive(Clone, Debug)]
pub struct StageEvents {
    events: Events,
    stage: Name,
}

impl StageEvents {
    /// Reports how far the stage is, in bytes.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.events.send(EventKind::Progress { stage: self.stage.clone(), done, total });
    }

    /// Whether the receiver accepts the credentials now; said when it changes.
    pub fn credentials(&self, accepted: bool) {
        self.events.send(EventKind::Credentials { stage: self.stage.clone(), accepted });
    }

    /// Something an operator should look at.
    pub fn alarm(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!(stage = %self.stage, "{message}");
        self.events.send(EventKind::Alarm { stage: Some(self.stage.clone()), message });
    }

    /// Something worth knowing.
    pub fn notice(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::info!(stage = %self.stage, "{message}");
        self.events.send(EventKind::Notice { stage: Some(self.stage.clone()), message });
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    /// Scenario: a listener that hears nothing while many events are sent. Guarantees: G7, the queue is bounded; the
    /// listener is told how many it missed and hears the rest.
    #[tokio::test]
    async fn a_slow_listener_is_told_what_it_missed() {
        let (events, receiver) = Events::alone(Name::from("test"));
        let mut stream = EventStream::from(receiver);
        for _ in 0..EVENT_QUEUE + 10 {
            events.send(EventKind::Idle);
        }
        drop(events);
        assert_eq!(stream.next().await.map(|heard| heard.map(drop)), Some(Err(Missed(10))));
        assert_eq!(stream.filter(|heard| std::future::ready(heard.is_ok())).count().await, EVENT_QUEUE);
    }
}
