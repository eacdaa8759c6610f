//! What was passed over, and why.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// Names of unknown elements that are told apart; the rest are counted together.
const MAX_NAMES: usize = 16;

/// Why something in an export gave no record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Skip {
    /// It is of another type or time than [`Config`](super::Config) asks for.
    NotWanted,
    /// A workout names a GPX file that is not in the export. The workout keeps the path.
    MissingRoute,
    /// A clinical record names a document that is not in the export. The record keeps the path.
    MissingDocument,
    /// An electrocardiogram was taken away while the export was read.
    MissingRecording,
    /// A GPX file has no place in it.
    EmptyRoute,
    /// `Me`: characteristics such as the date of birth are no samples.
    Characteristics,
    /// An element of a name that this program does not know.
    Unknown(String),
    /// Elements of further unknown names.
    UnknownOthers,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::NotWanted => f.write_str("of other types or times than asked for"),
            Skip::MissingRoute => {
                f.write_str("routes whose file is not in the export (the workout keeps its path)")
            }
            Skip::MissingDocument => {
                f.write_str("clinical documents that are not in the export (the record keeps the path)")
            }
            Skip::MissingRecording => f.write_str("electrocardiograms that were taken away meanwhile"),
            Skip::EmptyRoute => f.write_str("routes without a place"),
            Skip::Characteristics => f.write_str("characteristics (element `Me`), which are no samples"),
            Skip::Unknown(name) => write!(f, "elements `{name}`, which this program does not know"),
            Skip::UnknownOthers => f.write_str("elements of other unknown names"),
        }
    }
}

/// How often each reason occurred, since the beginning of the export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped(BTreeMap<Skip, u64>);

impl Skipped {
    pub(super) fn add(&mut self, skip: Skip) {
        *self.0.entry(skip).or_default() += 1;
    }

    /// Counts an element of an unknown name.
    pub(super) fn add_unknown(&mut self, name: String) {
        let names = self.0.keys().filter(|skip| matches!(skip, Skip::Unknown(_))).count();
        let skip = Skip::Unknown(name);
        let is_told = self.0.contains_key(&skip) || names < MAX_NAMES;
        self.add(if is_told { skip } else { Skip::UnknownOthers });
    }

    /// Adds what another one counted, and empties it.
    pub(super) fn take(&mut self, other: &mut Skipped) {
        for (skip, count) in std::mem::take(&mut other.0) {
            *self.0.entry(skip).or_default() += count;
        }
    }

    /// The reasons, and how often each occurred.
    pub fn iter(&self) -> impl Iterator<Item = (&Skip, u64)> {
        self.0.iter().map(|(skip, count)| (skip, *count))
    }

    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where a source publishes what it has [`Skipped`], up to what it gave last. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Report(Arc<Mutex<Skipped>>);

impl Report {
    /// What was passed over so far, restarts included.
    pub fn get(&self) -> Skipped {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, skipped: &Skipped) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: elements of more unknown names than are told apart. Guarantees: G7, names are bounded; each element is
    /// counted.
    #[test]
    fn unknown_names_are_bounded() {
        let mut skipped = Skipped::default();
        for index in 0..100 {
            skipped.add_unknown(format!("Name{}", index % 50));
        }
        assert_eq!(skipped.iter().count(), MAX_NAMES + 1);
        assert_eq!(skipped.iter().map(|(_, count)| count).sum::<u64>(), 100);
        let mut all = Skipped::default();
        all.add(Skip::NotWanted);
        all.take(&mut skipped);
        assert!(skipped.is_empty());
        assert_eq!(all.iter().next(), Some((&Skip::NotWanted, 1)));
    }
}
