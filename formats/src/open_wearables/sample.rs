//! Records, phases of sleep, workouts and samples.

use std::{borrow::Cow, sync::Arc};

use afferent_core::{
    Kind, MetaValue, Metadata, Name, Origin, Record, RecordId, Timestamp, Unit, Value,
    kind::workout::activity_of_short,
    record::{Statistic, Workout},
};

use super::PREFIX;
use crate::{
    context::{Context, ORIGIN_TEXTS},
    draft::offset_text,
    identity::derive_id_with,
    json::{Raw, object},
    wire::{printable, read_meta_value},
    workouts::distance_of,
};

/// HKWorkoutActivityTypeOther.
const OTHER: u32 = 3000;

/// What all of them have.
#[derive(Default)]
struct Entry<'t> {
    id: Option<RecordId>,
    kind: Option<Cow<'t, str>>,
    stage: Option<Cow<'t, str>>,
    unit: Option<Cow<'t, str>>,
    value: Option<&'t str>,
    values: Option<&'t str>,
    start: Option<(Timestamp, i32)>,
    end: Option<(Timestamp, i32)>,
    zone: Option<Name>,
    origin: Option<Arc<Origin>>,
    metadata: Metadata,
}

impl<'t> Entry<'t> {
    fn read(text: &'t str, cx: &mut Context) -> Result<Entry<'t>, String> {
        let mut entry = Entry::default();
        object(text, |key, text| {
            let value = Raw::new("value", text);
            match key {
                "id" => entry.id = Raw::new("id", text).id(PREFIX)?,
                "type" => entry.kind = Raw::new("type", text).string()?,
                "stage" => entry.stage = Raw::new("stage", text).string()?,
                "unit" => entry.unit = Raw::new("unit", text).string()?,
                "value" => entry.value = Some(text),
                "values" => entry.values = Some(text),
                "startDate" | "timestamp" => entry.start = Raw::new("startDate", text).rfc3339()?,
                "endDate" => entry.end = Raw::new("endDate", text).rfc3339()?,
                "zoneOffset" | "zone_offset" => {
                    entry.zone =
                        Raw::new("zoneOffset", text).name(cx)?.filter(|zone| zone.as_str() != "+00:00");
                }
                "source" => entry.origin = origin(text, cx)?,
                "metadata" if value.is_object() => value.entries(|key, text| entry.keep(key, text, cx))?,
                "metadata" => {}
                "parentId" | "title" | "notes" | "is_daily_total" => entry.keep(key, text, cx)?,
                _ if cx.strict => return Err(format!("unknown key `{}`", printable(key))),
                _ => entry.keep(key, text, cx)?,
            }
            Ok(())
        })?;
        Ok(entry)
    }

    fn keep(&mut self, key: &str, text: &str, cx: &mut Context) -> Result<(), String> {
        if let Some(value) = read_meta_value(key, text, cx)? {
            self.metadata.push(cx.name(key), value);
        }
        Ok(())
    }

    /// What stands in `values`, each by its type, unit and value.
    fn values(&mut self, cx: &mut Context) -> Result<Vec<(String, Option<Unit>, f64)>, String> {
        let mut found = Vec::new();
        let Some(list) = self.values else { return Ok(found) };
        Raw::new("values", list).elements(|text| {
            let (mut name, mut unit, mut value) = (None, None, None);
            object(text, |key, text| {
                match key {
                    "type" => name = Raw::new("type", text).string()?,
                    "unit" => unit = Raw::new("unit", text).string()?,
                    "value" => value = Some(text),
                    _ => {}
                }
                Ok(())
            })?;
            let name = name.ok_or("expected a text in `type`, found none")?;
            let value = Raw::new("value", value.ok_or("expected a `value`, found none")?);
            if value.is_number() {
                let number = value.number()?.ok_or("expected a number in `value`, found none")?;
                found.push((name.into_owned(), unit.as_deref().and_then(unit_of), number));
            } else {
                self.keep(&name, value.text, cx)?;
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn record(
        self,
        kind: Kind,
        value: Value,
        subject: Option<Name>,
        cx: &mut Context,
    ) -> Result<Record, String> {
        let (start, offset) =
            self.start.ok_or("expected a time in `startDate` or `timestamp`, found none")?;
        let end = self.end.map_or(start, |(end, _)| end);
        if end < start {
            return Err("expected an `endDate` that is not before `startDate`".to_owned());
        }
        let mut record = Record::added(self.id.unwrap_or(RecordId::from_u128(0)), kind, start, end, value);
        record.subject = subject;
        record.zone = self.zone.or_else(|| (offset != 0).then(|| cx.name(&offset_text(offset))));
        record.origin = self.origin;
        if !self.metadata.is_empty() {
            record.metadata = Some(Arc::new(self.metadata));
        }
        if self.id.is_none() {
            record.id = derive_id_with(&mut cx.scratch, &record);
        }
        Ok(record)
    }

    fn number(&self, kind: Kind) -> Result<Value, String> {
        let value = Raw::new("value", self.value.ok_or("expected a number in `value`, found none")?);
        match self.unit.as_deref().and_then(unit_of) {
            Some(unit) => {
                Ok(Value::Quantity(value.number()?.ok_or("expected a number in `value`, found null")?, unit))
            }
            None if kind.is_quantity() => Err("expected a `unit` of a quantity, found none".to_owned()),
            None => Ok(Value::Category(value.whole()?.ok_or("expected a number in `value`, found null")?)),
        }
    }
}

/// A record of an SDK.
pub(super) fn record(text: &str, cx: &mut Context) -> Result<Record, String> {
    sample(text, None, cx)
}

/// A sample of a webhook, of `subject`.
pub(super) fn sample(text: &str, subject: Option<Name>, cx: &mut Context) -> Result<Record, String> {
    let entry = Entry::read(text, cx)?;
    let kind = kind_of(entry.kind.as_deref().ok_or("expected a type in `type`, found none")?)?;
    let value = entry.number(kind)?;
    entry.record(kind, value, subject, cx)
}

/// A phase of sleep.
pub(super) fn sleep(text: &str, cx: &mut Context) -> Result<Record, String> {
    let mut entry = Entry::read(text, cx)?;
    let stage = entry.stage.take().ok_or("expected a phase in `stage`, found none")?;
    let stage = match &*stage {
        "inBed" | "in_bed" => 0,
        "asleep" | "sleeping" | "unknown" | "asleepUnspecified" => 1,
        "awake" => 2,
        "light" | "core" | "asleepCore" => 3,
        "deep" | "asleepDeep" => 4,
        "rem" | "asleepREM" => 5,
        _ => return Err("expected a phase of sleep in `stage`, found another text".to_owned()),
    };
    for (name, unit, number) in entry.values(cx)? {
        let value = unit.map_or(MetaValue::Number(number), |unit| MetaValue::Quantity(number, unit));
        entry.metadata.push(cx.name(&name), value);
    }
    let kind = Kind::from_data("SleepAnalysis").map_err(|error| error.to_string())?;
    entry.record(kind, Value::Category(stage), None, cx)
}

/// A workout.
pub(super) fn workout(text: &str, cx: &mut Context) -> Result<Record, String> {
    let mut entry = Entry::read(text, cx)?;
    let name = entry.kind.take().ok_or("expected an activity in `type`, found none")?;
    let activity =
        activity_of_short(&name).or_else(|| activity_of_short(&camel(&name, false))).unwrap_or(OTHER);
    if activity == OTHER {
        entry.metadata.push(cx.name("type"), MetaValue::String(cx.name(&name)));
    }
    let mut workout = Workout { activity, ..Workout::default() };
    let (mut heart, mut heart_unit) = ([None; 3], None);
    for (name, unit, number) in entry.values(cx)? {
        let sum = match name.as_str() {
            "activeEnergyBurned" | "calories" => Some("ActiveEnergyBurned"),
            "basalEnergyBurned" => Some("BasalEnergyBurned"),
            "distance" => Some(distance_of(activity)),
            "steps" | "stepCount" => Some("StepCount"),
            _ => None,
        };
        match (name.as_str(), sum, unit) {
            ("duration", _, Some(unit)) => {
                let seconds = Unit::parse("s").map_err(|error| error.to_string())?;
                let conversion =
                    unit.conversion(seconds).ok_or("expected a unit of time of `duration`, found another")?;
                workout.duration = Some(conversion.apply(number));
            }
            (_, Some(short), Some(unit)) => workout.statistics.push(Statistic {
                kind: Kind::from_data(short).map_err(|error| error.to_string())?,
                unit,
                sum: Some(number),
                average: None,
                minimum: None,
                maximum: None,
            }),
            ("minHeartRate", _, Some(unit)) => (heart[0], heart_unit) = (Some(number), Some(unit)),
            ("averageHeartRate" | "meanHeartRate", _, Some(unit)) => {
                (heart[1], heart_unit) = (Some(number), Some(unit))
            }
            ("maxHeartRate", _, Some(unit)) => (heart[2], heart_unit) = (Some(number), Some(unit)),
            (_, _, unit) => {
                let value = unit.map_or(MetaValue::Number(number), |unit| MetaValue::Quantity(number, unit));
                entry.metadata.push(cx.name(&name), value);
            }
        }
    }
    if let Some(unit) = heart_unit {
        let kind = Kind::from_data("HeartRate").map_err(|error| error.to_string())?;
        let [minimum, average, maximum] = heart;
        workout.statistics.push(Statistic { kind, unit, sum: None, average, minimum, maximum });
    }
    let kind = Kind::from_data("HKWorkoutTypeIdentifier").map_err(|error| error.to_string())?;
    entry.record(kind, Value::Workout(Arc::new(workout)), None, cx)
}

/// A type by HealthKit's identifier, or by a name in snake case or in capitals.
fn kind_of(name: &str) -> Result<Kind, String> {
    if name.starts_with("HK") {
        return Kind::from_data(name).map_err(|error| format!("in `type`: {error}"));
    }
    let short = match name.to_ascii_lowercase().as_str() {
        "steps" | "step_count" => "StepCount".to_owned(),
        "weight" => "BodyMass".to_owned(),
        "energy" | "active_calories" => "ActiveEnergyBurned".to_owned(),
        "distance" => "DistanceWalkingRunning".to_owned(),
        _ => camel(name, true),
    };
    match Kind::from_data(&short) {
        Ok(kind) if kind.info().is_some() => Ok(kind),
        _ => own_kind(name),
    }
}

/// A type that only this service has.
pub(super) fn own_kind(name: &str) -> Result<Kind, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) || name.split('.').any(str::is_empty) {
        return Err("expected the name of a type in `type`, found another text".to_owned());
    }
    Kind::from_data(&format!("{PREFIX}{}", name.to_ascii_lowercase())).map_err(|error| error.to_string())
}

/// `HeartRate` of `HEART_RATE` and `heart_rate`; or `heartRate`.
fn camel(name: &str, is_upper: bool) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, word) in name.split('_').enumerate() {
        let lower = word.to_ascii_lowercase();
        let mut letters = lower.chars();
        let is_first_lower = index == 0 && !is_upper;
        out.extend(
            letters.next().map(|first| if is_first_lower { first } else { first.to_ascii_uppercase() }),
        );
        out.extend(letters);
    }
    out
}

fn unit_of(unit: &str) -> Option<Unit> {
    let unit = match unit {
        "" | "bool" => return None,
        "bpm" => "count/min",
        other => other,
    };
    Unit::parse(unit).ok()
}

/// The source of both platforms' SDKs, and of webhooks.
fn origin(text: &str, cx: &mut Context) -> Result<Option<Arc<Origin>>, String> {
    let mut texts: [Option<Cow<'_, str>>; ORIGIN_TEXTS] = Default::default();
    Raw::new("source", text).entries(|key, text| {
        let value = Raw::new("source", text);
        let place = match key {
            "name" | "provider" => 0,
            "bundleIdentifier" | "appId" => 1,
            "version" => 2,
            "productType" => 3,
            "deviceName" | "device" => 5,
            "deviceManufacturer" => 6,
            "deviceModel" => 7,
            "deviceHardwareVersion" => 8,
            "deviceSoftwareVersion" => 10,
            _ => return Ok(()),
        };
        if value.is_text() {
            texts[place] = value.string()?;
        }
        Ok(())
    })?;
    Ok(cx.origin(&std::array::from_fn(|index| texts[index].as_deref().unwrap_or_default())))
}
