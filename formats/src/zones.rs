//! [`Zones`]: instants in the zone of a record, as standards that want an offset write them.
//!
//! The rules are FHIR's (R4, datatype `dateTime`), which are the narrowest: a year of four digits from 0001 on, an offset of whole
//! minutes of 14 hours at most. What has no such offset is written in `Z`: the instant is the same.

use afferent_core::{Name, Timestamp};
use jiff::tz::{Offset, TimeZone};

/// The first instant, in µs: 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800_000_000;

/// The farthest offset, in minutes.
const MAX_OFFSET: i32 = 14 * 60;

/// How many zones are kept: a feed has as many as its people have been in.
const MAX_ZONES: usize = 64;

/// Zones that have come, by name; those that nobody knows too.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    known: Vec<Known>,
    last: usize,
}

#[derive(Debug)]
struct Known {
    name: Name,
    zone: Option<TimeZone>,
    /// From when until before when, in µs, it has which offset, in seconds: records that follow one another lie between the same
    /// transitions.
    span: (i64, i64),
    offset: i32,
}

impl Zones {
    /// Appends an instant, with its quotes.
    ///
    /// # Errors
    /// The reason, if it lies before the year 1.
    pub(crate) fn write_time(
        &mut self,
        zone: Option<&Name>,
        time: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if time.as_micros() < FIRST {
            return Err("a time lies before the year 1, which this form has no times of".to_owned());
        }
        out.push(b'"');
        match zone.and_then(|zone| self.minutes(zone, time)).filter(|minutes| *minutes != 0) {
            None => time.write_rfc3339(out),
            Some(offset) => {
                time.plus_micros(i64::from(offset) * 60_000_000).write_rfc3339(out);
                out.pop();
                let sign = if offset < 0 { b'-' } else { b'+' };
                let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
                let digit = |number: i32| b'0' + (number % 10) as u8;
                out.extend_from_slice(&[
                    sign,
                    digit(hours / 10),
                    digit(hours),
                    b':',
                    digit(minutes / 10),
                    digit(minutes),
                ]);
            }
        }
        out.push(b'"');
        Ok(())
    }

    /// The offset of `zone` at `time`, in minutes; `None` where there is no such offset, or no four digits of the local year.
    fn minutes(&mut self, zone: &Name, time: Timestamp) -> Option<i32> {
        let seconds = self.offset(zone, time)?;
        let minutes = seconds / 60;
        let local = time.as_micros() + i64::from(seconds) * 1_000_000;
        let fits = seconds % 60 == 0 && minutes.abs() <= MAX_OFFSET && local >= FIRST;
        (fits && Timestamp::from_micros(local).is_some()).then_some(minutes)
    }

    /// The offset of `zone` at `time`, in seconds.
    fn offset(&mut self, zone: &Name, time: Timestamp) -> Option<i32> {
        if self.known.get(self.last).is_none_or(|known| known.name != *zone) {
            self.last = self.known.iter().position(|known| known.name == *zone).unwrap_or_else(|| {
                if self.known.len() == MAX_ZONES {
                    self.known.clear();
                }
                self.known.push(Known { name: zone.clone(), zone: read(zone), span: (0, 0), offset: 0 });
                self.known.len() - 1
            });
        }
        let Known { zone, span, offset, .. } = &mut self.known[self.last];
        let zone = zone.as_ref()?;
        let micros = time.as_micros();
        if !(span.0..span.1).contains(&micros) {
            let time = jiff::Timestamp::from_microsecond(micros).ok()?;
            *offset = zone.to_offset(time).seconds();
            let next = zone.following(time).next();
            *span = (micros, next.map_or(i64::MAX, |transition| transition.timestamp().as_microsecond()));
        }
        Some(*offset)
    }
}

/// An IANA name, or an offset such as `+05:30`.
fn read(zone: &str) -> Option<TimeZone> {
    let Some(sign) = zone.strip_prefix('+').map(|_| 1).or_else(|| zone.strip_prefix('-').map(|_| -1)) else {
        return TimeZone::get(zone).ok();
    };
    let (hours, minutes) = match zone.as_bytes()[1..] {
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => ([h1, h2], [m1, m2]),
        [h1, h2] => ([h1, h2], [b'0', b'0']),
        _ => return None,
    };
    let number = |digits: [u8; 2]| {
        digits
            .iter()
            .try_fold(0_i32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i32::from(digit - b'0')))
    };
    let seconds = sign * (number(hours)? * 3600 + number(minutes)? * 60);
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}
