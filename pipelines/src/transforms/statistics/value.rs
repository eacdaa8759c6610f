//! What a bucket's samples come to, as HealthKit's statistics say it.
//!
//! | of | result |
//! |---|---|
//! | cumulative quantities (steps, energy) | `sum`; of a sample over the edge, the part of its amount that its time has in the bucket |
//! | discrete quantities (body mass) | `min`, `avg`, `max` of the samples that touch the bucket |
//! | weighted by time (heart rate) | the same; `avg` weighs each by its time in the bucket, an instant as a second |
//! | sound levels | the same; `avg` is the level of a constant sound of the same energy over that time |
//! | categories (sleep) | by value, its time in the bucket in seconds; and `count`, how many samples touch it |

use std::collections::BTreeMap;

use afferent_core::{
    Kind, Name, Unit,
    kind::{Aggregation, KindClass, category},
};

use crate::transforms::{keyed::Sample, sum::Sum};

/// µs of a second.
const SECOND: f64 = 1_000_000.0;

/// How the samples of a type combine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Style {
    Quantity(Aggregation),
    Category,
}

impl Style {
    /// Of a type of which that is known.
    pub(super) fn of(kind: Kind) -> Option<Style> {
        if kind.class() == Some(KindClass::Category) {
            return Some(Style::Category);
        }
        kind.info()?.aggregation.map(Style::Quantity)
    }
}

/// How much of a sample lies in a bucket, in µs.
fn overlap(sample: &Sample, (from, to): (i64, i64)) -> i64 {
    (sample.end.min(to) - sample.start.max(from)).max(0)
}

/// The results of a bucket, and their unit. `samples` are in order and touch it.
pub(in crate::transforms) fn compute<'s>(
    kind: Kind,
    unit: Option<Unit>,
    bounds: (i64, i64),
    samples: impl Iterator<Item = &'s Sample>,
) -> (Option<Unit>, Vec<(Name, f64)>) {
    match Style::of(kind) {
        Some(Style::Category) => (Unit::parse("s").ok(), durations(kind, bounds, samples)),
        Some(Style::Quantity(Aggregation::Cumulative)) => (unit, total(bounds, samples)),
        Some(Style::Quantity(aggregation)) => (unit, range(aggregation, bounds, samples)),
        None => (unit, Vec::new()),
    }
}

fn total<'s>(bounds: (i64, i64), samples: impl Iterator<Item = &'s Sample>) -> Vec<(Name, f64)> {
    let mut sum = Sum::default();
    for sample in samples {
        let time = sample.end - sample.start;
        let part = overlap(sample, bounds);
        sum.add(if part == time { sample.value } else { sample.value * (part as f64 / time as f64) });
    }
    finite(vec![("sum", sum.total())])
}

fn range<'s>(
    aggregation: Aggregation,
    bounds: (i64, i64),
    samples: impl Iterator<Item = &'s Sample>,
) -> Vec<(Name, f64)> {
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut sum, mut weights) = (Sum::default(), Sum::default());
    for sample in samples {
        min = min.min(sample.value);
        max = max.max(sample.value);
        let seconds = match overlap(sample, bounds) {
            0 => 1.0,
            time => time as f64 / SECOND,
        };
        let (value, weight) = match aggregation {
            Aggregation::DiscreteTemporallyWeighted => (sample.value, seconds),
            Aggregation::DiscreteEquivalentContinuousLevel => (10_f64.powf(sample.value / 10.0), seconds),
            _ => (sample.value, 1.0),
        };
        sum.add(value * weight);
        weights.add(weight);
    }
    let mean = sum.total() / weights.total();
    let average = match aggregation {
        Aggregation::DiscreteEquivalentContinuousLevel => 10.0 * mean.log10(),
        _ => mean,
    };
    finite(vec![("min", min), ("avg", average), ("max", max)])
}

fn durations<'s>(
    kind: Kind,
    bounds: (i64, i64),
    samples: impl Iterator<Item = &'s Sample>,
) -> Vec<(Name, f64)> {
    let (mut times, mut count) = (BTreeMap::<i64, i64>::new(), 0_u64);
    for sample in samples {
        // Categories are whole numbers, far below what a double holds exactly.
        *times.entry(sample.value as i64).or_default() += overlap(sample, bounds);
        count += 1;
    }
    let values = kind.info().and_then(|info| info.value_enum);
    let name = |raw: i64| match values.and_then(|values| category::name_of(values, raw)) {
        Some(name) => Name::from(name),
        None => Name::from(raw.to_string()),
    };
    let times = times.into_iter().map(|(raw, time)| (name(raw), time as f64 / SECOND));
    times.chain([(Name::from("count"), count as f64)]).collect()
}

fn finite(results: Vec<(&str, f64)>) -> Vec<(Name, f64)> {
    let finite = results.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| (Name::from(name), value)).collect()
}
