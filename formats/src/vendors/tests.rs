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

/// Of each record its type, its value and when it is.
fn shown(records: &[Record]) -> Vec<String> {
    let show = |record: &Record| {
        let value = match &record.value {
            Value::Category(category) => format!("category {category}"),
            Value::Json(_) => "json".to_owned(),
            other => other.as_f64().map_or("other".to_owned(), |number| number.to_string()),
        };
        format!("{} {value} {} {}", record.kind.unwrap().short(), record.start, record.end)
    };
    records.iter().map(show).collect()
}

/// Scenario: what Suunto pushes of days and nights. Guarantees: G4, HealthKit's types in its units; what has none is there as JSON.
#[test]
fn samples_of_suunto_are_read() {
    let activity = "{\"type\":\"SUUNTO_247_ACTIVITY_CREATED\",\"username\":\"kim\",\"samples\":[\
        {\"timestamp\":\"2026-03-01T08:00:00.000+01:00\",\"entryData\":{\"HR\":61,\"StepCount\":12,\"EnergyConsumption\":4184,\"SpO2\":0.97,\"HRV\":null}},\
        {\"timestamp\":\"2026-03-01T08:10:00.000+01:00\",\"entryData\":{\"HR\":null,\"HRV\":48}},\
        {\"timestamp\":\"2026-03-01T08:20:00.000+01:00\",\"entryData\":{\"HR\":\"secret\",\"StepCount\":1}}]}";
    let (records, rejects) = decode(Format::Suunto, activity);
    assert_eq!(
        shown(&records),
        [
            "HeartRate 61 2026-03-01T07:00:00Z 2026-03-01T07:00:00Z",
            "StepCount 12 2026-03-01T07:00:00Z 2026-03-01T07:00:00Z",
            "ActiveEnergyBurned 4184 2026-03-01T07:00:00Z 2026-03-01T07:00:00Z",
            "OxygenSaturation 0.97 2026-03-01T07:00:00Z 2026-03-01T07:00:00Z",
            "com.suunto.suunto_247_activity_created json 2026-03-01T07:10:00Z 2026-03-01T07:10:00Z",
        ]
    );
    assert!(records.iter().all(|record| record.subject.as_deref() == Some("kim")));
    assert!(records.iter().all(|record| record.zone.as_deref() == Some("+01:00")));
    assert_eq!(rejects.len(), 1);
    assert!(!rejects[0].reason.contains("secret"), "{}", rejects[0].reason);
    let (none, again) = decode(Format::Suunto, std::str::from_utf8(rejects[0].payload.bytes()).unwrap());
    assert_eq!((none.len(), &again[0].reason), (0, &rejects[0].reason));
    let sleep = "{\"type\":\"SUUNTO_247_SLEEP_CREATED\",\"username\":\"kim\",\"samples\":[{\"timestamp\":\"2026-03-01T06:30:00+01:00\",\
        \"entryData\":{\"BedtimeStart\":\"2026-02-28T23:00:00+01:00\",\"BedtimeEnd\":\"2026-03-01T06:30:00+01:00\",\"DeepSleepDuration\":5400,\"SleepId\":7}}]}";
    let (records, rejects) = decode(Format::Suunto, sleep);
    assert!(rejects.is_empty(), "{rejects:?}");
    assert_eq!(
        shown(&records),
        [
            "SleepAnalysis category 0 2026-02-28T22:00:00Z 2026-03-01T05:30:00Z",
            "com.suunto.suunto_247_sleep_created json 2026-03-01T05:30:00Z 2026-03-01T05:30:00Z",
        ]
    );
    let backwards = sleep.replace("2026-03-01T06:30:00+01:00\",\"Deep", "2026-02-01T06:30:00+01:00\",\"Deep");
    let (records, rejects) = decode(Format::Suunto, &backwards);
    assert_eq!((records.len(), rejects.len()), (0, 1));
}

