//! Statistics of a year compared with what pandas makes of the same records.

use std::{collections::BTreeMap, path::Path};

use afferent::afferent_core::{Kind, Timestamp};
use afferent_tests::Place;
use serde_json::Value as Json;

use super::{BINARY, tools::Tools};

/// Types of every way to combine values: sums, averages with and without weights, levels, and time by value.
const TYPES: [&str; 15] = [
    "StepCount",
    "DistanceWalkingRunning",
    "ActiveEnergyBurned",
    "FlightsClimbed",
    "HeartRate",
    "RestingHeartRate",
    "WalkingHeartRateAverage",
    "EnvironmentalAudioExposure",
    "HeadphoneAudioExposure",
    "OxygenSaturation",
    "RespiratoryRate",
    "BodyMass",
    "HeartRateVariabilitySDNN",
    "SleepAnalysis",
    "MindfulSession",
];

/// How far apart two numbers may be, relative to the larger: sums of some thousand doubles in another order.
const NEAR: f64 = 1e-9;

/// A year of two people, of whom one is in New York in July and the other goes by a clock of five hours and three quarters
/// in March. Some of it is deleted or saved again, and comes late.
const YEAR: &str = "name = \"year\"
[[source]]
type = \"healthkit\"
types = [TYPES]
store = { type = \"mock\", seed = 5, start = \"2025-01-01\", days = 365, users = 2, density = 0.15 }
[[transform]]
type = \"set\"
to = { zone = \"\"\"
  subject == 'user-1' && start >= timestamp('2025-07-01T00:00:00Z') && start < timestamp('2025-08-01T00:00:00Z')
    ? 'America/New_York'
    : subject == 'user-2' && start >= timestamp('2025-03-01T00:00:00Z') && start < timestamp('2025-04-01T00:00:00Z')
      ? '+05:45' : zone\"\"\" }
[[sink]]
type = \"file\"
path = \"year.ndjson\"
";

/// A bucket: the person, the type, the unit, the zone, and its bounds in µs.
type Bucket = (String, String, String, String, i64, i64);

type Results = BTreeMap<String, f64>;

/// Takes the numbers of an object by their names.
fn numbers(object: &Json) -> Results {
    let object = object.as_object().expect("an object");
    object.iter().map(|(name, number)| (name.clone(), number.as_f64().expect("a number"))).collect()
}

fn text(record: &Json, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}

/// The newest of each result in `lines`, which a pipeline wrote; none that was withdrawn.
fn ours(lines: &str) -> BTreeMap<Bucket, Results> {
    let mut newest: BTreeMap<String, Json> = BTreeMap::new();
    for line in lines.lines() {
        let record: Json = serde_json::from_str(line).expect("JSON");
        let id = text(&record, "id");
        if record["deleted"] == true {
            newest.remove(&id);
        } else {
            newest.insert(id, record);
        }
    }
    let buckets = newest.into_values().map(|record| {
        let micros = |key| Timestamp::parse_rfc3339(&text(&record, key)).expect("a time").0.as_micros();
        let kind = Kind::from_data(&text(&record, "type")).expect("a type").short().to_owned();
        let (subject, unit, zone) = (text(&record, "subject"), text(&record, "unit"), text(&record, "zone"));
        let bucket = (subject, kind, unit, zone, micros("start"), micros("end"));
        (bucket, numbers(&record["value"]["aggregate"]))
    });
    buckets.collect()
}

/// What pandas makes of `records`, by each of `buckets`.
fn theirs(tools: &Tools, records: &Path, buckets: &[&str]) -> BTreeMap<String, BTreeMap<Bucket, Results>> {
    let mut all = BTreeMap::<String, BTreeMap<Bucket, Results>>::new();
    for line in tools.statistics(records, buckets).lines() {
        let record: Json = serde_json::from_str(line).expect("JSON");
        let micros = |key: &str| record[key].as_i64().expect("a time");
        let bucket = (
            text(&record, "subject"),
            text(&record, "type"),
            text(&record, "unit"),
            text(&record, "zone"),
            micros("start"),
            micros("end"),
        );
        all.entry(text(&record, "bucket")).or_default().insert(bucket, numbers(&record["results"]));
    }
    all
}

/// How many numbers are the same; the first difference, if there is one.
fn compare(ours: &BTreeMap<Bucket, Results>, theirs: &BTreeMap<Bucket, Results>) -> Result<usize, String> {
    if let Some(bucket) = ours.keys().find(|bucket| !theirs.contains_key(*bucket)) {
        return Err(format!("pandas has no {bucket:?}"));
    }
    let mut same = 0;
    for (bucket, theirs) in theirs {
        let ours = ours.get(bucket).ok_or_else(|| format!("we have no {bucket:?}"))?;
        if !ours.keys().eq(theirs.keys()) {
            return Err(format!("{bucket:?}: {ours:?} instead of {theirs:?}"));
        }
        for ((name, one), other) in ours.iter().zip(theirs.values()) {
            if (one - other).abs() > NEAR * one.abs().max(other.abs()) {
                return Err(format!("{bucket:?}: {name} is {one} instead of {other}"));
            }
            same += 1;
        }
    }
    Ok(same)
}

/// What a pipeline makes of the year, by `bucket`.
fn run(place: &Place, bucket: &str) -> BTreeMap<Bucket, Results> {
    let file = format!("{bucket}.ndjson");
    place.write(
        "statistics.toml",
        format!(
            "name = \"{bucket}\"\n[[source]]\ntype = \"file\"\npath = \"year.ndjson\"\n\
             [[transform]]\ntype = \"statistics\"\nbucket = \"{bucket}\"\n[[sink]]\ntype = \"file\"\npath = \"{file}\"\n"
        ),
    );
    place.run(&["run", "statistics.toml"]).exits(0);
    ours(&place.read(&file))
}

/// How many hours each day of `zone` has, for one type.
fn hours_of_days(days: &BTreeMap<Bucket, Results>, zone: &str) -> Vec<i64> {
    let of_zone = days.keys().filter(|bucket| bucket.1 == "StepCount" && bucket.3 == zone);
    of_zone.map(|bucket| (bucket.5 - bucket.4) / 3_600_000_000).collect()
}

/// Scenario: a year of two people, with days of 23 and 25 hours, a month in another zone, late samples, deletions and samples saved
/// again; by hours, days, weeks and months; then with a wrong number, a bucket less, a bound that is off, and one record that is
/// another. Guarantees: G4; every bucket is there and every number is pandas' to nine digits, and the comparison finds each fault.
#[test]
fn a_year_is_what_pandas_makes_of_it() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new(BINARY);
    let types = TYPES.map(|name| format!("\"{name}\"")).join(", ");
    place.write("year.toml", YEAR.replace("TYPES", &types));
    place.run(&["run", "year.toml", "--until-idle"]).exits(0);
    let (mut all, buckets) = (0, ["hour", "day", "week", "month"]);
    let theirs = theirs(&tools, &place.path().join("year.ndjson"), &buckets);
    for bucket in buckets {
        let (ours, theirs) = (run(&place, bucket), &theirs[bucket]);
        let same = compare(&ours, theirs).unwrap_or_else(|difference| panic!("{bucket}: {difference}"));
        eprintln!("{bucket}: {} buckets, {same} numbers", ours.len());
        assert!(
            TYPES.iter().all(|kind| ours.keys().any(|key| key.1 == *kind)),
            "{bucket}: a type is missing"
        );
        all += same;
        if bucket == "day" {
            check_the_year(&ours);
            check_the_comparison(&tools, &place, &ours, theirs);
        }
    }
    assert!(all > 100_000, "{all}");
}

/// The year has in it what it is for.
fn check_the_year(days: &BTreeMap<Bucket, Results>) {
    let berlin = hours_of_days(days, "Europe/Berlin");
    assert!(berlin.contains(&23) && berlin.contains(&25), "{berlin:?}");
    for zone in ["America/New_York", "+05:45"] {
        assert!(hours_of_days(days, zone).len() > 20, "{zone}");
    }
}

/// A fault is found, whatever it is.
fn check_the_comparison(
    tools: &Tools,
    place: &Place,
    ours: &BTreeMap<Bucket, Results>,
    right: &BTreeMap<Bucket, Results>,
) {
    let middle = right.keys().nth(right.len() / 2).expect("buckets").clone();
    let mut wrong = right.clone();
    let number = wrong.get_mut(&middle).and_then(|results| results.values_mut().next()).expect("a number");
    *number *= 1.0 + 1e-8;
    compare(ours, &wrong).expect_err("a number is off by 1e-8");
    let mut fewer = right.clone();
    let results = fewer.remove(&middle).expect("a bucket");
    compare(ours, &fewer).expect_err("a bucket is missing");
    let mut moved = middle;
    moved.5 += 1;
    fewer.insert(moved, results);
    compare(ours, &fewer).expect_err("a bound is off by a µs");

    // One record of many says a thousandth of a step more.
    let year = place.read("year.ndjson");
    let planted = plant(&year);
    assert_eq!(year.lines().count(), planted.lines().count());
    let planted = place.write("planted.ndjson", planted);
    let planted = theirs(tools, &planted, &["day"]);
    let difference = compare(ours, &planted["day"]).expect_err("a record is another");
    assert!(difference.contains("sum is"), "{difference}");
}

/// `records`, of which the last that counts steps and is not deleted counts a thousandth of a step more.
fn plant(records: &str) -> String {
    let parsed: Vec<Json> = records.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let is_deleted = |id: &Json| parsed.iter().any(|record| record["id"] == *id && record["deleted"] == true);
    let is_step = |record: &Json| text(record, "type").ends_with("StepCount") && record["value"].is_number();
    let at = parsed.iter().rposition(|record| is_step(record) && !is_deleted(&record["id"]));
    let at = at.expect("a record of steps");
    let mut other = parsed[at].clone();
    let value = other["value"].as_f64().expect("a number");
    other["value"] = Json::from(value + 0.001);
    let mut lines: Vec<String> = records.lines().map(str::to_owned).collect();
    lines[at] = other.to_string();
    lines.join("\n") + "\n"
}
