use afferent_core::{Batch, Record, Rejects, Value};

use crate::{DecoderOptions, Format, Location};

fn decode(format: Format, text: &str) -> (Vec<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    let mut decoder = format.decoder(DecoderOptions::default()).unwrap();
    decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
    decoder.finish(at, &mut batch, &mut rejects);
    (batch.into_vec(), rejects)
}

/// Type, subject, times and topic of a notification.
fn said(record: &Record) -> String {
    let Value::Notification(said) = &record.value else { panic!("a notification: {record:?}") };
    let subject = record.subject.as_deref().unwrap_or("nobody");
    format!(
        "{} {} {}: {} {subject} {}",
        said.vendor,
        said.topic,
        record.kind.unwrap().name(),
        record.start,
        record.end
    )
}

/// Scenario: what each vendor sends that only says that something is there. Guarantees: user, topic and interval are there for a
/// puller; G2, the same body is the same record, another is another.
#[test]
fn notifications_are_read() {
    for (format, body, expected) in [
        (
            Format::GoogleHealth,
            "[{\"data\":{\"version\":\"1\",\"healthUserId\":\"hu-1\",\"operation\":\"UPSERT\",\"dataType\":\"steps\",\"intervals\":[{\"physicalTimeInterval\":{\"startTime\":\"2026-03-01T07:00:00Z\",\"endTime\":\"2026-03-01T08:00:00Z\"}}]}}]",
            "google_health steps com.google.health.steps: 2026-03-01T07:00:00Z hu-1 2026-03-01T08:00:00Z",
        ),
        (
            Format::Fitbit,
            "[{\"collectionType\":\"activities\",\"date\":\"2026-03-01\",\"ownerId\":\"2A\",\"ownerType\":\"user\",\"subscriptionId\":\"1\"}]",
            "fitbit activities com.fitbit.activities: 2026-03-01T00:00:00Z 2A 2026-03-02T00:00:00Z",
        ),
        (
            Format::Oura,
            "{\"event_type\":\"update\",\"data_type\":\"daily_sleep\",\"object_id\":\"o-1\",\"event_time\":\"2026-03-01T07:16:01.5+00:00\",\"user_id\":\"u-1\"}",
            "oura daily_sleep com.ouraring.daily_sleep: 2026-03-01T07:16:01.500000Z u-1 2026-03-01T07:16:01.500000Z",
        ),
        (
            Format::Withings,
            "userid=12&appli=1&startdate=1772319600&enddate=1772319601",
            "withings 1 com.withings.1: 2026-02-28T23:00:00Z 12 2026-02-28T23:00:01Z",
        ),
        (
            Format::Strava,
            "{\"aspect_type\":\"update\",\"event_time\":1772349600,\"object_id\":13,\"object_type\":\"activity\",\"owner_id\":14,\"updates\":{\"title\":\"a\"}}",
            "strava activity com.strava.activity: 2026-03-01T07:20:00Z 14 2026-03-01T07:20:00Z",
        ),
        (
            Format::Polar,
            "{\"event\":\"EXERCISE\",\"user_id\":475,\"entity_id\":\"e\",\"timestamp\":\"2026-03-01T14:22:24Z\"}",
            "polar EXERCISE com.polar.exercise: 2026-03-01T14:22:24Z 475 2026-03-01T14:22:24Z",
        ),
        (
            Format::Whoop,
            "{\"user_id\":10,\"id\":\"w\",\"type\":\"workout.updated\",\"trace_id\":\"t\"}",
            "whoop workout.updated com.whoop.workout.updated: 1970-01-01T00:00:00Z 10 1970-01-01T00:00:00Z",
        ),
        (
            Format::Garmin,
            "{\"activities\":[{\"userId\":\"98\",\"callbackURL\":\"https://api.example/a?token=x\"}]}",
            "garmin activities com.garmin.activities: 1970-01-01T00:00:00Z 98 1970-01-01T00:00:00Z",
        ),
        (
            Format::Suunto,
            "{\"type\":\"SUUNTO_247_SLEEP_CREATED\",\"username\":\"kim\",\"samples\":[]}",
            "suunto SUUNTO_247_SLEEP_CREATED com.suunto.suunto_247_sleep_created: 1970-01-01T00:00:00Z kim 1970-01-01T00:00:00Z",
        ),
        (
            Format::Terra,
            "{\"type\":\"auth\",\"status\":\"success\",\"user\":{\"user_id\":\"t-1\",\"provider\":\"FITBIT\"}}",
            "terra auth co.tryterra.auth: 1970-01-01T00:00:00Z t-1 1970-01-01T00:00:00Z",
        ),
        (
            Format::Junction,
            "{\"event_type\":\"historical.data.workouts.created\",\"user_id\":\"j-1\",\"data\":{\"is_final\":true}}",
            "junction historical.data.workouts.created com.junction.historical.data.workouts.created: 1970-01-01T00:00:00Z j-1 1970-01-01T00:00:00Z",
        ),
    ] {
        let (records, rejects) = decode(format, body);
        assert_eq!((records.len(), rejects.len()), (1, 0), "{body}: {rejects:?}");
        assert_eq!(said(&records[0]), expected);
        let other = body.replace(['1', '7', '9'], "2");
        let (again, _) = decode(format, body);
        assert_eq!(again[0].id, records[0].id);
        let (other, rejects) = decode(format, &other);
        assert!(rejects.len() == 1 || other[0].id != records[0].id, "{body}");
    }
    assert_eq!(decode(Format::Polar, "{\"timestamp\":\"2026-03-01T14:00:00Z\",\"event\":\"PING\"}").0, []);
    assert_eq!(decode(Format::GoogleHealth, "{\"type\":\"verification\"}").0, []);
}

