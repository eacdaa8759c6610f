//! `afferent dlq` and `afferent audit`: what is dead is shown, written and dropped on purpose, and accounts balance.

use std::sync::Arc;

use afferent::{
    afferent_core::{
        CheckpointStore, Name,
        checkpoint::Save,
        ledger::{Account, Ledger},
        random::Random,
    },
    runtime::{Runtime, RuntimeOptions},
};
use afferent_tests::{Place, timed};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

const COPY: &str = r#"
name = "copy"

[[source]]
type = "file"
path = "in.ndjson"

[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// Good records, and two bad lines with a value that must stay hidden.
fn place() -> Place {
    let place = Place::new(BINARY);
    let good = |n: u32| {
        format!(
            "{{\"id\":\"00000000-0000-4000-8000-{n:012}\",\"type\":\"HKQuantityTypeIdentifierHeartRate\",\
             \"start\":\"2025-01-01T00:00:00Z\",\"end\":\"2025-01-01T00:00:00Z\",\"value\":60.0,\"unit\":\"count/min\"}}\n"
        )
    };
    let bad = "{\"value\":\"secret-71\"}\n";
    place.write("in.ndjson", format!("{}{bad}{}{bad}", good(1), good(2)));
    place.write("copy.toml", COPY);
    place.run(&["run", "copy.toml"]).exits(65);
    place
}

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Scenario: a run with two bad lines; its dead letters are listed, shown, exported and dropped. Guarantees: G8, values are
/// shown only when asked for; G11, what is dead has a place to look at, and is dropped only on purpose.
#[test]
fn dead_letters_are_looked_at_and_dropped() {
    let place = place();
    let ran = place.run(&["dlq", "ls"]).exits(0);
    assert!(ran.stdout.contains("copy") && ran.stdout.contains('2'), "{}", ran.stdout);

    let ran = place.run(&["dlq", "ls", "copy", "-o", "json"]).exits(0);
    let letters = lines(&ran.stdout);
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0]["stage"], "file");
    assert_eq!(letters[0]["location"], "in.ndjson:2");
    assert!(!ran.stdout.contains("secret"), "{}", ran.stdout);
    let id = letters[0]["id"].as_str().expect("an id").to_owned();
    let ran = place.run(&["dlq", "ls", "copy", "--limit", "1"]).exits(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(ran.stderr.contains("1 of 2 dead letters"), "{}", ran.stderr);

    let ran = place.run(&["dlq", "show", "copy", &id]).exits(0);
    assert!(ran.stdout.contains("in.ndjson:2") && !ran.stdout.contains("secret"), "{}", ran.stdout);
    let ran = place.run(&["dlq", "show", "copy", &id, "--reveal"]).exits(0);
    assert!(ran.stdout.contains("secret-71"), "{}", ran.stdout);
    place.run(&["dlq", "show", "copy", "99.9"]).exits(78);

    let ran = place.run(&["dlq", "export", "copy"]).exits(2);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("--reveal"), "{}", ran.stderr);
    let exported = lines(&place.run(&["dlq", "export", "copy", "--reveal"]).exits(0).stdout);
    assert_eq!(exported.len(), 2);
    assert!(exported[0]["payload"].as_str().expect("a payload").contains("secret-71"));

    let ran = place.run(&["dlq", "drop", "copy", "--all"]).exits(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    place.run(&["dlq", "drop", "copy", "--yes"]).exits(2);
    place.run(&["dlq", "drop", "copy", &id, "99.9", "--yes"]).exits(1);
    assert_eq!(lines(&place.run(&["dlq", "ls", "copy", "-o", "json"]).exits(0).stdout).len(), 1);
    place.run(&["dlq", "drop", "copy", "--all", "--yes"]).exits(0);
    let ran = place.run(&["dlq", "ls"]).exits(0);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("no dead letters"), "{}", ran.stderr);
    place.run(&["audit"]).exits(0);
}

