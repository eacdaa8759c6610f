use afferent_core::{Batch, Record, Rejects, Value};

use crate::{DecoderOptions, Format, Location};

const FORMAT: Format = Format::HealthAutoExport;

fn decode_in(pieces: usize, text: &str) -> (Batch<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = FORMAT.decoder(DecoderOptions::default()).unwrap();
    for piece in text.as_bytes().chunks(text.len().div_ceil(pieces).max(1)) {
        decoder.decode(piece, at, &mut batch, &mut rejects);
    }
    decoder.finish(at, &mut batch, &mut rejects);
    (batch, rejects)
}

fn all(text: &str) -> Vec<Record> {
    let (batch, rejects) = decode_in(1, text);
    assert!(rejects.is_empty(), "{text}: {rejects:?}");
    batch.into_vec()
}

/// What the wire form of a record has from its type on.
fn wire(record: &Record) -> String {
    let mut out = Vec::new();
    Format::Json.encoder().unwrap().encode(record, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.trim_end().split_once(",\"type\":\"").unwrap().1.to_owned()
}

fn metric(name: &str, units: &str, points: &str) -> String {
    format!(
        "{{\"data\":{{\"metrics\":[{{\"name\":\"{name}\",\"units\":\"{units}\",\"data\":[{points}]}}]}}}}"
    )
}

fn one(name: &str, units: &str, point: &str) -> String {
    let records = all(&metric(name, units, point));
    assert_eq!(records.len(), 1);
    wire(&records[0])
}

/// Scenario: a point by each clock, and at the ends of the half days. Guarantees: G4, it is the same instant, in the person's
/// zone.
#[test]
fn both_clocks_are_read() {
    let at = |date: &str| {
        let record = &all(&metric("step_count", "count", &format!("{{\"qty\":7,\"date\":\"{date}\"}}")))[0];
        (record.start.to_string(), record.zone.as_deref().unwrap().to_owned())
    };
    let evening = at("2026-03-01 18:05:09 +0100");
    assert_eq!(evening, ("2026-03-01T17:05:09Z".to_owned(), "+01:00".to_owned()));
    for date in
        ["2026-03-01 6:05:09\u{202f}PM +0100", "2026-03-01 6:05:09 pm +0100", "2026-03-01T18:05:09+01:00"]
    {
        assert_eq!(at(date), evening);
    }
    assert_eq!(at("2026-03-01 12:00:00\u{202f}AM +0530").0, "2026-02-28T18:30:00Z");
    assert_eq!(at("2026-03-01 12:00:00\u{202f}PM +0530").0, "2026-03-01T06:30:00Z");
    for date in [
        "2026-03-01 13:00:00 PM +0100",
        "2026-03-01 0:00:00 AM +0100",
        "2026-03-01 18:00:00",
        "2026-03-01",
        "x",
    ] {
        let (batch, rejects) =
            decode_in(1, &metric("step_count", "count", &format!("{{\"qty\":7,\"date\":\"{date}\"}}")));
        assert_eq!((batch.len(), rejects.len()), (0, 1), "{date}");
    }
}

/// Scenario: points of each form. Guarantees: G4, each becomes the value of its form; a percentage is a fraction.
#[test]
fn points_are_read_in_all_their_forms() {
    let date = "\"date\":\"2026-03-01 00:00:00 +0000\"";
    let times = "\"start\":\"2026-03-01T00:00:00Z\",\"end\":\"2026-03-01T00:00:00Z\",\"value\":";
    for (name, units, point, expected) in [
        (
            "active_energy",
            "kJ",
            "\"qty\":0.5,\"source\":\"Ann’s Watch|Phone\"",
            format!(
                "HKQuantityTypeIdentifierActiveEnergyBurned\",{times}0.5,\"unit\":\"kJ\",\"source\":{{\"name\":\"Ann’s Watch|Phone\"}}}}"
            ),
        ),
        (
            "blood_oxygen_saturation",
            "%",
            "\"qty\":97",
            format!("HKQuantityTypeIdentifierOxygenSaturation\",{times}0.97,\"unit\":\"%\"}}"),
        ),
        (
            "heart_rate",
            "bpm",
            "\"Min\":51,\"Avg\":64.5,\"Max\":183",
            format!(
                "HKQuantityTypeIdentifierHeartRate\",{times}{{\"aggregate\":{{\"min\":51.0,\"average\":64.5,\"max\":183.0}}}},\"unit\":\"count/min\"}}"
            ),
        ),
        (
            "blood_glucose",
            "mmol/L",
            "\"qty\":5.4,\"mealTime\":\"Before Meal\"",
            format!(
                "HKQuantityTypeIdentifierBloodGlucose\",{times}5.4,\"unit\":\"mmol/L\",\"metadata\":{{\"mealTime\":\"Before Meal\"}}}}"
            ),
        ),
        (
            "sexual_activity",
            "times",
            "\"Unspecified\":0,\"Protection Used\":1",
            format!(
                "HKCategoryTypeIdentifierSexualActivity\",{times}{{\"aggregate\":{{\"Unspecified\":0.0,\"Protection Used\":1.0}}}},\"unit\":\"count\"}}"
            ),
        ),
        (
            "mood_score",
            "score",
            "\"qty\":3",
            format!("com.healthexportapp.mood_score\",{times}3.0,\"unit\":\"score\"}}"),
        ),
    ] {
        assert_eq!(one(name, units, &format!("{{{point},{date}}}")), expected, "{name}");
    }
    let record =
        &all(&metric("blood_pressure", "mmHg", &format!("{{{date},\"systolic\":121,\"diastolic\":79}}")))[0];
    let Value::Correlation(pressure) = &record.value else { panic!("a correlation") };
    assert_eq!(
        pressure.samples.iter().map(|sample| sample.value.as_f64().unwrap()).collect::<Vec<_>>(),
        [121.0, 79.0]
    );
    let phase = "{\"startDate\":\"2026-03-01 02:00:00 +0000\",\"endDate\":\"2026-03-01 03:00:00 +0000\",\"qty\":1,\"value\":\"Core\"}";
    assert!(one("sleep_analysis", "hr", phase).ends_with("\"end\":\"2026-03-01T03:00:00Z\",\"value\":3}"));
    let night = "{\"asleep\":0,\"sleepStart\":\"2026-03-01 00:30:00 +0000\",\"sleepEnd\":\"2026-03-01 08:00:00 +0000\",\"inBed\":8.25,\"core\":3.5}";
    assert_eq!(
        one("sleep_analysis", "hr", night),
        "HKCategoryTypeIdentifierSleepAnalysis\",\"start\":\"2026-03-01T00:30:00Z\",\"end\":\"2026-03-01T08:00:00Z\",\"value\":{\"aggregate\":{\"asleep\":0.0,\"inBed\":8.25,\"core\":3.5}},\"unit\":\"hr\"}"
    );
}

/// Scenario: a metric whose name and units stand before, between and behind its points, in any pieces, and one after it.
/// Guarantees: G1, G4, points are of their own metric wherever it is named.
#[test]
fn a_metric_may_be_named_behind_its_points() {
    let point = |qty: u32| format!("{{\"qty\":{qty},\"date\":\"2026-03-01 00:00:00 +0000\"}}");
    let (name, units) = ("\"name\":\"step_count\"", "\"units\":\"count\"");
    let data = format!("\"data\":[{},{}]", point(1), point(2));
    let expected = all(&metric("step_count", "count", &format!("{},{}", point(1), point(2))));
    for order in [[name, units, &data], [&data, units, name], [units, &data, name]] {
        let after = "{\"name\":\"heart_rate\",\"units\":\"bpm\",\"data\":[]}";
        let text = format!("{{\"data\":{{\"metrics\":[{{{}}},{after}]}}}}", order.join(","));
        for pieces in [1, 3, text.len()] {
            let (batch, rejects) = decode_in(pieces, &text);
            assert_eq!((batch.into_vec(), rejects.len()), (expected.clone(), 0), "{text}");
        }
    }
    let (batch, rejects) = decode_in(1, &format!("{{\"data\":{{\"metrics\":[{{{data}}}]}}}}"));
    assert_eq!((batch.len(), rejects.len()), (0, 2), "no name at all");
    let (batch, rejects) = decode_in(1, &format!("{{\"data\":{{\"metrics\":[{{{data},{name}"));
    assert_eq!((batch.len(), rejects.len()), (0, 3), "it breaks off: two points, and the rest");
}

/// Scenario: workouts of both versions. Guarantees: G2, one without an id gets the same each time; G4, sums, heart rates, series
/// and route are there.
#[test]
fn workouts_of_both_versions_are_read() {
    let second = "{\"data\":{\"workouts\":[{\"id\":\"D2544F53-E56D-4417-A358-43AEC1663190\",\"name\":\"Outdoor Run\",\"start\":\"2026-03-01 18:00:00 +0100\",\"end\":\"2026-03-01 18:30:00 +0100\",\"duration\":1800,\"isIndoor\":false,\
        \"distance\":{\"qty\":5.2,\"units\":\"km\"},\"elevationUp\":{\"qty\":4,\"units\":\"m\"},\"heartRate\":{\"min\":{\"qty\":118,\"units\":\"bpm\"},\"avg\":{\"qty\":151,\"units\":\"bpm\"},\"max\":{\"qty\":176,\"units\":\"bpm\"}},\
        \"heartRateData\":[{\"date\":\"2026-03-01 18:01:00 +0100\",\"Min\":118,\"Avg\":120,\"Max\":122,\"units\":\"bpm\"}],\"heartRateRecovery\":null,\
        \"route\":[{\"latitude\":52.5,\"longitude\":4.75,\"timestamp\":\"2026-03-01 18:00:02 +0100\"}]}]}}";
    let records = all(second);
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].id.to_string(), "d2544f53-e56d-4417-a358-43aec1663190");
    assert_eq!(
        wire(&records[0]),
        "HKWorkoutTypeIdentifier\",\"start\":\"2026-03-01T17:00:00Z\",\"end\":\"2026-03-01T17:30:00Z\",\"value\":{\"workout\":{\"activity\":37,\"duration\":1800.0,\"statistics\":[\
         {\"type\":\"HKQuantityTypeIdentifierDistanceWalkingRunning\",\"unit\":\"km\",\"sum\":5.2},{\"type\":\"HKQuantityTypeIdentifierHeartRate\",\"unit\":\"count/min\",\"average\":151.0,\"minimum\":118.0,\"maximum\":176.0}]}},\
         \"zone\":\"+01:00\",\"metadata\":{\"isIndoor\":false,\"elevationUp\":{\"value\":4.0,\"unit\":\"m\"},\"name\":\"Outdoor Run\"}}"
    );
    let first = "{\"data\":{\"workouts\":[{\"name\":\"Walking\",\"start\":\"2026-03-01 08:00:00 +0800\",\"end\":\"2026-03-01 08:20:00 +0800\",\"route\":[{\"lat\":38.5,\"lon\":-77,\"altitude\":8,\"timestamp\":\"2026-03-01 08:04:00 +0800\"}],\
        \"heartRateData\":[{\"date\":\"2026-03-01 08:02:00 +0800\",\"qty\":108,\"units\":\"bpm\"}],\"elevation\":{\"units\":\"m\",\"ascent\":16,\"descent\":0},\"activeEnergy\":{\"qty\":226.5,\"units\":\"kJ\"},\"stepCount\":{\"qty\":908,\"units\":\"steps\"}}]}}";
    let records = all(first);
    assert_eq!(
        records.iter().map(|record| record.kind.unwrap().short()).collect::<Vec<_>>(),
        ["Workout", "HeartRate", "WorkoutRoute"]
    );
    assert_eq!(records, all(first));
    for name in ["Outdoor Cycling", "Pool Swim", "Hiking", "Traditional Strength Training", "Yoga"] {
        assert!(super::workouts::activity(name).is_some(), "{name}");
    }
}

