//! Tests of the engine: commands, ends, pushing back, merging. The protocol's property is in `tests/protocol.rs`.

mod by_type;
mod fencing;
mod look;
mod slow_store;
mod time;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::{
    Batch, Emit, Error, ErrorKind, MemoryStore, Transform,
    event::Event,
    mailbox::{Mailbox, mailbox},
    stage::{BoxSink, BoxSource, BoxTransform, Identity, Line, Named, from_stream, once, ops},
    testing::{Recording, Script, TestClock},
};

/// One pipeline's world, kept over several runs.
struct World {
    store: Arc<MemoryStore>,
    directory: TempDir,
    settings: Settings,
}

/// The outside of a run.
struct Outside {
    mailbox: Mailbox,
    events: broadcast::Receiver<Event>,
    kill: CancellationToken,
}

impl World {
    fn new() -> World {
        World {
            store: Arc::new(MemoryStore::new()),
            directory: tempfile::tempdir().unwrap(),
            settings: Settings::default(),
        }
    }

    fn run(&self) -> (EngineCx, Outside) {
        let (mailbox, commands) = mailbox();
        let (sender, events) = Events::alone(Name::from("test"));
        let kill = CancellationToken::new();
        let cx = EngineCx {
            pipeline: Name::from("test"),
            settings: self.settings,
            store: self.store.clone(),
            claim: Default::default(),
            clock: Arc::new(TestClock::default()),
            disk: crate::disk::OsDisk::shared(),
            random: Random::from_seed(1),
            directory: self.directory.path().to_owned(),
            queues: Queues::new(
                crate::disk::OsDisk::shared(),
                self.directory.path().join("queues"),
                self.store.clone(),
            ),
            mailbox: commands,
            events: sender,
            kill: kill.clone(),
        };
        (cx, Outside { mailbox, events, kill })
    }
}

impl Outside {
    /// Waits for an event that `wanted` accepts.
    async fn event(&mut self, wanted: impl Fn(&EventKind) -> bool) -> EventKind {
        loop {
            let event = self.events.recv().await.expect("the pipeline runs");
            if wanted(&event.kind) {
                return event.kind;
            }
        }
    }
}

/// Runs a pipeline beside the test.
#[allow(clippy::disallowed_methods, reason = "the test stands for the runtime here")]
fn spawn(
    running: impl Future<Output = Result<Outcome>> + Send + 'static,
) -> tokio::task::JoinHandle<Result<Outcome>> {
    tokio::spawn(running)
}

fn stages<S, K>(source: S, sink: K) -> Result<Stages<S, Identity<S::Item>, K>>
where
    S: Source,
    K: Sink<Item = S::Item>,
{
    Ok(Stages::line(("source", source), Identity::default(), ("sink", sink)))
}

/// Scenario: a finite source to its end. Guarantees: G1, the ledger; epoch 0 is saved before anything is written.
#[tokio::test(start_paused = true)]
async fn a_finite_source_finishes() {
    let world = World::new();
    let recording = Recording::default();
    let script = Script::new((0..1000_u64).collect());
    let (cx, _outside) = world.run();
    let outcome = run(cx, || stages(script.source(), recording.sink())).await.unwrap();
    assert_eq!(outcome.end, End::Finished);
    assert_eq!(recording.visible(), (0..1000).collect::<Vec<_>>());
    let account = outcome.ledger.accounts["sink"];
    assert_eq!((account.read, account.delivered, account.pending), (1000, 1000, 0));
    assert!(outcome.ledger.is_balanced());
}

