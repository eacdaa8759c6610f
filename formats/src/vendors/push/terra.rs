//! Terra: `{"type","user":{"user_id","provider"},"data":[{"metadata":{"start_time","end_time"},…}]}`.
//!
//! Each element of `data` gives what its table has a type for, and then the whole as JSON:
//!
//! | `type` | gives |
//! |---|---|
//! | any | the samples of heart rate, HRV (SDNN), oxygen saturation, breathing, VO2max, glucose, body temperature, measurements and blood pressure that it has |
//! | `daily` | and the totals of steps, distance, floors, active and basal energy |
//! | `body` | and the total of water |
//! | `sleep` | and the phases of the hypnogram, each until the next |
//! | `activity` | and a workout, which is known by the user and its `summary_id`; where `upload_type` is 4 only its deletion |
//!
//! The source is the provider. The device is left to the JSON: the same sample comes with the day and with the workout, and only one
//! of them names it, but it is one sample. Samples of steps, distance and energy are left to the JSON, too: the totals count them.
//!
//! Source: tryterra/openapi@06492a70, `data_models/specs/data_models/*.tsp`.

use std::sync::Arc;

use afferent_core::{
    MetaValue, Name, Record, Timestamp, Value,
    record::{Correlation, Statistic, Workout},
};

use super::{Common, Said, Times, Vendor, activities, json, kind, statistic, times};
use crate::{
    context::Context,
    document::Out,
    json::{Raw, object},
    workouts::distance_of,
};

/// HealthKit's type and the unit.
type Of = (&'static str, &'static str);

/// What a sample holds: keys, and what stands behind them.
type Fields = &'static [(&'static str, Of)];

/// Where samples stand, what their time is called, and what each holds.
const SAMPLES: &[(&str, &str, Fields)] = &[
    ("heart_rate_data.detailed.hr_samples", "timestamp", HEART_RATES),
    ("heart_data.heart_rate_data.detailed.hr_samples", "timestamp", HEART_RATES),
    ("heart_rate_data.detailed.hrv_samples_sdnn", "timestamp", VARIABILITIES),
    ("heart_data.heart_rate_data.detailed.hrv_samples_sdnn", "timestamp", VARIABILITIES),
    ("oxygen_data.saturation_samples", "timestamp", SATURATIONS),
    ("respiration_data.oxygen_saturation_data.samples", "timestamp", SATURATIONS),
    ("oxygen_data.vo2_samples", "timestamp", &[("vo2max_ml_per_min_per_kg", ("VO2Max", "mL/min·kg"))]),
    (
        "respiration_data.breaths_data.samples",
        "timestamp",
        &[("breaths_per_min", ("RespiratoryRate", "count/min"))],
    ),
    (
        "glucose_data.blood_glucose_samples",
        "timestamp",
        &[("blood_glucose_mg_per_dL", ("BloodGlucose", "mg/dL"))],
    ),
    (
        "temperature_data.body_temperature_samples",
        "timestamp",
        &[("temperature_celsius", ("BodyTemperature", "degC"))],
    ),
    (
        "measurements_data.measurements",
        "measurement_time",
        &[
            ("weight_kg", ("BodyMass", "kg")),
            ("height_cm", ("Height", "cm")),
            ("BMI", ("BodyMassIndex", "count")),
            ("bodyfat_percentage", ("BodyFatPercentage", "%")),
            ("lean_mass_g", ("LeanBodyMass", "g")),
        ],
    ),
];
const HEART_RATES: Fields = &[("bpm", ("HeartRate", "count/min"))];
const VARIABILITIES: Fields = &[("hrv_sdnn", ("HeartRateVariabilitySDNN", "ms"))];
const SATURATIONS: Fields = &[("percentage", ("OxygenSaturation", "%"))];

