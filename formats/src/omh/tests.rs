use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Origin, Record, RecordId, Timestamp, Unit, Value,
    record::{Activity, Correlation, Device, Electrocardiogram, HeartbeatSeries, Statistic, Workout},
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{Encoder, testing};

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn unit(text: &str) -> Unit {
    Unit::parse(text).unwrap()
}

/// A record of an hour of 1 March 2026.
fn record(name: &str, value: Value) -> Record {
    let at = |text| Timestamp::parse_rfc3339(text).unwrap().0;
    let id = RecordId::from_u128(0x8ba0_93d9_b99b_4a3c_8c9e_98c8_6f49_f5d8);
    Record::added(id, kind(name), at("2026-03-01T15:14:22Z"), at("2026-03-01T16:14:22Z"), value)
}

fn quantity(name: &str, number: f64, text: &str) -> Record {
    record(name, Value::Quantity(number, unit(text)))
}

fn encode(record: &Record) -> Result<String, String> {
    let mut out = b"before".to_vec();
    let result = OmhEncoder::default().encode(record, &mut out);
    let out = String::from_utf8(out).unwrap();
    let written = out.strip_prefix("before").expect("what was there stays");
    assert!(result.is_ok() || written.is_empty(), "a refusal leaves nothing");
    result.map(|()| written.strip_suffix('\n').expect("a line end").to_owned())
}

/// Schema and body.
fn point(record: &Record) -> (String, Json) {
    let point: Json = serde_json::from_str(&encode(record).unwrap()).unwrap();
    let schema = &point["header"]["schema_id"];
    let text = |key: &str| schema[key].as_str().unwrap();
    let mut body = point["body"].clone();
    body.as_object_mut().unwrap().remove("effective_time_frame");
    (format!("{}:{}:{}", text("namespace"), text("name"), text("version")), body)
}

/// Scenario: a heart rate with all that a data point can say. Guarantees: G4, the bytes are these.
#[test]
fn a_whole_data_point() {
    let mut record = quantity("HeartRate", 71.0, "count/min");
    record.end = record.start;
    record.zone = Some("America/Los_Angeles".into());
    record.subject = Some("ada".into());
    record.revision = 2;
    let device = Device { manufacturer: Some("Apple Inc.".into()), ..Device::default() };
    record.origin =
        Some(Arc::new(Origin { name: Some("Watch".into()), device: Some(device), ..Origin::default() }));
    record.metadata_mut().push("HKWasUserEntered", MetaValue::Number(1.0));
    let expected = concat!(
        r#"{"header":{"uuid":"8ba093d9-b99b-4a3c-8c9e-98c86f49f5d8","schema_id":{"namespace":"omh","name":"heart-rate","version":"2.0"},"#,
        r#""source_creation_date_time":"2026-03-01T07:14:22-08:00","modality":"self-reported","user_id":"ada","#,
        r#""external_datasheets":[{"datasheet_type":"manufacturer","datasheet_reference":"Apple Inc."}]},"#,
        r#""body":{"heart_rate":{"value":71,"unit":"beats/min"},"effective_time_frame":{"date_time":"2026-03-01T07:14:22-08:00"}}}"#,
    );
    assert_eq!(encode(&record).unwrap(), expected);
}

