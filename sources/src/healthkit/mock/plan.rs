//! What the mock store makes of each type: units, ranges, and when in a day.

use afferent_core::{
    Kind, Unit,
    kind::{Aggregation, KindClass, category},
};

use super::{key::Key, person::Device};

/// When in a day a device measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum When {
    Always,
    Awake,
    Asleep,
}

/// Which part of a blood pressure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Systolic,
    Diastolic,
    Both,
}

/// How samples of a type come about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// The heart rate: low at night, higher by day, highest in a workout.
    Heart,
    /// Counted by phone and watch while someone moves, so much for each step.
    Movement(f64),
    /// Measured by a device so many times an hour.
    Steady(Device, f64, When),
    /// Once a day at most: at about this local hour, with this chance.
    Daily(f64, f64),
    /// With each of three meals, with this chance.
    Meals(f64),
    /// Each minute of a workout of one of these activities.
    Exercise(&'static [u32]),
    /// So many times a day, so many minutes long at most.
    Event(f64, f64),
    StandHour,
    Sleep,
    Workout,
    Pressure(Part),
    Food,
    Ecg,
    Beats,
    Route,
    Summary,
    /// A document or questionnaire, with this chance a day.
    Document(f64),
}

/// The plan of one type.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) class: KindClass,
    pub(super) key: Key,
    pub(super) shape: Shape,
    pub(super) unit: Unit,
    /// Range of values.
    pub(super) low: f64,
    pub(super) high: f64,
    /// Values are rounded to multiples of 1/scale.
    pub(super) scale: f64,
    /// Raw values of a category.
    pub(super) values: Vec<i64>,
}

const RUN: &[u32] = &[37];
const BIKE: &[u32] = &[13];
const SWIM: &[u32] = &[46];

use Device::{Phone, Watch};
use Shape::{Daily, Event, Exercise, Heart, Meals, Movement, Pressure, Steady};
use When::{Always, Asleep, Awake};

