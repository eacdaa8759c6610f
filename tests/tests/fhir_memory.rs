//! How much memory it takes to write a year of one person's data as FHIR.

#![cfg(unix)]

use afferent::afferent_core::{Kind, kind::KindClass};
use afferent_tests::Place;
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value as Json;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// What it may take, however long the history.
const LIMIT_MIB: u64 = 32;

/// Scenario: a year of a mock store's samples, of every type that an Observation has a form for, into a file of Observations.
/// Guarantees: G1, G7: every record is there, and the process never had more than 32 MiB resident.
#[test]
fn a_year_of_one_person() {
    let is_written = |kind: &Kind| {
        !matches!(
            kind.class(),
            Some(
                KindClass::HeartbeatSeries
                    | KindClass::Route
                    | KindClass::Clinical
                    | KindClass::Document
                    | KindClass::Characteristic
            )
        )
    };
    let types: Vec<String> =
        Kind::all().filter(is_written).map(|kind| format!("\"{}\"", kind.name())).collect();
    let place = Place::new(BINARY);
    place.write(
        "year.toml",
        format!(
            "name = \"year\"\n[[source]]\ntype = \"healthkit\"\ntypes = [{}]\n\
             store = {{ type = \"mock\", seed = 5, days = 365 }}\n\
             [[sink]]\ntype = \"file\"\npath = \"year.ndjson\"\nformat = \"fhir\"\n",
            types.join(", ")
        ),
    );
    let ran = place.run(&["run", "year.toml", "--until-idle", "-o", "json"]).exits(0);
    let peak = peak_of_children();
    let account: Json = serde_json::from_str(ran.stdout.lines().last().expect("an account")).expect("JSON");
    let delivered = account["delivered"].as_u64().expect("a count");
    assert!(delivered > 200_000 && account["dead"] == 0, "{account}");
    let lines = std::fs::read(place.path().join("year.ndjson")).expect("it was written");
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count() as u64, delivered);
    assert!(peak <= LIMIT_MIB << 20, "it took {} MiB", peak >> 20);
}

/// The most memory that a process which this one has started and awaited ever had resident, in bytes.
fn peak_of_children() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("this process may know");
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.max_rss()).expect("a size") * unit
}
