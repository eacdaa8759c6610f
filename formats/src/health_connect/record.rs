//! [`Entry`]: what was read of a record.

use std::{borrow::Cow, sync::Arc};

use afferent_core::{
    Kind, Metadata, Origin, Record, RecordId, Timestamp, Unit, Value,
    record::{Aggregate, Correlation, Workout},
};

use super::PREFIX;
use crate::{
    context::{Context, ORIGIN_TEXTS},
    draft::offset_text,
    identity::derive_id_with,
    json::{Raw, object},
    wire::{is_shallow, read_meta_value},
};

/// HKWorkoutActivityTypeOther.
const OTHER: u32 = 3000;

/// The keys that a number may stand behind, and their units; an empty key is the number itself.
type Units = &'static [(&'static str, &'static str)];

/// Records of one number: the type there, HealthKit's type (or none), the key, and the key in it with its unit.
///
/// Source: `androidx.health.connect.client.records` and `units`; the types that health 13.2.0 (carp-dk/flutter-plugins) reads as
/// the same.
pub(super) const NUMBERS: &[(&str, &str, &str, Units)] = &[
    ("ActiveCaloriesBurned", "ActiveEnergyBurned", "energy", ENERGY),
    ("BasalBodyTemperature", "BasalBodyTemperature", "temperature", TEMPERATURE),
    ("BodyFat", "BodyFatPercentage", "percentage", &[("", "%")]),
    ("BodyTemperature", "BodyTemperature", "temperature", TEMPERATURE),
    ("BodyWaterMass", "", "mass", MASS),
    ("BoneMass", "", "mass", MASS),
    ("Distance", "DistanceWalkingRunning", "distance", LENGTH),
    ("ElevationGained", "", "elevation", LENGTH),
    ("FloorsClimbed", "FlightsClimbed", "floors", &[("", "count")]),
    ("HeartRateVariabilityRmssd", "", "heartRateVariabilityMillis", &[("", "ms")]),
    ("Height", "Height", "height", LENGTH),
    ("Hydration", "DietaryWater", "volume", &[("inLiters", "L"), ("inMilliliters", "mL")]),
    ("LeanBodyMass", "LeanBodyMass", "mass", MASS),
    ("OxygenSaturation", "OxygenSaturation", "percentage", &[("", "%")]),
    ("RespiratoryRate", "RespiratoryRate", "rate", &[("", "count/min")]),
    ("RestingHeartRate", "RestingHeartRate", "beatsPerMinute", &[("", "count/min")]),
    ("Steps", "StepCount", "count", &[("", "count")]),
    ("TotalCaloriesBurned", "", "energy", ENERGY),
    ("Vo2Max", "VO2Max", "vo2MillilitersPerMinuteKilogram", &[("", "mL/min·kg")]),
    ("Weight", "BodyMass", "weight", MASS),
    ("WheelchairPushes", "PushCount", "count", &[("", "count")]),
    (
        "BloodGlucose",
        "BloodGlucose",
        "level",
        &[("inMillimolesPerLiter", "mmol<180.1558800000541>/L"), ("inMilligramsPerDeciliter", "mg/dL")],
    ),
];

const ENERGY: Units =
    &[("inKilocalories", "kcal"), ("inCalories", "cal"), ("inKilojoules", "kJ"), ("inJoules", "J")];
const TEMPERATURE: Units = &[("inCelsius", "degC"), ("inFahrenheit", "degF")];
const MASS: Units = &[("inKilograms", "kg"), ("inGrams", "g"), ("inPounds", "lb")];
const LENGTH: Units = &[("inMeters", "m"), ("inKilometers", "km"), ("inMiles", "mi"), ("inFeet", "ft")];
const PRESSURE: Units = &[("inMillimetersOfMercury", "mmHg")];

/// What was read of a record.
#[derive(Default)]
pub(super) struct Entry<'t> {
    text: &'t str,
    name: Option<Cow<'t, str>>,
    id: Option<RecordId>,
    revision: u32,
    start: Option<(Timestamp, i32)>,
    end: Option<(Timestamp, i32)>,
    /// The offset that is told apart from the time, in seconds.
    offset: Option<i32>,
    origin: Option<Arc<Origin>>,
    values: Vec<(&'static str, &'t str)>,
    metadata: Metadata,
}

/// Keys of values.
const VALUES: &[&str] = &[
    "energy",
    "temperature",
    "percentage",
    "mass",
    "distance",
    "elevation",
    "floors",
    "heartRateVariabilityMillis",
    "height",
    "volume",
    "rate",
    "beatsPerMinute",
    "count",
    "vo2MillilitersPerMinuteKilogram",
    "weight",
    "level",
    "samples",
    "stages",
    "systolic",
    "diastolic",
    "exerciseType",
];

