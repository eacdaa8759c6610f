//! Strategies of records, for property tests of whatever reads, writes or moves them.

use std::sync::Arc;

use afferent_core::{
    Change, Kind, MetaValue, Metadata, Name, Origin, Record, RecordId, Timestamp, Unit, Value,
    record::{
        Activity, ActivitySummary, Aggregate, Clinical, Correlation, Device, Electrocardiogram, Heartbeat,
        HeartbeatSeries, Location, Notification, Route, Statistic, Workout, WorkoutEvent,
    },
};
use proptest::{collection::vec, num, option, prelude::*, sample::select};

/// Any record that every format can carry: additions with every form of value, and deletions.
///
/// Texts are not empty and parts are not empty, because a format writes those as absent.
pub fn records() -> BoxedStrategy<Record> {
    prop_oneof![8 => additions(), 1 => deletions()].boxed()
}

/// Additions with every form of value.
pub fn additions() -> BoxedStrategy<Record> {
    let flat = facts(prop_oneof![
        4 => (kinds(), quantities()),
        1 => (select(Kind::all().filter(|kind| kind.is_category()).collect::<Vec<_>>()), categories()),
        4 => (kinds(), others()),
    ]);
    let correlation =
        vec(flat.clone(), 0..3).prop_map(|samples| Value::Correlation(Arc::new(Correlation { samples })));
    let nested = facts((kinds(), correlation));
    prop_oneof![8 => flat, 1 => nested].boxed()
}

/// Deletions, with and without what a feed may know of what was deleted.
pub fn deletions() -> BoxedStrategy<Record> {
    (any::<u128>(), option::of(kinds()), option::of(names()), 0..3_u32, option::of(times()))
        .prop_map(|(id, kind, subject, revision, time)| {
            let mut record = Record::deleted(RecordId::from_u128(id), kind);
            (record.subject, record.revision) = (subject, revision);
            if let Some((start, end)) = time {
                (record.start, record.end) = (start, end);
            }
            record
        })
        .boxed()
}

fn facts(values: impl Strategy<Value = (Kind, Value)> + Clone + 'static) -> BoxedStrategy<Record> {
    let about = (
        any::<u128>(),
        times(),
        option::of(names()),
        option::of(zones()),
        prop_oneof![Just(0), any::<u32>()],
    );
    (values, about, option::of(origins()), option::of(metadata()))
        .prop_map(|((kind, value), (id, (start, end), subject, zone, revision), origin, metadata)| Record {
            id: RecordId::from_u128(id),
            start,
            end,
            value,
            kind: Some(kind),
            revision,
            change: Change::Added,
            subject,
            zone,
            origin: origin.map(Arc::new),
            metadata: metadata.map(Arc::new),
        })
        .boxed()
}

/// Any finite number.
pub fn finite() -> BoxedStrategy<f64> {
    let any_sign = num::f64::POSITIVE | num::f64::NEGATIVE;
    prop_oneof![
        4 => (-10_000..10_000_i32).prop_map(|number| f64::from(number) / 8.0),
        4 => any_sign | num::f64::NORMAL | num::f64::SUBNORMAL | num::f64::ZERO,
    ]
    .boxed()
}

/// Texts with what formats must escape.
pub fn names() -> BoxedStrategy<Name> {
    prop_oneof![
        select(vec![
            "p1",
            "Apple Watch",
            "a,b",
            "say \"hi\"",
            "two\nlines",
            "back\\slash",
            "\r",
            " padded ",
            "😀"
        ])
        .prop_map(Name::from),
        "\\PC{1,12}".prop_map(Name::from),
    ]
    .boxed()
}

fn zones() -> BoxedStrategy<Name> {
    select(vec!["Europe/Berlin", "+05:30", "-03:00"]).prop_map(Name::from).boxed()
}

fn instants() -> BoxedStrategy<Timestamp> {
    let micros = -2_208_988_800_000_000_i64..4_102_444_800_000_000;
    prop_oneof![micros.clone(), micros.prop_map(|micros| micros / 1_000_000 * 1_000_000)]
        .prop_map(Timestamp::from_micros_clamped)
        .boxed()
}

fn times() -> BoxedStrategy<(Timestamp, Timestamp)> {
    (instants(), prop_oneof![Just(0), 0..86_400_000_000_i64])
        .prop_map(|(start, length)| (start, start.plus_micros(length)))
        .boxed()
}

fn kinds() -> BoxedStrategy<Kind> {
    let mut kinds: Vec<Kind> = Kind::all().collect();
    kinds.push(Kind::parse("com.example.mood").expect("a reverse-domain name"));
    select(kinds).boxed()
}

fn units() -> BoxedStrategy<Unit> {
    let unit = |text| Unit::parse(text).expect("a short text");
    select(["count/min", "count", "mL/min·kg", "mmol<180.1558800000541>/L", "a,\"b\""].map(unit).to_vec())
        .boxed()
}

fn quantities() -> BoxedStrategy<Value> {
    (finite(), units()).prop_map(|(number, unit)| Value::Quantity(number, unit)).boxed()
}

fn categories() -> BoxedStrategy<Value> {
    prop_oneof![0..6_i64, any::<i64>()].prop_map(Value::Category).boxed()
}