/// Quantities: short name, unit, shape, lowest and highest plausible value. Percentages are fractions, as in
/// HealthKit.
#[rustfmt::skip]
const QUANTITIES: &[(&str, &str, Shape, f64, f64)] = &[
    ("HeartRate", "count/min", Heart, 40.0, 190.0),
    ("StepCount", "count", Movement(1.0), 1.0, 3000.0),
    ("DistanceWalkingRunning", "m", Movement(0.73), 0.5, 3000.0),
    ("ActiveEnergyBurned", "kcal", Movement(0.042), 0.02, 300.0),
    ("BasalEnergyBurned", "kcal", Steady(Watch, 4.0, Always), 14.0, 22.0),
    ("FlightsClimbed", "count", Steady(Phone, 0.4, Awake), 1.0, 4.0),
    ("AppleExerciseTime", "min", Exercise(&[37, 52, 13, 46, 50, 57, 35, 39, 31, 60, 61, 70]), 1.0, 1.0),
    ("AppleMoveTime", "min", Steady(Watch, 0.5, Awake), 1.0, 5.0),
    ("AppleStandTime", "min", Steady(Watch, 1.0, Awake), 1.0, 5.0),
    ("PhysicalEffort", "kcal/(kg*hr)", Steady(Watch, 2.0, Awake), 1.0, 6.0),
    ("TimeInDaylight", "min", Steady(Watch, 0.4, Awake), 2.0, 15.0),
    ("RestingHeartRate", "count/min", Daily(21.0, 0.97), 48.0, 70.0),
    ("WalkingHeartRateAverage", "count/min", Daily(20.5, 0.9), 85.0, 115.0),
    ("HeartRateVariabilitySDNN", "ms", Steady(Watch, 0.25, Always), 20.0, 110.0),
    ("HeartRateRecoveryOneMinute", "count/min", Daily(20.8, 0.15), 15.0, 45.0),
    ("VO2Max", "ml/(kg*min)", Daily(19.5, 0.2), 30.0, 55.0),
    ("OxygenSaturation", "%", Steady(Watch, 0.7, Always), 0.94, 1.0),
    ("RespiratoryRate", "count/min", Steady(Watch, 4.0, Asleep), 11.0, 19.0),
    ("AppleSleepingWristTemperature", "degC", Daily(9.2, 0.9), 34.5, 36.5),
    ("AppleSleepingBreathingDisturbances", "count", Daily(9.3, 0.8), 0.5, 12.0),
    ("AtrialFibrillationBurden", "%", Daily(10.0, 0.1), 0.0, 0.02),
    ("BodyTemperature", "degC", Daily(8.0, 0.1), 36.2, 37.4),
    ("BasalBodyTemperature", "degC", Daily(7.5, 0.3), 36.1, 36.9),
    ("BodyMass", "kg", Daily(7.8, 0.6), 55.0, 95.0),
    ("BodyMassIndex", "count", Daily(7.8, 0.6), 19.0, 29.0),
    ("BodyFatPercentage", "%", Daily(7.8, 0.5), 0.12, 0.33),
    ("LeanBodyMass", "kg", Daily(7.8, 0.5), 42.0, 70.0),
    ("Height", "m", Daily(12.0, 0.02), 1.55, 1.95),
    ("WaistCircumference", "m", Daily(8.0, 0.05), 0.7, 1.05),
    ("BloodPressureSystolic", "mmHg", Pressure(Part::Systolic), 105.0, 140.0),
    ("BloodPressureDiastolic", "mmHg", Pressure(Part::Diastolic), 62.0, 90.0),
    ("BloodGlucose", "mg/dL", Event(4.0, 0.0), 75.0, 160.0),
    ("InsulinDelivery", "IU", Meals(0.3), 1.0, 9.0),
    ("BloodAlcoholContent", "%", Daily(21.5, 0.03), 0.0001, 0.0006),
    ("NumberOfAlcoholicBeverages", "count", Daily(21.0, 0.15), 1.0, 3.0),
    ("InhalerUsage", "count", Daily(9.5, 0.1), 1.0, 2.0),
    ("NumberOfTimesFallen", "count", Daily(15.0, 0.02), 1.0, 1.0),
    ("EnvironmentalAudioExposure", "dBASPL", Steady(Watch, 1.5, Awake), 35.0, 88.0),
    ("EnvironmentalSoundReduction", "dBASPL", Steady(Watch, 0.2, Awake), 5.0, 25.0),
    ("HeadphoneAudioExposure", "dBASPL", Steady(Phone, 0.3, Awake), 45.0, 85.0),
    ("UVExposure", "count", Daily(13.0, 0.2), 1.0, 8.0),
    ("WalkingSpeed", "m/s", Steady(Phone, 0.5, Awake), 0.9, 1.7),
    ("WalkingStepLength", "m", Steady(Phone, 0.5, Awake), 0.55, 0.85),
    ("WalkingAsymmetryPercentage", "%", Steady(Phone, 0.3, Awake), 0.0, 0.06),
    ("WalkingDoubleSupportPercentage", "%", Steady(Phone, 0.3, Awake), 0.22, 0.33),
    ("AppleWalkingSteadiness", "%", Daily(20.0, 0.15), 0.7, 1.0),
    ("StairAscentSpeed", "m/s", Steady(Watch, 0.15, Awake), 0.2, 0.6),
    ("StairDescentSpeed", "m/s", Steady(Watch, 0.15, Awake), 0.25, 0.7),
    ("SixMinuteWalkTestDistance", "m", Daily(20.2, 0.15), 400.0, 600.0),
    ("RunningPower", "W", Exercise(RUN), 150.0, 320.0),
    ("RunningSpeed", "m/s", Exercise(RUN), 2.2, 4.2),
    ("RunningStrideLength", "m", Exercise(RUN), 0.8, 1.4),
    ("RunningVerticalOscillation", "cm", Exercise(RUN), 6.0, 12.0),
    ("RunningGroundContactTime", "ms", Exercise(RUN), 210.0, 300.0),
    ("CyclingSpeed", "m/s", Exercise(BIKE), 4.0, 10.0),
    ("CyclingPower", "W", Exercise(BIKE), 90.0, 260.0),
    ("CyclingCadence", "count/min", Exercise(BIKE), 65.0, 100.0),
    ("CyclingFunctionalThresholdPower", "W", Daily(20.4, 0.03), 150.0, 300.0),
    ("DistanceCycling", "m", Exercise(BIKE), 240.0, 600.0),
    ("DistanceSwimming", "m", Exercise(SWIM), 25.0, 55.0),
    ("SwimmingStrokeCount", "count", Exercise(SWIM), 12.0, 30.0),
    ("WaterTemperature", "degC", Exercise(SWIM), 24.0, 29.0),
    ("UnderwaterDepth", "m", Exercise(SWIM), 0.3, 3.0),
    ("DistanceRowing", "m", Exercise(&[35]), 120.0, 260.0),
    ("RowingSpeed", "m/s", Exercise(&[35]), 2.0, 4.5),
    ("DistancePaddleSports", "m", Exercise(&[31]), 60.0, 140.0),
    ("PaddleSportsSpeed", "m/s", Exercise(&[31]), 1.0, 2.4),
    ("DistanceSkatingSports", "m", Exercise(&[39]), 180.0, 420.0),
    ("DistanceCrossCountrySkiing", "m", Exercise(&[60]), 120.0, 300.0),
    ("CrossCountrySkiingSpeed", "m/s", Exercise(&[60]), 2.0, 5.0),
    ("DistanceDownhillSnowSports", "m", Exercise(&[61]), 200.0, 800.0),
    ("DistanceWheelchair", "m", Exercise(&[70]), 60.0, 160.0),
    ("PushCount", "count", Exercise(&[70]), 30.0, 70.0),
    ("WorkoutEffortScore", "appleEffortScore", Daily(20.6, 0.3), 1.0, 10.0),
    ("EstimatedWorkoutEffortScore", "appleEffortScore", Daily(20.6, 0.3), 1.0, 10.0),
    ("NikeFuel", "count", Steady(Phone, 0.3, Awake), 10.0, 300.0),
    ("ForcedVitalCapacity", "L", Daily(9.0, 0.05), 3.0, 5.5),
    ("ForcedExpiratoryVolume1", "L", Daily(9.0, 0.05), 2.5, 4.5),
    ("PeakExpiratoryFlowRate", "L/min", Daily(9.0, 0.1), 350.0, 650.0),
    ("PeripheralPerfusionIndex", "%", Daily(9.1, 0.1), 0.01, 0.1),
    ("ElectrodermalActivity", "S", Daily(14.0, 0.1), 0.000_001, 0.000_02),
    ("DietaryEnergyConsumed", "kcal", Meals(0.9), 250.0, 900.0),
    ("DietaryCarbohydrates", "g", Meals(0.9), 20.0, 110.0),
    ("DietaryProtein", "g", Meals(0.9), 8.0, 50.0),
    ("DietaryFatTotal", "g", Meals(0.9), 5.0, 40.0),
    ("DietaryFatSaturated", "g", Meals(0.6), 1.0, 15.0),
    ("DietaryFiber", "g", Meals(0.6), 1.0, 14.0),
    ("DietarySugar", "g", Meals(0.6), 2.0, 40.0),
    ("DietarySodium", "g", Meals(0.6), 0.2, 1.8),
    ("DietaryCaffeine", "g", Meals(0.5), 0.02, 0.16),
    ("DietaryWater", "mL", Event(6.0, 0.0), 100.0, 500.0),
    ("DietaryVitaminC", "g", Meals(0.3), 0.005, 0.09),
    ("DietaryCalcium", "g", Meals(0.3), 0.05, 0.5),
    ("DietaryIron", "g", Meals(0.3), 0.001, 0.008),
    ("DietaryVitaminD", "g", Meals(0.3), 0.000_001, 0.000_02),
];

