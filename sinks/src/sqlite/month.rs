//! [`Months`]: in which month an instant lies.

use afferent_core::Timestamp;
use jiff::{ToSpan, civil::Date};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Works out months, and remembers the last one: times come in order more often than not.
#[derive(Debug)]
pub(super) struct Months {
    /// First µs of the month.
    from: i64,
    /// First µs after it.
    to: i64,
    number: i64,
}

impl Months {
    pub(super) fn new() -> Months {
        Months { from: 0, to: 0, number: 0 }
    }

    /// The month in UTC as a number that a person can read: 202501 is January 2025.
    pub(super) fn of(&mut self, time: Timestamp) -> i64 {
        let micros = time.as_micros();
        if !(self.from..self.to).contains(&micros) {
            let days = micros.div_euclid(MICROS_PER_DAY);
            let date = Date::constant(1970, 1, 1) + days.days();
            self.from = (days - i64::from(date.day()) + 1) * MICROS_PER_DAY;
            self.to = self.from + i64::from(date.days_in_month()) * MICROS_PER_DAY;
            self.number = i64::from(date.year()) * 100 + i64::from(date.month());
        }
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: both edges of months, a leap day, times before 1970, and the ends of the range. Guarantees: G2,
    /// a record is looked for where it was put.
    #[test]
    fn edges_of_months() {
        let mut months = Months::new();
        for (text, month) in [
            ("2025-01-31T23:59:59.999999Z", 202_501),
            ("2025-02-01T00:00:00Z", 202_502),
            ("2024-02-29T12:00:00Z", 202_402),
            ("2024-03-01T00:00:00Z", 202_403),
            ("1969-12-31T23:59:59Z", 196_912),
            ("1970-01-01T00:00:00Z", 197_001),
            ("0000-01-01T00:00:00Z", 1),
            ("9999-12-31T23:59:59.999999Z", 999_912),
        ] {
            assert_eq!(months.of(Timestamp::parse_rfc3339(text).unwrap().0), month, "{text}");
        }
    }
}
