//! Pipelines that queues join, through the real engine, over a disk that fails: whatever happens to which of them, every record
//! arrives once.
//!
//! ```text
//!  producers ─▶ queue `wide` ─┬─▶ `reader` ─▶ a recording
//!                             └─▶ `middle` ─▶ queue `narrow` ─▶ `end` ─▶ a recording
//! ```

use std::{
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use afferent::{
    afferent_core::{
        BoxSink, BoxSource, ErrorKind, Kind, MemoryStore, Name, Record, RecordId, Result, Timestamp, Unit,
        Value, clock,
        config::Size,
        engine::{self, BoxStages, End, EngineCx, Outcome, Settings},
        event::{Event, Events},
        mailbox::{Mailbox, mailbox},
        queue::disk::Queues,
        random::Random,
        stage::Line,
        testing::{Fault, Op, Recording, Script, SimDisk, TestClock},
    },
    sinks::queue::{Config as SinkConfig, QueueSink},
    sources::queue::{Config as SourceConfig, QueueSource},
};
use futures::future::join_all;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Seeds of each property: more with `AFFERENT_CASES`, one with `AFFERENT_SEED`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    match number("AFFERENT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("AFFERENT_CASES").unwrap_or(60),
    }
}

/// Longer than anything takes under a paused clock.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A pipeline.
#[derive(Clone)]
struct Pipeline {
    name: Name,
    from: From,
    to: To,
}

#[derive(Clone)]
enum From {
    Script(Script<Record>),
    Queue(&'static str),
}

#[derive(Clone)]
enum To {
    Queue(&'static str),
    Shown(Recording<Record>),
}

/// Everything that outlives processes.
struct World {
    seed: u64,
    random: Random,
    store: Arc<MemoryStore>,
    disk: SimDisk,
    pipelines: Vec<Pipeline>,
    max_bytes: u64,
    settings: Settings,
    passed: Duration,
}

/// How a process ends, unless it dies.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// All pipelines are idle by themselves.
    Idle,
    /// Everything has arrived.
    Arrived,
}

fn record(number: u64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 1_000_000);
    let value = Value::Quantity(60.25, Unit::parse("count/min").expect("a unit"));
    let kind = Kind::parse("HeartRate").expect("a type");
    let mut record = Record::added(RecordId::from_u128(number.into()), kind, start, start, value);
    // Long, so that a few hundred records fill several segments.
    record.subject = Some(Name::from("s".repeat(600)));
    record
}

/// What the ids of one producer's records are below, after those of the producer before.
const IDS: u64 = 1_000_000;

/// The producer of a record.
fn producer_of(record: &Record) -> u64 {
    record.id.as_u128() as u64 / IDS
}

impl World {
    fn draw(seed: u64) -> World {
        let mut random = Random::from_seed(seed);
        let faults = if random.chance(0.3) { 0.0 } else { random.unit() * 0.1 };
        let mut pipelines = Vec::new();
        for producer in 0..1 + random.below(3) {
            let records = (0..random.below(400)).map(|number| record(producer * IDS + number)).collect();
            let script = Script { faults, ..Script::new(records) };
            script.seed.store(random.u64() / 2, std::sync::atomic::Ordering::SeqCst);
            pipelines.push(Pipeline {
                name: Name::from(format!("producer-{producer}")),
                from: From::Script(script),
                to: To::Queue("wide"),
            });
        }
        let mut shown = || To::Shown(Recording::new(faults / 2.0, random.u64()));
        let (reader, end) = (shown(), shown());
        let middle = To::Queue("narrow");
        for (name, queue, to) in
            [("reader", "wide", reader), ("middle", "wide", middle), ("end", "narrow", end)]
        {
            pipelines.push(Pipeline { name: Name::from(name), from: From::Queue(queue), to });
        }
        let pull = 1 + random.below(30);
        // A few pulls an epoch: of one with hundreds, one would always fail.
        let mut settings = Settings { records: 1 + random.below(8 * pull), ..Settings::default() };
        settings.limits.records = pull as usize;
        World {
            seed,
            max_bytes: 1 + random.below(200_000),
            random,
            store: Arc::new(MemoryStore::new()),
            disk: SimDisk::new(seed),
            pipelines,
            settings,
            passed: Duration::ZERO,
        }
    }

