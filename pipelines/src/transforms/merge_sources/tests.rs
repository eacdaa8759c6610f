use std::{collections::BTreeMap, sync::Arc};

use afferent_core::{
    Kind, Origin, Unit, Value,
    config::Configure,
    random::Random,
    testing::{results_contract, transform_contract},
};

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity};

const MINUTE: i64 = 60;

fn merge(config: &Config) -> MergeSources {
    MergeSources::new(config).expect("a configuration")
}

fn origin(product: &str) -> Option<Arc<Origin>> {
    Some(Arc::new(Origin { product: Some(product.into()), ..Default::default() }))
}

/// Steps from minute to minute.
fn steps(id: u128, product: &str, value: f64, from: i64, to: i64) -> Record {
    let mut record = quantity(id, "StepCount", value, from * MINUTE);
    record.end = Timestamp::from_micros_clamped(to * MINUTE * 1_000_000);
    record.origin = origin(product);
    record
}

/// What comes out, in short: product, from and to in minutes, value.
fn shorts<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<(String, i64, i64, f64)> {
    let short = |record: &Record| {
        let product = record.origin.as_ref().and_then(|origin| origin.product.clone());
        let minute = |time: Timestamp| time.as_micros() / 1_000_000 / MINUTE;
        let value = record.value.as_f64().expect("a number");
        (product.map_or(String::new(), |p| p.to_string()), minute(record.start), minute(record.end), value)
    };
    let mut shorts: Vec<_> = records.into_iter().map(short).collect();
    shorts.sort_by(|a, b| (a.1, a.2, &a.0).cmp(&(b.1, b.2, &b.0)).then(a.3.total_cmp(&b.3)));
    shorts
}

fn merged(config: &Config, input: &[Record]) -> Vec<(String, i64, i64, f64)> {
    shorts(results_contract(|| merge(config), input, 0..30).values())
}

fn of(product: &str, from: i64, to: i64, value: f64) -> (String, i64, i64, f64) {
    (product.to_owned(), from, to, value)
}

/// Scenario: a phone and a watch count a walk, the watch for a part of it, and its record comes late; a third source that nobody
/// named. Guarantees: G1, G2; each moment counts once, gaps are filled, and what nobody touches comes out as it was.
#[test]
fn the_better_source_counts_and_the_other_fills_the_gaps() {
    let input = [
        steps(1, "iPhone15,2", 600.0, 0, 60),
        steps(2, "iPhone15,2", 50.0, 60, 70),
        steps(3, "Scale1,1", 700.0, 50, 120),
        steps(4, "Watch6,7", 250.0, 20, 40),
        steps(5, "Watch6,7", 9.0, 65, 65),
    ];
    let expected = [
        of("iPhone15,2", 0, 20, 200.0),
        of("Watch6,7", 20, 40, 250.0),
        of("iPhone15,2", 40, 60, 200.0),
        of("iPhone15,2", 60, 70, 50.0),
        of("Watch6,7", 65, 65, 9.0),
        of("Scale1,1", 70, 120, 500.0),
    ];
    assert_eq!(merged(&Config::default(), &input), expected);
    let mut other = input.to_vec();
    other.reverse();
    assert_eq!(merged(&Config::default(), &other), expected);
    // Without the watch the phone counts again.
    other.extend([deletion(4, None), deletion(5, Some("StepCount"))]);
    let expected =
        [of("iPhone15,2", 0, 60, 600.0), of("iPhone15,2", 60, 70, 50.0), of("Scale1,1", 70, 120, 500.0)];
    assert_eq!(merged(&Config::default(), &other), expected);
}

/// Scenario: a piece that is covered, comes back, and its sample is corrected; with time passing between and without. Guarantees: G2; a
/// correction keeps the id, a covered piece is deleted, and one that comes back has another id.
#[test]
fn pieces_keep_their_ids() {
    let phone = steps(1, "iPhone", 60.0, 0, 60);
    let correction = Record { revision: 1, ..steps(1, "iPhone", 120.0, 0, 60) };
    let input = [phone, correction, steps(2, "Watch", 9.0, 0, 60), deletion(2, None)];
    let run = |ticks: bool| {
        let mut stage = merge(&Config::default());
        let mut out = Emit::new();
        for record in &input {
            stage.apply(&mut Batch::from(vec![record.clone()]), &mut out).unwrap();
            if ticks {
                stage.tick(Timestamp::default(), &mut out).unwrap();
            }
        }
        stage.finish(&mut out).unwrap();
        assert_eq!((out.counts().superseded, out.counts().derived), (4, out.batch.len() as u64));
        out.batch.into_vec()
    };
    let all = run(true);
    let short: Vec<(bool, u32)> = all.iter().map(|record| (record.is_deletion(), record.revision)).collect();
    let expected = [(false, 0), (false, 1), (true, 1), (false, 0), (false, 0), (true, 0)];
    assert_eq!(short, expected);
    assert!(all[0].id == all[1].id && all[1].id == all[2].id && all[2].id != all[4].id);
    assert_eq!(run(false), all[4..5]);
}

