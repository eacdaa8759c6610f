use std::{collections::BTreeMap, time::Duration};

use afferent_core::{
    ErrorKind, Kind, MetaValue, StateRows, Unit, Value,
    config::{Configure, Span},
    random::Random,
    record::{Statistic, Workout},
    testing::{results_contract, shown},
};

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity};

fn config(types: &[&str]) -> Config {
    Config::new(types)
}

fn join(config: &Config) -> Join {
    Join::new(config).expect("a configuration")
}

fn of(subject: &str, record: Record) -> Record {
    Record { subject: Some(subject.into()), ..record }
}

fn workout(id: u128, start: i64, end: i64) -> Record {
    let mut record = quantity(id, "StepCount", 0.0, start);
    record.kind = Kind::parse("Workout").ok();
    record.end = Timestamp::from_micros_clamped(end * 1_000_000);
    record.value = Value::Workout(Workout { activity: 37, ..Workout::default() }.into());
    record
}

fn lasts(record: Record, seconds: i64) -> Record {
    Record { end: record.start.plus_micros(seconds * 1_000_000), ..record }
}

fn statistics(record: &Record) -> &[Statistic] {
    match &record.value {
        Value::Workout(workout) => &workout.statistics,
        other => panic!("a workout, not {other:?}"),
    }
}

/// A statistic in short: type, unit, sum, minimum, average, maximum.
type Short = (String, String, [Option<f64>; 4]);

fn shorts(record: &Record) -> Vec<Short> {
    let short = |one: &Statistic| {
        let numbers = [one.sum, one.minimum, one.average, one.maximum];
        (one.kind.short().to_owned(), one.unit.to_string(), numbers)
    };
    statistics(record).iter().map(short).collect()
}

fn told(record: &Record, key: &str) -> Option<MetaValue> {
    record.metadata.as_ref().and_then(|metadata| metadata.get(key)).cloned()
}

/// What comes out of all of `input`, and then as time passes.
fn run(stage: &mut Join, input: &[Record]) -> (Vec<Record>, Vec<Record>) {
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(input.to_vec()), &mut out).unwrap();
    let at_once = std::mem::take(&mut out.batch).into_vec();
    stage.tick(Timestamp::default(), &mut out).unwrap();
    (at_once, std::mem::take(&mut out.batch).into_vec())
}

/// Scenario: samples before, in and after a workout, of it in part, of another person and of another type; before it and after
/// it comes. Guarantees: G3, G4; samples pass at once and untouched, and it says what is wholly inside it, as HealthKit does.
#[test]
fn a_workout_says_what_is_inside_it() {
    let config = config(&["HeartRate", "ActiveEnergyBurned"]);
    let input = [
        of("a", quantity(1, "HeartRate", 1.0, 99)),
        of("a", quantity(2, "HeartRate", 2.0, 100)),
        of("a", lasts(quantity(3, "HeartRate", 3.0, 150), 3)),
        of("a", workout(10, 100, 200)),
        of("a", quantity(4, "HeartRate", 2.5, 200)),
        of("a", quantity(5, "HeartRate", 9.0, 201)),
        of("b", quantity(6, "HeartRate", 9.0, 150)),
        of("a", lasts(quantity(7, "ActiveEnergyBurned", 20.0, 120), 80)),
        of("a", lasts(quantity(8, "ActiveEnergyBurned", 500.0, 190), 11)),
        of("a", quantity(9, "StepCount", 30.0, 150)),
    ];
    let output = results_contract(|| join(&config), &input, 0..30);
    for record in input.iter().filter(|record| record.id.as_u128() != 10) {
        assert_eq!(output.get(&record.id), Some(record));
    }
    let joined = &output[&RecordId::from_u128(10)];
    let average = (2.0 + 3.0 * 3.0 + 2.5) / 5.0;
    assert_eq!(
        shorts(joined),
        [
            ("HeartRate".into(), "count/s".into(), [None, Some(2.0), Some(average), Some(3.0)]),
            ("ActiveEnergyBurned".into(), "kcal".into(), [Some(20.0), None, None, None]),
        ]
    );
    assert_eq!(told(joined, "afferent.joined.HeartRate.count"), Some(MetaValue::Number(3.0)));
    assert_eq!(told(joined, "afferent.joined.ActiveEnergyBurned.count"), Some(MetaValue::Number(1.0)));
    let (at_once, later) = run(&mut join(&config), &input);
    assert_eq!(at_once.len(), input.len() - 1);
    assert_eq!(later.len(), 1);
}

