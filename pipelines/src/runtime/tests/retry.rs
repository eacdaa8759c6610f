//! Tests of dead letters that are put in again.

use std::sync::atomic::AtomicBool;

use afferent_core::{
    Batch, CheckpointStore, Emit, Epoch, Name, Opened, Prepared, Reject, Rejects, Sink, SinkCx, Token,
    Transform, ledger::Account, testing::RecordingSink,
};

use afferent_formats::Format;

use super::*;
use crate::{Builder, definition::StageInfo, registry::StageKind};

/// Which records are refused: those whose id ends so.
const PICKY: u128 = 3;
const REFUSED: u128 = 5;

fn ends(record: &Record, digit: u128) -> bool {
    record.id.as_u128() % 10 == digit
}

/// Counts what passes.
struct Counting(Arc<AtomicU32>);

impl Transform for Counting {
    type In = Record;
    type Out = Record;
    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        self.0.fetch_add(u32::try_from(input.len()).unwrap(), Ordering::SeqCst);
        out.take(input);
        Ok(())
    }
}

/// Rejects some while it is `on`.
struct Picky(Arc<AtomicBool>);

impl Transform for Picky {
    type In = Record;
    type Out = Record;
    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.drain(..) {
            match self.0.load(Ordering::SeqCst) && ends(&record, PICKY) {
                true => out.reject_record(&record, "scripted"),
                false => out.push(record),
            }
        }
        Ok(())
    }
}

/// Can't store some while it is `on`.
struct Refusing {
    on: Arc<AtomicBool>,
    sink: RecordingSink<Record>,
    rejects: Rejects,
}

impl Sink for Refusing {
    type Item = Record;
    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        self.sink.open(cx).await
    }
    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        if self.on.load(Ordering::SeqCst) {
            let refused = batch.iter().filter(|record| ends(record, REFUSED));
            self.rejects.extend(refused.map(|record| Reject::record(record, "scripted")));
            batch.retain(|record| !ends(record, REFUSED));
        }
        self.sink.write(batch).await
    }
    async fn prepare(&mut self, epoch: Epoch) -> Result<Prepared> {
        let prepared = self.sink.prepare(epoch).await?;
        Ok(Prepared { rejects: std::mem::take(&mut self.rejects), ..prepared })
    }
    async fn commit(&mut self, epoch: Epoch, token: Option<&Token>) -> Result<()> {
        self.sink.commit(epoch, token).await
    }
}

#[derive(Clone, Default)]
struct World {
    counted: Arc<AtomicU32>,
    on: Arc<AtomicBool>,
    shown: [Recording<Record>; 3],
}

impl World {
    /// A pipeline with the sinks `plain` and `refusing`, and a third if it is wanted.
    fn spec(&self, third: bool) -> PipelineSpec {
        let world = self.clone();
        let script = Script::new(records(100));
        let mut builder = Builder::new("picky").source("same", move || Ok(script.source()));
        let (counted, on) = (world.counted.clone(), world.on.clone());
        builder = builder.transform("counting", move || Ok(Counting(counted.clone())));
        builder = builder.transform("same", move || Ok(Picky(on.clone())));
        let [plain, refusing, late] = world.shown;
        let on = world.on;
        builder = builder.sink("plain", move || Ok(plain.sink()));
        builder = builder.sink("refusing", move || {
            Ok(Refusing { on: on.clone(), sink: refusing.sink(), rejects: Vec::new() })
        });
        if third {
            builder = builder.sink("late", move || Ok(late.sink()));
        }
        builder.build().unwrap()
    }

    fn ids(&self, sink: usize) -> Vec<u128> {
        let mut ids: Vec<u128> =
            self.shown[sink].visible().iter().map(|record| record.id.as_u128()).collect();
        ids.sort_unstable();
        ids
    }
}

fn stages() -> Vec<StageInfo> {
    let of = |kind, names: &[&str]| {
        let stage = move |name: &&str| StageInfo {
            kind,
            name: Name::from(*name),
            type_name: "test".to_owned(),
            path: None,
            queue: None,
            format: None,
            guarantee: None,
        };
        names.iter().map(stage).collect::<Vec<_>>()
    };
    [
        of(StageKind::Source, &["same"]),
        of(StageKind::Transform, &["counting", "same"]),
        of(StageKind::Sink, &["plain", "refusing", "late"]),
    ]
    .concat()
}

fn numbers(account: &Account) -> (u64, u64, u64) {
    (account.read, account.delivered, account.dead)
}

