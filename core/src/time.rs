//! [`Timestamp`]: an instant in microseconds since 1970-01-01T00:00:00Z.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant, in µs since 1970-01-01T00:00:00Z (leap seconds are not counted).
///
/// Its text form is RFC 3339 in `Z`, with six decimals when the µs are not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Earliest instant the text form can carry: 0000-01-01T00:00:00Z.
const MIN_MICROS: i64 = -62_167_219_200_000_000;
/// Latest instant the text form can carry: 9999-12-31T23:59:59.999999Z.
const MAX_MICROS: i64 = 253_402_300_799_999_999;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// The instant `micros` µs after the epoch of 1970, or `None` outside the years 0000–9999.
    pub const fn from_micros(micros: i64) -> Option<Timestamp> {
        if micros < MIN_MICROS || micros > MAX_MICROS { None } else { Some(Timestamp(micros)) }
    }

    /// The instant `micros` µs after the epoch of 1970, clamped to the years 0000–9999.
    pub const fn from_micros_clamped(micros: i64) -> Timestamp {
        if micros < MIN_MICROS {
            Timestamp(MIN_MICROS)
        } else if micros > MAX_MICROS {
            Timestamp(MAX_MICROS)
        } else {
            Timestamp(micros)
        }
    }

    /// µs since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by `micros` µs, clamped to the years 0000–9999.
    pub const fn plus_micros(self, micros: i64) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.saturating_add(micros))
    }

    /// Reads RFC 3339 (`2025-01-31T08:00:00.25+01:00`); more than six decimals are cut off.
    ///
    /// Returns the instant and the offset in seconds. `None` for anything else: the caller knows the field
    /// and says what it expected.
    pub fn parse_rfc3339(text: &str) -> Option<(Timestamp, i32)> {
        let b = text.as_bytes();
        if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b't' | b' ') {
            return None;
        }
        if b[13] != b':' || b[16] != b':' {
            return None;
        }
        let year = i64::from(digits(&b[0..4])?);
        let (month, day) = (digits(&b[5..7])?, digits(&b[8..10])?);
        let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (micros, rest) = fraction(&b[19..])?;
        let offset = offset_seconds(rest)?;
        let seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY
            + i64::from(hour) * 3600
            + i64::from(minute) * 60
            + i64::from(second)
            - i64::from(offset);
        Some((Timestamp::from_micros(seconds * MICROS_PER_SECOND + i64::from(micros))?, offset))
    }

    /// Appends the RFC 3339 text in `Z` to `out`: 20 bytes, or 27 when the µs are not zero.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let time = seconds.rem_euclid(SECONDS_PER_DAY);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put(&mut text[0..4], year as u32);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], (time / 3600) as u32);
        put(&mut text[14..16], (time / 60 % 60) as u32);
        put(&mut text[17..19], (time % 60) as u32);
        if micros == 0 {
            text[19] = b'Z';
            out.extend_from_slice(&text[..20]);
        } else {
            put(&mut text[20..26], micros as u32);
            out.extend_from_slice(&text);
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(27);
        self.write_rfc3339(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

fn put(target: &mut [u8], mut value: u32) {
    for slot in target.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// An optional `.digits`: the µs and what follows.
fn fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.', rest)) = bytes.split_first() else { return Some((0, bytes)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let kept = count.min(6);
    let micros = digits(&rest[..kept])? * 10_u32.pow(6 - kept as u32);
    Some((micros, &rest[count..]))
}

/// `Z`, `±hh:mm` or `±hhmm`, as seconds east of UTC.
fn offset_seconds(bytes: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match bytes {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (*sign, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 3600 + minutes * 60) as i32;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::from((month + 9) % 12);
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`] (Howard Hinnant, `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = ((shifted_month + 2) % 12 + 1) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scenario: instants across the whole range. Guarantees: G4, the text form reads back exactly, and
    /// agrees with jiff's.
    #[test]
    fn text_round_trips_and_agrees_with_jiff() {
        proptest!(|(micros in MIN_MICROS..=MAX_MICROS)| {
            let instant = Timestamp::from_micros(micros).unwrap();
            let text = instant.to_string();
            prop_assert_eq!(Timestamp::parse_rfc3339(&text), Some((instant, 0)));
            // jiff's range ends a day earlier on both sides.
            if let Ok(oracle) = text.parse::<jiff::Timestamp>() {
                prop_assert_eq!(oracle.as_microsecond(), micros);
            }
        });
    }

    /// Scenario: forms that feeds really send. Guarantees: G4.
    #[test]
    fn offsets_and_fractions_are_read() {
        let parse = |text| Timestamp::parse_rfc3339(text).map(|(t, o)| (t.to_string(), o));
        assert_eq!(parse("2025-01-31T08:00:00.25+01:00"), Some(("2025-01-31T07:00:00.250000Z".into(), 3600)));
        assert_eq!(parse("2025-01-31 08:00:00-0530"), Some(("2025-01-31T13:30:00Z".into(), -19_800)));
        for bad in ["2025-02-29T00:00:00Z", "2025-01-01T24:00:00Z", "2025-01-01T00:00:00", "2025-01-01", "x"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
