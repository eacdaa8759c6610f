//! Runs pipelines to their end, listening to people meanwhile: what `run` and `import` share.

use std::{collections::BTreeMap, error::Error as _, path::Path, pin::pin, time::Duration};

use afferent::{
    PipelineSpec,
    afferent_core::{
        CheckpointStore, Error, ErrorKind, Name, Result,
        clock::{instant, sleep},
        engine::{End, Outcome},
        event::EventStream,
    },
    runtime::{Handle, Runtime, RuntimeOptions},
    state::DATABASE,
};
use tokio::task::JoinSet;

use tokio_stream::StreamExt;

use crate::{
    account::{EXAMPLES, Ended},
    args::Global,
    exit::Exit,
    narrator::{INTERVAL, Narrator},
    numbers::{counted, duration},
    signals::Signals,
    ui::Ui,
};

/// How long pipelines may take to stop when the process ends. All have ended by then; this is for defects.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long receivers may take after the first signal, unless something else is said: the time that services are usually
/// given to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// For the end; without it as long as it takes.
    pub(crate) timeout: Option<Duration>,
    /// For receivers, after the first signal.
    pub(crate) drain: Duration,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits { timeout: None, drain: DRAIN }
    }
}

/// Shows what a pipeline has done.
pub(crate) type Summary = Box<dyn Fn(&Ui)>;

/// A pipeline to run.
pub(crate) struct Job {
    pub(crate) spec: PipelineSpec,
    /// How people know it.
    pub(crate) title: String,
    /// Shows what there is to say before its accounts, when it has ended without an error.
    pub(crate) summary: Option<Summary>,
    /// Pipelines that write to queues which it reads: when all are to end, it ends after them, so that none waits for it.
    pub(crate) feeders: Vec<Name>,
    /// It ends when all those that queues join are idle.
    pub(crate) finishes_together: bool,
}

impl Job {
    /// A pipeline that is known by its name and has nothing to do with others.
    pub(crate) fn new(spec: PipelineSpec) -> Job {
        let title = spec.name.to_string();
        Job { spec, title, summary: None, feeders: Vec::new(), finishes_together: false }
    }
}

/// What pipelines left.
pub(crate) struct Driven {
    pub(crate) exit: Exit,
    /// Of those that ended without an error.
    pub(crate) outcomes: BTreeMap<Name, Outcome>,
}

/// How one pipeline ended, and after how long.
type Ending = (Name, Result<Outcome>, Duration);

/// Runs `jobs` until all have ended, a signal comes, or the time-out has passed; then shows their accounts. `state`
/// is the runtime's directory, if it stays.
///
/// The first signal delivers what was read, for as long as `waits` allows, and saves a checkpoint; the second stops at once.
/// Neither loses anything.
///
/// # Errors
/// What keeps any of them from starting. What one of them fails at is shown, and the others go on.
pub(crate) async fn drive(
    runtime: &Runtime,
    state: Option<&Path>,
    jobs: Vec<Job>,
    waits: Waits,
    ui: &Ui,
) -> Result<Driven> {
    let mut dead_before = BTreeMap::new();
    for Job { spec, .. } in &jobs {
        dead_before.insert(spec.name.clone(), runtime.store().count_dead_letters(&spec.name).await?);
    }
    let (mut titles, mut summaries) = (BTreeMap::new(), BTreeMap::new());
    let mut jobs = jobs;
    for job in &mut jobs {
        titles.insert(job.spec.name.clone(), job.title.clone());
        summaries.extend(job.summary.take().map(|summary| (job.spec.name.clone(), summary)));
    }
    let (endings, interruption) = watch(runtime, jobs, Narrator::new(ui, titles.clone()), waits, ui).await?;

    let mut driven = Driven { exit: Exit::Ok, outcomes: BTreeMap::new() };
    for (name, result, time) in endings {
        let title = &titles[&name];
        match result {
            Ok(outcome) => {
                if let Some(summary) = summaries.get(&name) {
                    summary(ui);
                }
                let before = dead_before.get(&name).copied().unwrap_or_default();
                let dead = account(runtime, state, (&name, title), &outcome, time, ui).await?;
                if dead > before && matches!(outcome.end, End::Finished | End::Idle) {
                    driven.exit = driven.exit.or(Exit::Data);
                }
                driven.outcomes.insert(name, outcome);
            }
            Err(error) => {
                failed(title, &error, ui);
                driven.exit = Exit::from(&error).or(driven.exit);
            }
        }
    }
    let held = |outcome: &Outcome| outcome.ledger.held_total();
    let waiting = |outcome: &Outcome| {
        let accounts = outcome.ledger.accounts.values();
        accounts.map(|account| account.pending.saturating_sub(held(outcome))).sum::<u64>()
    };
    let waiting: u64 = driven.outcomes.values().map(waiting).sum();
    if waiting > 0 && matches!(interruption, Exit::Signal(_)) {
        ui.say(format_args!(
            "{} not acknowledged yet: kept, and sent by the next run",
            counted(waiting, "record")
        ));
    }
    driven.exit =
        if driven.exit == Exit::Data { interruption.or(driven.exit) } else { driven.exit.or(interruption) };
    Ok(driven)
}

