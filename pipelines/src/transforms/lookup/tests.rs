//! Tests of tables: what is read, what is refused, and what happens when they change.

use std::{collections::BTreeMap, fs::File, path::Path, time::Duration};

use afferent_core::{
    Batch, Emit, ErrorKind, MetaValue, Record, Snapshot, Timestamp, Transform, random::Random,
};
use tempfile::TempDir;

use super::{
    rows::{self, Column, Fault, Row},
    *,
};
use crate::transforms::{
    Enrich,
    enrich::{Columns, Config},
    testing::{deletion, quantity},
};

/// A table that somebody changes: its version is what its one row says.
struct Changing {
    directory: TempDir,
    version: u64,
}

impl Changing {
    fn new() -> Changing {
        let mut table = Changing { directory: tempfile::tempdir().unwrap(), version: 0 };
        table.change();
        table
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("table.csv")
    }

    /// The time at which a version is written, in s.
    fn written(&self) -> u64 {
        self.version * 10
    }

    fn change(&mut self) {
        self.version += 1;
        self.write(&format!("who,version\nada,{}\n", self.version));
    }

    fn write(&self, text: &str) {
        write(&self.path(), text);
        let file = File::open(self.path()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(self.written())).unwrap();
    }

    /// `millis` after the last change.
    fn after(&self, millis: i64) -> Timestamp {
        Timestamp::from_micros_clamped((self.written() as i64 * 1000 + millis) * 1000)
    }

    fn config(&self) -> Config {
        Config {
            table: self.path(),
            format: None,
            key: [("subject".to_owned(), "who".to_owned())].into(),
            columns: Columns::List(vec!["version".into()]),
            prefix: String::new(),
            missing: Default::default(),
        }
    }

    fn enrich(&self) -> Enrich {
        Enrich::new(&self.config()).unwrap()
    }
}

#[allow(clippy::disallowed_methods, reason = "the test stands for whoever writes tables")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn ada(id: u128) -> Record {
    Record { subject: Some("ada".into()), ..quantity(id, "HeartRate", 60.0, 0) }
}

/// The version that a record was looked up in.
fn version(record: &Record) -> u64 {
    match record.metadata.as_ref().and_then(|metadata| metadata.get("version")) {
        Some(MetaValue::String(text)) => text.parse().unwrap(),
        other => panic!("expected a version, found {other:?}"),
    }
}

type Saved = BTreeMap<Vec<u8>, Vec<u8>>;

fn save(snapshot: Snapshot, rows: &mut Saved) {
    match snapshot {
        Snapshot::Unchanged => {}
        Snapshot::Full(bytes) => *rows = [(Vec::new(), bytes)].into(),
        Snapshot::Delta(_) => panic!("a table is saved whole"),
    }
}

fn restored(mut stage: Enrich, rows: &Saved) -> Enrich {
    stage.restore(Box::new(rows.clone().into_iter().map(Ok))).unwrap();
    stage
}

/// Looks, and gives one record out.
fn look_and_apply(stage: &mut Enrich, now: Timestamp) -> (afferent_core::stage::Looked, u64) {
    let looked = stage.look(now).unwrap()().unwrap();
    if looked.is_new {
        assert!(matches!(stage.snapshot().unwrap(), Snapshot::Full(_)));
    }
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(vec![ada(1)]), &mut out).unwrap();
    (looked, version(&out.batch[0]))
}