/// Scenario: the accounts of a run, of a pipeline that is not there, and of no state at all. Guarantees: G1, they are those
/// of the run and balance; looking changes nothing and makes nothing.
#[test]
fn accounts_are_audited() {
    let place = place();
    let ran = place.run(&["audit", "copy", "-o", "json"]).exits(0);
    let (accounts, types): (Vec<Value>, Vec<Value>) =
        lines(&ran.stdout).into_iter().partition(|line| line.get("type").is_none());
    assert_eq!(accounts.len(), 1);
    let of_types: Vec<_> =
        types.iter().map(|row| [&row["type"], &row["read"], &row["delivered"], &row["dead"]]).collect();
    let expected = [json!(["(no type)", 2, 0, 2]), json!(["HKQuantityTypeIdentifierHeartRate", 2, 2, 0])];
    assert_eq!(json!(of_types), json!(expected), "what can't be read has no type");
    assert!(accounts.iter().chain(&types).all(|line| line["balanced"] == true), "{}", ran.stdout);
    assert_eq!(
        (&accounts[0]["read"], &accounts[0]["delivered"], &accounts[0]["dead"]),
        (&4.into(), &2.into(), &2.into())
    );
    let again = place.run(&["audit", "-o", "json"]).exits(0);
    assert_eq!(again.stdout, ran.stdout);
    let ran = place.run(&["audit"]).exits(0);
    assert!(ran.stdout.contains("copy, epoch ") && ran.stdout.contains("delivered"), "{}", ran.stdout);
    assert!(ran.stdout.contains("    HeartRate ") && ran.stdout.contains("  balanced\n"), "{}", ran.stdout);
    place.run(&["audit", "none"]).exits(78);

    let empty = Place::new(BINARY);
    for arguments in [&["audit"][..], &["dlq", "ls"]] {
        let ran = empty.run(arguments).exits(78);
        assert!(ran.stderr.contains("--data"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(empty.path()).expect("the place").count(), 0);
}

/// Scenario: a checkpoint whose rows by type were made wrong in three ways: a row that does not balance, rows that don't add up
/// to the account, an account that does not balance. Guarantees: G1, each is told, with 1 and the line for programs.
#[test]
fn an_account_that_does_not_balance_is_told() {
    type Change = fn(&mut Ledger);
    fn row(ledger: &mut Ledger) -> &mut Account {
        let rows = ledger.types.values_mut().next().expect("rows of the one sink");
        Arc::make_mut(rows).0.get_mut("HKQuantityTypeIdentifierHeartRate").expect("its row")
    }
    let changes: [(Change, &str, &str); 3] = [
        (|ledger| row(ledger).delivered -= 1, "does not balance for HeartRate", "HeartRate"),
        (
            |ledger| {
                let row = row(ledger);
                (row.read, row.delivered) = (row.read + 1, row.delivered + 1);
            },
            "the types do not add up",
            "\"sink\"",
        ),
        (
            |ledger| ledger.accounts.values_mut().for_each(|account| account.read += 1),
            "the account of `file` does not balance",
            "\"sink\"",
        ),
    ];
    for (change, told, line) in changes {
        let place = place();
        alter(&place.path().join("state"), change);
        let ran = place.run(&["audit", "copy"]).exits(1);
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        assert!(ran.stdout.contains("NOT BALANCED"), "{}", ran.stdout);
        let ran = place.run(&["audit", "-o", "json"]).exits(1);
        let unbalanced: Vec<Value> =
            lines(&ran.stdout).into_iter().filter(|line| line["balanced"] == false).collect();
        assert!(unbalanced.iter().any(|found| found.to_string().contains(line)), "{told}: {}", ran.stdout);
    }
}

/// Saves another checkpoint of `copy`, whose ledger is the last one's after `change`.
fn alter(state: &std::path::Path, change: fn(&mut Ledger)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let opened = Runtime::open(state, RuntimeOptions::default()).await.expect("the state is there");
        let (store, name) = (opened.store(), Name::from("copy"));
        let generation = store.claim(&name).await.expect("nobody else runs it");
        let loaded = store.load(&name, generation).await.expect("it can be read").expect("it has run");
        let mut checkpoint = loaded.checkpoint;
        checkpoint.epoch = checkpoint.epoch.next();
        change(&mut checkpoint.ledger);
        let save = Save {
            generation,
            checkpoint,
            states: Vec::new(),
            dead_letters: Vec::new(),
            withdrawn: Vec::new(),
            retried: Vec::new(),
        };
        store.save(save).await.expect("it is saved");
        opened.shutdown(std::time::Duration::from_secs(10)).await.expect("nothing runs");
    });
}

/// A line with a heart rate, and with `extra` keys.
fn record(number: u32, extra: &str) -> String {
    format!(
        "{{\"id\":\"00000000-0000-4000-8000-{number:012}\",\"type\":\"HKQuantityTypeIdentifierHeartRate\",\
         \"start\":\"2025-01-01T00:00:00Z\",\"end\":\"2025-01-01T00:00:00Z\",\"value\":60.0,\"unit\":\"count/min\"{extra}}}\n"
    )
}

