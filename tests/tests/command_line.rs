//! The command line: what it prints where, and with which exit code it ends.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use afferent_sources::export::testing::write_export;
use afferent_tests::{Place, Ran};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A feed into a database and a file.
const FEED: &str = r#"
name = "feed"

[[source]]
type  = "healthkit"
store = { type = "mock", seed = 3, days = 3 }
types = ["HeartRate", "StepCount"]

[[sink]]
type = "sqlite"
path = "health.db"

[[sink]]
type = "file"
path = "steps.ndjson"
when = "type == 'StepCount'"
"#;

/// A file that is followed into another.
const FOLLOW: &str = r#"
name = "follow"

[[source]]
type   = "file"
path   = "in.ndjson"
follow = true

[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// `records` heart rates, one a line, numbered from `first`.
fn lines(first: u32, records: u32) -> String {
    let line = |n| {
        format!(
            "{{\"id\":\"00000000-0000-4000-8000-{n:012}\",\"type\":\"HKQuantityTypeIdentifierHeartRate\",\
             \"start\":\"2025-01-01T00:00:00Z\",\"end\":\"2025-01-01T00:00:00Z\",\"value\":60.0,\"unit\":\"count/min\"}}\n"
        )
    };
    (first..first + records).map(line).collect()
}

/// The accounts that a command printed for programs; all of them balance.
fn accounts(ran: &Ran) -> Vec<Value> {
    let accounts =
        ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    // An import tells before them what it counted.
    let accounts: Vec<Value> = accounts.filter(|line| line["sink"].is_string()).collect();
    for account in &accounts {
        let number = |key: &str| account[key].as_u64().expect("a number");
        assert_eq!(
            number("read") + number("derived"),
            ["delivered", "filtered", "superseded", "dead", "pending"].map(number).iter().sum::<u64>(),
            "{account}"
        );
    }
    accounts
}

/// Scenario: a feed is run twice until it is idle. Guarantees: G1, G2: the accounts balance; the second run changes
/// nothing. stdout has the accounts and nothing else.
#[test]
fn a_feed_runs_until_it_is_idle() {
    let place = Place::new(BINARY);
    place.write("feed.toml", FEED);
    let first = place.run(&["run", "feed.toml", "--until-idle", "-o", "json"]).exits(0);
    let [file, sqlite] = &accounts(&first)[..] else { panic!("{}", first.stdout) };
    assert_eq!((file["sink"].as_str(), sqlite["sink"].as_str()), (Some("file"), Some("sqlite")));
    assert!(file["filtered"].as_u64() > Some(100) && file["delivered"].as_u64() > Some(100), "{file}");
    let second = place.run(&["run", "feed.toml", "--until-idle", "-o", "json"]).exits(0);
    assert_eq!(accounts(&second), accounts(&first));

    let human = place.run(&["run", "feed.toml", "--until-idle"]).exits(0);
    assert_eq!(human.stdout, "", "stdout is data");
    for expected in ["superseded", "sqlite3 health.db", "head -n 3 steps.ndjson", "afferent run feed.toml"] {
        assert!(human.stderr.contains(expected), "{expected} in {}", human.stderr);
    }
    assert_eq!(place.run(&["run", "feed.toml", "--until-idle", "-q"]).exits(0).stderr, "");
}

/// Scenario: `--from-start` after a run. Guarantees: everything is read again, and a database absorbs it by identity (G2).
#[test]
fn from_start_reads_everything_again() {
    let place = Place::new(BINARY);
    place.write("feed.toml", FEED);
    let rows = |place: &Place| {
        let database = rusqlite::Connection::open(place.path().join("health.db")).expect("the database");
        database.query_row("select count(*) from samples", [], |row| row.get::<_, i64>(0)).expect("a count")
    };
    let first = accounts(&place.run(&["run", "feed.toml", "--until-idle", "-o", "json"]).exits(0));
    let before = rows(&place);
    let again = place.run(&["run", "feed.toml", "--until-idle", "--from-start", "-o", "json"]).exits(0);
    assert_eq!(accounts(&again)[1]["read"], first[1]["read"]);
    assert_eq!(rows(&place), before);
}

/// Scenario: wrong command lines and wrong files. Guarantees: what a script sees tells whether to mend the call or the file;
/// `validate` prints diagnostics as data, `run` as talk; nothing is opened or created.
#[test]
fn wrong_calls_and_wrong_files() {
    let place = Place::new(BINARY);
    for wrong in [
        &["run"][..],
        &["run", "feed.toml", "--timeout", "2s"],
        &["run", "feed.toml", "--until-idle", "--timeout", "2"],
        &["import", "export.zip", "--to", "postgres:x"],
        &["import", "export.zip", "--to", "sqlite:x.db", "--types", "HartRate"],
        &["explain", "AF-9999"],
    ] {
        place.run(wrong).exits(2);
    }
    place.write("wrong.toml", FEED.replace("path = \"health.db\"", "paht = \"health.db\""));
    let ran = place.run(&["validate", "wrong.toml", "no-such.toml", "-o", "json"]).exits(78);
    let codes: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| {
            let diagnostic: Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |key: &str| diagnostic[key].to_string();
            format!("{} {}:{}:{}", text("code"), text("file"), text("line"), text("column"))
        })
        .collect();
    assert_eq!(codes, [r#""AF-0112" "wrong.toml":11:1"#, r#""AF-0102" "no-such.toml":1:1"#]);
    let ran = place.run(&["run", "wrong.toml"]).exits(78);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("did you mean `path`?") && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    assert!(!place.path().join("state").exists(), "nothing was created");
}

/// Scenario: an environment variable that is not set, then set. Guarantees: `validate` warns, `run` refuses; the value never
/// shows (G8).
#[test]
fn environment_variables() {
    let place = Place::new(BINARY);
    place.write("feed.toml", FEED.replace("health.db", "${AFFERENT_TEST_DB}"));
    let ran = place.run(&["validate", "feed.toml"]).exits(0);
    assert!(ran.stderr.contains("AF-0130"), "{}", ran.stderr);
    place.run(&["run", "feed.toml", "--until-idle"]).exits(78);
    let mut command = place.command(&["run", "feed.toml", "--until-idle"]);
    let ran = Ran::from(command.env("AFFERENT_TEST_DB", "s3cr3t.db").output().expect("the command starts"))
        .exits(0);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cr3t"), "{}", ran.stderr);
}

/// Scenario: two files of one pipeline name, and two processes in one state directory. Guarantees: neither shares a checkpoint.
#[test]
fn one_pipeline_one_name_one_process() {
    let place = Place::new(BINARY);
    place.write("a.toml", FEED);
    place.write("b.toml", FEED);
    let ran = place.run(&["run", "a.toml", "b.toml", "--until-idle"]).exits(78);
    assert!(ran.stderr.contains("AF-0105"), "{}", ran.stderr);

    place.write("follow.toml", FOLLOW);
    place.write("in.ndjson", format!("{}not JSON\n", lines(0, 10)));
    let mut running =
        place.command(&["run", "follow.toml"]).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for(running.stderr.take().expect("a pipe"), "dead-lettered");
    let ran = place.run(&["run", "a.toml", "--until-idle"]).exits(73);
    assert!(ran.stderr.contains(&running.id().to_string()), "it says who: {}", ran.stderr);
    interrupt(running.id());
    assert_eq!(running.wait().expect("it ends").code(), Some(130));
}

/// Scenario: Ctrl-C while a file is followed; more lines; a second run. Guarantees: G1, G2, G5: what was read is delivered and
/// checkpointed; the next run goes on behind it.
#[test]
fn ctrl_c_delivers_and_the_next_run_goes_on() {
    let place = Place::new(BINARY);
    place.write("follow.toml", FOLLOW);
    place.write("in.ndjson", format!("{}not JSON\n", lines(0, 100)));
    let mut running =
        place.command(&["run", "follow.toml"]).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for(running.stderr.take().expect("a pipe"), "dead-lettered");
    interrupt(running.id());
    assert_eq!(running.wait().expect("it ends").code(), Some(130));

    place.write("in.ndjson", format!("{}not JSON\n{}", lines(0, 100), lines(100, 50)));
    let ran = place.run(&["run", "follow.toml", "--until-idle", "-o", "json"]).exits(0);
    let account = &accounts(&ran)[0];
    assert_eq!([&account["read"], &account["delivered"], &account["dead"]], [151, 150, 1]);
    let out = std::fs::read_to_string(place.path().join("out.ndjson")).expect("the file");
    assert_eq!(out, lines(0, 150));
}

/// Scenario: a finite file with one bad line. Guarantees: the good records arrive, the run says where the bad one is, and ends
/// with 65 only when it was this run's.
#[test]
fn dead_letters_of_this_run_end_it_with_65() {
    let place = Place::new(BINARY);
    place.write("once.toml", FOLLOW.replace("follow = true", ""));
    place.write("in.ndjson", format!("{}not JSON\n{}", lines(0, 5), lines(5, 5)));
    let ran = place.run(&["run", "once.toml"]).exits(65);
    assert!(
        ran.stderr.contains("1 record in the dead letters") && ran.stderr.contains("in.ndjson:6"),
        "{}",
        ran.stderr
    );
    let out = std::fs::read_to_string(place.path().join("out.ndjson")).expect("the file");
    assert_eq!(out, lines(0, 10));
    place.run(&["run", "once.toml"]).exits(0);
}

/// Scenario: a database that another process has locked, and a path that can't be. Guarantees: the one is waited for until
/// `--timeout` (75) and goes on later; the other ends the run at once (73).
#[test]
fn sinks_that_cannot_be_used() {
    let place = Place::new(BINARY);
    place.write("feed.toml", FEED);
    let lock = rusqlite::Connection::open(place.path().join("health.db")).expect("a database");
    lock.execute_batch("begin exclusive; create table other(x)").expect("a lock");
    let ran = place.run(&["run", "feed.toml", "--until-idle", "--timeout", "4s"]).exits(75);
    assert!(ran.stderr.contains("retrying in"), "{}", ran.stderr);
    drop(lock);
    place.run(&["run", "feed.toml", "--until-idle"]).exits(0);

    place.write(
        "blocked.toml",
        FEED.replace("health.db", "feed.toml/health.db").replace("\"feed\"", "\"blocked\""),
    );
    place.run(&["run", "blocked.toml", "--until-idle"]).exits(73);
}

/// Scenario: an export is imported, again, into a deleted database, and replaced by next month's. Guarantees: G1, G2: the same
/// changes nothing, a deleted database is filled again, a new export is read whole.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn imports_can_be_repeated() {
    let place = Place::new(BINARY);
    let export = |records| {
        let mut xml = Vec::new();
        write_export(1, records, &mut xml).expect("an export");
        place.write("export.xml", xml);
    };
    let import = |to: &str| {
        let ran = place.run(&["import", "export.xml", "--to", to, "-o", "json"]).exits(0);
        accounts(&ran)[0].clone()
    };
    let rows = || {
        let database = rusqlite::Connection::open(place.path().join("health.db")).expect("the database");
        database.query_row("select count(*) from samples", [], |row| row.get::<_, i64>(0)).expect("a count")
    };
    export(1000);
    let first = import("sqlite:health.db");
    let filled = rows();
    assert!(filled >= 1000, "{first}");
    assert_eq!(import("sqlite:health.db")["read"], first["read"]);
    assert_eq!(rows(), filled);

    for name in ["health.db", "health.db-wal", "health.db-shm"] {
        let _ = std::fs::remove_file(place.path().join(name));
    }
    import("sqlite:health.db");
    assert_eq!(rows(), filled);

    let file =
        || std::fs::read_to_string(place.path().join("health.ndjson")).expect("the file").lines().count();
    import("ndjson:health.ndjson");
    let written = file();
    import("ndjson:health.ndjson");
    assert_eq!(file(), written, "the same export adds nothing to a file either");

    export(1500);
    assert!(import("sqlite:health.db")["read"].as_u64() > first["read"].as_u64());
    assert!(rows() > filled);
}

/// Scenario: something that is no export, and one that is not there. Guarantees: one clear error with the path; no database.
#[test]
fn imports_of_other_things() {
    let place = Place::new(BINARY);
    place.write("notes.txt", "no export");
    let ran = place.run(&["import", "notes.txt", "--to", "sqlite:health.db"]).exits(65);
    assert!(ran.stderr.contains("notes.txt"), "{}", ran.stderr);
    let ran = place.run(&["import", "none.zip", "--to", "sqlite:health.db"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("none.zip"), "{}", ran.stderr);
}

/// Scenario: the examples of the repository. Guarantees: all are valid; the first of the README runs to its end.
#[test]
fn examples_work() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/examples");
    let place = Place::new(BINARY);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(examples).expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            place.write(&name, std::fs::read(&path).expect("an example"));
            names.push(name);
        }
    }
    for name in &names {
        place.run(&["validate", name]).exits(0);
    }
    place.run(&["run", "quickstart.toml", "--until-idle"]).exits(0);
    let steps = std::fs::read_to_string(place.path().join("out/steps.ndjson")).expect("the steps");
    assert!(steps.lines().count() > 1000 && steps.contains("quickstart"));

    let mut xml = Vec::new();
    write_export(1, 200, &mut xml).expect("an export");
    place.write("export.xml", xml);
    let mut command = place.command(&["run", "export-to-sqlite.toml"]);
    Ran::from(command.env("EXPORT", "export.xml").output().expect("the command starts")).exits(0);

    std::fs::create_dir(place.path().join("in")).expect("a directory");
    place.write("in/a.ndjson", lines(0, 10));
    place.run(&["run", "follow-file.toml", "--until-idle"]).exits(0);
    assert!(place.path().join("out/followed.000001.ndjson").exists());
}

/// Reads until a line contains `text`, and goes on reading so that the command never blocks.
fn wait_for(output: impl std::io::Read + Send + 'static, text: &str) {
    let mut lines = BufReader::new(output).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(text));
    assert!(found, "it ended before it said {text:?}");
    std::thread::spawn(move || lines.for_each(drop));
}

fn interrupt(id: u32) {
    let status = Command::new("kill").args(["-INT", &id.to_string()]).status().expect("the `kill` command");
    assert!(status.success());
}
