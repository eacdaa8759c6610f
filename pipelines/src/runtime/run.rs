//! What a pipeline's task and those who command it share.

use std::{fmt, sync::Arc};

use afferent_core::{
    Error, ErrorKind, Result,
    engine::{Claim, End, Outcome},
    mailbox::Mailbox,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::PipelineSpec;

/// One run of a pipeline: from its start, through all restarts, to its end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) spec: PipelineSpec,
    /// Whether its definition is stored.
    pub(super) applied: bool,
    pub(super) phase: watch::Sender<Phase>,
    /// It was asked to end: a failure does not start it again.
    pub(super) ending: CancellationToken,
    /// How it is claimed: on behalf of all of its lives.
    pub(super) claim: Claim,
    /// It was asked to end when it is idle: a life that starts later does so, too.
    pub(super) finishing: CancellationToken,
    /// It must end at once.
    pub(super) kill: CancellationToken,
}

/// Where a run is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// It takes commands here; after a restart, elsewhere.
    Active(Mailbox),
    /// It has ended.
    Ended(Result<Outcome, Arc<Error>>),
}

impl Run {
    /// Whether it has not ended.
    pub(super) fn is_active(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Active(_))
    }

    /// Whether it was killed.
    pub(super) fn was_killed(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Ended(Ok(outcome)) if outcome.end == End::Killed)
    }

    /// What it failed with, if it has ended so.
    pub(super) fn failure(&self) -> Option<String> {
        match &*self.phase.borrow() {
            Phase::Ended(Err(error)) => Some(error.to_string()),
            _ => None,
        }
    }

    /// Sends a command and waits for its answer, across restarts.
    ///
    /// # Errors
    /// The command's own, or `State` when the run has ended.
    pub(super) async fn ask<T, F>(&self, command: impl Fn(Mailbox) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut phase = self.phase.subscribe();
        loop {
            let mailbox = match &*phase.borrow_and_update() {
                Phase::Active(mailbox) => mailbox.clone(),
                Phase::Ended(_) => {
                    let message = format!("pipeline `{}` has ended; start it again", self.spec.name);
                    return Err(Error::state(message));
                }
            };
            match command(mailbox).await {
                // The life that had the mailbox is over: there is another, or the end.
                Err(error) if error.kind() == ErrorKind::State => {
                    if phase.changed().await.is_err() {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Closes the open epoch and ends.
    pub(super) async fn stop(&self) {
        // Before the mailbox is looked for: whoever finds it gone must find this.
        self.ending.cancel();
        // Errors mean that it ended otherwise, which is as good; whoever waits for it is told.
        let _ = self.ask(async |mailbox| mailbox.stop().await).await;
        let _ = self.wait().await;
    }

    /// Waits for the end.
    pub(super) async fn wait(&self) -> Result<Outcome, Arc<Error>> {
        let mut phase = self.phase.subscribe();
        let ended = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
        match ended.as_deref() {
            Ok(Phase::Ended(ended)) => ended.clone(),
            // The sender is in `self`, so it is there.
            _ => Err(Arc::new(Error::bug("a run was lost"))),
        }
    }

    /// Waits for the end; the error as if it were the caller's own.
    pub(super) async fn ended(&self) -> Result<Outcome> {
        self.wait().await.map_err(|error| copy(&error))
    }
}

/// An error like `error`, whose cause it shares.
fn copy(error: &Arc<Error>) -> Error {
    let mut copy = Error::new(error.kind(), error.message());
    if let Some(stage) = error.stage() {
        copy = copy.at(stage);
    }
    match std::error::Error::source(&**error) {
        Some(_) => copy.with_source(Cause(error.clone())),
        None => copy,
    }
}

/// The cause of a shared error.
#[derive(Debug)]
struct Cause(Arc<Error>);

impl Cause {
    fn get(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.get().and_then(std::error::Error::source)
    }
}
