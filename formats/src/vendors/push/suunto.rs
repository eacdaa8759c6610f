//! Suunto.
//!
//! | `type` | gives |
//! |---|---|
//! | `SUUNTO_247_ACTIVITY_CREATED` | of each sample heart rate, steps, active energy and oxygen saturation |
//! | `SUUNTO_247_SLEEP_CREATED` | of each sample the time in bed, and the whole as JSON |
//! | `SUUNTO_247_RECOVERY_CREATED` | each sample as JSON |
//! | `WORKOUT_CREATED` | a workout |
//! | another, and what has no samples | a notification |
//!
//! A sample of which something got no type is there as JSON, too. Heart rate variability is RMSSD, which HealthKit has no type of.
//!
//! Source: Suunto's "Webhook notifications" and "24/7 samples"; the units as the-momentum/open-wearables@032cf807
//! (`providers/suunto/data_247.py`) reads them: joules, seconds, beats a minute, saturation as a fraction.

use std::{borrow::Cow, sync::Arc};

use afferent_core::{
    MetaValue, Name, Origin, Record, Value,
    record::{Statistic, Workout},
};

use super::{Common, Said, Vendor, activities, json, statistic, times, unix};
use crate::{
    context::{Context, ORIGIN_TEXTS},
    document::Out,
    json::{Raw, object},
    workouts::distance_of,
};

/// What a sample of activity counts or measures: its key, HealthKit's type and the unit.
const ACTIVITY: &[(&str, (&str, &str))] = &[
    ("HR", ("HeartRate", "count/min")),
    ("StepCount", ("StepCount", "count")),
    ("EnergyConsumption", ("ActiveEnergyBurned", "J")),
    ("SpO2", ("OxygenSaturation", "%")),
];

/// HKCategoryValueSleepAnalysisInBed.
const IN_BED: i64 = 0;

