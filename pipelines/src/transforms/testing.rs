//! Records for the tests of transforms.

use afferent_core::{Kind, Problem, Record, RecordId, Timestamp, Unit, Value, random::Random};

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

/// Where problems are, as dotted paths.
pub(super) fn key_paths(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.key_path.join(".")).collect()
}
