use std::{collections::BTreeMap, sync::Arc};

use afferent_core::{
    Kind, Origin,
    config::Configure,
    random::Random,
    testing::{results_contract, transform_contract},
};

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time").0
}

fn daily(zone: &str) -> Config {
    Config { zone: zone.to_owned(), ..Config::new(Bucket::Day) }
}

fn statistics(config: &Config) -> Statistics {
    Statistics::new(config).expect("a configuration")
}

fn between(id: u128, kind: &str, value: f64, from: &str, to: &str) -> Record {
    let mut record = quantity(id, kind, value, 0);
    (record.start, record.end) = (at(from), at(to));
    if record.kind.is_some_and(Kind::is_category) {
        record.value = Value::Category(value as i64);
    }
    record
}

/// A result in short: from, to, its numbers by name.
type Short = (String, String, Vec<(String, f64)>);

fn short(record: &Record) -> Short {
    let Value::Aggregate(aggregate) = &record.value else { panic!("{record:?}") };
    let results = aggregate.results.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    (record.start.to_string(), record.end.to_string(), results)
}

fn shorts(config: &Config, input: &[Record]) -> Vec<Short> {
    let output = results_contract(|| statistics(config), input, 0..30);
    let mut shorts: Vec<_> = output.values().map(short).collect();
    shorts.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    shorts
}

/// Scenario: steps over midnight, on days of 23 and 25 hours. Guarantees: G4; each day gets the part that its time has, and
/// nothing is lost or counted twice.
#[test]
fn amounts_are_divided_at_the_edge() {
    let input = [
        between(1, "StepCount", 100.0, "2025-03-29T22:00:00Z", "2025-03-29T23:30:00Z"),
        between(2, "StepCount", 23.0, "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z"),
        between(3, "StepCount", 7.0, "2025-03-29T23:00:00Z", "2025-03-29T23:00:00Z"),
        between(4, "StepCount", 50.0, "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"),
        between(5, "StepCount", 48.0, "2025-10-26T22:00:00Z", "2025-10-27T00:00:00Z"),
    ];
    let expected = [
        ("2025-03-28T23", "2025-03-29T23", 100.0 / 1.5),
        ("2025-03-29T23", "2025-03-30T22", 100.0 - 100.0 / 1.5 + 23.0 + 7.0),
        ("2025-10-25T22", "2025-10-26T23", 50.0 + 24.0),
        ("2025-10-26T23", "2025-10-27T23", 24.0),
    ];
    let results = shorts(&daily("Europe/Berlin"), &input);
    assert_eq!(results.len(), expected.len());
    for ((start, end, numbers), (from, to, sum)) in results.iter().zip(expected) {
        assert_eq!((&start[..13], &end[..13]), (from, to));
        assert!((numbers[0].1 - sum).abs() < 1e-9, "{numbers:?}");
    }
}

