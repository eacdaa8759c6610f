//! Names of metrics and of units.
//!
//! Source: the wiki of Lybron/health-auto-export, "Supported metrics"; types are those of HealthKit that the app reads for them.

use afferent_core::Kind;

/// The type of a metric: HealthKit's, or one of the app's own.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    match METRICS.iter().find(|(known, _)| *known == name) {
        Some((_, short)) => Kind::from_data(short).ok(),
        // Most are HealthKit's own names in snake case.
        None => Kind::from_data(&camel(name))
            .ok()
            .filter(|kind| kind.info().is_some())
            .or_else(|| super::own_kind(name).ok()),
    }
}

/// `StepCount` of `step_count`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.extend(letters);
    }
    out
}

/// A unit by HealthKit's name.
pub(super) fn unit_of(unit: &str) -> &str {
    match unit {
        "bpm" | "breaths/min" | "spm" => "count/min",
        "times" | "steps" | "count/times" => "count",
        "hours" => "hr",
        other => other,
    }
}

/// Those whose name is not HealthKit's.
const METRICS: &[(&str, &str)] = &[
    ("active_energy", "ActiveEnergyBurned"),
    ("apple_stand_hour", "AppleStandHour"),
    ("basal_energy_burned", "BasalEnergyBurned"),
    ("blood_oxygen_saturation", "OxygenSaturation"),
    ("body_fat_percentage", "BodyFatPercentage"),
    ("breathing_disturbances", "AppleSleepingBreathingDisturbances"),
    ("calcium", "DietaryCalcium"),
    ("carbohydrates", "DietaryCarbohydrates"),
    ("cardio_recovery", "HeartRateRecoveryOneMinute"),
    ("chloride", "DietaryChloride"),
    ("chromium", "DietaryChromium"),
    ("copper", "DietaryCopper"),
    ("cycling_distance", "DistanceCycling"),
    ("dietary_energy", "DietaryEnergyConsumed"),
    ("fiber", "DietaryFiber"),
    ("folate", "DietaryFolate"),
    ("forced_expiratory_volume_1", "ForcedExpiratoryVolume1"),
    ("handwashing", "HandwashingEvent"),
    ("heart_rate_variability", "HeartRateVariabilitySDNN"),
    ("iodine", "DietaryIodine"),
    ("iron", "DietaryIron"),
    ("magnesium", "DietaryMagnesium"),
    ("manganese", "DietaryManganese"),
    ("mindful_minutes", "MindfulSession"),
    ("molybdenum", "DietaryMolybdenum"),
    ("monounsaturated_fat", "DietaryFatMonounsaturated"),
    ("niacin", "DietaryNiacin"),
    ("pantothenic_acid", "DietaryPantothenicAcid"),
    ("phosphorus", "DietaryPhosphorus"),
    ("polyunsaturated_fat", "DietaryFatPolyunsaturated"),
    ("potassium", "DietaryPotassium"),
    ("protein", "DietaryProtein"),
    ("riboflavin", "DietaryRiboflavin"),
    ("saturated_fat", "DietaryFatSaturated"),
    ("selenium", "DietarySelenium"),
    ("six_minute_walking_test_distance", "SixMinuteWalkTestDistance"),
    ("sodium", "DietarySodium"),
    ("stair_speed_down", "StairDescentSpeed"),
    ("stair_speed_up", "StairAscentSpeed"),
    ("swimming_distance", "DistanceSwimming"),
    ("thiamin", "DietaryThiamin"),
    ("toothbrushing", "ToothbrushingEvent"),
    ("total_fat", "DietaryFatTotal"),
    ("vitamin_a", "DietaryVitaminA"),
    ("vitamin_b12", "DietaryVitaminB12"),
    ("vitamin_b6", "DietaryVitaminB6"),
    ("vitamin_c", "DietaryVitaminC"),
    ("vitamin_d", "DietaryVitaminD"),
    ("vitamin_e", "DietaryVitaminE"),
    ("vitamin_k", "DietaryVitaminK"),
    ("vo2_max", "VO2Max"),
    ("walking_running_distance", "DistanceWalkingRunning"),
    ("weight_body_mass", "BodyMass"),
    ("wheelchair_distance", "DistanceWheelchair"),
    ("zinc", "DietaryZinc"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: each metric of the table. Guarantees: its type is one that HealthKit has.
    #[test]
    fn every_type_is_healthkits() {
        for (name, short) in METRICS {
            assert!(Kind::parse(short).is_ok(), "{name}: {short}");
            assert!(kind_of(name).unwrap().info().is_some(), "{name}");
        }
        assert_eq!(kind_of("resting_heart_rate").unwrap().short(), "RestingHeartRate");
        assert_eq!(kind_of("sleep_score").unwrap().name(), "com.healthexportapp.sleep_score");
        assert_eq!(kind_of("two words"), None);
    }
}