/// Scenario: the same pipeline twice, static and boxed. Guarantees: both run the same code to the same result.
#[tokio::test(start_paused = true)]
async fn static_and_boxed_give_the_same() {
    let script = Script::new((0..5000_u64).collect());
    let even = || {
        ops().filter(|n: &u64| n.is_multiple_of(2)).map(|n| *n += 1).filter(|n| !n.is_multiple_of(3)).build()
    };

    let (world, fixed) = (World::new(), Recording::default());
    let (cx, _outside) = world.run();
    let make =
        || Ok(Stages::line(("source", script.source()), Named::new("ops", even()), ("sink", fixed.sink())));
    let first = run(cx, make).await.unwrap();

    let (world, boxed) = (World::new(), Recording::default());
    let (cx, _outside) = world.run();
    let make = || {
        let source: BoxSource<u64> = Box::new(script.source());
        let one: BoxTransform<u64> = Box::new(ops().filter(|n: &u64| n.is_multiple_of(2)).build());
        let two: BoxTransform<u64> = Box::new(ops().map(|n: &mut u64| *n += 1).build());
        let three: BoxTransform<u64> = Box::new(ops().filter(|n: &u64| !n.is_multiple_of(3)).build());
        let line = Line::new(vec![("a".into(), one), ("b".into(), two), ("c".into(), three)])?;
        let sink: BoxSink<u64> = Box::new(boxed.sink());
        Ok(BoxStages::line(("source", source), line, ("sink", sink)))
    };
    let second = run(cx, make).await.unwrap();

    assert_eq!(fixed.visible(), boxed.visible());
    assert_eq!(first.ledger.accounts, second.ledger.accounts);
}

/// Scenario: the sink takes nothing. Guarantees: G7, exactly one batch has left the source, the one that the
/// sink is being given: pulls are not polled while a batch moves.
#[tokio::test(start_paused = true)]
async fn a_slow_sink_holds_the_source_at_an_exact_number_of_records() {
    let mut world = World::new();
    world.settings.limits.records = 10;
    let recording: Recording<u64> = Recording::default();
    recording.gate.forget_permits(usize::MAX);
    let script = Script { seed: Arc::new(7.into()), ..Script::new((0..1000_u64).collect()) };
    let given = script.given.clone();
    let (cx, outside) = world.run();
    let mut running = run(cx, || stages(script.source(), recording.sink())).boxed();
    // It runs until it can do nothing more.
    assert!(futures::poll!(&mut running).is_pending());
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(futures::poll!(&mut running).is_pending());
    }
    let first_batch = given.load(Ordering::SeqCst);
    assert!((1..=10).contains(&first_batch), "one batch is in flight, not {first_batch} records");

    // Each permit lets exactly one record into the sink, and no further record out of the source until the
    // batch is through.
    recording.gate.add_permits(first_batch as usize);
    assert!(futures::poll!(&mut running).is_pending());
    let second = given.load(Ordering::SeqCst) - first_batch;
    assert!((1..=10).contains(&second), "one more batch, not {second} records");
    assert_eq!(recording.gate.available_permits(), 0, "the first batch is in the sink");

    // The mailbox is served all the while.
    let (status, _) = futures::join!(outside.mailbox.status(), async {
        assert!(futures::poll!(&mut running).is_pending());
    });
    assert_eq!(status.unwrap().activity, Activity::Running);
    outside.kill.cancel();
    assert_eq!(running.await.unwrap().end, End::Killed);
    assert_eq!(recording.visible(), Vec::<u64>::new(), "a killed epoch shows nothing");
}

/// Scenario: one record, then silence. Guarantees: a sparse stream is delivered at once, not after the interval,
/// and the pipeline knows that it is idle.
#[tokio::test(start_paused = true)]
async fn a_sparse_stream_is_delivered_at_once() {
    let mut world = World::new();
    world.settings.every = Duration::from_secs(3600);
    let recording = Recording::default();
    let (sender, receiver) = mpsc::channel(8);
    let mut stream = Some(ReceiverStream::new(receiver));
    let (cx, mut outside) = world.run();
    let shown = recording.clone();
    let task = spawn(run(cx, move || {
        stages(
            once(stream.take().map_or(futures::stream::empty().boxed(), |stream| stream.boxed())),
            shown.sink(),
        )
    }));
    outside.event(|event| matches!(event, EventKind::Idle)).await;
    for number in 0..3_u64 {
        let before = clock::instant();
        sender.send(number).await.unwrap();
        outside.event(|event| matches!(event, EventKind::Committed { .. })).await;
        assert_eq!(recording.visible(), (0..=number).collect::<Vec<_>>());
        assert!(before.elapsed() < Duration::from_secs(1));
        outside.event(|event| matches!(event, EventKind::Idle)).await;
    }
    drop(sender);
    assert_eq!(task.await.unwrap().unwrap().end, End::Finished);
}

