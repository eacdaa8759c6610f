//! The plugin's types, units and activities.
//!
//! Source: carp-dk/flutter-plugins, packages/health 13.2.0 (`health_data_types`), and the types that its Swift side reads for
//! them.

/// HealthKit's short name of a type whose values are quantities.
pub(super) fn quantity(name: &str) -> Option<&'static str> {
    QUANTITIES.iter().find(|(known, _)| *known == name).map(|(_, short)| *short)
}

/// HealthKit's short name of a type whose values are categories, and the category where the type says it.
pub(super) fn category(name: &str) -> Option<(&'static str, Option<i64>)> {
    CATEGORIES.iter().find(|(known, ..)| *known == name).map(|(_, short, value)| (*short, *value))
}

/// HealthKit's unit; `None` where there is none.
pub(super) fn unit(name: &str) -> Option<&str> {
    Some(match name {
        "NO_UNIT" | "UNKNOWN_UNIT" => return None,
        "GRAM" => "g",
        "KILOGRAM" => "kg",
        "OUNCE" => "oz",
        "POUND" => "lb",
        "STONE" => "st",
        "METER" => "m",
        "INCH" => "in",
        "FOOT" => "ft",
        "YARD" => "yd",
        "MILE" => "mi",
        "LITER" => "L",
        "MILLILITER" => "mL",
        "PASCAL" => "Pa",
        "MILLIMETER_OF_MERCURY" => "mmHg",
        "SECOND" => "s",
        "MILLISECOND" => "ms",
        "MINUTE" => "min",
        "HOUR" => "hr",
        "DAY" => "d",
        "JOULE" => "J",
        "KILOCALORIE" | "LARGE_CALORIE" => "kcal",
        "SMALL_CALORIE" => "cal",
        "DEGREE_CELSIUS" => "degC",
        "DEGREE_FAHRENHEIT" => "degF",
        "KELVIN" => "K",
        "DECIBEL_HEARING_LEVEL" => "dBHL",
        "HERTZ" => "Hz",
        "SIEMEN" => "S",
        "VOLT" => "V",
        "INTERNATIONAL_UNIT" => "IU",
        "COUNT" => "count",
        "PERCENT" => "%",
        "BEATS_PER_MINUTE" | "RESPIRATIONS_PER_MINUTE" => "count/min",
        "MILLIGRAM_PER_DECILITER" => "mg/dL",
        "METER_PER_SECOND" => "m/s",
        other => other,
    })
}

/// HealthKit's short name of an activity: that of the plugin in camel case, but for these.
pub(super) fn activity(name: &str) -> String {
    match name {
        "BIKING" | "BIKING_STATIONARY" => "cycling".to_owned(),
        "SKATING" => "skatingSports".to_owned(),
        "SURFING" => "surfingSports".to_owned(),
        "SWIMMING_POOL" | "SWIMMING_OPEN_WATER" => "swimming".to_owned(),
        "RUNNING_TREADMILL" => "running".to_owned(),
        "WALKING_TREADMILL" => "walking".to_owned(),
        _ => {
            let mut out = String::with_capacity(name.len());
            for (index, word) in name.split('_').enumerate() {
                let lower = word.to_ascii_lowercase();
                let mut letters = lower.chars();
                let first = letters.next();
                out.extend(first.map(|first| if index == 0 { first } else { first.to_ascii_uppercase() }));
                out.extend(letters);
            }
            out
        }
    }
}

