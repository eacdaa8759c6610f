//! Identity, crashes, other databases, other writers, and what a reader sees.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use afferent_core::{
    ErrorKind, Kind, MetaValue, Metadata, Name, Origin, RecordId, Timestamp, Unit, Value,
    disk::{Disk, OpenMode, OsDisk},
    event::EventKind,
    random::Random,
    record::{Device, Workout},
    testing::{Surroundings, sink_contract},
};
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;

const DAY: i64 = 86_400_000_000;

fn record(id: u128, kind: &str, day: i64, value: f64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + day * DAY);
    let unit = Unit::parse("count/min").unwrap();
    Record::added(
        RecordId::from_u128(id),
        Kind::parse(kind).unwrap(),
        start,
        start,
        Value::Quantity(value, unit),
    )
}

fn config(around: &Surroundings) -> Config {
    Config { path: around.path().join("out/health.db") }
}

fn reader(around: &Surroundings) -> Connection {
    Connection::open(config(around).path).unwrap()
}

async fn open(around: &Surroundings, token: Option<&Token>, generation: u64) -> (Sqlite, Opened) {
    let mut sink = Sqlite::new(config(around));
    let mut cx = around.sink(token.cloned(), generation);
    // Two databases draw two identities.
    cx.random = Random::from_seed(generation);
    let opened = sink.open(cx).await.unwrap();
    (sink, opened)
}

async fn refused(around: &Surroundings, token: Option<&Token>, generation: u64) -> afferent_core::Error {
    let error = Sqlite::new(config(around)).open(around.sink(token.cloned(), generation)).await.unwrap_err();
    around.blocking.idle().await;
    error
}

async fn write(sink: &mut Sqlite, records: Vec<Record>) {
    let mut batch = Batch::from(records);
    sink.write(&mut batch).await.unwrap();
    assert!(batch.is_empty());
}

async fn crash(around: &Surroundings, sink: Sqlite) {
    drop(sink);
    around.blocking.idle().await;
}

/// Ids, revisions and values as the view shows them.
fn shown(around: &Surroundings) -> BTreeMap<String, (u32, f64)> {
    let reader = reader(around);
    let mut select = reader.prepare("SELECT id, revision, value FROM samples").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).unwrap();
    let rows: Vec<(String, (u32, f64))> = rows.map(|row| row.unwrap()).collect();
    let count = rows.len();
    let map: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(map.len(), count, "an id is shown once");
    map
}

#[derive(Clone, Debug)]
enum Act {
    Add {
        id: u8,
        revision: u32,
    },
    Delete {
        id: u8,
        typed: bool,
    },
    /// Ends an epoch. If it is not saved, a crash finds the database ahead of its token.
    Prepare {
        saved: bool,
    },
    Crash,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = 0..12_u8;
    let act = prop_oneof![
        8 => (id.clone(), prop_oneof![4 => Just(0_u32), 3 => 1..4_u32])
            .prop_map(|(id, revision)| Act::Add { id, revision }),
        2 => (id, any::<bool>()).prop_map(|(id, typed)| Act::Delete { id, typed }),
        2 => any::<bool>().prop_map(|saved| Act::Prepare { saved }),
        1 => Just(Act::Crash),
    ];
    prop::collection::vec(act, 1..60)
}

/// The one record of an id and revision: what it holds follows from them, and a correction may lie years away.
fn version(id: u8, revision: u32) -> Record {
    const KINDS: [&str; 3] = ["HeartRate", "StepCount", "com.example.mood"];
    let day = i64::from(id) * 97 + i64::from(revision % 2) * i64::from(id % 3) * 400;
    let value = f64::from(id) + f64::from(revision) / 10.0;
    Record { revision, ..record(id.into(), KINDS[usize::from(id) % 3], day, value) }
}

/// What a database is to hold: the revision of each id; `None` for a tombstone.
#[derive(Clone, Default)]
struct Model {
    ids: HashMap<u8, Option<u32>>,
    superseded: u64,
}

impl Model {
    /// Takes a record, and gives it for the sink to take.
    fn take(&mut self, act: &Act) -> Record {
        match *act {
            Act::Add { id, revision } => {
                match self.ids.get(&id) {
                    Some(None) => self.superseded += 1,
                    Some(Some(known)) if *known > revision => self.superseded += 1,
                    _ => drop(self.ids.insert(id, Some(revision))),
                }
                version(id, revision)
            }
            Act::Delete { id, typed } => {
                self.ids.insert(id, None);
                let kind = version(id, 0).kind.filter(|_| typed);
                Record::deleted(RecordId::from_u128(id.into()), kind)
            }
            _ => unreachable!("only records are taken"),
        }
    }

