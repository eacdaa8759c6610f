//! What was passed over, and why.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// Unknown names that are told apart; the rest are counted together.
const MAX_NAMES: usize = 16;

/// Characters of an unknown name that are told.
const MAX_NAME_CHARS: usize = 40;

fn told(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}

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
    /// Metadata of events and parts of workouts, for which a record has no place.
    PartMetadata,
    /// A file beside the XML that no element names. Counted at the end of an export that was read whole: a reader that leaves
    /// out types or times does not know what else is named.
    UnnamedFile,
    /// `export_cda.xml`: some of the records once more, in another form.
    ClinicalSummary,
    /// Another XML whose root is `HealthData`: the largest is read.
    OtherExport,
    /// An element of a name that this program does not know.
    Unknown(String),
    /// An attribute of a name that this program does not know, of a sample that was read.
    UnknownAttribute(String),
    /// Elements and attributes of further unknown names.
    UnknownOthers,
}

impl Skip {
    /// Its name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Skip::NotWanted => "not_wanted",
            Skip::MissingRoute => "missing_route",
            Skip::MissingDocument => "missing_document",
            Skip::MissingRecording => "missing_recording",
            Skip::EmptyRoute => "empty_route",
            Skip::Characteristics => "characteristics",
            Skip::PartMetadata => "part_metadata",
            Skip::UnnamedFile => "unnamed_file",
            Skip::ClinicalSummary => "clinical_summary",
            Skip::OtherExport => "other_export",
            Skip::Unknown(_) => "unknown_element",
            Skip::UnknownAttribute(_) => "unknown_attribute",
            Skip::UnknownOthers => "unknown_others",
        }
    }
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
            Skip::PartMetadata => f.write_str("metadata of events and parts of workouts"),
            Skip::UnnamedFile => f.write_str("files beside the document that nothing in it names"),
            Skip::ClinicalSummary => {
                f.write_str("the clinical summary (`export_cda.xml`), which repeats records in another form")
            }
            Skip::OtherExport => {
                f.write_str("further documents of an export beside the one that is read, the largest")
            }
            Skip::Unknown(name) => write!(f, "elements `{name}`, which this program does not know"),
            Skip::UnknownAttribute(name) => {
                write!(f, "attributes `{name}`, which this program does not know")
            }
            Skip::UnknownOthers => f.write_str("elements and attributes of other unknown names"),
        }
    }
}

/// How often each reason occurred, since the beginning of the export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped(BTreeMap<Skip, u64>);

impl Skipped {
    pub(super) fn add(&mut self, skip: Skip) {
        self.add_many(skip, 1);
    }

    /// Counts an element of an unknown name.
    pub(super) fn add_unknown(&mut self, name: &str) {
        self.add(Skip::Unknown(told(name)));
    }

    /// Counts an attribute of an unknown name.
    pub(super) fn add_unknown_attribute(&mut self, name: &str) {
        self.add(Skip::UnknownAttribute(told(name)));
    }

    pub(super) fn add_many(&mut self, skip: Skip, count: u64) {
        let is_name = |skip: &Skip| matches!(skip, Skip::Unknown(_) | Skip::UnknownAttribute(_));
        let is_told = !is_name(&skip)
            || self.0.contains_key(&skip)
            || self.0.keys().filter(|skip| is_name(skip)).count() < MAX_NAMES;
        *self.0.entry(if is_told { skip } else { Skip::UnknownOthers }).or_default() += count;
    }

    /// Adds what another one counted, and empties it.
    pub(super) fn take(&mut self, other: &mut Skipped) {
        for (skip, count) in std::mem::take(&mut other.0) {
            self.add_many(skip, count);
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
        let mut all = Skipped::default();
        all.add(Skip::NotWanted);
        for index in 0..100 {
            // As the reader does: one element after the other.
            let mut skipped = Skipped::default();
            skipped.add_unknown(&format!("Name{}", index % 50));
            skipped.add_unknown_attribute(&"long".repeat(100));
            all.take(&mut skipped);
            assert!(skipped.is_empty());
        }
        assert_eq!(all.iter().next(), Some((&Skip::NotWanted, 1)));
        assert_eq!(all.iter().count(), 1 + MAX_NAMES + 1);
        assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 201);
    }
}