/// Scenario: `until_idle` over a source that never ends. Guarantees: the run ends once everything is committed.
#[tokio::test(start_paused = true)]
async fn until_idle_ends_when_all_is_committed() {
    let mut world = World::new();
    world.settings.until_idle = true;
    let recording = Recording::default();
    let script = Script { finite: false, ..Script::new((0..100_u64).collect()) };
    let (cx, _outside) = world.run();
    let outcome = run(cx, || stages(script.source(), recording.sink())).await.unwrap();
    assert_eq!(outcome.end, End::Idle);
    assert_eq!(recording.visible().len(), 100);
}

/// Scenario: pause, status, resume, checkpoint and stop, in this order. Guarantees: each is answered when its
/// effect is there; nothing moves while it is paused; a stop closes the epoch.
#[tokio::test(start_paused = true)]
async fn commands_are_answered_when_their_effect_is_there() {
    let mut world = World::new();
    world.settings.every = Duration::from_secs(3600);
    let recording = Recording::default();
    let (sender, receiver) = mpsc::channel(8);
    let mut stream = Some(ReceiverStream::new(receiver));
    let (cx, mut outside) = world.run();
    let shown = recording.clone();
    let task = spawn(run(cx, move || {
        stages(
            once(stream.take().map_or(futures::stream::empty().boxed(), |stream| stream.boxed())),
            shown.sink(),
        )
    }));
    outside.event(|event| matches!(event, EventKind::Idle)).await;

    outside.mailbox.pause().await.unwrap();
    assert_eq!(outside.mailbox.status().await.unwrap().activity, Activity::Paused);
    sender.send(1_u64).await.unwrap();
    clock::sleep(Duration::from_secs(60)).await;
    assert_eq!(recording.visible(), Vec::<u64>::new(), "nothing moves while it is paused");

    outside.mailbox.resume().await.unwrap();
    outside.event(|event| matches!(event, EventKind::Committed { .. })).await;
    assert_eq!(recording.visible(), vec![1]);
    let epoch = outside.mailbox.checkpoint().await.unwrap();
    assert_eq!(Some(epoch), outside.mailbox.status().await.unwrap().epoch);

    outside.mailbox.stop().await.unwrap();
    assert_eq!(task.await.unwrap().unwrap().end, End::Stopped);
    assert_eq!(outside.mailbox.status().await.unwrap_err().kind(), ErrorKind::State);
}

/// Scenario: the sink's credentials are refused once. Guarantees: G11, it pauses, keeps everything, and goes on
/// when it is resumed.
#[tokio::test(start_paused = true)]
async fn refused_credentials_pause() {
    struct Refusing(Arc<AtomicU32>);
    impl Transform for Refusing {
        type In = u64;
        type Out = u64;
        fn apply(&mut self, input: &mut Batch<u64>, out: &mut Emit<u64>) -> Result<()> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(Error::new(ErrorKind::Auth, "the token was refused"));
            }
            out.take(input);
            Ok(())
        }
    }
    let world = World::new();
    let recording = Recording::default();
    let script = Script::new((0..100_u64).collect());
    let calls = Arc::new(AtomicU32::new(0));
    let (cx, mut outside) = world.run();
    let shown = recording.clone();
    let task = spawn(run(cx, move || {
        let refusing = Named::new("refusing", Refusing(calls.clone()));
        Ok(Stages::line(("source", script.source()), refusing, ("sink", shown.sink())))
    }));
    outside.event(|event| matches!(event, EventKind::Paused { .. })).await;
    clock::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(outside.mailbox.status().await.unwrap().activity, Activity::Paused);
    outside.mailbox.resume().await.unwrap();
    assert_eq!(task.await.unwrap().unwrap().end, End::Finished);
    assert_eq!(recording.visible(), (0..100).collect::<Vec<_>>());
}

