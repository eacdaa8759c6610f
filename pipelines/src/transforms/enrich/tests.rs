use std::path::PathBuf;

use afferent_core::{Origin, Value, testing::transform_contract};
use tempfile::TempDir;

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity, records};

/// A table in a file.
fn table(name: &str, text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    write(&path, text);
    (directory, path)
}

#[allow(clippy::disallowed_methods, reason = "the test stands for whoever writes tables")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn config(text: &str, table: &Path) -> Config {
    let config = Config { table: table.to_owned(), ..toml::from_str(text).expect("a configuration") };
    assert_eq!(config.check(), []);
    config
}

fn of(subject: &str, record: Record) -> Record {
    Record { subject: Some(subject.into()), ..record }
}

fn metadata(record: &Record) -> Vec<(&str, MetaValue)> {
    let entries = record.metadata.iter().flat_map(|all| all.iter());
    entries.map(|(key, value)| (key.as_str(), value.clone())).collect()
}

fn text(text: &str) -> MetaValue {
    MetaValue::String(text.into())
}

/// Scenario: records with a row and without, with the metadata already, a deletion, in CSV. Guarantees: G4; what the row says is written,
/// an empty cell is not, and nothing else changes, whatever the batches, restarts and replays.
#[test]
fn what_the_table_says_is_written() {
    let (_directory, path) = table("people.csv", "participant,arm,site\nada,A,Oslo\nben,B,\n");
    let config = config(
        "table = \"x.csv\"\nkey = { subject = \"participant\" }\ncolumns = { arm = \"arm\", site = \"place\" }\nprefix = \"study.\"",
        &path,
    );
    let mut known = of("ben", quantity(2, "StepCount", 10.0, 0));
    known.metadata_mut().push("study.arm", text("old"));
    known.metadata_mut().push("study.place", text("Rome"));
    let input = [
        of("ada", quantity(1, "HeartRate", 60.0, 0)),
        known,
        of("eve", quantity(3, "HeartRate", 61.0, 0)),
        quantity(4, "HeartRate", 62.0, 0),
        of("ada", deletion(5, None)),
    ];
    let output = transform_contract(|| Enrich::new(&config).unwrap(), &input, 0..20);
    assert_eq!(metadata(&output[0]), [("study.arm", text("A")), ("study.place", text("Oslo"))]);
    assert_eq!(metadata(&output[1]), [("study.arm", text("B")), ("study.place", text("Rome"))]);
    assert_eq!(output[2..], input[2..]);
    assert!(output.iter().zip(&input).all(|(after, before)| Record { metadata: None, ..after.clone() }
        == Record { metadata: None, ..before.clone() }));
}

/// Scenario: records without a row, under each `missing`. Guarantees: G1, G11; they are dead letters or counted as filtered, and
/// deletions pass.
#[test]
fn what_has_no_row_is_accounted_for() {
    let (_directory, path) = table("people.csv", "participant,arm\na,A\n");
    let input = records(600, 4);
    let known =
        input.iter().filter(|record| record.is_deletion() || record.subject.as_deref() == Some("a")).count();
    for (missing, passes) in [("keep", input.len()), ("reject", known), ("drop", known)] {
        let text = format!(
            "table = \"x.csv\"\nkey = {{ subject = \"participant\" }}\ncolumns = [\"arm\"]\nmissing = \"{missing}\""
        );
        let config = config(&text, &path);
        let output = transform_contract(|| Enrich::new(&config).unwrap(), &input, 0..10);
        assert_eq!(output.len(), passes, "{missing}");
        let (mut stage, mut out) = (Enrich::new(&config).unwrap(), Emit::new());
        stage.look(Timestamp::default()).unwrap()().unwrap();
        stage.apply(&mut input.iter().cloned().collect(), &mut out).unwrap();
        let (dropped, rejected) = (out.counts().filtered as usize, out.counts().dead as usize);
        assert_eq!(
            (dropped + rejected, dropped > 0, rejected > 0),
            (input.len() - passes, missing == "drop", missing == "reject")
        );
    }
}

