use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Origin, Record, RecordId, Timestamp, Unit, Value,
    kind::category,
    record::{
        Activity, ActivitySummary, Aggregate, Clinical, Correlation, Device, Electrocardiogram, Heartbeat,
        HeartbeatSeries, Notification, Route, Statistic, Workout, WorkoutEvent,
    },
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{Encoder, testing};

const ID: u128 = 0x8ba0_93d9_b99b_4a3c_8c9e_98c8_6f49_f5d8;

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn unit(text: &str) -> Unit {
    Unit::parse(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap().0
}

/// A record of an hour of 1 March 2026.
fn record(name: &str, value: Value) -> Record {
    let (start, end) = (at("2026-03-01T15:14:22Z"), at("2026-03-01T16:14:22Z"));
    Record::added(RecordId::from_u128(ID), kind(name), start, end, value)
}

fn quantity(name: &str, number: f64, text: &str) -> Record {
    record(name, Value::Quantity(number, unit(text)))
}

fn encode(record: &Record, shape: Shape) -> Result<String, String> {
    let mut out = b"before".to_vec();
    let result = FhirEncoder::new(shape, Patient::Identifier).encode(record, &mut out);
    let out = String::from_utf8(out).unwrap();
    let written = out.strip_prefix("before").expect("what was there stays");
    match result {
        Ok(()) => Ok(written.strip_suffix('\n').expect("a line end").to_owned()),
        Err(reason) => {
            assert_eq!(written, "", "a refusal leaves nothing");
            Err(reason)
        }
    }
}

fn observation(record: &Record) -> Json {
    serde_json::from_str(&encode(record, Shape::Resource).unwrap()).unwrap()
}

/// The parts of an Observation that its value and type make.
fn measured(record: &Record) -> Json {
    let mut observation = observation(record);
    let parts = observation.as_object_mut().unwrap();
    for part in ["resourceType", "identifier", "status", "effectivePeriod", "extension", "device", "subject"]
    {
        parts.remove(part);
    }
    observation
}

fn apple(code: &str) -> Json {
    json!({ "system": APPLE_SYSTEM, "code": code })
}

fn ucum(value: impl Into<Json>, unit: &str, code: &str) -> Json {
    json!({ "value": value.into(), "unit": unit, "system": "http://unitsofmeasure.org", "code": code })
}

/// Scenario: a heart rate with all that a record can have. Guarantees: G4, the bytes are these, and the same each time.
#[test]
fn a_whole_observation() {
    let mut record = quantity("HeartRate", 71.0, "count/min");
    record.end = record.start;
    record.zone = Some("America/Los_Angeles".into());
    record.subject = Some("ada".into());
    record.revision = 2;
    record.origin = Some(Arc::new(Origin {
        name: Some("Ada\u{2019}s Apple\u{a0}Watch".into()),
        bundle: Some("com.apple.health".into()),
        version: Some("26.1".into()),
        product: None,
        os: Some("26.1.0".into()),
        device: Some(Device { model: Some("Watch".into()), name: Some("".into()), ..Device::default() }),
    }));
    let metadata = record.metadata_mut();
    metadata.push("HKMetadataKeyHeartRateMotionContext", MetaValue::Number(1.0));
    metadata.push("Meal / Ort", MetaValue::String("".into()));
    metadata.push("Meal / Ort", MetaValue::String("café".into()));
    metadata.push("HKWeatherHumidity", MetaValue::Quantity(0.65, unit("%")));
    let expected = concat!(
        r#"{"resourceType":"Observation","identifier":[{"system":"https://developer.apple.com/documentation/healthkit/hkobject/uuid","value":"8ba093d9-b99b-4a3c-8c9e-98c86f49f5d8"}],"status":"amended","#,
        r#""category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"#,
        r#""code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"},{"system":"http://developer.apple.com/documentation/healthkit","code":"HKQuantityTypeIdentifierHeartRate"}]},"#,
        r#""subject":{"type":"Patient","identifier":{"value":"ada"}},"effectiveDateTime":"2026-03-01T07:14:22-08:00","#,
        r#""valueQuantity":{"value":71,"unit":"count/min","system":"http://unitsofmeasure.org","code":"/min"},"#,
        r#""device":{"display":"Watch"},"extension":[{"extension":[{"url":"https://bdh.stanford.edu/fhir/defs/sourceDevice/model","valueString":"Watch"}],"url":"https://bdh.stanford.edu/fhir/defs/sourceDevice"},"#,
        r#"{"extension":[{"extension":[{"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/source/name","valueString":"Ada’s Apple Watch"},{"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/source/bundleIdentifier","valueString":"com.apple.health"}],"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/source"},"#,
        r#"{"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/version","valueString":"26.1"},{"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/OSVersion","valueString":"26.1.0"}],"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision"},"#,
        r#"{"extension":[{"url":"https://bdh.stanford.edu/fhir/defs/metadata/HKMetadataKeyHeartRateMotionContext","valueDecimal":1},{"url":"https://bdh.stanford.edu/fhir/defs/metadata/Meal%20%2F%20Ort","valueString":"café"},"#,
        r#"{"url":"https://bdh.stanford.edu/fhir/defs/metadata/HKWeatherHumidity","valueQuantity":{"value":65,"unit":"%","system":"http://unitsofmeasure.org","code":"%"}}],"url":"https://bdh.stanford.edu/fhir/defs/metadata"}]}"#,
    );
    let mut encoder = FhirEncoder::default();
    for _ in 0..2 {
        let mut out = Vec::new();
        encoder.encode(&record, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
    }
    record.origin = None;
    record.metadata = Some(Arc::new([("empty".into(), MetaValue::String("".into()))].into_iter().collect()));
    assert_eq!(observation(&record)["extension"], Json::Null);
}

/// Scenario: records that share metadata, more of them than what is written is kept of, again and again, and one whose metadata are
/// changed after they were written. Guarantees: G4, each says its own; G7, what is kept is bounded.
#[test]
fn shared_metadata_are_each_record_s_own() {
    let said = |number: u32| -> Arc<afferent_core::Metadata> {
        // Every seventh has nothing to say.
        let text = if number.is_multiple_of(7) { String::new() } else { format!("said {number}") };
        Arc::new([("key".into(), MetaValue::String(text.as_str().into()))].into_iter().collect())
    };
    let shared: Vec<_> = (0..80).map(said).collect();
    let mut used = FhirEncoder::default();
    let mut written = |record: &Record| {
        let mut out = Vec::new();
        used.encode(record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for index in [0, 1, 2, 79, 40, 1, 1, 0].into_iter().chain(0..80).chain(0..80).chain([5, 5]) {
        let mut record = quantity("HeartRate", 71.0, "count/min");
        record.metadata = Some(shared[index].clone());
        assert_eq!(written(&record).trim_end(), encode(&record, Shape::Resource).unwrap());
        record.metadata_mut().push("more", MetaValue::Bool(true));
        assert!(written(&record).contains("metadata/more"));
    }
}

/// Scenario: an addition, a correction and deletions as entries of a Bundle. Guarantees: G2, each is conditional on the same
/// identifier; the address of an entry is not its identifier.
#[test]
fn entries_are_conditional() {
    let condition = format!("identifier={IDENTIFIER_SYSTEM}|8ba093d9-b99b-4a3c-8c9e-98c86f49f5d8");
    let entry =
        |record: &Record| serde_json::from_str::<Json>(&encode(record, Shape::Entry).unwrap()).unwrap();
    let mut record = quantity("HeartRate", 71.0, "count/min");
    let first = entry(&record);
    assert_eq!(first["request"], json!({ "method": "POST", "url": "Observation", "ifNoneExist": condition }));
    assert_eq!(first["resource"], observation(&record));
    let url = first["fullUrl"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    assert!(RecordId::parse(url).is_some_and(|url| url != record.id));
    record.revision = 1;
    let second = entry(&record);
    assert_eq!(second["request"], json!({ "method": "PUT", "url": format!("Observation?{condition}") }));
    assert_eq!((&second["fullUrl"], &second["resource"]["status"]), (&first["fullUrl"], &json!("amended")));
    for kind in [None, record.kind] {
        let deletion = entry(&Record::deleted(record.id, kind));
        let request = json!({ "method": "DELETE", "url": format!("Observation?{condition}") });
        assert_eq!(deletion, json!({ "request": request }));
    }
}

/// Scenario: deletions as resources. Guarantees: one says which Observation is void, with its code; one without a type can't.
#[test]
fn a_deletion_is_entered_in_error() {
    let mut deletion = Record::deleted(RecordId::from_u128(ID), Some(kind("HeartRate")));
    deletion.subject = Some("ada".into());
    let written = observation(&deletion);
    assert_eq!(written["status"], "entered-in-error");
    assert_eq!(written["identifier"], observation(&quantity("HeartRate", 1.0, "count/min"))["identifier"]);
    assert_eq!(written["code"]["coding"][0]["code"], "8867-4");
    assert_eq!(written["effectiveDateTime"], Json::Null);
    deletion.kind = None;
    assert!(encode(&deletion, Shape::Resource).unwrap_err().contains("without a type"));
}

/// Scenario: quantities in units of all sorts. Guarantees: G4, nothing is converted, a percentage is in hundredths to the digit,
/// and what is in no unit of the profile is no vital sign.
#[test]
fn quantities() {
    let value = |name, number, text| observation(&quantity(name, number, text))["valueQuantity"].clone();
    assert_eq!(value("OxygenSaturation", 0.97, "%"), ucum(97, "%", "%"));
    assert_eq!(value("OxygenSaturation", 0.975, "%"), ucum(97.5, "%", "%"));
    assert_eq!(value("BodyFatPercentage", 1.0, "%"), ucum(100, "%", "%"));
    assert_eq!(value("BodyMassIndex", 22.25, "count"), ucum(22.25, "count", "kg/m2"));
    assert_eq!(value("StepCount", 1200.0, "count"), ucum(1200, "count", "{count}"));
    assert_eq!(value("BodyMass", 154.5, "lb"), ucum(154.5, "lb", "[lb_av]"));
    assert_eq!(value("BodyTemperature", 36.6, "degC"), ucum(36.6, "degC", "Cel"));
    assert_eq!(value("InsulinDelivery", 2.0, "IU"), ucum(2, "IU", "[IU]"));
    let milks = json!({ "value": 2, "unit": "cup_imp" });
    assert_eq!(value("DietaryWater", 2.0, "cup_imp"), milks);
    let is_vital = |name, text| observation(&quantity(name, 1.0, text))["category"].is_array();
    assert!(is_vital("HeartRate", "count/min") && is_vital("Height", "cm") && is_vital("Height", "in"));
    assert!(!is_vital("HeartRate", "count/s") && !is_vital("Height", "m") && !is_vital("StepCount", "count"));
    assert_eq!(
        observation(&quantity("com.example.mood", 1.0, "count"))["code"],
        json!({ "text": "com.example.mood" })
    );
}

/// Scenario: decimals of all lengths. Guarantees: G4, the point moves and no digit changes.
#[test]
fn hundredfolds() {
    let written = |number| {
        let mut out = Vec::new();
        crate::decimal::write_hundredfold(number, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    for (number, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (0.005, "0.5"),
        (0.07, "7"),
        (-0.123_4, "-12.34"),
        (12.5, "1250"),
        (3e-7, "3e-5"),
        (1.5e300, "1.5e302"),
    ] {
        assert_eq!(written(number).unwrap(), expected);
    }
    assert!(written(1e308).is_err() && written(f64::NAN).is_err());
}

/// Scenario: categories: sleep, a value that no constant has, a type of somebody else. Guarantees: G4, what has a constant is
/// coded, what has none is a number.
#[test]
fn categories() {
    let value = |name, raw| measured(&record(name, Value::Category(raw)));
    let deep = json!({ "coding": [{ "system": APPLE_SYSTEM, "code": "HKCategoryValueSleepAnalysisAsleepDeep", "display": "asleepDeep" }] });
    let code = json!({ "coding": [apple("HKCategoryTypeIdentifierSleepAnalysis")] });
    assert_eq!(value("SleepAnalysis", 4), json!({ "code": code, "valueCodeableConcept": deep }));
    assert_eq!(value("SleepAnalysis", 99), json!({ "code": code, "valueInteger": 99 }));
    assert_eq!(value("com.example.mood", -3)["valueInteger"], -3);
    let long = record("com.example.mood", Value::Category(1 << 40));
    assert!(encode(&long, Shape::Resource).unwrap_err().contains("32 bits"));
}

/// Scenario: a blood pressure. Guarantees: it is the panel that LOINC names, with a component of each pressure.
#[test]
fn a_blood_pressure_is_a_panel() {
    let parts = [("BloodPressureSystolic", 121.0), ("BloodPressureDiastolic", 79.5)];
    let samples = parts.iter().map(|(name, number)| quantity(name, *number, "mmHg")).collect();
    let panel = measured(&record("BloodPressure", Value::Correlation(Arc::new(Correlation { samples }))));
    assert_eq!(
        panel["code"]["coding"][0],
        json!({ "system": "http://loinc.org", "code": "85354-9", "display": "Blood pressure panel" })
    );
    assert_eq!(panel["category"][0]["coding"][0]["code"], "vital-signs");
    let components = panel["component"].as_array().unwrap();
    let codes: Vec<_> = components.iter().map(|part| &part["code"]["coding"][0]["code"]).collect();
    assert_eq!(codes, ["8480-6", "8462-4"]);
    assert_eq!(components[1]["valueQuantity"], ucum(79.5, "mmHg", "mm[Hg]"));
}

/// Scenario: an electrocardiogram. Guarantees: G4, voltages are evenly spaced samples in µV, each digit as it was.
#[test]
fn an_electrocardiogram_is_sampled_data() {
    let mut ecg = Electrocardiogram {
        classification: Some("sinusRhythm".into()),
        average_heart_rate: Some(61.0),
        sampling_frequency: Some(512.0),
        voltages: vec![-48.673, 59.5, 0.0],
    };
    let make = |ecg: &Electrocardiogram| {
        record("HKDataTypeIdentifierElectrocardiogram", Value::Electrocardiogram(Arc::new(ecg.clone())))
    };
    let written = measured(&make(&ecg));
    assert_eq!(written["code"]["coding"][0]["code"], "131328");
    let components = &written["component"];
    assert_eq!(components[0]["valueString"], "sinusRhythm");
    assert_eq!(components[1]["valueQuantity"], ucum(61, "count/min", "/min"));
    assert_eq!(components[2]["valueQuantity"], ucum(512, "Hz", "Hz"));
    let data = json!({ "origin": ucum(0, "mcV", "uV"), "period": 1.953_125, "dimensions": 1, "data": "-48.673 59.5 0" });
    assert_eq!(components[3]["valueSampledData"], data);
    ecg.sampling_frequency = None;
    assert!(encode(&make(&ecg), Shape::Resource).unwrap_err().contains("sampling frequency"));
}

/// Scenario: a workout with everything. Guarantees: activity, duration, statistics, events and parts are there.
#[test]
fn a_workout_has_components() {
    let (start, end) = (at("2026-03-01T15:20:00Z"), at("2026-03-01T15:21:00Z"));
    let workout = Workout {
        activity: 37,
        duration: Some(1800.5),
        events: vec![WorkoutEvent { event: "pause".into(), start, end }],
        statistics: vec![
            Statistic {
                kind: kind("ActiveEnergyBurned"),
                unit: unit("kcal"),
                sum: Some(300.0),
                average: None,
                minimum: None,
                maximum: None,
            },
            Statistic {
                kind: kind("HeartRate"),
                unit: unit("count/min"),
                sum: None,
                average: Some(150.0),
                minimum: None,
                maximum: Some(171.0),
            },
        ],
        activities: vec![Activity { activity: 13, start, end, duration: None, statistics: Vec::new() }],
        route: None,
    };
    let written = measured(&record("Workout", Value::Workout(Arc::new(workout))));
    assert_eq!(written["code"]["coding"][0]["code"], "73985-4");
    assert_eq!(written["valueCodeableConcept"]["coding"][0]["code"], "HKWorkoutActivityTypeRunning");
    let statistic = |name, code| json!([apple(name), { "system": "http://terminology.hl7.org/CodeSystem/observation-statistics", "code": code }]);
    let components: Vec<_> = written["component"].as_array().unwrap().iter().collect();
    let codes: Vec<_> = components.iter().map(|part| part["code"]["coding"].clone()).collect();
    let (energy, heart) = ("HKQuantityTypeIdentifierActiveEnergyBurned", "HKQuantityTypeIdentifierHeartRate");
    assert_eq!(
        codes[..5],
        [
            json!([apple("duration")]),
            statistic(energy, "sum"),
            statistic(heart, "average"),
            statistic(heart, "maximum"),
            json!([apple("HKWorkoutEventTypePause")])
        ]
    );
    assert_eq!(components[0]["valueQuantity"], ucum(1800.5, "s", "s"));
    assert_eq!(
        components[4]["valuePeriod"],
        json!({ "start": "2026-03-01T15:20:00Z", "end": "2026-03-01T15:21:00Z" })
    );
    assert_eq!(codes[5][0]["code"], "HKWorkoutActivityTypeCycling");
}

/// Scenario: an activity summary, an aggregate and JSON. Guarantees: each number has a component, JSON is a text.
#[test]
fn other_values() {
    let summary = ActivitySummary {
        day: Some("2026-03-01".into()),
        energy: Some(400.0),
        stand_hours: Some(9.0),
        ..ActivitySummary::default()
    };
    let written =
        measured(&record("HKActivitySummaryTypeIdentifier", Value::ActivitySummary(Arc::new(summary))));
    let expected = [
        json!({ "code": { "coding": [apple("dateComponents")] }, "valueString": "2026-03-01" }),
        json!({ "code": { "coding": [apple("activeEnergyBurned")] }, "valueQuantity": ucum(400, "kcal", "kcal") }),
        json!({ "code": { "coding": [apple("appleStandHours")] }, "valueQuantity": ucum(9, "count", "{count}") }),
    ];
    assert_eq!(written["component"], json!(expected));
    let results = vec![("count".into(), 3.0), ("max".into(), 0.98), ("p95".into(), 0.5)];
    let aggregate = Aggregate { unit: Some(unit("%")), results };
    let written = measured(&record("OxygenSaturation", Value::Aggregate(Arc::new(aggregate))));
    let values: Vec<_> =
        written["component"].as_array().unwrap().iter().map(|part| part["valueQuantity"].clone()).collect();
    assert_eq!(values, [ucum(3, "count", "{count}"), ucum(98, "%", "%"), ucum(50, "%", "%")]);
    assert_eq!(written["component"][1]["code"]["coding"][0]["code"], "maximum");
    assert_eq!(written["component"][2]["code"], json!({ "text": "p95" }));
    let document = record("StateOfMind", Value::Json("{\"valence\":0.5}".into()));
    assert_eq!(measured(&document)["valueString"], "{\"valence\":0.5}");
}

/// Scenario: what has no form. Guarantees: each is refused for a reason, which holds no value (G8), and leaves nothing.
#[test]
fn what_has_no_form_is_refused() {
    let series = HeartbeatSeries { beats: vec![Heartbeat { time: 0.5, gap: false }] };
    let mut early = quantity("HeartRate", 61.0, "count/min");
    early.start = Timestamp::from_micros_clamped(i64::MIN);
    let mut backwards = quantity("HeartRate", 61.0, "count/min");
    std::mem::swap(&mut backwards.start, &mut backwards.end);
    let mut untyped = quantity("HeartRate", 61.0, "count/min");
    untyped.kind = None;
    for (record, reason) in [
        (
            record("HKDataTypeIdentifierHeartbeatSeries", Value::HeartbeatSeries(Arc::new(series))),
            "evenly spaced",
        ),
        (record("HKWorkoutRouteTypeIdentifier", Value::Route(Arc::new(Route::default()))), "route"),
        (
            record("HKClinicalTypeIdentifierLabResultRecord", Value::Clinical(Arc::new(Clinical::default()))),
            "resource of its own",
        ),
        (
            record(
                "HeartRate",
                Value::Notification(Arc::new(Notification { vendor: "v".into(), topic: "t".into() })),
            ),
            "notification",
        ),
        (record("BloodPressure", Value::Correlation(Arc::default())), "without samples"),
        (quantity("HeartRate", f64::NAN, "count/min"), "not finite"),
        (record("HeartRate", Value::Category(61)), "no unit"),
        (record("HeartRate", Value::None), "no value"),
        (early, "before the year 1"),
        (backwards, "ends before it begins"),
        (untyped, "no type"),
    ] {
        for shape in [Shape::Resource, Shape::Entry] {
            let refused = encode(&record, shape).unwrap_err();
            assert!(refused.contains(reason) && !refused.contains("61"), "{refused}");
        }
    }
}

/// Scenario: zones of all sorts. Guarantees: G4, the instant is the same in each; an offset that FHIR can't say is left out.
#[test]
fn times_are_in_the_zone_of_the_record() {
    let written = |zone: &str, time: &str| {
        let mut record = quantity("HeartRate", 61.0, "count/min");
        (record.start, record.end) = (at(time), at(time));
        record.zone = Some(zone.into());
        observation(&record)["effectiveDateTime"].as_str().unwrap().to_owned()
    };
    for (zone, time, expected) in [
        ("Europe/Berlin", "2026-07-01T22:30:00.25Z", "2026-07-02T00:30:00.250000+02:00"),
        ("+05:30", "2026-07-01T22:30:00Z", "2026-07-02T04:00:00+05:30"),
        ("-0330", "2026-07-01T02:30:00Z", "2026-06-30T23:00:00-03:30"),
        ("-00:30", "2026-07-01T02:30:00Z", "2026-07-01T02:00:00-00:30"),
        ("Pacific/Kiritimati", "2026-07-01T02:30:00Z", "2026-07-01T16:30:00+14:00"),
        ("Z", "2026-07-01T02:30:00Z", "2026-07-01T02:30:00Z"),
        ("Nowhere/Land", "2026-07-01T02:30:00Z", "2026-07-01T02:30:00Z"),
        // Local mean time, with seconds.
        ("Europe/Amsterdam", "1890-07-01T02:30:00Z", "1890-07-01T02:30:00Z"),
        ("+14:30", "2026-07-01T02:30:00Z", "2026-07-01T02:30:00Z"),
        ("-05:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ] {
        assert_eq!(written(zone, time), expected, "{zone}");
    }
    let zones = (0..200).map(|minutes| format!("+00:{:02}", minutes % 60));
    assert_eq!(
        zones
            .map(|zone| written(&zone, "2026-07-01T02:30:00Z"))
            .filter(|time| time.contains("T02:30:00Z"))
            .count(),
        4
    );
}

/// Scenario: records of one zone around its changes of the clock, forth and back, in one encoder. Guarantees: G4, what is kept of a
/// zone holds only between two changes.
#[test]
fn changes_of_the_clock_are_heeded() {
    let mut encoder = FhirEncoder::default();
    for (time, offset) in [
        ("2026-03-29T00:59:59.999999Z", "+01:00"),
        ("2026-03-29T01:00:00Z", "+02:00"),
        ("2026-10-25T00:59:59Z", "+02:00"),
        ("2026-10-25T01:00:00Z", "+01:00"),
        ("2026-07-01T00:00:00Z", "+02:00"),
        ("2026-01-01T00:00:00Z", "+01:00"),
    ] {
        let mut record = quantity("HeartRate", 61.0, "count/min");
        (record.start, record.end, record.zone) = (at(time), at(time), Some("Europe/Berlin".into()));
        let mut out = Vec::new();
        encoder.encode(&record, &mut out).unwrap();
        let written: Json = serde_json::from_slice(&out).unwrap();
        assert!(written["effectiveDateTime"].as_str().unwrap().ends_with(offset), "{time}");
    }
}

/// Scenario: references to people by address. Guarantees: only what is an id is one.
#[test]
fn people_may_be_referred_to_by_address() {
    let mut record = quantity("HeartRate", 61.0, "count/min");
    let mut encoder = FhirEncoder::new(Shape::Resource, Patient::Reference);
    record.subject = Some("p-0001".into());
    let mut out = Vec::new();
    encoder.encode(&record, &mut out).unwrap();
    let written: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(written["subject"], json!({ "reference": "Patient/p-0001" }));
    for subject in ["ada lovelace", "a/b", &"x".repeat(65)] {
        record.subject = Some(subject.into());
        assert!(encoder.encode(&record, &mut out).unwrap_err().contains("no id of a Patient"));
    }
}

/// What an Observation says of a record: its id, value, unit and times, as the record has them.
fn read_back(line: &[u8], of: &Record) -> (RecordId, Value, Timestamp, Timestamp) {
    #[derive(serde::Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, rename = "valueQuantity")]
        quantity: Option<Number<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Number<'a> {
        #[serde(borrow)]
        value: &'a serde_json::value::RawValue,
        unit: String,
        code: Option<String>,
    }
    let written: Json = serde_json::from_slice(line).unwrap();
    let raw: Raw<'_> = serde_json::from_slice(line).unwrap();
    let time = |time: &Json| at(time.as_str().unwrap());
    let (start, end) = match &written["effectivePeriod"] {
        Json::Null => (time(&written["effectiveDateTime"]), time(&written["effectiveDateTime"])),
        period => (time(&period["start"]), time(&period["end"])),
    };
    let value = match raw.quantity {
        Some(Number { value, unit: text, code }) => {
            let value =
                if code.as_deref() == Some("%") { moved_back(value.get()) } else { value.get().to_owned() };
            Value::Quantity(value.parse().unwrap(), unit(&text))
        }
        None => match (&written["valueInteger"], &written["valueCodeableConcept"]) {
            (Json::Null, concept) => {
                Value::Category(category::value_of(concept["coding"][0]["code"].as_str().unwrap()).unwrap())
            }
            (number, _) => Value::Category(number.as_i64().unwrap()),
        },
    };
    assert!(written["code"].to_string().contains(of.kind.unwrap().name()));
    (RecordId::parse(written["identifier"][0]["value"].as_str().unwrap()).unwrap(), value, start, end)
}

/// The decimal point two digits to the left.
fn moved_back(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    format!("{digits}e{}", exponent.parse::<i32>().unwrap() - 2)
}

/// Scenario: any quantity or category, with any unit, time, zone and metadata. Guarantees: G4, id, value, unit and times read
/// back as they were, to the last bit, from both shapes.
#[test]
fn id_value_unit_and_times_read_back() {
    let encoder = std::cell::RefCell::new(FhirEncoder::default());
    let percent = unit("%");
    proptest!(|(record in testing::additions(), is_percent in any::<bool>())| {
        let mut record = record;
        if let (Value::Quantity(_, unit), true) = (&mut record.value, is_percent) {
            *unit = percent;
        }
        prop_assume!(matches!(record.value, Value::Quantity(..) | Value::Category(_)));
        let mut out = Vec::new();
        match encoder.borrow_mut().encode(&record, &mut out) {
            Ok(()) => {
                let read = read_back(&out, &record);
                prop_assert_eq!(&read, &(record.id, record.value.clone(), record.start, record.end));
                if let (Value::Quantity(read, _), Value::Quantity(number, _)) = (&read.1, &record.value) {
                    prop_assert_eq!(read.to_bits(), number.to_bits());
                }
                let mut entry = Vec::new();
                FhirEncoder::new(Shape::Entry, Patient::Identifier).encode(&record, &mut entry).unwrap();
                let body = out.strip_suffix(b"\n").unwrap();
                prop_assert!(entry.windows(body.len()).any(|window| window == body));
            }
            // The largest percentages, and categories beyond 32 bits.
            Err(_) => prop_assert!(out.is_empty()),
        }
    });
}

/// Scenario: any record at all, in both shapes. Guarantees: what is written is one line of JSON with a code and an identifier,
/// what is not leaves nothing, and a second encoder that has seen other records writes the same bytes.
#[test]
fn any_record_is_a_line_or_a_reason() {
    let used = std::cell::RefCell::new(FhirEncoder::default());
    proptest!(|(record in testing::records())| {
        for shape in [Shape::Resource, Shape::Entry] {
            let Ok(line) = encode(&record, shape) else { continue };
            prop_assert!(!line.contains('\n'));
            let written: Json = serde_json::from_str(&line).unwrap();
            if shape == Shape::Resource {
                prop_assert!(written["code"].is_object());
                let mut again = Vec::new();
                used.borrow_mut().encode(&record, &mut again).unwrap();
                prop_assert_eq!(again.strip_suffix(b"\n"), Some(line.as_bytes()));
            }
        }
    });
}
