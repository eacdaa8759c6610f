//! The pipeline files in `pipelines/examples`: what a reader copies works as its comments say.
//!
//! `pipelines/examples/embed.rs` is compiled with the tests of its crate; `cargo run -p afferent --example embed` runs it.

use std::{collections::HashMap, path::Path};

use afferent_sources::export::testing::write_export;
use afferent_tests::{Place, Ran, records::rows};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A place with all examples; their names.
fn place() -> (Place, Vec<String>) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/examples");
    let (place, mut names) = (Place::new(BINARY), Vec::new());
    for entry in std::fs::read_dir(examples).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            place.write(&name, std::fs::read(&path).expect("an example"));
            names.push(name);
        }
    }
    (place, names)
}

/// Records that are there after all lines: those of their highest revision that are not deleted.
fn alive(ndjson: &str) -> HashMap<String, Value> {
    let mut alive = HashMap::new();
    for line in ndjson.lines() {
        let record: Value = serde_json::from_str(line).expect("a line of JSON");
        let id = record["id"].as_str().expect("an id").to_owned();
        if record["deleted"] == true {
            alive.remove(&id);
        } else {
            alive.insert(id, record);
        }
    }
    alive
}

/// Scenario: every example is validated. Guarantees: each is valid, without a warning other than of the variable that its
/// comments say to set.
#[test]
fn all_are_valid() {
    let (place, names) = place();
    assert!(names.len() >= 4, "{names:?}");
    for name in &names {
        let ran = place.run(&["validate", name]).exits(0);
        let expected = usize::from(["export-to-sqlite.toml", "upload.toml"].contains(&name.as_str()));
        assert_eq!(ran.stderr.matches("warning").count(), expected, "{}", ran.stderr);
    }
}

/// Scenario: the quickstart, until it is idle, twice. Guarantees: G1, G2: as many steps in the database as records in the file
/// that were not deleted; the second run changes nothing.
#[test]
fn the_quickstart_runs() {
    let (place, _) = place();
    place.run(&["run", "quickstart.toml", "--until-idle"]).exits(0);
    let steps = place.read("out/steps.ndjson");
    let alive = alive(&steps);
    assert!(alive.len() > 1000, "{} steps", alive.len());
    assert!(alive.values().all(|record| record["metadata"]["study"] == "quickstart"));
    let database = place.path().join("out/quickstart.db");
    let count = |what: &str| -> i64 {
        let database = rusqlite::Connection::open(&database).expect("the database");
        database
            .query_row(&format!("select count(*) from samples {what}"), [], |row| row.get(0))
            .expect("a count")
    };
    assert_eq!(count("where type = 'HKQuantityTypeIdentifierStepCount'"), alive.len() as i64);
    assert_eq!(count("where type = 'HKQuantityTypeIdentifierActiveEnergyBurned' and unit <> 'kJ'"), 0);
    let before = rows(&database);
    assert!(before.len() > alive.len());

    place.run(&["run", "quickstart.toml", "--until-idle"]).exits(0);
    assert!(rows(&database) == before && place.read("out/steps.ndjson") == steps, "nothing changes");
}

/// Scenario: three pipelines that a queue joins, until they are idle, twice. Guarantees: G1, G2: both readers have everything, each once;
/// the second run changes nothing.
#[test]
fn joined_pipelines_run() {
    let (place, _) = place();
    let files = ["joined-intake.toml", "joined-archive.toml", "joined-hearts.toml"];
    place.run(&[&["validate"][..], &files].concat()).exits(0);
    let run = [&["run"][..], &files, &["--until-idle"]].concat();
    place.run(&run).exits(0);
    let archive = place.read("out/joined.ndjson");
    let hearts = rows(&place.path().join("out/hearts.db"));
    let beats =
        alive(&archive).into_values().filter(|record| record["type"] == "HKQuantityTypeIdentifierHeartRate");
    assert_eq!(hearts.len(), beats.count());
    assert!(hearts.len() > 1000, "{} heart rates", hearts.len());
    place.run(&run).exits(0);
    assert!(
        place.read("out/joined.ndjson") == archive && rows(&place.path().join("out/hearts.db")) == hearts
    );
}

/// Scenario: an export into a database by a file. Guarantees: G1, G2: the same rows as by `afferent import`.
#[test]
fn an_export_goes_to_sqlite() {
    let (place, _) = place();
    let mut xml = Vec::new();
    write_export(8, 3000, &mut xml).expect("an export");
    place.write("export.xml", xml);
    let mut command = place.command(&["run", "export-to-sqlite.toml"]);
    Ran::from(command.env("EXPORT", "export.xml").output().expect("the command starts")).exits(0);
    place.run(&["import", "export.xml", "--to", "sqlite:imported.db", "--subject", "me"]).exits(0);
    let (found, expected) =
        (rows(&place.path().join("out/health.db")), rows(&place.path().join("imported.db")));
    assert!(expected.len() > 2900, "{} rows", expected.len());
    assert!(found == expected, "{} rows, {} expected", found.len(), expected.len());
}

/// Scenario: files are followed, two records a minute and one of a type that is not wanted; a file grows, another comes.
/// Guarantees: G1, G2, G3: one record a minute arrives; a second run delivers the new ones and nothing else.
#[test]
fn files_are_followed() {
    let (place, _) = place();
    let minute = |minute: u32| -> String {
        let record = |second: u32, kind: &str, unit: &str| {
            format!(
                "{{\"id\":\"00000000-0000-4000-8000-{minute:08}{second:04}\",\"type\":\"{kind}\",\"start\":\"2025-01-01T{:02}:{:02}:{second:02}Z\",\"value\":61,\"unit\":\"{unit}\"}}\n",
                minute / 60,
                minute % 60
            )
        };
        record(0, "HeartRate", "count/min")
            + &record(1, "BodyMass", "kg")
            + &record(30, "HeartRate", "count/min")
    };
    let minutes = |from: u32, to: u32| (from..to).map(minute).collect::<String>();
    let arrived = |place: &Place| -> Vec<String> {
        let ids = place.read("out/followed.000001.ndjson");
        ids.lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id")[24..]
                    .to_owned()
            })
            .collect()
    };
    let expected = |to: u32| (0..to).map(|minute| format!("{minute:08}0000")).collect::<Vec<_>>();

    std::fs::create_dir(place.path().join("in")).expect("a directory");
    place.write("in/a.ndjson", minutes(0, 100));
    place.run(&["run", "follow-file.toml", "--until-idle"]).exits(0);
    assert_eq!(arrived(&place), expected(100));

    place.write("in/a.ndjson", minutes(0, 150));
    place.write("in/b.ndjson", minutes(150, 200));
    let ran = place.run(&["run", "follow-file.toml", "--until-idle", "-o", "json"]).exits(0);
    assert_eq!(arrived(&place), expected(200));
    let account: Value = serde_json::from_str(&ran.stdout).expect("one account");
    assert_eq!([&account["read"], &account["delivered"], &account["filtered"]], [600, 200, 400]);
}
