//! [`Plausible`]: what values a kind can have.

use std::collections::HashMap;

use super::info::{Aggregation, KindInfo};
use super::tsv;
use crate::unit::Unit;

/// The values that a kind can have. Beyond them is no person, no device or no such unit; within them a value may still be
/// wrong. Both bounds are in.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Plausible {
    /// The lowest value; `None` where none can be defended.
    pub min: Option<f64>,
    /// The highest value; `None` where none can be defended.
    pub max: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// Where it comes from, for people.
    pub source: &'static str,
}

/// The row of `data/plausible.tsv` that is about all cumulative types without a row of their own.
const CUMULATIVE: &str = "cumulative";

/// Gives each of `kinds` what the table says of it.
pub(super) fn fill(kinds: &mut [KindInfo]) {
    let rows: HashMap<&str, [&'static str; 5]> =
        tsv::rows(include_str!("../../data/plausible.tsv")).map(|row| (row[0], row)).collect();
    for kind in kinds {
        let of_all = (kind.aggregation == Some(Aggregation::Cumulative)).then_some(CUMULATIVE);
        let row = rows.get(kind.identifier).or_else(|| rows.get(of_all?));
        kind.plausible = row.and_then(|row| plausible(*row, kind.unit?));
    }
}

fn plausible([_, min, max, unit, source]: [&'static str; 5], canonical: Unit) -> Option<Plausible> {
    let bound = |text: &str| {
        let number = || text.parse().expect("invariant: the table's bounds are numbers");
        (!text.is_empty()).then(number)
    };
    let unit = if unit.is_empty() {
        canonical
    } else {
        Unit::parse(unit).expect("invariant: the table's units are short")
    };
    Some(Plausible { min: bound(min), max: bound(max), unit, source })
}