/// Scenario: discrete types, types weighted by time, sound levels, and sleep by stage over midnight. Guarantees: each combines as
/// the catalogue says.
#[test]
fn types_combine_as_the_catalogue_says() {
    let results = |input: &[Record]| -> Vec<Vec<(String, f64)>> {
        shorts(&daily("UTC"), input).into_iter().map(|(.., results)| results).collect()
    };
    let of = |names: &[&str], numbers: &[f64]| -> Vec<(String, f64)> {
        names.iter().map(|name| (*name).to_owned()).zip(numbers.iter().copied()).collect()
    };
    let range = ["min", "avg", "max"];
    let mass = [
        between(1, "BodyMass", 70.0, "2025-01-01T08:00:00Z", "2025-01-01T08:00:00Z"),
        between(2, "BodyMass", 72.0, "2025-01-01T20:00:00Z", "2025-01-01T22:00:00Z"),
    ];
    assert_eq!(results(&mass), [of(&range, &[70.0, 71.0, 72.0])]);
    let heart = [
        between(1, "HeartRate", 60.0, "2025-01-01T08:00:00Z", "2025-01-01T08:00:30Z"),
        between(2, "HeartRate", 90.0, "2025-01-01T09:00:00Z", "2025-01-01T09:00:10Z"),
    ];
    assert_eq!(results(&heart), [of(&range, &[60.0, 67.5, 90.0])]);
    let instants = heart.map(|record| Record { end: record.start, ..record });
    assert_eq!(results(&instants), [of(&range, &[60.0, 75.0, 90.0])]);
    let noise = [
        between(1, "EnvironmentalAudioExposure", 80.0, "2025-01-01T08:00:00Z", "2025-01-01T09:00:00Z"),
        between(2, "EnvironmentalAudioExposure", 90.0, "2025-01-01T10:00:00Z", "2025-01-01T11:00:00Z"),
    ];
    let level = &results(&noise)[0][1].1;
    assert!((level - 87.4036).abs() < 1e-4, "{level}");
    // 3 is core, 4 is deep.
    let sleep = [
        between(1, "SleepAnalysis", 3.0, "2025-01-01T23:30:00Z", "2025-01-02T01:00:00Z"),
        between(2, "SleepAnalysis", 4.0, "2025-01-02T01:00:00Z", "2025-01-02T01:30:00Z"),
        between(3, "SleepAnalysis", 3.0, "2025-01-02T01:30:00Z", "2025-01-02T02:00:00Z"),
    ];
    assert_eq!(
        results(&sleep),
        [
            of(&["asleepCore", "count"], &[1800.0, 1.0]),
            of(&["asleepCore", "asleepDeep", "count"], &[5400.0, 1800.0, 3.0])
        ]
    );
}

/// Scenario: a trip: records of one date in two zones, and one without; once more with a fixed zone. Guarantees: every record counts in
/// one bucket, that of its own zone.
#[test]
fn a_record_belongs_to_its_own_zone() {
    let mut input: Vec<Record> =
        (0..4).map(|id| quantity(id, "StepCount", 10.0, 1_748_800_000 + 3600 * id as i64)).collect();
    input[0].zone = Some("Europe/Berlin".into());
    input[1].zone = Some("America/New_York".into());
    input[2].zone = Some("America/New_York".into());
    let zones = |config: &Config| -> Vec<(String, f64)> {
        let output = results_contract(|| statistics(config), &input, 0..9);
        let mut zones: Vec<(String, f64)> = output
            .values()
            .map(|record| (record.zone.as_ref().expect("a zone").to_string(), short(record).2[0].1))
            .collect();
        zones.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        zones
    };
    let of = |zone: &str, value: f64| (zone.to_owned(), value);
    let expected = [of("America/New_York", 20.0), of("Asia/Tokyo", 10.0), of("Europe/Berlin", 10.0)];
    assert_eq!(zones(&daily("Asia/Tokyo")), expected);
    assert_eq!(zones(&Config { fixed: true, ..daily("Asia/Tokyo") }), [of("Asia/Tokyo", 40.0)]);
    input[3].zone = Some("Mars/Olympus".into());
    let mut out = Emit::new();
    statistics(&daily("UTC")).apply(&mut Batch::from(input.clone()), &mut out).unwrap();
    assert_eq!((out.counts().dead, out.counts().superseded), (1, 3));
    assert!(!out.take_rejects()[0].1.reason.contains("Mars"), "G8");
}

/// Random records of two people over a few days, in two types, with corrections and deletions.
fn random_records(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random::from_seed(seed);
    let mut records: Vec<Record> = Vec::new();
    let phone = Arc::new(Origin { name: Some("phone".into()), ..Default::default() });
    for id in 0..count as u128 {
        if random.chance(0.15) && !records.is_empty() {
            let earlier = records[random.below(records.len() as u64) as usize].id;
            let newest =
                records.iter().rev().find(|record| record.id == earlier).expect("it was drawn").clone();
            if random.chance(0.5) {
                records.push(deletion(earlier.as_u128(), newest.kind.map(Kind::short)));
                continue;
            }
            if !newest.is_deletion() {
                let value = Value::Quantity(random.below(50) as f64, newest.value.unit().expect("a unit"));
                records.push(Record { revision: newest.revision + 1, value, ..newest });
            }
            continue;
        }
        let kind = if random.chance(0.5) { "StepCount" } else { "HeartRate" };
        let mut record = quantity(id, kind, random.below(100) as f64, random.below(600_000) as i64);
        record.end = record.start.plus_micros(random.below(90_000) as i64 * 1_000_000);
        record.subject = random.chance(0.5).then(|| "a".into());
        record.zone = random.chance(0.5).then(|| "Europe/Berlin".into());
        record.origin = Some(phone.clone());
        records.push(record);
    }
    records
}

