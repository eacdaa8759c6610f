use std::{collections::BTreeMap, time::Duration};

use afferent_core::{
    ErrorKind, Kind, RecordId,
    config::{Configure, Span},
    random::Random,
    testing::{results_contract, shown, transform_contract},
};

use afferent_core::{Timestamp, Value};

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity};

const MINUTE: i64 = 60;

fn seconds(seconds: i64) -> Span {
    Span(Duration::from_secs(seconds as u64))
}

fn tumbling() -> Config {
    Config::new(seconds(MINUTE), &["count", "sum", "first", "last"])
}

fn window(config: &Config) -> Window {
    Window::new(config).expect("a configuration")
}

fn of(subject: &str, record: Record) -> Record {
    Record { subject: Some(subject.into()), ..record }
}

/// A result in short: from, to (seconds), revision, numbers.
fn short(record: &Record) -> (i64, i64, u32, Vec<f64>) {
    let numbers = match &record.value {
        Value::Aggregate(aggregate) => aggregate.results.iter().map(|(_, value)| *value).collect(),
        _ => Vec::new(),
    };
    let second = |time: Timestamp| time.as_micros() / 1_000_000;
    (second(record.start), second(record.end), record.revision, numbers)
}

fn shorts<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<(i64, i64, u32, Vec<f64>)> {
    let mut shorts: Vec<_> = records.into_iter().map(short).collect();
    shorts.sort_by_key(|short| (short.0, short.1));
    shorts
}

/// Steps of two people and three sources, some late, some corrected.
fn steps(count: usize, seed: u64, late: u64) -> Vec<Record> {
    let mut random = Random::from_seed(seed);
    let origins: Vec<_> = ["phone", "watch", "app"]
        .map(|name| {
            std::sync::Arc::new(afferent_core::Origin { name: Some(name.into()), ..Default::default() })
        })
        .into();
    let mut now = 0;
    let mut records: Vec<Record> = Vec::new();
    for id in 0..count {
        now += random.below(20) as i64;
        let second = now - random.below(late + 1) as i64;
        let mut record = quantity(id as u128, "StepCount", random.below(100) as f64, second);
        record.subject = Some(if random.chance(0.5) { "a".into() } else { "b".into() });
        record.origin = Some(origins[random.below(3) as usize].clone());
        record.end = record.start.plus_micros(random.below(30) as i64 * 1_000_000);
        if random.chance(0.05) && !records.is_empty() {
            let id = records[random.below(records.len() as u64) as usize].id;
            let earlier = records.iter().rev().find(|record| record.id == id).expect("it was just drawn");
            record = Record { revision: earlier.revision + 1, value: record.value, ..earlier.clone() };
        }
        records.push(record);
    }
    records
}

