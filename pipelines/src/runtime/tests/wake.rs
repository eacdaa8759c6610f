//! Tests of wakes, of drains with a limit, and of back-off that begins anew.

use std::sync::Mutex;

use afferent_core::{
    Batch, Epoch, Error, Opened, Prepared, Sink, SinkCx, Token,
    clock::{self, Instant},
    engine::End,
    mailbox::Need,
};

use super::*;
use crate::state::Desired;

/// The report of a wake comes at most so long after its deadline.
const LATE: Duration = Duration::from_millis(250);

/// What a source does between records.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    /// One record after each such time, for ever.
    Each(Duration),
    /// It waits for an unlock that does not come.
    Locked,
    /// It never answers.
    Silent,
    /// It fails after each such time, so often; then it ends.
    FailsEach(Duration, u128),
}

/// A source whose pulls take time.
struct Slow {
    pace: Pace,
    at: u64,
    failures: Arc<Mutex<u128>>,
}

impl Source for Slow {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        if let Some(position) = &cx.position {
            self.at = position.read(1)?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        match self.pace {
            Pace::Each(time) => {
                clock::sleep(time).await;
                self.at += 1;
                let batch: Batch<Record> = records(u128::from(self.at)).pop().into_iter().collect();
                let position = afferent_core::Position::new(1, "slow", &self.at)?;
                Ok(Some(Pulled { batch, rejects: Vec::new(), position, seal: false }))
            }
            Pace::Locked if std::mem::replace(&mut self.at, 1) == 0 => Err(Error::waiting("the unlock")),
            Pace::Locked | Pace::Silent => std::future::pending().await,
            Pace::FailsEach(time, times) => {
                clock::sleep(time).await;
                let mut failures = self.failures.lock().unwrap();
                *failures += 1;
                if *failures > times { Ok(None) } else { Err(Error::bug("a scripted defect")) }
            }
        }
    }
}

/// Epochs that nothing but a command closes.
fn settings() -> Settings {
    Settings { every: Duration::from_secs(3600), ..Settings::default() }
}

fn slow(name: &str, pace: Pace, shown: &Recording<Record>) -> PipelineSpec {
    let (shown, failures) = (shown.clone(), Arc::<Mutex<u128>>::default());
    PipelineSpec::new(name, settings(), move || {
        let source = Slow { pace, at: 0, failures: failures.clone() };
        BoxStages::new(
            vec![("source".into(), Box::new(source))],
            Line::new(Vec::new())?,
            vec![("sink".into(), Box::new(shown.sink()), None)],
        )
    })
}

/// A receiver that acknowledges one record after each `per`.
#[derive(Debug)]
struct Receiver {
    per: Duration,
    made: Mutex<(u64, Option<Instant>)>,
    need: Option<Need>,
}

impl Receiver {
    fn pending(&self) -> u64 {
        let (made, since) = *self.made.lock().unwrap();
        let passed = since.map_or(Duration::ZERO, |since| since.elapsed());
        made.saturating_sub(u64::try_from(passed.as_millis() / self.per.as_millis()).unwrap())
    }

    fn spec(self: &Arc<Receiver>, name: &str, feed: &Feed) -> PipelineSpec {
        let (receiver, feed) = (self.clone(), feed.clone());
        PipelineSpec::new(name, settings(), move || {
            let sink = Uploading { receiver: receiver.clone(), written: 0 };
            BoxStages::new(
                vec![("source".into(), Box::new(feed.script.source()))],
                Line::new(Vec::new())?,
                vec![("sink".into(), Box::new(sink), None)],
            )
        })
    }
}

struct Uploading {
    receiver: Arc<Receiver>,
    written: u64,
}

impl Sink for Uploading {
    type Item = Record;

    async fn open(&mut self, _: SinkCx) -> Result<Opened> {
        Ok(Opened::Resumed)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.written += batch.drain(..).count() as u64;
        Ok(())
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        let mut made = self.receiver.made.lock().unwrap();
        made.0 += std::mem::take(&mut self.written);
        if made.0 > 0 {
            made.1.get_or_insert_with(clock::instant);
        }
        Ok(Prepared::default())
    }

    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }

    fn pending(&self) -> u64 {
        self.receiver.pending()
    }

    fn need(&self) -> Option<Need> {
        self.receiver.need.clone()
    }
}

async fn wake(runtime: &Runtime, name: &str, budget: Duration) -> (WakeReport, Duration) {
    let began = clock::instant();
    let report = runtime.wake(name, budget).await.unwrap();
    let took = began.elapsed();
    assert!(took <= budget + LATE, "{took:?} of {budget:?}: {report:?}");
    (report, took)
}

