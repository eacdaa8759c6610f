//! The exports and requests of the app Health Auto Export.
//!
//! Source: the wiki of Lybron/health-auto-export ("API Export – JSON Format", January 2026), the fixtures of
//! irvinlim/apple-health-ingester@36ed826 (version 1, sleep in both forms) and the models of
//! HealthyApps/health-auto-export-server.
//!
//! A document is `{"data":{"metrics":[…],"workouts":[…],…}}`. It may be as long as the history of a phone: its points are read
//! one by one. A metric's name and units may stand behind its points, because the app writes keys in any order; such points
//! wait for them, up to [`MAX_HELD_BYTES`].
//!
//! | part | gives |
//! |---|---|
//! | a point with `qty` | a quantity of the type of the metric, at its `date` |
//! | a point with other numbers (`Min`, `Avg`, `Max`; counts by name) | an aggregate of `min`, `average`, `max`, or of their names |
//! | a point of `blood_pressure` | a correlation of two quantities |
//! | a point of `sleep_analysis` with `value` | a category: the phase |
//! | a point of `sleep_analysis` without | an aggregate of hours by phase, from the beginning of sleep to its end |
//! | a workout | a workout; its heart rates as records of their own, and its route as one |
//! | an electrocardiogram | an electrocardiogram |
//! | a state of mind, symptom, medication, cycle, notification | its JSON, under `com.healthexportapp.…` |
//!
//! **Identity.** Only workouts of version 2 have an id. Everything else gets the id of [`identity`](crate::identity), so a point
//! that is exported again is the same record, unless the app has aggregated it anew: then it is another one. The dialect has
//! no deletions.
//!
//! **Times** are of the phone's zone, with its offset, by 24 or by 12 hours (there with U+202F before `AM`). A point has a
//! beginning and no end.
//!
//! **Units** are kept, by HealthKit's name where the app has another (`bpm`). A percentage is written as 97 by the app and is
//! 0.97 in a record, as HealthKit has it.
//!
//! **Types.** Names of metrics that are not known become types of their own: `com.healthexportapp.NAME`.

mod metrics;
mod points;
#[cfg(test)]
mod tests;
mod workouts;

use afferent_core::{Kind, Name, Record, Timestamp, Unit};

use self::metrics::kind_of;
use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
    json::Raw,
};

/// The most that waits for the name and the units of its metric: as the longest part.
pub const MAX_HELD_BYTES: usize = crate::document::MAX_PART_BYTES;

/// What types begin with that only this app has.
const PREFIX: &str = "com.healthexportapp.";

const DOCUMENT: u8 = 1;
const LISTED: u8 = 2;
const DATA: u8 = 3;
const METRICS: u8 = 4;
const METRIC: u8 = 5;
const POINTS: u8 = 6;
const WORKOUTS: u8 = 7;
const ECGS: u8 = 8;
const NAME: u8 = 9;
const UNITS: u8 = 10;
/// The first of [`OTHERS`].
const OTHER: u8 = 20;

/// Parts that are kept as JSON, by their key and the type they get.
const OTHERS: [(&str, &str); 5] = [
    ("stateOfMind", "state_of_mind"),
    ("medications", "medication"),
    ("symptoms", "symptom"),
    ("cycleTracking", "cycle_tracking"),
    ("heartRateNotifications", "heart_rate_notification"),
];

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Enter(LISTED),
        (DOCUMENT | LISTED, Step::Key("data")) => Visit::Enter(DATA),
        (DATA, Step::Key("metrics")) => Visit::Enter(METRICS),
        (DATA, Step::Key("workouts")) => Visit::Enter(WORKOUTS),
        (DATA, Step::Key("ecg")) => Visit::Enter(ECGS),
        (DATA, Step::Key(key)) => match OTHERS.iter().position(|(known, _)| *known == key) {
            Some(index) => Visit::Enter(OTHER + index as u8),
            None => Visit::Unknown,
        },
        (METRICS, Step::Element) => Visit::Enter(METRIC),
        (METRIC, Step::Key("name")) => Visit::Note(NAME),
        (METRIC, Step::Key("units")) => Visit::Note(UNITS),
        (METRIC, Step::Key("data")) => Visit::Enter(POINTS),
        (POINTS | WORKOUTS | ECGS | OTHER.., Step::Element) => Visit::Part(state),
        _ => Visit::Unknown,
    }
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct HealthAutoExport {
    cx: Context,
    metric: Metric,
    /// Points that wait for the name or the units of their metric, one after the other, and where each ends.
    held: String,
    ends: Vec<usize>,
}

/// What is known of the metric that points are of.
#[derive(Debug, Default)]
struct Metric {
    /// As it stands, for rejects.
    name: Option<String>,
    units: Option<String>,
    kind: Option<Kind>,
    unit: Option<Unit>,
}

impl HealthAutoExport {
    pub(crate) fn new(options: DecoderOptions) -> HealthAutoExport {
        HealthAutoExport {
            cx: Context::new(options),
            metric: Metric::default(),
            held: String::new(),
            ends: Vec::new(),
        }
    }

