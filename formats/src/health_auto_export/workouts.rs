//! Workouts of versions 1 and 2.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Name, Record, RecordId, Unit, Value,
    kind::workout::activity_of_short,
    record::{Location, Route, Statistic, Workout},
};

use super::{date, points, set_zone, source, zone};
use crate::{
    context::Context,
    document::Out,
    identity::derive_id_with,
    json::{Raw, object},
    wire::read_meta_value,
    workouts::distance_of,
};

/// HKWorkoutActivityTypeOther.
const OTHER: u32 = 3000;

/// Series that stand nowhere else in this precision, and their types.
const SERIES: [(&str, &str); 2] = [("heartRateData", "HeartRate"), ("heartRateRecovery", "HeartRate")];

/// Sums, by the keys of version 2 and of version 1; the type of a distance depends on the activity.
const SUMS: [(&str, &str); 8] = [
    ("activeEnergyBurned", "ActiveEnergyBurned"),
    ("activeEnergy", "ActiveEnergyBurned"),
    ("totalEnergy", "ActiveEnergyBurned"),
    ("distance", ""),
    ("stepCount", "StepCount"),
    ("totalSwimmingStrokeCount", "SwimmingStrokeCount"),
    ("swimmingStrokeCount", "SwimmingStrokeCount"),
    ("flightsClimbed", "FlightsClimbed"),
];

/// Reads a workout and what lies in it.
pub(super) fn read(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let (mut id, mut start, mut end, mut name, mut origin, mut route) = (None, None, None, None, None, None);
    let mut workout = Workout { activity: OTHER, ..Workout::default() };
    let (mut sums, mut heart, mut metadata) = (Vec::new(), [None; 3], Metadata::default());
    let mut heart_unit = None;
    let mut records = Vec::new();
    object(text, |key, text| {
        let value = Raw::new("workout", text);
        match key {
            "id" => id = Raw::new("id", text).id(super::PREFIX)?,
            "name" => name = Raw::new("name", text).string()?,
            "start" => start = date(Raw::new("start", text))?,
            "end" => end = date(Raw::new("end", text))?,
            "duration" => workout.duration = Raw::new("duration", text).number()?,
            "source" => origin = source(Raw::new("source", text), cx)?,
            "route" if value.is_array() => route = Some(text),
            "heartRate" => value.entries(|key, text| {
                let place = ["min", "avg", "max"].iter().position(|known| *known == key);
                if let (Some(place), Some((number, unit))) = (place, quantity(text)?) {
                    (heart[place], heart_unit) = (Some(number), Some(unit));
                }
                Ok(())
            })?,
            "avgHeartRate" | "maxHeartRate" => {
                if let Some((number, unit)) = quantity(text)? {
                    heart[if key == "avgHeartRate" { 1 } else { 2 }] = Some(number);
                    heart_unit = Some(unit);
                }
            }
            _ if value.is_null() => {}
            _ if value.is_array() && SERIES.iter().any(|(known, _)| *known == key) => {
                let kind =
                    SERIES.iter().find(|(known, _)| *known == key).map_or("HeartRate", |(_, kind)| kind);
                let kind = Kind::from_data(kind).map_err(|error| error.to_string())?;
                points::series(text, key, kind, cx, &mut records)?;
            }
            _ => match (SUMS.iter().find(|(known, _)| *known == key), quantity(text)) {
                (Some((_, kind)), Ok(Some(sum))) => sums.push((*kind, sum)),
                (None, Ok(Some((number, unit)))) => {
                    metadata.push(cx.name(key), MetaValue::Quantity(number, unit))
                }
                _ => {
                    if let Some(value) = read_meta_value(key, text, cx)? {
                        metadata.push(cx.name(key), value);
                    }
                }
            },
        }
        Ok(())
    })?;
    let (start, offset) = start.ok_or("expected a time in `start`, found none")?;
    let end = end.map_or(start, |(end, _)| end);
    if end < start {
        return Err("expected an `end` that is not before `start`".to_owned());
    }
    if let Some(name) = name {
        workout.activity = activity(&name).unwrap_or(OTHER);
        metadata.push(cx.name("name"), MetaValue::String(cx.name(&name)));
    }
    for (kind, (sum, unit)) in sums {
        let kind = if kind.is_empty() { distance_of(workout.activity) } else { kind };
        let kind = Kind::from_data(kind).map_err(|error| error.to_string())?;
        let of = Statistic { kind, unit, sum: Some(sum), average: None, minimum: None, maximum: None };
        workout.statistics.push(of);
    }
    if let Some(unit) = heart_unit {
        let kind = Kind::from_data("HeartRate").map_err(|error| error.to_string())?;
        let [minimum, average, maximum] = heart;
        workout.statistics.push(Statistic { kind, unit, sum: None, average, minimum, maximum });
    }
    let kind = |name: &str| Kind::from_data(name).map_err(|error| error.to_string());
    let value = Value::Workout(Arc::new(workout));
    let mut record =
        Record::added(RecordId::from_u128(0), kind("HKWorkoutTypeIdentifier")?, start, end, value);
    record.origin = origin;
    set_zone(&mut record, offset, cx);
    if !metadata.is_empty() {
        record.metadata = Some(Arc::new(metadata));
    }
    record.id = id.unwrap_or_else(|| derive_id_with(&mut cx.scratch, &record));
    if let Some(text) = route
        && let Some((route, offset)) = places(text)?
    {
        let (begin, last) = (route.locations[0].time, route.locations[route.locations.len() - 1].time);
        let (begin, last) = (begin.min(last), begin.max(last));
        let value = Value::Route(Arc::new(route));
        let mut of =
            Record::added(RecordId::from_u128(0), kind("HKWorkoutRouteTypeIdentifier")?, begin, last, value);
        of.zone = zone(offset, cx);
        // Which workout it is of.
        of.metadata_mut().push("workout", MetaValue::String(Name::from(record.id.to_string().as_str())));
        of.id = derive_id_with(&mut cx.scratch, &of);
        records.push(of);
    }
    // Nothing can fail any more: a workout is read as a whole or not at all.
    out.push(record);
    records.into_iter().for_each(|record| out.push(record));
    Ok(())
}

