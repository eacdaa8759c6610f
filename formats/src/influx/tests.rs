use std::sync::Arc;

use afferent_core::{
    Kind, Origin, Record, RecordId, Timestamp, Unit, Value,
    record::{ActivitySummary, Aggregate, Correlation, Device, Statistic, Workout},
};
use proptest::prelude::*;

use super::*;
use crate::{Encoder, testing};

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn unit(text: &str) -> Unit {
    Unit::parse(text).unwrap()
}

fn record(name: &str, value: Value) -> Record {
    let start = Timestamp::parse_rfc3339("2026-03-01T15:14:22Z").unwrap().0;
    Record::added(RecordId::from_u128(7), kind(name), start, start, value)
}

fn encode(record: &Record) -> Result<String, String> {
    let mut out = b"before".to_vec();
    let result = InfluxEncoder.encode(record, &mut out);
    let out = String::from_utf8(out).unwrap();
    let written = out.strip_prefix("before").expect("what was there stays");
    assert!(result.is_ok() || written.is_empty(), "a refusal leaves nothing");
    result.map(|()| written.strip_suffix('\n').expect("a line end").to_owned())
}

const ID: &str = "id=\"00000000-0000-0000-0000-000000000007\"";

/// Scenario: records of each form that a point can have. Guarantees: G4, the lines are these.
#[test]
fn points() {
    let mut heart = record("HeartRate", Value::Quantity(71.5, unit("count/min")));
    heart.subject = Some("ada, b=1\n".into());
    heart.revision = 2;
    heart.end = heart.start.plus_micros(1_500_000);
    let device = Device { model: Some("Watch\\".into()), ..Device::default() };
    heart.origin =
        Some(Arc::new(Origin { name: Some("".into()), device: Some(device), ..Origin::default() }));
    let statistic = Statistic {
        kind: kind("HeartRate"),
        unit: unit("count/min"),
        sum: None,
        average: Some(150.0),
        minimum: None,
        maximum: Some(171.0),
    };
    let workout =
        Workout { activity: 37, duration: Some(1800.0), statistics: vec![statistic], ..Workout::default() };
    let samples = vec![record("BloodPressureSystolic", Value::Quantity(121.0, unit("mmHg")))];
    let results = vec![("count".into(), 3.0), ("p 95".into(), 0.5)];
    let summary =
        ActivitySummary { energy: Some(400.0), stand_hours: Some(9.0), ..ActivitySummary::default() };
    for (record, expected) in [
        (
            heart,
            format!(
                "HeartRate,device=Watch_,subject=ada\\,\\ b\\=1_,unit=count/min value=71.5,{ID},revision=2i,seconds=1.5 1772378062000000000"
            ),
        ),
        (
            record("SleepAnalysis", Value::Category(4)),
            format!("SleepAnalysis value=4i,name=\"asleepDeep\",{ID} 1772378062000000000"),
        ),
        (
            record("com.example.mood", Value::Category(-4)),
            format!("com.example.mood value=-4i,{ID} 1772378062000000000"),
        ),
        (
            record("Workout", Value::Workout(Arc::new(workout))),
            format!(
                "Workout activity=\"running\",duration=1800,HeartRate_average=150,HeartRate_maximum=171,{ID} 1772378062000000000"
            ),
        ),
        (
            record("BloodPressure", Value::Correlation(Arc::new(Correlation { samples }))),
            format!("BloodPressure BloodPressureSystolic=121,{ID} 1772378062000000000"),
        ),
        (
            record("StepCount", Value::Aggregate(Arc::new(Aggregate { unit: Some(unit("count")), results }))),
            format!("StepCount,unit=count count=3,p\\ 95=0.5,{ID} 1772378062000000000"),
        ),
        (
            record("ActivitySummary", Value::ActivitySummary(Arc::new(summary))),
            format!("ActivitySummary energy=400,stand_hours=9,{ID} 1772378062000000000"),
        ),
    ] {
        assert_eq!(encode(&record).unwrap(), expected);
    }
}

/// Scenario: what has no form. Guarantees: each is refused for a reason, which holds no value (G8), and leaves nothing.
#[test]
fn what_has_no_form_is_refused() {
    let mut early = record("HeartRate", Value::Quantity(61.0, unit("count/min")));
    early.start = Timestamp::from_micros_clamped(i64::MIN);
    for (record, reason) in [
        (Record::deleted(RecordId::from_u128(1), None), "deletion"),
        (early, "64 bits"),
        (record("HeartRate", Value::Quantity(f64::NAN, unit("count/min"))), "not finite"),
        (record("HeartRate", Value::Category(61)), "no unit"),
        (record("StateOfMind", Value::Json("{\"a\":61}".into())), "no form"),
    ] {
        let refused = encode(&record).unwrap_err();
        assert!(refused.contains(reason) && !refused.contains("61"), "{refused}");
    }
}

/// The parts of a line, by the rules of the protocol: a separator that is escaped separates nothing. Our texts in quotes have none.
fn split(line: &str, at: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in line.chars() {
        if c == at && !escaped {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

/// Scenario: any record at all. Guarantees: G4, what is written is one line of measurement, fields and timestamp, whose value
/// and time read back as they were.
#[test]
fn any_record_is_a_line_or_a_reason() {
    proptest!(|(record in testing::records())| {
        if let Ok(line) = encode(&record) {
            prop_assert!(!line.contains(['\n', '\r']));
            let parts = split(&line, ' ');
            prop_assert_eq!(parts.len(), 3, "{}", line);
            prop_assert_eq!(parts[2].parse::<i64>().unwrap(), record.start.as_micros() * 1000);
            let fields = split(&parts[1], ',');
            let id = format!("id=\"{}\"", record.id);
            prop_assert!(fields.contains(&id));
            if let Value::Quantity(number, _) = record.value {
                let value = fields[0].strip_prefix("value=").unwrap();
                prop_assert_eq!(value.parse::<f64>().unwrap().to_bits(), number.to_bits());
            }
            for tag in split(&parts[0], ',').iter().skip(1) {
                prop_assert_eq!(split(tag, '=').len(), 2, "{}", tag);
            }
        }
    });
}
