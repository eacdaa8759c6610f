use std::cell::Cell;

use afferent_core::{Batch, Change, MetaValue, Record, Rejects, Value, record::Correlation};
use proptest::prelude::*;

use crate::{DecoderOptions, Format, Location, testing};

const FORMAT: Format = Format::HealthKitReporter;

fn decode_with(strict: bool, text: &str) -> (Batch<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = FORMAT.decoder(DecoderOptions { strict }).unwrap();
    decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    (batch, rejects)
}

fn all(text: &str) -> Batch<Record> {
    let (batch, rejects) = decode_with(false, text);
    assert!(rejects.is_empty(), "{text}: {rejects:?}");
    batch
}

fn one(text: &str) -> Record {
    let mut batch = all(text);
    assert_eq!(batch.len(), 1, "{text}");
    batch.remove(0)
}

fn refused(text: &str) -> String {
    let (batch, rejects) = decode_with(false, text);
    assert_eq!((batch.len(), rejects.len()), (0, 1), "{text}: {rejects:?}");
    rejects[0].reason.clone()
}

/// In the wire form, which is easier to compare.
fn wire(record: &Record) -> String {
    let mut out = Vec::new();
    Format::Json.encoder().unwrap().encode(record, &mut out).unwrap();
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

const ID: &str = "0b9c5f0e-4f3e-4a53-9c8e-1f2a3b4c5d6e";

/// A sample with `harmonized` and more keys.
fn sample(identifier: &str, harmonized: &str, more: &str) -> String {
    format!(
        "{{\"uuid\":\"{ID}\",\"identifier\":\"{identifier}\",\"startTimestamp\":1767225600.25,\
         \"endTimestamp\":1767225660,\"device\":{{}},{more}\"harmonized\":{{{harmonized}}}}}"
    )
}

const STEPS: &str = "HKQuantityTypeIdentifierStepCount";

fn steps(value: &str) -> String {
    sample(STEPS, &format!("\"value\":{value},\"unit\":\"count\",\"metadata\":null"), "")
}

/// What the dialect can't tell apart: quantities of a correlation come first.
fn in_its_order(mut record: Record) -> Record {
    if let Value::Correlation(correlation) = &record.value {
        let (mut samples, others): (Vec<_>, Vec<_>) = correlation
            .samples
            .iter()
            .cloned()
            .partition(|sample| matches!(sample.value, Value::Quantity(..)));
        samples.extend(others);
        record.value = Value::Correlation(std::sync::Arc::new(Correlation { samples }));
    }
    record
}

/// Scenario: any records are written and read, in strict mode; those that the dialect can't say are refused. Guarantees: G4,
/// each that is written comes back as it was.
#[test]
fn what_is_written_comes_back_as_it_was() {
    let (written, refused) = (Cell::new(0), Cell::new(0));
    proptest!(ProptestConfig::with_cases(2_000), |(record in testing::records())| {
        let mut out = b"before ".to_vec();
        match FORMAT.encoder().unwrap().encode(&record, &mut out) {
            Err(reason) => {
                refused.set(refused.get() + 1);
                prop_assert!(!reason.is_empty());
            }
            Ok(()) => {
                written.set(written.get() + 1);
                let text = std::str::from_utf8(&out[7..]).unwrap();
                let (batch, rejects) = decode_with(true, text);
                prop_assert_eq!((rejects, batch.into_vec()), (Vec::new(), vec![in_its_order(record)]));
            }
        }
    });
    let (written, refused) = (written.get(), refused.get());
    assert!(written > 2 * refused, "{written} were written, {refused} refused");
}

/// Scenario: a sample as the channel has it, as a text and parsed, alone, in events and in arrays, in seconds and in
/// milliseconds. Guarantees: G4, all of them are the same record.
#[test]
fn a_sample_is_the_same_in_all_its_clothes() {
    let object = steps("612");
    let text = serde_json::to_string(&object).unwrap();
    let milliseconds =
        object.replace("1767225600.25", "1767225600250").replace("1767225660,", "1767225660000.0,");
    let expected = one(&object);
    assert_eq!(
        wire(&expected),
        format!(
            "{{\"id\":\"{ID}\",\"type\":\"{STEPS}\",\"start\":\"2026-01-01T00:00:00.250000Z\",\
             \"end\":\"2026-01-01T00:01:00Z\",\"value\":612.0,\"unit\":\"count\"}}"
        )
    );
    for body in [
        text.clone(),
        milliseconds,
        format!("[{object}]"),
        format!("[{text}]"),
        format!("{{\"samples\":[{text}],\"deletedObjects\":[],\"anchor\":\"YW5jaG9y\"}}"),
        format!("{{\"anchor\":null,\"deletedObjects\":[],\"samples\":[{object}]}}"),
        format!("[{{\"samples\":[{text}]}}]\n"),
    ] {
        assert_eq!(one(&body), expected, "{body}");
    }
}

/// Scenario: deleted objects, as texts and parsed, with and without metadata, and one alone. Guarantees: G3, they come after
/// the samples of their event.
#[test]
fn deletions_come_after_samples() {
    let deleted = format!(
        "{{\"uuid\":\"{}\",\"metadata\":{{\"string\":{{\"dictionary\":{{\"a\":\"b\"}}}}}}}}",
        ID.to_uppercase()
    );
    let text = serde_json::to_string(&deleted).unwrap();
    let batch =
        all(&format!("{{\"samples\":[{}],\"deletedObjects\":[{text},{{\"uuid\":\"4444-5\"}}]}}", steps("1")));
    assert_eq!(
        batch.iter().map(|record| record.change).collect::<Vec<_>>(),
        [Change::Added, Change::Deleted, Change::Deleted]
    );
    assert_eq!(batch[1].id.to_string(), ID);
    assert_eq!(batch[1].metadata.as_ref().unwrap().get("a"), Some(&MetaValue::String("b".into())));
    assert_eq!(one(&deleted), batch[1]);
    // No uuid: derived, and again the same.
    assert_eq!(one("{\"uuid\":\"4444-5\"}").id, batch[2].id);
}

/// Scenario: an observer's event. Guarantees: that something changed is not lost.
#[test]
fn an_observer_notifies() {
    let record = one(&format!("{{\"identifier\":\"{STEPS}\"}}"));
    assert_eq!(record.kind.unwrap().name(), STEPS);
    let Value::Notification(said) = &record.value else { panic!("a notification") };
    assert_eq!((&*said.vendor, &*said.topic), ("health_kit_reporter", "observer"));
}

/// Scenario: each form of metadata, and a zone in it. Guarantees: G4, values keep their types; dates count from 2001 in the
/// enumeration and from 1970 in 4.x.
#[test]
fn metadata_is_read_in_all_its_forms() {
    let with = |metadata: &str| {
        let record =
            one(&sample(STEPS, &format!("\"value\":1,\"unit\":\"count\",\"metadata\":{metadata}"), ""));
        wire(&record).split_once(",\"unit\":\"count\"").unwrap().1.trim_end_matches('}').to_owned()
    };
    assert_eq!(with("{\"HKWasUserEntered\":\"1\"}"), ",\"metadata\":{\"HKWasUserEntered\":\"1\"");
    assert_eq!(
        with("{\"double\":{\"dictionary\":{\"HKWasUserEntered\":1}}}"),
        ",\"metadata\":{\"HKWasUserEntered\":1.0"
    );
    assert_eq!(
        with("{\"date\":{\"dictionary\":{\"a\":0.5}}}"),
        ",\"metadata\":{\"a\":{\"date\":\"2001-01-01T00:00:00.500000Z\""
    );
    assert_eq!(
        with("{\"string\":{\"dictionary\":{\"HKTimeZone\":\"Europe/Berlin\"}}}"),
        ",\"zone\":\"Europe/Berlin\",\"metadata\":{\"HKTimeZone\":\"Europe/Berlin\""
    );
    assert_eq!(
        with(
            "{\"a\":true,\"b\":{\"timestamp\":1767225600},\"c\":{\"value\":2,\"unit\":\"kcal\"},\"string\":\"d\"}"
        ),
        ",\"metadata\":{\"a\":true,\"b\":{\"date\":\"2026-01-01T00:00:00Z\"},\"c\":{\"value\":2.0,\"unit\":\"kcal\"},\"string\":\"d\""
    );
    assert_eq!(with("null"), "");
}

/// Scenario: a sample of each other kind, and a source and a device. Guarantees: G4, what a record has a place for is in it.
#[test]
fn every_kind_of_sample_is_read() {
    let source = "\"sourceRevision\":{\"source\":{\"name\":\"Ann’s Watch\",\"bundleIdentifier\":\"com.example\"},\"version\":\"2\",\
                  \"productType\":\"Watch6,7\",\"operatingSystem\":{\"majorVersion\":9,\"minorVersion\":1,\"patchVersion\":0}},";
    let value = |identifier: &str, harmonized: &str, more: &str| {
        let record = wire(&one(&sample(identifier, harmonized, more)));
        let from = record.find("\"value\"").unwrap();
        record[from..].to_owned()
    };
    let event = "{\"startTimestamp\":1767225601,\"endTimestamp\":1767225601,\"duration\":0,\"harmonized\":{\"value\":8,\"description\":\"Pause on resume request\",\"metadata\":null}}";
    for (identifier, harmonized, more, expected) in [
        (
            "HKCategoryTypeIdentifierSleepAnalysis",
            "\"value\":3,\"description\":\"HKCategoryValueSleepAnalysis\",\"detail\":\"Core\"",
            source.to_owned(),
            "\"value\":3,\"source\":{\"name\":\"Ann’s Watch\",\"bundle\":\"com.example\",\"version\":\"2\",\"product\":\"Watch6,7\",\"os\":\"9.1.0\"}}",
        ),
        (
            "HKWorkoutTypeIdentifier",
            "\"value\":13,\"description\":\"Cycling\",\"totalEnergyBurned\":20,\"totalEnergyBurnedUnit\":\"Cal\",\"totalDistance\":500.5,\"totalDistanceUnit\":\"m\",\"totalFlightsClimbedUnit\":\"count\"",
            format!("\"duration\":60,\"workoutEvents\":[{event}],"),
            "\"value\":{\"workout\":{\"activity\":13,\"duration\":60.0,\"events\":[{\"event\":\"pauseOrResumeRequest\",\"start\":\"2026-01-01T00:00:01Z\",\"end\":\"2026-01-01T00:00:01Z\"}],\
             \"statistics\":[{\"type\":\"HKQuantityTypeIdentifierActiveEnergyBurned\",\"unit\":\"Cal\",\"sum\":20.0},{\"type\":\"HKQuantityTypeIdentifierDistanceCycling\",\"unit\":\"m\",\"sum\":500.5}]}}}",
        ),
        (
            "HKDataTypeIdentifierElectrocardiogram",
            "\"averageHeartRate\":61,\"averageHeartRateUnit\":\"count/min\",\"samplingFrequency\":512,\"classification\":\"Sinus rhytm\",\"symptomsStatus\":\"None\",\"count\":1,\
             \"voltageMeasurements\":[{\"harmonized\":{\"value\":0.000125,\"unit\":\"V\"},\"timeSinceSampleStart\":0}]",
            "\"numberOfMeasurements\":1,".to_owned(),
            "\"value\":{\"electrocardiogram\":{\"classification\":\"sinusRhythm\",\"average_heart_rate\":61.0,\"sampling_frequency\":512.0,\"voltages\":[125.0]}},\"metadata\":{\"symptomsStatus\":\"None\"}}",
        ),
        (
            "HKDataTypeIdentifierHeartbeatSeries",
            "\"count\":1,\"measurements\":[{\"timeSinceSeriesStart\":0.5,\"precededByGap\":true,\"done\":true}]",
            String::new(),
            "\"value\":{\"heartbeat_series\":{\"beats\":[{\"time\":0.5,\"gap\":true}]}}}",
        ),
        (
            "HKWorkoutRouteTypeIdentifier",
            "\"count\":1,\"routes\":[{\"locations\":[{\"latitude\":52.5,\"longitude\":13.25,\"altitude\":36,\"floor\":1,\"courseAccuracy\":3,\"timestamp\":1767225601.5}],\"done\":true}]",
            String::new(),
            "\"value\":{\"route\":{\"locations\":[{\"time\":\"2026-01-01T00:00:01.500000Z\",\"latitude\":52.5,\"longitude\":13.25,\"altitude\":36.0}]}}}",
        ),
        (
            "HKClinicalTypeIdentifierLabResultRecord",
            "\"displayName\":\"HbA1c\",\"fhirVersion\":\"4.0.1\",\"fhirData\":\"{\\\"id\\\":\\\"a\\\"}\"",
            String::new(),
            "\"value\":{\"clinical\":{\"display_name\":\"HbA1c\",\"fhir_version\":\"4.0.1\",\"document\":{\"id\":\"a\"}}}}",
        ),
        (
            "HKActivitySummaryTypeIdentifier",
            "\"activeEnergyBurned\":10,\"activeEnergyBurnedUnit\":\"kcal\",\"appleExerciseTime\":3600,\"appleExerciseTimeUnit\":\"s\",\"appleStandHours\":1,\"appleStandHoursUnit\":\"h\"",
            "\"date\":\"2026-01-01T00:00:00.000+01:00\",".to_owned(),
            "\"value\":{\"activity_summary\":{\"day\":\"2026-01-01T00:00:00.000+01:00\",\"energy\":10.0,\"energy_unit\":\"kcal\",\"exercise_time\":60.0,\"stand_hours\":1.0}}}",
        ),
        (
            "HKStateOfMindTypeIdentifier",
            "\"valence\":0.5,\"labels\":[\"calm\"]",
            String::new(),
            "\"value\":{\"json\":{\"valence\":0.5,\"labels\":[\"calm\"]}}}",
        ),
        (
            STEPS,
            "\"summary\":546,\"unit\":\"count\"",
            "\"sources\":[],".to_owned(),
            "\"value\":{\"aggregate\":{\"sum\":546.0}},\"unit\":\"count\"}",
        ),
    ] {
        assert_eq!(value(identifier, harmonized, &more), expected, "{identifier}");
    }
}

/// Scenario: an activity summary and a statistic as the library writes them, without an id. Guarantees: G2, their ids are
/// derived and stay; the day is that of the person.
#[test]
fn what_has_no_id_gets_one() {
    let summary = "{\"identifier\":\"HKActivitySummaryTypeIdentifier\",\"date\":\"2026-01-01T00:00:00.000+01:00\",\"harmonized\":{\"activeEnergyBurned\":10}}";
    let record = one(summary);
    let Value::ActivitySummary(found) = &record.value else { panic!("a summary") };
    assert_eq!(found.day.as_deref(), Some("2026-01-01"));
    assert_eq!((record.start.to_string().as_str(), record.id), ("2025-12-31T23:00:00Z", one(summary).id));
}

/// Scenario: a blood pressure. Guarantees: G4, its parts are records with ids of their own.
#[test]
fn a_correlation_holds_its_samples() {
    let part = |identifier: &str, value: u32| {
        sample(identifier, &format!("\"value\":{value},\"unit\":\"mmHg\""), "")
            .replace(ID, &format!("{value:032x}"))
    };
    let record = one(&sample(
        "HKCorrelationTypeIdentifierBloodPressure",
        &format!(
            "\"categorySamples\":[],\"quantitySamples\":[{},{}]",
            part("HKQuantityTypeIdentifierBloodPressureSystolic", 120),
            part("HKQuantityTypeIdentifierBloodPressureDiastolic", 80)
        ),
        "",
    ));
    let Value::Correlation(found) = &record.value else { panic!("a correlation") };
    assert_eq!(
        found.samples.iter().map(|sample| sample.value.as_f64().unwrap()).collect::<Vec<_>>(),
        [120.0, 80.0]
    );
}

/// Scenario: numbers that are not finite, in both spellings, and other slips, among good samples. Guarantees: G1, each is a
/// reject and the others are read; a reject can be read again alone; G8, no reason holds a value.
#[test]
fn what_is_no_sample_is_a_reject() {
    for number in ["\"-500.0\"", "\"inf\"", "\"Infinity\"", "\"-Infinity\"", "\"NaN\""] {
        assert_eq!(refused(&steps(number)), "expected a finite number in `value`, found one that is not");
    }
    for (text, reason) in [
        (steps("\"secret\""), "expected a finite number in `value`, found a text"),
        (steps("612").replace("\"count\"", "null"), "expected a `unit` of a quantity, found none"),
        (steps("612").replace(STEPS, "Secret"), "in `identifier`: "),
        (
            steps("612").replace("1767225660", "1767225599"),
            "expected an `endTimestamp` that is not before `startTimestamp`",
        ),
        (
            steps("612").replace("1767225660", "1e300"),
            "expected seconds or milliseconds since 1970 in `endTimestamp`, found a number",
        ),
        (
            format!("{{\"identifier\":\"{STEPS}\",\"startTimestamp\":1}}"),
            "expected an object in `harmonized`, found none",
        ),
        ("\"not JSON\"".to_owned(), "not valid JSON: "),
        ("\"\\q\"".to_owned(), "expected a text that holds JSON, found another text"),
        (
            "{\"deletedObjects\":[{\"metadata\":{}}]}".to_owned(),
            "expected the id of what was deleted in `uuid`, found none",
        ),
    ] {
        let found = refused(&text);
        assert!(found.trim_start_matches("in `harmonized`: ").starts_with(reason), "{text}: {found}");
        assert!(!found.to_lowercase().contains("secret"), "{found}");
    }
    let (batch, rejects) = decode_with(
        false,
        &format!(
            "{{\"samples\":[{},{},{}],\"deletedObjects\":[{{}}]}}",
            steps("1"),
            steps("\"NaN\""),
            steps("2")
        ),
    );
    assert_eq!((batch.len(), rejects.len()), (2, 2));
    assert_eq!(rejects[0].key.as_deref(), Some(ID));
    for reject in rejects {
        let again = std::str::from_utf8(reject.payload.bytes()).unwrap();
        assert_eq!(refused(again), reject.reason);
    }
}

/// Scenario: keys that nobody knows, in either mode. Guarantees: G11, they are kept, or the sample is refused.
#[test]
fn unknown_keys_are_kept_or_refused() {
    let text = sample(
        STEPS,
        "\"value\":1,\"unit\":\"count\",\"more\":[1]",
        "\"other\":\"x\",\"device\":{\"localIdentifier\":\"l\"},",
    );
    let text = text.replace("\"device\":{},", "");
    let record = one(&text);
    let metadata = record.metadata.as_ref().unwrap();
    assert_eq!(metadata.get("other"), Some(&MetaValue::String("x".into())));
    assert_eq!(metadata.get("device.localIdentifier"), Some(&MetaValue::String("l".into())));
    assert_eq!(metadata.get("more"), Some(&MetaValue::String("[1]".into())));
    let (batch, rejects) = decode_with(true, &text);
    assert_eq!((batch.len(), rejects[0].reason.as_str()), (0, "unknown key `other`"));
}