/// `{"qty":5.2,"units":"km"}`; `None` for anything else.
fn quantity(text: &str) -> Result<Option<(f64, Unit)>, String> {
    if !text.starts_with('{') {
        return Ok(None);
    }
    let (mut number, mut unit, mut others) = (None, None, 0);
    object(text, |key, text| {
        match key {
            "qty" => number = Raw::new("qty", text).number()?,
            "units" => unit = Raw::new("units", text).string()?,
            _ => others += 1,
        }
        Ok(())
    })?;
    let (Some(number), Some(unit), 0) = (number, unit, others) else { return Ok(None) };
    let unit = Unit::parse(super::metrics::unit_of(&unit)).map_err(|error| format!("in `units`: {error}"))?;
    Ok(Some((points::scaled(number, unit), unit)))
}

/// The places of a route, and the offset of their times; `None` without any.
fn places(text: &str) -> Result<Option<(Route, i32)>, String> {
    let (mut locations, mut zone) = (Vec::new(), 0);
    Raw::new("route", text).elements(|text| {
        let (mut time, mut latitude, mut longitude) = (None, None, None);
        let (mut altitude, mut speed, mut course, mut horizontal, mut vertical) =
            (None, None, None, None, None);
        Raw::new("route", text).entries(|key, text| {
            let value = Raw::new(key, text);
            match key {
                "timestamp" => time = date(value)?,
                "latitude" | "lat" => latitude = value.number()?,
                "longitude" | "lon" => longitude = value.number()?,
                "altitude" => altitude = value.number()?,
                "speed" => speed = value.number()?,
                "course" => course = value.number()?,
                "horizontalAccuracy" => horizontal = value.number()?,
                "verticalAccuracy" => vertical = value.number()?,
                _ => {}
            }
            Ok(())
        })?;
        let (time, offset) = time.ok_or("expected a time in `timestamp`, found none")?;
        zone = offset;
        locations.push(Location {
            time,
            latitude: latitude.ok_or("expected a number in `latitude`, found none")?,
            longitude: longitude.ok_or("expected a number in `longitude`, found none")?,
            altitude,
            speed,
            course,
            horizontal_accuracy: horizontal,
            vertical_accuracy: vertical,
        });
        Ok(())
    })?;
    Ok((!locations.is_empty()).then_some((Route { locations }, zone)))
}

/// The activity of the app's name for it, in English: `Outdoor Run`, `Traditional Strength Training`.
pub(super) fn activity(name: &str) -> Option<u32> {
    let words: Vec<&str> = name
        .split(' ')
        .filter(|word| !matches!(*word, "Outdoor" | "Indoor" | "Pool" | "Open" | "Water" | ""))
        .collect();
    let mut short = String::with_capacity(name.len());
    for (index, word) in words.iter().enumerate() {
        let mut letters = word.chars().filter(char::is_ascii_alphanumeric);
        let first = letters.next();
        short.extend(
            first.map(
                |first| if index == 0 { first.to_ascii_lowercase() } else { first.to_ascii_uppercase() },
            ),
        );
        short.extend(letters);
    }
    let short = match short.as_str() {
        "run" => "running",
        "walk" => "walking",
        "cycle" | "ride" | "bike" => "cycling",
        "swim" => "swimming",
        "hike" => "hiking",
        "row" | "rower" => "rowing",
        other => other,
    };
    activity_of_short(short)
}
