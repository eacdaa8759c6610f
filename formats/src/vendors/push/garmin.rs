//! Garmin.

use afferent_core::Record;

use super::{Common, Said, Vendor, json, unix, user};
use crate::{
    context::Context,
    document::Out,
    json::{Raw, object},
};

/// What is counted over a day, by its key: HealthKit's type and the unit.
const TOTALS: &[(&str, (&str, &str))] = &[
    ("steps", ("StepCount", "count")),
    ("distanceInMeters", ("DistanceWalkingRunning", "m")),
    ("activeKilocalories", ("ActiveEnergyBurned", "kcal")),
];

/// `{"dailies":[{"userId",…}]}`: summaries by topic, or pings with a `callbackURL`.
pub(crate) fn garmin(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
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
    let (mut totals, mut rates) = (Vec::new(), None);
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
                let known = TOTALS.iter().find(|(known, _)| *known == key);
                if let (Some((_, of)), Some(number)) = (known, value.number().ok().flatten()) {
                    totals.push((*of, number));
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
    let common = Common::new(said.user.clone(), offset, "Garmin", cx);
    for (of, number) in totals {
        out.push(common.total(Vendor::Garmin, of, number, start, end)?);
    }
    if let Some(text) = rates {
        object(text, |key, text| {
            let seconds = key
                .parse::<u32>()
                .map_err(|_| "expected seconds as keys of `timeOffsetHeartRateSamples`, found others")?;
            let at = start.plus_micros(i64::from(seconds) * 1_000_000);
            let rate = Raw::new("timeOffsetHeartRateSamples", text).number()?;
            let rate = rate.ok_or("expected numbers in `timeOffsetHeartRateSamples`, found null")?;
            out.push(common.quantity(("HeartRate", "count/min"), rate, at, at, cx)?);
            Ok(())
        })?;
    }
    // And the whole, for what has no type here.
    out.push(json(Vendor::Garmin, topic, text, (start, offset), Some(end), said.user, cx)?);
    Ok(())
}