/// Scenario: quantities with and without a schema, in its units and in others. Guarantees: G4, each number is in a unit of the
/// schema, converted where it must be; a generic one is as it was.
#[test]
fn quantities() {
    let value = |number: f64, unit: &str| json!({ "value": number, "unit": unit });
    let whole = |number: u64, unit: &str| json!({ "value": number, "unit": unit });
    for (record, schema, key, expected) in [
        (quantity("HeartRate", 1.5, "count/s"), "omh:heart-rate:2.0", "heart_rate", whole(90, "beats/min")),
        (
            quantity("RespiratoryRate", 14.5, "count/min"),
            "omh:respiratory-rate:2.0",
            "respiratory_rate",
            value(14.5, "breaths/min"),
        ),
        (
            quantity("OxygenSaturation", 0.97, "%"),
            "omh:oxygen-saturation:2.0",
            "oxygen_saturation",
            whole(97, "%"),
        ),
        (
            quantity("BodyFatPercentage", 0.215, "%"),
            "omh:body-fat-percentage:2.0",
            "body_fat_percentage",
            value(21.5, "%"),
        ),
        (
            quantity("BodyMassIndex", 22.5, "count"),
            "omh:body-mass-index:3.0",
            "body_mass_index",
            value(22.5, "kg/m2"),
        ),
        (quantity("BodyMass", 154.5, "lb"), "omh:body-weight:3.0", "body_weight", value(154.5, "lb")),
        (quantity("BodyMass", 10.0, "st"), "omh:body-weight:3.0", "body_weight", value(63.502_931_8, "kg")),
        (quantity("Height", 1.75, "m"), "omh:body-height:2.0", "body_height", value(1.75, "m")),
        (
            quantity("BasalBodyTemperature", 98.5, "degF"),
            "omh:body-temperature:4.0",
            "body_temperature",
            value(98.5, "F"),
        ),
        (
            quantity("BloodGlucose", 5.5, "mmol<180.1558800000541>/L"),
            "omh:blood-glucose:4.0",
            "blood_glucose",
            value(5.5, "mmol/L"),
        ),
        (quantity("BloodGlucose", 0.99, "g/L"), "omh:blood-glucose:4.0", "blood_glucose", whole(99, "mg/dL")),
        (quantity("StepCount", 120.0, "count"), "omh:step-count:3.0", "step_count", whole(120, "steps")),
        (
            quantity("ActiveEnergyBurned", 41.84, "kJ"),
            "omh:calories-burned:2.0",
            "kcal_burned",
            whole(10, "kcal"),
        ),
        (
            quantity("ForcedVitalCapacity", 4.5, "L"),
            "omh:forced-vital-capacity:1.0",
            "forced_vital_capacity",
            value(4.5, "L"),
        ),
        (
            quantity("HeartRate", 60.0, "beats"),
            "granola:hk-quantity-sample:1.0",
            "unit_value",
            whole(60, "beats"),
        ),
        (
            quantity("WalkingSpeed", 1.25, "m/s"),
            "granola:hk-quantity-sample:1.0",
            "unit_value",
            value(1.25, "m/s"),
        ),
        (
            quantity("WalkingAsymmetryPercentage", 0.05, "%"),
            "granola:hk-quantity-sample:1.0",
            "unit_value",
            value(0.05, "%"),
        ),
    ] {
        let (of, body) = point(&record);
        assert_eq!(of, schema, "{record:?}");
        assert_eq!(body[key], expected, "{record:?}");
    }
    let mut generic = quantity("WalkingSpeed", 1.25, "m/s");
    generic.metadata_mut().push("Note", MetaValue::Bool(true));
    let (_, body) = point(&generic);
    assert_eq!(
        (&body["quantity_type"], &body["metadata"]),
        (&json!("HKQuantityTypeIdentifierWalkingSpeed"), &json!({ "Note": true }))
    );
    // Steps have an interval, also when it is empty.
    let mut steps = quantity("StepCount", 1.0, "count");
    steps.end = steps.start;
    assert!(encode(&steps).unwrap().contains("\"time_interval\":{\"start_date_time\":\"2026-03-01T15:14:22Z\",\"end_date_time\":\"2026-03-01T15:14:22Z\"}"));
}

/// Scenario: sleep in each stage, and other categories. Guarantees: what was slept is an episode of its length, the rest generic.
#[test]
fn categories() {
    let hour = json!({ "value": 3600, "unit": "sec" });
    let of = |name, raw| point(&record(name, Value::Category(raw)));
    assert_eq!(
        of("SleepAnalysis", 4),
        (
            "ieee:sleep-episode:1.0".to_owned(),
            json!({ "total_sleep_time": hour, "deep_sleep_duration": hour })
        )
    );
    assert_eq!(of("SleepAnalysis", 1).1, json!({ "total_sleep_time": hour }));
    let generic = |kind: &str, value: &str| {
        (
            "granola:hk-category-sample:1.0".to_owned(),
            json!({ "category_type": kind, "category_value": value }),
        )
    };
    let sleep = "HKCategoryTypeIdentifierSleepAnalysis";
    assert_eq!(of("SleepAnalysis", 0), generic(sleep, "HKCategoryValueSleepAnalysisInBed"));
    assert_eq!(of("SleepAnalysis", 77), generic(sleep, "77"));
    assert_eq!(
        of("Headache", 3),
        generic("HKCategoryTypeIdentifierHeadache", "HKCategoryValueSeverityModerate")
    );
}

