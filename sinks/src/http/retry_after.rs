//! `Retry-After` (RFC 9110 §10.2.3): seconds or a date.

use std::time::{Duration, UNIX_EPOCH};

use afferent_core::Timestamp;

/// The longest wait that is believed: a longer one is a mistake or a date of another year.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// The wait that a value asks for at the time `now`; `None` if it can't be read.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().ok()?)
    } else {
        let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let now = Duration::from_micros(u64::try_from(now.as_micros()).ok()?);
        date.saturating_sub(now)
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the forms that receivers send. Guarantees: G6, it waits as long as it is asked to and no longer than
    /// a day; nonsense asks for nothing.
    #[test]
    fn seconds_and_dates_are_read() {
        let now = Timestamp::parse_rfc3339("2025-06-01T00:00:00Z").unwrap().0;
        let seconds = |value| parse(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Sun, 01 Jun 2025 00:01:30 GMT"), Some(90));
        assert_eq!(seconds("Sunday, 01-Jun-25 00:01:30 GMT"), Some(90));
        assert_eq!(seconds("Sat, 31 May 2025 23:59:00 GMT"), Some(0), "it is over");
        assert_eq!(seconds("Mon, 01 Jun 2026 00:00:00 GMT"), Some(86_400));
        assert_eq!(seconds("99999999"), Some(86_400));
        for nonsense in ["", "soon", "-5", "1.5", "99999999999999999999999"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