/// Scenario: a pipeline as the engine drives it, cut into batches and epochs at random, that dies at any step: before and after a
/// look, before and after each save, after each batch; meanwhile somebody changes the table at any time. Guarantees: G1, G2, G3, G5;
/// each record is committed once, looked up in the version that its epoch found if that was a second old, and no version gives way
/// to an older one.
#[test]
fn whenever_it_dies_each_epoch_has_one_version() {
    let input: Vec<Record> = (0..200).map(ada).collect();
    for seed in 0..150 {
        let (mut random, mut deaths) = (Random::from_seed(seed), Random::from_seed(seed + 1000));
        let (mut dies, mut table) = (|| deaths.chance(0.08), Changing::new());
        let (mut committed, mut rows, mut at) = (Vec::<Record>::new(), Saved::new(), 0);
        'life: while at < input.len() {
            let mut stage = if rows.is_empty() { table.enrich() } else { restored(table.enrich(), &rows) };
            while at < input.len() {
                if random.chance(0.3) {
                    table.change();
                }
                let is_old = random.chance(0.7);
                let exact = is_old || rows.is_empty();
                let newest = table.version;
                let looked = stage.look(table.after(if is_old { 1500 } else { 300 })).unwrap()().unwrap();
                if dies() {
                    continue 'life;
                }
                if looked.is_new {
                    let snapshot = stage.snapshot().unwrap();
                    if dies() {
                        continue 'life;
                    }
                    save(snapshot, &mut rows);
                }
                let (mut out, mut end) = (Emit::new(), at);
                for _ in 0..=random.below(3) {
                    if dies() {
                        continue 'life;
                    }
                    let next = (end + 1 + random.below(9) as usize).min(input.len());
                    let mut batch: Batch<Record> = input[end..next].iter().cloned().collect();
                    stage.apply(&mut batch, &mut out).unwrap();
                    end = next;
                    // It has no effect on this epoch.
                    if random.chance(0.3) {
                        table.change();
                    }
                }
                let snapshot = stage.snapshot().unwrap();
                if dies() {
                    continue 'life;
                }
                save(snapshot, &mut rows);
                let versions: Vec<u64> = out.batch.iter().map(version).collect();
                assert!(versions.iter().all(|version| *version == versions[0]), "seed {seed}: {versions:?}");
                assert!(
                    !exact || versions.iter().all(|version| *version == newest),
                    "seed {seed}: {versions:?}"
                );
                committed.append(&mut out.batch);
                at = end;
            }
        }
        assert!(
            committed.iter().map(|record| record.id).eq(input.iter().map(|record| record.id)),
            "seed {seed}"
        );
        assert!(committed.is_sorted_by_key(version), "seed {seed}: an older version came into force again");
    }
}

/// Scenario: a table changes, in place and just now; a second later; back again; it is broken, then gone, then good. Guarantees: G5, G11;
/// it is taken when it is a second old, a bad or missing one leaves what is in force and says so once, with its line.
#[test]
fn a_bad_version_leaves_the_one_in_force() {
    let mut table = Changing::new();
    let mut stage = table.enrich();
    let (looked, version) = look_and_apply(&mut stage, table.after(0));
    assert_eq!((looked.is_new, version), (true, 1), "where nothing is in force it does not wait");
    assert_eq!(look_and_apply(&mut stage, table.after(5000)), (Default::default(), 1));

    table.change();
    assert_eq!(
        look_and_apply(&mut stage, table.after(999)),
        (Default::default(), 1),
        "it may be half written"
    );
    let (looked, version) = look_and_apply(&mut stage, table.after(1000));
    assert_eq!((looked.is_new, looked.alarm, version), (true, None, 2));
    assert!(looked.notice.is_some_and(|notice| notice.ends_with("table.csv, rows: 1")));

    table.version += 1;
    table.write("who,version\nada,3\nben\n");
    let (looked, version) = look_and_apply(&mut stage, table.after(2000));
    let alarm = looked.alarm.expect("an alarm");
    assert!(
        alarm.contains("table.csv:3: expected 2 cells, as in the header, found 1; what was in force"),
        "{alarm}"
    );
    assert_eq!((looked.is_new, looked.is_stale, version), (false, true, 2));
    let (looked, version) = look_and_apply(&mut stage, table.after(3000));
    assert_eq!((looked.alarm, looked.is_stale, version), (None, true, 2), "once is enough");

    remove(&table.path());
    let (looked, _) = look_and_apply(&mut stage, table.after(4000));
    assert!(looked.is_stale && looked.alarm.is_some_and(|alarm| alarm.contains("can't read the table")));
    // What is in force is there again.
    table.version = 2;
    table.write("who,version\nada,2\n");
    assert_eq!(look_and_apply(&mut stage, table.after(1000)), (Default::default(), 2));
}