/// What the windows of `records` are, by the definition.
fn by_hand(records: &[Record], size: i64) -> Vec<(i64, i64, f64, f64)> {
    let mut windows = BTreeMap::<(String, i64), (f64, f64)>::new();
    let newest: BTreeMap<RecordId, &Record> = records.iter().map(|record| (record.id, record)).collect();
    for record in newest.values() {
        let at = record.start.as_micros().div_euclid(size * 1_000_000) * size;
        let subject = record.subject.as_deref().unwrap_or("").to_owned();
        let window = windows.entry((subject, at)).or_default();
        window.0 += 1.0;
        window.1 += record.value.as_f64().unwrap();
    }
    let mut all: Vec<_> =
        windows.into_iter().map(|((_, at), (count, sum))| (at, at + size, count, sum)).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

/// Scenario: records in three minutes, one late by less and one by more than is allowed, a correction and a deletion.
/// Guarantees: G1, G2; results go out at the watermark, late ones correct them, later ones are dead letters.
#[test]
fn emits_at_the_watermark_and_corrects() {
    let config = Config { allowed_lateness: seconds(MINUTE), ..tumbling() };
    let input = [
        quantity(1, "StepCount", 10.0, 5),
        quantity(2, "StepCount", 20.0, 50),
        quantity(3, "StepCount", 1.0, 60),
        quantity(4, "StepCount", 5.0, 30),
        Record { revision: 1, ..quantity(2, "StepCount", 25.0, 50) },
        quantity(4, "StepCount", 5.0, 30),
        deletion(1, None),
        quantity(5, "StepCount", 2.0, 125),
        quantity(6, "StepCount", 9.0, 1),
        quantity(7, "StepCount", 3.0, 61),
    ];
    let output = transform_contract(|| window(&config), &input, 0..20);
    let expected = [
        (0, 60, 0, vec![2.0, 30.0, 10.0, 20.0]),
        (0, 60, 1, vec![3.0, 35.0, 10.0, 20.0]),
        (0, 60, 2, vec![3.0, 40.0, 10.0, 25.0]),
        (0, 60, 3, vec![2.0, 30.0, 5.0, 25.0]),
        (60, 120, 0, vec![1.0, 1.0, 1.0, 1.0]),
        (60, 120, 1, vec![2.0, 4.0, 1.0, 3.0]),
        (120, 180, 0, vec![1.0, 2.0, 2.0, 2.0]),
    ];
    assert_eq!(output.iter().map(short).collect::<Vec<_>>(), expected);
    let mut out = Emit::new();
    window(&config).apply(&mut Batch::from(input.to_vec()), &mut out).unwrap();
    assert_eq!((out.counts().dead, out.counts().superseded, out.counts().derived), (1, 9, 6));
    let drop = Config { late: Late::Drop, ..config };
    window(&drop).apply(&mut Batch::from(input.to_vec()), &mut out).unwrap();
    assert_eq!(out.counts().filtered, 1);
}

/// Scenario: windows whose records are all deleted, before and after they closed, and one that gets a record again.
/// Guarantees: G2; a withdrawn result is a deletion, and what takes its place has another id, because stores keep tombstones.
#[test]
fn withdrawn_results_are_deletions() {
    let config = Config { allowed_lateness: seconds(3600), ..tumbling() };
    let input = [
        quantity(1, "StepCount", 10.0, 5),
        quantity(2, "StepCount", 20.0, 65),
        deletion(2, Some("StepCount")),
        quantity(3, "StepCount", 30.0, 130),
        deletion(1, Some("StepCount")),
        quantity(4, "StepCount", 40.0, 6),
    ];
    let output = transform_contract(|| window(&config), &input, 0..20);
    let changes: Vec<bool> = output.iter().map(Record::is_deletion).collect();
    assert_eq!(changes, [false, true, false, false]);
    assert_eq!(output[0].id, output[1].id);
    assert_ne!(output[0].id, output[2].id);
    assert_eq!((output[0].start, output[0].end), (output[2].start, output[2].end));
}

/// Scenario: sliding windows. Guarantees: a record is in each window over it, whenever it comes.
#[test]
fn windows_slide() {
    let config = Config { slide: Some(seconds(20)), allowed_lateness: seconds(600), ..tumbling() };
    let input = [1, 2, 3].map(|id| quantity(id, "StepCount", 10.0, 25 * id as i64));
    let mut late = input.to_vec();
    late.insert(0, quantity(9, "StepCount", 0.0, 300));
    let output = results_contract(|| window(&config), &input, 0..30);
    let bounds: Vec<_> =
        shorts(output.values()).into_iter().map(|(start, end, _, n)| (start, end, n[0])).collect();
    let expected = [(-20, 40, 1.0), (0, 60, 2.0), (20, 80, 3.0), (40, 100, 2.0), (60, 120, 1.0)];
    assert_eq!(bounds, expected);
    let output = results_contract(|| window(&config), &late, 0..30);
    let again: Vec<_> =
        shorts(output.values()).into_iter().map(|(start, end, _, n)| (start, end, n[0])).collect();
    assert_eq!(again[..5], expected);
    assert_eq!(again.len(), 8);
}

/// Scenario: records of two people that come in order, shuffled within the lateness, late, corrected, and with the half
/// deleted; tumbling, with many batches, ticks and deaths. Guarantees: G1, G2; the same as by the definition.
#[test]
fn the_same_as_by_hand() {
    for (seed, lateness) in [(1, 0), (2, 300), (3, 2000)] {
        let records = steps(600, seed, 200);
        let config = Config {
            lateness: seconds(lateness),
            allowed_lateness: seconds(300 * 86_400 - lateness),
            ..tumbling()
        };
        let output = results_contract(|| window(&config), &records, 0..40);
        let numbers = |output: &BTreeMap<RecordId, Record>| {
            let mut all: Vec<_> = output
                .values()
                .map(short)
                .map(|(start, end, _, numbers)| (start, end, numbers[0], numbers[1]))
                .collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all
        };
        assert_eq!(numbers(&output), by_hand(&records, MINUTE));

        // Half of it is deleted in the end: what the other half gives alone.
        let mut deleted = records.clone();
        deleted.extend((0..600).step_by(2).map(|id| deletion(id, None)));
        let half: Vec<Record> =
            records.iter().filter(|record| record.id.as_u128() % 2 == 1).cloned().collect();
        let left = results_contract(|| window(&config), &deleted, 0..20);
        assert_eq!(numbers(&left), by_hand(&half, MINUTE));
        assert_eq!(left.into_keys().collect::<Vec<_>>(), shown_keys(&config, &half));
    }
}

fn shown_keys(config: &Config, records: &[Record]) -> Vec<RecordId> {
    results_contract(|| window(config), records, 0..1).into_keys().collect()
}

/// Scenario: what comes within the lateness, in many orders. Guarantees: G2; the very same results, revisions too, and each
/// goes out once.
#[test]
fn the_order_within_the_lateness_does_not_matter() {
    let records = steps(400, 7, 0);
    let records: Vec<Record> = records.into_iter().filter(|record| record.revision == 0).collect();
    for shape in [tumbling(), Config { size: None, gap: Some(seconds(25)), ..tumbling() }] {
        let config = Config { lateness: seconds(10_000), ..shape };
        let expected = results_contract(|| window(&config), &records, 0..10);
        assert!(expected.len() > 20);
        let mut random = Random::from_seed(1);
        for _ in 0..20 {
            let mut shuffled = records.clone();
            for index in (1..shuffled.len()).rev() {
                shuffled.swap(index, random.below(index as u64 + 1) as usize);
            }
            let output = transform_contract(|| window(&config), &shuffled, 0..3);
            assert_eq!(output.len(), expected.len(), "each goes out once");
            assert_eq!(shown(&output), expected);
        }
    }
}

/// Scenario: sessions that grow, merge because of a late record, fall apart because of a deletion, and end.
/// Guarantees: G2; a session whose bounds change deletes its old id, and one that comes back under old bounds has another.
#[test]
fn sessions_merge_and_fall_apart() {
    let config =
        Config { size: None, gap: Some(seconds(10)), allowed_lateness: seconds(86_400), ..tumbling() };
    let mut input = vec![
        quantity(1, "StepCount", 1.0, 0),
        quantity(2, "StepCount", 2.0, 9),
        quantity(3, "StepCount", 3.0, 20),
        quantity(4, "StepCount", 4.0, 100),
        quantity(5, "StepCount", 5.0, 15),
    ];
    let output = results_contract(|| window(&config), &input, 0..50);
    let expected = [(0, 20, 0, vec![4.0, 11.0, 1.0, 3.0]), (100, 100, 0, vec![1.0, 4.0, 4.0, 4.0])];
    assert_eq!(shorts(output.values()), expected);
    input.push(deletion(5, None));
    let output = results_contract(|| window(&config), &input, 0..50);
    assert_eq!(
        shorts(output.values()),
        [
            (0, 9, 0, vec![2.0, 3.0, 1.0, 2.0]),
            (20, 20, 0, vec![1.0, 3.0, 3.0, 3.0]),
            (100, 100, 0, vec![1.0, 4.0, 4.0, 4.0])
        ]
    );
    let records = steps(300, 5, 300);
    let late = results_contract(|| window(&config), &records, 0..40);
    let mut ordered: Vec<Record> = records
        .iter()
        .map(|record| (record.id, record.clone()))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect();
    ordered.sort_by_key(|record| record.start);
    let in_order = results_contract(|| window(&config), &ordered, 0..5);
    let numbers = |output: &BTreeMap<RecordId, Record>| {
        let mut all: Vec<_> = output
            .values()
            .map(|record| (record.subject.clone(), short(record)))
            .map(|(subject, (start, end, _, n))| (subject.map(|s| s.to_string()), start, end, n))
            .collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    };
    assert_eq!(numbers(&late), numbers(&in_order));
}

/// Scenario: an end of the input with open windows, then more of it. Guarantees: G1; what is open goes out at the end, and is
/// corrected by what comes after.
#[test]
fn an_end_is_not_final() {
    let mut stage = window(&tumbling());
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(vec![quantity(1, "StepCount", 1.0, 5)]), &mut out).unwrap();
    stage.finish(&mut out).unwrap();
    stage.finish(&mut out).unwrap();
    stage.apply(&mut Batch::from(vec![quantity(2, "StepCount", 2.0, 6)]), &mut out).unwrap();
    stage.apply(&mut Batch::from(vec![quantity(3, "StepCount", 2.0, 61)]), &mut out).unwrap();
    let output: Vec<_> = out.batch.iter().map(short).collect();
    assert_eq!(output, [(0, 60, 0, vec![1.0; 4]), (0, 60, 1, vec![2.0, 3.0, 1.0, 2.0])]);
}