/// Scenario: random records that come late, are corrected and deleted, in hours, days, weeks and months; many batches, ticks
/// and deaths, and other orders. Guarantees: G1, G2; the buckets are those of the records that are left, wherever time passed, and no
/// amount is lost.
#[test]
fn buckets_are_those_of_what_is_left() {
    for (seed, bucket) in [Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month].into_iter().enumerate() {
        let config = Config { bucket, ..daily("Asia/Kolkata") };
        let input = random_records(400, seed as u64);
        let mut left = BTreeMap::new();
        for record in &input {
            match record.is_deletion() {
                true => left.remove(&record.id),
                false => left.insert(record.id, record.clone()),
            };
        }
        let mut alone: Vec<Record> = left.into_values().collect();
        let sum = |results: &[Short]| -> f64 {
            results.iter().flat_map(|(.., all)| all).filter(|(name, _)| name == "sum").map(|(_, n)| n).sum()
        };
        let results = shorts(&config, &input);
        let mut random = Random::from_seed(seed as u64);
        for index in (1..alone.len()).rev() {
            alone.swap(index, random.below(index as u64 + 1) as usize);
        }
        assert_eq!(results, shorts(&config, &alone));
        let steps = alone.iter().filter(|record| record.kind == Kind::parse("StepCount").ok());
        let total: f64 = steps.filter_map(|record| record.value.as_f64()).sum();
        assert!((sum(&results) - total).abs() < 1e-6);
    }
}

/// Scenario: a correction of the only record of a day, then its deletion, then another one. Guarantees: G2; a correction keeps the id
/// and raises the revision, an empty bucket is deleted, and what comes after has another id, whether or not time passed between.
#[test]
fn corrections_keep_the_id() {
    let record = quantity(1, "StepCount", 10.0, 0);
    let correction = Record { revision: 1, value: quantity(1, "StepCount", 11.0, 0).value, ..record.clone() };
    let steps = [record, correction, deletion(1, None), quantity(2, "StepCount", 5.0, 9)];
    let run = |ticks: bool| {
        let mut stage = statistics(&daily("UTC"));
        let mut out = Emit::new();
        for step in &steps {
            stage.apply(&mut Batch::from(vec![step.clone()]), &mut out).unwrap();
            if ticks {
                stage.tick(Timestamp::default(), &mut out).unwrap();
            }
        }
        stage.finish(&mut out).unwrap();
        out.batch.into_vec()
    };
    let all = run(true);
    let versions: Vec<(bool, u32)> =
        all.iter().map(|record| (record.is_deletion(), record.revision)).collect();
    assert_eq!(versions, [(false, 0), (false, 1), (true, 1), (false, 0)]);
    assert!(all[0].id == all[1].id && all[1].id == all[2].id && all[2].id != all[3].id);
    assert_eq!(run(false), all[3..]);
}

/// Scenario: more than may be held. Guarantees: G7; the oldest buckets become final and go out, later records of them are dead letters or
/// dropped, and everything else is as if there were room.
#[test]
fn the_oldest_become_final() {
    let config = Config { max_samples: 20, ..daily("UTC") };
    let input: Vec<Record> = (0..200).map(|id| quantity(id, "StepCount", 1.0, id as i64 * 20_000)).collect();
    let output = transform_contract(|| statistics(&config), &input, 0..9);
    let total: f64 = output.iter().map(|record| short(record).2[0].1).sum();
    assert_eq!(total, 200.0);
    let mut stage = statistics(&config);
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(input), &mut out).unwrap();
    assert!(stage.samples.len() + stage.buckets.len() <= 20);
    let late = || Batch::from(vec![quantity(900, "StepCount", 1.0, 5)]);
    stage.apply(&mut late(), &mut out).unwrap();
    assert_eq!(out.counts().dead, 1);
    let mut stage = statistics(&Config { late: Late::Drop, ..config.clone() });
    let input: Vec<Record> = (0..200).map(|id| quantity(id, "StepCount", 1.0, id as i64 * 20_000)).collect();
    stage.apply(&mut Batch::from(input), &mut out).unwrap();
    stage.apply(&mut late(), &mut out).unwrap();
    assert_eq!(out.counts().filtered, 1);
    results_contract(|| statistics(&config), &random_records(300, 3), 0..20);
}

