//! The task of one pipeline: runs the engine, and starts it again after a panic or a defect.

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use afferent_core::{
    Error, ErrorKind, Result,
    clock::{self, Clock},
    disk::{Disk, DiskLock},
    engine::{self, Backoff, End, EngineCx, Outcome, Settings},
    event::{Event, EventKind, Events},
    mailbox::{Activity, Command, Status, mailbox},
    metrics,
    queue::disk::Queues,
    random::Random,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::run::{Phase, Run};
use crate::{
    LettersFactory, StageFactory,
    state::{Desired, RedbStore},
};

/// How often a pipeline that was merely run is started again after a panic or a defect: often enough to rule out
/// chance, seldom enough that a foreground job ends within a minute.
pub const MAX_RESTARTS: u32 = 5;
/// A life as long as this is healthy: failures before it count no more.
const HEALTHY: Duration = Duration::from_secs(60);

/// What all pipelines of a runtime share. It lives until the last of their tasks has ended.
#[derive(Debug)]
pub(super) struct World {
    pub(super) store: Arc<RedbStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) random: Mutex<Random>,
    /// Holds a directory per pipeline.
    pub(super) directory: PathBuf,
    pub(super) queues: Queues,
    pub(super) events: broadcast::Sender<Event>,
    /// Kills every pipeline.
    pub(super) kill: CancellationToken,
    /// Held until shutdown, and dropped after the store: nobody else opens the directory before it is closed.
    pub(super) lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl World {
    pub(super) fn random(&self) -> Random {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }
}

/// Runs `run` to its end. `commands` belongs to the mailbox of its phase.
pub(super) async fn supervise(world: Arc<World>, run: Arc<Run>, commands: mpsc::Receiver<Command>) {
    let ended = lives(&world, &run, commands).await;
    let by_itself = matches!(&ended, Ok(outcome) if matches!(outcome.end, End::Finished | End::Idle));
    if run.applied && by_itself {
        // A failure is not its own: a restart runs it once more, to the same end.
        if let Err(error) = world.store.set_desired(&run.spec.name, Desired::Finished).await {
            tracing::error!(pipeline = %run.spec.name, "can't store that the pipeline has finished: {error}");
        }
    }
    run.phase.send_replace(Phase::Ended(ended.map_err(Arc::new)));
}

async fn lives(world: &World, run: &Run, mut commands: mpsc::Receiver<Command>) -> Result<Outcome> {
    let events = Events::new(run.spec.name.clone(), world.events.clone());
    let mut random = world.random();
    let (mut backoff, mut restarts) = (Backoff::default(), 0);
    // Whether a wake has cut a wait short.
    let mut woken = false;
    loop {
        let began = clock::instant();
        let error = match life(world, run, events.clone(), commands).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        if began.elapsed() >= HEALTHY {
            backoff.reset();
            restarts = 0;
        }
        let spent = !run.applied && restarts >= MAX_RESTARTS;
        if is_final(error.kind()) || spent || run.ending.is_cancelled() {
            return Err(error);
        }
        restarts += 1;
        metrics::restart(&run.spec.name);
        let wait = backoff.next(error.kind(), &mut random);
        let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(pipeline = %run.spec.name, "{error}; starting again in {after_ms} ms");
        events.send(EventKind::Retrying { error: error.to_string(), after_ms });
        let (next, receiver) = mailbox();
        commands = receiver;
        run.phase.send_replace(Phase::Active(next));
        if let Some(end) = back_off(run, &mut commands, wait, (&error, &mut woken)).await {
            return Ok(Outcome { end, epoch: None, ledger: Default::default() });
        }
    }
}

/// One life of the pipeline. A panic in it is an error like another: its stages are gone, nothing else was touched.
async fn life(
    world: &World,
    run: &Run,
    events: Events,
    commands: mpsc::Receiver<Command>,
) -> Result<Outcome> {
    let until_idle = run.spec.settings.until_idle || run.finishing.is_cancelled();
    let cx = EngineCx {
        pipeline: run.spec.name.clone(),
        settings: Settings { until_idle, ..run.spec.settings },
        store: world.store.clone(),
        claim: run.claim.clone(),
        clock: world.clock.clone(),
        disk: world.disk.clone(),
        random: world.random(),
        directory: world.directory.join(run.spec.name.as_str()),
        queues: world.queues.clone(),
        mailbox: commands,
        events: events.clone(),
        kill: run.kill.clone(),
    };
    let life = engine_of(cx, run.spec.factory.clone(), run.spec.letters.clone());
    AssertUnwindSafe(life).catch_unwind().await.unwrap_or_else(|_| {
        // Its message may hold anything, so it is only where the panic hook puts it.
        let error = Error::bug("the pipeline panicked; see the log, and report it");
        events.send(EventKind::Failed { error: error.to_string() });
        Err(error)
    })
}

/// The engine's future, boxed: a task is no larger while it backs off, and its memory is given back then. It is a
/// function of its own because the compiler can't prove that a future which holds boxed stages is `Send` once it is
/// inside another.
fn engine_of(
    cx: EngineCx,
    factory: StageFactory,
    letters: Option<LettersFactory>,
) -> BoxFuture<'static, Result<Outcome>> {
    match letters {
        None => Box::pin(engine::run(cx, move || factory())),
        Some(letters) => Box::pin(engine::retry(cx, move || factory(), move || letters())),
    }
}

