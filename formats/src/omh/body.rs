//! The bodies of data points.

use afferent_core::{
    Kind, Record, Timestamp, Unit, Value,
    kind::{category, workout},
    record::{Correlation, Workout},
    unit::Conversion,
};

use super::{
    OmhEncoder,
    encode::Plans,
    schemas::{CATEGORY, CORRELATION, length},
};
use crate::{
    decimal::{write_decimal, write_hundredfold},
    terms::{self, Schema},
    wire::{write_metadata, write_text},
};

/// The schema of a record's body.
///
/// # Errors
/// Why there is none.
pub(super) fn schema_of(record: &Record, kind: Kind, plans: &mut Plans) -> Result<Schema, String> {
    let of_type = || terms::of(kind).and_then(|term| term.omh);
    let reason = match &record.value {
        Value::Quantity(_, unit) => return Ok(plans.of(kind, *unit).schema),
        Value::Category(_) if kind.is_quantity() => "a quantity has no unit",
        Value::Category(raw) => {
            return Ok(of_type().filter(|_| stage(kind, *raw).is_some()).unwrap_or(CATEGORY));
        }
        Value::Correlation(correlation) => {
            return Ok(of_type().filter(|_| pressures(correlation).is_some()).unwrap_or(CORRELATION));
        }
        Value::Workout(_) => {
            return of_type().ok_or_else(|| "Open mHealth has workouts of HealthKit's type only".to_owned());
        }
        Value::None => "an addition has no value",
        Value::HeartbeatSeries(_) => {
            "Open mHealth has no form for a series of heartbeats: its data point is one interval"
        }
        Value::Route(_) => "Open mHealth has no form for a route: its data point is one place",
        Value::Electrocardiogram(_) => "Open mHealth has no form for an electrocardiogram",
        Value::ActivitySummary(_) => "Open mHealth has no form for an activity summary",
        Value::Aggregate(_) => "Open mHealth has no form for several results of one window",
        Value::Clinical(_) => "Open mHealth has no form for a clinical document",
        Value::Notification(_) => "Open mHealth has no form for a vendor's notification",
        _ => "Open mHealth has no form for such a value",
    };
    Err(reason.to_owned())
}

/// Appends the keys of the body of `schema`.
pub(super) fn write_body(
    record: &Record,
    kind: Kind,
    schema: Schema,
    encoder: &mut OmhEncoder,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut interval = false;
    match &record.value {
        Value::Quantity(number, unit) => {
            let plan = encoder.plans.of(kind, *unit);
            interval = plan.interval;
            match plan.key {
                Some(key) => {
                    out.push(b'"');
                    out.extend_from_slice(key.as_bytes());
                    out.extend_from_slice(b"\":");
                }
                None => {
                    write_generic(b"\"quantity_type\":", kind.name(), out);
                    out.extend_from_slice(b",\"unit_value\":");
                }
            }
            write_number(*number, plan.conversion, plan.percent, plan.unit, out)?;
        }
        Value::Category(raw) if schema == CATEGORY => write_category(kind, *raw, out),
        Value::Category(raw) => {
            interval = true;
            write_sleep(stage(kind, *raw).unwrap_or_default(), record, out)?;
        }
        Value::Correlation(correlation) => match pressures(correlation).filter(|_| schema != CORRELATION) {
            Some([systolic, diastolic]) => {
                for (key, pressure) in [
                    ("\"systolic_blood_pressure\":", systolic),
                    (",\"diastolic_blood_pressure\":", diastolic),
                ] {
                    out.extend_from_slice(key.as_bytes());
                    write_number(pressure, None, false, "mmHg", out)?;
                }
            }
            None => write_correlation(kind, correlation, encoder, out)?,
        },
        Value::Workout(workout) => {
            interval = true;
            write_workout(workout, out)?;
        }
        _ => return Err("Open mHealth has no form for such a value".to_owned()),
    }
    out.push(b',');
    write_time_frame(record, interval, encoder, out)?;
    if schema.namespace == "granola"
        && let Some(metadata) = record.metadata.as_ref().filter(|metadata| !metadata.is_empty())
    {
        out.extend_from_slice(b",\"metadata\":");
        write_metadata(metadata, out)?;
    }
    Ok(())
}

fn write_generic(key: &[u8], name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    write_text(name, out);
}

/// Appends `{"value":…,"unit":…}`.
fn write_number(
    number: f64,
    conversion: Option<Conversion>,
    percent: bool,
    unit: &str,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let number = conversion.map_or(number, |conversion| conversion.apply(number));
    out.extend_from_slice(b"{\"value\":");
    match percent {
        true => write_hundredfold(number, out)?,
        false => write_decimal(number, out)?,
    }
    out.extend_from_slice(b",\"unit\":");
    write_text(unit, out);
    out.push(b'}');
    Ok(())
}

fn write_category(kind: Kind, raw: i64, out: &mut Vec<u8>) {
    write_generic(b"\"category_type\":", kind.name(), out);
    out.extend_from_slice(b",\"category_value\":\"");
    let values = kind.info().and_then(|info| info.value_enum);
    match values.and_then(|values| category::constant_of(values, raw)) {
        Some(constant) => out.extend_from_slice(constant.as_bytes()),
        None => out.extend_from_slice(itoa::Buffer::new().format(raw).as_bytes()),
    }
    out.push(b'"');
}