/// Scenario: lines that a strict source refuses are put in again through a file that is not strict any more; one can never be
/// read. Guarantees: G1, G2: each is delivered once, a second retry finds nothing, the account balances; nothing is read
/// from the source again.
#[test]
fn what_a_source_refused_is_put_in_again() {
    let place = Place::new(BINARY);
    let lines_in = [
        record(1, ""),
        record(2, ",\"mood\":\"good\""),
        "nonsense\n".to_owned(),
        record(3, ",\"mood\":\"bad\""),
    ];
    place.write("in.ndjson", lines_in.concat());
    place.write("copy.toml", COPY.replace("path = \"in.ndjson\"", "path = \"in.ndjson\"\nstrict = true"));
    place.run(&["run", "copy.toml"]).exits(65);
    place.write("copy.toml", COPY);
    place.write("in.ndjson", [&lines_in.concat()[..], &record(4, "")].concat());

    place.run(&["dlq", "retry", "copy.toml"]).exits(2);
    let ran = place.run(&["dlq", "retry", "copy.toml", "99.0"]).exits(65);
    assert!(ran.stderr.contains("no such letter"), "{}", ran.stderr);
    let ran = place.run(&["dlq", "retry", "copy.toml", "--all"]).exits(65);
    assert!(
        ran.stderr.contains("put in 2 dead letters again; 0 dead again, 1 passed over"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("nonsense"), "{}", ran.stderr);
    let out = place.read("out.ndjson");
    assert_eq!(out.lines().count(), 3, "{out}");
    assert!(out.contains("good") && out.contains("bad"), "{out}");
    let account = &lines(&place.run(&["audit", "copy", "-o", "json"]).exits(0).stdout)[0];
    assert_eq!(
        (&account["read"], &account["delivered"], &account["dead"]),
        (&4.into(), &3.into(), &1.into()),
        "{account}"
    );
    let ran = place.run(&["dlq", "retry", "copy.toml", "--all", "-o", "json"]).exits(65);
    let report = lines(&ran.stdout).pop().expect("a report");
    assert_eq!((&report["put_in"], &report["dead_again"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(place.read("out.ndjson"), out);

    place.run(&["run", "copy.toml"]).exits(0);
    assert_eq!(place.read("out.ndjson").lines().count(), 4, "the source goes on where it was");
    assert_eq!(lines(&place.run(&["dlq", "ls", "copy", "-o", "json"]).exits(0).stdout).len(), 1);
}

/// Scenario: thousands of dead letters are put in again, and the command is killed with SIGKILL at random moments, which are
/// scaled to the length of an undisturbed run; then it comes to its end. Guarantees: G1, G2, G5: each is in the sink once, in
/// order; none is left; the account balances.
#[test]
fn a_killed_retry_loses_and_repeats_nothing() {
    const LETTERS: u32 = 5000;
    const KILLS: u32 = 12;
    const RETRY: &[&str] = &["dlq", "retry", "copy.toml", "--all"];
    let prepare = || {
        let place = Place::new(BINARY);
        place
            .write("in.ndjson", (0..LETTERS).map(|number| record(number, ",\"mood\":1")).collect::<String>());
        place.write("copy.toml", COPY.replace("path = \"in.ndjson\"", "path = \"in.ndjson\"\nstrict = true"));
        place.run(&["run", "copy.toml"]).exits(65);
        place.write("copy.toml", COPY);
        place
    };
    let undisturbed = prepare();
    let (ran, length) = timed(|| undisturbed.run(RETRY));
    ran.exits(0);
    let mut random = Random::from_seed(5);
    let (mut kills, mut places) = (0, 0);
    while kills < KILLS {
        places += 1;
        assert!(places < 30, "only {kills} of {KILLS} kills hit");
        let place = prepare();
        while kills < KILLS {
            let share = 0.1 + 0.6 * random.unit();
            if place.run_and_kill(RETRY, length.mul_f64(share)).is_some() {
                break;
            }
            kills += 1;
        }
        place.run(RETRY).exits(0);
        let out = place.read("out.ndjson");
        let ids: Vec<String> = lines(&out).iter().map(|line| line["id"].to_string()).collect();
        let expected: Vec<String> =
            (0..LETTERS).map(|number| format!("\"00000000-0000-4000-8000-{number:012}\"")).collect();
        assert!(ids == expected, "{} lines of {LETTERS}", ids.len());
        let account = &lines(&place.run(&["audit", "copy", "-o", "json"]).exits(0).stdout)[0];
        assert_eq!(
            (&account["read"], &account["delivered"], &account["dead"]),
            (&LETTERS.into(), &LETTERS.into(), &0.into())
        );
    }
    println!("{kills} kills in {places} places");
}