/// Values are those of HealthKit's enumerations.
const CATEGORIES: &[(&str, &str, Option<i64>)] = &[
    ("APPLE_STAND_HOUR", "AppleStandHour", None),
    ("HEADACHE_MILD", "Headache", Some(2)),
    ("HEADACHE_MODERATE", "Headache", Some(3)),
    ("HEADACHE_NOT_PRESENT", "Headache", Some(1)),
    ("HEADACHE_SEVERE", "Headache", Some(4)),
    ("HEADACHE_UNSPECIFIED", "Headache", Some(0)),
    ("HIGH_HEART_RATE_EVENT", "HighHeartRateEvent", Some(0)),
    ("IRREGULAR_HEART_RATE_EVENT", "IrregularHeartRhythmEvent", Some(0)),
    ("LOW_HEART_RATE_EVENT", "LowHeartRateEvent", Some(0)),
    ("MINDFULNESS", "MindfulSession", Some(0)),
    ("SLEEP_ASLEEP", "SleepAnalysis", Some(1)),
    ("SLEEP_AWAKE", "SleepAnalysis", Some(2)),
    ("SLEEP_AWAKE_IN_BED", "SleepAnalysis", Some(2)),
    ("SLEEP_DEEP", "SleepAnalysis", Some(4)),
    ("SLEEP_IN_BED", "SleepAnalysis", Some(0)),
    ("SLEEP_LIGHT", "SleepAnalysis", Some(3)),
    ("SLEEP_REM", "SleepAnalysis", Some(5)),
];