/// Scenario: a bad point, a bad workout and a part that nobody knows among good ones. Guarantees: G1, each is a reject and the
/// others are read; a reject can be read again alone, with its metric; G8.
#[test]
fn what_is_no_point_is_a_reject() {
    let good = "{\"qty\":1,\"date\":\"2026-03-01 00:00:00 +0000\"}";
    let text = format!(
        "{{\"data\":{{\"metrics\":[{{\"name\":\"step_count\",\"units\":\"count\",\"data\":[{good},{{\"qty\":\"secret\",\"date\":\"2026-03-01 00:00:00 +0000\"}},{{\"date\":\"secret\"}}]}}],\
         \"workouts\":[{{\"name\":\"secret\"}}],\"symptoms\":[{{\"name\":\"Cough\",\"start\":\"2026-03-01 00:00:00 +0000\"}}],\"novelties\":[{{}}]}}}}"
    );
    let (batch, rejects) = decode_in(1, &text);
    assert_eq!((batch.len(), rejects.len()), (2, 4));
    for reject in &rejects[..3] {
        assert!(!reject.reason.contains("secret"), "{}", reject.reason);
        let (batch, again) = decode_in(1, std::str::from_utf8(reject.payload.bytes()).unwrap());
        assert_eq!((batch.len(), again.len(), &again[0].reason), (0, 1, &reject.reason));
    }
    assert_eq!(rejects[3].reason, "expected a part of this format, found `novelties`");
}
