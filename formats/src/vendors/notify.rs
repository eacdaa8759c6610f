//! Vendors that only say that something is there.

use afferent_core::Timestamp;

use super::{Said, Vendor, unix};
use crate::{
    context::Context,
    document::Out,
    json::{Raw, object},
};

const DAY_MICROS: i64 = 86_400_000_000;

/// Reads what `vendor` said.
pub(super) fn read(vendor: Vendor, text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    if vendor == Vendor::GoogleHealth {
        return google_health(text, cx, out);
    }
    let mut said = Said::default();
    let mut is_ping = false;
    object(text, |key, text| {
        let value = Raw::new("value", text);
        match (vendor, key) {
            (Vendor::Fitbit, "collectionType")
            | (Vendor::Oura, "data_type")
            | (Vendor::Strava, "object_type")
            | (Vendor::Polar, "event")
            | (Vendor::Whoop, "type") => {
                said.topic = value.string()?.map(|topic| topic.into_owned());
                is_ping |= vendor == Vendor::Polar && said.topic.as_deref() == Some("PING");
            }
            (Vendor::Fitbit, "ownerId")
            | (Vendor::Oura | Vendor::Polar | Vendor::Whoop, "user_id")
            | (Vendor::Strava, "owner_id") => {
                said.user = user(value, cx)?;
            }
            (Vendor::Fitbit, "date") => {
                let day = value.string()?.map(|day| Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")));
                let day = day
                    .map(|day| day.ok_or_else(|| value.expected("a day such as \"2026-03-01\"")))
                    .transpose()?;
                said.start = day.map(|(start, _)| (start, 0));
                said.end = day.map(|(start, _)| start.plus_micros(DAY_MICROS));
            }
            (Vendor::Oura, "event_time") | (Vendor::Polar, "timestamp") => said.start = value.rfc3339()?,
            (Vendor::Strava, "event_time") => {
                said.start = value.number()?.and_then(unix).map(|time| (time, 0));
            }
            _ => said.keep(key, text, cx)?,
        }
        Ok(())
    })?;
    if !is_ping {
        out.push(said.finish(vendor, text, cx)?);
    }
    Ok(())
}

/// A user's id, which some vendors write as a number.
pub(super) fn user(value: Raw<'_>, cx: &mut Context) -> Result<Option<afferent_core::Name>, String> {
    if value.is_number() { Ok(Some(cx.name(value.text))) } else { value.name(cx) }
}

/// One notification for each interval.
fn google_health(text: &str, cx: &mut Context, out: &mut Out<'_>) -> Result<(), String> {
    let (mut topic, mut user, mut is_verification) = (None, None, false);
    let (mut intervals, mut rest) = (Vec::new(), Vec::new());
    object(text, |key, text| match key {
        "type" => {
            is_verification = Raw::new("type", text).string()?.as_deref() == Some("verification");
            Ok(())
        }
        "data" => object(text, |key, text| {
            let value = Raw::new("data", text);
            match key {
                "healthUserId" => user = value.name(cx)?,
                "dataType" => topic = value.string()?.map(|topic| topic.into_owned()),
                "intervals" => value.elements(|text| {
                    intervals.push(interval(text)?);
                    Ok(())
                })?,
                _ => rest.push((cx.name(key), text)),
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    if is_verification {
        return Ok(());
    }
    let mut records = Vec::new();
    if intervals.is_empty() {
        intervals.push((None, None));
    }
    for (index, (start, end)) in intervals.into_iter().enumerate() {
        let mut said = Said { topic: topic.clone(), user: user.clone(), start, end, ..Said::default() };
        for (key, text) in &rest {
            said.keep(key, text, cx)?;
        }
        // Each interval is said by the same text.
        records.push(said.finish(Vendor::GoogleHealth, &format!("{index} {text}"), cx)?);
    }
    records.into_iter().for_each(|record| out.push(record));
    Ok(())
}

/// When something began, with its offset, and when it ended, as far as it is said.
type Interval = (Option<(Timestamp, i32)>, Option<Timestamp>);

/// The times of `{"physicalTimeInterval":{"startTime","endTime"}}`.
fn interval(text: &str) -> Result<Interval, String> {
    let (mut start, mut end) = (None, None);
    object(text, |key, text| match key {
        "physicalTimeInterval" => object(text, |key, text| {
            match key {
                "startTime" => start = Raw::new("startTime", text).rfc3339()?,
                "endTime" => end = Raw::new("endTime", text).rfc3339()?,
                _ => {}
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    Ok((start, end.map(|(end, _)| end)))
}
