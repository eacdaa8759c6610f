//! Vendors that send data.

use std::sync::Arc;

use afferent_core::{Kind, Name, Record, RecordId, Timestamp, Unit, Value};

use super::{Said, Vendor, notify::user, unix};
use crate::{
    context::Context,
    document::Out,
    draft::offset_text,
    identity::derive_id_with,
    json::{Raw, object},
    wire::is_shallow,
};

/// Some JSON as a record of its own.
fn json(
    vendor: Vendor,
    topic: &str,
    text: &str,
    (start, offset): (Timestamp, i32),
    end: Option<Timestamp>,
    subject: Option<Name>,
    cx: &mut Context,
) -> Result<Record, String> {
    if !is_shallow(text) {
        return Err("expected fewer levels of arrays and objects, found more".to_owned());
    }
    let end = end.unwrap_or(start).max(start);
    let mut record =
        Record::added(vendor.id(text), vendor.kind(topic)?, start, end, Value::Json(text.into()));
    record.subject = subject;
    record.zone = (offset != 0).then(|| cx.name(&offset_text(offset)));
    Ok(record)
}

/// `{"type","username","samples"}`.
pub(super) fn suunto(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let mut said = Said::default();
    let mut samples = Vec::new();
    object(text, |key, text| {
        match key {
            "type" => said.topic = Raw::new("type", text).string()?.map(|topic| topic.into_owned()),
            "username" => said.user = Raw::new("username", text).name(cx)?,
            "samples" => Raw::new("samples", text).elements(|text| {
                samples.push(text);
                Ok(())
            })?,
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    if samples.is_empty() {
        out.push(said.finish(Vendor::Suunto, text, cx)?);
        return Ok(());
    }
    let topic = said.topic.ok_or("expected what changed in `type`, found none")?;
    for sample in samples {
        let read = times(sample, &["timestamp", "startTime", "timeISO8601"], &["endTime"])
            .and_then(|(start, end)| json(Vendor::Suunto, &topic, sample, start, end, said.user.clone(), cx));
        match read {
            Ok(record) => out.push(record),
            Err(reason) => {
                let user = serde_json::json!(said.user.as_deref().unwrap_or_default());
                let topic = serde_json::json!(topic);
                let body = format!("{{\"type\":{topic},\"username\":{user},\"samples\":[{sample}]}}");
                out.reject(body.as_bytes(), reason, None, None);
            }
        }
    }
    Ok(())
}

/// `{"type","user":{"user_id"},"data":[{"metadata":{"start_time","end_time"}}]}`.
pub(super) fn terra(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let mut said = Said::default();
    let mut data = Vec::new();
    object(text, |key, text| {
        let value = Raw::new("value", text);
        match key {
            "type" => said.topic = value.string()?.map(|topic| topic.into_owned()),
            "user" if value.is_object() => value.entries(|key, text| {
                match key {
                    "user_id" => said.user = Raw::new("user_id", text).name(cx)?,
                    _ => said.keep(&format!("user.{key}"), text, cx)?,
                }
                Ok(())
            })?,
            "data" if value.is_array() => value.elements(|text| {
                data.push(text);
                Ok(())
            })?,
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    if data.is_empty() {
        out.push(said.finish(Vendor::Terra, text, cx)?);
        return Ok(());
    }
    let topic = said.topic.ok_or("expected what changed in `type`, found none")?;
    for element in data {
        let mut span = None;
        let read = object(element, |key, text| {
            if key == "metadata" {
                span = Some(times(text, &["start_time"], &["end_time"])?);
            }
            Ok(())
        });
        let read = read.and_then(|()| {
            let (start, end) = span.ok_or("expected times in `metadata`, found none")?;
            json(Vendor::Terra, &topic, element, start, end, said.user.clone(), cx)
        });
        match read {
            Ok(record) => out.push(record),
            Err(reason) => {
                let user = serde_json::json!(said.user.as_deref().unwrap_or_default());
                let topic = serde_json::json!(topic);
                let body =
                    format!("{{\"type\":{topic},\"user\":{{\"user_id\":{user}}},\"data\":[{element}]}}");
                out.reject(body.as_bytes(), reason, None, None);
            }
        }
    }
    Ok(())
}

/// Junction's series whose points are numbers, and HealthKit's types of them.
///
/// Source: Junction's documentation, "Data: timeseries".
const SERIES: &[(&str, &str)] = &[
    ("glucose", "BloodGlucose"),
    ("heartrate", "HeartRate"),
    ("hrv", "HeartRateVariabilitySDNN"),
    ("steps", "StepCount"),
    ("distance", "DistanceWalkingRunning"),
    ("calories_active", "ActiveEnergyBurned"),
    ("calories_basal", "BasalEnergyBurned"),
    ("floors_climbed", "FlightsClimbed"),
    ("respiratory_rate", "RespiratoryRate"),
    ("body_temperature", "BodyTemperature"),
    ("weight", "BodyMass"),
    ("vo2_max", "VO2Max"),
    ("water", "DietaryWater"),
];

/// `{"event_type":"daily.data.glucose.created","user_id","data":{"source","data":[{"timestamp","value","unit"}]}}`.
pub(super) fn junction(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let mut said = Said::default();
    let (mut points, mut inner, mut source) = (Vec::new(), None, None);
    object(text, |key, text| {
        let value = Raw::new("value", text);
        match key {
            "event_type" => said.topic = value.string()?.map(|topic| topic.into_owned()),
            "user_id" => said.user = value.name(cx)?,
            "data" if value.is_object() => {
                inner = Some(text);
                value.entries(|key, text| {
                    let value = Raw::new("data", text);
                    match key {
                        "data" if value.is_array() => value.elements(|text| {
                            points.push(text);
                            Ok(())
                        })?,
                        "source" if value.is_object() => value.entries(|key, text| {
                            if key == "name" {
                                source = Raw::new("name", text).string()?;
                            }
                            Ok(())
                        })?,
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    let topic = said.topic.clone().ok_or("expected what happened in `event_type`, found none")?;
    let resource = topic.strip_prefix("daily.data.").and_then(|rest| rest.split('.').next());
    let (Some(resource), Some(inner)) = (resource, inner) else {
        // `historical.data.….created` and what is about connections has no data.
        out.push(said.finish(Vendor::Junction, text, cx)?);
        return Ok(());
    };
    let mut texts = [""; crate::context::ORIGIN_TEXTS];
    texts[0] = source.as_deref().unwrap_or_default();
    let origin = cx.origin(&texts);
    let known = SERIES.iter().find(|(name, _)| *name == resource).map(|(_, short)| *short);
    if points.is_empty() {
        let starts = ["time_start", "session_start", "bedtime_start", "calendar_date", "date", "timestamp"];
        let (start, end) = times(inner, &starts, &["time_end", "session_end", "bedtime_stop"])?;
        let mut record = json(Vendor::Junction, resource, inner, start, end, said.user.clone(), cx)?;
        record.origin = origin;
        out.push(record);
        return Ok(());
    }
    for point in points {
        let read = match known {
            Some(short) => number(point, short, said.user.clone(), cx),
            None => times(point, &["timestamp", "start"], &["end"]).and_then(|(start, end)| {
                json(Vendor::Junction, resource, point, start, end, said.user.clone(), cx)
            }),
        };
        match read {
            Ok(mut record) => {
                record.origin = origin.clone();
                if known.is_some() {
                    record.id = derive_id_with(&mut cx.scratch, &record);
                }
                out.push(record);
            }
            Err(reason) => {
                let user = said.user.as_deref().unwrap_or_default();
                let body = format!(
                    "{{\"event_type\":{},\"user_id\":{},\"data\":{{\"data\":[{point}]}}}}",
                    serde_json::json!(topic),
                    serde_json::json!(user)
                );
                out.reject(body.as_bytes(), reason, None, None);
            }
        }
    }
    Ok(())
}

/// A point with a number and its unit.
fn number(text: &str, short: &str, subject: Option<Name>, cx: &mut Context) -> Result<Record, String> {
    let (mut value, mut unit) = (None, None);
    let mut said = Said::default();
    let (mut start, mut end) = (None, None);
    object(text, |key, text| {
        let read = Raw::new("value", text);
        match key {
            "timestamp" | "start" => start = Raw::new("timestamp", text).rfc3339()?.or(start),
            "end" => end = Raw::new("end", text).rfc3339()?,
            "value" => value = read.number()?,
            "unit" => unit = Raw::new("unit", text).string()?,
            "timezone_offset" | "id" => {}
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    let (start, offset) = start.ok_or("expected a time in `timestamp`, found none")?;
    let end = end.map_or(start, |(end, _)| end).max(start);
    let unit = match unit.as_deref().ok_or("expected a unit in `unit`, found none")? {
        "bpm" => "count/min",
        "mmol/L" if short == "BloodGlucose" => "mmol<180.1558800000541>/L",
        other => other,
    };
    let unit = Unit::parse(unit).map_err(|error| format!("in `unit`: {error}"))?;
    let kind = Kind::from_data(short).map_err(|error| error.to_string())?;
    let value = Value::Quantity(value.ok_or("expected a number in `value`, found none")?, unit);
    let mut record = Record::added(RecordId::from_u128(0), kind, start, end, value);
    record.subject = subject;
    record.zone = (offset != 0).then(|| cx.name(&offset_text(offset)));
    if !said.metadata.is_empty() {
        record.metadata = Some(Arc::new(said.metadata));
    }
    Ok(record)
}

/// `{"dailies":[{"userId",…}]}`: summaries by topic, or pings with a `callbackURL`.
pub(super) fn garmin(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    object(text, |topic, text| {
        Raw::new("summaries", text).elements(|summary| {
            let mut found = Vec::new();
            match summarise(topic, summary, cx, &mut found) {
                Ok(()) => found.into_iter().for_each(|record| out.push(record)),
                Err(reason) => {
                    let body = format!("{{{}:[{summary}]}}", serde_json::json!(topic));
                    out.reject(body.as_bytes(), reason, None, None);
                }
            }
            Ok(())
        })
    })
}

/// The records of a summary.
fn summarise(topic: &str, text: &str, cx: &mut Context, out: &mut Vec<Record>) -> Result<(), String> {
    let mut said = Said { topic: Some(topic.to_owned()), ..Said::default() };
    let (mut start, mut offset, mut length, mut is_ping) = (None, 0, 0.0, false);
    let (mut sums, mut rates) = (Vec::new(), None);
    object(text, |key, text| {
        let value = Raw::new("summary", text);
        match key {
            "userId" => said.user = user(value, cx)?,
            "startTimeInSeconds" => start = value.number()?.and_then(unix),
            "startTimeOffsetInSeconds" => {
                offset = value.whole()?.and_then(|offset| i32::try_from(offset).ok()).unwrap_or(0);
            }
            "durationInSeconds" => length = value.number()?.unwrap_or(0.0),
            "timeOffsetHeartRateSamples" if value.is_object() => rates = Some(text),
            _ => {
                is_ping |= key == "callbackURL";
                let known = ["steps", "distanceInMeters", "activeKilocalories"]
                    .iter()
                    .position(|known| *known == key);
                if let (Some(place), Some(number)) = (known, value.number().ok().flatten()) {
                    sums.push((place, number));
                }
                said.keep(key, text, cx)?;
            }
        }
        Ok(())
    })?;
    if is_ping {
        out.push(said.finish(Vendor::Garmin, text, cx)?);
        return Ok(());
    }
    let start = start.ok_or("expected seconds since 1970 in `startTimeInSeconds`, found none")?;
    let offset = if offset.abs() < 86_400 { offset } else { 0 };
    let micros = (length * 1e6).round();
    let end = start.plus_micros(if (0.0..1e15).contains(&micros) { micros as i64 } else { 0 });
    if topic != "dailies" {
        out.push(json(Vendor::Garmin, topic, text, (start, offset), Some(end), said.user, cx)?);
        return Ok(());
    }
    let of = |short: &str, unit: &str| -> Result<(Kind, Unit), String> {
        let kind = Kind::from_data(short).map_err(|error| error.to_string())?;
        Ok((kind, Unit::parse(unit).map_err(|error| error.to_string())?))
    };
    let zone = (offset != 0).then(|| cx.name(&offset_text(offset)));
    let mut texts = [""; crate::context::ORIGIN_TEXTS];
    texts[0] = "Garmin";
    let origin = cx.origin(&texts);
    let subject = said.user.clone();
    let mut push = |(kind, unit): (Kind, Unit), number, from, to, cx: &mut Context| {
        let mut record = Record::added(RecordId::from_u128(0), kind, from, to, Value::Quantity(number, unit));
        (record.subject, record.zone, record.origin) = (subject.clone(), zone.clone(), origin.clone());
        record.id = derive_id_with(&mut cx.scratch, &record);
        out.push(record);
    };
    for (place, number) in sums {
        let (short, unit) =
            [("StepCount", "count"), ("DistanceWalkingRunning", "m"), ("ActiveEnergyBurned", "kcal")][place];
        push(of(short, unit)?, number, start, end, cx);
    }
    if let Some(text) = rates {
        let heart = of("HeartRate", "count/min")?;
        object(text, |key, text| {
            let seconds = key
                .parse::<u32>()
                .map_err(|_| "expected seconds as keys of `timeOffsetHeartRateSamples`, found others")?;
            let at = start.plus_micros(i64::from(seconds) * 1_000_000);
            let rate = Raw::new("timeOffsetHeartRateSamples", text).number()?;
            push(
                heart,
                rate.ok_or("expected numbers in `timeOffsetHeartRateSamples`, found null")?,
                at,
                at,
                cx,
            );
            Ok(())
        })?;
    }
    // And the whole, for what has no type here.
    out.push(json(Vendor::Garmin, topic, text, (start, offset), Some(end), said.user, cx)?);
    Ok(())
}

/// When something began, with its offset, and when it ended.
type Times = ((Timestamp, i32), Option<Timestamp>);

/// The first of `starts` and of `ends` that is a time or a day.
fn times(text: &str, starts: &[&str], ends: &[&str]) -> Result<Times, String> {
    let (mut start, mut end) = (None, None);
    object(text, |key, text| {
        let value = Raw::new("time", text);
        if start.is_none() && starts.contains(&key) {
            start = time(value)?;
        } else if end.is_none() && ends.contains(&key) {
            end = time(value)?;
        }
        Ok(())
    })?;
    let start = start.ok_or_else(|| format!("expected a time in `{}`, found none", starts[0]))?;
    Ok((start, end.map(|(end, _)| end)))
}

fn time(value: Raw<'_>) -> Result<Option<(Timestamp, i32)>, String> {
    if value.is_number() {
        let seconds = value.number()?.unwrap_or_default();
        // From here on it is milliseconds, as in health_kit_reporter.
        return Ok(unix(if seconds.abs() < 1e11 { seconds } else { seconds / 1e3 }).map(|time| (time, 0)));
    }
    let Some(text) = value.string()? else { return Ok(None) };
    let read =
        Timestamp::parse_rfc3339(&text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")));
    read.map(Some).ok_or_else(|| value.expected("a time or a day"))
}