/// Scenario: the sink's place is deleted between two runs. Guarantees: a new token is saved before anything is
/// written there, and what comes next goes to the new place.
#[tokio::test(start_paused = true)]
async fn a_deleted_place_is_begun_anew() {
    let mut world = World::new();
    world.settings.until_idle = true;
    let recording = Recording::default();
    let run_once = |items: u64| {
        let (cx, outside) = world.run();
        let script = Script { finite: false, ..Script::new((0..items).collect()) };
        let recording = recording.clone();
        async move {
            let outcome = run(cx, || stages(script.source(), recording.sink())).await.unwrap();
            drop(outside);
            outcome
        }
    };
    let before = run_once(10).await.epoch.unwrap();
    recording.delete();
    let after = run_once(15).await.epoch.unwrap();
    assert_eq!(recording.visible(), (10..15).collect::<Vec<_>>());
    assert!(after > before.next(), "a bridging epoch lies between");
}

/// Scenario: three sources merge, one of them busy without end. Guarantees: G3 in each, and none is starved.
#[tokio::test(start_paused = true)]
async fn a_busy_source_starves_no_other() {
    let mut world = World::new();
    world.settings.limits.records = 1;
    let recording = Recording::default();
    let (cx, outside) = world.run();
    let make = || {
        let busy = from_stream("busy", |_| futures::stream::repeat(0_u64));
        let one = from_stream("one", |taken| futures::stream::iter(1 + taken..20));
        let two = from_stream("two", |taken| futures::stream::iter(100 + taken..120));
        Stages::new(
            vec![("busy".into(), busy), ("one".into(), one), ("two".into(), two)],
            Identity::default(),
            vec![("sink".into(), recording.sink(), None)],
        )
    };
    recording.gate.forget_permits(usize::MAX);
    recording.gate.add_permits(100);
    let mut running = run(cx, make).boxed();
    // It stops by itself once 100 records are in the sink.
    while recording.gate.available_permits() > 0 {
        assert!(futures::poll!(&mut running).is_pending());
        tokio::task::yield_now().await;
    }
    recording.gate.add_permits(usize::MAX >> 4);
    let answer = futures::future::select(outside.mailbox.checkpoint().boxed(), &mut running).await;
    assert!(matches!(answer, futures::future::Either::Left((Ok(_), _))), "the checkpoint is answered");
    let visible = recording.visible();
    let one: Vec<u64> = visible.iter().copied().filter(|n| (1..20).contains(n)).collect();
    let two: Vec<u64> = visible.iter().copied().filter(|n| (100..120).contains(n)).collect();
    assert_eq!(one, (1..20).collect::<Vec<_>>());
    assert_eq!(two, (100..120).collect::<Vec<_>>());
    outside.kill.cancel();
}

/// Scenario: a transform loses a record. Guarantees: G1, its account does not balance, and the run ends with an
/// error that names it.
#[tokio::test(start_paused = true)]
async fn a_transform_that_loses_a_record_is_found_out() {
    struct Loses;
    impl Transform for Loses {
        type In = u64;
        type Out = u64;
        fn apply(&mut self, input: &mut Batch<u64>, out: &mut Emit<u64>) -> Result<()> {
            input.pop();
            out.take(input);
            Ok(())
        }
    }
    let world = World::new();
    let recording: Recording<u64> = Recording::default();
    let script = Script::new((0..10_u64).collect());
    let (cx, _outside) = world.run();
    let make = || {
        Ok(Stages::line(("source", script.source()), Named::new("loses", Loses), ("sink", recording.sink())))
    };
    let error = run(cx, make).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Bug, Some("loses")));
    assert_eq!(recording.visible(), Vec::<u64>::new());
}