    fn point(&mut self, text: &str, out: &mut Out<'_>) {
        match points::read(text, &self.metric, &mut self.cx) {
            Ok(record) => out.push(record),
            Err(reason) => {
                let name = self.metric.name.as_deref().unwrap_or("null");
                let units = self.metric.units.as_deref().unwrap_or("null");
                let payload = format!(
                    "{{\"data\":{{\"metrics\":[{{\"name\":{name},\"units\":{units},\"data\":[{text}]}}]}}}}"
                );
                out.reject(payload.as_bytes(), reason, None, self.metric.kind);
            }
        }
    }

    /// Reads the points that waited.
    fn release(&mut self, out: &mut Out<'_>) {
        let (held, ends) = (std::mem::take(&mut self.held), std::mem::take(&mut self.ends));
        let mut begin = 0;
        for end in ends {
            self.point(&held[begin..end], out);
            begin = end;
        }
    }
}

impl Dialect for HealthAutoExport {
    fn shape(&self) -> Shape {
        shape
    }

    fn note(&mut self, number: u8, text: &str) {
        let value = Raw::new("name", text).string().ok().flatten();
        match number {
            NAME => {
                self.metric.kind = value.and_then(|name| kind_of(&name));
                self.metric.name = Some(text.to_owned());
            }
            _ => {
                self.metric.unit = value.and_then(|unit| Unit::parse(metrics::unit_of(&unit)).ok());
                self.metric.units = Some(text.to_owned());
            }
        }
    }

    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>) {
        let (key, read) = match number {
            POINTS if self.metric.name.is_none() || self.metric.units.is_none() => {
                if self.held.len() + text.len() > MAX_HELD_BYTES {
                    let reason = format!(
                        "expected the name and the units of a metric before {} MiB of its points, found none",
                        MAX_HELD_BYTES >> 20
                    );
                    out.reject(text.as_bytes(), reason, None, None);
                } else {
                    self.held.push_str(text);
                    self.ends.push(self.held.len());
                }
                return;
            }
            POINTS => return self.point(text, out),
            WORKOUTS => ("workouts", workouts::read(text, &mut self.cx, out)),
            ECGS => ("ecg", points::electrocardiogram(text, &mut self.cx).map(|record| out.push(record))),
            number => {
                let other = number.checked_sub(OTHER).and_then(|index| OTHERS.get(usize::from(index)));
                let Some((key, kind)) = other else {
                    let reason = "expected an array or an object, found a text";
                    out.reject(text.as_bytes(), reason, None, None);
                    return;
                };
                (*key, points::other(text, kind, &mut self.cx).map(|record| out.push(record)))
            }
        };
        if let Err(reason) = read {
            out.reject(format!("{{\"data\":{{\"{key}\":[{text}]}}}}").as_bytes(), reason, None, None);
        }
    }

    fn leave(&mut self, state: u8, out: &mut Out<'_>) {
        if state == METRIC {
            self.release(out);
            self.metric = Metric::default();
        }
    }

    fn give_up(&mut self, out: &mut Out<'_>) {
        self.leave(METRIC, out);
    }
}

/// An instant as the app writes it, and its offset in seconds: `2026-03-01 18:00:00 +0100`, `2026-03-01 6:00:00 PM +0100`.
fn date(value: Raw<'_>) -> Result<Option<(Timestamp, i32)>, String> {
    let Some(text) = value.string()? else { return Ok(None) };
    let read = Timestamp::parse_rfc3339(&text).or_else(|| parse(&text));
    read.map(Some).ok_or_else(|| value.expected("a time such as \"2026-03-01 18:00:00 +0100\""))
}

fn parse(text: &str) -> Option<(Timestamp, i32)> {
    // U+202F and U+00A0 stand before AM and PM where the phone's language has them.
    let mut words = text.split([' ', '\u{202f}', '\u{a0}']).filter(|word| !word.is_empty());
    let (day, time, mut offset) = (words.next()?, words.next()?, words.next()?);
    let half = match offset.to_ascii_uppercase().as_str() {
        "AM" => Some(0),
        "PM" => Some(12),
        _ => None,
    };
    let (hour, rest) = time.split_once(':')?;
    let mut hour: u32 = hour.parse().ok()?;
    if let Some(half) = half {
        offset = words.next()?;
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + half;
    }
    if words.next().is_some() {
        return None;
    }
    Timestamp::parse_rfc3339(&format!("{day}T{hour:02}:{rest}{offset}"))
}

/// The source of a point: several with bars between where the app has merged them.
fn source(value: Raw<'_>, cx: &mut Context) -> Result<Option<std::sync::Arc<afferent_core::Origin>>, String> {
    let Some(text) = value.string()? else { return Ok(None) };
    let mut texts = [""; crate::context::ORIGIN_TEXTS];
    texts[0] = &text;
    Ok(cx.origin(&texts))
}

/// A type that only this app has.
fn own_kind(name: &str) -> Result<Kind, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err("expected the name of a metric, found another text".to_owned());
    }
    Kind::from_data(&format!("{PREFIX}{name}")).map_err(|error| error.to_string())
}

/// Sets the zone of a record from the offset of its time.
fn set_zone(record: &mut Record, offset: i32, cx: &mut Context) {
    record.zone = zone(offset, cx);
}

fn zone(offset: i32, cx: &mut Context) -> Option<Name> {
    (offset != 0).then(|| cx.name(&crate::draft::offset_text(offset)))
}
