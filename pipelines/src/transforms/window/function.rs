//! What windows compute.
//!
//! All is computed over the numbers in the order of event time, so it does not depend on the order of arrival. Quantiles are
//! exact, with linear interpolation between neighbours (type 7 of Hyndman and Fan, 1996): the samples are held anyway, so
//! there is no sketch and no error. `stddev` is the sample standard deviation, by n − 1.

use afferent_core::Name;

use crate::transforms::{keyed::Sample, sum::Sum};

/// What is computed of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    First,
    Last,
    Stddev,
    /// A quantile, from 0 to 1.
    Quantile(f64),
}

impl Function {
    /// Those that have a name.
    pub(super) const NAMES: [&'static str; 8] =
        ["count", "sum", "min", "max", "avg", "first", "last", "stddev"];

    pub(super) fn parse(name: &str) -> Option<Function> {
        Some(match name {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "min" => Function::Min,
            "max" => Function::Max,
            "avg" => Function::Avg,
            "first" => Function::First,
            "last" => Function::Last,
            "stddev" => Function::Stddev,
            _ => {
                let percent =
                    name.strip_prefix('p').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
                let percent: f64 = percent.parse().ok()?;
                if !(0.0..=100.0).contains(&percent) {
                    return None;
                }
                Function::Quantile(percent / 100.0)
            }
        })
    }
}

/// What `functions` give for `samples`, which are in order; what can't be said of them is left out, as is a sum of what does
/// not add up.
pub(super) fn compute<'s>(
    functions: &[(Name, Function)],
    samples: impl Iterator<Item = &'s Sample> + Clone,
    adds_up: bool,
) -> Vec<(Name, f64)> {
    let numbers = samples.clone().map(|sample| sample.value).filter(|value| !value.is_nan());
    let (mut count, mut sum, mut min, mut max) = (0_u64, Sum::default(), f64::INFINITY, f64::NEG_INFINITY);
    let (mut first, mut last) = (None, None);
    for number in numbers.clone() {
        count += 1;
        sum.add(number);
        min = min.min(number);
        max = max.max(number);
        first = first.or(Some(number));
        last = Some(number);
    }
    let n = count as f64;
    let some = |value: f64| (count > 0).then_some(value);
    let mut sorted = None;
    let mut one = |function: Function| match function {
        Function::Count => Some(samples.clone().count() as f64),
        Function::Sum => some(sum.total()).filter(|_| adds_up),
        Function::Min => some(min),
        Function::Max => some(max),
        Function::Avg => some(sum.total() / n),
        Function::First => first,
        Function::Last => last,
        Function::Stddev => {
            let mean = sum.total() / n;
            let mut squares = Sum::default();
            numbers.clone().for_each(|number| squares.add((number - mean) * (number - mean)));
            (count > 1).then(|| (squares.total() / (n - 1.0)).sqrt())
        }
        Function::Quantile(at) => {
            let sorted = sorted.get_or_insert_with(|| {
                let mut sorted: Vec<f64> = numbers.clone().collect();
                sorted.sort_unstable_by(f64::total_cmp);
                sorted
            });
            quantile(sorted, at)
        }
    };
    let results = functions.iter().filter_map(|(name, function)| Some((name.clone(), one(*function)?)));
    results.filter(|(_, value)| value.is_finite()).collect()
}

/// The quantile `at` of `sorted`.
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let place = at * sorted.len().checked_sub(1)? as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let low = *sorted.get(below)?;
    Some(match sorted.get(below + 1) {
        Some(high) if part > 0.0 => low + (high - low) * part,
        _ => low,
    })
}

#[cfg(test)]
mod tests {
    use afferent_core::RecordId;

    use super::*;

    fn of(functions: &[&str], numbers: &[f64]) -> Vec<f64> {
        let functions: Vec<(Name, Function)> = functions
            .iter()
            .map(|name| (Name::from(*name), Function::parse(name).expect("a function")))
            .collect();
        let sample = |(index, value): (usize, &f64)| Sample {
            id: RecordId::from_u128(index as u128),
            start: index as i64,
            end: index as i64,
            value: *value,
            revision: 0,
            group: 0,
        };
        let samples: Vec<Sample> = numbers.iter().enumerate().map(sample).collect();
        compute(&functions, samples.iter(), true).into_iter().map(|(_, value)| value).collect()
    }

    /// Scenario: each function over a few numbers, over one, over what has no number, and sums that plain addition gets wrong.
    /// Guarantees: G4; the results are those of the definitions, and what can't be said is left out.
    #[test]
    fn functions_are_those_of_the_definitions() {
        let all = ["count", "sum", "min", "max", "avg", "first", "last"];
        assert_eq!(of(&all, &[3.0, 1.0, 2.0]), [3.0, 6.0, 1.0, 3.0, 2.0, 3.0, 2.0]);
        assert_eq!(of(&["stddev"], &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), [(32.0_f64 / 7.0).sqrt()]);
        assert_eq!(of(&["stddev", "count"], &[2.0]), [1.0]);
        assert_eq!(of(&["count", "avg", "p50"], &[f64::NAN]), [1.0]);
        assert_eq!(of(&["p0", "p50", "p90", "p100"], &[40.0, 10.0, 20.0, 30.0]), [10.0, 25.0, 37.0, 40.0]);
        assert_eq!(of(&["sum"], &[1e100, 1.0, -1e100, 1.0]), [2.0]);
        assert_eq!(of(&["sum", "count"], &[f64::MAX, f64::MAX]), [2.0]);
        for name in ["p101", "p-1", "p", "pinf", "median", ""] {
            assert_eq!(Function::parse(name), None, "{name}");
        }
    }
}