const BUDGET: Duration = Duration::from_secs(10);

/// Scenario: there is more to read than the budget allows, wake after wake. Guarantees: G1, G2: each commits at 60 % of its
/// budget, says that it needs more time, and the next goes on where it ended.
#[tokio::test(start_paused = true)]
async fn a_wake_commits_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, shown) = (open(&directory).await, Recording::default());
    runtime.know(slow("a", Pace::Each(Duration::from_millis(100)), &shown)).await.unwrap();
    let mut before = 0;
    for _ in 0..3 {
        let mut events = runtime.events();
        let began = clock::instant();
        let waking = wake(&runtime, "a", BUDGET);
        let committing = async {
            loop {
                wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Committed { .. })).await;
                // Not that of the first start.
                if began.elapsed() > Duration::from_secs(1) {
                    return began.elapsed();
                }
            }
        };
        let ((report, took), committed) = futures::future::join(waking, committing).await;
        let at = |share: f64| BUDGET.mul_f64(share);
        assert!(committed >= at(0.6) && committed < at(0.62), "{committed:?}");
        assert!(took < at(0.65), "nothing is to be sent: {took:?}");
        let now = shown.visible().len() as u64;
        assert_eq!((report.ingested, report.sent, report.remaining), (now - before, now - before, 0));
        assert!((55..=60).contains(&report.ingested), "{report:?}");
        assert_eq!((report.needs, report.safe_to_suspend), (vec![Need::MoreTime], true));
        before = now;
    }
    assert_eq!(shown.visible(), records(u128::from(before)));
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: little is to be read, then nothing. Guarantees: the wake ends as soon as it is done.
#[tokio::test(start_paused = true)]
async fn a_wake_ends_when_idle() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::endless());
    runtime.know(feed.spec("a")).await.unwrap();
    for expected in [100, 0] {
        let (report, took) = wake(&runtime, "a", BUDGET).await;
        let done = WakeReport {
            ingested: expected,
            sent: expected,
            remaining: 0,
            needs: Vec::new(),
            safe_to_suspend: true,
        };
        assert_eq!(report, done);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    feed.assert_shown();
    assert_eq!(runtime.wake("b", BUDGET).await.unwrap_err().kind(), afferent_core::ErrorKind::Config);
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: the receiver takes longer than the budget, and can't be reached at last. Guarantees: the wake sends until 90 %
/// of its budget and says what is left and why; the next goes on.
#[tokio::test(start_paused = true)]
async fn a_wake_gives_receivers_the_rest_of_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::endless());
    let receiver =
        Receiver { per: Duration::from_millis(100), made: Mutex::default(), need: Some(Need::Network) };
    runtime.know(Arc::new(receiver).spec("a", &feed)).await.unwrap();
    let (report, took) = wake(&runtime, "a", BUDGET).await;
    assert!(took >= BUDGET.mul_f64(0.9) && took < BUDGET.mul_f64(0.92), "{took:?}");
    assert_eq!((report.ingested, report.sent + report.remaining), (100, 100));
    assert!((5..=15).contains(&report.remaining), "{report:?}");
    assert_eq!((report.needs, report.safe_to_suspend), (vec![Need::Network], true));
    let (again, took) = wake(&runtime, "a", BUDGET).await;
    assert_eq!((again.ingested, again.sent, again.remaining), (0, report.remaining, 0));
    assert!(took < Duration::from_secs(2) && again.needs.is_empty(), "{took:?}: {again:?}");
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a sink that never takes what it is given. Guarantees: G1, G2: the report is there in time, the pipeline is killed,
/// and what was open is replayed.
#[tokio::test(start_paused = true)]
async fn a_hanging_sink_keeps_no_report_back() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, mut feed) = (open(&directory).await, Feed::endless());
    feed.shown.gate = Arc::new(tokio::sync::Semaphore::new(50));
    runtime.know(feed.spec("a")).await.unwrap();
    let (report, took) = wake(&runtime, "a", BUDGET).await;
    assert!(took >= BUDGET, "{took:?}");
    assert_eq!((report.needs, report.safe_to_suspend), (vec![Need::MoreTime], true));
    feed.shown.gate.add_permits(1000);
    let (report, _) = wake(&runtime, "a", BUDGET).await;
    assert_eq!((report.ingested, report.needs), (100, Vec::new()));
    feed.assert_shown();
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: the health store is locked; the source never answers. Guarantees: the wake waits for 60 % of its budget, and says
/// what it waited for.
#[tokio::test(start_paused = true)]
async fn a_source_that_gives_nothing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, shown) = (open(&directory).await, Recording::default());
    for (pace, need) in [(Pace::Locked, Need::Unlock), (Pace::Silent, Need::MoreTime)] {
        runtime.know(slow("a", pace, &shown)).await.unwrap();
        let (report, took) = wake(&runtime, "a", BUDGET).await;
        assert_eq!((report.needs, report.safe_to_suspend), (vec![need], true));
        assert!(took >= BUDGET.mul_f64(0.6) && took < BUDGET.mul_f64(0.65), "{pace:?}: {took:?}");
    }
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a wake finds the pipeline backing off, once by the supervisor, which has seen it panic. Guarantees: it is
/// started at once.
#[tokio::test(start_paused = true)]
async fn a_wake_does_not_wait_for_a_back_off() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    let mut events = runtime.events();
    let feed = Feed::endless().failing(9, true);
    runtime.apply(feed.spec("a")).await.unwrap();
    for _ in 0..9 {
        wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Retrying { .. })).await;
    }
    let (report, took) = wake(&runtime, "a", BUDGET).await;
    assert_eq!((report.ingested, report.safe_to_suspend), (100, true));
    assert!(took < Duration::from_millis(100), "{took:?}");
    feed.assert_shown();
    let desired = runtime.status("a").await.unwrap().desired;
    assert_eq!(desired, Some(Desired::Running), "the next start of the app starts it again");
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a pipeline fails for ever. Guarantees: the wake ends in time and says with what.
#[tokio::test(start_paused = true)]
async fn a_wake_of_what_fails_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = open(&directory).await;
    runtime.know(Feed::endless().failing(u32::MAX, false).spec("a")).await.unwrap();
    let (report, _) = wake(&runtime, "a", BUDGET).await;
    let Some(Need::Help(error)) = report.needs.first() else { panic!("{report:?}") };
    assert!(error.contains("a scripted defect") && report.safe_to_suspend, "{report:?}");
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: two wakes at once, a short and a long one; a wake of a pipeline that runs, and of one that is paused.
/// Guarantees: G1, G2: each gets its report in time, records come once, and all end suspended.
#[tokio::test(start_paused = true)]
async fn wakes_meet_each_other_and_running_pipelines() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, shown) = (open(&directory).await, Recording::default());
    let pace = Pace::Each(Duration::from_millis(100));
    runtime.know(slow("a", pace, &shown)).await.unwrap();
    let (long, short) =
        futures::future::join(wake(&runtime, "a", BUDGET), wake(&runtime, "a", BUDGET / 4)).await;
    assert!((55..=60).contains(&long.0.ingested) && long.0.safe_to_suspend, "{long:?}");
    assert_eq!((short.0.ingested, short.0.safe_to_suspend), (0, false), "the long one still ran");
    assert_eq!(short.0.needs, [Need::MoreTime]);

    let handle = runtime.start("a").await.unwrap();
    let mut events = runtime.events();
    wait_for(&mut events, "a", |kind| matches!(kind, EventKind::Started { .. })).await;
    let (report, _) = wake(&runtime, "a", BUDGET).await;
    assert!((55..=60).contains(&report.ingested), "{report:?}");
    assert_eq!(handle.wait().await.unwrap().end, End::Stopped);

    let handle = runtime.start("a").await.unwrap();
    runtime.pause("a").await.unwrap();
    let (report, _) = wake(&runtime, "a", BUDGET).await;
    assert!((55..=60).contains(&report.ingested), "{report:?}");
    assert_eq!(handle.wait().await.unwrap().end, End::Stopped);
    let visible = shown.visible();
    assert_eq!(visible, records(visible.len() as u128));
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: wakes with budgets of any length, through sources and sinks that fail now and then. Guarantees: G1, G2, G3, G5:
/// each report is in time, and in the end each record is there once.
#[tokio::test(start_paused = true)]
async fn whatever_the_wakes_records_come_once() {
    for seed in 0..8 {
        let directory = tempfile::tempdir().unwrap();
        let (runtime, mut feed) = (open(&directory).await, Feed::endless());
        let mut random = Random::from_seed(seed);
        feed.script.items = Arc::new(records(400));
        feed.script.faults = 0.05;
        feed.shown = Recording::new(0.05, seed);
        runtime.know(feed.spec("a")).await.unwrap();
        let mut wakes = 0;
        while feed.shown.visible().len() < 400 {
            let budget = Duration::from_millis(50 + random.below(3000));
            wake(&runtime, "a", budget).await;
            wakes += 1;
            assert!(wakes < 500, "seed {seed}: {} records", feed.shown.visible().len());
        }
        let (report, _) = wake(&runtime, "a", Duration::from_secs(60)).await;
        assert!(report.safe_to_suspend, "seed {seed}");
        feed.assert_shown();
        runtime.shutdown(PATIENCE).await.unwrap();
    }
}