    fn shown(&self) -> BTreeMap<String, (u32, f64)> {
        let rows = self.ids.iter().filter_map(|(id, revision)| {
            let record = version(*id, (*revision)?);
            Some((record.id.to_string(), (record.revision, record.value.as_f64()?)))
        });
        rows.collect()
    }
}

async fn agrees_with_model(acts: Vec<Act>) {
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    let token = sink.prepare(Epoch(0)).await.unwrap().token;
    let mut generation = 1;
    let (mut model, mut committed) = (Model::default(), Model::default());
    // What a crash makes the engine send again.
    let mut unsaved: Vec<Act> = Vec::new();
    for act in acts.into_iter().chain([Act::Prepare { saved: true }]) {
        match act {
            Act::Prepare { saved } => {
                let prepared = sink.prepare(Epoch(1)).await.unwrap();
                assert_eq!(prepared.token, token);
                assert_eq!(prepared.superseded.total(), std::mem::take(&mut model.superseded));
                committed = model.clone();
                if saved {
                    unsaved.clear();
                }
            }
            Act::Crash => {
                crash(&around, sink).await;
                generation += 1;
                let (reopened, opened) = open(&around, token.as_ref(), generation).await;
                assert_eq!(opened, Opened::Resumed);
                sink = reopened;
                model = committed.clone();
                write(&mut sink, unsaved.iter().map(|act| model.take(act)).collect()).await;
            }
            record => {
                write(&mut sink, vec![model.take(&record)]).await;
                unsaved.push(record);
            }
        }
    }
    assert_eq!(shown(&around), model.shown());
}

/// Scenario: additions, corrections (some of which move years away) and deletions, typed or not, in any order,
/// with crashes before and after the commit and replays of what was not saved. Guarantees: G1, G2, G3: the database
/// agrees with a map by id, and what is superseded is counted.
#[test]
fn any_history_agrees_with_a_map() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    proptest!(ProptestConfig::with_cases(64), |(acts in acts())| {
        runtime.block_on(agrees_with_model(acts));
    });
}

/// Scenario: the contract of all sinks. Guarantees: G1, G2, G3.
#[tokio::test]
async fn it_keeps_the_contract() {
    let records: Vec<(Record, String)> = (0..300)
        .map(|number| record(number, "HeartRate", number as i64, 60.0))
        .map(|record| (record.clone(), record.id.to_string()))
        .collect();
    for seed in 0..8 {
        let around = Surroundings::new();
        let show = || match OsDisk.info(&config(&around).path).unwrap() {
            Some(_) => shown(&around).into_keys().collect(),
            None => Vec::new(),
        };
        sink_contract(|| Sqlite::new(config(&around)), show, &around, &records, seed).await;
    }
}

/// Scenario: records with everything a record can have, as a reader finds them in the view. Guarantees: G4: numbers
/// come back bit by bit, and texts as the wire form writes them.
#[tokio::test]
async fn the_view_shows_what_was_written() {
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    let start = Timestamp::parse_rfc3339("1969-12-31T23:59:59.25Z").unwrap().0;
    let mut full = Record::added(
        RecordId::parse("3F2504E0-4F89-41D3-9A0C-0305E82C3301").unwrap(),
        Kind::parse("HeartRate").unwrap(),
        start,
        start.plus_micros(750_000),
        Value::Quantity(0.1 + 0.2, Unit::parse("count/min").unwrap()),
    );
    full.subject = Some("anna".into());
    full.zone = Some("Europe/Vienna".into());
    full.origin = Some(Arc::new(Origin {
        name: Some("Watch \"7\"".into()),
        bundle: Some("com.apple.health".into()),
        device: Some(Device { name: Some("Apple Watch".into()), ..Device::default() }),
        ..Origin::default()
    }));
    let mut metadata = Metadata::default();
    metadata.push("HKWasUserEntered", MetaValue::Bool(true));
    full.metadata = Some(Arc::new(metadata));
    write(&mut sink, vec![full]).await;
    sink.prepare(Epoch(1)).await.unwrap();

    let reader = reader(&around);
    let text: String = reader
        .query_row(
            "SELECT concat_ws('|', id, type, start, end, unit, subject, zone, source, device, revision, \
                    metadata, short, month, start_us, end_us) FROM samples",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        text,
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301|HKQuantityTypeIdentifierHeartRate|1969-12-31T23:59:59.250000Z|\
         1970-01-01T00:00:00Z|count/min|anna|Europe/Vienna|Watch \"7\"|Apple Watch|0|\
         {\"HKWasUserEntered\":true}|HeartRate|196912|-750000|0"
    );
    let value: f64 = reader.query_row("SELECT value FROM samples", [], |row| row.get(0)).unwrap();
    assert_eq!(value.to_bits(), (0.1_f64 + 0.2).to_bits());
}

