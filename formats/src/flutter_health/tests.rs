use afferent_core::{Batch, Record, Rejects};

use crate::{DecoderOptions, Format, Location};

fn decode(text: &str) -> (Vec<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = Format::FlutterHealth.decoder(DecoderOptions::default()).unwrap();
    decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    (batch.into_vec(), rejects)
}

const ID: &str = "0b9c5f0e-4f3e-4a53-9c8e-1f2a3b4c5d6e";

fn point(kind: &str, unit: &str, value: &str, platform: &str) -> String {
    format!(
        "{{\"uuid\":\"{ID}\",\"value\":{{{value}}},\"type\":\"{kind}\",\"unit\":\"{unit}\",\"dateFrom\":\"2026-03-01T08:00:00.000\",\
         \"dateTo\":\"2026-03-01T08:10:00.000\",\"sourcePlatform\":\"{platform}\",\"sourceId\":\"com.example\",\"sourceName\":\"Phone\",\"deviceModel\":\"iPhone15,2\"}}"
    )
}

/// The type, and the value with its unit, of the only record of `text`.
fn read(text: &str) -> String {
    let (records, rejects) = decode(text);
    assert_eq!((records.len(), rejects.len()), (1, 0), "{text}: {rejects:?}");
    let mut out = Vec::new();
    Format::Json.encoder().unwrap().encode(&records[0], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (_, text) = text.split_once(",\"type\":\"").unwrap();
    let (kind, rest) = text
        .split_once("\",\"start\":\"2026-03-01T08:00:00Z\",\"end\":\"2026-03-01T08:10:00Z\",\"value\":")
        .unwrap();
    let (value, rest) = rest
        .split_once(",\"source\":{\"name\":\"Phone\",\"bundle\":\"com.example\",\"product\":\"iPhone15,2\"}")
        .unwrap();
    format!(
        "{kind} {value}{}",
        rest.trim_end()
            .trim_end_matches("\"localTime\":true}}")
            .trim_end_matches("\"metadata\":{")
            .trim_end_matches(',')
    )
}

/// Scenario: a point of each form of value. Guarantees: G4, each becomes the value of its form, in HealthKit's type and unit; a
/// percentage is a fraction, from either platform.
#[test]
fn points_are_read_in_all_their_forms() {
    let number = |number: &str| format!("\"__type\":\"NumericHealthValue\",\"numericValue\":{number}");
    for (kind, unit, value, platform, expected) in [
        ("STEPS", "COUNT", number("612"), "appleHealth", "HKQuantityTypeIdentifierStepCount 612.0,\"unit\":\"count\""),
        ("BLOOD_OXYGEN", "PERCENT", number("0.97"), "appleHealth", "HKQuantityTypeIdentifierOxygenSaturation 0.97,\"unit\":\"%\""),
        ("BLOOD_OXYGEN", "PERCENT", number("97"), "googleHealthConnect", "HKQuantityTypeIdentifierOxygenSaturation 0.97,\"unit\":\"%\""),
        ("BODY_MASS_INDEX", "NO_UNIT", number("22.5"), "appleHealth", "HKQuantityTypeIdentifierBodyMassIndex 22.5,\"unit\":\"count\""),
        ("SLEEP_DEEP", "MINUTE", number("10"), "appleHealth", "HKCategoryTypeIdentifierSleepAnalysis 4"),
        ("HEADACHE_SEVERE", "MINUTE", number("10"), "appleHealth", "HKCategoryTypeIdentifierHeadache 4"),
        ("NOVELTY_SCORE", "COUNT", number("1"), "appleHealth", "dk.cachet.health.novelty_score 1.0,\"unit\":\"count\""),
        (
            "WORKOUT",
            "NO_UNIT",
            "\"__type\":\"WorkoutHealthValue\",\"workoutActivityType\":\"BIKING\",\"totalEnergyBurned\":321,\"totalEnergyBurnedUnit\":\"KILOCALORIE\",\"totalDistance\":5200,\"totalDistanceUnit\":\"METER\",\"totalSteps\":null".to_owned(),
            "appleHealth",
            "HKWorkoutTypeIdentifier {\"workout\":{\"activity\":13,\"statistics\":[{\"type\":\"HKQuantityTypeIdentifierActiveEnergyBurned\",\"unit\":\"kcal\",\"sum\":321.0},{\"type\":\"HKQuantityTypeIdentifierDistanceCycling\",\"unit\":\"m\",\"sum\":5200.0}]}}",
        ),
        (
            "ELECTROCARDIOGRAM",
            "VOLT",
            "\"__type\":\"ElectrocardiogramHealthValue\",\"voltageValues\":[{\"__type\":\"ElectrocardiogramVoltageValue\",\"voltage\":0.000125,\"timeSinceSampleStart\":0}],\"averageHeartRate\":61,\"samplingFrequency\":512,\"classification\":\"SINUS_RHYTHM\"".to_owned(),
            "appleHealth",
            "HKDataTypeIdentifierElectrocardiogram {\"electrocardiogram\":{\"classification\":\"SINUS_RHYTHM\",\"average_heart_rate\":61.0,\"sampling_frequency\":512.0,\"voltages\":[125.0]}}",
        ),
        ("MENSTRUATION_FLOW", "NO_UNIT", "\"__type\":\"MenstruationFlowHealthValue\",\"flow\":\"medium\",\"dateTime\":null".to_owned(), "appleHealth", "HKCategoryTypeIdentifierMenstrualFlow 3"),
        ("INSULIN_DELIVERY", "INTERNATIONAL_UNIT", "\"__type\":\"InsulinDeliveryHealthValue\",\"units\":4.5".to_owned(), "appleHealth", "HKQuantityTypeIdentifierInsulinDelivery 4.5,\"unit\":\"IU\""),
        ("NUTRITION", "NO_UNIT", "\"__type\":\"NutritionHealthValue\",\"name\":\"Soup\"".to_owned(), "appleHealth", "dk.cachet.health.nutrition {\"json\":{\"__type\":\"NutritionHealthValue\",\"name\":\"Soup\"}}"),
    ] {
        assert_eq!(read(&point(kind, unit, &value, platform)), expected, "{kind}");
    }
}

/// Scenario: times without an offset, with one and in UTC. Guarantees: G4, what is not known is said.
#[test]
fn a_time_without_an_offset_is_marked() {
    let local = point("STEPS", "COUNT", "\"numericValue\":1", "appleHealth");
    let (records, _) = decode(&local);
    assert_eq!(records[0].start.to_string(), "2026-03-01T08:00:00Z");
    assert!(records[0].metadata.as_ref().unwrap().get("localTime").is_some());
    let (records, _) = decode(&local.replace("08:00:00.000", "08:00:00.000+02:00"));
    assert_eq!(
        (records[0].start.to_string().as_str(), records[0].zone.as_deref()),
        ("2026-03-01T06:00:00Z", Some("+02:00"))
    );
    assert!(records[0].metadata.is_none());
}

/// Scenario: an array with points that are none. Guarantees: G1, each is a reject that can be read again alone; G8.
#[test]
fn what_is_no_point_is_a_reject() {
    let good = point("STEPS", "COUNT", "\"numericValue\":1", "appleHealth");
    let bad = [
        good.replace(":1}", ":\"secret\"}"),
        good.replace("STEPS", "two words"),
        good.replace("2026-03-01T08:10", "2025-03-01T08:10"),
        good.replace("2026-03-01T08:00:00.000", "secret"),
        good.replace("\"unit\":\"COUNT\",", ""),
        "{\"value\":7}".to_owned(),
    ];
    let (records, rejects) = decode(&format!("[{good},{},{good}]", bad.join(",")));
    assert_eq!((records.len(), rejects.len()), (2, bad.len()));
    for reject in rejects {
        assert!(!reject.reason.contains("secret"), "{}", reject.reason);
        let (none, again) = decode(std::str::from_utf8(reject.payload.bytes()).unwrap());
        assert_eq!((none.len(), again.len(), &again[0].reason), (0, 1, &reject.reason));
    }
}
