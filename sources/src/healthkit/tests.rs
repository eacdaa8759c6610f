//! The source over a scripted store, and over the mock.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use afferent_core::{
    Committed, Error, ErrorKind, Kind, MemoryStore, Name, Pulled, Record, RecordId, Result, Source,
    Timestamp, Unit, Value,
    clock::{instant, sleep},
    config::{Configure, Span},
    disk::OsDisk,
    engine::{End, EngineCx, Settings, Stages, run},
    event::{EventKind, Events},
    mailbox::{Mailbox, mailbox},
    queue::disk::Queues,
    random::Random,
    stage::Identity,
    testing::{Recording, Surroundings, TestClock, source_contract},
};
use async_trait::async_trait;
use futures::{StreamExt, future::poll_immediate, stream::BoxStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{mock::MockStore, *};

/// A store that does what a test tells it to. Clones share it.
#[derive(Clone, Default)]
struct Script {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    identity: u64,
    log: BTreeMap<Kind, Vec<Record>>,
    /// What the next reads fail with.
    fails: Option<ErrorKind>,
    /// It knows no anchor any more.
    forgetful: bool,
    /// It says that there is more, and gives nothing.
    stuck: bool,
    /// The types that were asked for, in order.
    asked: Vec<Kind>,
    observers: Vec<mpsc::UnboundedSender<Wake>>,
    /// How often each wake was completed.
    completed: BTreeMap<u64, u64>,
    wakes: u64,
}

impl Script {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves `count` more samples of `name`.
    fn save(&self, name: &str, count: usize) {
        let mut inner = self.lock();
        let kind = kind(name);
        let log = inner.log.entry(kind).or_default();
        for _ in 0..count {
            let id = RecordId::from_u128((name.len() as u128) << 64 | log.len() as u128);
            let time = Timestamp::from_micros_clamped(log.len() as i64 * 1_000_000);
            log.push(Record::added(
                id,
                kind,
                time,
                time,
                Value::Quantity(1.0, Unit::parse("count").unwrap()),
            ));
        }
    }

    /// Wakes for `names`; without any the wake does not say for what. Returns the wake's number.
    fn wake(&self, names: &[&str]) -> u64 {
        let mut inner = self.lock();
        let observer = inner.observers.last().expect("somebody observes").clone();
        inner.wakes += 1;
        let number = inner.wakes;
        // Without the lock: an observer that is gone completes at once.
        drop(inner);
        let script = self.clone();
        let completion = Completion::new(move || *script.lock().completed.entry(number).or_default() += 1);
        let kinds = (!names.is_empty()).then(|| names.iter().map(|name| kind(name)).collect());
        let _ = observer.send(Wake { kinds, completion });
        number
    }

    fn completed(&self, wake: u64) -> u64 {
        self.lock().completed.get(&wake).copied().unwrap_or(0)
    }

    fn fail(&self, kind: Option<ErrorKind>) {
        self.lock().fails = kind;
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.lock().asked).into_iter().map(Kind::short).collect()
    }

    fn source(&self, types: &[&str]) -> HealthKit {
        HealthKit::new(config(types), Arc::new(self.clone()))
    }
}

#[async_trait]
impl HealthStore for Script {
    fn identity(&self) -> String {
        format!("script-{}", self.lock().identity)
    }

    fn kinds(&self) -> Vec<Kind> {
        self.lock().log.keys().copied().collect()
    }

    async fn observe(&self, _: &[Kind]) -> Result<BoxStream<'static, Wake>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().observers.push(sender);
        Ok(UnboundedReceiverStream::new(receiver).boxed())
    }

    async fn changes(&self, kind: Kind, anchor: Option<&Anchor>, limit: usize) -> Result<Changes> {
        let mut inner = self.lock();
        inner.asked.push(kind);
        if let Some(fails) = inner.fails {
            return Err(Error::new(fails, "scripted"));
        }
        if anchor.is_some() && inner.forgetful {
            return Ok(Changes::AnchorUnknown);
        }
        let at = anchor.map_or(0, |anchor| usize::from_be_bytes(anchor.as_bytes().try_into().unwrap()));
        let log = inner.log.get(&kind).map_or(&[][..], |log| &log[at.min(log.len())..]);
        let added = if inner.stuck { Vec::new() } else { log[..log.len().min(limit)].to_vec() };
        let more = inner.stuck || added.len() < log.len();
        let anchor = Anchor::new((at + added.len()).to_be_bytes());
        Ok(Changes::Page(Page { added, deleted: Vec::new(), anchor, more }))
    }
}

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn config(types: &[&str]) -> Config {
    let store = StoreConfig::Host(HostConfig { name: "script".to_owned() });
    Config { store, types: types.iter().map(|name| (*name).to_owned()).collect() }
}

