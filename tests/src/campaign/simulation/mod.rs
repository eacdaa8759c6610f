//! A whole process, simulated: the runtime with its state directory, the engine, transforms, a file and an outbox, on a disk
//! and a clock that a seed decides, before a receiver in memory.
//!
//! **Nothing but the seed decides what happens.** There is one thread, and jobs run [where they are
//! started](afferent_core::blocking::inline); time is tokio's paused clock, which jumps to the next thing
//! that is due; randomness, identities and the faults of disk and network are drawn from the seed. So a seed gives the same
//! trace each time ([`World::trace`]): every operation on the disk with its bytes, and every body that was sent.
//!
//! **What must come out** is known from a [`Model`]: the same pipeline, undisturbed.

mod model;
mod receiver;
mod wall;

use std::{path::Path, sync::Arc, time::Duration};

use afferent::{
    PipelineSpec,
    runtime::{Runtime, RuntimeOptions},
};
use afferent_core::{
    Error, blocking, clock,
    engine::{End, Outcome},
    event::{Event, EventKind},
    random::Random,
    testing::SimDisk,
};
use tokio::sync::broadcast;

pub use self::{
    model::{LATENCY, MODELS, Model, OUTPUT, Shape, model},
    receiver::{Receiver, Script, Seen},
    wall::{Jump, Jumps, Wall},
};
use super::Case;

/// The state directory.
pub const STATE: &str = "/state";
/// A life that takes so long, by its own clock, hangs. The longest pause that anything asks for is a day.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);
/// How often a life looks whether its disk still answers.
const LOOK: Duration = Duration::from_millis(50);

/// What outlives a process.
#[derive(Debug)]
pub struct World {
    /// What must come out, and from what.
    pub model: &'static Model,
    /// The disk of this machine.
    pub disk: SimDisk,
    /// Another machine.
    pub receiver: Receiver,
    /// The wall clock of this machine.
    pub wall: Wall,
    /// Everything that this world draws.
    pub random: Random,
    /// How long its lives took, by their own clock.
    pub passed: Duration,
    /// What the last life told.
    pub told: Vec<EventKind>,
}

/// How a life ended.
#[derive(Debug)]
pub enum Life {
    /// The pipeline came to its end.
    Finished(Box<Outcome>),
    /// It ended, or never began, with an error that somebody must look at.
    Failed(Error),
    /// The disk does nothing any more.
    Halted,
    /// It is still there after two days.
    Stuck,
}

impl World {
    /// A new machine and a new receiver. `seed` decides everything but the shape.
    pub fn new(shape: u64, script: Script, seed: u64) -> World {
        World::of(model(shape), script, seed)
    }

    fn of(model: &'static Model, script: Script, seed: u64) -> World {
        let mut random = Random::from_seed(seed);
        World {
            model,
            disk: SimDisk::new(random.u64()),
            receiver: Receiver::new(script, model.given.poison.clone(), random.u64()),
            wall: Wall::default(),
            random,
            passed: Duration::ZERO,
            told: Vec::new(),
        }
    }

    /// Another machine in the same state, whose process has been killed, and another receiver that has seen the same.
    pub fn copy(&self, seed: u64) -> World {
        World {
            model: self.model,
            disk: self.disk.after_kill(seed),
            receiver: self.receiver.copy(),
            wall: self.wall.clone(),
            random: Random::from_seed(seed),
            passed: self.passed,
            told: Vec::new(),
        }
    }

    /// One process, from its start to its end.
    pub fn live(&mut self) -> Life {
        self.live_through(&Jumps::default())
    }

    /// One process, whose clocks jump.
    pub fn live_through(&mut self, jumps: &Jumps) -> Life {
        blocking::inline(|| self.live_here(jumps))
    }

    fn live_here(&mut self, jumps: &Jumps) -> Life {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without drivers");
        let (life, passed) = runtime.block_on(async {
            let began = clock::instant();
            self.receiver.begin(self.passed);
            self.wall.begin(self.passed);
            (self.process(jumps).await, clock::instant().duration_since(began))
        });
        // All tasks end where they are, as those of a process that is killed.
        drop(runtime);
        self.passed += passed;
        life
    }

