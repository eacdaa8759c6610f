//! [`Point`]: what was read of a data point.

use std::{borrow::Cow, sync::Arc};

use afferent_core::{
    Kind, MetaValue, Metadata, Record, RecordId, Timestamp, Unit, Value,
    kind::{category, workout::activity_of_short},
    record::{Electrocardiogram, Statistic, Workout},
};

use super::{PREFIX, types};
use crate::{
    context::{Context, ORIGIN_TEXTS},
    draft::offset_text,
    identity::derive_id_with,
    json::{Raw, object},
    wire::{is_shallow, printable, read_meta_value},
    workouts::distance_of,
};

/// HKWorkoutActivityTypeOther.
const OTHER: u32 = 3000;

/// What was read of a data point.
#[derive(Default)]
pub(super) struct Point<'t> {
    pub(super) id: Option<RecordId>,
    value: Option<&'t str>,
    kind: Option<Cow<'t, str>>,
    unit: Option<Cow<'t, str>>,
    start: Option<When>,
    end: Option<When>,
    platform: Option<Cow<'t, str>>,
    source_id: Option<Cow<'t, str>>,
    source_name: Option<Cow<'t, str>>,
    model: Option<Cow<'t, str>>,
    metadata: Metadata,
}

/// A time, and its offset in seconds if it has one.
#[derive(Clone, Copy)]
struct When(Timestamp, Option<i32>);