/// Lets the helper run until it has nothing to do.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn pull(source: &mut HealthKit) -> Pulled<Record> {
    source.next().await.unwrap().expect("it has no end")
}

fn commit(around: &Surroundings, pulls: u64) {
    around.committed.send_modify(|committed| *committed = Committed { pulls, ..committed.clone() });
}

fn alarms(around: &mut Surroundings) -> usize {
    let mut alarms = 0;
    while let Ok(event) = around.events.try_recv() {
        alarms += usize::from(matches!(event.kind, EventKind::Alarm { .. }));
    }
    alarms
}

/// A source that has drained a store of five heart rates and three step counts.
async fn drained(around: &Surroundings) -> (Script, HealthKit) {
    let script = Script::default();
    script.save("HeartRate", 5);
    script.save("StepCount", 3);
    let mut source = script.source(&["HeartRate", "StepCount"]);
    source.open(around.source(None)).await.unwrap();
    let first = pull(&mut source).await;
    assert_eq!((first.batch.len(), first.seal), (8, true));
    assert!(pull(&mut source).await.is_drained());
    script.asked();
    (script, source)
}

/// Scenario: a month of the mock with amendments and nightly locks, in small batches, stopped after any pull.
/// Guarantees: G1, G2, G3; no unlock is missed (under a paused clock the look after a minute would show).
#[tokio::test(start_paused = true)]
async fn it_resumes_after_any_pull() {
    for lock in [0, 7] {
        let mock = mock::Config {
            seed: 3,
            days: 8,
            users: 2,
            edits: 0.1,
            replacements: 0.1,
            deletions: 0.05,
            lock: Span(Duration::from_secs(lock * 3600)),
            ..mock::Config::default()
        };
        let mut around = Surroundings::new();
        around.limits.records = 100;
        let began = instant();
        let make = || {
            let types = ["HeartRate", "StepCount", "SleepAnalysis", "BloodPressure", "Workout"];
            HealthKit::new(config(&types), Arc::new(MockStore::new(mock.clone()).unwrap()))
        };
        let all = source_contract(make, &around, 20).await;
        assert_eq!(instant(), began, "a wake was missed");
        let kinds: BTreeSet<&str> = all.iter().map(|record| record.kind.unwrap().short()).collect();
        assert_eq!(kinds.len(), 5);
        assert!(all.iter().any(Record::is_deletion));
        assert!(all.len() > 5000, "{}", all.len());
    }
}

/// Scenario: all types of the mock. Guarantees: `["*"]` is everything, drained once, each record once.
#[tokio::test(start_paused = true)]
async fn a_star_is_every_type() {
    let mock = mock::Config { days: 10, ..mock::Config::default() };
    let store = MockStore::new(mock).unwrap();
    let around = Surroundings::new();
    let mut source = HealthKit::new(config(&["*"]), Arc::new(store));
    source.open(around.source(None)).await.unwrap();
    let (mut ids, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let pulled = pull(&mut source).await;
        assert!(pulled.batch.len() <= around.limits.records);
        if pulled.is_drained() {
            break;
        }
        for record in pulled.batch {
            kinds.insert(record.kind);
            assert!(ids.insert((record.id, record.change)));
        }
    }
    assert!(kinds.len() > 120, "{}", kinds.len());
}