/// Scenario: a workout of Suunto's, sent twice. Guarantees: G2, it is known by its key; G4, its totals and rates are there.
#[test]
fn a_workout_of_suunto_is_read() {
    let body = "{\"type\":\"WORKOUT_CREATED\",\"username\":\"kim\",\"workout\":{\"workoutKey\":\"w-1\",\"activityId\":22,\"startTime\":1772352000000,\
        \"totalTime\":3600.5,\"energyConsumption\":500,\"stepCount\":8500,\"totalDistance\":10000,\"hrdata\":{\"workoutAvgHR\":145,\"workoutMaxHR\":175},\
        \"maxSpeed\":6,\"timeOffsetInMinutes\":120},\"gear\":{\"manufacturer\":\"Suunto\",\"name\":\"Suunto Vertical\",\"productType\":\"SPORT_WATCH\"}}";
    let (records, rejects) = decode(Format::Suunto, body);
    assert!(rejects.is_empty(), "{rejects:?}");
    let [record] = &records[..] else { panic!("a workout: {records:?}") };
    let Value::Workout(workout) = &record.value else { panic!("a workout: {record:?}") };
    assert_eq!((workout.activity, workout.duration), (37, Some(3600.5)));
    assert_eq!(
        (record.start.to_string(), record.end.to_string(), record.zone.as_deref()),
        ("2026-03-01T08:00:00Z".to_owned(), "2026-03-01T09:00:00.500000Z".to_owned(), Some("+02:00"))
    );
    let statistics: Vec<_> =
        workout.statistics.iter().map(|of| (of.kind.short(), of.sum, of.average, of.maximum)).collect();
    assert_eq!(
        statistics,
        [
            ("ActiveEnergyBurned", Some(500.0), None, None),
            ("DistanceWalkingRunning", Some(10_000.0), None, None),
            ("StepCount", Some(8_500.0), None, None),
            ("HeartRate", None, Some(145.0), Some(175.0)),
        ]
    );
    let device = record.origin.as_ref().and_then(|origin| origin.device.clone()).unwrap();
    assert_eq!(
        (device.name.as_deref(), device.manufacturer.as_deref()),
        (Some("Suunto Vertical"), Some("Suunto"))
    );
    assert_eq!(decode(Format::Suunto, &body.replace("8500", "8600")).0[0].id, record.id);
    assert_ne!(decode(Format::Suunto, &body.replace("w-1", "w-2")).0[0].id, record.id);
}

