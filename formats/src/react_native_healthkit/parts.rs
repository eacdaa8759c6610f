//! Numbers, times and sources as the library writes them, and the parts of series and routes.

use std::sync::Arc;

use afferent_core::{
    MetaValue, Metadata, Origin, Timestamp, Unit,
    record::{Heartbeat, Location},
};

use crate::{
    context::{Context, ORIGIN_TEXTS},
    json::{Raw, object},
    wire::read_meta_value,
};

pub(super) fn unit(text: &str) -> Result<Unit, String> {
    Unit::parse(text).map_err(|error| error.to_string())
}

/// A JavaScript date as text, or its milliseconds since 1970.
pub(super) fn time(value: Raw<'_>) -> Result<Option<Timestamp>, String> {
    if !value.is_number() {
        return Ok(value.rfc3339()?.map(|(time, _)| time));
    }
    let millis = value.number()?.ok_or_else(|| value.expected("a time"))?;
    let micros = (millis * 1e3).round();
    let time = (micros.abs() < 1e18).then(|| Timestamp::from_micros(micros as i64)).flatten();
    time.map(Some).ok_or_else(|| value.expected("milliseconds since 1970"))
}

/// A number with its unit, or a bare one in `unit_text`.
pub(super) fn quantity(value: Raw<'_>, unit_text: &str) -> Result<Option<(f64, Unit)>, String> {
    if !value.is_object() {
        return value.number()?.map(|number| Ok((number, unit(unit_text)?))).transpose();
    }
    let (mut number, mut of) = (None, None);
    value.entries(|key, text| {
        match key {
            "quantity" => number = Raw::new(key, text).number()?,
            "unit" => of = Raw::new(key, text).unit()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(number.zip(of))
}

/// A duration in seconds.
pub(super) fn seconds(value: Raw<'_>) -> Result<Option<f64>, String> {
    let Some((number, of)) = quantity(value, "s")? else { return Ok(None) };
    let conversion =
        of.conversion(unit("s")?).ok_or("expected a unit of time in `duration`, found another")?;
    Ok(Some(conversion.apply(number)))
}

/// The times of a part, and the whole number behind `key`.
pub(super) fn span(text: &str, wanted: &str) -> Result<(Timestamp, Timestamp, Option<i64>), String> {
    let (mut start, mut end, mut number) = (None, None, None);
    object(text, |key, text| {
        match key {
            "startDate" => start = time(Raw::new("startDate", text))?,
            "endDate" => end = time(Raw::new("endDate", text))?,
            _ if key == wanted => number = Raw::new("type", text).number()?.map(|number| number as i64),
            _ => {}
        }
        Ok(())
    })?;
    let start = start.ok_or("expected a time in `startDate`, found none")?;
    Ok((start, end.unwrap_or(start), number))
}

pub(super) fn heartbeats(list: Raw<'_>) -> Result<Vec<Heartbeat>, String> {
    let mut beats = Vec::new();
    list.elements(|text| {
        let (mut time, mut gap) = (None, false);
        object(text, |key, text| {
            match key {
                "timeSinceSeriesStart" => time = Raw::new(key, text).number()?,
                "precededByGap" => gap = Raw::new(key, text).boolean()?.unwrap_or(false),
                _ => {}
            }
            Ok(())
        })?;
        beats.push(Heartbeat {
            time: time.ok_or("expected a number in `timeSinceSeriesStart`, found none")?,
            gap,
        });
        Ok(())
    })?;
    Ok(beats)
}

pub(super) fn locations(list: Raw<'_>) -> Result<Vec<Location>, String> {
    let mut locations = Vec::new();
    list.elements(|text| {
        let (mut at, mut latitude, mut longitude) = (None, None, None);
        let (mut altitude, mut speed, mut course, mut horizontal, mut vertical) =
            (None, None, None, None, None);
        object(text, |key, text| {
            let value = Raw::new("locations", text);
            match key {
                "date" | "timestamp" => at = time(value)?,
                "latitude" => latitude = value.number()?,
                "longitude" => longitude = value.number()?,
                "altitude" => altitude = value.number()?,
                "speed" => speed = value.number()?,
                "course" => course = value.number()?,
                "horizontalAccuracy" => horizontal = value.number()?,
                "verticalAccuracy" => vertical = value.number()?,
                _ => {}
            }
            Ok(())
        })?;
        locations.push(Location {
            time: at.ok_or("expected a time in `date`, found none")?,
            latitude: latitude.ok_or("expected a number in `latitude`, found none")?,
            longitude: longitude.ok_or("expected a number in `longitude`, found none")?,
            altitude,
            speed,
            course,
            horizontal_accuracy: horizontal,
            vertical_accuracy: vertical,
        });
        Ok(())
    })?;
    Ok(locations)
}

/// Typed metadata; quantities are `{"unit","quantity"}`.
pub(super) fn metadata(text: &str, metadata: &mut Metadata, cx: &mut Context) -> Result<(), String> {
    Raw::new("metadata", text).entries(|key, text| {
        let value = Raw::new("metadata", text);
        let read = if value.is_object() {
            quantity(value, "")?.map(|(number, unit)| MetaValue::Quantity(number, unit))
        } else {
            None
        };
        let read = match read {
            Some(value) => Some(value),
            None => read_meta_value(key, text, cx)?,
        };
        if let Some(value) = read {
            metadata.push(cx.name(key), value);
        }
        Ok(())
    })
}

/// `sourceRevision` and `device` as one origin, shared by all records that have the same.
pub(super) fn origin(
    revision: Option<&str>,
    device: Option<&str>,
    cx: &mut Context,
) -> Result<Option<Arc<Origin>>, String> {
    let mut texts: [Option<std::borrow::Cow<'_, str>>; ORIGIN_TEXTS] = Default::default();
    if let Some(text) = revision {
        Raw::new("sourceRevision", text).entries(|key, text| {
            let value = Raw::new("sourceRevision", text);
            match key {
                "source" => value.entries(|key, text| {
                    match key {
                        "name" => texts[0] = Raw::new("name", text).string()?,
                        "bundleIdentifier" => texts[1] = Raw::new("bundleIdentifier", text).string()?,
                        _ => {}
                    }
                    Ok(())
                })?,
                "version" => texts[2] = value.string()?,
                "productType" => texts[3] = value.string()?,
                "operatingSystemVersion" => texts[4] = value.string()?,
                _ => {}
            }
            Ok(())
        })?;
    }
    if let Some(text) = device {
        let places =
            ["name", "manufacturer", "model", "hardwareVersion", "firmwareVersion", "softwareVersion"];
        Raw::new("device", text).entries(|key, text| {
            if let Some(place) = places.iter().position(|known| *known == key) {
                texts[5 + place] = Raw::new("device", text).string()?;
            }
            Ok(())
        })?;
    }
    Ok(cx.origin(&std::array::from_fn(|index| texts[index].as_deref().unwrap_or_default())))
}