/// Scenario: what vendors send that is data. Guarantees: G4, numbers are quantities in their units, of their user; what has no type
/// here is kept as it is.
#[test]
fn data_are_read() {
    let daily = "{\"dailies\":[{\"userId\":\"98\",\"summaryId\":\"x\",\"startTimeInSeconds\":1772319600,\"startTimeOffsetInSeconds\":3600,\"durationInSeconds\":86400,\"steps\":4210,\"distanceInMeters\":3146.5,\"activeKilocalories\":321,\
                 \"timeOffsetHeartRateSamples\":{\"15\":75,\"30\":76}}]}";
    let (records, rejects) = decode(Format::Garmin, daily);
    assert!(rejects.is_empty(), "{rejects:?}");
    let shown: Vec<String> = records
        .iter()
        .map(|record| {
            format!("{} {:?} {}", record.kind.unwrap().short(), record.value.as_f64(), record.start)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "StepCount Some(4210.0) 2026-02-28T23:00:00Z",
            "DistanceWalkingRunning Some(3146.5) 2026-02-28T23:00:00Z",
            "ActiveEnergyBurned Some(321.0) 2026-02-28T23:00:00Z",
            "HeartRate Some(75.0) 2026-02-28T23:00:15Z",
            "HeartRate Some(76.0) 2026-02-28T23:00:30Z",
            "com.garmin.dailies None 2026-02-28T23:00:00Z",
        ]
    );
    assert!(records.iter().all(|record| record.subject.as_deref() == Some("98") && record.zone.as_deref() == Some("+01:00")));
    let glucose = "{\"event_type\":\"daily.data.glucose.created\",\"user_id\":\"j-1\",\"client_user_id\":\"c\",\"data\":{\"user_id\":\"j-1\",\"source\":{\"name\":\"Meter\"},\"data\":[\
                   {\"timestamp\":\"2026-03-01T07:14:22+00:00\",\"value\":5.4,\"unit\":\"mmol/L\",\"type\":\"fingerprick\"},{\"timestamp\":\"2026-03-01T07:14:22+00:00\",\"value\":\"secret\",\"unit\":\"mmol/L\"}]}}";
    let (records, rejects) = decode(Format::Junction, glucose);
    assert_eq!((records.len(), rejects.len()), (1, 1));
    assert_eq!(
        (records[0].kind.unwrap().short(), records[0].value.as_f64(), records[0].subject.as_deref()),
        ("BloodGlucose", Some(5.4), Some("j-1"))
    );
    let terra = "{\"type\":\"daily\",\"user\":{\"user_id\":\"t-1\"},\"data\":[{\"metadata\":{\"start_time\":\"2026-03-01T00:00:00+01:00\",\"end_time\":\"2026-03-02T00:00:00+01:00\"},\"steps\":1},{\"steps\":\"secret\"}]}";
    let (records, more) = decode(Format::Terra, terra);
    assert_eq!((records.len(), more.len()), (1, 1));
    assert_eq!(
        (records[0].kind.unwrap().name(), records[0].zone.as_deref()),
        ("co.tryterra.daily", Some("+01:00"))
    );
    let suunto = "{\"type\":\"SUUNTO_247_ACTIVITY_CREATED\",\"username\":\"kim\",\"samples\":[{\"timestamp\":\"2026-03-01T07:00:00Z\",\"hr\":61},{\"hr\":\"secret\"}]}";
    let (records, last) = decode(Format::Suunto, suunto);
    assert_eq!((records.len(), last.len()), (1, 1));
    for (format, reject) in
        [(Format::Junction, &rejects[0]), (Format::Terra, &more[0]), (Format::Suunto, &last[0])]
    {
        assert!(!reject.reason.contains("secret"), "{}", reject.reason);
        let (none, again) = decode(format, std::str::from_utf8(reject.payload.bytes()).unwrap());
        assert_eq!((none.len(), again.len(), &again[0].reason), (0, 1, &reject.reason), "{format:?}");
    }
}

/// Scenario: bodies that say nothing that is known. Guarantees: G11, each is a reject; G8.
#[test]
fn what_says_nothing_is_a_reject() {
    for (format, body) in [
        (Format::Oura, "{\"user_id\":\"secret\"}"),
        (Format::Fitbit, "[{\"collectionType\":\"activities\",\"date\":\"secret\"}]"),
        (Format::Strava, "{\"object_type\":\"secret words\"}"),
        (Format::Withings, "userid=1&startdate=secret"),
        (Format::Withings, "secret"),
        (Format::Garmin, "{\"dailies\":[{\"steps\":1}]}"),
        (Format::GoogleHealth, "{\"data\":{\"healthUserId\":\"secret\"}}"),
    ] {
        let (records, rejects) = decode(format, body);
        assert_eq!((records.len(), rejects.len()), (0, 1), "{body}");
        assert!(!rejects[0].reason.contains("secret"), "{}", rejects[0].reason);
    }
}