fn others() -> BoxedStrategy<Value> {
    prop_oneof![
        workouts().prop_map(|workout| Value::Workout(Arc::new(workout))),
        electrocardiograms().prop_map(|ecg| Value::Electrocardiogram(Arc::new(ecg))),
        vec((finite(), any::<bool>()), 0..4).prop_map(|beats| {
            let beats = beats.into_iter().map(|(time, gap)| Heartbeat { time, gap }).collect();
            Value::HeartbeatSeries(Arc::new(HeartbeatSeries { beats }))
        }),
        vec(locations(), 0..3).prop_map(|locations| Value::Route(Arc::new(Route { locations }))),
        summaries().prop_map(|summary| Value::ActivitySummary(Arc::new(summary))),
        clinicals().prop_map(|clinical| Value::Clinical(Arc::new(clinical))),
        (names(), names())
            .prop_map(|(vendor, topic)| Value::Notification(Arc::new(Notification { vendor, topic }))),
        (option::of(units()), finite(), finite()).prop_map(|(unit, sum, min)| {
            let results = vec![("sum".into(), sum), ("min".into(), min)];
            Value::Aggregate(Arc::new(Aggregate { unit, results }))
        }),
        documents().prop_map(Value::Json),
    ]
    .boxed()
}

fn workouts() -> BoxedStrategy<Workout> {
    let events = (names(), times()).prop_map(|(event, (start, end))| WorkoutEvent { event, start, end });
    let activities = (any::<u32>(), times(), option::of(finite()), vec(statistics(), 0..2)).prop_map(
        |(activity, (start, end), duration, statistics)| Activity {
            activity,
            start,
            end,
            duration,
            statistics,
        },
    );
    let lists = (vec(events, 0..3), vec(statistics(), 0..3), vec(activities, 0..2));
    (any::<u32>(), option::of(finite()), lists, option::of(names()))
        .prop_map(|(activity, duration, (events, statistics, activities), route)| Workout {
            activity,
            duration,
            events,
            statistics,
            activities,
            route,
        })
        .boxed()
}

fn statistics() -> BoxedStrategy<Statistic> {
    let number = || option::of(finite());
    (kinds(), units(), number(), number(), number(), number())
        .prop_map(|(kind, unit, sum, average, minimum, maximum)| Statistic {
            kind,
            unit,
            sum,
            average,
            minimum,
            maximum,
        })
        .boxed()
}

fn electrocardiograms() -> BoxedStrategy<Electrocardiogram> {
    (option::of(names()), option::of(finite()), option::of(finite()), vec(finite(), 0..4))
        .prop_map(|(classification, average_heart_rate, sampling_frequency, voltages)| Electrocardiogram {
            classification,
            average_heart_rate,
            sampling_frequency,
            voltages,
        })
        .boxed()
}

fn locations() -> BoxedStrategy<Location> {
    let number = || option::of(finite());
    (instants(), finite(), finite(), number(), number(), number(), number(), number())
        .prop_map(
            |(time, latitude, longitude, altitude, speed, course, horizontal_accuracy, vertical_accuracy)| {
                Location {
                    time,
                    latitude,
                    longitude,
                    altitude,
                    speed,
                    course,
                    horizontal_accuracy,
                    vertical_accuracy,
                }
            },
        )
        .boxed()
}

fn summaries() -> BoxedStrategy<ActivitySummary> {
    (option::of(names()), option::of(units()), std::array::from_fn(|_| option::of(finite())))
        .prop_map(
            |(
                day,
                energy_unit,
                [energy, energy_goal, move_time, move_time_goal, exercise, exercise_goal, hours, hours_goal],
            )| {
                ActivitySummary {
                    day,
                    energy,
                    energy_goal,
                    energy_unit,
                    move_time,
                    move_time_goal,
                    exercise_time: exercise,
                    exercise_time_goal: exercise_goal,
                    stand_hours: hours,
                    stand_hours_goal: hours_goal,
                }
            },
        )
        .boxed()
}

fn clinicals() -> BoxedStrategy<Clinical> {
    let name = || option::of(names());
    (name(), name(), name(), name(), option::of(documents()))
        .prop_map(|(display_name, fhir_version, source_url, path, document)| Clinical {
            display_name,
            fhir_version,
            source_url,
            path,
            document,
        })
        .boxed()
}

/// JSON objects, as text.
pub(crate) fn documents() -> BoxedStrategy<Arc<str>> {
    (names(), finite(), any::<i64>())
        .prop_map(|(key, number, whole)| {
            let document = serde_json::json!({ key.as_str(): [number, null, { "a": whole }], "b": true });
            document.to_string().into()
        })
        .boxed()
}

fn origins() -> BoxedStrategy<Origin> {
    let name = || option::of(names());
    let device = (names(), name(), name(), name(), name(), name()).prop_map(
        |(name, manufacturer, model, hardware, firmware, software)| Device {
            name: Some(name),
            manufacturer,
            model,
            hardware,
            firmware,
            software,
        },
    );
    (names(), name(), name(), name(), name(), option::of(device))
        .prop_map(|(name, bundle, version, product, os, device)| Origin {
            name: Some(name),
            bundle,
            version,
            product,
            os,
            device,
        })
        .boxed()
}

fn metadata() -> BoxedStrategy<Metadata> {
    let value = prop_oneof![
        names().prop_map(MetaValue::String),
        finite().prop_map(MetaValue::Number),
        any::<bool>().prop_map(MetaValue::Bool),
        instants().prop_map(MetaValue::Date),
        (finite(), units()).prop_map(|(number, unit)| MetaValue::Quantity(number, unit)),
    ];
    vec((names(), value), 1..4).prop_map(|entries| entries.into_iter().collect()).boxed()
}