/// Scenario: sleep of two sources, kilometres and metres of one walk, two people, and a type that is not merged. Guarantees: a category
/// keeps its value and is cut, units do not matter, people and other types do not mix.
#[test]
fn what_belongs_together_is_merged() {
    let sleep = |id, product: &str, value, from: i64, to: i64| {
        let mut record = steps(id, product, 0.0, from, to);
        (record.kind, record.value) = (Kind::parse("SleepAnalysis").ok(), Value::Category(value));
        record
    };
    let priority = BTreeMap::from([
        ("SleepAnalysis".to_owned(), vec!["Watch".to_owned()]),
        ("DistanceWalkingRunning".to_owned(), vec!["Watch".to_owned()]),
    ]);
    let config = Config { priority, ..Config::default() };
    let input = [sleep(1, "iPhone", 1, 0, 500), sleep(2, "Watch", 4, 100, 200)];
    let expected = [of("iPhone", 0, 100, 1.0), of("Watch", 100, 200, 4.0), of("iPhone", 200, 500, 1.0)];
    assert_eq!(merged(&config, &input), expected);

    let distance = |id, product: &str, value, unit: &str| {
        let mut record = steps(id, product, 0.0, 0, 10);
        record.kind = Kind::parse("DistanceWalkingRunning").ok();
        record.value = Value::Quantity(value, Unit::parse(unit).unwrap());
        record
    };
    let input = [distance(1, "iPhone", 1000.0, "m"), distance(2, "Watch", 1.1, "km")];
    assert_eq!(merged(&config, &input), [of("Watch", 0, 10, 1.1)]);
    let mut other = input.clone();
    other[1].subject = Some("b".into());
    assert_eq!(merged(&config, &other).len(), 2);

    let passing = [quantity(1, "HeartRate", 60.0, 5), deletion(2, Some("HeartRate")), deletion(3, None)];
    assert_eq!(transform_contract(|| merge(&config), &passing, 0..3), passing);
}

/// Random samples of a few sources over some hours, whole minutes long, with corrections and deletions; and those that are left.
fn random(count: usize, seed: u64) -> (Vec<Record>, Vec<Record>) {
    let mut random = Random::from_seed(seed);
    let products = ["Watch6,7", "iPhone15,2", "Band", ""];
    let mut records: Vec<Record> = Vec::new();
    let mut left = BTreeMap::new();
    for id in 0..count as u128 {
        let known = left.keys().nth(random.below(left.len().max(1) as u64) as usize).copied();
        if let Some(known) = known.filter(|_| random.chance(0.1)) {
            left.remove(&known);
            records.push(Record::deleted(known, None));
            continue;
        }
        let product = products[random.below(4) as usize];
        let from = random.below(400) as i64;
        let to = from + random.below(40) as i64;
        let mut record = steps(id, product, random.below(1000) as f64, from, to);
        if product.is_empty() {
            record.origin = None;
        }
        if let Some(known) = known.filter(|_| random.chance(0.1)) {
            let earlier: &Record = &left[&known];
            (record.id, record.revision) = (known, earlier.revision + 1);
        }
        left.insert(record.id, record.clone());
        records.push(record);
    }
    (records, left.into_values().collect())
}

/// What counts in each minute, by the definition: all samples over it of the best source that has one.
fn minute_by_minute(config: &Config, samples: &[Record]) -> (BTreeMap<i64, f64>, f64) {
    let plan = Plan::new(config).unwrap();
    let rank = |record: &Record| plan.rank(record.kind, record.origin.as_deref());
    let minute = |time: Timestamp| time.as_micros() / 1_000_000 / MINUTE;
    let over = |record: &Record, at: i64| minute(record.start) <= at && at < minute(record.end);
    let best = |at: i64| samples.iter().filter(|record| over(record, at)).map(rank).min();
    let mut minutes = BTreeMap::new();
    for at in 0..500 {
        let Some(best) = best(at) else { continue };
        let counted = samples.iter().filter(|record| over(record, at) && rank(record) == best);
        let part = |record: &Record| {
            record.value.as_f64().unwrap() / (minute(record.end) - minute(record.start)) as f64
        };
        minutes.insert(at, counted.map(part).sum());
    }
    let instants = samples.iter().filter(|record| record.start == record.end);
    let counted =
        instants.filter(|record| best(minute(record.start)).is_none_or(|best| rank(record) <= best));
    (minutes, counted.filter_map(|record| record.value.as_f64()).sum())
}