/// Categories that are not just reported now and then: times a day, minutes at most.
const CATEGORIES: &[(&str, Shape)] = &[
    ("SleepAnalysis", Shape::Sleep),
    ("AppleStandHour", Shape::StandHour),
    ("MindfulSession", Event(0.5, 20.0)),
    ("HandwashingEvent", Event(4.0, 0.5)),
    ("ToothbrushingEvent", Event(1.8, 3.0)),
    ("HighHeartRateEvent", Event(0.03, 10.0)),
    ("LowHeartRateEvent", Event(0.03, 10.0)),
];

impl Plan {
    /// The plan of `kind`; `None` for what the mock does not make: characteristics, which are not samples, and
    /// CDA documents.
    pub(super) fn of(kind: Kind, key: Key) -> Option<Plan> {
        let info = kind.info()?;
        let count = Unit::parse("count").ok()?;
        let mut plan = Plan {
            kind,
            class: info.class,
            key: key.with(6).with_text(info.identifier),
            shape: Shape::Document(0.05),
            unit: info.unit.unwrap_or(count),
            low: 0.0,
            high: 1.0,
            scale: 1.0,
            values: Vec::new(),
        };
        plan.shape = match info.class {
            KindClass::Quantity => {
                let row = QUANTITIES.iter().find(|(short, ..)| *short == info.short);
                let (unit, shape, low, high) = match row {
                    Some((_, unit, shape, low, high)) => (Unit::parse(unit).ok()?, *shape, *low, *high),
                    None => generic(plan.unit, info.aggregation == Some(Aggregation::Cumulative)),
                };
                (plan.unit, plan.low, plan.high) = (unit, low, high);
                plan.scale = if plan.unit == count { 1.0 } else { scale(low, high) };
                shape
            }
            KindClass::Category => {
                let name = info.value_enum.unwrap_or_default();
                // HealthKit's enumerations of categories are small.
                plan.values = (0..32).filter(|raw| category::name_of(name, *raw).is_some()).collect();
                if plan.values.is_empty() {
                    plan.values.push(0);
                }
                let row = CATEGORIES.iter().find(|(short, _)| *short == info.short);
                row.map_or(Event(0.1, 60.0), |(_, shape)| *shape)
            }
            KindClass::Correlation if info.short == "Food" => Shape::Food,
            KindClass::Correlation => Pressure(Part::Both),
            KindClass::Workout => Shape::Workout,
            KindClass::Electrocardiogram => Shape::Ecg,
            KindClass::HeartbeatSeries => Shape::Beats,
            KindClass::Route => Shape::Route,
            KindClass::ActivitySummary => Shape::Summary,
            KindClass::Clinical
            | KindClass::Audiogram
            | KindClass::StateOfMind
            | KindClass::VisionPrescription
            | KindClass::MedicationDose
            | KindClass::ScoredAssessment => plan.shape,
            _ => return None,
        };
        Some(plan)
    }

