//! The mailbox of a pipeline: commands in, answers back.
//!
//! A command is answered when its effect is there, not when it is read. To *kill* a pipeline is never a
//! command, because a command waits its turn: it is the cancellation of the token the engine was given.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

use crate::{Epoch, Error, Generation, Result, ledger::Ledger};

/// Commands that may wait in a mailbox: enough for a few operators, few enough that a stuck pipeline is
/// noticed by whoever sends.
pub const MAILBOX: usize = 16;

/// A command for a running pipeline.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Close the open epoch and pull no more, until `Resume`. Answered once nothing is open.
    Pause(oneshot::Sender<Result<()>>),
    /// Go on after `Pause`, or after a pause for credentials.
    Resume(oneshot::Sender<Result<()>>),
    /// Close the open epoch now. Answered with the last committed epoch.
    Checkpoint(oneshot::Sender<Result<Epoch>>),
    /// Close the open epoch, wait until no sink has anything pending, and end; after `within`, end all the same, as `Stop`
    /// does.
    Drain {
        /// How long it may wait for receivers; as long as it takes without.
        within: Option<Duration>,
        /// Answered when it has ended.
        answer: oneshot::Sender<Result<()>>,
    },
    /// Run within `budget`, and end: pull for 60 % of it, commit, and wait for receivers until 90 % of it has passed; or end
    /// earlier, when idle. A pause ends.
    Wake {
        /// How long it may take in all.
        budget: Duration,
        /// What came of it, as of its last commit.
        report: watch::Sender<Woken>,
        /// Answered when it has ended.
        answer: oneshot::Sender<Result<()>>,
    },
    /// End as soon as all sources are drained, everything is committed and nothing is pending.
    Finish(oneshot::Sender<Result<()>>),
    /// Close the open epoch and end.
    Stop(oneshot::Sender<Result<()>>),
    /// How it is.
    Status(oneshot::Sender<Status>),
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// It claims, loads and opens.
    Starting,
    /// It moves records, or waits for a source.
    Running,
    /// All of its sources are drained.
    Idle,
    /// It waits for something outside, such as an unlocked store.
    Waiting,
    /// It was told to, or credentials were refused.
    Paused,
    /// It failed and waits to start again.
    BackingOff,
    /// It is ending.
    Stopping,
}

/// How a pipeline is.
#[derive(Clone, Debug)]
pub struct Status {
    /// What it is doing.
    pub activity: Activity,
    /// The last committed epoch.
    pub epoch: Option<Epoch>,
    /// How often it was claimed.
    pub generation: Option<Generation>,
    /// The accounts at the last committed epoch.
    pub ledger: Ledger,
    /// What it last failed at or waits for.
    pub reason: Option<String>,
}

/// What a wake has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// Records that were read and committed.
    pub ingested: u64,
    /// Records that sinks have stored, or their receivers have acknowledged; counted for each sink.
    pub sent: u64,
    /// Records that wait for receivers; counted for each sink.
    pub remaining: u64,
    /// What is in the way of the rest.
    pub needs: Vec<Need>,
    /// The accounts before it, which these numbers are counted from.
    pub before: Option<Arc<Ledger>>,
}

/// What is in the way of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Need {
    /// A source waits for something outside: the phone is to be unlocked.
    Unlock,
    /// A receiver can't be reached.
    Network,
    /// A receiver refuses the credentials.
    Credentials,
    /// More was there than the budget allowed.
    MoreTime,
    /// Something fails again and again; this is what it says.
    Help(String),
}

/// The sending half of a mailbox. Clones send to the same pipeline.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: mpsc::Sender<Command>,
}

/// A mailbox and its receiving half.
pub fn mailbox() -> (Mailbox, mpsc::Receiver<Command>) {
    let (sender, receiver) = mpsc::channel(MAILBOX);
    (Mailbox { sender }, receiver)
}

impl Mailbox {
    /// Closes the open epoch and pulls no more.
    pub async fn pause(&self) -> Result<()> {
        self.ask(Command::Pause).await?
    }

    /// Goes on after a pause.
    pub async fn resume(&self) -> Result<()> {
        self.ask(Command::Resume).await?
    }

    /// Closes the open epoch; the last committed one comes back.
    pub async fn checkpoint(&self) -> Result<Epoch> {
        self.ask(Command::Checkpoint).await?
    }

    /// Delivers what was taken so far and ends; after `within`, whatever is pending.
    pub async fn drain(&self, within: Option<Duration>) -> Result<()> {
        self.ask(|answer| Command::Drain { within, answer }).await?
    }

    /// Runs within `budget` and ends; what came of it is in `report`.
    pub async fn wake(&self, budget: Duration, report: watch::Sender<Woken>) -> Result<()> {
        self.ask(|answer| Command::Wake { budget, report, answer }).await?
    }

    /// Puts a command that was taken out back in, behind the others.
    ///
    /// # Errors
    /// The command, when there is no room.
    pub fn put_back(&self, command: Command) -> std::result::Result<(), Command> {
        self.sender.try_send(command).map_err(|refused| refused.into_inner())
    }

    /// Ends once it is idle.
    pub async fn finish(&self) -> Result<()> {
        self.ask(Command::Finish).await?
    }

    /// Closes the open epoch and ends.
    pub async fn stop(&self) -> Result<()> {
        self.ask(Command::Stop).await?
    }

    /// How the pipeline is.
    pub async fn status(&self) -> Result<Status> {
        self.ask(Command::Status).await
    }

    /// Sends a command and waits for its answer; `State` when the pipeline has ended.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let ended = || Error::state("the pipeline has ended; start it again");
        self.sender.send(command(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }
}