/// Scenario: values at the edges of their types, and values that are more than a number. Guarantees: G4; a reader
/// can tell a quantity from a category and look into the others.
#[tokio::test]
async fn values_keep_their_types() {
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    let quantities = [0.0, -0.0, 5e-324, f64::MAX, -1.0, 9_007_199_254_740_993.0, 62.0];
    let mut records: Vec<Record> =
        (1..).zip(quantities).map(|(id, value)| record(id, "HeartRate", 0, value)).collect();
    for (id, value) in [
        (100, Value::Category(i64::MIN)),
        (101, Value::Workout(Arc::new(Workout { activity: 37, ..Workout::default() }))),
        (102, Value::Json("[1]".into())),
    ] {
        records.push(Record { value, ..record(id, "com.example.other", 0, 0.0) });
    }
    write(&mut sink, records).await;
    sink.prepare(Epoch(1)).await.unwrap();

    let reader = reader(&around);
    let value = |id: u128| {
        let id = RecordId::from_u128(id).to_string();
        reader
            .query_row("SELECT value FROM samples WHERE id = ?1", [id], |row| {
                row.get::<_, rusqlite::types::Value>(0)
            })
            .unwrap()
    };
    for (id, expected) in (1..).zip(quantities) {
        let rusqlite::types::Value::Real(found) = value(id) else { panic!("{id} is no real") };
        assert_eq!(found.to_bits(), expected.to_bits(), "{expected:e}");
    }
    assert_eq!(value(100), rusqlite::types::Value::Integer(i64::MIN));
    let activity: i64 = reader
        .query_row("SELECT value ->> '$.workout.activity' FROM samples WHERE value LIKE '{\"w%'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(activity, 37);
    assert_eq!(value(102), rusqlite::types::Value::Text("{\"json\":[1]}".into()));
}

/// Scenario: an addition without a type, one without a value and one that is not finite, among good ones.
/// Guarantees: G11: each is rejected with its reason, once, and the others are written.
#[tokio::test]
async fn what_has_no_row_is_rejected() {
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    let good = |id| record(id, "HeartRate", 0, 1.0);
    let records = vec![
        good(1),
        Record { kind: None, ..good(2) },
        Record { value: Value::None, ..good(3) },
        record(4, "HeartRate", 0, f64::NAN),
        good(5),
    ];
    write(&mut sink, records).await;
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    let keys: Vec<_> = prepared.rejects.iter().map(|reject| reject.key.clone().unwrap()).collect();
    assert_eq!(keys, [2, 3, 4].map(|id| RecordId::from_u128(id).to_string()));
    assert!(prepared.rejects.iter().all(|reject| !reject.reason.is_empty()));
    assert!(sink.prepare(Epoch(2)).await.unwrap().rejects.is_empty());
    assert_eq!(shown(&around).len(), 2);
}

fn alarms(around: &mut Surroundings) -> usize {
    let mut alarms = 0;
    while let Ok(event) = around.events.try_recv() {
        alarms += usize::from(matches!(event.kind, EventKind::Alarm { .. }));
    }
    alarms
}

/// Scenario: the database is moved and opened there, deleted, and exchanged for another. Guarantees: G5: each goes on
/// by itself; the token knows its database wherever it is, and an operator is told when it is another.
#[tokio::test]
async fn a_token_knows_its_database() {
    let mut around = Surroundings::new();
    let (mut sink, opened) = open(&around, None, 1).await;
    assert_eq!(opened, Opened::Elsewhere);
    write(&mut sink, vec![record(1, "HeartRate", 0, 1.0)]).await;
    let token = sink.prepare(Epoch(1)).await.unwrap().token.unwrap();
    crash(&around, sink).await;

    let path = config(&around).path;
    let aside = around.path().join("aside.db");
    OsDisk.rename(&path, &aside).unwrap();
    let mut sink = Sqlite::new(Config { path: aside });
    assert_eq!(sink.open(around.sink(Some(token.clone()), 2)).await.unwrap(), Opened::Resumed);
    crash(&around, sink).await;
    assert_eq!(alarms(&mut around), 0);

    let (mut sink, opened) = open(&around, Some(&token), 3).await;
    assert_eq!((opened, alarms(&mut around)), (Opened::Elsewhere, 1));
    let other = sink.prepare(Epoch(2)).await.unwrap().token.unwrap();
    assert_ne!(other, token);
    crash(&around, sink).await;
    assert_eq!(open(&around, Some(&other), 4).await.1, Opened::Resumed);
}

/// Scenario: at the path stands a text, another program's database, a database of a newer schema, one without its
/// identity. Guarantees: G1: it is left as it was, byte by byte; each message says what to do.
#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    type Spoil = fn(&Connection);
    let spoils: [(Spoil, &str); 4] = [
        (|c| c.execute_batch("CREATE TABLE notes (text)").unwrap(), "another program"),
        (|c| c.execute_batch("PRAGMA user_version = 7").unwrap(), "another program"),
        (
            |c| c.execute_batch("PRAGMA application_id = 1097229925; PRAGMA user_version = 2").unwrap(),
            "newer",
        ),
        (|_| (), "not a SQLite database"),
    ];
    for (spoil, message) in spoils {
        let around = Surroundings::new();
        let path = config(&around).path;
        OsDisk.create_dir_all(path.parent().unwrap()).unwrap();
        if message.starts_with("not") {
            let file = OsDisk.open(&path, OpenMode::Create).unwrap();
            file.write_at(0, &b"Dear diary, ".repeat(200)).unwrap();
        } else {
            spoil(&reader(&around));
        }
        let before = std::fs::read(&path).unwrap();
        let error = refused(&around, None, 1).await;
        assert_eq!(error.kind(), ErrorKind::State, "{error}");
        assert!(error.message().contains(message), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

/// Scenario: a newer generation opens while an older one still runs and then writes, prepares and opens again.
/// Guarantees: G10: none of it changes anything, and nothing of its open epoch is left.
#[tokio::test]
async fn an_older_generation_changes_nothing() {
    let around = Surroundings::new();
    let (mut old, _) = open(&around, None, 1).await;
    write(&mut old, vec![record(1, "HeartRate", 0, 1.0)]).await;
    let token = old.prepare(Epoch(1)).await.unwrap().token.unwrap();

    let (mut new, opened) = open(&around, Some(&token), 2).await;
    assert_eq!(opened, Opened::Resumed);
    let mut batch = Batch::from(vec![record(2, "HeartRate", 0, 1.0)]);
    old.write(&mut batch).await.unwrap();
    assert_eq!(old.prepare(Epoch(2)).await.unwrap_err().kind(), ErrorKind::Fenced);
    crash(&around, old).await;
    assert_eq!(refused(&around, Some(&token), 1).await.kind(), ErrorKind::Fenced);

    write(&mut new, vec![record(3, "HeartRate", 0, 1.0)]).await;
    new.prepare(Epoch(2)).await.unwrap();
    let ids: Vec<String> = [1, 3].map(|id| RecordId::from_u128(id).to_string()).into();
    assert_eq!(shown(&around).into_keys().collect::<Vec<_>>(), ids);
}

/// Scenario: a second pipeline, and a second sink of the same one, open the database. Guarantees: G6: pipelines take
/// turns; two sinks that would wait for each other for ever are refused.
#[tokio::test]
async fn pipelines_share_and_siblings_do_not() {
    let around = Surroundings::new();
    let (mut first, _) = open(&around, None, 1).await;
    let mut other = around.sink(None, 1);
    other.fence.pipeline = Name::from("other");
    let mut second = Sqlite::new(config(&around));
    second.open(other).await.unwrap();
    for id in 0..4 {
        let sink = if id % 2 == 0 { &mut first } else { &mut second };
        // Both bring the same type, unit and origin; each must find the other's numbers.
        write(sink, vec![record(id, "HeartRate", 0, 1.0)]).await;
        sink.prepare(Epoch(1)).await.unwrap();
    }
    assert_eq!(shown(&around).len(), 4);

    let mut sibling = around.sink(None, 1);
    sibling.fence.sink = Name::from("sibling");
    let error = Sqlite::new(config(&around)).open(sibling).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("`sink` and `sibling`"), "{error}");
}

/// Scenario: more subjects than a dictionary remembers, each twice. Guarantees: G7; a number stands for one text.
#[tokio::test]
async fn dictionaries_may_forget() {
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    for round in 0..2 {
        for chunk in (0..6_000_u128).collect::<Vec<_>>().chunks(1_000) {
            let records = chunk.iter().map(|number| {
                let mut record = record(round * 10_000 + number, "HeartRate", 0, *number as f64);
                record.subject = Some(number.to_string().into());
                record
            });
            write(&mut sink, records.collect()).await;
        }
    }
    sink.prepare(Epoch(1)).await.unwrap();
    let counts: (u32, u32, u32) = reader(&around)
        .query_row(
            "SELECT (SELECT count(*) FROM subject), count(*), sum(value = CAST(subject AS REAL)) FROM samples",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(counts, (6_000, 12_000, 12_000));
}

/// Scenario: a sample with a telling text is deleted, among many others. Guarantees: G8: its bytes are gone from the
/// file once the log has been written back.
#[tokio::test]
async fn a_deleted_sample_leaves_no_bytes() {
    const TELLING: &str = "a telling text of a deleted sample";
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    let mut records: Vec<Record> = (0..500).map(|id| record(id << 64, "HeartRate", 0, 1.0)).collect();
    records[250].metadata_mut().push("note", MetaValue::String(TELLING.into()));
    let (id, kind) = (records[250].id, records[250].kind);
    let holds = || {
        let bytes = std::fs::read(config(&around).path).unwrap();
        bytes.windows(TELLING.len()).any(|window| window == TELLING.as_bytes())
    };
    write(&mut sink, records).await;
    sink.prepare(Epoch(1)).await.unwrap();
    reader(&around).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(holds());
    write(&mut sink, vec![Record::deleted(id, kind)]).await;
    sink.prepare(Epoch(2)).await.unwrap();
    crash(&around, sink).await;
    assert!(!holds());
}

/// Scenario: the queries that `docs/reference/sqlite-schema.md` recommends. Guarantees: they go by the key and read no other
/// type or month.
#[tokio::test]
async fn queries_by_type_and_month_use_the_key() {
    let around = Surroundings::new();
    open(&around, None, 1).await;
    let reader = reader(&around);
    let plan: Vec<String> = reader
        .prepare(
            "EXPLAIN QUERY PLAN SELECT start, value FROM samples \
             WHERE type = 'HKQuantityTypeIdentifierHeartRate' AND month BETWEEN 202501 AND 202503",
        )
        .unwrap()
        .query_map([], |row| row.get(3))
        .unwrap()
        .map(|row| row.unwrap())
        .collect();
    let plan = plan.join("\n");
    assert!(plan.contains("SEARCH sample USING PRIMARY KEY (type=? AND month>? AND month<?)"), "{plan}");
    assert!(!plan.contains("SCAN"), "{plan}");
}

/// Scenario: the files of a database in use. Guarantees: G8: nobody but their owner can read health data.
#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let around = Surroundings::new();
    let (mut sink, _) = open(&around, None, 1).await;
    write(&mut sink, vec![record(1, "HeartRate", 0, 1.0)]).await;
    sink.prepare(Epoch(1)).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(around.path().join("out")).unwrap().map(|e| e.unwrap()).collect();
    assert_eq!(files.len(), 3, "the database, its log and its index");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

/// Scenario: configurations as a file gives them. Guarantees: what can't work is said before anything is opened.
#[test]
fn configurations_are_checked() {
    let parse = |json: serde_json::Value| serde_json::from_value::<Config>(json);
    let mut good = parse(serde_json::json!({"path": "health.db"})).unwrap();
    assert_eq!(good.check(), []);
    good.resolve(Path::new("/base"));
    assert_eq!(good.path, Path::new("/base/health.db"));
    assert!(parse(serde_json::json!({"path": "a", "table": "b"})).is_err());
    assert_eq!(parse(serde_json::json!({"path": "/"})).unwrap().check().len(), 1);
}