/// A sink whose jobs block until they are let go.
struct Blocked {
    let_go: Arc<(Mutex<bool>, std::sync::Condvar)>,
    blocking: Option<afferent_core::blocking::Blocking>,
}

impl Sink for Blocked {
    type Item = Record;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        self.blocking = Some(cx.blocking);
        Ok(Opened::Resumed)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        batch.clear();
        let let_go = self.let_go.clone();
        let job = self.blocking.as_ref().unwrap().spawn(move || {
            let free = let_go.0.lock().unwrap();
            drop(let_go.1.wait_while(free, |free| !*free).unwrap());
        });
        job.await
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        Ok(Prepared::default())
    }

    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}

/// Scenario: the disk blocks: a job of the sink does not end. Guarantees: the report is there all the same, and says that it
/// is not safe to suspend; when the job has ended, the next wake goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_hangs_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::endless());
    let let_go = Arc::<(Mutex<bool>, std::sync::Condvar)>::default();
    let (held, script) = (let_go.clone(), feed.script.clone());
    let spec = PipelineSpec::new("a", Settings::default(), move || {
        let sink = Blocked { let_go: held.clone(), blocking: None };
        BoxStages::new(
            vec![("source".into(), Box::new(script.source()))],
            Line::new(Vec::new())?,
            vec![("sink".into(), Box::new(sink), None)],
        )
    });
    runtime.know(spec).await.unwrap();
    for _ in 0..2 {
        // The clock is the machine's, and the machine may be slow.
        let report = runtime.wake("a", Duration::from_secs(1)).await.unwrap();
        assert!(!report.safe_to_suspend && report.needs.contains(&Need::MoreTime), "{report:?}");
    }
    *let_go.0.lock().unwrap() = true;
    let_go.1.notify_all();
    let report = runtime.wake("a", Duration::from_secs(60)).await.unwrap();
    assert_eq!((report.ingested, report.safe_to_suspend), (100, true), "{report:?}");
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a drain with a limit, and then one without, of a pipeline whose receiver is slow. Guarantees: G1: the first ends
/// at its limit and says what is left, all of which is kept; the second delivers it.
#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, feed) = (open(&directory).await, Feed::endless());
    let receiver = Arc::new(Receiver { per: Duration::from_millis(100), made: Mutex::default(), need: None });
    let mut events = runtime.events();
    let handle = runtime.apply(receiver.spec("a", &feed)).await.unwrap();
    wait_for(
        &mut events,
        "a",
        |kind| matches!(kind, EventKind::Committed { ledger, .. } if ledger.accounts["sink"].read == 100),
    )
    .await;
    let began = clock::instant();
    let left = runtime.drain("a", Some(Duration::from_secs(3))).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3) && began.elapsed() < Duration::from_secs(4));
    assert!((60..=75).contains(&left), "{left}");
    let outcome = handle.wait().await.unwrap();
    assert_eq!((outcome.end, outcome.ledger.accounts["sink"].pending), (End::Stopped, left));
    assert_eq!(runtime.status("a").await.unwrap().desired, Some(Desired::Stopped));

    runtime.start("a").await.unwrap();
    assert_eq!(runtime.drain("a", None).await.unwrap(), 0);
    assert_eq!(receiver.pending(), 0);
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Scenario: a pipeline that was merely run fails again and again, each time after a healthy minute. Guarantees: failures of
/// before count no more: it is started again more often than one that fails at once would be, and after the shortest wait.
#[tokio::test(start_paused = true)]
async fn a_healthy_minute_is_a_new_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, shown) = (open(&directory).await, Recording::default());
    let times = 3 * u128::from(MAX_RESTARTS);
    let spec = slow("a", Pace::FailsEach(Duration::from_secs(61), times), &shown);
    let mut events = runtime.events();
    let handle = runtime.run(spec).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().end, End::Finished);
    let mut retries = 0;
    while let Ok(event) = events.try_recv() {
        if let EventKind::Retrying { after_ms, .. } = event.kind {
            assert!(after_ms <= 100, "{after_ms} ms");
            retries += 1;
        }
    }
    assert_eq!(retries, times);
    runtime.shutdown(PATIENCE).await.unwrap();
}