/// A sink whose driver settles each committed epoch a second later and refuses its first record.
#[derive(Default)]
struct Uploading {
    cx: Option<crate::SinkCx>,
    written: u64,
    pending: Arc<AtomicU32>,
    refused: Arc<AtomicU32>,
}

impl Sink for Uploading {
    type Item = u64;
    async fn open(&mut self, cx: crate::SinkCx) -> Result<crate::Opened> {
        self.cx = Some(cx);
        Ok(crate::Opened::Elsewhere)
    }
    async fn write(&mut self, batch: &mut Batch<u64>) -> Result<()> {
        self.written += batch.drain(..).count() as u64;
        Ok(())
    }
    async fn prepare(&mut self, _: Epoch) -> Result<crate::Prepared> {
        self.pending.fetch_add(u32::try_from(std::mem::take(&mut self.written)).unwrap(), Ordering::SeqCst);
        let refused = u64::from(self.refused.swap(0, Ordering::SeqCst));
        let refused = [(None, refused)].into_iter().collect();
        Ok(crate::Prepared { refused, ..crate::Prepared::default() })
    }
    async fn commit(&mut self, epoch: Epoch, _: Option<&crate::Token>) -> Result<()> {
        let cx = self.cx.as_ref().unwrap();
        let (acknowledgements, pending, refused) =
            (cx.acknowledgements.clone(), self.pending.clone(), self.refused.clone());
        if pending.load(Ordering::SeqCst) > 0 {
            cx.drivers.spawn(async move {
                clock::sleep(Duration::from_secs(1)).await;
                let dead_letters = vec![crate::testing::store_contract::dead_letter(epoch.0, "refused")];
                let state = b"all".to_vec();
                acknowledgements
                    .save(crate::checkpoint::Acknowledgement { state, dead_letters, ..Default::default() })
                    .await
                    .unwrap();
                refused.store(1, Ordering::SeqCst);
                pending.store(0, Ordering::SeqCst);
            });
        }
        Ok(())
    }
    fn pending(&self) -> u64 {
        u64::from(self.pending.load(Ordering::SeqCst))
    }
}

/// Scenario: a source whose every item is bad, and little room for dead letters. Guarantees: G7, G11: by default the pipeline
/// stops and passes nothing over, also when it is run again; where it says so the oldest are dropped, and it goes on.
#[tokio::test(start_paused = true)]
async fn dead_letters_stop_at_their_bound() {
    let mut world = World::new();
    world.settings.limits.records = 10;
    world.settings.records = 10;
    world.settings.letters.max_bytes = 5_000;
    let script = Script { bad: |_| true, ..Script::new((0..1000_u64).collect()) };
    let name = Name::from("test");
    for _ in 0..2 {
        let (cx, _outside) = world.run();
        let error = run(cx, || stages(script.source(), Recording::default().sink())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State, "{error}");
        assert!(error.message().contains("dlq ls test"), "{error}");
        assert!(world.store.letters_held(&name).await.unwrap().bytes <= 5_000);
    }
    let generation = world.store.claim(&name).await.unwrap();
    let ledger = world.store.load(&name, generation).await.unwrap().unwrap().checkpoint.ledger;
    let kept = world.store.count_dead_letters(&name).await.unwrap();
    assert!(kept > 0 && ledger.dead_letters == kept, "{kept} are kept of {}", ledger.dead_letters);

    world.settings.letters.on_full = crate::checkpoint::OnFull::DropOldest;
    let (cx, _outside) = world.run();
    let outcome = run(cx, || stages(script.source(), Recording::default().sink())).await.unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert_eq!((account.read, account.dead), (1000, 1000), "they are dropped, and still accounted for");
    assert!(world.store.letters_held(&name).await.unwrap().bytes <= 5_000);
    let letters = world.store.letters(&name, None, 1000).await.unwrap();
    assert!(letters.iter().any(|(_, letter)| letter.epoch == outcome.epoch.unwrap()), "the newest are there");
}