/// Scenario: every kind of data that Terra pushes. Guarantees: G4, HealthKit's types in its units, and the whole as JSON.
#[test]
fn data_of_terra_are_read() {
    let of = |topic: &str, metadata: &str, rest: &str| {
        format!(
            "{{\"type\":\"{topic}\",\"user\":{{\"user_id\":\"t-1\",\"provider\":\"GARMIN\"}},\"data\":[{{{rest},\"metadata\":\
             {{\"start_time\":\"2026-03-01T00:00:00+01:00\",\"end_time\":\"2026-03-02T00:00:00+01:00\"{metadata}}}}}]}}"
        )
    };
    let read = |body: &str| {
        let (records, rejects) = decode(Format::Terra, body);
        assert!(rejects.is_empty(), "{rejects:?}");
        assert!(records.iter().all(|record| record.subject.as_deref() == Some("t-1")));
        records
    };
    let daily = of(
        "daily",
        "",
        "\"distance_data\":{\"steps\":4210,\"distance_meters\":3146.5,\"floors_climbed\":null},\"calories_data\":{\"net_activity_calories\":321,\"BMR_calories\":1500},\
         \"heart_rate_data\":{\"detailed\":{\"hr_samples\":[{\"timestamp\":\"2026-03-01T08:00:00+01:00\",\"bpm\":61},{\"timestamp\":\"2026-03-01T08:01:00+01:00\",\"bpm\":null}]}}",
    );
    let records = read(&daily);
    let day = "2026-02-28T23:00:00Z 2026-03-01T23:00:00Z";
    assert_eq!(
        shown(&records),
        [
            &format!("StepCount 4210 {day}"),
            &format!("DistanceWalkingRunning 3146.5 {day}"),
            &format!("ActiveEnergyBurned 321 {day}"),
            &format!("BasalEnergyBurned 1500 {day}"),
            "HeartRate 61 2026-03-01T07:00:00Z 2026-03-01T07:00:00Z",
            &format!("co.tryterra.daily json {day}"),
        ]
    );
    let body = of(
        "body",
        ",\"timestamp_localization\":0",
        "\"measurements_data\":{\"measurements\":[{\"measurement_time\":\"2026-03-01T07:00:00+01:00\",\"weight_kg\":70.5,\"bodyfat_percentage\":21}]},\
         \"blood_pressure_data\":{\"blood_pressure_samples\":[{\"timestamp\":\"2026-03-01T07:05:00+01:00\",\"systolic_bp\":120,\"diastolic_bp\":80}]},\
         \"glucose_data\":{\"blood_glucose_samples\":[{\"timestamp\":\"2026-03-01T07:10:00+01:00\",\"blood_glucose_mg_per_dL\":95}]},\
         \"heart_data\":{\"heart_rate_data\":{\"detailed\":{\"hr_samples\":[{\"timestamp\":\"2026-03-01T08:00:00+01:00\",\"bpm\":61}]}}}",
    );
    let measured = read(&body);
    assert_eq!(
        shown(&measured),
        [
            "BodyMass 70.5 2026-03-01T06:00:00Z 2026-03-01T06:00:00Z",
            "BodyFatPercentage 0.21 2026-03-01T06:00:00Z 2026-03-01T06:00:00Z",
            "BloodPressure other 2026-03-01T06:05:00Z 2026-03-01T06:05:00Z",
            "BloodGlucose 95 2026-03-01T06:10:00Z 2026-03-01T06:10:00Z",
            "HeartRate 61 2026-03-01T07:00:00Z 2026-03-01T07:00:00Z",
            &format!("co.tryterra.body json {day}"),
        ]
    );
    // The same heart rate, in two of its documents, is one record.
    assert_eq!(measured[4].id, records[4].id);
    let sleep = of(
        "sleep",
        "",
        "\"sleep_durations_data\":{\"hypnogram_samples\":[{\"timestamp\":\"2026-03-01T01:00:00+01:00\",\"level\":4},{\"timestamp\":\"2026-03-01T02:00:00+01:00\",\"level\":3},\
         {\"timestamp\":\"2026-03-01T02:05:00+01:00\",\"level\":6}]}",
    );
    assert_eq!(
        shown(&read(&sleep)),
        [
            "SleepAnalysis category 3 2026-03-01T00:00:00Z 2026-03-01T01:00:00Z",
            "SleepAnalysis category 5 2026-03-01T01:05:00Z 2026-03-01T23:00:00Z",
            &format!("co.tryterra.sleep json {day}"),
        ]
    );
    let secret = daily.replace("\"bpm\":61", "\"bpm\":\"secret\"");
    let (none, rejects) = decode(Format::Terra, &secret);
    assert_eq!((none.len(), rejects.len()), (0, 1));
    assert!(!rejects[0].reason.contains("secret"), "{}", rejects[0].reason);
    let mended = String::from_utf8(rejects[0].payload.bytes().to_vec()).unwrap().replace("\"secret\"", "61");
    assert_eq!(shown(&read(&mended)), shown(&records));
}

/// Scenario: an activity of Terra's, changed and deleted. Guarantees: G2, one workout, of which the change is a higher revision.
#[test]
fn an_activity_of_terra_is_a_workout() {
    let body = |upload: u8| {
        let text = format!(
            "{{\"type\":\"activity\",\"user\":{{\"user_id\":\"t-1\"}},\"data\":[{{\"metadata\":{{\"summary_id\":\"a-1\",\"type\":8,\"upload_type\":{upload},\
             \"start_time\":\"2026-03-01T08:00:00Z\",\"end_time\":\"2026-03-01T09:00:00Z\"}},\"active_durations_data\":{{\"activity_seconds\":3500}},\
             \"calories_data\":{{\"net_activity_calories\":500}},\"distance_data\":{{\"summary\":{{\"distance_meters\":10000,\"steps\":8500}}}},\
             \"heart_rate_data\":{{\"summary\":{{\"avg_hr_bpm\":145,\"max_hr_bpm\":175}}}}}}]}}"
        );
        let (records, rejects) = decode(Format::Terra, &text);
        assert!(rejects.is_empty(), "{rejects:?}");
        assert_eq!(records.len(), if upload == 4 { 1 } else { 2 }, "the whole, too, unless it is gone");
        records[0].clone()
    };
    let (first, changed, deleted) = (body(1), body(3), body(4));
    let Value::Workout(workout) = &first.value else { panic!("a workout: {first:?}") };
    assert_eq!((workout.activity, workout.duration, workout.statistics.len()), (37, Some(3500.0), 4));
    assert_eq!(first.origin.as_ref().and_then(|origin| origin.name.as_deref()), Some("Terra"));
    assert_eq!((changed.id, first.revision, changed.revision), (first.id, 0, 1));
    assert_eq!((deleted.id, deleted.is_deletion(), deleted.kind), (first.id, true, first.kind));
}