/// Scenario: a blood pressure, a meal and a workout. Guarantees: G4, each is of its schema.
#[test]
fn composites() {
    let correlation = |name, samples| record(name, Value::Correlation(Arc::new(Correlation { samples })));
    let pressures = vec![
        quantity("BloodPressureDiastolic", 80.0, "mmHg"),
        quantity("BloodPressureSystolic", 121.5, "mmHg"),
    ];
    let (schema, body) = point(&correlation("BloodPressure", pressures));
    assert_eq!(schema, "omh:blood-pressure:4.0");
    assert_eq!(
        body,
        json!({ "systolic_blood_pressure": { "value": 121.5, "unit": "mmHg" }, "diastolic_blood_pressure": { "value": 80, "unit": "mmHg" } })
    );
    let meal = vec![quantity("DietaryProtein", 20.5, "g"), record("Headache", Value::Category(1))];
    let (schema, body) = point(&correlation("Food", meal));
    assert_eq!(schema, "granola:hk-correlation:1.0");
    assert_eq!(body["quantity_samples"][0]["unit_value"], json!({ "value": 20.5, "unit": "g" }));
    assert_eq!(body["category_samples"].as_array().unwrap().len(), 1);
    let half = vec![quantity("BloodPressureDiastolic", 80.0, "mmHg")];
    assert_eq!(point(&correlation("BloodPressure", half)).0, "granola:hk-correlation:1.0");

    let statistic = |name: &str, text: &str, sum| Statistic {
        kind: kind(name),
        unit: unit(text),
        sum: Some(sum),
        average: None,
        minimum: None,
        maximum: None,
    };
    let workout = Workout {
        activity: 37,
        duration: Some(1800.0),
        statistics: vec![
            statistic("ActiveEnergyBurned", "kJ", 418.4),
            statistic("DistanceWalkingRunning", "km", 5.25),
        ],
        activities: Vec::<Activity>::new(),
        ..Workout::default()
    };
    let (schema, body) = point(&record("Workout", Value::Workout(Arc::new(workout))));
    assert_eq!(schema, "ieee:physical-activity:1.0");
    let expected = json!({
        "activity_name": "running", "duration": { "value": 1800, "unit": "sec" },
        "distance": { "value": 5.25, "unit": "km" }, "kcal_burned": { "value": 100, "unit": "kcal" },
    });
    assert_eq!(body, expected);
}

/// Scenario: what has no form. Guarantees: each is refused for a reason, which holds no value (G8), and leaves nothing.
#[test]
fn what_has_no_form_is_refused() {
    for (record, reason) in [
        (Record::deleted(RecordId::from_u128(1), Some(kind("HeartRate"))), "deletion"),
        (
            record(
                "HKDataTypeIdentifierHeartbeatSeries",
                Value::HeartbeatSeries(Arc::new(HeartbeatSeries::default())),
            ),
            "heartbeats",
        ),
        (
            record(
                "HKDataTypeIdentifierElectrocardiogram",
                Value::Electrocardiogram(Arc::new(Electrocardiogram::default())),
            ),
            "electrocardiogram",
        ),
        (record("StateOfMind", Value::Json("{}".into())), "no form"),
        (quantity("HeartRate", f64::INFINITY, "count/min"), "not finite"),
        (record("HeartRate", Value::Category(61)), "no unit"),
    ] {
        let refused = encode(&record).unwrap_err();
        assert!(refused.contains(reason) && !refused.contains("61"), "{refused}");
    }
}

/// Scenario: any record at all. Guarantees: what is written is one line of JSON with header and body, what is not leaves
/// nothing, and an encoder that has seen other records writes the same bytes.
#[test]
fn any_record_is_a_line_or_a_reason() {
    let used = std::cell::RefCell::new(OmhEncoder::default());
    proptest!(|(record in testing::records())| {
        if let Ok(line) = encode(&record) {
            prop_assert!(!line.contains('\n'));
            let point: Json = serde_json::from_str(&line).unwrap();
            prop_assert!(point["header"]["uuid"].is_string() && point["body"]["effective_time_frame"].is_object());
            let mut again = Vec::new();
            used.borrow_mut().encode(&record, &mut again).unwrap();
            prop_assert_eq!(again.strip_suffix(b"\n"), Some(line.as_bytes()));
        }
    });
}