/// Scenario: other types than those that are named, deletions with and without a type, records of other units, subjects and
/// sources. Guarantees: G3; others pass untouched and in order, and what is different is never mixed.
#[test]
fn others_pass_and_keys_do_not_mix() {
    let config = Config { types: vec!["StepCount".into()], ..tumbling() };
    let input = [
        quantity(1, "HeartRate", 60.0, 5),
        quantity(2, "StepCount", 20.0, 5),
        deletion(3, Some("HeartRate")),
        deletion(4, None),
        deletion(5, Some("StepCount")),
    ];
    let output = transform_contract(|| window(&config), &input, 0..9);
    assert_eq!(output[..3], [input[0].clone(), input[2].clone(), input[3].clone()]);
    assert_eq!(output.len(), 4);

    let pound = afferent_core::Unit::parse("lb").unwrap();
    let mut other = quantity(2, "BodyMass", 20.0, 5);
    other.value = Value::Quantity(20.0, pound);
    let input = [
        of("a", quantity(1, "BodyMass", 60.0, 5)),
        of("a", other),
        of("b", quantity(3, "BodyMass", 60.0, 5)),
        of("a", quantity(4, "HeartRate", 60.0, 5)),
        quantity(5, "HeartRate", 60.0, 5),
        of("", quantity(6, "HeartRate", 60.0, 5)),
    ];
    let output = transform_contract(|| window(&tumbling()), &input, 0..9);
    assert_eq!(output.len(), 6);
    let ids: BTreeSet<RecordId> = output.iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), 6);
    assert_eq!(output[0].subject.as_deref(), Some("a"));
    // A sum of heart rates is left out.
    let heart = output.iter().find(|record| record.kind == Kind::parse("HeartRate").ok()).unwrap();
    assert_eq!(short(heart).3, [1.0, 60.0, 60.0]);
}

