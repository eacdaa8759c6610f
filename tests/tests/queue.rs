//! Pipelines that queues join, through the command.

use std::time::Duration;

use afferent_tests::{Place, timed};
use serde_json::Value;

/// Kills that must hit.
const KILLS: u32 = 30;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

const PRODUCER: &str = r#"
name = "producer"

[checkpoint]
every = "50ms"

[[source]]
type  = "healthkit"
store = { type = "mock", seed = 11, days = 12, users = 2 }
types = ["*"]

[[sink]]
type  = "queue"
queue = "feed"
max_bytes = "1MiB"
"#;

const CONSUMER: &str = r#"
name = "consumer"

[checkpoint]
every = "50ms"

[[source]]
type  = "queue"
queue = "feed"

[[transform]]
type = "filter"
when = "type != 'HeartRate' || value > 50.0"

[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// The same records without a queue.
const DIRECT: &str = r#"
name = "direct"

[[source]]
type  = "healthkit"
store = { type = "mock", seed = 11, days = 12, users = 2 }
types = ["*"]

[[transform]]
type = "filter"
when = "type != 'HeartRate' || value > 50.0"

[[sink]]
type = "file"
path = "direct.ndjson"
"#;

const BOTH: [&str; 4] = ["run", "producer.toml", "consumer.toml", "--until-idle"];

fn place() -> Place {
    let place = Place::new(BINARY);
    place.write("producer.toml", PRODUCER);
    place.write("consumer.toml", CONSUMER);
    place.write("direct.toml", DIRECT);
    place
}

/// What comes out without a queue.
fn expected(place: &Place) -> String {
    place.run(&["run", "direct.toml", "--until-idle"]).exits(0);
    let expected = place.read("direct.ndjson");
    assert!(expected.lines().count() > 1000, "it is worth a test");
    expected
}

fn accounts(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Scenario: producer and consumer in one `run` that is killed with SIGKILL at random moments, thirty times, in fresh places.
/// Guarantees: G1, G2, G3, G5: the file is the same, byte by byte, as without a queue and without a kill.
#[test]
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test draws its own moments and says so"
)]
fn killed_pipelines_end_like_undisturbed_ones() {
    let seed = std::env::var("AFFERENT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("AFFERENT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let undisturbed = place();
    let expected = expected(&undisturbed);
    let (ran, length) = timed(|| undisturbed.run(&BOTH));
    ran.exits(0);
    assert!(undisturbed.read("out.ndjson") == expected, "without a kill");

    let (mut kills, mut places) = (0, 0);
    while kills < KILLS {
        places += 1;
        assert!(places < 100, "only {kills} of {KILLS} kills hit");
        let place = place();
        let mut killed_here = 0;
        let status = loop {
            let limit = if killed_here < 12 { length.mul_f64(random.f64() * 0.7) } else { length * 1000 };
            match place.run_and_kill(&BOTH, limit.max(Duration::from_millis(1))) {
                Some(status) => break status,
                None => {
                    kills += 1;
                    killed_here += 1;
                }
            }
        };
        assert!(status.success(), "after {killed_here} kills: {status}");
        let found = place.read("out.ndjson");
        assert!(
            found == expected,
            "after {killed_here} kills: {} lines, {} expected",
            found.lines().count(),
            expected.lines().count()
        );
    }
}

/// Scenario: the producer runs until it is idle, then the consumer in another process, then both again. Guarantees: G1, G2: the queue keeps
/// what nobody has read yet; nothing comes twice; the accounts say who delivered what.
#[test]
fn they_may_run_one_after_the_other() {
    let place = place();
    let expected = expected(&place);
    place.write("producer.toml", PRODUCER.replace("1MiB", "1GiB"));
    let produced = place.run(&["run", "producer.toml", "--until-idle", "-o", "json"]).exits(0);
    let consumed = place.run(&["run", "consumer.toml", "--until-idle", "-o", "json"]).exits(0);
    assert!(place.read("out.ndjson") == expected);
    let (produced, consumed) = (&accounts(&produced.stdout)[0], &accounts(&consumed.stdout)[0]);
    assert_eq!(produced["delivered"], consumed["read"]);
    assert_eq!([&produced["pending"], &consumed["pending"]], [0, 0]);
    let again = place.run(&["run", "producer.toml", "consumer.toml", "--until-idle"]).exits(0);
    assert!(
        again.stderr.contains("producer is idle") && again.stderr.contains("consumer is idle"),
        "{}",
        again.stderr
    );
    assert!(place.read("out.ndjson") == expected);
    let listed = place.run(&["queue", "ls"]).exits(0);
    assert!(listed.stdout.contains("feed  consumer  queue  0 entries unread"), "{}", listed.stdout);
}

/// Scenario: a queue of 1 MiB whose consumer does not run fills up; then the consumer is detached by command, and comes back. Guarantees:
/// G7 and G11: the producer waits, and says for whom and what to do; time runs out with 75; in the end everything arrives.
#[test]
fn a_consumer_that_is_away_pushes_back() {
    let place = place();
    // An epoch never waits for itself: small ones, however fast the machine is.
    place.write("producer.toml", PRODUCER.replace("[checkpoint]\n", "[checkpoint]\nrecords = 500\n"));
    place.run(&["run", "consumer.toml", "--until-idle"]).exits(0);
    let held = place.run(&["run", "producer.toml", "--until-idle", "--timeout", "4s"]).exits(75);
    assert!(
        held.stderr.contains("`consumer/queue` has not read it and does not run here"),
        "{}",
        held.stderr
    );
    place.run(&["queue", "detach", "feed", "producer"]).exits(78);
    let detached = place.run(&["queue", "detach", "feed", "consumer"]).exits(0);
    assert!(detached.stderr.contains("no longer keeps anything"), "{}", detached.stderr);
    let unread = place.run(&["run", "producer.toml", "--until-idle", "--timeout", "4s"]).exits(75);
    assert!(unread.stderr.contains("nobody has read it yet"), "{}", unread.stderr);
    let expected = expected(&place);
    place.run(&BOTH).exits(0);
    assert!(place.read("out.ndjson") == expected, "detached before it had anything to lose");
}

/// Scenario: files whose queues lead back, one that reads what it writes, and one whose queue nobody reads. Guarantees: cycles are refused by
/// `validate` and `run`, at the queue's name, with one thing to do; a loose end among several files is a warning.
#[test]
fn cycles_are_refused() {
    let place = place();
    let file = |name: &str, from: &str, to: &str| {
        format!(
            "name = \"{name}\"\n[[source]]\ntype = \"queue\"\nqueue = \"{from}\"\n[[sink]]\ntype = \"queue\"\nqueue = \"{to}\"\n"
        )
    };
    place.write("a.toml", file("a", "one", "two"));
    place.write("b.toml", file("b", "two", "three"));
    place.write("c.toml", file("c", "three", "one"));
    place.write("self.toml", file("self", "one", "one"));
    let ran = place.run(&["validate", "a.toml", "b.toml", "c.toml"]).exits(78);
    assert!(
        ran.stderr.contains("AF-0106") && ran.stderr.contains("a → `two` → b → `three` → c → `one` → a"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("c.toml:7:9"), "{}", ran.stderr);
    let ran = place.run(&["run", "a.toml", "b.toml", "c.toml"]).exits(78);
    assert!(ran.stderr.contains("AF-0106"), "{}", ran.stderr);
    place.run(&["validate", "self.toml"]).exits(78);
    let ran = place.run(&["validate", "a.toml", "b.toml"]).exits(0);
    assert_eq!(ran.stderr.matches("AF-0107").count(), 2, "{}", ran.stderr);
    let ran = place.run(&["validate", "a.toml"]).exits(0);
    assert!(!ran.stderr.contains("AF-0107"), "{}", ran.stderr);
}

/// Scenario: Ctrl-C while the producer waits at the bound of its queue for a slow consumer. Guarantees: G1: both end by themselves, and a
/// later run delivers the rest.
#[test]
#[cfg(unix)]
fn an_interruption_ends_both() {
    let place = place();
    let expected = expected(&place);
    let running = place.start(&["run", "producer.toml", "consumer.toml", "-v"]);
    let mut running = running;
    running.says("started");
    running.signal("INT");
    running.end().exits(130);
    place.run(&BOTH).exits(0);
    assert!(place.read("out.ndjson") == expected);
}