    fn recordings(&self) -> impl Iterator<Item = (&Name, &Recording<Record>)> {
        self.pipelines.iter().filter_map(|pipeline| match &pipeline.to {
            To::Shown(recording) => Some((&pipeline.name, recording)),
            To::Queue(_) => None,
        })
    }

    fn records(&self) -> Vec<Record> {
        let scripts = self.pipelines.iter().filter_map(|pipeline| match &pipeline.from {
            From::Script(script) => Some(script.items.iter().cloned()),
            From::Queue(_) => None,
        });
        scripts.flatten().collect()
    }

    /// Runs the pipelines that `runs` accepts, in one process; `None` when it died after `polls`. `kills` of them are killed and
    /// started again meanwhile.
    fn process(
        &mut self,
        runs: impl Fn(&Pipeline) -> bool,
        until: Until,
        polls: Option<u64>,
        kills: u64,
    ) -> Option<Vec<(Name, Result<Outcome>)>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let mut random = self.random.fork();
        let (ended, passed) = runtime.block_on(async {
            let began = clock::instant();
            let queues = Queues::new(self.disk.shared(), PathBuf::from("/queues"), self.store.clone());
            let sender = broadcast::channel(16).0;
            let running: Vec<Running> = self
                .pipelines
                .iter()
                .filter(|pipeline| runs(pipeline))
                .map(|pipeline| Running {
                    pipeline: pipeline.clone(),
                    settings: Settings { until_idle: until == Until::Idle, ..self.settings },
                    mailbox: Mutex::new(None),
                    kill: Mutex::new(CancellationToken::new()),
                })
                .collect();
            let lives = join_all(
                running.iter().map(|running| running.lives(self, &queues, &sender, polls.is_none())),
            );
            let killing = async {
                for _ in 0..kills {
                    clock::sleep(Duration::from_millis(random.below(4000))).await;
                    let one = &running[random.below(running.len() as u64) as usize];
                    one.kill.lock().expect("nothing panics").cancel();
                }
            };
            let finishing = async {
                if until == Until::Idle {
                    return;
                }
                let all = self.records().len();
                while self.recordings().any(|(_, shown)| shown.visible().len() < all) {
                    clock::sleep(Duration::from_secs(1)).await;
                    if polls.is_none() && began.elapsed() > PATIENCE {
                        let mut stuck = String::new();
                        for one in &running {
                            let mailbox =
                                one.mailbox.lock().expect("nothing panics").clone().expect("it runs");
                            stuck += &format!("\n{}: {:?}", one.pipeline.name, mailbox.status().await);
                        }
                        panic!("seed {}: it does not arrive{stuck}", self.seed);
                    }
                }
                // What should not come has time to come.
                clock::sleep(Duration::from_secs(60)).await;
                for one in &running {
                    let mailbox = one.mailbox.lock().expect("nothing panics").clone();
                    if let Some(mailbox) = mailbox {
                        drop(mailbox.finish().await);
                    }
                }
            };
            let all = async { futures::join!(lives, killing, finishing).0 };
            (dies_after(Box::pin(all), polls).await, clock::instant().duration_since(began))
        });
        // Waits for jobs, as for the last writes of a process.
        drop(runtime);
        self.passed += passed;
        ended
    }

    /// Runs to the end, and compares what is shown with what was given.
    fn verify(&mut self) {
        let seed = self.seed;
        self.disk.heal();
        let ended = self.process(|_| true, Until::Arrived, None, 0).expect("it does not die");
        let records = self.records();
        let shown = |world: &World| {
            for (name, recording) in world.recordings() {
                let visible = recording.visible();
                for producer in 0..3 {
                    let of = |records: &[Record]| -> Vec<u128> {
                        let of = records.iter().filter(|record| producer_of(record) == producer);
                        of.map(|record| record.id.as_u128()).collect()
                    };
                    assert_eq!(of(&visible), of(&records), "seed {seed}: {name}, producer {producer}");
                }
                assert_eq!(visible.len(), records.len(), "seed {seed}: {name}");
            }
        };
        shown(self);
        for (name, outcome) in ended {
            let outcome = outcome.unwrap_or_else(|error| panic!("seed {seed}: {name}: {error}"));
            assert!(outcome.ledger.is_balanced(), "seed {seed}: {name}");
            for account in outcome.ledger.accounts.values() {
                assert_eq!((account.read, account.pending), (account.delivered, 0), "seed {seed}: {name}");
                if !name.starts_with("producer") {
                    assert_eq!(account.read, records.len() as u64, "seed {seed}: {name}");
                    assert_eq!(outcome.end, End::Idle, "seed {seed}: {name}");
                }
            }
        }
        let again = self.process(|_| true, Until::Idle, None, 0).expect("it does not die");
        assert!(again.iter().all(|(_, outcome)| outcome.is_ok()), "seed {seed}: {again:?}");
        shown(self);
    }
}