/// Scenario: more records than may be held, in windows that stay open. Guarantees: G7; the oldest windows close early, and
/// what is held stays under the limit.
#[test]
fn the_oldest_close_to_make_room() {
    for shape in [tumbling(), Config { size: None, gap: Some(seconds(5)), ..tumbling() }] {
        let config = Config { lateness: seconds(86_400), max_samples: 10, ..shape };
        let mut stage = window(&config);
        let mut out = Emit::new();
        for id in 0..100 {
            let record = quantity(id, "StepCount", 1.0, id as i64 * 7);
            stage.apply(&mut Batch::from(vec![record]), &mut out).unwrap();
            assert!(stage.samples.len() <= 10);
        }
        assert!(out.batch.len() > 8);
        let input: Vec<Record> = steps(300, 9, 100);
        transform_contract(|| window(&config), &input, 0..20);
    }
}

/// Scenario: many open windows, of which few change between two snapshots; and windows that come and go.
/// Guarantees: G7; a checkpoint costs what changed, and what is final leaves nothing but its clock.
#[test]
fn a_snapshot_costs_what_changed() {
    let mut stage = window(&Config { lateness: seconds(300 * 86_400), ..tumbling() });
    let mut out = Emit::new();
    let rows = |stage: &mut Window| match stage.snapshot().unwrap() {
        Snapshot::Delta(rows) => rows,
        _ => Delta::new(),
    };
    let many = (0..10_000).map(|id| quantity(id, "StepCount", 1.0, id as i64 * 60)).collect::<Vec<_>>();
    stage.apply(&mut Batch::from(many), &mut out).unwrap();
    assert_eq!(rows(&mut stage).len(), 10_002);
    stage.apply(&mut Batch::from(vec![quantity(10_001, "StepCount", 1.0, 5)]), &mut out).unwrap();
    assert_eq!(rows(&mut stage).len(), 1, "a record that moves no clock is one row");
    assert_eq!(stage.snapshot().unwrap(), Snapshot::Unchanged);

    let mut stage = window(&tumbling());
    let many = (0..10_000).map(|id| quantity(id, "StepCount", 1.0, id as i64 * 60)).collect::<Vec<_>>();
    stage.apply(&mut Batch::from(many), &mut out).unwrap();
    assert_eq!(rows(&mut stage).len(), 3, "the fields, the clock, and the one record that is held");
}

