//! Junction (Vital).

use std::sync::Arc;

use afferent_core::{Name, Record, RecordId, Unit, Value};

use super::{Said, Vendor, json, kind, times, zone};
use crate::{
    context::Context,
    document::Out,
    identity::derive_id_with,
    json::{Raw, object},
};

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
pub(crate) fn junction(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
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
    let value = Value::Quantity(value.ok_or("expected a number in `value`, found none")?, unit);
    let mut record = Record::added(RecordId::from_u128(0), kind(short)?, start, end, value);
    record.subject = subject;
    record.zone = zone(offset, cx);
    if !said.metadata.is_empty() {
        record.metadata = Some(Arc::new(said.metadata));
    }
    Ok(record)
}