/// Scenario: random samples of four sources that overlap, come in any order, are corrected and deleted; many batches, ticks and deaths.
/// Guarantees: G1, G2; in each minute exactly what the definition says: neither counted twice nor left out.
#[test]
fn as_minute_by_minute() {
    let config = Config::default();
    for seed in 0..60 {
        let (input, left) = random(80, seed);
        let output = results_contract(|| merge(&config), &input, seed..seed + 4);
        let (expected, instants) = minute_by_minute(&config, &left);
        let mut minutes = BTreeMap::<i64, f64>::new();
        let mut found = 0.0;
        for (_, from, to, value) in shorts(output.values()) {
            if from == to {
                found += value;
            }
            (from..to).for_each(|at| *minutes.entry(at).or_default() += value / (to - from) as f64);
        }
        assert_eq!(minutes.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "seed {seed}");
        for (at, value) in &minutes {
            assert!(
                (value - expected[at]).abs() < 1e-6,
                "seed {seed}, minute {at}: {value}, {}",
                expected[at]
            );
        }
        assert_eq!(found, instants, "seed {seed}");
        // What is left alone gives the same, whatever was there before.
        assert_eq!(shorts(output.values()), merged(&config, &left), "seed {seed}");
    }
}

/// Scenario: more than may be held. Guarantees: G7; the oldest become final and go out, what comes later for them is a dead letter or
/// dropped, and the rest is as if there were room.
#[test]
fn the_oldest_become_final() {
    let config = Config { max_samples: 20, ..Config::default() };
    let input: Vec<Record> = (0..300)
        .map(|id| {
            steps(id, if id % 2 == 0 { "iPhone" } else { "Watch" }, 10.0, id as i64 * 5, id as i64 * 5 + 10)
        })
        .collect();
    let output = results_contract(|| merge(&config), &input, 0..20);
    let roomy = results_contract(|| merge(&Config::default()), &input, 0..2);
    assert_eq!(shorts(output.values()), shorts(roomy.values()));
    let mut stage = merge(&config);
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(input.clone()), &mut out).unwrap();
    assert!(stage.held.len() <= 20);
    stage.apply(&mut Batch::from(vec![steps(900, "Watch", 1.0, 0, 5)]), &mut out).unwrap();
    assert_eq!(out.counts().dead, 1);
    let mut stage = merge(&Config { late: Late::Drop, ..config.clone() });
    stage.apply(&mut Batch::from(input), &mut out).unwrap();
    stage.apply(&mut Batch::from(vec![steps(900, "Watch", 1.0, 0, 5)]), &mut out).unwrap();
    assert_eq!(out.counts().filtered, 1);
    for seed in 0..10 {
        results_contract(|| merge(&config), &random(200, seed).0, 0..10);
    }
    let mut out = Emit::new();
    merge(&config).apply(&mut Batch::from(vec![steps(1, "Watch", 1.0, 0, 60 * 24 * 40)]), &mut out).unwrap();
    assert_eq!(out.counts().dead, 1);
}

/// Scenario: a few changes among many samples. Guarantees: G7, a checkpoint costs what changed; G5, another order of sources is refused
/// clearly.
#[test]
fn a_snapshot_costs_what_changed() {
    let mut stage = merge(&Config::default());
    let mut out = Emit::new();
    let many: Vec<Record> = (0..1000).map(|id| steps(id, "iPhone", 1.0, id as i64, id as i64 + 1)).collect();
    stage.apply(&mut Batch::from(many), &mut out).unwrap();
    stage.tick(Timestamp::default(), &mut out).unwrap();
    let Snapshot::Delta(saved) = stage.snapshot().unwrap() else { panic!("it holds records") };
    assert_eq!(saved.len(), 1003, "the configuration, a key, an origin, and each record");
    stage.apply(&mut Batch::from(vec![steps(2000, "Watch", 1.0, 500, 502)]), &mut out).unwrap();
    let Snapshot::Delta(rows) = stage.snapshot().unwrap() else { panic!("three changed") };
    assert_eq!(rows.len(), 4, "three records and another origin");
    let other = Config { priority: [("StepCount".to_owned(), Vec::new())].into(), ..Config::default() };
    let state =
        saved.iter().map(|(key, value)| Ok((key.to_vec(), value.unwrap().to_vec()))).collect::<Vec<_>>();
    let error = merge(&other).restore(Box::new(state.into_iter())).unwrap_err();
    assert!(error.to_string().contains("another name"), "{error}");
}

/// Scenario: types that do not add up, unknown ones, and more. Guarantees: each is a problem at its place, with the reason.
#[test]
fn problems_are_found_together() {
    assert_eq!(Config::default().check(), []);
    let names = ["HeartRate", "StepCount", "StepCuont"];
    let priority = names.map(|name| (name.to_owned(), vec![String::new()])).into();
    let config = Config { priority, max_samples: 0, ..Config::default() };
    let paths = [
        "priority.HeartRate",
        "priority.HeartRate.0",
        "priority.StepCount.0",
        "priority.StepCuont",
        "priority.StepCuont.0",
        "max_samples",
    ];
    assert_eq!(key_paths(&config.check()), paths);
    assert_eq!(key_paths(&Config { priority: BTreeMap::new(), ..Config::default() }.check()), ["priority"]);
}
