//! Records for the tests of transforms.

use afferent_core::{
    Batch, Emit, ErrorKind, Kind, MetaValue, Origin, Problem, Record, RecordId, Snapshot, Timestamp,
    Transform, Unit, Value,
    random::Random,
    record::{Correlation, Device, Workout, WorkoutEvent},
};

/// A quantity in the unit that the catalogue has for `kind`, `second` seconds after 1970 and an instant long.
pub(super) fn quantity(id: u128, kind: &str, value: f64, second: i64) -> Record {
    let kind = Kind::parse(kind).unwrap();
    let unit = kind.info().and_then(|info| info.unit).unwrap_or_else(|| Unit::parse("count").unwrap());
    let time = Timestamp::from_micros_clamped(second * 1_000_000);
    Record::added(RecordId::from_u128(id), kind, time, time, Value::Quantity(value, unit))
}

pub(super) fn deletion(id: u128, kind: Option<&str>) -> Record {
    Record::deleted(RecordId::from_u128(id), kind.map(|kind| Kind::parse(kind).unwrap()))
}

/// Additions, corrections and deletions of a few ids, types and subjects: many repeats.
pub(super) fn records(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random::from_seed(seed);
    let kinds = ["HeartRate", "StepCount", "BodyMass"];
    let one = |_| {
        let id = u128::from(random.below(200));
        let kind = kinds[random.below(3) as usize];
        if random.chance(0.1) {
            return deletion(id, random.chance(0.5).then_some(kind));
        }
        let value = random.unit() * 100.0;
        let mut record = quantity(id, kind, value, random.below(600) as i64);
        record.revision = random.below(2) as u32;
        record.subject = random.chance(0.7).then(|| if random.chance(0.5) { "a".into() } else { "b".into() });
        record
    };
    (0..count).map(one).collect()
}

/// What a feed gives: additions of all sorts with everything that a record may carry, each followed by corrections with higher
/// revisions and sometimes a deletion, mixed, and never the same twice.
pub(super) fn history(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random::from_seed(seed);
    let mut history: Vec<(u64, Record)> = Vec::new();
    for id in 0..count as u128 {
        let mut at = random.below(1000);
        let mut record = addition(1000 * id, &mut random);
        history.push((at, record.clone()));
        while random.chance(0.3) {
            at += 1 + random.below(200);
            record.revision += 1;
            if let Value::Quantity(value, _) = &mut record.value {
                *value += 1.0;
            }
            history.push((at, record.clone()));
        }
        if random.chance(0.2) {
            let kind = record.kind.filter(|_| random.chance(0.8));
            let deletion = Record { subject: record.subject, ..Record::deleted(record.id, kind) };
            history.push((at + 1 + random.below(200), deletion));
        }
    }
    history.sort_by_key(|(at, _)| *at);
    history.into_iter().map(|(_, record)| record).collect()
}

fn addition(id: u128, random: &mut Random) -> Record {
    let kind = ["HeartRate", "StepCount", "BodyMass"][random.below(3) as usize];
    let second = random.below(600) as i64;
    let mut record = quantity(id, kind, random.below(100) as f64, second);
    match random.below(6) {
        0 => {
            record.kind = Kind::parse("BloodPressure").ok();
            let parts = [(1, "BloodPressureSystolic"), (2, "BloodPressureDiastolic")];
            let samples =
                parts.map(|(part, kind)| quantity(id + part, kind, random.below(200) as f64, second));
            record.value = Value::Correlation(Correlation { samples: samples.to_vec() }.into());
        }
        1 => {
            record.kind = Kind::parse("HKWorkoutTypeIdentifier").ok();
            let event = WorkoutEvent { event: "pause".into(), start: record.start, end: record.end };
            let events = vec![event; random.below(3) as usize];
            record.value = Value::Workout(Workout { activity: 37, events, ..Workout::default() }.into());
        }
        _ => {}
    }
    record.subject = random.chance(0.8).then(|| if random.chance(0.5) { "a".into() } else { "b".into() });
    record.zone = random.chance(0.5).then(|| "Europe/Berlin".into());
    if random.chance(0.7) {
        let device = random.chance(0.5).then(|| Device { model: Some("Watch".into()), ..Device::default() });
        let name = if random.chance(0.5) { "Ada's Watch" } else { "phone" };
        record.origin = Some(Origin { name: Some(name.into()), device, ..Origin::default() }.into());
    }
    if random.chance(0.6) {
        record.metadata_mut().push("HKExternalUUID", MetaValue::String("x".into()));
        record.metadata_mut().push("note", MetaValue::Number(random.below(9) as f64));
    }
    record
}

/// Whether what `before` saves after `input` is taken up by `after`, as `is_taken` says, or refused with what to do.
pub(super) fn is_refused<X>(mut before: X, mut after: X, input: &[Record], is_taken: bool)
where
    X: Transform<In = Record, Out = Record>,
{
    before.apply(&mut input.iter().cloned().collect::<Batch<Record>>(), &mut Emit::new()).unwrap();
    let Snapshot::Delta(rows) = before.snapshot().unwrap() else { panic!("something is held") };
    let mut rows: Vec<_> = rows.iter().map(|(key, value)| (key.to_vec(), value.unwrap().to_vec())).collect();
    rows.sort();
    let restored = after.restore(Box::new(rows.into_iter().map(Ok)));
    if is_taken {
        restored.unwrap();
    } else {
        let error = restored.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("give the transform another name"), "{error}");
    }
}

/// Where problems are, as dotted paths.
pub(super) fn key_paths(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.key_path.join(".")).collect()
}
