//! The activities of workouts: numbers in HealthKit, names of constants in its exports.
//!
//! Short names are the constants without `HKWorkoutActivityType`, beginning in lower case: `running`.

use super::category;

/// What the constants and the table of [`category`] values call the enumeration.
const ENUM: &str = "HKWorkoutActivityType";

/// The activity of a constant: `HKWorkoutActivityTypeRunning` is 37.
#[must_use]
pub fn activity_of_constant(constant: &str) -> Option<u32> {
    // The table has other enumerations too.
    constant.strip_prefix(ENUM)?;
    category::value_of(constant).and_then(|raw| u32::try_from(raw).ok())
}

/// The constant of an activity: of 37 that is `HKWorkoutActivityTypeRunning`.
#[must_use]
pub fn constant_of_activity(activity: u32) -> Option<&'static str> {
    category::constant_of(ENUM, i64::from(activity))
}

/// The short name of an activity: of 37 that is `running`.
#[must_use]
pub fn short_of_activity(activity: u32) -> Option<&'static str> {
    category::name_of(ENUM, i64::from(activity))
}

/// The activity of a short name: `running` is 37.
#[must_use]
pub fn activity_of_short(short: &str) -> Option<u32> {
    category::value_of_name(ENUM, short).and_then(|raw| u32::try_from(raw).ok())
}