/// What is counted from the start of an element, by `type` and place.
const TOTALS: &[(&str, &str, Of)] = &[
    ("daily", "distance_data.steps", ("StepCount", "count")),
    ("daily", "distance_data.distance_meters", ("DistanceWalkingRunning", "m")),
    ("daily", "distance_data.floors_climbed", ("FlightsClimbed", "count")),
    ("daily", "calories_data.net_activity_calories", ("ActiveEnergyBurned", "kcal")),
    ("daily", "calories_data.BMR_calories", ("BasalEnergyBurned", "kcal")),
    ("body", "hydration_data.day_total_water_consumption_ml", ("DietaryWater", "mL")),
];

/// Where phases of sleep and blood pressures stand.
const PHASES: &str = "sleep_durations_data.hypnogram_samples";
const PRESSURES: &str = "blood_pressure_data.blood_pressure_samples";

/// `upload_type` of what was sent before and changed, and of what was deleted.
const UPDATE: i64 = 3;
const DELETE: i64 = 4;

/// What of an activity is in its workout: its sums and rates, and how long it took.
const ENERGY: &str = "calories_data.net_activity_calories";
const DISTANCE: &str = "distance_data.summary.distance_meters";
const STEPS: &str = "distance_data.summary.steps";
const DURATION: &str = "active_durations_data.activity_seconds";
const RATES: [&str; 3] = [
    "heart_rate_data.summary.avg_hr_bpm",
    "heart_rate_data.summary.min_hr_bpm",
    "heart_rate_data.summary.max_hr_bpm",
];

/// Every place that is read.
fn places() -> impl Iterator<Item = &'static str> {
    let samples = SAMPLES.iter().map(|(place, ..)| *place);
    let totals = TOTALS.iter().map(|(_, place, _)| *place);
    samples.chain(totals).chain([PHASES, PRESSURES, ENERGY, DISTANCE, STEPS, DURATION]).chain(RATES)
}