/// What an engine needs to run over `store` in `directory`.
fn engine(store: Arc<MemoryStore>, directory: &std::path::Path, until_idle: bool) -> (EngineCx, Mailbox) {
    let (mailbox, commands) = mailbox();
    let queues = Queues::new(OsDisk::shared(), directory.join("queues"), store.clone());
    let cx = EngineCx {
        pipeline: Name::from("feed"),
        settings: Settings { until_idle, ..Settings::default() },
        store,
        claim: Default::default(),
        clock: Arc::new(TestClock::default()),
        disk: OsDisk::shared(),
        random: Random::from_seed(1),
        directory: directory.to_owned(),
        queues,
        mailbox: commands,
        events: Events::alone(Name::from("feed")).0,
        kill: Default::default(),
    };
    (cx, mailbox)
}

/// Scenario: the engine runs a mock with locks and amendments until it is idle, dies at ever later polls, and starts
/// again from its checkpoint with a new store. Guarantees: G1, G2, G3, G5; it becomes idle though the phone was locked.
#[tokio::test(start_paused = true)]
async fn a_feed_under_the_engine_survives_deaths() {
    let mock = mock::Config {
        days: 4,
        edits: 0.1,
        replacements: 0.1,
        lock: Span(Duration::from_secs(7 * 3600)),
        ..mock::Config::default()
    };
    let around = Surroundings::new();
    let source = || {
        HealthKit::new(config(&["StepCount", "HeartRate"]), Arc::new(MockStore::new(mock.clone()).unwrap()))
    };
    let expected = source_contract(source, &around, 1).await;
    let (store, recording) = (Arc::new(MemoryStore::new()), Recording::default());
    let mut deaths = 0;
    for polls in (1..).step_by(3) {
        let (cx, _mailbox) = engine(store.clone(), around.path(), true);
        let stages =
            || Ok(Stages::line(("feed", source()), Identity::default(), ("recording", recording.sink())));
        let mut run = pin!(run(cx, stages));
        let mut left = polls;
        let outcome = poll_fn(|cx| {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { run.as_mut().poll(cx).map(Some) }
        });
        match outcome.await {
            None => deaths += 1,
            Some(outcome) => {
                assert_eq!(outcome.unwrap().end, End::Idle);
                break;
            }
        }
    }
    assert!(deaths > 3, "{deaths}");
    assert!(recording.visible() == expected);
}

/// Scenario: the engine runs a feed for weeks; the store wakes now and then. Guarantees: each wake is delivered and
/// completed by its commit at once, long before the deadline.
#[tokio::test(start_paused = true)]
async fn the_engine_completes_wakes_by_commits() {
    let around = Surroundings::new();
    let (script, recording) = (Script::default(), Recording::default());
    script.save("HeartRate", 1);
    let (cx, mailbox) = engine(Arc::new(MemoryStore::new()), around.path(), false);
    let source = || script.source(&["HeartRate"]);
    let stages =
        || Ok(Stages::line(("feed", source()), Identity::default(), ("recording", recording.sink())));
    let wakes = async {
        for round in 1..10 {
            sleep(Duration::from_secs(3600)).await;
            script.save("HeartRate", 3);
            let wake = script.wake(&["HeartRate"]);
            sleep(Duration::from_secs(5)).await;
            assert_eq!((script.completed(wake), recording.visible().len()), (1, 1 + 3 * round));
        }
        mailbox.stop().await.unwrap();
    };
    let (outcome, ()) = futures::join!(run(cx, stages), wakes);
    assert_eq!(outcome.unwrap().end, End::Stopped);
}

/// Scenario: something changes, the store wakes, the epoch is committed later. Guarantees: the wake is completed at
/// the commit that covers it, not before, and once; the drain seals and then says that it is dry.
#[tokio::test(start_paused = true)]
async fn a_wake_is_completed_at_its_commit() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    commit(&around, 2);
    script.save("StepCount", 2);
    let wake = script.wake(&["StepCount"]);
    let pulled = pull(&mut source).await;
    assert_eq!((pulled.batch.len(), pulled.seal), (2, true));
    assert_eq!(script.asked(), ["StepCount"], "only what the wake names");
    settle().await;
    assert_eq!(script.completed(wake), 0);
    assert!(pull(&mut source).await.is_drained());
    settle().await;
    assert_eq!(script.completed(wake), 0, "a dry pull covers nothing that is not committed");
    commit(&around, 3);
    settle().await;
    assert_eq!(script.completed(wake), 1);
    drop(source);
    sleep(COMPLETION_DEADLINE * 2).await;
    assert_eq!(script.completed(wake), 1);
}

