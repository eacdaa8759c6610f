//! Vendors that send data.
//!
//! What has a type of HealthKit becomes records of it, what has none stays JSON. A part of a body (a sample, a day, a summary) is
//! read as a whole: where something in it can't be read, the part is a reject, and nothing of it is delivered.
//!
//! **Totals grow.** A vendor sends a day again and again while it goes on, each time with its total so far. The total's id is of
//! who, what and since when; its revision is its value in hundredths. So the greatest is the one that stands, in whatever order
//! they come, and a day is never counted twice. A vendor that corrects a total downward is not followed.

mod activities;
mod garmin;
mod junction;
mod suunto;
mod terra;

pub(super) use self::{garmin::garmin, junction::junction, suunto::suunto, terra::terra};

use std::sync::Arc;

use afferent_core::{Kind, Name, Origin, Record, RecordId, Timestamp, Unit, Value, record::Statistic};

use super::{Said, Vendor, notify::user, unix};
use crate::{
    context::Context,
    draft::offset_text,
    identity::derive_id_with,
    json::{Raw, object},
    wire::is_shallow,
};

/// What all records of a part have in common.
struct Common {
    subject: Option<Name>,
    zone: Option<Name>,
    origin: Option<Arc<Origin>>,
}

impl Common {
    /// Of `subject`, `offset` seconds from UTC, from a source called `source`.
    fn new(subject: Option<Name>, offset: i32, source: &str, cx: &mut Context) -> Common {
        let mut texts = [""; crate::context::ORIGIN_TEXTS];
        texts[0] = source;
        Common { subject, zone: zone(offset, cx), origin: cx.origin(&texts) }
    }

    /// A record that is known by what it says.
    fn record(
        &self,
        short: &str,
        value: Value,
        start: Timestamp,
        end: Timestamp,
        cx: &mut Context,
    ) -> Result<Record, String> {
        let mut record = Record::added(RecordId::from_u128(0), kind(short)?, start, end.max(start), value);
        self.set(&mut record);
        record.id = derive_id_with(&mut cx.scratch, &record);
        Ok(record)
    }

    /// `number` of the type `short`; hundredths where the unit is `%`, as HealthKit has it.
    fn quantity(
        &self,
        (short, unit): (&str, &str),
        number: f64,
        start: Timestamp,
        end: Timestamp,
        cx: &mut Context,
    ) -> Result<Record, String> {
        self.record(short, quantity(number, unit)?, start, end, cx)
    }

    /// What `vendor` counted of the type `short` from `start` on, as the module says.
    fn total(
        &self,
        vendor: Vendor,
        (short, unit): (&str, &str),
        number: f64,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Record, String> {
        let kind = kind(short)?;
        let id = RecordId::derive([
            vendor.name().as_bytes(),
            b"total",
            self.subject.as_deref().unwrap_or_default().as_bytes(),
            kind.name().as_bytes(),
            &start.as_micros().to_be_bytes(),
        ]);
        let mut record = Record::added(id, kind, start, end.max(start), quantity(number, unit)?);
        // Stops at the ends of its range: 42 million steps, or metres, and nothing below zero.
        record.revision = (number * 100.0).round() as u32;
        self.set(&mut record);
        Ok(record)
    }

    fn set(&self, record: &mut Record) {
        record.subject = self.subject.clone();
        record.zone = self.zone.clone();
        record.origin = self.origin.clone();
    }
}

fn kind(short: &str) -> Result<Kind, String> {
    Kind::from_data(short).map_err(|error| error.to_string())
}

fn quantity(number: f64, unit: &str) -> Result<Value, String> {
    let unit = Unit::parse(unit).map_err(|error| error.to_string())?;
    Ok(Value::Quantity(if unit.as_str() == "%" { number / 100.0 } else { number }, unit))
}

/// Nothing yet of the type `short`, for the statistics of a workout.
fn statistic(short: &str, unit: &str) -> Result<Statistic, String> {
    let unit = Unit::parse(unit).map_err(|error| error.to_string())?;
    Ok(Statistic { kind: kind(short)?, unit, sum: None, average: None, minimum: None, maximum: None })
}

fn zone(offset: i32, cx: &mut Context) -> Option<Name> {
    (offset != 0).then(|| cx.name(&offset_text(offset)))
}

/// Some JSON as a record of its own.
fn json(
    vendor: Vendor,
    topic: &str,
    text: &str,
    (start, offset): (Timestamp, i32),
    end: Option<Timestamp>,
    subject: Option<Name>,
    cx: &mut Context,
) -> Result<Record, String> {
    if !is_shallow(text) {
        return Err("expected fewer levels of arrays and objects, found more".to_owned());
    }
    let end = end.unwrap_or(start).max(start);
    // Whose it is and what it is about stand around it: two people may say the same at the same time.
    let said = [vendor.name(), subject.as_deref().unwrap_or_default(), topic, text].map(str::as_bytes);
    let id = RecordId::derive(said);
    let mut record = Record::added(id, vendor.kind(topic)?, start, end, Value::Json(text.into()));
    record.subject = subject;
    record.zone = zone(offset, cx);
    Ok(record)
}

/// When something began, with its offset, and when it ended.
type Times = ((Timestamp, i32), Option<Timestamp>);

/// The first of `starts` and of `ends` that is a time or a day.
fn times(text: &str, starts: &[&str], ends: &[&str]) -> Result<Times, String> {
    let (mut start, mut end) = (None, None);
    object(text, |key, text| {
        let value = Raw::new("time", text);
        if start.is_none() && starts.contains(&key) {
            start = time(value)?;
        } else if end.is_none() && ends.contains(&key) {
            end = time(value)?;
        }
        Ok(())
    })?;
    let start = start.ok_or_else(|| format!("expected a time in `{}`, found none", starts[0]))?;
    Ok((start, end.map(|(end, _)| end)))
}

fn time(value: Raw<'_>) -> Result<Option<(Timestamp, i32)>, String> {
    if value.is_number() {
        let seconds = value.number()?.unwrap_or_default();
        // From here on it is milliseconds, as in health_kit_reporter.
        return Ok(unix(if seconds.abs() < 1e11 { seconds } else { seconds / 1e3 }).map(|time| (time, 0)));
    }
    let Some(text) = value.string()? else { return Ok(None) };
    let read =
        Timestamp::parse_rfc3339(&text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")));
    read.map(Some).ok_or_else(|| value.expected("a time or a day"))
}
