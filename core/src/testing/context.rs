//! What a stage gets when it opens, made by hand for tests of one stage.

use std::{path::Path, sync::Arc};

use tempfile::TempDir;
use tokio::sync::{broadcast, watch};

use crate::{
    Committed, Fence, Generation, Incarnation, Limits, Name, Position, SinkCx, SourceCx, StoreId, Timestamp,
    Token,
    blocking::Blocking,
    checkpoint::{Acknowledgements, MemoryStore},
    clock::{Clock, instant},
    disk::{Disk, OsDisk},
    driver::Drivers,
    event::{Event, Events},
    queue::disk::Queues,
    random::Random,
};

/// A wall clock that moves with tokio's (paused) clock, from a fixed start.
#[derive(Clone, Copy, Debug)]
pub struct TestClock {
    start: Timestamp,
    began: crate::clock::Instant,
}

impl TestClock {
    /// A clock that shows `start` now.
    pub fn new(start: Timestamp) -> TestClock {
        TestClock { start, began: instant() }
    }
}

impl Default for TestClock {
    /// 2025-06-01T00:00:00Z.
    fn default() -> TestClock {
        TestClock::new(Timestamp::from_micros_clamped(1_748_736_000_000_000))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = instant().duration_since(self.began).as_micros();
        self.start.plus_micros(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

/// The surroundings of one stage: a directory, a disk, a clock, and the ends of its queues.
#[derive(Debug)]
pub struct Surroundings {
    directory: TempDir,
    /// Given to the stage; replace it to inject faults.
    pub disk: Arc<dyn Disk>,
    /// Given to the stage.
    pub limits: Limits,
    /// Given to the stage; await its `idle` to let jobs end.
    pub blocking: Blocking,
    /// Given to sinks: whether they pass over the locks of an older generation.
    pub take_over: bool,
    /// The drivers of sinks; a life ends when they are stopped and replaced.
    pub drivers: Drivers,
    /// Where acknowledgements are kept.
    pub store: Arc<MemoryStore>,
    /// The queues in `queues` of the temporary directory; replace them with those of another disk, or of another process.
    pub queues: Queues,
    /// Publish what is committed here.
    pub committed: watch::Sender<Committed>,
    /// What the stage reports.
    pub events: broadcast::Receiver<Event>,
    sender: Events,
}

impl Default for Surroundings {
    fn default() -> Surroundings {
        Surroundings::new()
    }
}

impl Surroundings {
    /// A new temporary directory and everything else in its ordinary form.
    ///
    /// # Panics
    /// If no temporary directory can be made.
    pub fn new() -> Surroundings {
        let (sender, events) = Events::alone(Name::from("test"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(MemoryStore::new());
        let queues = Queues::new(OsDisk::shared(), directory.path().join("queues"), store.clone());
        Surroundings {
            directory,
            queues,
            disk: OsDisk::shared(),
            limits: Limits::default(),
            blocking: Blocking::new(),
            take_over: false,
            drivers: Drivers::new(),
            store,
            committed: watch::channel(Committed::default()).0,
            events,
            sender,
        }
    }

    /// The temporary directory, removed at the end.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// For a source that resumes after `position`.
    pub fn source(&self, position: Option<Position>) -> SourceCx {
        SourceCx {
            pipeline: Name::from("test"),
            stage: Name::from("source"),
            position,
            committed: self.committed.subscribe(),
            limits: self.limits,
            clock: Arc::new(TestClock::default()),
            disk: self.disk.clone(),
            blocking: self.blocking.clone(),
            random: Random::from_seed(1),
            directory: self.directory.path().join("state/source"),
            queues: self.queues.clone(),
            events: self.sender.stage(Name::from("source")),
        }
    }

    /// For a sink whose last token is `token`, under `generation`.
    pub fn sink(&self, token: Option<Token>, generation: u64) -> SinkCx {
        let fence = Fence {
            store: StoreId([7; 16]),
            pipeline: Name::from("test"),
            sink: Name::from("sink"),
            generation: Generation(generation),
        };
        self.store.claim_as(&fence.pipeline, fence.generation);
        SinkCx {
            pipeline: Name::from("test"),
            stage: Name::from("sink"),
            token,
            incarnation: Incarnation::from_u128(1),
            drivers: self.drivers.clone(),
            acknowledgements: Acknowledgements::new(
                self.store.clone(),
                fence.clone(),
                Default::default(),
                Arc::new(TestClock::default()),
            ),
            fence,
            take_over: self.take_over,
            clock: Arc::new(TestClock::default()),
            disk: self.disk.clone(),
            blocking: self.blocking.clone(),
            random: Random::from_seed(1),
            directory: self.directory.path().join("state/sink"),
            queues: self.queues.clone(),
            events: self.sender.stage(Name::from("sink")),
        }
    }
}
