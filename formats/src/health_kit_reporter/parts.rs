//! Numbers and times as the library writes them, and the parts of workouts, electrocardiograms and routes.

use afferent_core::{
    Name, Timestamp, Unit,
    kind::category,
    record::{Activity, Location, Statistic, WorkoutEvent},
};

use crate::json::Raw;

/// From here on a number is milliseconds since 1970: as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// An instant by its seconds, or milliseconds, since 1970.
pub(super) fn instant(number: f64) -> Option<Timestamp> {
    let scale = if number.abs() < MILLISECONDS_FROM { 1e6 } else { 1e3 };
    let micros = (number * scale).round();
    // Far more than the years that have a text form.
    if micros.abs() < 1e18 { Timestamp::from_micros(micros as i64) } else { None }
}

/// An instant behind a key; `null` is none.
pub(super) fn seconds(value: Raw<'_>) -> Result<Option<Timestamp>, String> {
    match value.number()? {
        None => Ok(None),
        Some(number) => {
            instant(number).map(Some).ok_or_else(|| value.expected("seconds or milliseconds since 1970"))
        }
    }
}

/// A number, which the library writes as a text where it is not finite.
pub(super) fn number(value: Raw<'_>) -> Result<Option<f64>, String> {
    if !value.is_text() {
        return value.number();
    }
    // Encoders of pods 1 to 3, and of 4.x.
    let is_known = matches!(
        value.text,
        "\"inf\"" | "\"-inf\"" | "\"-500.0\"" | "\"Infinity\"" | "\"-Infinity\"" | "\"NaN\""
    );
    let found = if is_known { "one that is not" } else { "a text" };
    Err(format!("expected a finite number in `{}`, found {found}", value.key))
}

pub(super) fn required<T>(key: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("expected `{key}`, found none"))
}

pub(super) fn activity(key: &'static str, text: Option<&str>) -> Result<u32, String> {
    let number = text.map_or(Ok(None), |text| Raw::new(key, text).whole())?;
    u32::try_from(required(key, number)?)
        .map_err(|_| format!("expected an activity's number in `{key}`, found another"))
}

pub(super) fn event(text: &str) -> Result<WorkoutEvent, String> {
    let (mut start, mut end, mut number, mut word) = (None, None, None, None);
    Raw::new("workoutEvents", text).entries(|key, text| {
        match key {
            "startTimestamp" => start = seconds(Raw::new(key, text))?,
            "endTimestamp" => end = seconds(Raw::new(key, text))?,
            "harmonized" => Raw::new("harmonized", text).entries(|key, text| {
                match key {
                    "value" => number = Raw::new(key, text).whole()?,
                    "description" => {
                        word = Raw::new("description", text).string()?.map(|word| Name::from(word.as_ref()))
                    }
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    let known = number.and_then(|number| category::name_of("HKWorkoutEventType", number));
    let event = match known {
        Some(name) => Name::from(name),
        None => required("description", word)?,
    };
    let start = required("startTimestamp", start)?;
    Ok(WorkoutEvent { event, start, end: end.unwrap_or(start) })
}

pub(super) fn statistics(text: &str) -> Result<Vec<Statistic>, String> {
    let mut all = Vec::new();
    Raw::new("statistics", text).elements(|text| {
        all.push(statistic(text)?);
        Ok(())
    })?;
    Ok(all)
}

fn statistic(text: &str) -> Result<Statistic, String> {
    let (mut kind, mut unit) = (None, None);
    let (mut sum, mut average, mut minimum, mut maximum) = (None, None, None, None);
    Raw::new("statistics", text).entries(|key, text| {
        match key {
            "identifier" => kind = Raw::new(key, text).kind()?,
            "harmonized" => Raw::new("harmonized", text).entries(|key, text| {
                let value = Raw::new(key, text);
                match key {
                    "unit" => unit = value.unit()?,
                    "summary" => sum = number(value)?,
                    "average" => average = number(value)?,
                    "min" => minimum = number(value)?,
                    "max" => maximum = number(value)?,
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Statistic {
        kind: required("identifier", kind)?,
        unit: required("unit", unit)?,
        sum,
        average,
        minimum,
        maximum,
    })
}

pub(super) fn part(text: &str) -> Result<Activity, String> {
    let (mut number_of, mut start, mut end, mut duration) = (None, None, None, None);
    let mut all = Vec::new();
    Raw::new("activities", text).entries(|key, text| {
        let value = Raw::new(key, text);
        match key {
            "activityValue" => number_of = Some(activity("activityValue", Some(text))?),
            "startTimestamp" => start = seconds(value)?,
            "endTimestamp" => end = seconds(value)?,
            "duration" => duration = number(value)?,
            "statistics" if !value.is_null() => all = statistics(text)?,
            _ => {}
        }
        Ok(())
    })?;
    let start = required("startTimestamp", start)?;
    Ok(Activity {
        activity: required("activityValue", number_of)?,
        start,
        end: end.unwrap_or(start),
        duration,
        statistics: all,
    })
}

/// How voltages are turned into µV; their unit is the same in nearly all.
#[derive(Default)]
pub(super) struct Scale(Option<(Unit, afferent_core::unit::Conversion)>);

/// A voltage in µV.
pub(super) fn voltage(text: &str, scale: &mut Scale) -> Result<f64, String> {
    let (mut voltage, mut unit) = (None, None);
    Raw::new("voltageMeasurements", text).entries(|key, text| match key {
        "harmonized" => Raw::new("harmonized", text).entries(|key, text| {
            match key {
                "value" => voltage = number(Raw::new(key, text))?,
                "unit" => unit = Raw::new(key, text).unit()?,
                _ => {}
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    let (voltage, unit) = (required("value", voltage)?, required("unit", unit)?);
    if let Some((of, conversion)) = &scale.0
        && *of == unit
    {
        return Ok(conversion.apply(voltage));
    }
    let micro = Unit::parse("mcV").map_err(|error| error.to_string())?;
    let conversion = unit.conversion(micro).ok_or("expected a voltage, found another unit")?;
    scale.0 = Some((unit, conversion));
    Ok(conversion.apply(voltage))
}

pub(super) fn location(text: &str) -> Result<Location, String> {
    let (mut time, mut latitude, mut longitude) = (None, None, None);
    let (mut altitude, mut speed, mut course, mut horizontal, mut vertical) = (None, None, None, None, None);
    Raw::new("locations", text).entries(|key, text| {
        let value = Raw::new(key, text);
        match key {
            "timestamp" => time = seconds(value)?,
            "latitude" => latitude = number(value)?,
            "longitude" => longitude = number(value)?,
            "altitude" => altitude = number(value)?,
            "speed" => speed = number(value)?,
            "course" => course = number(value)?,
            "horizontalAccuracy" => horizontal = number(value)?,
            "verticalAccuracy" => vertical = number(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Location {
        time: required("timestamp", time)?,
        latitude: required("latitude", latitude)?,
        longitude: required("longitude", longitude)?,
        altitude,
        speed,
        course,
        horizontal_accuracy: horizontal,
        vertical_accuracy: vertical,
    })
}