/// `{"type","username","samples":[{"timestamp","entryData"}]}` or `{"type","username","workout","gear"}`.
pub(crate) fn suunto(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let mut said = Said::default();
    let (mut samples, mut workout, mut gear) = (Vec::new(), None, None);
    object(text, |key, text| {
        let value = Raw::new("value", text);
        match key {
            "type" => said.topic = Raw::new("type", text).string()?.map(|topic| topic.into_owned()),
            "username" => said.user = Raw::new("username", text).name(cx)?,
            "samples" => Raw::new("samples", text).elements(|text| {
                samples.push(text);
                Ok(())
            })?,
            "workout" if value.is_object() => workout = Some(text),
            "gear" if value.is_object() => gear = Some(text),
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    if let Some(workout) = workout {
        let said =
            Said { user: said.user.clone(), metadata: std::mem::take(&mut said.metadata), ..Said::default() };
        out.push(read_workout(workout, gear, said, cx)?);
        if samples.is_empty() {
            return Ok(());
        }
    } else if let Some(gear) = gear {
        said.keep("gear", gear, cx)?;
    }
    if samples.is_empty() {
        out.push(said.finish(Vendor::Suunto, text, cx)?);
        return Ok(());
    }
    let topic = said.topic.ok_or("expected what changed in `type`, found none")?;
    let mut found = Vec::new();
    for sample in samples {
        found.clear();
        match read_sample(&topic, sample, &said.user, cx, &mut found) {
            Ok(()) => found.drain(..).for_each(|record| out.push(record)),
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

/// The records of a sample.
fn read_sample(
    topic: &str,
    text: &str,
    user: &Option<Name>,
    cx: &mut Context,
    out: &mut Vec<Record>,
) -> Result<(), String> {
    let ((start, offset), end) = times(text, &["timestamp", "startTime", "timeISO8601"], &["endTime"])?;
    let common = Common::new(user.clone(), offset, "Suunto", cx);
    let (mut is_all_typed, mut bed) = (true, [None; 2]);
    object(text, |key, text| {
        if key != "entryData" {
            is_all_typed &= matches!(key, "timestamp" | "startTime" | "timeISO8601" | "endTime");
            return Ok(());
        }
        Raw::new("entryData", text).entries(|key, text| {
            let known = ACTIVITY.iter().find(|(known, _)| *known == key);
            match (topic, key, known) {
                ("SUUNTO_247_ACTIVITY_CREATED", _, Some((known, of))) => {
                    if let Some(number) = Raw::new(known, text).number()? {
                        // A saturation is a fraction, and in some versions hundredths.
                        let is_fraction = of.1 == "%" && number <= 1.0;
                        let number = if is_fraction { number * 100.0 } else { number };
                        out.push(common.quantity(*of, number, start, end.unwrap_or(start), cx)?);
                    }
                }
                ("SUUNTO_247_SLEEP_CREATED", "BedtimeStart", _) => {
                    (bed[0], is_all_typed) = (Raw::new("BedtimeStart", text).rfc3339()?, false);
                }
                ("SUUNTO_247_SLEEP_CREATED", "BedtimeEnd", _) => {
                    (bed[1], is_all_typed) = (Raw::new("BedtimeEnd", text).rfc3339()?, false);
                }
                _ => is_all_typed &= Raw::new("entryData", text).is_null(),
            }
            Ok(())
        })
    })?;
    if let [Some((start, offset)), Some((end, _))] = bed {
        if end < start {
            return Err("expected a `BedtimeEnd` that is not before `BedtimeStart`".to_owned());
        }
        let common = Common::new(user.clone(), offset, "Suunto", cx);
        out.push(common.record("SleepAnalysis", Value::Category(IN_BED), start, end, cx)?);
    }
    if !is_all_typed || out.is_empty() {
        out.push(json(Vendor::Suunto, topic, text, (start, offset), end, user.clone(), cx)?);
    }
    Ok(())
}

/// The workout `{"workoutKey","activityId","startTime","totalTime",…}`, done with `gear`.
fn read_workout(text: &str, gear: Option<&str>, mut said: Said, cx: &mut Context) -> Result<Record, String> {
    let (mut id, mut start, mut stop, mut seconds, mut offset, mut activity) =
        (None, None, None, None, 0, None);
    let whose = format!("{} {}", Vendor::Suunto.name(), said.user.as_deref().unwrap_or_default());
    let (mut sums, mut heart) = ([None; 3], [None; 2]);
    object(text, |key, text| {
        match key {
            "workoutKey" => id = Raw::new("workoutKey", text).id(&whose)?,
            "startTime" => {
                start = Raw::new("startTime", text).number()?.and_then(|millis| unix(millis / 1e3));
            }
            "stopTime" => stop = Raw::new("stopTime", text).number()?.and_then(|millis| unix(millis / 1e3)),
            "totalTime" => seconds = Raw::new("totalTime", text).number()?,
            "timeOffsetInMinutes" => {
                let minutes = Raw::new("timeOffsetInMinutes", text).whole()?;
                offset =
                    minutes.filter(|minutes| minutes.abs() < 1_440).map_or(0, |minutes| minutes as i32 * 60);
            }
            "activityId" => activity = Raw::new("activityId", text).whole()?,
            "energyConsumption" => sums[0] = Raw::new("energyConsumption", text).number()?,
            "totalDistance" => sums[1] = Raw::new("totalDistance", text).number()?,
            "stepCount" => sums[2] = Raw::new("stepCount", text).number()?,
            "hrdata" => Raw::new("hrdata", text).entries(|key, text| {
                match key {
                    "workoutAvgHR" => heart[0] = Raw::new("workoutAvgHR", text).number()?,
                    "workoutMaxHR" => heart[1] = Raw::new("workoutMaxHR", text).number()?,
                    _ => said.keep(key, text, cx)?,
                }
                Ok(())
            })?,
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    let start = start.ok_or("expected milliseconds since 1970 in `startTime`, found none")?;
    // Without a time at which it stopped it took no longer than it lasted: pauses are not known.
    let micros = (seconds.unwrap_or(0.0) * 1e6).round();
    let lasted = start.plus_micros(if (0.0..1e15).contains(&micros) { micros as i64 } else { 0 });
    let end = stop.unwrap_or(lasted);
    let activity = match activity {
        None => activities::of_suunto(-1),
        Some(number) => {
            said.metadata.push(cx.name("activityId"), MetaValue::Number(number as f64));
            activities::of_suunto(number)
        }
    };
    let mut workout = Workout { activity, duration: seconds, ..Workout::default() };
    let of = [("ActiveEnergyBurned", "kcal"), (distance_of(activity), "m"), ("StepCount", "count")];
    for ((short, unit), sum) in of.into_iter().zip(sums) {
        if sum.is_some() {
            workout.statistics.push(Statistic { sum, ..statistic(short, unit)? });
        }
    }
    if let [average, maximum] = heart
        && heart != [None; 2]
    {
        workout.statistics.push(Statistic { average, maximum, ..statistic("HeartRate", "count/min")? });
    }
    let common = Common { origin: origin(gear, cx)?, ..Common::new(said.user, offset, "", cx) };
    let value = Value::Workout(Arc::new(workout));
    let mut record = common.record("HKWorkoutTypeIdentifier", value, start, end, cx)?;
    record.id = id.unwrap_or(record.id);
    if !said.metadata.is_empty() {
        record.metadata = Some(Arc::new(said.metadata));
    }
    Ok(record)
}

/// The source of what was done with `gear`: `{"manufacturer","name","productType"}`.
fn origin(gear: Option<&str>, cx: &mut Context) -> Result<Option<Arc<Origin>>, String> {
    let mut texts: [Option<Cow<'_, str>>; ORIGIN_TEXTS] = Default::default();
    texts[0] = Some(Cow::Borrowed("Suunto"));
    if let Some(gear) = gear {
        object(gear, |key, text| {
            match key {
                "productType" => texts[3] = Raw::new("productType", text).string()?,
                "name" => texts[5] = Raw::new("name", text).string()?,
                "manufacturer" => texts[6] = Raw::new("manufacturer", text).string()?,
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(cx.origin(&std::array::from_fn(|index| texts[index].as_deref().unwrap_or_default())))
}