/// Scenario: keys of several fields: type by its short name, product, unit, metadata that is a number, in JSON. Guarantees: each part
/// tells apart, and cells keep their types.
#[test]
fn keys_have_several_parts() {
    let rows = r#"[
        {"t": "HeartRate", "p": "Watch6,7", "u": "count/min", "m": 7, "offset": -1.5, "good": true},
        {"t": "HKQuantityTypeIdentifierHeartRate", "p": "Watch6,7", "u": "count/min", "m": "8", "offset": "none", "good": null}
    ]"#;
    let (_directory, path) = table("devices.json", rows);
    let config = config(
        "table = \"x.json\"\ncolumns = [\"offset\", \"good\"]\n\
         key = { type = \"t\", \"source.product\" = \"p\", unit = \"u\", \"metadata.HKMetadataKeyX\" = \"m\" }",
        &path,
    );
    let unit = |unit| Value::Quantity(60.0, afferent_core::Unit::parse(unit).unwrap());
    let record = |id, value: Option<MetaValue>| {
        let mut record = quantity(id, "HeartRate", 60.0, 0);
        record.value = unit("count/min");
        record.origin = Some(Origin { product: Some("Watch6,7".into()), ..Origin::default() }.into());
        value.into_iter().for_each(|value| record.metadata_mut().push("HKMetadataKeyX", value));
        record
    };
    let mut other = record(5, Some(text("7")));
    other.value = unit("count/s");
    let input = [
        record(1, Some(MetaValue::Number(7.0))),
        record(2, Some(text("8"))),
        record(3, Some(MetaValue::Date(Timestamp::default()))),
        record(4, None),
        other,
    ];
    let output = transform_contract(|| Enrich::new(&config).unwrap(), &input, 0..10);
    let written =
        |record: &Record| metadata(record).into_iter().skip(1).map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!(written(&output[0]), [MetaValue::Number(-1.5), MetaValue::Bool(true)]);
    assert_eq!(written(&output[1]), [text("none")]);
    assert_eq!(output[2..], input[2..]);
}

/// Scenario: two rows of one key, a row without a key, a type that is none. Guarantees: G8; errors with their lines, and no cell in them.
#[test]
fn rows_that_make_no_sense_are_refused() {
    for (rows, expected) in [
        ("ada,A\nben,B\nada,A\n", "people.csv:4: expected a row for each key, found the key of line 2 again"),
        ("ada,A\n,B\n", "people.csv:3: expected a value in `who`, found none"),
    ] {
        let (_directory, path) = table("people.csv", &format!("who,arm\n{rows}"));
        let config = config("table = \"x.csv\"\nkey = { subject = \"who\" }\ncolumns = [\"arm\"]", &path);
        let error = Enrich::new(&config).unwrap().look(Timestamp::default()).unwrap()().unwrap_err();
        assert!(error.message().ends_with(expected) && !error.message().contains("ada"), "{error}");
    }
    let (_directory, path) = table("types.csv", "type,arm\nHeartRat,B\n");
    let config = config("table = \"x.csv\"\nkey = { type = \"type\" }\ncolumns = [\"arm\"]", &path);
    let error = Enrich::new(&config).unwrap().look(Timestamp::default()).unwrap()().unwrap_err();
    assert!(error.message().contains("types.csv:2: `type`: expected a type that is known"), "{error}");
}

/// Scenario: what makes no sense. Guarantees: each is a problem at its place.
#[test]
fn problems_are_found_together() {
    let read = |text: &str| toml::from_str::<Config>(text).unwrap().check();
    let problems = read(
        "table = \"people\"\nkey = { subjct = \"a\", value = \"b\" }\ncolumns = { a = \"x\", b = \"x\" }",
    );
    assert_eq!(key_paths(&problems), ["table", "key.subjct", "key.value", "columns"]);
    assert_eq!(problems[1].help.as_deref(), Some("did you mean `subject`?"));
    assert_eq!(key_paths(&read("table = \"a.csv\"\nkey = {}\ncolumns = []")), ["key", "columns"]);
    let resolved = || {
        let mut config: Config =
            toml::from_str("table = \"a.csv\"\nkey = { subject = \"a\" }\ncolumns = [\"b\"]").unwrap();
        config.resolve(Path::new("/etc/study"));
        config.table
    };
    assert_eq!(resolved(), Path::new("/etc/study/a.csv"));
}