    /// Opens the state directory and closes it in order, without running anything.
    ///
    /// # Panics
    /// If that fails, which it can't on a disk without faults.
    pub fn close_state(&mut self) {
        let options = RuntimeOptions {
            clock: Arc::new(self.wall.clone()),
            disk: self.disk.shared(),
            random: self.random.fork(),
            ..RuntimeOptions::default()
        };
        let closed = blocking::inline(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime
                .expect("a runtime without drivers")
                .block_on(async { Runtime::open(Path::new(STATE), options).await?.shutdown(PATIENCE).await })
        });
        closed.expect("a state directory on a disk without faults");
    }

    async fn process(&mut self, jumps: &Jumps) -> Life {
        let options = RuntimeOptions {
            clock: Arc::new(self.wall.clone()),
            disk: self.disk.shared(),
            random: self.random.fork(),
            ..RuntimeOptions::default()
        };
        let runtime = match self.unless_it_ends(Runtime::open(Path::new(STATE), options), jumps).await {
            Ok(Ok(runtime)) => runtime,
            Ok(Err(error)) => return Life::Failed(error),
            Err(life) => return life,
        };
        let mut events = runtime.events();
        let spec = self.spec();
        let ran = async {
            let outcome = runtime.run(spec).await?.wait().await?;
            runtime.shutdown(PATIENCE).await.map(|()| outcome)
        };
        let life = match self.unless_it_ends(ran, jumps).await {
            Ok(Ok(outcome)) if outcome.end == End::Idle => Life::Finished(Box::new(outcome)),
            Ok(Ok(outcome)) => Life::Failed(Error::bug(format!("it ended as {:?}", outcome.end))),
            Ok(Err(error)) => Life::Failed(error),
            Err(life) => life,
        };
        self.told = drain(&mut events);
        life
    }

    /// Completes `future`, while clocks jump, unless the disk halts or nothing happens for days.
    async fn unless_it_ends<T>(&self, future: impl Future<Output = T>, jumps: &Jumps) -> Result<T, Life> {
        let (disk, wall) = (self.disk.clone(), self.wall.clone());
        let deadline = clock::instant() + PATIENCE;
        let halted = async {
            while !disk.is_halted() {
                if clock::instant() > deadline {
                    return Life::Stuck;
                }
                clock::sleep(LOOK).await;
            }
            Life::Halted
        };
        tokio::select! {
            biased;
            value = future => Ok(value),
            life = halted => Err(life),
            never = jumps.happen(&wall) => match never {},
        }
    }

    fn spec(&self) -> PipelineSpec {
        self.model.shape.spec(&self.receiver)
    }

    /// All that happened on the disk and at the receiver, as a number.
    pub fn trace(&self) -> u64 {
        let seen = self.receiver.seen();
        self.disk.trace().rotate_left(7) ^ seen.trace ^ seen.requests << 40 ^ self.passed.as_micros() as u64
    }

    /// Compares the end of a life with what must come out.
    pub fn check(&self, life: &Life, case: &mut Case) {
        let seen = self.receiver.seen();
        if let Some(violation) = seen.violation {
            case.blame(violation);
        }
        let Life::Finished(outcome) = life else {
            return case.blame(format!("it goes on to its end, not {life:?}"));
        };
        let given = &self.model.given;
        let difference = given.difference(&seen.committed);
        case.lost += difference.lost;
        case.duplicated += difference.duplicated;
        if let Some(wrong) = difference.first {
            case.blame(format!("at the receiver: {wrong}"));
        }
        self.check_file(case);
        for (sink, account) in &outcome.ledger.accounts {
            if *account != self.model.ledger.accounts[sink] {
                case.blame(format!("the account of {sink}: {account:?}"));
            }
        }
    }

    /// Compares the file with what must be in it, line by line.
    pub fn check_file(&self, case: &mut Case) {
        let found = self.disk.content(Path::new(OUTPUT)).unwrap_or_default();
        if found == self.model.file {
            return;
        }
        let lines = |bytes: &[u8]| -> std::collections::BTreeMap<Vec<u8>, u64> {
            let mut lines = std::collections::BTreeMap::new();
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                *lines.entry(line.to_vec()).or_default() += 1;
            }
            lines
        };
        let (expected, found) = (lines(&self.model.file), lines(&found));
        let lost = expected.keys().filter(|line| !found.contains_key(*line)).count();
        let duplicated: u64 = found.values().map(|times| times - 1).sum();
        case.lost += lost as u64;
        case.duplicated += duplicated;
        case.blame(format!(
            "the file: {lost} lines are lost, {duplicated} are there again, or their order is another"
        ));
    }
}

/// What was told and not heard yet.
fn drain(events: &mut broadcast::Receiver<Event>) -> Vec<EventKind> {
    let mut told = Vec::new();
    loop {
        match events.try_recv() {
            Ok(event) => told.push(event.kind),
            // Whoever listens late hears the newest.
            Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return told,
        }
    }
}
