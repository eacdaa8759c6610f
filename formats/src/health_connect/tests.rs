use afferent_core::{Batch, Change, Kind, Record, Rejects, Value};

use crate::{DecoderOptions, Format, Location};

fn decode(text: &str) -> (Vec<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = Format::HealthConnect.decoder(DecoderOptions::default()).unwrap();
    decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    (batch.into_vec(), rejects)
}

fn wire(record: &Record) -> String {
    let mut out = Vec::new();
    Format::Json.encoder().unwrap().encode(record, &mut out).unwrap();
    String::from_utf8(out).unwrap().trim_end().split_once(",\"type\":\"").unwrap().1.to_owned()
}

const ID: &str = "0b9c5f0e-4f3e-4a53-9c8e-1f2a3b4c5d6e";

fn record(name: &str, value: &str) -> String {
    format!(
        "{{\"recordType\":\"{name}\",{value},\"startTime\":\"2026-03-01T08:00:00Z\",\"endTime\":\"2026-03-01T08:10:00Z\",\"startZoneOffset\":{{\"id\":\"+01:00\"}},\
         \"metadata\":{{\"id\":\"{ID}\",\"dataOrigin\":\"com.example\",\"lastModifiedTime\":\"2026-03-01T09:00:00.5Z\",\"device\":{{\"manufacturer\":\"Acme\",\"model\":\"Ring\",\"type\":5}}}}}}"
    )
}

/// Scenario: records of each form. Guarantees: G4, each is in the unit that its name says, and a percentage is a fraction.
#[test]
fn records_are_read_in_all_their_forms() {
    for (name, value, kind, expected) in [
        ("Steps", "\"count\":612", "HKQuantityTypeIdentifierStepCount", "612.0,\"unit\":\"count\""),
        ("StepsRecord", "\"count\":612", "HKQuantityTypeIdentifierStepCount", "612.0,\"unit\":\"count\""),
        (
            "Weight",
            "\"weight\":{\"inGrams\":70500,\"inKilograms\":70.5,\"inPounds\":155.4}",
            "HKQuantityTypeIdentifierBodyMass",
            "70.5,\"unit\":\"kg\"",
        ),
        (
            "OxygenSaturation",
            "\"percentage\":97",
            "HKQuantityTypeIdentifierOxygenSaturation",
            "0.97,\"unit\":\"%\"",
        ),
        ("BoneMass", "\"mass\":{\"inKilograms\":3}", "androidx.health.BoneMass", "3.0,\"unit\":\"kg\""),
        (
            "HeartRate",
            "\"samples\":[{\"time\":\"2026-03-01T08:00:00Z\",\"beatsPerMinute\":61}]",
            "HKQuantityTypeIdentifierHeartRate",
            "61.0,\"unit\":\"count/min\"",
        ),
        (
            "HeartRate",
            "\"samples\":[{\"beatsPerMinute\":60},{\"beatsPerMinute\":63}]",
            "HKQuantityTypeIdentifierHeartRate",
            "{\"aggregate\":{\"count\":2.0,\"min\":60.0,\"average\":61.5,\"max\":63.0}},\"unit\":\"count/min\"",
        ),
        ("SleepSession", "\"stages\":[{\"stage\":5}]", "HKCategoryTypeIdentifierSleepAnalysis", "1"),
        (
            "ExerciseSession",
            "\"exerciseType\":56,\"title\":\"Run\"",
            "HKWorkoutTypeIdentifier",
            "{\"workout\":{\"activity\":3000}}",
        ),
    ] {
        let (records, rejects) = decode(&record(name, value));
        assert_eq!((records.len(), rejects.len()), (1, 0), "{name}: {rejects:?}");
        assert_eq!((records[0].id.to_string().as_str(), records[0].revision), (ID, 1_772_355_600));
        let text = wire(&records[0]);
        let head = format!(
            "{kind}\",\"start\":\"2026-03-01T08:00:00Z\",\"end\":\"2026-03-01T08:10:00Z\",\"value\":{expected},\"zone\":\"+01:00\""
        );
        assert!(text.starts_with(&head), "{text}\n{head}");
    }
    let (records, _) = decode(&record(
        "BloodPressure",
        "\"systolic\":{\"inMillimetersOfMercury\":121},\"diastolic\":{\"inMillimetersOfMercury\":79}",
    ));
    let Value::Correlation(pressure) = &records[0].value else { panic!("a correlation") };
    assert_ne!(pressure.samples[0].id, pressure.samples[1].id);
    for (_, short, ..) in super::record::NUMBERS.iter().filter(|(_, short, ..)| !short.is_empty()) {
        assert!(Kind::parse(short).is_ok(), "{short}");
    }
}

/// Scenario: changes, an expired token, and parts that are none. Guarantees: G3, deletions come after upsertions; G11, that changes
/// may be missing is a dead letter; G1, G8, rejects can be read again alone and hold no value.
#[test]
fn changes_are_read() {
    let (records, rejects) = decode(&format!(
        "{{\"upsertionChanges\":[{{\"record\":{}}},{{\"record\":{}}},{{}}],\"deletionChanges\":[{{\"recordId\":\"{ID}\"}},{{}}],\"nextChangesToken\":\"t\",\"hasMore\":false,\"changesTokenExpired\":true}}",
        record("Steps", "\"count\":1"),
        record("Steps", "\"count\":\"secret\"")
    ));
    assert_eq!(
        records.iter().map(|record| record.change).collect::<Vec<_>>(),
        [Change::Added, Change::Deleted]
    );
    assert_eq!(records[0].id, records[1].id);
    assert_eq!(rejects.len(), 4);
    for reject in rejects {
        assert!(!reject.reason.contains("secret"), "{}", reject.reason);
        let (none, again) = decode(std::str::from_utf8(reject.payload.bytes()).unwrap());
        assert_eq!((none.len(), again.len(), &again[0].reason), (0, 1, &reject.reason));
    }
    assert_eq!(
        decode(&format!("{{\"records\":[{0},{0}]}}[{0}]{0}", record("Steps", "\"count\":1"))).0.len(),
        4
    );
    assert!(decode("{\"changesTokenExpired\":false,\"nextChangesToken\":\"t\"}").1.is_empty());
}
