//! CEL's notation of lengths of time.

/// The units, longest name first, in ns.
const UNITS: &[(&str, i128)] = &[
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Reads `1h30m`, `-1.5s`, `300ms`, and gives µs. `None` also where it is no whole number of µs, or beyond 64
/// bits of them.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        nanos = nanos.checked_add(times(number, *factor)?)?;
        rest = &after[unit.len()..];
    }
    if nanos % 1000 != 0 {
        return None;
    }
    i64::try_from(sign * nanos / 1000).ok()
}

/// The decimal `number` times `factor`, if that is a whole number.
fn times(number: &str, factor: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = fraction.trim_end_matches('0');
    let scale = 10_i128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let value: i128 = format!("{whole}{digits}").parse().ok()?;
    let product = value.checked_mul(factor)?;
    (product % scale == 0).then_some(product / scale)
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// Scenario: durations as CEL writes them. Guarantees: none is misread in silence.
    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(parse("1h30m"), Some(5_400_000_000));
        assert_eq!(parse("-1.5s"), Some(-1_500_000));
        assert_eq!(parse("300ms"), Some(300_000));
        assert_eq!(parse("1us"), Some(1));
        assert_eq!(parse("2000ns"), Some(2));
        for bad in [
            "",
            "-",
            "1",
            "s",
            "1.s.",
            "1ns",
            "0.1us",
            "1d",
            "1h 1m",
            "99999999999999999999999999999999999999999h",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