/// Scenario: a wake when nothing has changed. Guarantees: it is completed without an epoch, for there is none to be
/// committed.
#[tokio::test(start_paused = true)]
async fn a_spurious_wake_is_completed_at_once() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    commit(&around, 1);
    let wake = script.wake(&[]);
    assert!(pull(&mut source).await.is_drained());
    assert_eq!(script.asked(), ["HeartRate", "StepCount"], "a wake that names nothing means everything");
    settle().await;
    assert_eq!(script.completed(wake), 1);
    // One that names only types that are not read asks for nothing, and is completed all the same.
    let other = script.wake(&["BodyMass"]);
    assert!(pull(&mut source).await.is_drained());
    assert!(script.asked().is_empty());
    settle().await;
    assert_eq!(script.completed(other), 1);
}

/// Scenario: the engine is busy: it never pulls, or never commits. Guarantees: the wake is completed at its deadline
/// nevertheless, and once; the data come later.
#[tokio::test(start_paused = true)]
async fn a_busy_engine_does_not_delay_a_completion() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    script.save("HeartRate", 1);
    let wake = script.wake(&["HeartRate"]);
    sleep(COMPLETION_DEADLINE - Duration::from_secs(1)).await;
    assert_eq!(script.completed(wake), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(script.completed(wake), 1);
    let pulled = pull(&mut source).await;
    assert_eq!(pulled.batch.len(), 1);
    let uncommitted = script.wake(&["HeartRate"]);
    assert!(pull(&mut source).await.is_drained());
    sleep(COMPLETION_DEADLINE + Duration::from_secs(1)).await;
    assert_eq!((script.completed(wake), script.completed(uncommitted)), (1, 1));
}

/// Scenario: the source fails, or is dropped by an abort, with a wake outstanding. Guarantees: the wake is completed
/// at once; after a failure that heals the records come.
#[tokio::test(start_paused = true)]
async fn an_error_completes_the_wake() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    script.save("HeartRate", 1);
    script.fail(Some(ErrorKind::Transient { retry_after: None }));
    let wake = script.wake(&["HeartRate"]);
    let error = source.next().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }));
    settle().await;
    assert_eq!(script.completed(wake), 1);
    script.fail(None);
    assert_eq!(pull(&mut source).await.batch.len(), 1);
    let outstanding = script.wake(&["HeartRate"]);
    settle().await;
    assert_eq!(script.completed(outstanding), 0);
    drop(source);
    settle().await;
    assert_eq!((script.completed(wake), script.completed(outstanding)), (1, 1));
    assert!(script.lock().observers[0].is_closed(), "the observer query has ended");
}

/// Scenario: the phone is locked when a wake comes, then unlocked. Guarantees: `Waiting`, once; the wake is
/// completed; the next pull pends until the store wakes again, and then reads everything.
#[tokio::test(start_paused = true)]
async fn a_lock_is_said_once_and_waited_for() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    script.fail(Some(ErrorKind::Waiting));
    let wake = script.wake(&["HeartRate"]);
    assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Waiting);
    settle().await;
    assert_eq!(script.completed(wake), 1);
    {
        let mut next = pin!(source.next());
        for _ in 0..10 {
            assert!(poll_immediate(&mut next).await.is_none());
            settle().await;
        }
        script.fail(None);
        script.save("HeartRate", 2);
        script.save("StepCount", 2);
        let unlock = script.wake(&["HeartRate"]);
        let pulled = next.await.unwrap().unwrap();
        assert_eq!((pulled.batch.len(), pulled.seal), (4, true));
        commit(&around, 3);
        settle().await;
        assert_eq!(script.completed(unlock), 1);
    }
    assert!(pull(&mut source).await.is_drained());
}

