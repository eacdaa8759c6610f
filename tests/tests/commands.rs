//! What commands promise beyond their exit codes: imports row for row, interrupted runs, help that can be typed.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
};

use afferent_sources::export::testing::{write_export, write_export_zip};
use afferent_tests::{
    Place, Ran,
    records::{lines, rows},
};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A feed into a database and a file, long enough to be interrupted, that shows on stdout when it is under way.
const FEED: &str = r#"
name = "feed"

[checkpoint]
every = "50ms"

[[source]]
type  = "healthkit"
store = { type = "mock", seed = 5, days = 30, users = 2 }
types = ["*"]

[[transform]]
type = "dedupe"

[[sink]]
type = "sqlite"
path = "health.db"

[[sink]]
type = "file"
path = "health.ndjson"

[[sink]]
type   = "stdout"
format = "json"
"#;

/// A file into another.
const COPY: &str = r#"
name = "copy"

[[source]]
type = "file"
path = "in.ndjson"

[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// Scenario: an export is imported twice into a database, then into a database that was deleted, and then another export
/// that stands at the same path. Guarantees: G1, G2: row for row, the second import changes nothing, the deleted
/// database is filled again, and the other export is read whole.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn imports_row_for_row() {
    let place = Place::new(BINARY);
    let database = place.path().join("health.db");
    let import = |seed| {
        let mut zip = std::io::Cursor::new(Vec::new());
        write_export_zip(seed, 3000, &mut zip).expect("an export");
        place.write("export.zip", zip.into_inner());
        place.run(&["import", "export.zip", "--to", "sqlite:health.db"]).exits(0);
        rows(&database)
    };
    let first = import(1);
    assert!(first.len() > 2900, "{} rows", first.len());
    assert!(import(1) == first, "the same export changes nothing");
    for suffix in ["", "-wal", "-shm"] {
        // Not all of them are there after an orderly end.
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    assert!(import(1) == first, "a deleted database is filled again");

    let mut both = import(2);
    let other = Place::new(BINARY);
    let mut xml = Vec::new();
    write_export(2, 3000, &mut xml).expect("an export");
    other.write("export.xml", xml);
    other.run(&["import", "export.xml", "--to", "sqlite:health.db"]).exits(0);
    let mut union = first;
    union.extend(rows(&other.path().join("health.db")));
    // As text they sort otherwise than by id.
    both.sort();
    union.sort();
    union.dedup();
    assert!(both == union, "{} rows, {} expected", both.len(), union.len());
}

/// Scenario: `-o json` of `run` and `import`. Guarantees: one line per account, with these fields, in this order.
#[test]
fn accounts_for_programs() {
    let place = Place::new(BINARY);
    place.write("copy.toml", COPY);
    place.write("in.ndjson", lines(0..7));
    let ran = place.run(&["run", "copy.toml", "-o", "json"]).exits(0);
    let rest =
        r#""read":7,"derived":0,"delivered":7,"filtered":0,"superseded":0,"dead":0,"pending":0,"epochs":"#;
    assert!(
        ran.stdout.starts_with(&format!(r#"{{"pipeline":"copy","sink":"file",{rest}"#)),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stdout.lines().count(), 1);

    let mut xml = Vec::new();
    write_export(1, 100, &mut xml).expect("an export");
    place.write("export.xml", xml);
    let ran = place.run(&["import", "export.xml", "--to", "sqlite:health.db", "-o", "json"]).exits(0);
    let account: Value =
        serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("an account");
    assert_eq!(account["sink"], "sqlite");
    assert_eq!(account["read"], account["delivered"]);
    assert_eq!(account.as_object().expect("an object").len(), 10);
}

/// Scenario: Ctrl-C in the middle of a feed, and a request to terminate; then a run to the end. Guarantees: G1, G2, G3, G5: each
/// is answered, ends with its code and delivers what was read; the outputs are those of an undisturbed run.
#[test]
fn signals_drain() {
    let undisturbed = Place::new(BINARY);
    undisturbed.write("feed.toml", FEED);
    undisturbed.run(&["run", "feed.toml", "--until-idle"]).exits(0);

    let place = Place::new(BINARY);
    place.write("feed.toml", FEED);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut running = place.start(&["run", "feed.toml"]);
        running.prints("\"id\"");
        running.signal(signal);
        let ran = running.end().exits(code);
        assert!(ran.stderr.contains("delivering what was read"), "{}", ran.stderr);
        let (all, some) = (undisturbed.read("health.ndjson"), place.read("health.ndjson"));
        assert!(some.len() < all.len() && all.starts_with(&some), "{} of {} bytes", some.len(), all.len());
    }
    place.run(&["run", "feed.toml", "--until-idle"]).exits(0);
    assert!(place.read("health.ndjson") == undisturbed.read("health.ndjson"), "NDJSON differs");
    let rows = |place: &Place| rows(&place.path().join("health.db"));
    assert!(rows(&place) == rows(&undisturbed), "SQLite differs");
}

/// Scenario: `--timeout` of a run whose sink waits for ever, for people and for programs. Guarantees: G5: 75 and why; accounts
/// are told all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_timeout() {
    let place = Place::new(BINARY);
    place.write("copy.toml", COPY.replace("out.ndjson", "/dev/full"));
    place.write("in.ndjson", lines(0..7));
    // Long enough for the first checkpoint on a busy machine: there is no account before it.
    let ran = place.run(&["run", "copy.toml", "--until-idle", "--timeout", "4s", "-o", "json"]).exits(75);
    assert!(ran.stderr.contains("error: not idle after"), "{}", ran.stderr);
    let account: Value = serde_json::from_str(&ran.stdout).expect("one account");
    assert_eq!(account["delivered"], 0);
}

/// Scenario: Ctrl-C while the receiver of an upload is away. Guarantees: G1, G11: it ends at the limit of the drain and says
/// what still waits, which is kept.
#[test]
fn a_drain_is_limited() {
    let place = Place::new(BINARY);
    let sink = "type = \"http\"\nurl = \"http://127.0.0.1:9/\"";
    place.write("copy.toml", COPY.replace("type = \"file\"\npath = \"out.ndjson\"", sink));
    place.write("in.ndjson", lines(0..7));
    let mut running = place.start(&["run", "copy.toml", "--drain", "500ms"]);
    running.says("can't be reached");
    running.signal("INT");
    let ran = running.end().exits(130);
    assert!(ran.stderr.contains("for at most 500 ms"), "{}", ran.stderr);
    assert!(ran.stderr.contains("7 records not acknowledged by receivers yet; delivering"), "{}", ran.stderr);
    assert!(ran.stderr.contains("7 records not acknowledged yet: kept"), "{}", ran.stderr);
    let accounts = place.run(&["audit", "-o", "json"]).exits(0).stdout;
    // The account comes first, then its rows by type.
    let audit: Value = serde_json::from_str(accounts.lines().next().expect("an account")).expect("JSON");
    assert_eq!(audit["pending"], 7, "{audit}");
}

/// Scenario: `--from-start` while uploads wait for a receiver that is away. Guarantees: G1: it is refused, and nothing of
/// what waits is touched; it isn't suggested either.
#[test]
fn from_start_is_refused_while_uploads_wait() {
    let place = Place::new(BINARY);
    // The discard port: nobody listens.
    let sink = "type = \"http\"\nurl = \"http://127.0.0.1:9/\"";
    place.write("copy.toml", COPY.replace("type = \"file\"\npath = \"out.ndjson\"", sink));
    place.write("in.ndjson", lines(0..7));
    let account = || -> Value {
        let accounts = place.run(&["audit", "-o", "json"]).exits(0).stdout;
        serde_json::from_str(accounts.lines().next().unwrap_or_default()).unwrap_or_default()
    };
    loop {
        let away = place.run(&["run", "copy.toml", "--until-idle", "--timeout", "1s"]).exits(75);
        assert!(!away.stderr.contains("--from-start"), "{}", away.stderr);
        // On a busy machine a second may be over before the epoch is.
        if account()["read"] == 7 {
            break;
        }
    }
    let refused = place.run(&["run", "copy.toml", "--from-start"]).exits(78);
    assert!(
        refused.stderr.contains("7 records of pipeline `copy` wait for the receiver"),
        "{}",
        refused.stderr
    );
    let account = account();
    assert_eq!((&account["read"], &account["pending"]), (&7.into(), &7.into()));
}

/// Scenario: the receiver refuses the credentials until the time is over; they came from the environment. Guarantees: G11: 77
/// and not 75, everything is kept, and what is said does not promise that they are read again.
#[test]
fn refused_credentials_are_told_from_a_receiver_that_is_away() {
    let place = Place::new(BINARY);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    // It ends with the test's process.
    std::thread::spawn(move || listener.incoming().flatten().for_each(refuse));
    let sink =
        format!("type = \"http\"\nurl = \"http://127.0.0.1:{port}/\"\nauth = {{ bearer = \"${{TOKEN}}\" }}");
    place.write("copy.toml", COPY.replace("type = \"file\"\npath = \"out.ndjson\"", &sink));
    place.write("in.ndjson", lines(0..7));
    let run = |arguments: &[&str]| {
        let output = place.command(arguments).env("TOKEN", "expired").output().expect("it starts");
        Ran::from(output)
    };
    // On a busy machine the time may be over before the receiver was asked.
    let mut seconds = 2;
    let ran = loop {
        let ran = run(&["run", "copy.toml", "--until-idle", "--timeout", &format!("{seconds}s")]);
        if ran.stderr.contains("refuses the credentials") || seconds > 60 {
            break ran;
        }
        seconds *= 2;
    };
    let ran = ran.exits(77);
    assert!(ran.stderr.contains("start again with the new one"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("by itself when they are renewed"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("expired"), "{}", ran.stderr);
    let accounts = place.run(&["audit", "-o", "json"]).exits(0).stdout;
    let account: Value = serde_json::from_str(accounts.lines().next().expect("an account")).expect("JSON");
    assert_eq!((&account["read"], &account["pending"]), (&7.into(), &7.into()));
}

/// Reads one request and answers it with 401.
fn refuse(mut stream: TcpStream) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&asked).to_lowercase();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
        });
        if whole {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => asked.extend_from_slice(&buffer[..read]),
        }
    }
    // Whoever is gone needs no answer.
    let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