/// Pipelines that run.
struct Running {
    handles: Vec<Handle>,
    /// By handle.
    feeders: Vec<Vec<Name>>,
    /// Those that end when all of them are idle.
    together: Vec<Handle>,
    endings: JoinSet<(Name, Result<Outcome>)>,
    drains: JoinSet<()>,
}

impl Running {
    async fn start(runtime: &Runtime, jobs: Vec<Job>) -> Result<Running> {
        let mut running = Running {
            handles: Vec::new(),
            feeders: Vec::new(),
            together: Vec::new(),
            endings: JoinSet::new(),
            drains: JoinSet::new(),
        };
        for Job { spec, feeders, finishes_together, .. } in jobs {
            let handle = runtime.run(spec).await?;
            running.handles.push(handle.clone());
            running.feeders.push(feeders);
            if finishes_together {
                running.together.push(handle.clone());
            }
            running.endings.spawn(async move { (handle.name().clone(), handle.wait().await) });
        }
        Ok(running)
    }

    /// The next that ends; `None` when all have.
    async fn ended(&mut self) -> Option<(Name, Result<Outcome>)> {
        let ended = self.endings.join_next().await?;
        Some(ended.expect("waiting for an end does not panic"))
    }

    /// Delivers what was read and ends all, each in its own time.
    fn drain(&mut self, runtime: &Runtime, within: Duration) {
        for (handle, feeders) in self.handles.iter().zip(&self.feeders) {
            let (runtime, name) = (runtime.clone(), handle.name().clone());
            let feeders = self.handles.iter().filter(|handle| feeders.contains(handle.name()));
            let feeders: Vec<Handle> = feeders.cloned().collect();
            self.drains.spawn(async move {
                // What one fails at comes as its ending.
                for feeder in feeders {
                    drop(feeder.wait().await);
                }
                drop(runtime.drain(&name, Some(within)).await)
            });
        }
    }

    /// Ends all at once; what is open is replayed by the next run.
    fn kill(&self) {
        self.handles.iter().for_each(Handle::kill);
    }
}

