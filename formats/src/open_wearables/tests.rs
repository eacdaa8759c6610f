use afferent_core::{Batch, Record, Rejects, Value};

use crate::{DecoderOptions, Format, Location};

fn decode(text: &str) -> (Vec<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = Format::OpenWearables.decoder(DecoderOptions::default()).unwrap();
    decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    (batch.into_vec(), rejects)
}

fn wire(record: &Record) -> String {
    let mut out = Vec::new();
    Format::Json.encoder().unwrap().encode(record, &mut out).unwrap();
    String::from_utf8(out).unwrap().trim_end().split_once(",\"type\":\"").unwrap().1.to_owned()
}

const TIMES: &str = "\"startDate\":\"2026-03-01T08:00:00Z\",\"endDate\":\"2026-03-01T08:45:00Z\"";

/// Scenario: what the SDKs of both platforms post. Guarantees: G4, each part becomes the value of its form.
#[test]
fn what_sdks_post_is_read() {
    let (records, rejects) = decode(&format!(
        "{{\"provider\":\"samsung\",\"sdkVersion\":\"1\",\"syncTimestamp\":\"2026-03-01T10:00:00Z\",\"data\":{{\"records\":[\
         {{\"id\":\"ED008640-6873-4647-92B2-24F7680014A0\",\"type\":\"HKQuantityTypeIdentifierStepCount\",\"unit\":\"count\",\"value\":66,{TIMES},\"source\":{{\"name\":\"iPhone\",\"deviceModel\":\"iPhone\",\"operatingSystemVersion\":{{}}}}}},\
         {{\"id\":\"a-1\",\"type\":\"BLOOD_PRESSURE_SYSTOLIC\",\"unit\":\"mmHg\",\"value\":122.5,{TIMES},\"zoneOffset\":\"+01:00\",\"parentId\":\"a\",\"metadata\":null}},\
         {{\"id\":\"a-2\",\"type\":\"STRESS_SCORE\",\"unit\":\"score\",\"value\":3,{TIMES}}}],\
         \"sleep\":[{{\"id\":\"s-1\",\"stage\":\"light\",{TIMES},\"values\":[{{\"type\":\"sleepScore\",\"value\":82,\"unit\":\"score\"}}]}}],\
         \"workouts\":[{{\"id\":\"w-1\",\"type\":\"RUNNING\",{TIMES},\"values\":[{{\"type\":\"duration\",\"value\":2700000,\"unit\":\"ms\"}},{{\"type\":\"calories\",\"value\":345.5,\"unit\":\"kcal\"}},\
         {{\"type\":\"meanHeartRate\",\"value\":140,\"unit\":\"bpm\"}},{{\"type\":\"indoorWorkout\",\"unit\":\"bool\",\"value\":false}}]}}]}}}}"
    ));
    assert!(rejects.is_empty(), "{rejects:?}");
    let times = "\"start\":\"2026-03-01T08:00:00Z\",\"end\":\"2026-03-01T08:45:00Z\",\"value\":";
    let found: Vec<String> = records.iter().map(wire).collect();
    assert_eq!(
        found,
        [
            format!(
                "HKQuantityTypeIdentifierStepCount\",{times}66.0,\"unit\":\"count\",\"source\":{{\"name\":\"iPhone\"}},\"device\":{{\"model\":\"iPhone\"}}}}"
            ),
            format!(
                "HKQuantityTypeIdentifierBloodPressureSystolic\",{times}122.5,\"unit\":\"mmHg\",\"zone\":\"+01:00\",\"metadata\":{{\"parentId\":\"a\"}}}}"
            ),
            format!("io.openwearables.stress_score\",{times}3.0,\"unit\":\"score\"}}"),
            format!(
                "HKCategoryTypeIdentifierSleepAnalysis\",{times}3,\"metadata\":{{\"sleepScore\":{{\"value\":82.0,\"unit\":\"score\"}}}}}}"
            ),
            format!(
                "HKWorkoutTypeIdentifier\",{times}{{\"workout\":{{\"activity\":37,\"duration\":2700.0,\"statistics\":[{{\"type\":\"HKQuantityTypeIdentifierActiveEnergyBurned\",\"unit\":\"kcal\",\"sum\":345.5}},\
                 {{\"type\":\"HKQuantityTypeIdentifierHeartRate\",\"unit\":\"count/min\",\"average\":140.0}}]}}}},\"metadata\":{{\"indoorWorkout\":false}}}}"
            ),
        ]
    );
}

/// Scenario: webhooks with samples and without, one after the other. Guarantees: G1, samples are those of their user; without any
/// it is a notification; nothing of one document is in the next.
#[test]
fn webhooks_are_read() {
    let with = "{\"type\":\"steps.created\",\"data\":{\"user_id\":\"u-1\",\"provider\":\"garmin\",\"series_type\":\"steps\",\"sample_count\":1,\"start_time\":\"2026-03-01T08:00:00+00:00\",\
                \"samples\":[{\"timestamp\":\"2026-03-01T08:00:00+00:00\",\"zone_offset\":\"+00:00\",\"type\":\"steps\",\"value\":8432.0,\"unit\":\"count\",\"source\":{\"provider\":\"garmin\",\"device\":null},\"is_daily_total\":null}]}}";
    let without = "{\"type\":\"workout.created\",\"data\":{\"user_id\":\"u-2\",\"start_time\":\"2026-03-01T08:00:00+00:00\",\"end_time\":\"2026-03-01T09:00:00+00:00\",\"workout\":{\"id\":\"1\"}}}";
    let (records, rejects) = decode(&format!("{with}\n{without}\n{{\"data\":{{\"samples\":[]}}}}"));
    assert!(rejects.is_empty(), "{rejects:?}");
    assert_eq!(records.len(), 2);
    assert_eq!(
        wire(&records[0]),
        "HKQuantityTypeIdentifierStepCount\",\"start\":\"2026-03-01T08:00:00Z\",\"end\":\"2026-03-01T08:00:00Z\",\"value\":8432.0,\"unit\":\"count\",\"subject\":\"u-1\",\"source\":{\"name\":\"garmin\"}}"
    );
    let Value::Notification(said) = &records[1].value else { panic!("a notification") };
    assert_eq!((&*said.topic, records[1].subject.as_deref()), ("workout.created", Some("u-2")));
    assert_eq!(records[1].end.to_string(), "2026-03-01T09:00:00Z");
}

/// Scenario: parts that are none. Guarantees: G1, each is a reject that can be read again alone; G8.
#[test]
fn what_is_no_part_is_a_reject() {
    let (records, rejects) = decode(&format!(
        "{{\"data\":{{\"user_id\":\"u\",\"records\":[{{\"type\":\"STEPS\",\"value\":\"secret\",\"unit\":\"count\",{TIMES}}},{{\"value\":1}}],\"sleep\":[{{\"stage\":\"secret\",{TIMES}}}],\"workouts\":[{{}}],\"samples\":[{{\"type\":\"steps\"}}]}}}}"
    ));
    assert_eq!((records.len(), rejects.len()), (0, 5));
    for reject in rejects {
        assert!(!reject.reason.contains("secret"), "{}", reject.reason);
        let (none, again) = decode(std::str::from_utf8(reject.payload.bytes()).unwrap());
        assert_eq!((none.len(), again.len(), &again[0].reason), (0, 1, &reject.reason));
    }
}