/// Scenario: saved rows that are damaged, of a newer program, or of other fields. Guarantees: G5; a clear error of kind `State`.
#[test]
fn damaged_rows_are_refused() {
    let mut stage = window(&tumbling());
    let records = vec![of("a", quantity(1, "StepCount", 1.0, 5))];
    stage.apply(&mut Batch::from(records), &mut Emit::new()).unwrap();
    let Snapshot::Delta(rows) = stage.snapshot().unwrap() else { panic!("it holds a record") };
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        rows.iter().map(|(key, value)| (key.to_vec(), value.unwrap().to_vec())).collect();
    let restore = |config: &Config, rows: Vec<(Vec<u8>, Vec<u8>)>| {
        window(config).restore(Box::new(rows.into_iter().map(Ok)))
    };
    restore(&tumbling(), rows.clone()).unwrap();
    let other = Config { by: vec!["source.name".into()], ..tumbling() };
    let error = restore(&other, rows.clone()).unwrap_err();
    assert!(error.to_string().contains("another name"), "{error}");
    for index in 0..rows.len() {
        for cut in 0..rows[index].1.len() {
            let mut damaged = rows.clone();
            damaged[index].1.truncate(cut);
            assert_eq!(restore(&tumbling(), damaged).unwrap_err().kind(), ErrorKind::State, "{index} {cut}");
        }
        let mut newer = rows.clone();
        newer[index].1[0] = 99;
        assert_eq!(restore(&tumbling(), newer).unwrap_err().kind(), ErrorKind::State);
    }
    let only_sample: Vec<_> = rows.into_iter().filter(|(key, _)| key[0] == SAMPLES).collect();
    assert_eq!(restore(&tumbling(), only_sample).unwrap_err().kind(), ErrorKind::State);
}

/// Scenario: configurations that make no sense. Guarantees: each is a problem at its place, with the reason.
#[test]
fn problems_are_found_together() {
    let problems = |change: fn(&mut Config)| {
        let mut config = tumbling();
        change(&mut config);
        config.check()
    };
    assert_eq!(tumbling().check(), []);
    for (paths, change) in [
        (&["size"][..], (|c| c.size = Some(seconds(0))) as fn(&mut Config)),
        (&["size"], |c| c.size = Some(seconds(401 * 86_400))),
        (&["size"], |c| c.allowed_lateness = seconds(400 * 86_400)),
        (&["slide"], |c| c.slide = Some(seconds(7))),
        (&["slide"], |c| c.slide = Some(seconds(120))),
        (&["slide"], |c| (c.size, c.slide) = (Some(seconds(3600)), Some(seconds(1)))),
        (&["gap"], |c| c.gap = Some(seconds(7))),
        (&[""], |c| c.size = None),
        (&["aggregate"], |c| c.aggregate.clear()),
        (&["aggregate.0", "aggregate.2"], |c| c.aggregate = ["averge", "min", "min"].map(Into::into).into()),
        (&["by.1"], |c| c.by = ["subject", "value"].map(Into::into).into()),
        (&["types.0", "types.1"], |c| c.types = ["HeartRate", "StepCuont"].map(Into::into).into()),
        (&["max_samples"], |c| c.max_samples = 0),
    ] {
        assert_eq!(key_paths(&problems(change)), paths);
    }
    let sum = problems(|c| c.types = vec!["HeartRate".into()]);
    assert_eq!(sum[0].message, "a sum of `HeartRate` means nothing: its values do not add up");
}