/// Scenario: dead letters grow old in an idle pipeline. Guarantees: one alarm says so; where the pipeline says so they are
/// dropped.
#[tokio::test(start_paused = true)]
async fn old_dead_letters_raise_an_alarm() {
    let mut world = World::new();
    let script = Script { bad: |_| true, finite: false, ..Script::new((0..10_u64).collect()) };
    let (mut cx, mut outside) = world.run();
    // It follows the paused clock.
    let clock = TestClock::default();
    cx.clock = Arc::new(clock);
    let source = script.clone();
    let task = spawn(run(cx, move || stages(source.source(), Recording::default().sink())));
    let is_alarm =
        |event: &EventKind| matches!(event, EventKind::Alarm { message, .. } if message.contains("days old"));
    let began = clock::instant();
    outside.event(is_alarm).await;
    let days = clock::instant().duration_since(began).as_secs_f64() / 86_400.0;
    assert!((7.0..7.1).contains(&days), "after {days} days");
    clock::sleep(Duration::from_secs(86_400)).await;
    while let Ok(event) = outside.events.try_recv() {
        assert!(!is_alarm(&event.kind), "once is enough");
    }
    outside.kill.cancel();
    task.await.unwrap().unwrap();

    world.settings.letters.max_age = Some(Duration::from_secs(86_400));
    let (mut cx, outside) = world.run();
    cx.clock = Arc::new(clock);
    let task = spawn(run(cx, move || stages(script.source(), Recording::default().sink())));
    while world.store.count_dead_letters(&Name::from("test")).await.unwrap() > 0 {
        clock::sleep(Duration::from_secs(60)).await;
    }
    outside.kill.cancel();
    task.await.unwrap().unwrap();
}

/// Scenario: a sink opens elsewhere and says in the bridging epoch that its receiver refused a record meanwhile; nothing
/// else happens in that run. Guarantees: G1, the account of the bridging checkpoint says so: its token counts it as known.
#[tokio::test(start_paused = true)]
async fn what_a_bridging_epoch_hears_is_counted() {
    let world = World::new();
    let script = Script::new((0..10_u64).collect());
    let (cx, _outside) = world.run();
    run(cx, || stages(script.source(), Recording::default().sink())).await.unwrap();
    let (cx, _outside) = world.run();
    let sink = || Uploading { refused: Arc::new(AtomicU32::new(1)), ..Uploading::default() };
    let outcome = run(cx, || stages(script.source(), sink())).await.unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert_eq!((account.read, account.delivered, account.dead), (10, 9, 1));
    assert_eq!(outcome.ledger.dead_letters, 1);
}

/// Scenario: a finite source into a sink whose receiver acknowledges later and refuses a record. Guarantees: G1, the run
/// waits for its receiver, and its last account says what became of everything.
#[tokio::test(start_paused = true)]
async fn a_run_ends_when_its_receiver_has_acknowledged() {
    let world = World::new();
    let (cx, mut outside) = world.run();
    let script = Script::new((0..10_u64).collect());
    let outcome = run(cx, || stages(script.source(), Uploading::default())).await.unwrap();
    let account = outcome.ledger.accounts["sink"];
    assert_eq!((account.read, account.delivered, account.dead, account.pending), (10, 9, 1, 0));
    assert!(outcome.ledger.is_balanced());
    assert_eq!(outcome.ledger.dead_letters, 1);
    assert_eq!(world.store.count_dead_letters(&Name::from("test")).await.unwrap(), 1);
    let pending = outside.event(
        |event| matches!(event, EventKind::Committed { ledger, .. } if ledger.accounts["sink"].pending == 10),
    );
    assert!(pending.now_or_never().is_some(), "meanwhile the account said what was pending");
}