/// A pipeline in a process.
struct Running {
    pipeline: Pipeline,
    settings: Settings,
    mailbox: Mutex<Option<Mailbox>>,
    kill: Mutex<CancellationToken>,
}

impl Running {
    /// Runs it, again after each kill.
    async fn lives(
        &self,
        world: &World,
        queues: &Queues,
        events: &broadcast::Sender<Event>,
        is_strict: bool,
    ) -> (Name, Result<Outcome>) {
        let name = &self.pipeline.name;
        let mut random = Random::from_seed(world.seed ^ name.len() as u64);
        loop {
            let (mail, commands) = mailbox();
            *self.mailbox.lock().expect("nothing panics") = Some(mail);
            let kill = CancellationToken::new();
            *self.kill.lock().expect("nothing panics") = kill.clone();
            let start =
                Timestamp::from_micros_clamped(1_748_736_000_000_000 + world.passed.as_micros() as i64);
            let cx = EngineCx {
                pipeline: name.clone(),
                settings: self.settings,
                store: world.store.clone(),
                claim: Default::default(),
                clock: Arc::new(TestClock::new(start)),
                disk: world.disk.shared(),
                random: random.fork(),
                directory: PathBuf::from("/state").join(name.as_str()),
                queues: queues.clone(),
                mailbox: commands,
                events: Events::new(name.clone(), events.clone()),
                kill,
            };
            let (pipeline, max_bytes) = (self.pipeline.clone(), world.max_bytes);
            let ended = engine::run(cx, move || pipeline.stages(max_bytes)).await;
            match ended {
                Ok(outcome) if outcome.end == End::Killed => {}
                Err(error) if is_strict => panic!("seed {}: {name}: {error}", world.seed),
                ended => return (name.clone(), ended),
            }
        }
    }
}

impl Pipeline {
    fn stages(&self, max_bytes: u64) -> Result<BoxStages<Record>> {
        let source: BoxSource<Record> = match &self.from {
            From::Script(script) => Box::new(script.source()),
            From::Queue(queue) => Box::new(QueueSource::new(SourceConfig { queue: (*queue).to_owned() })),
        };
        let sink: BoxSink<Record> = match &self.to {
            To::Shown(recording) => Box::new(recording.sink()),
            To::Queue(queue) => {
                let config = SinkConfig { max_bytes: Size(max_bytes), ..SinkConfig::new(*queue) };
                Box::new(QueueSink::new(config))
            }
        };
        BoxStages::new(
            vec![("source".into(), source)],
            Line::new(Vec::new())?,
            vec![("sink".into(), sink, None)],
        )
    }

    fn is_producer(&self) -> bool {
        matches!(self.from, From::Script(_))
    }
}