#[allow(clippy::disallowed_methods, reason = "the test stands for whoever removes tables")]
fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// Scenario: a restart without the file; one with other columns in the configuration; a saved table that is damaged. Guarantees:
/// G5, the saved table is used; it is useless for other columns, and then the file must be there.
#[test]
fn what_was_saved_is_in_force_after_a_restart() {
    let table = Changing::new();
    let (mut stage, mut rows) = (table.enrich(), Saved::new());
    stage.look(table.after(5000)).unwrap()().unwrap();
    save(stage.snapshot().unwrap(), &mut rows);
    assert_eq!(stage.snapshot().unwrap(), Snapshot::Unchanged);
    // It is what is there: nothing is new, and nothing is saved again.
    let mut stage = restored(table.enrich(), &rows);
    assert_eq!(look_and_apply(&mut stage, table.after(5000)), (Default::default(), 1));
    assert_eq!(stage.snapshot().unwrap(), Snapshot::Unchanged);

    remove(&table.path());
    let (looked, version) = look_and_apply(&mut restored(table.enrich(), &rows), table.after(5000));
    assert!(looked.is_stale && !looked.is_new && version == 1, "{looked:?}");

    let other = Config { columns: Columns::List(vec!["who".into()]), ..table.config() };
    let mut stage = restored(Enrich::new(&other).unwrap(), &rows);
    let error = stage.look(table.after(5000)).unwrap()().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = stage.apply(&mut Batch::from(vec![ada(1)]), &mut Emit::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug);

    for broken in [&rows[&Vec::new()][..20], b"", b"\xff"] {
        let state = Box::new([(Vec::new(), broken.to_vec())].into_iter().map(Ok));
        assert_eq!(table.enrich().restore(state).unwrap_err().kind(), ErrorKind::State);
    }
}

fn columns() -> Vec<Column> {
    vec![Column::required("who"), Column::required("arm"), Column::optional("since")]
}

fn texts(cells: [&str; 3]) -> Vec<Option<MetaValue>> {
    cells.map(|text| (!text.is_empty()).then(|| MetaValue::String(text.into()))).to_vec()
}

/// Scenario: CSV with a byte order mark, CRLF, quotes, line ends in cells, blank lines, columns that nobody asked for; JSON as an array and as
/// lines. Guarantees: G4; the cells are what is written, each row knows its line.
#[test]
fn tables_are_read_as_they_are_written() {
    let csv = "\u{feff}arm,mail,who\r\nA,a@b,\"x\"\"y\"\r\n\r\n\"B\nC\",,z\n,,last";
    let read = rows::read(csv.as_bytes(), TableFormat::Csv, &columns()).unwrap();
    let expected = [(2, ["x\"y", "A", ""]), (4, ["z", "B\nC", ""]), (6, ["last", "", ""])];
    let expected = expected.map(|(line, cells)| Row { line, cells: texts(cells) });
    assert_eq!(read, expected);

    let array = "[\n {\"who\": \"a\", \"arm\": 7, \"since\": true, \"mail\": [1]},\n\n {\"who\":\"b\\n\"}]";
    let lines = "{\"who\": \"a\", \"arm\": 7, \"since\": true, \"mail\": {\"a\":[]}}\n\n{\"arm\":null,\"who\":\"b\\n\"}";
    let seven =
        vec![Some(MetaValue::String("a".into())), Some(MetaValue::Number(7.0)), Some(MetaValue::Bool(true))];
    for (text, place) in [(array, [2, 4]), (lines, [1, 3])] {
        let read = rows::read(text.as_bytes(), TableFormat::Json, &columns()).unwrap();
        let [first, second] = place;
        let expected =
            [Row { line: first, cells: seven.clone() }, Row { line: second, cells: texts(["b\n", "", ""]) }];
        assert_eq!(read, expected);
    }
    assert_eq!(rows::read(b"[]", TableFormat::Json, &columns()).unwrap(), []);
}