impl<'t> Entry<'t> {
    pub(super) fn read(&mut self, text: &'t str, cx: &mut Context) -> Result<(), String> {
        self.text = text;
        object(text, |key, text| {
            let value = Raw::new("value", text);
            match key {
                "recordType" => {
                    let name = Raw::new("recordType", text).string()?;
                    self.name = name.map(|name| match name {
                        Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix("Record").unwrap_or(name)),
                        Cow::Owned(name) => {
                            Cow::Owned(name.strip_suffix("Record").unwrap_or(&name).to_owned())
                        }
                    });
                }
                "time" | "startTime" => self.start = Raw::new("startTime", text).rfc3339()?,
                "endTime" => self.end = Raw::new("endTime", text).rfc3339()?,
                "zoneOffset" | "startZoneOffset" => self.offset = offset(value)?,
                "endZoneOffset" => {}
                "metadata" => self.about(text, cx)?,
                _ => match VALUES.iter().find(|known| **known == key) {
                    Some(known) => self.values.push((known, text)),
                    None => self.keep(key, text, cx)?,
                },
            }
            Ok(())
        })
    }

    fn keep(&mut self, key: &str, text: &str, cx: &mut Context) -> Result<(), String> {
        if let Some(value) = read_meta_value(key, text, cx)? {
            self.metadata.push(cx.name(key), value);
        }
        Ok(())
    }

    /// Reads what Health Connect knows of a record.
    fn about(&mut self, text: &'t str, cx: &mut Context) -> Result<(), String> {
        let mut texts: [Option<Cow<'_, str>>; ORIGIN_TEXTS] = Default::default();
        Raw::new("metadata", text).entries(|key, text| {
            let value = Raw::new("metadata", text);
            match key {
                "id" => self.id = Raw::new("id", text).id(PREFIX)?,
                "dataOrigin" => texts[1] = Raw::new("dataOrigin", text).string()?,
                "lastModifiedTime" => {
                    let time = Raw::new("lastModifiedTime", text).rfc3339()?;
                    // Until the year 2106.
                    self.revision =
                        time.map_or(0, |(time, _)| u32::try_from(time.as_micros() / 1_000_000).unwrap_or(0));
                }
                "device" => value.entries(|key, text| {
                    match key {
                        "manufacturer" => texts[6] = Raw::new("manufacturer", text).string()?,
                        "model" => texts[7] = Raw::new("model", text).string()?,
                        _ => {}
                    }
                    Ok(())
                })?,
                _ => self.keep(key, text, cx)?,
            }
            Ok(())
        })?;
        self.origin = cx.origin(&std::array::from_fn(|index| texts[index].as_deref().unwrap_or_default()));
        Ok(())
    }

    fn value_of(&self, key: &str) -> Option<&'t str> {
        self.values.iter().find(|(known, _)| *known == key).map(|(_, text)| *text)
    }

    pub(super) fn finish(mut self, cx: &mut Context) -> Result<Record, String> {
        let name = self.name.take().ok_or("expected a type in `recordType`, found none")?;
        let (start, offset) = self.start.ok_or("expected a time in `time` or `startTime`, found none")?;
        let end = self.end.map_or(start, |(end, _)| end);
        if end < start {
            return Err("expected an `endTime` that is not before `startTime`".to_owned());
        }
        let (kind, value) = self.value(&name, cx)?;
        let mut record = Record::added(self.id.unwrap_or(RecordId::from_u128(0)), kind, start, end, value);
        record.revision = self.revision;
        let offset = self.offset.unwrap_or(offset);
        record.zone = (offset != 0).then(|| cx.name(&offset_text(offset)));
        record.origin = self.origin;
        if let Value::Correlation(of) = &mut record.value {
            // The parts have no ids of their own.
            for sample in &mut Arc::make_mut(of).samples {
                (sample.start, sample.end) = (start, end);
                sample.id = derive_id_with(&mut cx.scratch, sample);
            }
        }
        if !self.metadata.is_empty() {
            record.metadata = Some(Arc::new(self.metadata));
        }
        if self.id.is_none() {
            record.id = derive_id_with(&mut cx.scratch, &record);
        }
        Ok(record)
    }

    fn value(&mut self, name: &str, cx: &mut Context) -> Result<(Kind, Value), String> {
        let of = |name: &str| Kind::from_data(name).map_err(|error| error.to_string());
        if let Some((_, short, key, units)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
            let kind = if short.is_empty() { own_kind(name)? } else { of(short)? };
            return Ok((kind, self.number(key, units)?));
        }
        match name {
            "HeartRate" => Ok((of("HeartRate")?, self.heart_rates(cx)?)),
            "BloodPressure" => {
                let part = |key, short| -> Result<Record, String> {
                    let value = self.number(key, PRESSURE)?;
                    let at = Timestamp::default();
                    Ok(Record::added(RecordId::from_u128(0), of(short)?, at, at, value))
                };
                let samples = vec![
                    part("systolic", "BloodPressureSystolic")?,
                    part("diastolic", "BloodPressureDiastolic")?,
                ];
                let value = Value::Correlation(Arc::new(Correlation { samples }));
                Ok((of("HKCorrelationTypeIdentifierBloodPressure")?, value))
            }
            "SleepSession" => {
                if let Some(stages) = self.value_of("stages") {
                    self.keep("stages", stages, cx)?;
                }
                // Asleep, without a phase: the stages are within one record.
                Ok((of("SleepAnalysis")?, Value::Category(1)))
            }
            "ExerciseSession" => {
                if let Some(number) = self.value_of("exerciseType") {
                    self.keep("exerciseType", number, cx)?;
                }
                let workout = Workout { activity: OTHER, ..Workout::default() };
                Ok((of("HKWorkoutTypeIdentifier")?, Value::Workout(Arc::new(workout))))
            }
            _ if is_shallow(self.text) => Ok((own_kind(name)?, Value::Json(self.text.into()))),
            _ => Err("expected fewer levels of arrays and objects in a record, found more".to_owned()),
        }
    }

    fn number(&self, key: &'static str, units: &[(&str, &str)]) -> Result<Value, String> {
        let value = Raw::new(
            key,
            self.value_of(key).ok_or_else(|| format!("expected a number in `{key}`, found none"))?,
        );
        let (number, unit) = number_in(value, units)?;
        let unit = Unit::parse(unit).map_err(|error| error.to_string())?;
        Ok(Value::Quantity(if unit.as_str() == "%" { number / 100.0 } else { number }, unit))
    }

    /// One heart rate, or what many come to.
    fn heart_rates(&mut self, cx: &mut Context) -> Result<Value, String> {
        let text = self.value_of("samples").ok_or("expected an array in `samples`, found none")?;
        let mut rates = Vec::new();
        Raw::new("samples", text).elements(|text| {
            let mut rate = None;
            object(text, |key, text| {
                if key == "beatsPerMinute" {
                    rate = Raw::new("beatsPerMinute", text).number()?;
                }
                Ok(())
            })?;
            rates.push(rate.ok_or("expected a number in `beatsPerMinute`, found none")?);
            Ok(())
        })?;
        let unit = Unit::parse("count/min").map_err(|error| error.to_string())?;
        match rates[..] {
            [] => Err("expected a sample in `samples`, found none".to_owned()),
            [rate] => Ok(Value::Quantity(rate, unit)),
            _ => {
                self.keep("samples", text, cx)?;
                let count = rates.len() as f64;
                let average = rates.iter().sum::<f64>() / count;
                let min = rates.iter().copied().fold(f64::INFINITY, f64::min);
                let max = rates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if !average.is_finite() {
                    return Err(
                        "expected heart rates of which an average can be taken, found others".to_owned()
                    );
                }
                let results = [("count", count), ("min", min), ("average", average), ("max", max)];
                let results = results.map(|(name, number)| (cx.name(name), number)).to_vec();
                Ok(Value::Aggregate(Arc::new(Aggregate { unit: Some(unit), results })))
            }
        }
    }
}

