//! Tests of transforms that take something from outside.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::{
    CheckpointStore, Snapshot, State, Timestamp,
    stage::{Look, Looked},
};

/// What is outside: a number that grows.
#[derive(Clone, Default)]
struct Place {
    number: Arc<AtomicU64>,
    /// How often it was looked at.
    looks: Arc<AtomicU64>,
    /// Of how many looks one finds nothing that can be used; 0 for none.
    unusable: u64,
}

/// Writes the number in force on each item.
struct Stamped {
    place: Place,
    store: Arc<MemoryStore>,
    in_force: Option<u64>,
    found: Arc<AtomicU64>,
    saved: Option<u64>,
}

impl Stamped {
    fn new(place: &Place, store: &Arc<MemoryStore>) -> Stamped {
        let (place, store) = (place.clone(), store.clone());
        Stamped { place, store, in_force: None, found: Arc::default(), saved: None }
    }
}

impl Transform for Stamped {
    type In = u64;
    type Out = (u64, u64);

    fn look(&mut self, _: Timestamp) -> Option<Look> {
        let (place, found, in_force) = (self.place.clone(), self.found.clone(), self.in_force);
        Some(Box::new(move || {
            let looks = place.looks.fetch_add(1, Ordering::SeqCst);
            if place.unusable > 0 && looks % place.unusable == 1 {
                return match in_force {
                    Some(_) => {
                        Ok(Looked { is_stale: true, alarm: Some("unusable".into()), ..Looked::default() })
                    }
                    None => Err(Error::transient("unusable")),
                };
            }
            let number = place.number.load(Ordering::SeqCst);
            found.store(number, Ordering::SeqCst);
            Ok(Looked { is_new: in_force != Some(number), ..Looked::default() })
        }))
    }

    fn apply(&mut self, input: &mut Batch<u64>, out: &mut Emit<(u64, u64)>) -> Result<()> {
        let name = Name::from("test");
        let checkpoints = self.store.checkpoints(&name).now_or_never().expect("it is in memory")?;
        let newest = checkpoints.iter().map(|checkpoint| checkpoint.epoch).max().expect("epoch 0");
        let state = self.store.state(&name, &Name::from("stamped"), newest).now_or_never();
        let rows: Vec<_> = state.expect("it is in memory")?.collect::<Result<_>>()?;
        let in_force = self.in_force.expect("it was looked for");
        let expected = [(Vec::new(), in_force.to_be_bytes().to_vec())];
        assert_eq!(rows, expected, "what is in force is in the newest checkpoint");
        // Somebody changes it all the time.
        self.place.number.fetch_add(1, Ordering::SeqCst);
        input.drain(..).for_each(|item| out.push((item, in_force)));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let found = self.found.load(Ordering::SeqCst);
        self.in_force = Some(self.in_force.map_or(found, |in_force| in_force.max(found)));
        if self.saved == self.in_force {
            return Ok(Snapshot::Unchanged);
        }
        self.saved = self.in_force;
        Ok(Snapshot::Full(self.in_force.unwrap_or_default().to_be_bytes().to_vec()))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (_, bytes) = row?;
            let number = bytes.try_into().map_err(|_| Error::state("8 bytes"))?;
            (self.in_force, self.saved) =
                (Some(u64::from_be_bytes(number)), Some(u64::from_be_bytes(number)));
        }
        Ok(())
    }
}

/// Scenario: what is outside changes with every batch, and can't be used now and then; source and sink fail, so that epochs
/// are undone and replayed. Guarantees: G1, G2, G3, G5; each item shows once, in order, an epoch meets only what a checkpoint holds,
/// and nothing older is in force ever again.
#[tokio::test(start_paused = true)]
async fn what_is_new_is_saved_before_a_record_meets_it() {
    for seed in 0..40 {
        let mut world = World::new();
        (world.settings.records, world.settings.limits.records) = (20, 7);
        let place = Place { unusable: seed % 4, ..Place::default() };
        let recording = Recording::new(0.05, seed);
        let script =
            Script { faults: 0.1, seed: Arc::new(seed.into()), ..Script::new((0..300_u64).collect()) };
        let (cx, mut outside) = world.run();
        let make = || {
            let stamped = Named::new("stamped", Stamped::new(&place, &world.store));
            Ok(Stages::line(("source", script.source()), stamped, ("sink", recording.sink())))
        };
        run(cx, make).await.unwrap();
        let shown = recording.visible();
        assert!(shown.iter().map(|(item, _)| *item).eq(0..300), "seed {seed}");
        assert!(shown.is_sorted_by_key(|(_, number)| *number), "seed {seed}: {shown:?}");
        assert!(shown.last().unwrap().1 > shown[0].1, "seed {seed}: it changed meanwhile");
        if place.unusable > 1 {
            let mut events = std::iter::from_fn(|| outside.events.try_recv().ok());
            let is_said = |event: Event| matches!(event.kind, EventKind::Alarm { message, .. } if message == "unusable");
            assert!(events.any(is_said), "seed {seed}");
        }
    }
}

/// Scenario: an idle pipeline; what is outside changes, then one item comes. Guarantees: the item meets what is there now, and not what was
/// there when the pipeline fell idle.
#[tokio::test(start_paused = true)]
async fn an_idle_pipeline_looks_before_its_next_record() {
    let world = World::new();
    let (place, recording) = (Place::default(), Recording::default());
    let (sender, receiver) = mpsc::channel(8);
    let mut stream = Some(ReceiverStream::new(receiver));
    let (cx, mut outside) = world.run();
    let (at, store, shown) = (place.clone(), world.store.clone(), recording.clone());
    let task = spawn(run(cx, move || {
        let source = once(stream.take().map_or(futures::stream::empty().boxed(), |stream| stream.boxed()));
        let stamped = Named::new("stamped", Stamped::new(&at, &store));
        Ok(Stages::line(("source", source), stamped, ("sink", shown.sink())))
    }));
    for (item, number) in [(1, 10), (2, 20), (3, 30)] {
        outside.event(|event| matches!(event, EventKind::Idle)).await;
        place.number.store(number, Ordering::SeqCst);
        sender.send(item).await.unwrap();
    }
    drop(sender);
    assert_eq!(task.await.unwrap().unwrap().end, End::Finished);
    assert_eq!(recording.visible(), [(1, 10), (2, 20), (3, 30)]);
}

/// Scenario: there is nothing that can be used when the pipeline starts for the first time. Guarantees: the run says so before any
/// record moves.
#[tokio::test(start_paused = true)]
async fn a_first_start_without_it_ends() {
    struct Nothing;
    impl Transform for Nothing {
        type In = u64;
        type Out = u64;
        fn look(&mut self, _: Timestamp) -> Option<Look> {
            Some(Box::new(|| Err(Error::config("nothing is there"))))
        }
        fn apply(&mut self, _: &mut Batch<u64>, _: &mut Emit<u64>) -> Result<()> {
            unreachable!("no record moves")
        }
    }
    let (world, recording) = (World::new(), Recording::default());
    let script = Script::new((0..10_u64).collect());
    let (cx, _outside) = world.run();
    let make = || {
        Ok(Stages::line(
            ("source", script.source()),
            Named::new("nothing", Nothing),
            ("sink", recording.sink()),
        ))
    };
    let error = run(cx, make).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Config, Some("nothing")));
    assert_eq!(script.given.load(Ordering::SeqCst), 0);
}