    /// Whether samples of it are also edited, deleted, replaced and added with days of delay. Those that belong
    /// together (a night's stages, the parts of a blood pressure) are left alone.
    pub(super) fn is_amended(&self) -> bool {
        matches!(
            self.shape,
            Heart | Movement(_) | Steady(..) | Daily(..) | Meals(_) | Exercise(_) | Event(..)
        )
    }

    /// Whether `device` writes it.
    pub(super) fn is_by(&self, device: Device) -> bool {
        match self.shape {
            Movement(_) => true,
            Heart | Exercise(_) => device != Phone,
            Steady(by, ..) => device == by || device == Device::Import,
            Daily(..) | Meals(_) | Event(..) => device != Watch,
            Pressure(_) | Shape::Food | Shape::Document(_) => device == Phone,
            _ => device == Watch,
        }
    }

    /// Whether its records are so large that a page holds only a few.
    pub(super) fn is_heavy(&self) -> bool {
        matches!(self.shape, Shape::Ecg | Shape::Beats | Shape::Route)
    }

    /// Whether HealthKit wakes for it hourly at most, whatever was asked (as documented or observed on iOS).
    pub(super) fn is_hourly(&self) -> bool {
        matches!(self.kind.short(), "StepCount" | "DistanceWalkingRunning" | "ActiveEnergyBurned")
    }

    /// A plausible value of someone whose own key for this type is `own`: people differ more than days do.
    pub(super) fn value(&self, own: Key, sample: Key) -> f64 {
        self.round(self.low + (self.high - self.low) * (0.6 * own.unit() + 0.4 * sample.unit()))
    }

    /// `value` with as many decimals as the type has, within its range.
    pub(super) fn round(&self, value: f64) -> f64 {
        ((value * self.scale).round() / self.scale).clamp(self.low, self.high)
    }
}

/// A quantity the table does not have.
fn generic(unit: Unit, cumulative: bool) -> (Unit, Shape, f64, f64) {
    let (low, high) = match unit.as_str() {
        "%" => (0.05, 0.95),
        "g" => (0.000_1, 0.005),
        "degC" => (35.5, 37.5),
        "count/min" | "count/s" => (50.0, 100.0),
        _ => (1.0, 10.0),
    };
    (unit, if cumulative { Meals(0.3) } else { Daily(11.0, 0.2) }, low, high)
}

/// Three significant decimals of the range.
fn scale(low: f64, high: f64) -> f64 {
    let mut scale = 1.0;
    while (high - low) * scale < 400.0 && scale < 1e9 {
        scale *= 10.0;
    }
    scale
}