/// Scenario: `--from-start` into a file. Guarantees: everything is read again, and accounts begin anew.
#[test]
fn from_start_into_a_file() {
    let place = Place::new(BINARY);
    place.write("copy.toml", COPY);
    place.write("in.ndjson", lines(0..7));
    let first = place.run(&["run", "copy.toml", "-o", "json"]).exits(0);
    assert_eq!(place.run(&["run", "copy.toml", "-o", "json"]).exits(0).stdout, first.stdout);
    let again = place.run(&["run", "copy.toml", "--from-start", "-o", "json"]).exits(0);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(place.read("out.ndjson"), lines(0..7).repeat(2), "what stood there is appended to");
}

/// Scenario: `validate` of a file with errors in several stages. Guarantees: all are there, in the order of the file, with 78, and
/// nothing is created.
#[test]
fn all_errors_in_file_order() {
    let place = Place::new(BINARY);
    let wrong = COPY.replace("\"in.ndjson\"", "7").replace("path = \"out", "paht = \"out");
    place.write("copy.toml", format!("{wrong}\n[[sink]]\ntype = \"sqlit\"\npath = \"health.db\"\n"));
    let ran = place.run(&["validate", "copy.toml", "-o", "json"]).exits(78);
    let lines: Vec<u64> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["line"].as_u64().expect("a line"))
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
    for line in [6, 10, 13] {
        assert!(lines.contains(&line), "line {line} in {lines:?}");
    }
    let people = place.run(&["validate", "copy.toml"]).exits(78).stderr;
    assert_eq!(people.matches("error[AF-").count(), lines.len(), "{people}");
    assert!(!place.path().join("state").exists());
}