/// A number as it is, or the first of those that an object has it in.
fn number_in<'u>(value: Raw<'_>, units: &[(&'u str, &'u str)]) -> Result<(f64, &'u str), String> {
    if let [("", unit)] = units {
        return Ok((value.number()?.ok_or_else(|| value.expected("a number"))?, *unit));
    }
    let mut found: Option<(usize, f64)> = None;
    value.entries(|key, text| {
        let place = units.iter().position(|(known, _)| *known == key);
        if let Some(place) = place
            && found.is_none_or(|(before, _)| place < before)
        {
            found = Raw::new(value.key, text).number()?.map(|number| (place, number));
        }
        Ok(())
    })?;
    let (place, number) =
        found.ok_or_else(|| format!("expected a number with its unit in `{}`, found none", value.key))?;
    Ok((number, units[place].1))
}

/// `{"id":"+01:00"}`, `{"totalSeconds":3600}` or `"+01:00"`, in seconds.
fn offset(value: Raw<'_>) -> Result<Option<i32>, String> {
    let parse = |text: &str| {
        Timestamp::parse_rfc3339(&format!("2000-01-01T00:00:00{text}")).map(|(_, offset)| offset)
    };
    if value.is_text() {
        return Ok(value.string()?.as_deref().and_then(parse));
    }
    if !value.is_object() {
        return Ok(None);
    }
    let mut offset = None;
    value.entries(|key, text| {
        match key {
            "id" => offset = Raw::new("id", text).string()?.as_deref().and_then(parse).or(offset),
            "totalSeconds" => {
                offset =
                    Raw::new("totalSeconds", text).whole()?.and_then(|seconds| i32::try_from(seconds).ok())
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(offset.filter(|offset| offset.abs() < 86_400))
}

/// The deletion of a record.
pub(super) fn deletion(text: &str) -> Result<Record, String> {
    let mut id = None;
    object(text, |key, text| {
        if matches!(key, "recordId" | "id") {
            id = Raw::new("recordId", text).id(PREFIX)?;
        }
        Ok(())
    })?;
    Ok(Record::deleted(id.ok_or("expected the id of what was deleted in `recordId`, found none")?, None))
}

/// A type that only Health Connect has.
fn own_kind(name: &str) -> Result<Kind, String> {
    if name.is_empty() || name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("expected the name of a type in `recordType`, found another text".to_owned());
    }
    Kind::from_data(&format!("{PREFIX}{name}")).map_err(|error| error.to_string())
}