/// Scenario: a late sample, a correction and a deletion of samples, a correction of the workout and its deletion, each in a
/// checkpoint of its own; and a workout that is deleted before it came out. Guarantees: G2, G3; each change is a higher revision of
/// one id, what says the same does not come out again, and a deletion never overtakes its addition.
#[test]
fn changes_raise_the_revision() {
    let mut stage = join(&config(&["HeartRate"]));
    let mut after = |input: &[Record]| run(&mut stage, input).1;
    let short = |output: &[Record]| {
        let short = |record: &Record| (record.revision, shorts(record).first().and_then(|short| short.2[2]));
        output.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(short(&after(&[workout(10, 100, 200)])), [(0, None)]);
    assert_eq!(short(&after(&[quantity(1, "HeartRate", 2.0, 100)])), [(1, Some(2.0))]);
    assert_eq!(short(&after(&[quantity(2, "HeartRate", 2.0, 99), deletion(77, None)])), []);
    let corrected = Record { revision: 1, ..quantity(1, "HeartRate", 3.0, 110) };
    assert_eq!(short(&after(std::slice::from_ref(&corrected))), [(3, Some(3.0))]);
    assert_eq!(short(&after(&[Record { revision: 0, ..corrected }])), []);
    assert_eq!(short(&after(&[Record { revision: 1, ..workout(10, 90, 200) }])), [(4, Some(2.5))]);
    assert_eq!(short(&after(&[Record { revision: 1, ..workout(10, 90, 200) }])), []);
    assert_eq!(short(&after(&[Record { revision: 9, ..workout(10, 105, 200) }])), [(9, Some(3.0))]);
    assert_eq!(short(&after(&[deletion(1, Some("HeartRate"))])), [(10, None)]);

    let (at_once, later) =
        run(&mut stage, &[deletion(10, Some("Workout")), quantity(3, "HeartRate", 2.0, 150)]);
    assert_eq!((at_once.len(), later.len()), (2, 0));
    let mut out = Emit::new();
    let input = vec![workout(20, 0, 50), deletion(20, None)];
    stage.apply(&mut Batch::from(input), &mut out).unwrap();
    assert_eq!(out.counts().superseded, 1);
    assert!(out.batch.len() == 1 && out.batch[0].is_deletion());
    stage.finish(&mut out).unwrap();
    assert_eq!(out.batch.len(), 1);
}

/// Scenario: a workout with statistics of its own. Guarantees: G4; they stay, unless the file says otherwise.
#[test]
fn what_a_workout_says_itself_stays() {
    let mut own = workout(10, 100, 200);
    let statistic = |kind: &str, sum| Statistic {
        kind: Kind::parse(kind).unwrap(),
        unit: Unit::parse("kcal").unwrap(),
        sum,
        average: None,
        minimum: None,
        maximum: None,
    };
    let energy = statistic("ActiveEnergyBurned", Some(321.0));
    let statistics = vec![energy, statistic("BasalEnergyBurned", Some(5.0))];
    own.value = Value::Workout(Workout { statistics, ..Workout::default() }.into());
    let input = [own, quantity(1, "ActiveEnergyBurned", 7.0, 150), quantity(2, "HeartRate", 2.0, 150)];
    let both = config(&["HeartRate", "ActiveEnergyBurned"]);
    let sums = |config: &Config| {
        let output = results_contract(|| join(config), &input, 0..10);
        let shorts = shorts(&output[&RecordId::from_u128(10)]);
        shorts.into_iter().map(|(kind, _, numbers)| (kind, numbers[0])).collect::<Vec<_>>()
    };
    let [energy, basal, heart] = ["ActiveEnergyBurned", "BasalEnergyBurned", "HeartRate"].map(str::to_owned);
    assert_eq!(
        sums(&both),
        [(energy.clone(), Some(321.0)), (basal.clone(), Some(5.0)), (heart.clone(), None)]
    );
    assert_eq!(
        sums(&Config { replace: true, ..both }),
        [(basal, Some(5.0)), (heart, None), (energy, Some(7.0))]
    );
}

/// Scenario: sleep with heart rates in two units. Guarantees: G4; what is no workout has the numbers in its metadata, and units are
/// never mixed.
#[test]
fn what_is_no_workout_says_it_in_metadata() {
    let config = Config { into: vec!["SleepAnalysis".into()], ..config(&["HeartRate"]) };
    let mut sleep = lasts(quantity(10, "StepCount", 0.0, 100), 100);
    (sleep.kind, sleep.value) = (Kind::parse("SleepAnalysis").ok(), Value::Category(3));
    let minute = Unit::parse("count/min").unwrap();
    let other = Record { value: Value::Quantity(50.0, minute), ..quantity(2, "HeartRate", 0.0, 160) };
    let input = [quantity(1, "HeartRate", 1.0, 150), other, sleep];
    let output = results_contract(|| join(&config), &input, 0..10);
    let joined = &output[&RecordId::from_u128(10)];
    assert_eq!(joined.value, Value::Category(3));
    let metadata: Vec<_> = joined.metadata.as_ref().unwrap().iter().cloned().collect();
    let of = |name: &str, value, unit| {
        (format!("afferent.joined.HeartRate.{name}").as_str().into(), MetaValue::Quantity(value, unit))
    };
    let count = || ("afferent.joined.HeartRate.count".into(), MetaValue::Number(1.0));
    let second = Unit::parse("count/s").unwrap();
    let in_minutes = [count(), of("min", 50.0, minute), of("avg", 50.0, minute), of("max", 50.0, minute)];
    let in_seconds = [count(), of("min", 1.0, second), of("avg", 1.0, second), of("max", 1.0, second)];
    assert_eq!(metadata, in_minutes.into_iter().chain(in_seconds).collect::<Vec<_>>());
}

/// Workouts of two people, some of them in each other, and samples of three types, some of them corrected or moved.
fn feed(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random::from_seed(seed);
    let kinds = ["HeartRate", "ActiveEnergyBurned", "StepCount"];
    let mut records: Vec<Record> = Vec::new();
    for id in 0..count {
        let start = random.below(5000) as i64;
        let subject = if random.chance(0.5) { "a" } else { "b" };
        let record = if random.chance(0.1) {
            of(subject, workout(id as u128, start, start + random.below(600) as i64))
        } else {
            let kind = kinds[random.below(3) as usize];
            let sample = quantity(id as u128, kind, random.unit() * 100.0, start);
            of(subject, lasts(sample, random.below(40) as i64))
        };
        records.push(record);
        if random.chance(0.15) {
            let id = records[random.below(records.len() as u64) as usize].id;
            let earlier = records.iter().rev().find(|record| record.id == id).expect("it was just drawn");
            let (revision, move_by) = (earlier.revision + 1, random.below(100) as i64 * 1_000_000);
            let (start, end) = (earlier.start.plus_micros(move_by), earlier.end.plus_micros(move_by));
            records.push(Record { revision, start, end, ..earlier.clone() });
        }
    }
    records
}

/// What the workouts of `records` say, by the definition: of heart rates and of energy, how many samples, and their numbers.
fn by_hand(records: &[Record]) -> BTreeMap<RecordId, Vec<(f64, f64)>> {
    let newest: BTreeMap<RecordId, &Record> = records.iter().map(|record| (record.id, record)).collect();
    let live: Vec<&Record> = newest.into_values().filter(|record| !record.is_deletion()).collect();
    let is = |record: &Record, kind: &str| record.kind == Kind::parse(kind).ok();
    let mut all = BTreeMap::new();
    for workout in live.iter().filter(|record| is(record, "Workout")) {
        let inside = |kind| {
            let inside = live.iter().filter(move |sample| {
                is(sample, kind)
                    && sample.subject == workout.subject
                    && sample.start >= workout.start
                    && sample.end <= workout.end
            });
            inside.collect::<Vec<_>>()
        };
        let mut says = Vec::new();
        let (hearts, energies) = (inside("HeartRate"), inside("ActiveEnergyBurned"));
        if !hearts.is_empty() {
            let seconds = |sample: &Record| {
                let time = (sample.end.as_micros() - sample.start.as_micros()) as f64 / 1e6;
                if time == 0.0 { 1.0 } else { time }
            };
            let value = |sample: &Record| sample.value.as_f64().unwrap();
            let sum: f64 = hearts.iter().map(|sample| value(sample) * seconds(sample)).sum();
            says.push((hearts.len() as f64, sum / hearts.iter().map(|sample| seconds(sample)).sum::<f64>()));
        }
        if !energies.is_empty() {
            let sum = energies.iter().map(|sample| sample.value.as_f64().unwrap()).sum();
            says.push((energies.len() as f64, sum));
        }
        all.insert(workout.id, says);
    }
    all
}

/// The same of what came out.
fn says(output: &BTreeMap<RecordId, Record>) -> BTreeMap<RecordId, Vec<(f64, f64)>> {
    let workouts = output.values().filter(|record| matches!(record.value, Value::Workout(_)));
    let says = workouts.map(|record| {
        let numbers = statistics(record).iter().map(|one| {
            let key = format!("afferent.joined.{}.count", one.kind.short());
            let Some(MetaValue::Number(count)) = told(record, &key) else { panic!("a count") };
            (count, one.sum.or(one.average).unwrap())
        });
        (record.id, numbers.collect())
    });
    says.collect()
}

fn assert_same(ours: &BTreeMap<RecordId, Vec<(f64, f64)>>, hand: &BTreeMap<RecordId, Vec<(f64, f64)>>) {
    assert!(ours.keys().eq(hand.keys()));
    for (id, says) in ours {
        let by_hand = &hand[id];
        let near = |(one, other): (&(f64, f64), &(f64, f64))| {
            one.0 == other.0 && (one.1 - other.1).abs() <= 1e-9 * other.1.abs()
        };
        assert!(says.len() == by_hand.len() && says.iter().zip(by_hand).all(near), "{says:?} {by_hand:?}");
    }
}

/// Scenario: workouts and samples in any order, with corrections that move them; shuffled; and with the half of them deleted in the
/// end; with many batches, checkpoints and deaths. Guarantees: G1, G2; the same as by the definition, in any order, and what is
/// left says what it would say alone.
#[test]
fn the_same_as_by_hand() {
    let config = config(&["HeartRate", "ActiveEnergyBurned"]);
    let make = || join(&config);
    for seed in 1..4 {
        let records = feed(400, seed);
        let output = results_contract(make, &records, 0..20);
        let hand = by_hand(&records);
        assert!(hand.len() > 20 && hand.values().flatten().count() > 30, "{hand:?}");
        assert_same(&says(&output), &hand);

        // Corrections come after what they correct, or are all that comes.
        let mut random = Random::from_seed(seed);
        for _ in 0..5 {
            let mut shuffled = records.clone();
            for index in (1..shuffled.len()).rev() {
                shuffled.swap(index, random.below(index as u64 + 1) as usize);
            }
            let mut newest = BTreeMap::new();
            shuffled.retain(|record| {
                let revision = newest.entry(record.id).or_insert(record.revision);
                let is_new = *revision <= record.revision;
                *revision = record.revision.max(*revision);
                is_new
            });
            assert_same(&says(&results_contract(make, &shuffled, 0..3)), &hand);
        }

        let mut deleted = records.clone();
        deleted.extend((0..400).step_by(2).map(|id| deletion(id, None)));
        let is_left = |record: &&Record| record.id.as_u128() % 2 == 1;
        let half: Vec<Record> = records.iter().filter(is_left).cloned().collect();
        let left = results_contract(make, &deleted, 0..10);
        assert_same(&says(&left), &by_hand(&half));
        let alone = results_contract(make, &half, 0..3);
        assert!(left.keys().eq(alone.keys()));
    }
}

/// Scenario: a checkpoint after each record, with less room than there are records; it dies once, in the epoch of each of them.
/// Guarantees: G1, G2, G5; every checkpoint has in it what it had without the death, revisions too.
#[test]
fn a_death_in_any_epoch_changes_nothing() {
    let make = || join(&Config { max_samples: 60, ..config(&["HeartRate", "ActiveEnergyBurned"]) });
    let records = feed(120, 11);
    let epoch = |stage: &mut Join, record: &Record| {
        let (mut at_once, later) = run(stage, std::slice::from_ref(record));
        at_once.extend(later);
        at_once
    };
    let mut whole = make();
    let expected: Vec<Vec<Record>> = records.iter().map(|record| epoch(&mut whole, record)).collect();
    let is_joined = |record: &&Record| told(record, "afferent.joined.HeartRate.count").is_some();
    assert!(expected.iter().flatten().filter(is_joined).count() > 3);
    for death in 0..records.len() {
        let (mut stage, mut rows) = (make(), BTreeMap::new());
        for (at, record) in records.iter().enumerate() {
            if at == death {
                epoch(&mut stage, record);
                stage = make();
                let state: StateRows = Box::new(rows.clone().into_iter().map(Ok));
                stage.restore(state).unwrap();
            }
            assert_eq!(epoch(&mut stage, record), expected[at], "it died in {death}, now {at}");
            let Snapshot::Delta(changes) = stage.snapshot().unwrap() else { continue };
            for (key, value) in changes.iter() {
                match value {
                    Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                    None => rows.remove(key),
                };
            }
        }
    }
}

/// Scenario: more records than may be held, and those that come late then. Guarantees: G7, G11; the oldest come out for the last
/// time and are forgotten, and what is late passes, or is a dead letter.
#[test]
fn the_oldest_are_forgotten() {
    let few = Config { max_samples: 4, ..config(&["HeartRate"]) };
    let hearts =
        |from: i64| (0..3).map(move |index| quantity((from + index) as u128, "HeartRate", 2.0, from + index));
    let mut input: Vec<Record> = std::iter::once(workout(1000, 100, 103)).chain(hearts(100)).collect();
    input.extend(hearts(200));
    input.push(workout(1001, 199, 203));
    let output = results_contract(|| join(&few), &input, 0..30);
    let of = |id| shorts(&output[&RecordId::from_u128(id)]).len();
    assert_eq!((of(1000), of(1001)), (1, 1));

    let mut stage = join(&few);
    run(&mut stage, &input);
    assert!(stage.samples.len() + stage.lasting.len() <= 4);
    let late = [workout(1002, 100, 300), quantity(50, "HeartRate", 1.0, 100)];
    let (at_once, later) = run(&mut stage, &late);
    assert_eq!((at_once.as_slice(), later.len()), (&late[..], 0));
    let mut dead = join(&Config { late: Late::Dead, ..few });
    run(&mut dead, &input);
    let mut out = Emit::new();
    dead.apply(&mut Batch::from(late.to_vec()), &mut out).unwrap();
    assert_eq!((out.counts().dead, out.batch.len()), (2, 0));
}

/// Scenario: with `lateness`, samples of two types of which one lags, a workout that is changed within it, and one that is final.
/// Guarantees: G7; the watermark waits for the slower type, but no longer than `idle`, and what it left behind is forgotten.
#[test]
fn the_watermark_forgets() {
    let hour = |hours: u64| Span(Duration::from_secs(hours * 3600));
    let config =
        Config { lateness: Some(hour(1)), idle: hour(2), ..config(&["HeartRate", "ActiveEnergyBurned"]) };
    let mut stage = join(&config);
    let heart = |id, second| quantity(id, "HeartRate", 2.0, second);
    run(&mut stage, &[quantity(1, "ActiveEnergyBurned", 1.0, 50), heart(2, 50), workout(10, 0, 100)]);
    let (_, later) =
        run(&mut stage, &[heart(3, 7200 + 3700 - 1), quantity(4, "ActiveEnergyBurned", 1.0, 60)]);
    assert_eq!(later.len(), 1, "it waits for energy");
    run(&mut stage, &[heart(5, 7200 + 3701 + 1)]);
    assert_eq!(stage.lasting.len(), 0);
    let (at_once, later) = run(&mut stage, &[quantity(6, "ActiveEnergyBurned", 1.0, 70)]);
    assert_eq!((at_once.len(), later.len()), (1, 0));

    let wide = Config { lateness: Some(hour(24)), ..config };
    let records = feed(300, 9);
    let output = results_contract(|| join(&wide), &records, 0..20);
    assert_same(&says(&output), &by_hand(&records));
}

/// Scenario: a state that another configuration wrote, and rows that are damaged. Guarantees: G5; it says what to do.
#[test]
fn another_configuration_is_another_state() {
    let mut stage = join(&config(&["HeartRate"]));
    run(&mut stage, &[quantity(1, "HeartRate", 1.0, 5), workout(2, 0, 9)]);
    let Snapshot::Delta(changes) = stage.snapshot().unwrap() else { panic!("changes") };
    let rows = || changes.iter().map(|(key, value)| Ok((key.to_vec(), value.expect("a row").to_vec())));
    let restored = |config: &Config, rows: Vec<Result<(Vec<u8>, Vec<u8>)>>| {
        let rows: StateRows = Box::new(rows.into_iter());
        join(config).restore(rows)
    };
    restored(&config(&["HeartRate"]), rows().collect()).unwrap();
    let error = restored(&config(&["StepCount"]), rows().collect()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("give the transform another name"), "{error}");
    let without_groups: Vec<_> = rows().filter(|row| row.as_ref().unwrap().0[0] != GROUPS).collect();
    assert_eq!(restored(&config(&["HeartRate"]), without_groups).unwrap_err().kind(), ErrorKind::State);
    let other = rows().chain([Ok((vec![9], Vec::new()))]).collect();
    assert_eq!(restored(&config(&["HeartRate"]), other).unwrap_err().kind(), ErrorKind::State);
}

/// Scenario: what makes no sense. Guarantees: each is a problem at its place, found without a record.
#[test]
fn problems_are_found_together() {
    let wrong = Config {
        into: vec!["Workout".into(), "HeartRate".into(), "DateOfBirth".into(), "Workout".into()],
        by: vec!["start".into()],
        lateness: Some(Span(Duration::from_secs(500 * 86_400))),
        max_samples: 0,
        ..config(&["HeartRate", "SleepAnalysis", "com.example.mood", "HartRate"])
    };
    let paths = key_paths(&wrong.check());
    let expected =
        ["types.1", "types.2", "types.3", "into.1", "into.2", "into.3", "by.0", "lateness", "max_samples"];
    assert_eq!(paths, expected);
    assert_eq!(key_paths(&Config { into: Vec::new(), ..config(&[]) }.check()), ["types", "into"]);
    assert_eq!(config(&["HeartRate"]).check(), []);
}

/// Scenario: nothing that is joined. Guarantees: G3; it passes in order.
#[test]
fn others_pass_in_order() {
    let input = [quantity(1, "StepCount", 1.0, 0), deletion(2, None), quantity(3, "BodyMass", 1.0, 0)];
    let (at_once, _) = run(&mut join(&config(&["HeartRate"])), &input);
    assert_eq!(at_once, input);
    assert_eq!(shown(&at_once).len(), 2);
}