fn write_time_frame(
    record: &Record,
    interval: bool,
    encoder: &mut OmhEncoder,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut time =
        |time: Timestamp, out: &mut Vec<u8>| encoder.zones.write_time(record.zone.as_ref(), time, out);
    out.extend_from_slice(b"\"effective_time_frame\":{");
    if record.start == record.end && !interval {
        out.extend_from_slice(b"\"date_time\":");
        time(record.start, out)?;
    } else {
        out.extend_from_slice(b"\"time_interval\":{\"start_date_time\":");
        time(record.start, out)?;
        out.extend_from_slice(b",\"end_date_time\":");
        time(record.end, out)?;
        out.push(b'}');
    }
    out.push(b'}');
    Ok(())
}

/// The keys of the lengths that a value of sleep says, where it says that somebody slept.
fn stage(kind: Kind, raw: i64) -> Option<&'static [&'static str]> {
    let values = kind.info()?.value_enum.filter(|values| *values == "HKCategoryValueSleepAnalysis")?;
    Some(match category::name_of(values, raw)? {
        "asleepUnspecified" => &["total_sleep_time"],
        "asleepCore" => &["total_sleep_time", "light_sleep_duration"],
        "asleepDeep" => &["total_sleep_time", "deep_sleep_duration"],
        "asleepREM" => &["total_sleep_time", "rem_sleep_duration"],
        _ => return None,
    })
}

fn write_sleep(keys: &[&str], record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
    let seconds = (record.end.as_micros() - record.start.as_micros()) as f64 / 1e6;
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        write_number(seconds, None, false, "sec", out)?;
    }
    Ok(())
}

/// Systolic and diastolic, in mmHg, where a correlation is these two.
fn pressures(correlation: &Correlation) -> Option<[f64; 2]> {
    let to = Unit::parse("mmHg").ok()?;
    let pressure = |short: &str| {
        let sample = correlation
            .samples
            .iter()
            .find(|sample| sample.kind.is_some_and(|kind| kind.short() == short))?;
        match sample.value {
            Value::Quantity(number, unit) => Some(unit.conversion(to)?.apply(number)),
            _ => None,
        }
    };
    Some([pressure("BloodPressureSystolic")?, pressure("BloodPressureDiastolic")?])
}

fn write_correlation(
    kind: Kind,
    correlation: &Correlation,
    encoder: &mut OmhEncoder,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    write_generic(b"\"correlation_type\":", kind.name(), out);
    for (key, of_quantities) in [(",\"quantity_samples\":[", true), (",\"category_samples\":[", false)] {
        out.extend_from_slice(key.as_bytes());
        let mut separator: &[u8] = b"{";
        for sample in &correlation.samples {
            let kind = sample.kind.ok_or("a sample of a correlation has no type")?;
            match &sample.value {
                Value::Quantity(number, unit) if of_quantities => {
                    out.extend_from_slice(separator);
                    write_generic(b"\"quantity_type\":", kind.name(), out);
                    out.extend_from_slice(b",\"unit_value\":");
                    write_number(*number, None, false, unit.as_str(), out)?;
                }
                Value::Category(raw) if !of_quantities => {
                    out.extend_from_slice(separator);
                    write_category(kind, *raw, out);
                }
                Value::Quantity(..) | Value::Category(_) => continue,
                _ => {
                    return Err(
                        "a correlation can hold quantities and categories, found another value".to_owned()
                    );
                }
            }
            out.push(b',');
            write_time_frame(sample, false, encoder, out)?;
            out.push(b'}');
            separator = b",{";
        }
        out.push(b']');
    }
    Ok(())
}

fn write_workout(workout: &Workout, out: &mut Vec<u8>) -> Result<(), String> {
    let name = workout::short_of_activity(workout.activity).unwrap_or("other");
    write_generic(b"\"activity_name\":", name, out);
    if let Some(duration) = workout.duration {
        out.extend_from_slice(b",\"duration\":");
        write_number(duration, None, false, "sec", out)?;
    }
    let sum = |is_it: &dyn Fn(&str) -> bool| {
        let statistic = workout.statistics.iter().find(|statistic| is_it(statistic.kind.short()))?;
        Some((statistic.sum?, statistic.unit))
    };
    if let Some((distance, unit)) = sum(&|short| short.starts_with("Distance"))
        && let Some((name, conversion)) = length(unit)
    {
        out.extend_from_slice(b",\"distance\":");
        write_number(distance, conversion, false, name, out)?;
    }
    let kcal = Unit::parse("kcal").ok();
    if let Some((energy, unit)) = sum(&|short| short == "ActiveEnergyBurned")
        && let Some(conversion) = kcal.and_then(|kcal| unit.conversion(kcal))
    {
        out.extend_from_slice(b",\"kcal_burned\":");
        write_number(energy, Some(conversion), false, "kcal", out)?;
    }
    Ok(())
}