/// Scenario: a day is sent again while it goes on, in any order. Guarantees: G2, each total is one record, and the greatest is its
/// newest revision.
#[test]
fn a_growing_total_is_one_record() {
    let garmin = |seconds: u32, steps: u32| {
        let body = format!(
            "{{\"dailies\":[{{\"userId\":\"98\",\"startTimeInSeconds\":1772319600,\"durationInSeconds\":{seconds},\"steps\":{steps}}}]}}"
        );
        decode(Format::Garmin, &body).0.remove(0)
    };
    let terra = |_: u32, steps: u32| {
        let body = format!(
            "{{\"type\":\"daily\",\"user\":{{\"user_id\":\"98\"}},\"data\":[{{\"metadata\":{{\"start_time\":\"2026-03-01T00:00:00Z\",\"end_time\":\"2026-03-02T00:00:00Z\"}},\
             \"distance_data\":{{\"steps\":{steps}}}}}]}}"
        );
        decode(Format::Terra, &body).0.remove(0)
    };
    for read in [&garmin as &dyn Fn(u32, u32) -> Record, &terra] {
        let (noon, evening) = (read(43_200, 2_000), read(72_000, 4_210));
        assert_eq!(noon.id, evening.id);
        assert!(noon.revision < evening.revision);
        assert_eq!(evening.value.as_f64(), Some(4_210.0));
        assert_eq!(read(72_000, 4_210), evening);
    }
    assert_ne!(garmin(43_200, 2_000).id, terra(43_200, 2_000).id);
}

/// The body that says something of a user.
type BodyOf<'b> = &'b dyn Fn(&str) -> String;

/// Scenario: two users of whom the same is said, in parts that do not name them. Guarantees: G1, they are two records, also what is
/// kept as JSON and what has an id of the vendor's.
#[test]
fn what_is_said_of_two_users_is_two_records() {
    let samples =
        "\"samples\":[{\"timestamp\":\"2026-03-01T08:10:00.000+01:00\",\"entryData\":{\"HRV\":48}}]";
    let workout = "\"workout\":{\"workoutKey\":\"7\",\"startTime\":1772352000000}";
    let data = "\"data\":[{\"metadata\":{\"summary_id\":7,\"start_time\":\"2026-03-01T08:00:00Z\",\"end_time\":\"2026-03-01T09:00:00Z\"}}]";
    let bodies: [(Format, BodyOf<'_>); 3] = [
        (Format::Suunto, &|who| {
            format!("{{\"type\":\"SUUNTO_247_ACTIVITY_CREATED\",\"username\":\"{who}\",{samples}}}")
        }),
        (Format::Suunto, &|who| format!("{{\"type\":\"WORKOUT_CREATED\",\"username\":\"{who}\",{workout}}}")),
        (Format::Terra, &|who| {
            format!("{{\"type\":\"activity\",\"user\":{{\"user_id\":\"{who}\"}},{data}}}")
        }),
    ];
    for (format, body) in bodies {
        let of = |who| decode(format, &body(who)).0.iter().map(|record| record.id).collect::<Vec<_>>();
        let (one, other) = (of("kim"), of("lou"));
        assert!(!one.is_empty() && one.len() == other.len());
        assert!(one.iter().all(|id| !other.contains(id)), "{format:?}");
        assert_eq!(of("kim"), one, "{format:?}");
    }
}

/// Scenario: a key that is longer than all others, with many within it, at a place where Terra's data lie. Guarantees: G7, what it takes is
/// of what is read, not of what is there.
#[test]
fn long_keys_cost_nothing() {
    let inner: String = (0..10_000).map(|number| format!("\"{number}\":{{\"a\":1}},")).collect();
    let key = "k".repeat(100_000);
    let body = format!(
        "{{\"type\":\"daily\",\"user\":{{\"user_id\":\"t\"}},\"data\":[{{\"metadata\":{{\"start_time\":\"2026-03-01T00:00:00Z\"}},\
         \"distance_data\":{{\"{key}\":{{{inner}\"z\":1}},\"steps\":3,\"detailed\":{{\"steps\":{{\"{key}\":1}}}}}}}}]}}"
    );
    let (records, rejects) = decode(Format::Terra, &body);
    assert_eq!((records.len(), rejects.len()), (2, 0));
    assert_eq!(records[0].value.as_f64(), Some(3.0));
}
