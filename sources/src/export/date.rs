//! The export's ways of writing a time.

use afferent_core::Timestamp;

/// Length of `yyyy-MM-dd HH:mm:ss ±HHMM`.
const DATE_BYTES: usize = 25;
/// Length of the date and the time before the blank.
const LOCAL_BYTES: usize = 19;

/// Reads `yyyy-MM-dd HH:mm:ss ±HHMM`. The offset is that of the phone that exported, not of the sample, so it
/// only serves to find the instant.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.as_bytes();
    if text.len() != DATE_BYTES || text[LOCAL_BYTES] != b' ' {
        return None;
    }
    // Without the blank before the offset it is a form of RFC 3339 that `Timestamp` reads.
    let mut joined = [0; DATE_BYTES - 1];
    joined[..LOCAL_BYTES].copy_from_slice(&text[..LOCAL_BYTES]);
    joined[LOCAL_BYTES..].copy_from_slice(&text[LOCAL_BYTES + 1..]);
    Timestamp::parse_rfc3339(std::str::from_utf8(&joined).ok()?).map(|(instant, _)| instant)
}

/// Reads the day `yyyy-MM-dd` as its first instant in UTC.
pub(super) fn day(text: &str) -> Option<Timestamp> {
    if text.len() != "yyyy-MM-dd".len() {
        return None;
    }
    Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).map(|(instant, _)| instant)
}

/// Reads an instant as configuration gives it: RFC 3339, or a day, which begins at midnight UTC.
pub(super) fn configured(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text).map(|(instant, _)| instant).or_else(|| day(text))
}

/// Reads the time of a beat in any of the forms that the phone's locale gives it (`6:14:48.94 PM`,
/// `17:07:00,29`, `03:00:01.10`), as seconds since midnight.
pub(super) fn seconds_of_day(text: &str) -> Option<f64> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ','))).unwrap_or(text.len());
    let (clock, half) = text.split_at(end);
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let hours: u32 = hours.parse().ok()?;
    let minutes: u32 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    let seconds: f64 =
        seconds.replace(',', ".").parse().ok().filter(|seconds| (0.0..61.0).contains(seconds))?;
    // `AM`, `a.m.`, also after a narrow no-break space.
    let hours = match half.trim().bytes().next().map(|letter| letter.to_ascii_lowercase()) {
        None if hours < 24 => hours,
        Some(b'a') if hours <= 12 => hours % 12,
        Some(b'p') if hours <= 12 => hours % 12 + 12,
        _ => return None,
    };
    Some(f64::from(hours * 3600 + minutes * 60) + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: dates of exports made in several zones. Guarantees: G4, the instant is exact.
    #[test]
    fn instants() {
        let text = |date| instant(date).map(|instant| instant.to_string());
        assert_eq!(text("2024-01-01 01:01:36 +0200").as_deref(), Some("2023-12-31T23:01:36Z"));
        assert_eq!(text("2016-11-14 07:25:41 -0730").as_deref(), Some("2016-11-14T14:55:41Z"));
        for bad in [
            "",
            "2024-01-01",
            "2024-01-01T01:01:36+02:00",
            "2024-02-30 01:01:36 +0200",
            "2024-01-01 01:01:36 0200 ",
        ] {
            assert_eq!(instant(bad), None, "{bad}");
        }
        assert_eq!(configured("2024-01-01"), configured("2024-01-01T01:00:00+01:00"));
        assert_eq!(configured("yesterday"), None);
    }

    /// Scenario: the times of beats in three locales. Guarantees: G4, none is misread.
    #[test]
    fn beats() {
        assert_eq!(seconds_of_day("6:14:48.94 PM"), Some(65_688.94));
        assert_eq!(seconds_of_day("6:14:48.94\u{202f}PM"), Some(65_688.94));
        assert_eq!(seconds_of_day("12:00:01.5 AM"), Some(1.5));
        assert_eq!(seconds_of_day("12:00:01.5 PM"), Some(43_201.5));
        assert_eq!(seconds_of_day("17:07:00,29"), Some(61_620.29));
        assert_eq!(seconds_of_day("03:00:01.10"), Some(10_801.1));
        for bad in
            ["", "17:07", "17:07:00:00", "25:00:00", "13:00:00 PM", "aa:bb:cc", "1:2:nan", "10:00:00 Uhr"]
        {
            assert_eq!(seconds_of_day(bad), None, "{bad}");
        }
    }
}