/// Scenario: types without statistics, deletions of them, and a record that reaches into too many buckets. Guarantees: G1, G7; others
/// pass, and one that makes no sense is rejected.
#[test]
fn others_pass() {
    let mut workout = quantity(1, "StepCount", 1.0, 0);
    workout.kind = Kind::parse("HKWorkoutTypeIdentifier").ok();
    workout.value = Value::Workout(Default::default());
    let input = [workout.clone(), deletion(2, None), deletion(3, Some("StepCount"))];
    let output = transform_contract(|| statistics(&daily("UTC")), &input, 0..3);
    assert_eq!(output, input[..2]);
    let only = Config { types: vec!["HeartRate".into()], ..daily("UTC") };
    let steps = [quantity(1, "StepCount", 1.0, 0)];
    assert_eq!(transform_contract(|| statistics(&only), &steps, 0..3), steps);
    let long = between(4, "StepCount", 1.0, "2020-01-01T00:00:00Z", "2025-01-01T00:00:00Z");
    let mut out = Emit::new();
    let hours = Config::new(Bucket::Hour);
    statistics(&hours).apply(&mut Batch::from(vec![long]), &mut out).unwrap();
    assert_eq!(out.counts().dead, 1);
}

/// Scenario: what changes between two snapshots, and rows of other buckets. Guarantees: G7, a checkpoint costs what changed;
/// G5, a clear error.
#[test]
fn a_snapshot_costs_what_changed() {
    let mut stage = statistics(&daily("UTC"));
    let rows = |stage: &mut Statistics| match stage.snapshot().unwrap() {
        Snapshot::Delta(rows) => rows,
        _ => Delta::new(),
    };
    let mut out = Emit::new();
    let many: Vec<Record> = (0..1000).map(|id| quantity(id, "StepCount", 1.0, id as i64 * 86_400)).collect();
    stage.apply(&mut Batch::from(many), &mut out).unwrap();
    stage.tick(Timestamp::default(), &mut out).unwrap();
    let saved = rows(&mut stage);
    assert_eq!(saved.len(), 2002);
    stage.apply(&mut Batch::from(vec![deletion(500, None)]), &mut out).unwrap();
    stage.tick(Timestamp::default(), &mut out).unwrap();
    assert_eq!(rows(&mut stage).len(), 2);
    assert_eq!(stage.snapshot().unwrap(), Snapshot::Unchanged);
    let state: Vec<_> =
        saved.iter().map(|(key, value)| Ok((key.to_vec(), value.unwrap().to_vec()))).collect();
    let error = statistics(&Config::new(Bucket::Hour)).restore(Box::new(state.into_iter())).unwrap_err();
    assert!(error.to_string().contains("another name"), "{error}");
}

/// Scenario: an unknown zone, types without statistics, and more. Guarantees: each is a problem at its place, with the reason.
#[test]
fn problems_are_found_together() {
    assert_eq!(daily("Europe/Berlin").check(), []);
    let config = Config {
        zone: "Europe/Berln".into(),
        types: ["HKWorkoutTypeIdentifier", "StepCount", "StepCuont"].map(Into::into).into(),
        by: vec!["value".into()],
        max_samples: 0,
        ..daily("UTC")
    };
    let problems = config.check();
    assert_eq!(key_paths(&problems), ["zone", "types.0", "types.2", "by.0", "max_samples"]);
    assert_eq!(problems[0].message, "unknown time zone");
}
