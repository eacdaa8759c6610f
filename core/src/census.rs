//! [`Census`]: how many records there are of each type.
//!
//! It is counted where records are: one pass over a batch, without an allocation once its types have been seen. A record
//! without a type, such as a deletion of a feed that gives none, is counted as that. What is stored is the full name, so
//! that it means the same to every process; a name that this process can't take in (see [`kind`](crate::kind)) is read as no
//! type.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Kind, Record};

/// Counts a batch by type; one call for each batch. For records, [`Record::count`].
pub type Tap<T> = fn(&[T], &mut Census);

/// Rows that are looked through; where there are more, a table says where a type's row may be.
const FEW: usize = 4;
/// Places of that table; with more types than this, some rows are looked for.
const HINTS: usize = 64;

/// How many records there are of each type.
#[derive(Clone, Default)]
pub struct Census {
    /// In the order in which types came.
    rows: Vec<(Option<Kind>, u64)>,
    /// The row that was counted last.
    last: usize,
    /// By type, where its row may be.
    hints: Option<Box<[u16; HINTS]>>,
}

impl Census {
    /// A census of nothing.
    pub fn new() -> Census {
        Census::default()
    }

    /// Counts `records` more of `kind`.
    pub fn count(&mut self, kind: Option<Kind>, records: u64) {
        // What comes often comes in a row.
        if self.rows.get(self.last).is_none_or(|(found, _)| *found != kind) {
            self.last = self.find(kind);
        }
        self.rows[self.last].1 += records;
    }

    /// Where the row of `kind` is, which may be a new one.
    fn find(&mut self, kind: Option<Kind>) -> usize {
        let is_it = |(found, _): &(Option<Kind>, u64)| *found == kind;
        let place = kind.map_or(0, Kind::number) as usize % HINTS;
        if let Some(hints) = &self.hints {
            let hint = usize::from(hints[place]);
            if self.rows.get(hint).is_some_and(is_it) {
                return hint;
            }
        }
        let index = self.rows.iter().position(is_it).unwrap_or_else(|| {
            self.rows.push((kind, 0));
            self.rows.len() - 1
        });
        if self.rows.len() > FEW {
            // There are fewer kinds than this can number; a wrong hint would cost a search, no more.
            self.hints.get_or_insert_with(|| Box::new([0; HINTS]))[place] = index as u16;
        }
        index
    }

    /// Adds `other` to this.
    pub fn add(&mut self, other: &Census) {
        other.iter().for_each(|(kind, records)| self.count(kind, records));
    }

    /// What is left of this without `other`, which is part of it.
    pub fn without(&self, other: &Census) -> Census {
        self.iter().map(|(kind, records)| (kind, records.saturating_sub(other.of(kind)))).collect()
    }

    /// Says anew how many there are of `kind`.
    pub(crate) fn set(&mut self, kind: Option<Kind>, records: u64) {
        self.count(kind, 0);
        self.rows.iter_mut().filter(|(found, _)| *found == kind).for_each(|(_, count)| *count = records);
    }

    /// How many there are of `kind`.
    pub fn of(&self, kind: Option<Kind>) -> u64 {
        self.rows.iter().find(|(found, _)| *found == kind).map_or(0, |(_, records)| *records)
    }

    /// Each type of which there are any, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Kind>, u64)> + '_ {
        self.rows.iter().copied().filter(|(_, records)| *records > 0)
    }

    /// How many records there are in all.
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|(_, records)| records).sum()
    }

    /// Counts what is missing to `total` as without a type: what an older version did not count by type.
    pub fn fill(&mut self, total: u64) {
        let missing = total.saturating_sub(self.total());
        if missing > 0 {
            self.count(None, missing);
        }
    }

    fn sorted(&self) -> BTreeMap<Option<&'static str>, u64> {
        self.iter().map(|(kind, records)| (kind.map(Kind::name), records)).collect()
    }
}

impl FromIterator<(Option<Kind>, u64)> for Census {
    fn from_iter<I: IntoIterator<Item = (Option<Kind>, u64)>>(rows: I) -> Census {
        let mut census = Census::new();
        rows.into_iter().for_each(|(kind, records)| census.count(kind, records));
        census
    }
}

impl PartialEq for Census {
    fn eq(&self, other: &Census) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for Census {}

impl std::fmt::Debug for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.sorted()).finish()
    }
}

impl Serialize for Census {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.sorted())
    }
}

impl<'de> Deserialize<'de> for Census {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Census, D::Error> {
        let rows = Vec::<(Option<String>, u64)>::deserialize(deserializer)?;
        let kind = |name: Option<String>| name.and_then(|name| Kind::from_data(&name).ok());
        Ok(rows.into_iter().map(|(name, records)| (kind(name), records)).collect())
    }
}

impl Record {
    /// Counts `records` by type.
    pub fn count(records: &[Record], census: &mut Census) {
        records.iter().for_each(|record| census.count(record.kind, 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: more types than there are hints, in turns, and records without one. Guarantees: each is counted under its
    /// own type, and what is stored is read back.
    #[test]
    fn each_type_has_its_own_number() {
        let mut kinds: Vec<Option<Kind>> = Kind::all().map(Some).collect();
        kinds.push(None);
        let mut census = Census::new();
        for times in 1..=3 {
            for (index, kind) in kinds.iter().enumerate() {
                census.count(*kind, times * index as u64);
            }
        }
        for (index, kind) in kinds.iter().enumerate() {
            assert_eq!(census.of(*kind), 6 * index as u64, "{kind:?}");
        }
        assert_eq!(census.total(), 6 * (kinds.len() * (kinds.len() - 1) / 2) as u64);
        let bytes = rmp_serde::to_vec(&census).expect("plain data");
        assert_eq!(rmp_serde::from_slice::<Census>(&bytes).expect("it is read"), census);
    }

    /// Scenario: a part of a census, a number that was not counted by type, and a stored name that is none. Guarantees: what
    /// is left is exact; what is not known is without a type, never left out.
    #[test]
    fn what_is_not_known_has_no_type() {
        let (heart, steps) = (Kind::parse("HeartRate").ok(), Kind::parse("StepCount").ok());
        let whole: Census = [(heart, 5), (steps, 2)].into_iter().collect();
        let part: Census = [(heart, 3), (steps, 2)].into_iter().collect();
        let mut left = whole.without(&part);
        assert_eq!(left, [(heart, 2)].into_iter().collect());
        left.fill(6);
        assert_eq!((left.of(None), left.total()), (4, 6));
        let bytes = rmp_serde::to_vec(&[(Some("not a type"), 7_u64)]).expect("plain data");
        assert_eq!(rmp_serde::from_slice::<Census>(&bytes).expect("it is read").of(None), 7);
    }
}
