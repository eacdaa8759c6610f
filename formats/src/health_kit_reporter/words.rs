//! Words that the library writes for HealthKit's numbers.
//!
//! Source: `Extensions+HKElectrocardiogram.swift` of HealthKitReporter; the misspelt ones were mended in 4.0.

/// The classification of an electrocardiogram by HealthKit's name, as far as the word is one that is known.
///
/// | written | read |
/// |---|---|
/// | `na` | none is set |
/// | `Sinus rhytm` (until 3.x), `Sinus rhythm` | `sinusRhythm` |
/// | `Inconclusive low heart rate`, … | `inconclusiveLowHeartRate`, … |
/// | anything else | as it is |
pub(super) fn classification(word: &str) -> &str {
    let found = CLASSIFICATIONS.iter().find(|(written, _)| *written == word);
    found.map_or(word, |(_, name)| name)
}

/// How a classification is written.
pub(super) fn word_of(classification: &str) -> &str {
    // The first is the one that 4.x writes.
    let found = CLASSIFICATIONS.iter().find(|(_, name)| *name == classification);
    found.map_or(classification, |(word, _)| word)
}

const CLASSIFICATIONS: &[(&str, &str)] = &[
    ("Sinus rhythm", "sinusRhythm"),
    ("Sinus rhytm", "sinusRhythm"),
    ("Atrial fibrillation", "atrialFibrillation"),
    ("Inconclusive low heart rate", "inconclusiveLowHeartRate"),
    ("Inconclusive high heart rate", "inconclusiveHighHeartRate"),
    ("Inconclusive poor reading", "inconclusivePoorReading"),
    ("Inconclusive other", "inconclusiveOther"),
    ("Unrecognized", "unrecognized"),
];

/// What is written where nothing is set.
pub(super) const NOT_SET: &str = "na";
