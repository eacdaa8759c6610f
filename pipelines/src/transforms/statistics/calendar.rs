//! Buckets of a calendar in a time zone.
//!
//! | bucket | from | to |
//! |---|---|---|
//! | `hour` | a whole number of hours after the day began | an hour later, or the end of the day |
//! | `day` | the first instant of the date | the first instant of the next: 23, 24 or 25 hours later |
//! | `week` | the first instant of the first day of the week | seven dates later |
//! | `month` | the first instant of the 1st | the first instant of the next 1st |
//!
//! Where a zone's clocks change at midnight, the date begins when the clock first shows it.

use std::collections::HashMap;

use afferent_core::{Name, Timestamp};
use jiff::{
    Span,
    civil::{Date, Time},
    tz::{Offset, TimeZone},
};
use serde::Deserialize;

/// µs of an hour.
const HOUR: i64 = 3_600_000_000;

/// Zones that are kept at once; there are fewer than 600 of them.
const MAX_ZONES: usize = 1024;

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// An hour of a day.
    Hour,
    /// A date.
    Day,
    /// Seven dates.
    Week,
    /// A month of the calendar.
    Month,
}

/// On which day a week begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeekStart {
    /// As in ISO 8601.
    #[default]
    Monday,
    /// As in much of America.
    Sunday,
    /// As in much of the Middle East.
    Saturday,
}

impl WeekStart {
    /// Days after Monday.
    fn offset(self) -> i8 {
        match self {
            WeekStart::Monday => 0,
            WeekStart::Sunday => 6,
            WeekStart::Saturday => 5,
        }
    }
}

/// The zone of that name: of the IANA database, or an offset such as `+01:00`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    if name.starts_with(['+', '-']) {
        let (_, seconds) = Timestamp::parse_rfc3339(&format!("1970-01-02T00:00:00{name}"))?;
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

/// The bounds of the bucket that `time` is in, in µs; `None` outside of the years that calendars know.
pub(super) fn bounds(time: i64, bucket: Bucket, week: WeekStart, zone: &TimeZone) -> Option<(i64, i64)> {
    let date = zone.to_datetime(jiff::Timestamp::from_microsecond(time).ok()?).date();
    let first = |date: Date| {
        let midnight = date.to_datetime(Time::midnight());
        Some(zone.to_timestamp(midnight).ok()?.as_microsecond())
    };
    let after = |date: Date, days: i64| date.checked_add(Span::new().days(days)).ok();
    match bucket {
        Bucket::Hour => {
            let (day, next) = (first(date)?, first(date.tomorrow().ok()?)?);
            let start = day + (time - day).div_euclid(HOUR) * HOUR;
            Some((start, (start + HOUR).min(next)))
        }
        Bucket::Day => Some((first(date)?, first(date.tomorrow().ok()?)?)),
        Bucket::Week => {
            let since = (date.weekday().to_monday_zero_offset() - week.offset()).rem_euclid(7);
            let monday = after(date, -i64::from(since))?;
            Some((first(monday)?, first(after(monday, 7)?)?))
        }
        Bucket::Month => Some((first(date.first_of_month())?, first(date.last_of_month().tomorrow().ok()?)?)),
    }
}

/// Zones by name, looked up once.
#[derive(Debug, Default)]
pub(super) struct Zones {
    zones: HashMap<Name, Option<TimeZone>, foldhash::fast::RandomState>,
}

impl Zones {
    /// The zone of that name, if there is one.
    pub(super) fn get(&mut self, name: &Name) -> Option<&TimeZone> {
        if !self.zones.contains_key(name) {
            if self.zones.len() >= MAX_ZONES {
                self.zones.clear();
            }
            self.zones.insert(name.clone(), zone(name));
        }
        self.zones.get(name)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        Timestamp::parse_rfc3339(text).unwrap().0.as_micros()
    }

    fn show(time: &str, bucket: Bucket, zone_name: &str) -> (String, String) {
        let zone = zone(zone_name).unwrap();
        let (from, to) = bounds(at(time), bucket, WeekStart::Monday, &zone).unwrap();
        let text = |micros| Timestamp::from_micros(micros).unwrap().to_string();
        (text(from), text(to))
    }

    fn hours(time: &str, bucket: Bucket, zone_name: &str) -> i64 {
        let (from, to) = bounds(at(time), bucket, WeekStart::Monday, &zone(zone_name).unwrap()).unwrap();
        (to - from) / HOUR
    }

    /// Scenario: days on which clocks change, also at midnight and by half an hour; offsets; weeks and months.
    /// Guarantees: a bucket is what the calendar of the place says, and each instant is in exactly one.
    #[test]
    fn buckets_follow_the_calendar() {
        assert_eq!(hours("2025-03-30T12:00:00Z", Bucket::Day, "Europe/Berlin"), 23);
        assert_eq!(hours("2025-10-26T12:00:00Z", Bucket::Day, "Europe/Berlin"), 25);
        assert_eq!(hours("2025-10-25T12:00:00Z", Bucket::Day, "Europe/Berlin"), 24);
        assert_eq!(hours("2025-03-30T12:00:00Z", Bucket::Week, "Europe/Berlin"), 7 * 24 - 1);
        assert_eq!(hours("2025-10-26T12:00:00Z", Bucket::Month, "Europe/Berlin"), 31 * 24 + 1);
        // In Cairo the clock goes from 23:59:59 to 01:00:00.
        let cairo = show("2025-04-25T12:00:00Z", Bucket::Day, "Africa/Cairo");
        assert_eq!(cairo, ("2025-04-24T22:00:00Z".to_owned(), "2025-04-25T21:00:00Z".to_owned()));
        let kolkata = show("2025-01-01T00:10:00Z", Bucket::Hour, "Asia/Kolkata");
        assert_eq!(kolkata, ("2024-12-31T23:30:00Z".to_owned(), "2025-01-01T00:30:00Z".to_owned()));
        let offset = show("2025-01-01T00:10:00Z", Bucket::Day, "-01:00");
        assert_eq!(offset, ("2024-12-31T01:00:00Z".to_owned(), "2025-01-01T01:00:00Z".to_owned()));
        for name in ["Mars/Olympus", "", "+1", "CEST+"] {
            assert!(zone(name).is_none(), "{name}");
        }
        let sunday = at("2025-06-01T12:00:00Z");
        for (week, from) in [
            (WeekStart::Monday, "2025-05-26T00:00:00Z"),
            (WeekStart::Sunday, "2025-06-01T00:00:00Z"),
            (WeekStart::Saturday, "2025-05-31T00:00:00Z"),
        ] {
            assert_eq!(bounds(sunday, Bucket::Week, week, &TimeZone::UTC).unwrap().0, at(from));
        }
        for zone_name in ["Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo"] {
            let zone = zone(zone_name).unwrap();
            for bucket in [Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month] {
                let mut time = at("2017-01-01T00:00:00Z");
                while time < at("2018-03-01T00:00:00Z") {
                    let (from, to) = bounds(time, bucket, WeekStart::Monday, &zone).unwrap();
                    assert!(from <= time && time < to, "{zone_name} {bucket:?}");
                    assert_eq!(bounds(to - 1, bucket, WeekStart::Monday, &zone), Some((from, to)));
                    time = to;
                }
            }
        }
    }
}