/// Scenario: `validate` of sinks of each kind, and of uploads of each kind, for people and for programs. Guarantees: each sink is
/// told with what its configuration promises, and why.
#[test]
fn validate_says_what_each_sink_promises() {
    const UPLOAD: &str = "type = \"http\"\nurl = \"https://clinic.example/in\"";
    let sinks = [
        (
            "file",
            "type = \"file\"\npath = \"out.ndjson\"".to_owned(),
            "exactly once",
            "cut back to its last checkpoint",
        ),
        (
            "sqlite",
            "type = \"sqlite\"\npath = \"health.db\"".to_owned(),
            "exactly once",
            "by its id and revision",
        ),
        ("stdout", "type = \"stdout\"".to_owned(), "at least once", "can't be taken back"),
        ("blackhole", "type = \"blackhole\"".to_owned(), "at least once", "it only counts"),
        (
            "http",
            UPLOAD.to_owned(),
            "exactly once",
            "the receiver must know a key for as long as it may take",
        ),
        (
            "http-2",
            format!("{UPLOAD}\ndedupe_window = \"36h\""),
            "exactly once",
            "unknown for longer than 36h raises an alarm",
        ),
        ("http-3", format!("{UPLOAD}\ndelivery = \"direct\""), "at least once", "sent before the checkpoint"),
    ];
    let place = Place::new(BINARY);
    let (source, _) = COPY.split_once("[[sink]]").expect("it has a sink");
    let text =
        sinks.iter().fold(source.to_owned(), |text, (_, sink, ..)| text + "[[sink]]\n" + sink + "\n\n");
    place.write("all.toml", text);
    let people = place.run(&["validate", "all.toml"]).exits(0).stdout;
    let programs = place.run(&["validate", "all.toml", "-o", "json"]).exits(0).stdout;
    let programs: Vec<Value> =
        programs.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(programs.len(), sinks.len(), "{programs:?}");
    for ((sink, _, promise, why), told) in sinks.iter().zip(programs) {
        let line = people.lines().find(|line| line.starts_with(&format!("  {sink}: {promise}: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{sink}: {people}");
        assert_eq!((&told["sink"], &told["guarantee"]), (&(*sink).into(), &(*promise).into()));
        assert!(told["why"].as_str().expect("a text").contains(why), "{told}");
    }
}

/// Scenario: errors into a pipe, with colour asked for and not. Guarantees: colour only where it is wanted.
#[test]
fn colours() {
    let place = Place::new(BINARY);
    place.write("copy.toml", COPY.replace("path", "paht"));
    let stderr = |change: fn(&mut Command) -> &mut Command, more: &[&str]| {
        let mut command = place.command(&[&["validate", "copy.toml"], more].concat());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        let output = change(&mut command).output().expect("the command starts");
        output.stderr.contains(&0x1b)
    };
    assert!(!stderr(|command| command, &[]), "a pipe");
    assert!(!stderr(|command| command.env("NO_COLOR", "1"), &[]), "a pipe, and NO_COLOR");
    assert!(stderr(|command| command, &["--color", "always"]), "asked for");
    assert!(!stderr(|command| command, &["--color", "never"]));
}

/// Scenario: the examples that each `--help` ends with are run, in a place where their files are. Guarantees: what help says can
/// be typed.
#[test]
fn examples_of_help_work() {
    let place = Place::new(BINARY);
    std::fs::create_dir(place.path().join("pipelines")).expect("a directory");
    std::fs::create_dir(place.path().join("pipelines/examples")).expect("a directory");
    let quickstart = include_str!("../../pipelines/examples/quickstart.toml");
    place.write("pipelines/examples/quickstart.toml", quickstart);
    let mut zip = std::io::Cursor::new(Vec::new());
    write_export_zip(1, 500, &mut zip).expect("an export");
    place.write("export.zip", zip.into_inner());
    for name in ["vitals", "sleep"] {
        let copy = COPY.replace("\"copy\"", &format!("\"{name}\"")).replace("out", name);
        place.write(&format!("{name}.toml"), copy);
    }
    place.write("in.ndjson", lines(0..7));
    for help in [
        &["--help"][..],
        &["run", "--help"],
        &["validate", "--help"],
        &["import", "--help"],
        &["explain", "--help"],
    ] {
        let ran = place.run(help).exits(0);
        let (_, examples) = ran.stdout.split_once("Examples:\n").expect("examples");
        let examples: Vec<&str> = examples.lines().map(str::trim).collect();
        assert_eq!(examples.len(), 2, "{examples:?}");
        for example in examples {
            let words = example.strip_prefix("afferent ").expect("a command of ours");
            // A shell expands what people type.
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exec {BINARY} {words}")]).current_dir(place.path());
            let output =
                command.env("AFFERENT_DATA", place.path().join("state")).output().expect("sh starts");
            assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Scenario: two imports into one file, in turn, and the first again. Guarantees: G1, what another pipeline committed
/// is never cut off, and an alarm says that two share a path.
#[test]
fn imports_that_share_a_file() {
    let place = Place::new(BINARY);
    let mut xml = Vec::new();
    write_export(3, 2_000, &mut xml).expect("an export");
    place.write("export.xml", xml);
    let import = |kind: &str| {
        let to = ["import", "export.xml", "--to", "ndjson:out.ndjson", "--types", kind];
        place.run(&to).exits(0)
    };
    import("HeartRate");
    import("StepCount");
    let both = place.read("out.ndjson");
    let again = import("HeartRate");
    assert!(again.stderr.contains("another pipeline has written here"), "{}", again.stderr);
    assert_eq!(place.read("out.ndjson"), both, "the export was read before, and nothing is cut");
}

/// Scenario: an import is killed midway, its database deleted, and the command repeated. Guarantees: G1, the new
/// database has everything.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn an_interrupted_import_into_a_deleted_database() {
    let place = Place::new(BINARY);
    let mut xml = Vec::new();
    write_export(3, 30_000, &mut xml).expect("an export");
    place.write("export.xml", xml);
    let import = ["import", "export.xml", "--to", "sqlite:health.db"];
    place.run(&import).exits(0);
    let all = rows(&place.path().join("health.db"));
    let delete = || {
        for end in ["", "-wal", "-shm"] {
            // The last two are there only after a kill.
            let _ = std::fs::remove_file(place.path().join(format!("health.db{end}")));
        }
    };
    delete();
    let mut killed = 0;
    for after in (50..).step_by(50) {
        match place.run_and_kill(&import, std::time::Duration::from_millis(after)) {
            None => killed += 1,
            Some(_) => break,
        }
        delete();
    }
    assert!(killed > 0, "no kill hit");
    assert!(rows(&place.path().join("health.db")) == all, "after {killed} kills");
}