/// Scenario: tables that are none, with a text in them that nobody may see. Guarantees: G7, G8; each is refused with its line, and
/// no cell is printed.
#[test]
fn what_is_no_table_is_refused_with_its_line() {
    let long = format!("who,arm\na,{}\n", "secret".repeat(1000));
    let many = format!("who,arm\n{}", "a,b\n".repeat(MAX_TABLE_ROWS + 1));
    let cases: &[(&str, TableFormat, u64, &str)] = &[
        ("", TableFormat::Csv, 0, "expected a header"),
        ("secret,arm\n", TableFormat::Csv, 1, "expected a column `who`, found none"),
        ("whom,arm\n", TableFormat::Csv, 1, "found none; there is `whom`"),
        ("who,arm,who\n", TableFormat::Csv, 1, "`who` comes twice"),
        ("who,arm\na,b\nsecret\n", TableFormat::Csv, 3, "expected 2 cells, as in the header, found 1"),
        ("who,arm\n\"secret,b\n", TableFormat::Csv, 2, "a quote that closes"),
        (&long, TableFormat::Csv, 2, "at most 4096 bytes"),
        (&many, TableFormat::Csv, MAX_TABLE_ROWS as u64 + 2, "at most 500000 rows"),
        (
            "[{\"who\":\"secret\"},\n{\"who\" 1}]",
            TableFormat::Json,
            2,
            "an array of objects in JSON; it breaks at column 8",
        ),
        (
            "[{\"who\":\"a\",\"arm\":1},\n\"secret\"]",
            TableFormat::Json,
            2,
            "expected an object, found another value",
        ),
        (
            "{\"who\":\"a\",\"arm\":1}\nsecret",
            TableFormat::Json,
            2,
            "an object in JSON; it breaks at column 1",
        ),
        ("{\"who\":[\"secret\"]}", TableFormat::Json, 1, "`who`: expected a text, a number or a truth value"),
        ("{\"who\":\"a\",\"who\":\"secret\"}", TableFormat::Json, 1, "`who`: expected it once"),
        (
            "{\"who\":9007199254740993}",
            TableFormat::Json,
            1,
            "`who`: expected a number that a double can hold",
        ),
        ("{\"who\":\"\\ud800\"}", TableFormat::Json, 1, "expected texts of Unicode"),
        ("{\"who\":\"secret\"}", TableFormat::Json, 0, "expected `arm` in the objects, found it in none"),
    ];
    for (text, format, line, message) in cases {
        let fault: Fault = rows::read(text.as_bytes(), *format, &columns()).unwrap_err();
        assert!(
            fault.line == *line && fault.message.contains(message),
            "{fault:?} instead of {line}: {message}"
        );
        assert!(!fault.message.contains("secret"), "{fault:?}");
    }
    let fault = rows::read(b"who,arm\na,\xff\n", TableFormat::Csv, &columns()).unwrap_err();
    assert_eq!((fault.line, &*fault.message), (2, "expected UTF-8, found another byte"));
}

/// Scenario: a file that is larger than a table may be. Guarantees: G7; it is refused before it is read.
#[test]
fn a_large_file_is_not_read() {
    let table = Changing::new();
    write(&table.path(), &"x".repeat(MAX_TABLE_BYTES as usize + 1));
    let error = table.enrich().look(table.after(0)).unwrap()().unwrap_err();
    assert!(error.message().contains("at most 16777216 bytes"), "{error}");
}

/// Scenario: a deletion. Guarantees: G4; it passes untouched.
#[test]
fn a_deletion_passes_untouched() {
    let table = Changing::new();
    let mut stage = table.enrich();
    stage.look(table.after(0)).unwrap()().unwrap();
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(vec![deletion(1, None)]), &mut out).unwrap();
    assert_eq!(out.batch[..], [deletion(1, None)]);
}
