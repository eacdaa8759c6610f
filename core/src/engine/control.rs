//! The pipeline's side of its mailbox: what was asked, and how the pipeline is.

use std::{future::Future, pin::pin};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::wake::Endings;
use crate::{
    Epoch, Error, ErrorKind, Result,
    event::{EventKind, Events},
    ledger::Ledger,
    mailbox::{Activity, Command, Need, Status},
};

/// Why a life ends before its time.
#[derive(Debug)]
pub(super) enum Abort {
    /// The pipeline was killed.
    Killed,
    /// Something failed; the open epoch is undone.
    Failed(Error),
}

impl From<Error> for Abort {
    fn from(error: Error) -> Abort {
        Abort::Failed(error)
    }
}

/// Commands that wait for their effect, and the state that answers `Status`.
///
/// It outlives the stages: a pause or a stop that arrives while the pipeline backs off is not lost.
#[derive(Debug)]
pub(super) struct Control {
    mailbox: mpsc::Receiver<Command>,
    open: bool,
    kill: CancellationToken,
    pub(super) events: Events,
    pub(super) status: Status,
    /// Nothing is pulled while this is set.
    pub(super) paused: bool,
    pauses: Vec<oneshot::Sender<Result<()>>>,
    checkpoints: Vec<oneshot::Sender<Result<Epoch>>>,
    pub(super) endings: Endings,
    /// Those who asked for the end when it is idle.
    finishes: Vec<oneshot::Sender<Result<()>>>,
}

impl Control {
    pub(super) fn new(mailbox: mpsc::Receiver<Command>, kill: CancellationToken, events: Events) -> Control {
        Control {
            mailbox,
            open: true,
            kill,
            events,
            status: Status {
                activity: Activity::Starting,
                epoch: None,
                generation: None,
                ledger: Default::default(),
                reason: None,
            },
            paused: false,
            pauses: Vec::new(),
            checkpoints: Vec::new(),
            endings: Endings::default(),
            finishes: Vec::new(),
        }
    }

    /// Completes `future` and serves the mailbox meanwhile.
    pub(super) async fn attend<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Abort> {
        let mut future = pin!(future);
        loop {
            let command = tokio::select! {
                biased;
                value = &mut future => return Ok(value),
                () = self.kill.cancelled() => return Err(Abort::Killed),
                command = self.mailbox.recv(), if self.open => command,
            };
            self.receive(command);
        }
    }

    /// The next command; pends for ever once all senders are gone. The caller hands it to
    /// [`receive`](Control::receive).
    pub(super) async fn command(&mut self) -> Result<Option<Command>, Abort> {
        if !self.open {
            self.kill.cancelled().await;
            return Err(Abort::Killed);
        }
        tokio::select! {
            biased;
            () = self.kill.cancelled() => Err(Abort::Killed),
            command = self.mailbox.recv() => Ok(command),
        }
    }

    /// Notes what is asked; answers what can be answered at once.
    pub(super) fn receive(&mut self, command: Option<Command>) {
        match command {
            // The host let go of the pipeline; it goes on, and only a kill can end it early.
            None => self.open = false,
            Some(Command::Status(answer)) => {
                // Whoever asked may have gone away; so in every answer below.
                let _ = answer.send(self.status.clone());
            }
            Some(Command::Pause(answer)) => self.pauses.push(answer),
            Some(Command::Resume(answer)) => {
                self.resume();
                let _ = answer.send(Ok(()));
            }
            Some(Command::Checkpoint(answer)) => self.checkpoints.push(answer),
            Some(Command::Finish(answer)) => self.finishes.push(answer),
            Some(Command::Drain { within, answer }) => self.endings.drain(within, answer),
            Some(Command::Wake { budget, report, answer }) => {
                self.endings.wake(budget, report, answer);
                if self.status.epoch.is_some() {
                    self.endings.account(&self.status.ledger);
                }
                self.resume();
            }
            // It does not wait for receivers, so it also ends the waiting of an earlier `Drain`.
            Some(Command::Stop(answer)) => self.endings.stop(answer),
        }
    }

    fn resume(&mut self) {
        for pause in self.pauses.drain(..) {
            let _ = pause.send(Ok(()));
        }
        if std::mem::take(&mut self.paused) {
            self.events.send(EventKind::Resumed);
        }
    }

    /// Whether something was asked that closes the open epoch.
    pub(super) fn wants_close(&self) -> bool {
        !self.pauses.is_empty() || !self.checkpoints.is_empty() || self.is_ending()
    }

    /// Whether the pipeline was asked to end.
    pub(super) fn is_ending(&self) -> bool {
        self.endings.is_ending()
    }

    /// Whether it was asked to end at once, whatever is pending.
    pub(super) fn is_stopping(&self) -> bool {
        self.endings.is_stopping()
    }

    /// The pipeline stands at a committed epoch.
    pub(super) fn committed(&mut self, epoch: Epoch, ledger: &Ledger) {
        self.status.epoch = Some(epoch);
        self.status.ledger = ledger.clone();
        self.endings.account(ledger);
    }

    /// It can't go on for now, because of `error`.
    pub(super) fn fails(&mut self, error: &Error) {
        self.endings.needs(vec![match error.kind() {
            ErrorKind::Auth => Need::Credentials,
            ErrorKind::Waiting => Need::Unlock,
            _ => Need::Help(error.to_string()),
        }]);
    }

    /// Whether it was asked to end when it is idle.
    pub(super) fn is_finishing(&self) -> bool {
        !self.finishes.is_empty()
    }

    /// Answers what was asked of a pipeline that has nothing open: `epoch` was just committed, or it does not run.
    pub(super) fn closed(&mut self, epoch: Option<Epoch>) {
        for checkpoint in self.checkpoints.drain(..) {
            let _ = checkpoint.send(epoch.ok_or_else(|| {
                Error::transient("the pipeline does not run now, so nothing is open; see its status")
            }));
        }
        if !self.pauses.is_empty() {
            self.pause("asked to pause");
            for pause in self.pauses.drain(..) {
                let _ = pause.send(Ok(()));
            }
        }
    }

    /// Pulls nothing more until `Resume`.
    pub(super) fn pause(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.paused, true) {
            self.events.send(EventKind::Paused { reason: reason.to_owned() });
        }
        self.set(Activity::Paused, Some(reason));
    }

    /// What the pipeline is doing now.
    pub(super) fn set(&mut self, activity: Activity, reason: Option<&str>) {
        self.status.activity = activity;
        self.status.reason = reason.map(str::to_owned);
    }

    /// Answers those who asked for the end: it is there.
    pub(super) fn ended(&mut self) {
        self.endings.answer();
        for finish in self.finishes.drain(..) {
            let _ = finish.send(Ok(()));
        }
    }
}