/// Scenario: a lock whose unlock wakes nobody. Guarantees: G6, the source looks again by itself, says nothing
/// meanwhile, and goes on.
#[tokio::test(start_paused = true)]
async fn a_missed_unlock_does_not_matter() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    script.fail(Some(ErrorKind::Waiting));
    script.wake(&["HeartRate"]);
    assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Waiting);
    script.save("HeartRate", 1);
    let unlocks = async {
        sleep(Duration::from_secs(3600)).await;
        script.fail(None);
        instant()
    };
    let (pulled, unlocked) = futures::join!(source.next(), unlocks);
    assert_eq!(pulled.unwrap().unwrap().batch.len(), 1);
    assert!(unlocked.elapsed() <= Duration::from_secs(60));
    assert!(pull(&mut source).await.is_drained());
    // A second lock is said again.
    script.fail(Some(ErrorKind::Waiting));
    script.wake(&["HeartRate"]);
    assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Waiting);
}

/// Scenario: a batch that reaches into the night, when the phone is locked. Guarantees: G1, what was read goes out,
/// sealed, before `Waiting` is said.
#[tokio::test(start_paused = true)]
async fn what_was_read_goes_out_before_the_lock() {
    let mut around = Surroundings::new();
    around.limits.records = 1_000_000;
    let nightly =
        mock::Config { lock: Span(Duration::from_secs(7 * 3600)), days: 3, ..mock::Config::default() };
    let store = Arc::new(MockStore::new(nightly).unwrap());
    let mut source = HealthKit::new(config(&["HeartRate"]), store);
    source.open(around.source(None)).await.unwrap();
    // The log begins at midnight, with nothing before the first unlock.
    assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Waiting);
    for _ in 0..2 {
        let pulled = pull(&mut source).await;
        assert!(!pulled.batch.is_empty() && pulled.seal);
        assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Waiting);
    }
}

/// Scenario: wakes while a drain is under way, and none at all. Guarantees: one more drain answers them all; what is
/// there at `open` is read without any wake.
#[tokio::test(start_paused = true)]
async fn wakes_during_a_drain_are_answered_once() {
    let mut around = Surroundings::new();
    around.limits.records = 2;
    let script = Script::default();
    script.save("HeartRate", 4);
    let mut source = script.source(&["HeartRate", "StepCount"]);
    source.open(around.source(None)).await.unwrap();
    assert_eq!(pull(&mut source).await.batch.len(), 2);
    script.save("StepCount", 1);
    let wakes = [script.wake(&["HeartRate"]), script.wake(&["StepCount"]), script.wake(&["StepCount"])];
    settle().await;
    assert_eq!(pull(&mut source).await.batch.len(), 2);
    let last = pull(&mut source).await;
    assert_eq!((last.batch.len(), last.seal), (1, true));
    script.asked();
    assert!(pull(&mut source).await.is_drained());
    assert_eq!(script.asked(), ["HeartRate", "StepCount"], "once for all three");
    commit(&around, 3);
    settle().await;
    assert!(wakes.iter().all(|wake| script.completed(*wake) == 1));
}

/// Scenario: the position is of another store; then a store that has forgotten its anchors. Guarantees: G1, all is
/// read from the start, with an alarm.
#[tokio::test(start_paused = true)]
async fn another_store_is_read_from_the_start() {
    let mut around = Surroundings::new();
    let (script, source) = drained(&around).await;
    let position = {
        let mut again = script.source(&["HeartRate", "StepCount"]);
        again.open(around.source(None)).await.unwrap();
        pull(&mut again).await.position
    };
    drop(source);
    let reopen = async |around: &Surroundings| {
        let mut source = script.source(&["HeartRate", "StepCount"]);
        source.open(around.source(Some(position.clone()))).await.unwrap();
        pull(&mut source).await.batch.len()
    };
    assert_eq!((reopen(&around).await, alarms(&mut around)), (0, 0));
    script.lock().forgetful = true;
    assert_eq!((reopen(&around).await, alarms(&mut around)), (8, 2), "an alarm for each type");
    script.lock().forgetful = false;
    script.lock().identity = 2;
    assert_eq!((reopen(&around).await, alarms(&mut around)), (8, 1));
}