pub(crate) fn terra(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let (mut said, mut provider) = (Said::default(), None);
    let mut data = Vec::new();
    object(text, |key, text| {
        let value = Raw::new("value", text);
        match key {
            "type" => said.topic = value.string()?.map(|topic| topic.into_owned()),
            "user" if value.is_object() => value.entries(|key, text| {
                match key {
                    "user_id" => said.user = Raw::new("user_id", text).name(cx)?,
                    "provider" => {
                        provider = Raw::new("provider", text).name(cx)?;
                        said.keep("user.provider", text, cx)?;
                    }
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
    let mut found = Vec::new();
    for element in data {
        found.clear();
        match read(&topic, element, &said.user, provider.as_deref().unwrap_or("Terra"), cx, &mut found) {
            Ok(()) => found.drain(..).for_each(|record| out.push(record)),
            Err(reason) => {
                let mut user = serde_json::json!({ "user_id": said.user.as_deref() });
                if let Some(provider) = &provider {
                    user["provider"] = provider.as_str().into();
                }
                let topic = serde_json::json!(topic);
                let body = format!("{{\"type\":{topic},\"user\":{user},\"data\":[{element}]}}");
                out.reject(body.as_bytes(), reason, None, None);
            }
        }
    }
    Ok(())
}

/// The records of an element of `data`.
fn read(
    topic: &str,
    text: &str,
    user: &Option<Name>,
    provider: &str,
    cx: &mut Context,
    out: &mut Vec<Record>,
) -> Result<(), String> {
    let (mut leaves, mut metadata) = (Vec::new(), None);
    object(text, |key, text| {
        if key == "metadata" {
            metadata = Some(text);
            return Ok(());
        }
        leaves_of("", key, text, &mut leaves)
    })?;
    let metadata = metadata.ok_or("expected times in `metadata`, found none")?;
    let ((start, offset), end) = times(metadata, &["start_time"], &["end_time"])?;
    let common = Common::new(user.clone(), offset, provider, cx);
    let until = end.unwrap_or(start);
    if topic == "activity" {
        let record = workout(&common, metadata, &leaves, ((start, offset), end), cx)?;
        let is_gone = record.is_deletion();
        out.push(record);
        if is_gone {
            return Ok(());
        }
    }
    for (place, text) in &leaves {
        if let Some((_, time, of)) = SAMPLES.iter().find(|(known, ..)| known == place) {
            samples(&common, text, time, of, cx, out)?;
        } else if let Some((.., of)) =
            TOTALS.iter().find(|(known, total, _)| *known == topic && total == place)
        {
            if let Some(number) = Raw::new(place, text).number()? {
                out.push(common.total(Vendor::Terra, *of, number, start, until)?);
            }
        } else if *place == PHASES {
            phases(&common, text, until, cx, out)?;
        } else if *place == PRESSURES {
            pressures(&common, text, cx, out)?;
        }
    }
    out.push(json(Vendor::Terra, topic, text, (start, offset), end, user.clone(), cx)?);
    Ok(())
}

/// What stands at places that are read, in what is called `key` at `place`.
fn leaves_of<'t>(
    place: &str,
    key: &str,
    text: &'t str,
    out: &mut Vec<(&'static str, &'t str)>,
) -> Result<(), String> {
    let rest = |known: &'static str| -> Option<&'static str> {
        let rest = if place.is_empty() { known } else { known.strip_prefix(place)?.strip_prefix('.')? };
        rest.strip_prefix(key)
    };
    if let Some(known) = places().find(|known| rest(known) == Some("")) {
        out.push((known, text));
        return Ok(());
    }
    let Some(known) = places().find(|known| rest(known).is_some_and(|rest| rest.starts_with('.'))) else {
        return Ok(());
    };
    // As long as what is known, however long the keys are that are not.
    let length = place.len() + usize::from(!place.is_empty()) + key.len();
    if !Raw::new("data", text).is_object() {
        return Ok(());
    }
    object(text, |key, text| leaves_of(&known[..length], key, text, out))
}

/// The samples of an array.
fn samples(
    common: &Common,
    text: &str,
    time: &'static str,
    of: Fields,
    cx: &mut Context,
    out: &mut Vec<Record>,
) -> Result<(), String> {
    Raw::new("samples", text).elements(|text| {
        let (mut at, mut numbers) = (None, Vec::new());
        object(text, |key, text| {
            if key == time {
                at = Raw::new(time, text).rfc3339()?;
            } else if let Some((key, of)) = of.iter().find(|(known, _)| *known == key)
                && let Some(number) = Raw::new(key, text).number()?
            {
                numbers.push((*of, number));
            }
            Ok(())
        })?;
        for (of, number) in numbers {
            let (at, _) = at.ok_or_else(|| format!("expected a time in `{time}` of a sample, found none"))?;
            out.push(common.quantity(of, number, at, at, cx)?);
        }
        Ok(())
    })
}

/// The phases of sleep of a hypnogram: each lasts until the next, the last until `end`.
fn phases(
    common: &Common,
    text: &str,
    end: Timestamp,
    cx: &mut Context,
    out: &mut Vec<Record>,
) -> Result<(), String> {
    let mut levels = Vec::new();
    Raw::new("hypnogram_samples", text).elements(|text| {
        let (mut at, mut level) = (None, None);
        object(text, |key, text| {
            match key {
                "timestamp" => at = Raw::new("timestamp", text).rfc3339()?,
                "level" => level = Raw::new("level", text).whole()?,
                _ => {}
            }
            Ok(())
        })?;
        let (at, _) = at.ok_or("expected a time in `timestamp` of a phase of sleep, found none")?;
        levels.push((at, level));
        Ok(())
    })?;
    levels.sort_by_key(|(at, _)| *at);
    for (index, (at, level)) in levels.iter().enumerate() {
        let until = levels.get(index + 1).map_or(end, |(next, _)| *next);
        // HKCategoryValueSleepAnalysis; nothing is said of what is unknown (0) and of who is out of bed (3).
        let value = match level {
            Some(1) => 2,
            Some(2) => 1,
            Some(4) => 3,
            Some(5) => 4,
            Some(6) => 5,
            _ => continue,
        };
        if until > *at {
            out.push(common.record("SleepAnalysis", Value::Category(value), *at, until, cx)?);
        }
    }
    Ok(())
}

/// The blood pressures of an array.
fn pressures(common: &Common, text: &str, cx: &mut Context, out: &mut Vec<Record>) -> Result<(), String> {
    Raw::new("blood_pressure_samples", text).elements(|text| {
        let (mut at, mut systolic, mut diastolic) = (None, None, None);
        object(text, |key, text| {
            match key {
                "timestamp" => at = Raw::new("timestamp", text).rfc3339()?,
                "systolic_bp" => systolic = Raw::new("systolic_bp", text).number()?,
                "diastolic_bp" => diastolic = Raw::new("diastolic_bp", text).number()?,
                _ => {}
            }
            Ok(())
        })?;
        let (Some(systolic), Some(diastolic)) = (systolic, diastolic) else { return Ok(()) };
        let (at, _) = at.ok_or("expected a time in `timestamp` of a blood pressure, found none")?;
        let samples = vec![
            common.quantity(("BloodPressureSystolic", "mmHg"), systolic, at, at, cx)?,
            common.quantity(("BloodPressureDiastolic", "mmHg"), diastolic, at, at, cx)?,
        ];
        let value = Value::Correlation(Arc::new(Correlation { samples }));
        out.push(common.record("HKCorrelationTypeIdentifierBloodPressure", value, at, at, cx)?);
        Ok(())
    })
}

/// The workout of an activity, or its deletion.
fn workout(
    common: &Common,
    metadata: &str,
    leaves: &[(&'static str, &str)],
    ((start, _), end): Times,
    cx: &mut Context,
) -> Result<Record, String> {
    let (mut id, mut activity, mut upload) = (None, None, None);
    let whose = format!("{} {}", Vendor::Terra.name(), common.subject.as_deref().unwrap_or_default());
    let mut said = Said::default();
    object(metadata, |key, text| {
        match key {
            // Of the provider's, who counts for each user.
            "summary_id" => id = Raw::new("summary_id", text).id(&whose)?,
            "type" => activity = Raw::new("type", text).whole()?,
            "upload_type" => upload = Raw::new("upload_type", text).whole()?,
            "start_time" | "end_time" => {}
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    if let (Some(DELETE), Some(id)) = (upload, id) {
        let mut record = Record::deleted(id, Some(kind("HKWorkoutTypeIdentifier")?));
        record.subject = common.subject.clone();
        return Ok(record);
    }
    let number = |place: &'static str| -> Result<Option<f64>, String> {
        let leaf = leaves.iter().find(|(known, _)| *known == place);
        leaf.map_or(Ok(None), |(place, text)| Raw::new(place, text).number())
    };
    if let Some(number) = activity {
        said.metadata.push(cx.name("type"), MetaValue::Number(number as f64));
    }
    let activity = activities::of_terra(activity.unwrap_or(-1));
    let duration = number(DURATION)?;
    let mut workout = Workout { activity, duration, ..Workout::default() };
    for (place, short, unit) in [
        (ENERGY, "ActiveEnergyBurned", "kcal"),
        (DISTANCE, distance_of(activity), "m"),
        (STEPS, "StepCount", "count"),
    ] {
        if let sum @ Some(_) = number(place)? {
            workout.statistics.push(Statistic { sum, ..statistic(short, unit)? });
        }
    }
    let [average, minimum, maximum] = RATES.map(number);
    let (average, minimum, maximum) = (average?, minimum?, maximum?);
    if average.or(minimum).or(maximum).is_some() {
        let of = statistic("HeartRate", "count/min")?;
        workout.statistics.push(Statistic { average, minimum, maximum, ..of });
    }
    let value = Value::Workout(Arc::new(workout));
    let mut record = common.record("HKWorkoutTypeIdentifier", value, start, end.unwrap_or(start), cx)?;
    record.id = id.unwrap_or(record.id);
    // Nothing tells one update from the next.
    record.revision = u32::from(upload == Some(UPDATE));
    if !said.metadata.is_empty() {
        record.metadata = Some(Arc::new(said.metadata));
    }
    Ok(record)
}
