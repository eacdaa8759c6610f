use super::plausible::Plausible;
use crate::unit::Unit;

/// What the catalogue says of a kind. From Apple's SDK; see `data/types.tsv`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KindInfo {
    /// The full identifier: `HKQuantityTypeIdentifierHeartRate`.
    pub identifier: &'static str,
    /// The identifier without what it shares with others: `HeartRate`. Unique in the catalogue.
    pub short: &'static str,
    /// What sort of type it is.
    pub class: KindClass,
    /// HealthKit's canonical unit, which every unit for this type converts into: of a heart rate `count/s`,
    /// though people and exports say `count/min`. Every quantity has one, nothing else has.
    pub unit: Option<Unit>,
    /// How values combine over time; every quantity has one, nothing else has.
    pub aggregation: Option<Aggregation>,
    /// The enumeration its values are of, `HKCategoryValueSleepAnalysis`: see [`category`](super::category).
    pub value_enum: Option<&'static str>,
    /// First iOS version that has it: `13.6`.
    pub min_ios: &'static str,
    /// Whether an app may write it; the others only the system writes.
    pub writeable: bool,
    /// What values it can have, where that can be said of a quantity; see `data/plausible.tsv`.
    pub plausible: Option<Plausible>,
}

/// The sorts of types in HealthKit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "HealthKit's words, each the name of its object type")]
pub enum KindClass {
    Quantity,
    Category,
    Correlation,
    Workout,
    Electrocardiogram,
    HeartbeatSeries,
    Route,
    ActivitySummary,
    Clinical,
    Audiogram,
    StateOfMind,
    VisionPrescription,
    MedicationDose,
    ScoredAssessment,
    Document,
    Characteristic,
}

impl KindClass {
    /// The class that the beginning of an identifier tells, where HealthKit has many types with one
    /// beginning.
    pub(super) fn of_identifier(identifier: &str) -> Option<Self> {
        match identifier.split_once("TypeIdentifier")?.0 {
            "HKQuantity" => Some(Self::Quantity),
            "HKCategory" => Some(Self::Category),
            "HKCorrelation" => Some(Self::Correlation),
            "HKClinical" => Some(Self::Clinical),
            "HKScoredAssessment" => Some(Self::ScoredAssessment),
            "HKDocument" => Some(Self::Document),
            "HKCharacteristic" => Some(Self::Characteristic),
            _ => None,
        }
    }

    /// The `kind` column of the catalogue. Two types are called a series there, and have a class each here.
    pub(super) fn of_row(identifier: &str, kind: &str) -> Option<Self> {
        Some(match kind {
            "quantity" => Self::Quantity,
            "category" => Self::Category,
            "correlation" => Self::Correlation,
            "workout" => Self::Workout,
            "electrocardiogram" => Self::Electrocardiogram,
            "series" if identifier == "HKDataTypeIdentifierHeartbeatSeries" => Self::HeartbeatSeries,
            "series" if identifier == "HKWorkoutRouteTypeIdentifier" => Self::Route,
            "activity_summary" => Self::ActivitySummary,
            "clinical" => Self::Clinical,
            "audiogram" => Self::Audiogram,
            "state_of_mind" => Self::StateOfMind,
            "vision_prescription" => Self::VisionPrescription,
            "medication_dose_event" => Self::MedicationDose,
            "scored_assessment" => Self::ScoredAssessment,
            "document" => Self::Document,
            "characteristic" => Self::Characteristic,
            _ => return None,
        })
    }
}

/// How the values of a quantity combine over time: `HKQuantityAggregationStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregation {
    /// By their sum: steps, energy.
    Cumulative,
    /// By their mean: body mass.
    DiscreteArithmetic,
    /// By their mean weighted by duration: heart rate.
    DiscreteTemporallyWeighted,
    /// By the level of a constant sound of the same energy: environmental noise.
    DiscreteEquivalentContinuousLevel,
}

impl Aggregation {
    pub(super) fn of_row(text: &str) -> Option<Self> {
        Some(match text {
            "cumulative" => Self::Cumulative,
            "discrete_arithmetic" => Self::DiscreteArithmetic,
            "discrete_temporally_weighted" => Self::DiscreteTemporallyWeighted,
            "discrete_equivalent_continuous_level" => Self::DiscreteEquivalentContinuousLevel,
            _ => return None,
        })
    }
}