/// Scenario: a type is added to the configuration, another taken out and put back. Guarantees: the new one is read
/// from its start, the old one from where it was.
#[tokio::test(start_paused = true)]
async fn anchors_of_types_outlive_the_configuration() {
    let around = Surroundings::new();
    let script = Script::default();
    script.save("HeartRate", 5);
    script.save("StepCount", 3);
    let read = async |types: &[&str], position| {
        let mut source = script.source(types);
        source.open(around.source(position)).await.unwrap();
        let pulled = pull(&mut source).await;
        (pulled.batch.len(), Some(pulled.position))
    };
    let (first, position) = read(&["HeartRate"], None).await;
    let (second, position) = read(&["StepCount"], position).await;
    script.save("HeartRate", 1);
    let (third, _) = read(&["HeartRate", "StepCount"], position).await;
    assert_eq!((first, second, third), (5, 3, 1));
}

/// Scenario: a store that says there is more and gives nothing, for ever. Guarantees: G6, an error that says so, not a
/// livelock.
#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_move_is_an_error() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    script.lock().stuck = true;
    script.wake(&[]);
    let error = source.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug);
    assert!(error.message().contains("HeartRate"));
}

/// Scenario: the store ends the observer query. Guarantees: the source says so, observes again and reads what nobody
/// was woken for.
#[tokio::test(start_paused = true)]
async fn an_observer_query_that_ends_is_started_again() {
    let around = Surroundings::new();
    let (script, mut source) = drained(&around).await;
    script.lock().observers.clear();
    assert!(matches!(source.next().await.unwrap_err().kind(), ErrorKind::Transient { .. }));
    script.save("StepCount", 1);
    assert_eq!(pull(&mut source).await.batch.len(), 1);
    assert_eq!(script.lock().observers.len(), 1);
}

/// Scenario: configurations as files have them. Guarantees: nothing is misread in silence; each problem stands at its
/// key, a slip with its suggestion.
#[test]
fn configuration_is_strict() {
    let read = |text: &str| toml::from_str::<Config>(text);
    let good = read(
        r#"
        store = { type = "mock", seed = 7, days = 30, users = 2, speed = 3600, start = "2024-02-29", lock = "7h" }
        types = ["HeartRate", "HKQuantityTypeIdentifierStepCount"]
        "#,
    )
    .unwrap();
    assert_eq!(good.check(), []);
    let StoreConfig::Mock(mock) = &good.store else { panic!("a mock") };
    assert_eq!((mock.seed, mock.speed), (7, mock::Speed::Factor(3600.0)));
    let host = read("types = [\"*\"]\n[store]\ntype = \"host\"\nname = \"phone\"").unwrap();
    assert_eq!(host.check(), []);
    for bad in [
        r#"types = ["*"]"#,
        r#"store = { type = "mock" }"#,
        r#"store = { type = "mock", sed = 7 }
           types = ["*"]"#,
        r#"store = { type = "mock", speed = "fast" }
           types = ["*"]"#,
        r#"store = { type = "mock", speed = 0 }
           types = ["*"]"#,
        r#"store = { type = "mock", start = "yesterday" }
           types = ["*"]"#,
        r#"store = { type = "host" }
           types = ["*"]"#,
        r#"store = { type = "mock" }
           types = ["*"]
           limit = 5"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let problems = Config { types: vec!["HeartRate".into(), "StepsCount".into()], ..good.clone() }.check();
    assert_eq!(problems[0].key_path, ["types", "1"]);
    assert_eq!(problems[0].help.as_deref(), Some("did you mean \"StepCount\"?"));
    let days = read("store = { type = \"mock\", days = 0 }\ntypes = [\"*\"]").unwrap().check();
    assert_eq!(days[0].key_path, ["store", "days"]);
    for types in [vec![], vec!["*".to_owned(), "HeartRate".to_owned()]] {
        assert_eq!(Config { types, ..good.clone() }.check().len(), 1);
    }
}
