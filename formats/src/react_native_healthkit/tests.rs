use afferent_core::{Batch, Change, Record, Rejects, Value};

use crate::{DecoderOptions, Format, Location};

fn decode(text: &str) -> (Vec<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = Format::ReactNativeHealthkit.decoder(DecoderOptions::default()).unwrap();
    decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    (batch.into_vec(), rejects)
}

fn wire(text: &str) -> String {
    let (records, rejects) = decode(text);
    assert_eq!((records.len(), rejects.len()), (1, 0), "{text}: {rejects:?}");
    let mut out = Vec::new();
    Format::Json.encoder().unwrap().encode(&records[0], &mut out).unwrap();
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

const ID: &str = "0b9c5f0e-4f3e-4a53-9c8e-1f2a3b4c5d6e";
const TIMES: &str = "\"startDate\":\"2026-01-01T00:00:00.250Z\",\"endDate\":\"2026-01-01T00:01:00.000Z\"";

/// A sample with these keys.
fn sample(keys: &str) -> String {
    format!("{{\"uuid\":\"{ID}\",{keys},{TIMES}}}")
}

const STEPS: &str =
    "\"quantityType\":\"HKQuantityTypeIdentifierStepCount\",\"quantity\":612,\"unit\":\"count\"";

/// Scenario: a sample of each kind, with a source and a device. Guarantees: G4, what a record has a place for is in it.
#[test]
fn every_kind_of_sample_is_read() {
    let head = format!("{{\"id\":\"{ID}\",\"type\":\"");
    let times = "\",\"start\":\"2026-01-01T00:00:00.250000Z\",\"end\":\"2026-01-01T00:01:00Z\",\"value\":";
    let source = "\"sourceRevision\":{\"source\":{\"name\":\"Phone\",\"bundleIdentifier\":\"com.example\"},\"version\":\"1\",\"operatingSystemVersion\":\"18.1\",\"productType\":\"iPhone15,2\"},\"device\":{\"name\":\"iPhone\",\"hardwareVersion\":\"iPhone15,2\"}";
    for (keys, expected) in [
        (
            format!("{STEPS},\"hasUndeterminedDuration\":false,\"metadata\":{{\"HKWasUserEntered\":false,\"HKTimeZone\":\"Europe/Berlin\"}},{source}"),
            "HKQuantityTypeIdentifierStepCount#612.0,\"unit\":\"count\",\"zone\":\"Europe/Berlin\",\"source\":{\"name\":\"Phone\",\"bundle\":\"com.example\",\"version\":\"1\",\"product\":\"iPhone15,2\",\"os\":\"18.1\"},\
             \"device\":{\"name\":\"iPhone\",\"hardware\":\"iPhone15,2\"},\"metadata\":{\"HKWasUserEntered\":false,\"HKTimeZone\":\"Europe/Berlin\"}}",
        ),
        ("\"categoryType\":\"HKCategoryTypeIdentifierSleepAnalysis\",\"value\":4".to_owned(), "HKCategoryTypeIdentifierSleepAnalysis#4}"),
        (
            "\"workoutActivityType\":13,\"duration\":{\"unit\":\"min\",\"quantity\":2},\"totalEnergyBurned\":{\"unit\":\"kcal\",\"quantity\":20},\"totalDistance\":{\"unit\":\"m\",\"quantity\":500},\
             \"events\":[{\"type\":1,\"startDate\":\"2026-01-01T00:00:10.000Z\",\"endDate\":\"2026-01-01T00:00:10.000Z\"}],\"metadata\":{\"HKAverageMETs\":{\"unit\":\"kcal/(kg*hr)\",\"quantity\":1.5}}".to_owned(),
            "HKWorkoutTypeIdentifier#{\"workout\":{\"activity\":13,\"duration\":120.0,\"events\":[{\"event\":\"pause\",\"start\":\"2026-01-01T00:00:10Z\",\"end\":\"2026-01-01T00:00:10Z\"}],\
             \"statistics\":[{\"type\":\"HKQuantityTypeIdentifierActiveEnergyBurned\",\"unit\":\"kcal\",\"sum\":20.0},{\"type\":\"HKQuantityTypeIdentifierDistanceCycling\",\"unit\":\"m\",\"sum\":500.0}]}},\
             \"metadata\":{\"HKAverageMETs\":{\"value\":1.5,\"unit\":\"kcal/(kg*hr)\"}}}",
        ),
        (
            "\"classification\":\"sinusRhythm\",\"symptomsStatus\":\"none\",\"averageHeartRateBpm\":61,\"samplingFrequencyHz\":512,\"numberOfVoltageMeasurements\":1,\"voltages\":[{\"timeSinceSampleStart\":0,\"voltage\":0.000125,\"lead\":\"unknown\"}]".to_owned(),
            "HKDataTypeIdentifierElectrocardiogram#{\"electrocardiogram\":{\"classification\":\"sinusRhythm\",\"average_heart_rate\":61.0,\"sampling_frequency\":512.0,\"voltages\":[125.0]}},\"metadata\":{\"symptomsStatus\":\"none\"}}",
        ),
        (
            "\"heartbeats\":[{\"timeSinceSeriesStart\":0.5,\"precededByGap\":true}]".to_owned(),
            "HKDataTypeIdentifierHeartbeatSeries#{\"heartbeat_series\":{\"beats\":[{\"time\":0.5,\"gap\":true}]}}}",
        ),
    ] {
        let expected = expected.split_once('#').map(|(kind, rest)| format!("{head}{kind}{times}{rest}")).unwrap();
        assert_eq!(wire(&sample(&keys)), expected);
    }
    let route = "{\"locations\":[{\"date\":\"2026-01-01T00:00:00.000Z\",\"latitude\":52.5,\"longitude\":4.75,\"distance\":null},{\"date\":1767225601500,\"latitude\":52.5,\"longitude\":4.75}]}";
    let (records, _) = decode(route);
    assert_eq!(records[0].end.to_string(), "2026-01-01T00:00:01.500000Z");
    let pressure = sample(&format!(
        "\"correlationType\":\"HKCorrelationTypeIdentifierBloodPressure\",\"objects\":[{},{}]",
        sample(STEPS),
        sample(STEPS)
    ));
    let (records, _) = decode(&pressure);
    let Value::Correlation(found) = &records[0].value else { panic!("a correlation") };
    assert_eq!(found.samples.len(), 2);
}

/// Scenario: an answer with an anchor, arrays, a call of a subscription, and what is no sample. Guarantees: G3, deletions come after
/// the samples; G1, what is none is a reject that can be read again alone; G8.
#[test]
fn answers_and_calls_are_read() {
    let (records, rejects) = decode(&format!(
        "{{\"samples\":[{},{{\"quantity\":\"secret\"}}],\"deletedSamples\":[{{\"uuid\":\"{ID}\",\"metadata\":{{}}}},{{}}],\"newAnchor\":\"YQ==\"}}",
        sample(STEPS)
    ));
    assert_eq!(
        records.iter().map(|record| record.change).collect::<Vec<_>>(),
        [Change::Added, Change::Deleted]
    );
    assert_eq!(rejects.len(), 2);
    for reject in rejects {
        assert!(!reject.reason.contains("secret"));
        let (none, again) = decode(std::str::from_utf8(reject.payload.bytes()).unwrap());
        assert_eq!((none.len(), again.len(), &again[0].reason), (0, 1, &reject.reason));
    }
    assert_eq!(decode(&format!("[{0},{0}]", sample(STEPS))).0.len(), 2);
    assert_eq!(decode(&format!("{{\"uuid\":\"{ID}\"}}")).0[0].change, Change::Deleted);
    let (called, _) = decode("{\"typeIdentifier\":\"HKQuantityTypeIdentifierStepCount\"}");
    assert!(matches!(called[0].value, Value::Notification(_)));
    for bad in [
        "{\"typeIdentifier\":\"HKQuantityTypeIdentifierStepCount\",\"errorMessage\":\"secret\"}".to_owned(),
        sample(STEPS).replace("612", "null"),
        sample(STEPS).replace("\"count\"", "null"),
        sample(STEPS).replace("2026-01-01T00:01", "2025-01-01T00:01"),
        sample("\"categoryType\":\"HKQuantityTypeIdentifierStepCount\",\"value\":1"),
    ] {
        let (records, rejects) = decode(&bad);
        assert_eq!((records.len(), rejects.len()), (0, 1), "{bad}");
        assert!(!rejects[0].reason.contains("secret"), "{}", rejects[0].reason);
    }
}