/// Runs `jobs` and tells what they do. The second value says what ended them, if they did not end themselves.
async fn watch(
    runtime: &Runtime,
    jobs: Vec<Job>,
    mut narrator: Narrator<'_>,
    Waits { timeout, drain }: Waits,
    ui: &Ui,
) -> Result<(Vec<Ending>, Exit)> {
    let mut signals =
        Signals::new().map_err(|error| Error::bug("can't listen for signals").with_source(error))?;
    let (began, mut events) = (instant(), EventStream::from(runtime.events()));
    let mut running = Running::start(runtime, jobs).await?;
    let together = running.together.clone();
    let mut finish_together = pin!(runtime.finish_together(&together));
    let mut wait_for_idle = !together.is_empty();
    let mut endings = Vec::new();
    let mut interruption = Exit::Ok;
    let mut timed_out = pin!(sleep(timeout.unwrap_or_default()));
    let mut wait_for_timeout = timeout.is_some();
    // Pipelines that do not even stop by then hang.
    let mut drained = pin!(sleep(Duration::ZERO));
    let mut draining = false;
    let mut drain_until = instant();
    let mut interval = pin!(sleep(INTERVAL));
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => {
                if matches!(interruption, Exit::Signal(_)) {
                    running.kill();
                } else {
                    interruption = Exit::Signal(signal);
                    let waits = match narrator.waiting() {
                        0 => String::new(),
                        waiting => format!("{} not acknowledged by receivers yet; ", counted(waiting, "record")),
                    };
                    ui.say(format_args!(
                        "{waits}delivering what was read, for at most {}; once more stops at once, and loses nothing either",
                        duration(drain)
                    ));
                    drain_until = instant() + drain;
                    running.drain(runtime, drain);
                    drained.set(sleep(drain.saturating_add(PATIENCE)));
                    draining = true;
                }
            }
            () = &mut timed_out, if wait_for_timeout => {
                wait_for_timeout = false;
                interruption = interruption.or(Exit::TryAgain);
                ui.error(format_args!("not idle after {}", duration(began.elapsed())));
                running.kill();
            }
            () = &mut drained, if draining => {
                draining = false;
                running.kill();
            }
            // It is not closed while the runtime lives; who lags hears the next ones, which tell the same story.
            Some(heard) = events.next() => if let Ok(event) = heard {
                narrator.hear(event);
            },
            () = &mut finish_together, if wait_for_idle => wait_for_idle = false,
            () = &mut interval => {
                narrator.summarise();
                if draining && narrator.waiting() > 0 {
                    ui.say(format_args!(
                        "{} still not acknowledged by receivers; at most {} more",
                        counted(narrator.waiting(), "record"),
                        duration(drain_until.saturating_duration_since(instant()))
                    ));
                }
                interval.set(sleep(INTERVAL));
            }
            ended = running.ended() => match ended {
                None => break,
                Some((name, result)) => {
                    if interruption == Exit::TryAgain && narrator.is_paused(&name) {
                        interruption = Exit::Auth;
                    }
                    narrator.ended(&name);
                    endings.push((name, result, began.elapsed()));
                }
            },
        }
    }
    Ok((endings, interruption))
}

/// Shows the accounts of a pipeline that has ended, and gives the number of its dead letters.
async fn account(
    runtime: &Runtime,
    state: Option<&Path>,
    (name, title): (&Name, &str),
    outcome: &Outcome,
    time: Duration,
    ui: &Ui,
) -> Result<u64> {
    let dead = runtime.store().count_dead_letters(name).await?;
    let examples = runtime.store().dead_letters(name, EXAMPLES).await?;
    let ended = Ended { pipeline: name, title, outcome, time, dead, examples: &examples, state };
    if ui.is_json() {
        ended.json(ui);
    } else {
        ui.say(ended.table());
    }
    Ok(dead)
}

/// Says what a pipeline failed at and what to do.
fn failed(title: &str, error: &Error, ui: &Ui) {
    ui.error(format_args!("{title}: {error}"));
    cause(error, ui);
    match error.kind() {
        ErrorKind::Bug => ui.talk("  help: this is a defect; please report it with these lines"),
        ErrorKind::Fenced => ui.talk("  help: it runs elsewhere; what this process had open is undone"),
        _ => {}
    }
}

/// Opens a state directory that is there already, to look into it.
///
/// # Errors
/// `Config` when nothing has run with it.
pub(crate) async fn open(global: &Global) -> Result<Runtime> {
    if !global.data.join(DATABASE).exists() {
        return Err(Error::config(format!(
            "there is no state in {}; give the directory that `run` or `import` used with --data",
            global.data.display()
        )));
    }
    Runtime::open(&global.data, RuntimeOptions::default()).await
}

/// Says what kept all pipelines from starting.
pub(crate) fn not_started(error: &Error, ui: &Ui) -> Exit {
    ui.error(error);
    cause(error, ui);
    Exit::from(error)
}

fn cause(error: &Error, ui: &Ui) {
    if let Some(cause) = error.source() {
        ui.talk(format_args!("  cause: {cause}"));
    }
}
