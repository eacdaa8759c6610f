//! What other standards call HealthKit's types: LOINC, UCUM, Open mHealth, Health Connect.
//!
//! The table is `data/terms.tsv`, which names the source of each column and what was corrected. It has a line for every type
//! of the catalogue, in its order.

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
mod ucum;

use std::sync::LazyLock;

use afferent_core::Kind;

pub use self::ucum::{Ucum, ucum};

static TERMS: LazyLock<Vec<Term>> = LazyLock::new(load);

/// What other standards call one type.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Term {
    /// The type.
    pub kind: Kind,
    /// Its LOINC code and that code's name.
    pub loinc: Option<(&'static str, &'static str)>,
    /// FHIR's category of the observation: `vital-signs`.
    pub category: Option<&'static str>,
    /// The UCUM code of the unit that is usual for it in FHIR.
    pub ucum: Option<&'static str>,
    /// The schema of its data points: Open mHealth's, IEEE 1752.1's, or a generic one for HealthKit.
    pub omh: Option<Schema>,
    /// The record of Health Connect that means the same, and whether any tool joins the two already.
    pub health_connect: Option<(&'static str, bool)>,
}

/// The id of a schema of Open mHealth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    /// `omh`, `ieee` or `granola`.
    pub namespace: &'static str,
    /// `heart-rate`.
    pub name: &'static str,
    /// `2.0`.
    pub version: &'static str,
}

/// What other standards call `kind`; `None` for a type that is not in the catalogue.
pub fn of(kind: Kind) -> Option<&'static Term> {
    TERMS.binary_search_by_key(&kind, |term| term.kind).ok().map(|index| &TERMS[index])
}

/// All types, in the catalogue's order.
pub fn all() -> impl Iterator<Item = &'static Term> {
    TERMS.iter()
}

fn load() -> Vec<Term> {
    let rows = include_str!("../../data/terms.tsv").lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|line| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().expect("invariant: every row of the table has all its columns");
        let kind = Kind::parse(next()).expect("invariant: the table is of the catalogue's types");
        let (loinc, display) = (next(), next());
        Term {
            kind,
            loinc: present(loinc).map(|code| (code, display)),
            category: present(next()),
            ucum: present(next()),
            omh: present(next()).map(schema),
            health_connect: present(next())
                .map(|record| record.strip_suffix('?').map_or((record, true), |record| (record, false))),
        }
    })
    .collect()
}

fn present(field: &'static str) -> Option<&'static str> {
    (!field.is_empty()).then_some(field)
}

fn schema(text: &'static str) -> Schema {
    let mut parts = text.split(':');
    let mut next = || parts.next().expect("invariant: a schema is namespace:name:version");
    Schema { namespace: next(), name: next(), version: next() }
}