/// Scenario: a transform rejects some records and a sink others; a part is put in again while both still do, then all when
/// they do no more, with a sink that was added meanwhile. Guarantees: G1, G2: each goes in where it was rejected, is
/// delivered once to every sink that lacks it, and what is rejected again is dead again; every account balances.
#[tokio::test(start_paused = true)]
async fn letters_go_in_where_they_were_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let (world, name) = (World::default(), Name::from("picky"));
    world.on.store(true, Ordering::SeqCst);
    let runtime = open(&directory).await;
    let error = runtime.retry(world.spec(false), &stages(), Selection::All).await.unwrap_err();
    assert_eq!(error.kind(), afferent_core::ErrorKind::Config, "{error}");
    let outcome = runtime.run(world.spec(false)).await.unwrap().wait().await.unwrap();
    assert_eq!(numbers(&outcome.ledger.accounts["plain"]), (100, 90, 10));
    assert_eq!(numbers(&outcome.ledger.accounts["refusing"]), (100, 80, 20));

    let letters = runtime.store().letters(&name, None, 100).await.unwrap();
    let chosen: Vec<_> = letters.iter().step_by(2).map(|(id, _)| *id).collect();
    let retry = runtime.retry(world.spec(false), &stages(), Selection::Ids(chosen.clone())).await.unwrap();
    let outcome = runtime.run(retry.spec.clone()).await.unwrap().wait().await.unwrap();
    assert_eq!(retry.report().put_in.len(), chosen.len());
    assert_eq!(numbers(&outcome.ledger.accounts["plain"]), (100, 90, 10));
    assert_eq!(numbers(&outcome.ledger.accounts["refusing"]), (100, 80, 20));
    assert_eq!(outcome.ledger.dead_letters, 20 + chosen.len() as u64);
    assert_eq!(runtime.store().count_dead_letters(&name).await.unwrap(), 20);

    world.on.store(false, Ordering::SeqCst);
    let retry = runtime.retry(world.spec(true), &stages(), Selection::All).await.unwrap();
    let outcome = runtime.run(retry.spec.clone()).await.unwrap().wait().await.unwrap();
    assert!(outcome.ledger.is_balanced());
    assert_eq!(numbers(&outcome.ledger.accounts["plain"]), (100, 100, 0));
    assert_eq!(numbers(&outcome.ledger.accounts["refusing"]), (100, 100, 0));
    assert_eq!(numbers(&outcome.ledger.accounts["late"]), (10, 10, 0), "to it they are new");
    assert_eq!(world.counted.load(Ordering::SeqCst), 100, "none passes what it had passed");
    assert_eq!(world.ids(0), (0..100).collect::<Vec<_>>());
    assert_eq!(world.ids(1), (0..100).collect::<Vec<_>>());
    assert_eq!(world.ids(2), (0..100).filter(|id| id % 10 == PICKY).collect::<Vec<_>>());
    assert_eq!(runtime.store().count_dead_letters(&name).await.unwrap(), 0);
    runtime.shutdown(PATIENCE).await.unwrap();
}

/// Gives a script, of which it could not read some: what those were is `bodies`.
struct Unread {
    source: ScriptSource<Record>,
    bodies: Vec<Vec<u8>>,
}

impl Source for Unread {
    type Item = Record;
    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        self.source.open(cx).await
    }
    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let mut pulled = self.source.next().await?;
        for reject in pulled.iter_mut().flat_map(|pulled| &mut pulled.rejects) {
            *reject = Reject::raw(&self.bodies.remove(0), "scripted", "body");
        }
        Ok(pulled)
    }
}

/// Scenario: parts of bodies that a source could not read, in each of which it can read one record or several now, and one in which it
/// still can't. Guarantees: G1, G2: all records of a letter are delivered, what can't be read stays dead, and the accounts balance.
#[tokio::test(start_paused = true)]
async fn letters_of_a_source_are_read_in_its_format() {
    let packed = |record: &Record| {
        let mut bytes = Vec::new();
        Format::Msgpack.encoder().unwrap().encode(record, &mut bytes).unwrap();
        bytes
    };
    let daily = "{\"dailies\":[{\"userId\":\"98\",\"startTimeInSeconds\":1772319600,\"steps\":4210,\"timeOffsetHeartRateSamples\":{\"15\":75}}]}";
    let hidden = &records(21)[20];
    for (format, body, count) in [
        (Format::Msgpack, packed(hidden), 1),
        (Format::Garmin, daily.as_bytes().to_vec(), 3),
        (Format::Json, b"{\"id\":1}".to_vec(), 0),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let runtime = open(&directory).await;
        let shown = Recording::default();
        let (script, bodies) =
            (Script { bad: |record| ends(record, PICKY), ..Script::new(records(10)) }, vec![body]);
        let sink = shown.clone();
        let spec = Builder::new("picky")
            .source("same", move || Ok(Unread { source: script.source(), bodies: bodies.clone() }))
            .sink("plain", move || Ok(sink.sink()))
            .build()
            .unwrap();
        let outcome = runtime.run(spec.clone()).await.unwrap().wait().await.unwrap();
        assert_eq!(numbers(&outcome.ledger.accounts["plain"]), (10, 9, 1));
        let mut stages = stages();
        stages[0].format = Some(format);
        let retry = runtime.retry(spec, &stages, Selection::All).await.unwrap();
        let outcome = runtime.run(retry.spec.clone()).await.unwrap().wait().await.unwrap();
        let dead = u64::from(count == 0);
        assert!(outcome.ledger.is_balanced(), "{format:?}");
        assert_eq!(
            numbers(&outcome.ledger.accounts["plain"]),
            (9 + count + dead, 9 + count, dead),
            "{format:?}"
        );
        assert_eq!(shown.visible().len() as u64, 9 + count, "{format:?}");
        let types = &outcome.ledger.types["plain"];
        let delivered: u64 = types.0.values().map(|row| row.delivered).sum();
        assert_eq!(delivered, 9 + count, "{format:?}");
        assert!(types.0.values().all(|row| row.is_balanced()), "{format:?}");
        assert_eq!(runtime.store().count_dead_letters(&"picky".into()).await.unwrap(), dead);
        runtime.shutdown(PATIENCE).await.unwrap();
    }
}