impl<'t> Point<'t> {
    pub(super) fn read(&mut self, text: &'t str, cx: &mut Context) -> Result<(), String> {
        object(text, |key, text| {
            match key {
                "uuid" => self.id = Raw::new("uuid", text).id(PREFIX)?,
                "value" => self.value = Some(text),
                "type" => self.kind = Raw::new("type", text).string()?,
                "unit" => self.unit = Raw::new("unit", text).string()?,
                "dateFrom" => self.start = when(Raw::new("dateFrom", text))?,
                "dateTo" => self.end = when(Raw::new("dateTo", text))?,
                "sourcePlatform" => self.platform = Raw::new("sourcePlatform", text).string()?,
                "sourceId" => self.source_id = Raw::new("sourceId", text).string()?,
                "sourceName" => self.source_name = Raw::new("sourceName", text).string()?,
                "deviceModel" => self.model = Raw::new("deviceModel", text).string()?,
                // It says again what the value says.
                "workoutSummary" => {}
                "sourceDeviceId" | "recordingMethod" => self.keep(key, text, cx)?,
                "metadata" => Raw::new("metadata", text).entries(|key, text| self.keep(key, text, cx))?,
                _ if cx.strict => return Err(format!("unknown key `{}`", printable(key))),
                _ => self.keep(key, text, cx)?,
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

    pub(super) fn finish(mut self, cx: &mut Context) -> Result<Record, String> {
        let (kind, value) = self.value(cx)?;
        let When(start, offset) = self.start.ok_or("expected a time in `dateFrom`, found none")?;
        let end = self.end.map_or(start, |When(end, _)| end);
        if end < start {
            return Err("expected a `dateTo` that is not before `dateFrom`".to_owned());
        }
        let mut record = Record::added(self.id.unwrap_or(RecordId::from_u128(0)), kind, start, end, value);
        match offset {
            None => self.metadata.push(cx.name("localTime"), MetaValue::Bool(true)),
            Some(0) => {}
            Some(offset) => record.zone = Some(cx.name(&offset_text(offset))),
        }
        let mut texts = [""; ORIGIN_TEXTS];
        let text = |text: &'_ Option<Cow<'t, str>>| text.as_deref().unwrap_or_default().to_owned();
        let (name, bundle, model) = (text(&self.source_name), text(&self.source_id), text(&self.model));
        (texts[0], texts[1], texts[3]) = (&name, &bundle, &model);
        record.origin = cx.origin(&texts);
        if !self.metadata.is_empty() {
            record.metadata = Some(Arc::new(self.metadata));
        }
        if self.id.is_none() {
            record.id = derive_id_with(&mut cx.scratch, &record);
        }
        Ok(record)
    }

    fn value(&mut self, cx: &mut Context) -> Result<(Kind, Value), String> {
        let of = |name: &str| Kind::from_data(name).map_err(|error| error.to_string());
        let name = self.kind.take().ok_or("expected a type in `type`, found none")?;
        let text = self.value.ok_or("expected an object in `value`, found none")?;
        let form = form(text)?;
        match form.as_deref() {
            Some("WorkoutHealthValue") => {
                return Ok((
                    of("HKWorkoutTypeIdentifier")?,
                    Value::Workout(Arc::new(self.workout(text, cx)?)),
                ));
            }
            Some("ElectrocardiogramHealthValue") => {
                let ecg = electrocardiogram(text, cx)?;
                return Ok((
                    of("HKDataTypeIdentifierElectrocardiogram")?,
                    Value::Electrocardiogram(Arc::new(ecg)),
                ));
            }
            Some("MenstruationFlowHealthValue") => {
                return Ok((of("MenstrualFlow")?, Value::Category(self.flow(text, cx)?)));
            }
            Some("InsulinDeliveryHealthValue") => {
                let unit = Unit::parse("IU").map_err(|error| error.to_string())?;
                return Ok((of("InsulinDelivery")?, Value::Quantity(self.number(text, "units", cx)?, unit)));
            }
            Some("NumericHealthValue") | None => {}
            Some(_) => return self.json(&name, text),
        }
        let number = self.number(text, "numericValue", cx)?;
        if let Some((short, category)) = types::category(&name) {
            // The number is the minutes between the times.
            return Ok((of(short)?, Value::Category(category.unwrap_or(number as i64))));
        }
        let kind = types::quantity(&name).map_or_else(|| own_kind(&name), of)?;
        let unit = self.unit.as_deref().ok_or("expected a unit in `unit`, found none")?;
        let Some(unit) = types::unit(unit) else {
            // HealthKit counts what has no unit.
            return Ok((
                kind,
                Value::Quantity(number, Unit::parse("count").map_err(|error| error.to_string())?),
            ));
        };
        let is_whole = unit == "%" && self.platform.as_deref() == Some("googleHealthConnect");
        let unit = Unit::parse(unit).map_err(|error| format!("in `unit`: {error}"))?;
        Ok((kind, Value::Quantity(if is_whole { number / 100.0 } else { number }, unit)))
    }

    /// The number behind `key`; other values are kept in the metadata.
    fn number(&mut self, text: &str, wanted: &str, cx: &mut Context) -> Result<f64, String> {
        let mut number = None;
        Raw::new("value", text).entries(|key, text| match key {
            _ if key == wanted => {
                number = Raw::new("numericValue", text).number()?;
                Ok(())
            }
            "__type" => Ok(()),
            _ => self.keep(key, text, cx),
        })?;
        number.ok_or_else(|| format!("expected a number in `{wanted}`, found none"))
    }

    fn json(&self, name: &str, text: &str) -> Result<(Kind, Value), String> {
        if !is_shallow(text) {
            return Err("expected fewer levels of arrays and objects in `value`, found more".to_owned());
        }
        let kind = match name {
            "AUDIOGRAM" => {
                Kind::from_data("HKDataTypeIdentifierAudiogram").map_err(|error| error.to_string())?
            }
            other => own_kind(other)?,
        };
        Ok((kind, Value::Json(text.into())))
    }

    fn flow(&mut self, text: &str, cx: &mut Context) -> Result<i64, String> {
        let mut flow = None;
        Raw::new("value", text).entries(|key, text| {
            match key {
                "flow" => flow = Raw::new("flow", text).string()?.map(|flow| flow.to_ascii_lowercase()),
                "__type" | "dateTime" => {}
                _ => self.keep(key, text, cx)?,
            }
            Ok(())
        })?;
        let flow = flow.ok_or("expected a text in `flow`, found none")?;
        let value = category::value_of_name("HKCategoryValueMenstrualFlow", &flow);
        value.ok_or_else(|| "expected a flow that HealthKit has in `flow`, found another text".to_owned())
    }

    fn workout(&mut self, text: &str, cx: &mut Context) -> Result<Workout, String> {
        let mut activity = None;
        let (mut sums, mut units) = ([None; 3], [None, None, None]);
        Raw::new("value", text).entries(|key, text| {
            let value = Raw::new("value", text);
            match key {
                "__type" => {}
                "workoutActivityType" => activity = value.string()?,
                "totalEnergyBurned" => sums[0] = value.number()?,
                "totalEnergyBurnedUnit" => units[0] = value.string()?,
                "totalDistance" => sums[1] = value.number()?,
                "totalDistanceUnit" => units[1] = value.string()?,
                "totalSteps" => sums[2] = value.number()?,
                "totalStepsUnit" => units[2] = value.string()?,
                _ => self.keep(key, text, cx)?,
            }
            Ok(())
        })?;
        let name = activity.ok_or("expected an activity in `workoutActivityType`, found none")?;
        let activity = activity_of_short(&types::activity(&name)).unwrap_or(OTHER);
        if activity == OTHER {
            self.metadata.push(cx.name("workoutActivityType"), MetaValue::String(cx.name(&name)));
        }
        let mut workout = Workout { activity, ..Workout::default() };
        let kinds = [("ActiveEnergyBurned", "kcal"), (distance_of(activity), "m"), ("StepCount", "count")];
        for ((sum, unit), (kind, usual)) in sums.into_iter().zip(&units).zip(kinds) {
            let Some(sum) = sum else { continue };
            let unit = unit.as_deref().and_then(types::unit).unwrap_or(usual);
            workout.statistics.push(Statistic {
                kind: Kind::from_data(kind).map_err(|error| error.to_string())?,
                unit: Unit::parse(unit).map_err(|error| error.to_string())?,
                sum: Some(sum),
                average: None,
                minimum: None,
                maximum: None,
            });
        }
        Ok(workout)
    }
}

/// The form of a value, as its `__type` says.
fn form(text: &str) -> Result<Option<Cow<'_, str>>, String> {
    let mut form = None;
    object(text, |key, text| {
        if key == "__type" {
            form = Raw::new("__type", text).string()?;
        }
        Ok(())
    })
    .map_err(|reason| format!("in `value`: {reason}"))?;
    Ok(form)
}

/// A type that only the plugin has.
fn own_kind(name: &str) -> Result<Kind, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err("expected the name of a type in `type`, found another text".to_owned());
    }
    Kind::from_data(&format!("{PREFIX}{}", name.to_ascii_lowercase())).map_err(|error| error.to_string())
}

/// A time with an offset, or the local time of somewhere.
fn when(value: Raw<'_>) -> Result<Option<When>, String> {
    let Some(text) = value.string()? else { return Ok(None) };
    if let Some((time, offset)) = Timestamp::parse_rfc3339(&text) {
        return Ok(Some(When(time, Some(offset))));
    }
    let local = Timestamp::parse_rfc3339(&format!("{text}Z"));
    let (time, _) = local.ok_or_else(|| value.expected("a time such as \"2026-03-01T08:00:00.000\""))?;
    Ok(Some(When(time, None)))
}

fn electrocardiogram(text: &str, cx: &mut Context) -> Result<Electrocardiogram, String> {
    let mut ecg = Electrocardiogram::default();
    let unit = |text| Unit::parse(text).map_err(|error| error.to_string());
    let conversion = unit("V")?.conversion(unit("mcV")?).ok_or("a volt is no voltage")?;
    Raw::new("value", text).entries(|key, text| {
        let value = Raw::new("value", text);
        match key {
            "averageHeartRate" => ecg.average_heart_rate = value.number()?,
            "samplingFrequency" => ecg.sampling_frequency = value.number()?,
            "classification" => ecg.classification = value.name(cx)?,
            "voltageValues" => value.elements(|text| {
                let mut voltage = None;
                object(text, |key, text| {
                    if key == "voltage" {
                        voltage = Raw::new("voltage", text).number()?;
                    }
                    Ok(())
                })?;
                ecg.voltages
                    .push(conversion.apply(voltage.ok_or("expected a number in `voltage`, found none")?));
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(ecg)
}