/// Whether starting again would only meet the same error.
fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Config | ErrorKind::State | ErrorKind::CantCreate | ErrorKind::Fenced)
}

/// Waits, and answers commands meanwhile; `None` to start again, or how it ended instead. `woken` says whether a wake has cut
/// a wait short before.
async fn back_off(
    run: &Run,
    commands: &mut mpsc::Receiver<Command>,
    wait: Duration,
    (error, woken): (&Error, &mut bool),
) -> Option<End> {
    let due = clock::instant() + wait;
    let (mut paused, mut wake) = (false, None);
    loop {
        let command = tokio::select! {
            biased;
            () = run.kill.cancelled() => return Some(End::Killed),
            () = run.ending.cancelled() => return Some(End::Stopped),
            command = commands.recv() => command,
            () = clock::sleep_until(due), if !paused => break,
        };
        // Whoever asked may have gone away.
        match command {
            Some(Command::Pause(answer)) => {
                paused = true;
                let _ = answer.send(Ok(()));
            }
            Some(Command::Resume(answer)) => {
                let _ = answer.send(Ok(()));
                break;
            }
            Some(Command::Status(answer)) => {
                let activity = if paused { Activity::Paused } else { Activity::BackingOff };
                let reason = Some(error.to_string());
                let status =
                    Status { activity, epoch: None, generation: None, ledger: Default::default(), reason };
                let _ = answer.send(status);
            }
            Some(Command::Checkpoint(answer)) => {
                let _ = answer.send(Err(Error::transient(format!("nothing is open: {error}"))));
            }
            Some(command @ Command::Wake { .. }) => {
                wake = Some(command);
                paused = false;
                // Its time is short, so it does not wait for what happened before it. It comes again after each failure; those
                // are its own.
                if !std::mem::replace(woken, true) {
                    break;
                }
            }
            Some(Command::Stop(answer) | Command::Drain { answer, .. }) => {
                let _ = answer.send(Ok(()));
                return Some(End::Stopped);
            }
            // It is not idle; its next life knows that it was asked.
            Some(Command::Finish(answer)) => drop(answer),
            // The run itself holds the sending half, and no other command is known.
            Some(_) | None => {}
        }
    }
    // The pipeline finds it when it starts.
    if let (Some(wake), Phase::Active(mailbox)) = (wake, &*run.phase.borrow()) {
        // Without room, whoever asked waits until its budget is over.
        drop(mailbox.put_back(wake));
    }
    None
}
