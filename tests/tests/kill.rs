//! `kill -9` at random moments: a HealthKit feed and an import, into SQLite and NDJSON, end as if nothing had
//! happened.
//!
//! Moments are scaled to the length of an undisturbed run, so that kills hit on any machine. Each case goes on
//! with fresh places until enough kills have hit a living process; what one place shows after its kills is
//! compared with the undisturbed place, byte by byte and row by row.

use std::{path::Path, time::Duration};

use afferent_sources::export::testing::write_export_zip;
use afferent_tests::{Place, records::rows, timed};

/// Kills that must hit in each case.
const KILLS: u32 = 30;
/// Every so many kills one falls into the first tenth of a run: claiming, loading, opening.
const EARLY: u32 = 5;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A random number generator from `AFFERENT_SEED`, or from the operating system; its seed is printed.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test draws its own moments and says so"
)]
fn random() -> fastrand::Rng {
    let seed = std::env::var("AFFERENT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("AFFERENT_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Runs `arguments` in fresh places, killed at random moments, until enough kills have hit; `same` compares a
/// killed place with the undisturbed one.
fn killed_at_random(prepare: impl Fn(&Place), arguments: &[&str], same: impl Fn(&Place, &Place)) {
    let mut random = random();
    let undisturbed = Place::new(BINARY);
    prepare(&undisturbed);
    let (ran, length) = timed(|| undisturbed.run(arguments));
    ran.exits(0);

    let (mut kills, mut early, mut places) = (0, 0, 0);
    while kills < KILLS || early < KILLS / EARLY {
        places += 1;
        assert!(places < 100, "only {kills} of {KILLS} kills hit, {early} of them early");
        let place = Place::new(BINARY);
        prepare(&place);
        let mut killed_here = 0;
        let status = loop {
            // A place that is killed again and again in its first moments would never end.
            let in_start = early < KILLS / EARLY && killed_here % 2 == 0 && kills >= early * (EARLY - 1);
            let share = if in_start { random.f64() * 0.1 } else { 0.1 + random.f64() * 0.6 };
            match place.run_and_kill(arguments, length.mul_f64(share)) {
                Some(status) => break status,
                None => {
                    kills += 1;
                    early += u32::from(in_start);
                    killed_here += 1;
                }
            }
            if killed_here == 12 {
                break place
                    .run_and_kill(arguments, Duration::MAX.min(length * 1000))
                    .expect("it is not killed");
            }
        };
        assert!(status.success(), "after {killed_here} kills: {status}");
        same(&undisturbed, &place);
    }
}

const FEED: &str = r#"
name = "feed"

[checkpoint]
every = "50ms"

[[source]]
type  = "healthkit"
store = { type = "mock", seed = 11, days = 12, users = 2 }
types = ["*"]

[[transform]]
type = "filter"
when = "type != 'HeartRate' || value > 50.0"

[[transform]]
type = "units"
to   = { HeartRate = "count/s" }

[[transform]]
type = "dedupe"

[[sink]]
type = "sqlite"
path = "out/health.db"

[[sink]]
type = "file"
path = "out/health.ndjson"
"#;

/// Before the sinks of [`FEED`]: what is looked up in tables.
const TABLES: &str = r#"
[[transform]]
type = "enrich"
table = "types.csv"
key = { type = "type" }
columns = ["group"]

[[transform]]
type = "consent"
table = "consents.ndjson"
purpose = "research"
"#;

/// Scenario: a mock HealthKit feed with deletions and replacements, through stateful transforms, into SQLite and
/// NDJSON. Guarantees: G1, G2, G3, G5.
#[test]
fn a_killed_feed_ends_like_an_undisturbed_one() {
    feed_is_killed(FEED);
}

/// Scenario: the same feed, through transforms that look records up in tables, too. Guarantees: G1, G2, G3, G5.
#[test]
fn a_killed_feed_with_tables_ends_like_an_undisturbed_one() {
    let sinks = FEED.find("[[sink]]").expect("sinks");
    feed_is_killed(&[&FEED[..sinks], TABLES, &FEED[sinks..]].concat());
}

fn feed_is_killed(feed: &str) {
    let prepare = |place: &Place| {
        place.write("feed.toml", feed);
        place.write("types.csv", "type,group\nHeartRate,heart\nStepCount,activity\n");
        let consents = [("user-1", "*"), ("user-2", "StepCount"), ("user-2", "HeartRate")];
        let row = |(subject, kind)| {
            format!("{{\"subject\":\"{subject}\",\"type\":\"{kind}\",\"purpose\":\"research\"}}\n")
        };
        place.write("consents.ndjson", consents.map(row).concat());
        std::fs::create_dir(place.path().join("out")).expect("a directory");
    };
    killed_at_random(prepare, &["run", "feed.toml", "--until-idle"], |undisturbed, killed| {
        let read = |place: &Place| {
            std::fs::read_to_string(place.path().join("out/health.ndjson")).expect("the file")
        };
        let (expected, found) = (read(undisturbed), read(killed));
        assert!(expected.lines().count() > 1000, "the feed is worth killing");
        assert!(
            expected == found,
            "NDJSON: {} lines expected, {} found",
            expected.lines().count(),
            found.lines().count()
        );
        let rows = |place: &Place| rows(&place.path().join("out/health.db"));
        let (expected, found) = (rows(undisturbed), rows(killed));
        assert!(expected == found, "SQLite: {} rows expected, {} found", expected.len(), found.len());
    });
}

/// Scenario: an import of an export into SQLite. Guarantees: G1, G2, G5.
#[test]
fn a_killed_import_into_sqlite_ends_like_an_undisturbed_one() {
    killed_at_random(
        |place| write_export_to(&place.path().join("export.zip")),
        &["import", "export.zip", "--to", "sqlite:health.db"],
        |undisturbed, killed| {
            let rows = |place: &Place| rows(&place.path().join("health.db"));
            let (expected, found) = (rows(undisturbed), rows(killed));
            assert!(expected.len() > 1000, "the export is worth killing");
            assert!(expected == found, "SQLite: {} rows expected, {} found", expected.len(), found.len());
        },
    );
}

/// Scenario: an import of an export into NDJSON. Guarantees: G1, G2, G3, G5.
#[test]
fn a_killed_import_into_a_file_ends_like_an_undisturbed_one() {
    killed_at_random(
        |place| write_export_to(&place.path().join("export.zip")),
        &["import", "export.zip", "--to", "ndjson:health.ndjson"],
        |undisturbed, killed| {
            let read = |place: &Place| std::fs::read(place.path().join("health.ndjson")).expect("the file");
            let (expected, found) = (read(undisturbed), read(killed));
            assert!(expected == found, "NDJSON: {} bytes expected, {} found", expected.len(), found.len());
        },
    );
}

/// An export large enough that a run of it can be killed.
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn write_export_to(path: &Path) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("the file"));
    write_export_zip(5, 30_000, &mut out).expect("the export is written");
}
