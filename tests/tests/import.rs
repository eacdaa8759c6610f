//! What `afferent import` promises beyond its accounts: it goes on by position, counts what is there, and leaves nothing
//! else behind.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use afferent::{
    afferent_core::{CheckpointStore, Name, clock::SystemClock, disk::OsDisk, random::Random},
    state::RedbStore,
};
use afferent_sources::export::testing::{offset_of, write_export, write_export_zip};
use afferent_tests::{Place, Ran, Running, records::rows, timed};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn write_zip(path: &Path, records: u64) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("the file"));
    write_export_zip(9, records, &mut out).expect("the export is written");
}

/// The offset in the XML that the last checkpoint of `pipeline` stands for; `None` before there is one.
fn saved_offset(place: &Place, pipeline: &Name) -> Option<u64> {
    let state = place.path().join("state");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let random = Random::from_seed(1);
        let store = RedbStore::open(OsDisk::shared(), SystemClock::shared(), random, &state, false).await;
        let store: Arc<dyn CheckpointStore> = Arc::new(store.expect("the state opens"));
        let generation = store.claim(pipeline).await.expect("a claim");
        let loaded = store.load(pipeline, generation).await.expect("it loads")?;
        let position = loaded.checkpoint.positions.values().next().cloned()?;
        Some(offset_of(&position).expect("a position of an export"))
    })
}

/// Scenario: an import of a zip is killed soon after a checkpoint, twice, and then left to end. Guarantees: G5 and
/// G9: each run goes on at the byte of the XML that its checkpoint says, further on than the one before; G1 and G2: the
/// rows are those of an undisturbed run; the zip is not unpacked.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn an_import_goes_on_by_position() {
    // There is a checkpoint a second: as many records as this machine reads in the time of three and a half.
    const CHECKPOINTS: usize = 3;
    let import = ["import", "export.zip", "--to", "sqlite:health.db"];
    let mut records = 250_000;
    let undisturbed = loop {
        let undisturbed = Place::new(BINARY);
        write_zip(&undisturbed.path().join("export.zip"), records);
        let mut command = undisturbed.command(&import);
        command.env("AFFERENT_LOG", "afferent_core=debug");
        let (ran, time) = timed(|| Ran::from(command.output().expect("the command starts")).exits(0));
        assert!(!ran.stderr.contains("going on in"), "the first run begins at the beginning");
        if ran.stderr.matches("committed").count() >= CHECKPOINTS {
            break undisturbed;
        }
        records += (records as f64 * (3.5 / time.as_secs_f64() - 1.0).max(0.5)) as u64;
    };

    let place = Place::new(BINARY);
    std::fs::copy(undisturbed.path().join("export.zip"), place.path().join("export.zip")).expect("a copy");
    let counted = place.run(&[&import[..], &["--dry-run", "-o", "json"]].concat()).exits(0);
    let account = counted.stdout.lines().last().expect("a line");
    let account: Value = serde_json::from_str(account).expect("an account");
    let pipeline = Name::from(account["pipeline"].as_str().expect("a name"));

    let mut before = 0;
    for life in 0..2 {
        let mut command = place.command(&import);
        command.env("AFFERENT_LOG", "afferent_core=debug");
        let mut running = Running::start(command);
        if life > 0 {
            running.says(&format!("at byte {before} of "));
        }
        running.says("committed");
        running.signal("KILL");
        running.end();
        let offset = saved_offset(&place, &pipeline).expect("it was killed before its end");
        assert!(offset > before, "each run gets further: from {before} to {offset}");
        before = offset;
    }
    place.run(&import).exits(0);
    assert!(rows(&place.path().join("health.db")) == rows(&undisturbed.path().join("health.db")));

    let mut names: Vec<String> = std::fs::read_dir(place.path())
        .expect("the place")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| !name.starts_with("health.db"))
        .collect();
    names.sort();
    assert_eq!(names, ["export.zip", "state"]);
}

/// What an import printed for programs: records by type, and what was passed over.
fn counts(stdout: &str) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut types, mut passed_over) = (BTreeMap::new(), BTreeMap::new());
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        if let Some(kind) = line["type"].as_str() {
            types.insert(kind.to_owned(), line["records"].as_u64().expect("a number"));
        } else if let Some(reason) = line["passed_over"].as_str() {
            passed_over.insert(reason.to_owned(), line["count"].as_u64().expect("a number"));
        }
    }
    (types, passed_over)
}

/// Scenario: an export is counted, whole and in part, for programs and for people, then imported. Guarantees: counting leaves
/// nothing behind and counts what the import delivers; what was not asked for is told.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn a_dry_run_counts_and_leaves_nothing() {
    let place = Place::new(BINARY);
    let mut xml = Vec::new();
    write_export(4, 3_000, &mut xml).expect("an export");
    place.write("export.xml", &xml);

    let ran = place.run(&["import", "export.xml", "--dry-run", "-o", "json"]).exits(0);
    let (types, passed_over) = counts(&ran.stdout);
    assert_eq!(std::fs::read_dir(place.path()).expect("the place").count(), 1, "nothing but the export");
    assert!(types.len() > 8 && passed_over.keys().any(|reason| reason == "characteristics"));
    let total: u64 = types.values().sum();

    let ran = place.run(&["import", "export.xml", "--dry-run", "--types", "HeartRate"]).exits(0);
    assert!(ran.stdout.contains("HeartRate") && !ran.stdout.contains("StepCount"), "{}", ran.stdout);
    assert!(ran.stdout.contains("of other types or times than asked for"), "{}", ran.stdout);

    let ran = place.run(&["import", "export.xml", "--to", "sqlite:health.db", "-o", "json"]).exits(0);
    assert_eq!(counts(&ran.stdout).0, types);
    assert_eq!(rows(&place.path().join("health.db")).len() as u64, total);

    place.write("bad.xml", String::from_utf8(xml).expect("text").replacen(" unit=\"kcal\"", "", 1));
    let ran = place.run(&["import", "bad.xml", "--dry-run"]).exits(65);
    assert!(ran.stderr.contains("1 record could not be read and would be dead letters"), "{}", ran.stderr);
}

/// Scenario: the export is given as the destination, by another name for it, and as the folder of CSV files. Guarantees: it is
/// a mistake in the command, and the export stays as it was.
#[test]
#[cfg(unix)]
fn the_export_is_no_destination() {
    let place = Place::new(BINARY);
    let mut xml = Vec::new();
    write_export(4, 10, &mut xml).expect("an export");
    place.write("export/export.xml", &xml);
    std::os::unix::fs::symlink("export/export.xml", place.path().join("link.xml")).expect("a link");
    for (export, to) in [
        ("export/export.xml", "ndjson:export/export.xml"),
        ("export/export.xml", "ndjson:link.xml"),
        ("link.xml", "sqlite:./export/export.xml"),
        ("export", "csv:export"),
    ] {
        let ran = place.run(&["import", export, "--to", to]).exits(2);
        assert!(ran.stderr.contains("is the export itself"), "{to}: {}", ran.stderr);
    }
    assert_eq!(place.read("export/export.xml").as_bytes(), xml);
    let ran = place.run(&["import", "export", "--dry-run", "--since", "2026-01-02", "--until", "2026-01-01"]);
    assert!(ran.exits(2).stderr.contains("--until: nothing is between"), "it says so");
}