/// Completes `future`, or drops it after `polls` polls.
async fn dies_after<T>(future: impl Future<Output = T>, polls: Option<u64>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if let Some(left) = &mut left {
            if *left == 0 {
                return Poll::Ready(None);
            }
            *left -= 1;
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Scenario: up to three producers, two queues one after the other and three consumers; sources and sinks fail, single pipelines are killed,
/// the disk fails or is full, the process dies at a random moment and the power with it; the bound is from one byte up; drawn
/// from a seed. Guarantees: G1, G2, G3, G5, G7: every record is shown once by every end, in the order of its producer; all accounts
/// balance; nothing waits for ever.
#[test]
fn whatever_happens_each_record_arrives_once() {
    let (mut deaths, mut lives) = (0, 0);
    for seed in seeds() {
        let mut world = World::draw(seed);
        // Consumers are registered before anything can be removed.
        let registered = world.process(|pipeline| !pipeline.is_producer(), Until::Idle, None, 0);
        assert!(
            registered.expect("it does not die").iter().all(|(_, outcome)| outcome.is_ok()),
            "seed {seed}"
        );
        for _ in 0..world.random.below(8) {
            if world.random.chance(0.4) {
                let ops = [None, Some(Op::Write), Some(Op::Sync), Some(Op::SyncDir)];
                let op = ops[world.random.below(4) as usize];
                let fault = [Fault::Io, Fault::Full, Fault::Halt][world.random.below(3) as usize];
                world.disk.fail(op, world.random.below(200), fault);
            }
            let (polls, kills) = (1 + world.random.below(600), world.random.below(3));
            // Some run without others.
            let away = world.random.below(2 * world.pipelines.len() as u64) as usize;
            let away = world.pipelines.get(away).map(|pipeline| pipeline.name.clone());
            lives += 1;
            match world.process(
                |pipeline| Some(&pipeline.name) != away.as_ref(),
                Until::Arrived,
                Some(polls),
                kills,
            ) {
                None => deaths += 1,
                Some(ended) => {
                    for (name, outcome) in ended {
                        if let Err(error) = outcome {
                            assert_eq!(error.kind(), ErrorKind::CantCreate, "seed {seed}: {name}: {error}");
                        }
                    }
                }
            }
            if world.random.chance(0.5) {
                let draw = world.random.u64();
                world.disk = world.disk.power_loss(draw);
            }
            world.disk.heal();
        }
        world.verify();
    }
    println!("{deaths} deaths in {lives} lives");
    assert!(deaths > 0 || std::env::var("AFFERENT_SEED").is_ok(), "no process died");
}

/// Scenario: much more goes through the queues than their bound, with processes that die at random moments. Guarantees: G7: what nobody
/// needs any more is removed, so that what is on disk stays near the bound.
#[test]
fn what_everybody_has_read_is_removed() {
    const RECORDS: u64 = 5000;
    for seed in seeds().take(10) {
        let mut world = World::draw(seed);
        world.max_bytes = 64 << 10;
        world.settings = Settings { records: 100, ..Settings::default() };
        world.settings.limits.records = 50;
        let records = (0..RECORDS).map(record).collect();
        world.pipelines.retain(|pipeline| !pipeline.is_producer() || pipeline.name.as_str() == "producer-0");
        world.pipelines[0].from = From::Script(Script::new(records));
        for polls in [40, 200, 400] {
            world.process(|_| true, Until::Arrived, Some(polls), 0);
        }
        world.verify();
        // Through two queues, of 600 bytes and more each.
        let (kept, written) = (world.disk.used(), 2 * 600 * RECORDS);
        assert!(kept < written / 3, "seed {seed}: {kept} of {written} bytes");
    }
}

/// Scenario: a producer runs alone, in a process of its own, then its consumers in another, in turns. Guarantees: G1 and G2: while the producer
/// does not run its last checkpoint says what is released; what was prepared and not saved is not read.
#[test]
fn producer_and_consumer_run_one_after_the_other() {
    for seed in seeds() {
        let mut world = World::draw(seed);
        world.max_bytes = 1 << 30;
        let polls = 1 + world.random.below(300);
        world.process(Pipeline::is_producer, Until::Idle, Some(polls), 0);
        let consume = |world: &mut World| {
            let ended = world.process(|pipeline| !pipeline.is_producer(), Until::Idle, None, 0);
            assert!(
                ended.expect("it does not die").iter().all(|(_, outcome)| outcome.is_ok()),
                "seed {seed}"
            );
        };
        consume(&mut world);
        for (name, shown) in world.recordings() {
            let all = world.records();
            assert!(shown.visible().len() <= all.len(), "seed {seed}: {name}");
        }
        let polls = 1 + world.random.below(300);
        world.process(Pipeline::is_producer, Until::Idle, Some(polls), 0);
        consume(&mut world);
        world.verify();
    }
}

/// Scenario: the reader of a queue that is full of one batch does not run. Guarantees: G11: the producer says for whom it waits, and once that
/// one runs everything arrives.
#[test]
fn a_full_queue_waits_for_its_reader() {
    let mut world = World::draw(3);
    world.max_bytes = 1;
    world.settings.records = 10;
    world.pipelines[0].from = From::Script(Script::new((0..300).map(record).collect()));
    world.pipelines.retain(|pipeline| !pipeline.is_producer() || pipeline.name.as_str() == "producer-0");
    world.process(|pipeline| !pipeline.is_producer(), Until::Idle, None, 0).expect("it does not die");
    assert!(world.process(Pipeline::is_producer, Until::Arrived, Some(400), 0).is_none(), "it waits");
    world.verify();
}
