//! Points of metrics, electrocardiograms, and what is kept as JSON.

use std::{borrow::Cow, sync::Arc};

use afferent_core::{
    Kind, MetaValue, Metadata, Name, Origin, Record, RecordId, Timestamp, Unit, Value,
    record::{Aggregate, Correlation, Electrocardiogram},
};

use super::{Metric, date, own_kind, set_zone, source};
use crate::{
    context::Context,
    identity::derive_id_with,
    json::{Raw, object},
    wire::{is_shallow, printable, read_meta_value},
};

/// What was read of a point.
#[derive(Default)]
struct Point<'t> {
    date: Option<(Timestamp, i32)>,
    start: Option<(Timestamp, i32)>,
    end: Option<(Timestamp, i32)>,
    in_bed: [Option<(Timestamp, i32)>; 2],
    qty: Option<f64>,
    word: Option<Cow<'t, str>>,
    numbers: Vec<(Name, f64)>,
    origin: Option<Arc<Origin>>,
    unit: Option<Unit>,
    metadata: Metadata,
}

impl<'t> Point<'t> {
    fn read(text: &'t str, cx: &mut Context) -> Result<Point<'t>, String> {
        let mut point = Point::default();
        object(text, |key, text| {
            let value = Raw::new("value", text);
            match key {
                "date" => point.date = date(Raw::new("date", text))?,
                "startDate" | "start" | "sleepStart" => point.start = date(Raw::new("startDate", text))?,
                "endDate" | "end" | "sleepEnd" => point.end = date(Raw::new("endDate", text))?,
                "inBedStart" => point.in_bed[0] = date(Raw::new("inBedStart", text))?,
                "inBedEnd" => point.in_bed[1] = date(Raw::new("inBedEnd", text))?,
                "qty" => point.qty = Raw::new("qty", text).number()?,
                "units" => {
                    let unit = Raw::new("units", text).string()?;
                    point.unit = unit.and_then(|unit| Unit::parse(super::metrics::unit_of(&unit)).ok());
                }
                "source" => point.origin = source(Raw::new("source", text), cx)?,
                "value" if value.is_text() => point.word = value.string()?,
                _ if value.is_number() => {
                    let number = value.number()?.ok_or("expected a number, found none")?;
                    let name = match key {
                        "Min" => "min",
                        "Avg" => "average",
                        "Max" => "max",
                        other => other,
                    };
                    point.numbers.push((cx.name(name), number));
                }
                _ if cx.strict && !value.is_text() => {
                    return Err(format!("unknown key `{}`", printable(key)));
                }
                _ => {
                    if let Some(value) = read_meta_value(key, text, cx)? {
                        point.metadata.push(cx.name(key), value);
                    }
                }
            }
            Ok(())
        })?;
        Ok(point)
    }

    fn record(self, kind: Kind, value: Value, cx: &mut Context) -> Result<Record, String> {
        let start = self.start.or(self.in_bed[0]).or(self.date);
        let (start, offset) = start.ok_or("expected a time in `date`, found none")?;
        let end = self.end.or(self.in_bed[1]).map_or(start, |(end, _)| end);
        if end < start {
            return Err("expected an end that is not before the start".to_owned());
        }
        let mut record = Record::added(RecordId::from_u128(0), kind, start, end, value);
        record.origin = self.origin;
        set_zone(&mut record, offset, cx);
        if !self.metadata.is_empty() {
            record.metadata = Some(Arc::new(self.metadata));
        }
        record.id = derive_id_with(&mut cx.scratch, &record);
        Ok(record)
    }
}

/// The record of a point of `metric`.
pub(super) fn read(text: &str, metric: &Metric, cx: &mut Context) -> Result<Record, String> {
    let kind = metric.kind.ok_or("expected the name of a metric in `name`, found none")?;
    let unit = metric.unit.ok_or("expected the units of a metric in `units`, found none");
    let mut point = Point::read(text, cx)?;
    match kind.short() {
        "SleepAnalysis" => return sleep(point, kind, cx),
        // The app calls the metric as the correlation.
        "BloodPressure" => return blood_pressure(point, unit?, cx),
        _ => {}
    }
    if let Some(word) = point.word.take() {
        let word = MetaValue::String(cx.name(&word));
        point.metadata.push(cx.name("value"), word);
    }
    let unit = unit?;
    let value = match point.qty {
        Some(qty) if point.numbers.is_empty() => Value::Quantity(scaled(qty, unit), unit),
        // Beside other numbers, it is one of them.
        qty => aggregate(qty, std::mem::take(&mut point.numbers), Some(unit))?,
    };
    point.record(kind, value, cx)
}

/// A percentage as a fraction, as HealthKit and records have it.
pub(super) fn scaled(number: f64, unit: Unit) -> f64 {
    if unit.as_str() == "%" { number / 100.0 } else { number }
}

fn aggregate(qty: Option<f64>, numbers: Vec<(Name, f64)>, unit: Option<Unit>) -> Result<Value, String> {
    let scale = |number| unit.map_or(number, |unit| scaled(number, unit));
    let qty = qty.map(|qty| (Name::from("qty"), qty));
    let results: Vec<(Name, f64)> =
        qty.into_iter().chain(numbers).map(|(name, number)| (name, scale(number))).collect();
    if results.is_empty() {
        return Err("expected `qty` or another number in a point, found none".to_owned());
    }
    if results
        .iter()
        .enumerate()
        .any(|(index, (name, _))| results[..index].iter().any(|(other, _)| other == name))
    {
        return Err("a number of a point comes twice".to_owned());
    }
    Ok(Value::Aggregate(Arc::new(Aggregate { unit, results })))
}

/// A phase, or the sums of a night.
fn sleep(mut point: Point<'_>, kind: Kind, cx: &mut Context) -> Result<Record, String> {
    let value = match point.word.take() {
        Some(word) => {
            // `qty` is the time between start and end, in hours.
            let phase = phase(&word).ok_or("expected a phase of sleep in `value`, found another text")?;
            Value::Category(phase)
        }
        None => aggregate(point.qty, std::mem::take(&mut point.numbers), Unit::parse("hr").ok())?,
    };
    point.record(kind, value, cx)
}

/// HKCategoryValueSleepAnalysis by the app's words.
fn phase(word: &str) -> Option<i64> {
    Some(match word {
        "In Bed" | "InBed" | "inBed" => 0,
        "Asleep" | "Unspecified" | "asleep" => 1,
        "Awake" | "awake" => 2,
        "Core" | "core" => 3,
        "Deep" | "deep" => 4,
        "REM" | "Rem" | "rem" => 5,
        _ => return None,
    })
}

fn blood_pressure(mut point: Point<'_>, unit: Unit, cx: &mut Context) -> Result<Record, String> {
    let kind = |name: &str| Kind::from_data(name).map_err(|error| error.to_string());
    let mut samples = Vec::new();
    for (name, short) in [("systolic", "BloodPressureSystolic"), ("diastolic", "BloodPressureDiastolic")] {
        let found = point.numbers.iter().position(|(known, _)| *known.as_str() == *name);
        let found = found.ok_or_else(|| format!("expected a number in `{name}`, found none"))?;
        let value = Value::Quantity(point.numbers.remove(found).1, unit);
        let part = Point { date: point.date, origin: point.origin.clone(), ..Point::default() };
        samples.push(part.record(kind(short)?, value, cx)?);
    }
    for (name, number) in std::mem::take(&mut point.numbers) {
        point.metadata.push(name, MetaValue::Number(number));
    }
    let value = Value::Correlation(Arc::new(Correlation { samples }));
    point.record(kind("HKCorrelationTypeIdentifierBloodPressure")?, value, cx)
}

/// Points in a workout, as records of their own.
pub(super) fn series(
    text: &str,
    key: &str,
    kind: Kind,
    cx: &mut Context,
    out: &mut Vec<Record>,
) -> Result<(), String> {
    Raw::new("series", text).elements(|text| {
        let mut point = Point::read(text, cx)?;
        let unit =
            point.unit.ok_or_else(|| format!("expected `units` in `{}`, found none", printable(key)))?;
        let value = match point.qty {
            Some(qty) if point.numbers.is_empty() => Value::Quantity(scaled(qty, unit), unit),
            qty => aggregate(qty, std::mem::take(&mut point.numbers), Some(unit))?,
        };
        out.push(point.record(kind, value, cx)?);
        Ok(())
    })
}

/// An electrocardiogram.
pub(super) fn electrocardiogram(text: &str, cx: &mut Context) -> Result<Record, String> {
    let mut ecg = Electrocardiogram::default();
    let mut point = Point::default();
    object(text, |key, text| {
        let value = Raw::new("ecg", text);
        match key {
            "start" => point.start = date(Raw::new("start", text))?,
            "end" => point.end = date(Raw::new("end", text))?,
            "source" => point.origin = source(Raw::new("source", text), cx)?,
            "classification" => ecg.classification = Raw::new("classification", text).name(cx)?,
            "averageHeartRate" => ecg.average_heart_rate = Raw::new("averageHeartRate", text).number()?,
            "samplingFrequency" => ecg.sampling_frequency = Raw::new("samplingFrequency", text).number()?,
            "numberOfVoltageMeasurements" => {}
            "voltageMeasurements" => value.elements(|text| {
                ecg.voltages.push(voltage(text)?);
                Ok(())
            })?,
            _ => {
                if let Some(value) = read_meta_value(key, text, cx)? {
                    point.metadata.push(cx.name(key), value);
                }
            }
        }
        Ok(())
    })?;
    let kind = Kind::from_data("HKDataTypeIdentifierElectrocardiogram").map_err(|error| error.to_string())?;
    point.record(kind, Value::Electrocardiogram(Arc::new(ecg)), cx)
}

/// A voltage in µV.
fn voltage(text: &str) -> Result<f64, String> {
    let (mut number, mut unit) = (None, None);
    Raw::new("voltageMeasurements", text).entries(|key, text| {
        match key {
            "voltage" => number = Raw::new(key, text).number()?,
            "units" => unit = Raw::new(key, text).unit()?,
            _ => {}
        }
        Ok(())
    })?;
    let number = number.ok_or("expected a number in `voltage`, found none")?;
    let to = Unit::parse("mcV").map_err(|error| error.to_string())?;
    // Without a unit it is in that of records.
    let conversion = unit.unwrap_or(to).conversion(to);
    Ok(conversion.ok_or("expected a unit of voltage in `units`, found another")?.apply(number))
}

/// What has no other form: its JSON.
pub(super) fn other(text: &str, kind: &str, cx: &mut Context) -> Result<Record, String> {
    let mut point = Point::default();
    let mut id = None;
    object(text, |key, text| {
        match key {
            "id" => id = Raw::new("id", text).id(super::PREFIX)?,
            "start" | "startDate" | "scheduledDate" => point.start = date(Raw::new("start", text))?,
            "end" | "endDate" => point.end = date(Raw::new("end", text))?,
            "date" => point.date = date(Raw::new("date", text))?,
            "source" => point.origin = source(Raw::new("source", text), cx)?,
            _ => {}
        }
        Ok(())
    })?;
    if !is_shallow(text) {
        return Err("expected fewer levels of arrays and objects, found more".to_owned());
    }
    let mut record = point.record(own_kind(kind)?, Value::Json(text.into()), cx)?;
    record.id = id.unwrap_or(record.id);
    Ok(record)
}
