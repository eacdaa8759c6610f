//! Numbers for people: `12,345`, `3.2 MiB`, `4 min 10 s`.

use std::time::Duration;

/// `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 record`, `12,345 records`.
pub(crate) fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", count(number))
}

/// `3.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `250 ms`, `4.2 s`, `4 min 10 s`: the two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => format!("{} ms", duration.as_millis()),
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// How much in a second, from how much in how long; nothing before a time has passed.
pub(crate) fn per_second(amount: u64, time: Duration) -> Option<u64> {
    let seconds = time.as_secs_f64();
    (seconds >= 0.001).then(|| (amount as f64 / seconds) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: numbers of every size. Guarantees: they read as people write them.
    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1000), count(12_345_678)],
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!([counted(1, "record"), counted(2000, "record")], ["1 record", "2,000 records"]);
        assert_eq!([bytes(1023), bytes(1024), bytes(3_355_443)], ["1023 B", "1.0 KiB", "3.2 MiB"]);
        let spans =
            [150, 42_000, 250_000, 7_500_000, 90_000_000_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(spans, ["150 ms", "42 s", "4 min 10 s", "2 h 5 min", "1041 d 16 h"]);
        assert_eq!(per_second(10, Duration::ZERO), None);
        assert_eq!(per_second(10, Duration::from_secs(5)), Some(2));
    }
}