const QUANTITIES: &[(&str, &str)] = &[
    ("ACTIVE_ENERGY_BURNED", "ActiveEnergyBurned"),
    ("APPLE_MOVE_TIME", "AppleMoveTime"),
    ("APPLE_STAND_TIME", "AppleStandTime"),
    ("ATRIAL_FIBRILLATION_BURDEN", "AtrialFibrillationBurden"),
    ("BASAL_ENERGY_BURNED", "BasalEnergyBurned"),
    ("BLOOD_GLUCOSE", "BloodGlucose"),
    ("BLOOD_OXYGEN", "OxygenSaturation"),
    ("BLOOD_PRESSURE_DIASTOLIC", "BloodPressureDiastolic"),
    ("BLOOD_PRESSURE_SYSTOLIC", "BloodPressureSystolic"),
    ("BODY_FAT_PERCENTAGE", "BodyFatPercentage"),
    ("BODY_MASS_INDEX", "BodyMassIndex"),
    ("BODY_TEMPERATURE", "BodyTemperature"),
    ("DIETARY_BIOTIN", "DietaryBiotin"),
    ("DIETARY_CAFFEINE", "DietaryCaffeine"),
    ("DIETARY_CALCIUM", "DietaryCalcium"),
    ("DIETARY_CARBS_CONSUMED", "DietaryCarbohydrates"),
    ("DIETARY_CHLORIDE", "DietaryChloride"),
    ("DIETARY_CHOLESTEROL", "DietaryCholesterol"),
    ("DIETARY_CHROMIUM", "DietaryChromium"),
    ("DIETARY_COPPER", "DietaryCopper"),
    ("DIETARY_ENERGY_CONSUMED", "DietaryEnergyConsumed"),
    ("DIETARY_FATS_CONSUMED", "DietaryFatTotal"),
    ("DIETARY_FAT_MONOUNSATURATED", "DietaryFatMonounsaturated"),
    ("DIETARY_FAT_POLYUNSATURATED", "DietaryFatPolyunsaturated"),
    ("DIETARY_FAT_SATURATED", "DietaryFatSaturated"),
    ("DIETARY_FIBER", "DietaryFiber"),
    ("DIETARY_FOLATE", "DietaryFolate"),
    ("DIETARY_IODINE", "DietaryIodine"),
    ("DIETARY_IRON", "DietaryIron"),
    ("DIETARY_MAGNESIUM", "DietaryMagnesium"),
    ("DIETARY_MANGANESE", "DietaryManganese"),
    ("DIETARY_MOLYBDENUM", "DietaryMolybdenum"),
    ("DIETARY_NIACIN", "DietaryNiacin"),
    ("DIETARY_PANTOTHENIC_ACID", "DietaryPantothenicAcid"),
    ("DIETARY_PHOSPHORUS", "DietaryPhosphorus"),
    ("DIETARY_POTASSIUM", "DietaryPotassium"),
    ("DIETARY_PROTEIN_CONSUMED", "DietaryProtein"),
    ("DIETARY_RIBOFLAVIN", "DietaryRiboflavin"),
    ("DIETARY_SELENIUM", "DietarySelenium"),
    ("DIETARY_SODIUM", "DietarySodium"),
    ("DIETARY_SUGAR", "DietarySugar"),
    ("DIETARY_THIAMIN", "DietaryThiamin"),
    ("DIETARY_VITAMIN_A", "DietaryVitaminA"),
    ("DIETARY_VITAMIN_B12", "DietaryVitaminB12"),
    ("DIETARY_VITAMIN_B6", "DietaryVitaminB6"),
    ("DIETARY_VITAMIN_C", "DietaryVitaminC"),
    ("DIETARY_VITAMIN_D", "DietaryVitaminD"),
    ("DIETARY_VITAMIN_E", "DietaryVitaminE"),
    ("DIETARY_VITAMIN_K", "DietaryVitaminK"),
    ("DIETARY_WATER", "DietaryWater"),
    ("DIETARY_ZINC", "DietaryZinc"),
    ("DISTANCE_CYCLING", "DistanceCycling"),
    ("DISTANCE_DELTA", "DistanceWalkingRunning"),
    ("DISTANCE_SWIMMING", "DistanceSwimming"),
    ("DISTANCE_WALKING_RUNNING", "DistanceWalkingRunning"),
    ("ELECTRODERMAL_ACTIVITY", "ElectrodermalActivity"),
    ("EXERCISE_TIME", "AppleExerciseTime"),
    ("FLIGHTS_CLIMBED", "FlightsClimbed"),
    ("FORCED_EXPIRATORY_VOLUME", "ForcedExpiratoryVolume1"),
    ("HEART_RATE", "HeartRate"),
    ("HEART_RATE_VARIABILITY_SDNN", "HeartRateVariabilitySDNN"),
    ("HEIGHT", "Height"),
    ("INSULIN_DELIVERY", "InsulinDelivery"),
    ("LEAN_BODY_MASS", "LeanBodyMass"),
    ("PERIPHERAL_PERFUSION_INDEX", "PeripheralPerfusionIndex"),
    ("RESPIRATORY_RATE", "RespiratoryRate"),
    ("RESTING_HEART_RATE", "RestingHeartRate"),
    ("STEPS", "StepCount"),
    ("UNDERWATER_DEPTH", "UnderwaterDepth"),
    ("WAIST_CIRCUMFERENCE", "WaistCircumference"),
    ("WALKING_HEART_RATE", "WalkingHeartRateAverage"),
    ("WALKING_SPEED", "WalkingSpeed"),
    ("WATER", "DietaryWater"),
    ("WATER_TEMPERATURE", "WaterTemperature"),
    ("WEIGHT", "BodyMass"),
];

#[cfg(test)]
mod tests {
    use afferent_core::{Kind, Unit, kind::workout::activity_of_short};

    use super::*;

    /// Scenario: each type, and some units and activities. Guarantees: HealthKit has them.
    #[test]
    fn every_name_is_healthkits() {
        let shorts = QUANTITIES.iter().map(|(_, short)| *short);
        for short in shorts.chain(CATEGORIES.iter().map(|(_, short, _)| *short)) {
            assert!(Kind::parse(short).is_ok(), "{short}");
        }
        for name in ["STONE", "DAY", "SIEMEN", "DECIBEL_HEARING_LEVEL", "METER_PER_SECOND"] {
            assert!(Unit::parse(unit(name).unwrap()).unwrap().dimension().is_some(), "{name}");
        }
        for name in ["RUNNING", "BIKING", "HIGH_INTENSITY_INTERVAL_TRAINING", "TRADITIONAL_STRENGTH_TRAINING"]
        {
            assert!(activity_of_short(&activity(name)).is_some(), "{name}");
        }
    }
}
