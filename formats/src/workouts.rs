//! What dialects that have one distance for a workout mean by it.

use afferent_core::kind::workout::activity_of_constant;

/// The type of a workout's distance by its activity, as HealthKit counts it.
pub(crate) fn distance_of(activity: u32) -> &'static str {
    let is = |constant| activity_of_constant(constant) == Some(activity);
    if is("HKWorkoutActivityTypeCycling") || is("HKWorkoutActivityTypeHandCycling") {
        "DistanceCycling"
    } else if is("HKWorkoutActivityTypeSwimming") {
        "DistanceSwimming"
    } else if is("HKWorkoutActivityTypeWheelchairWalkPace") || is("HKWorkoutActivityTypeWheelchairRunPace") {
        "DistanceWheelchair"
    } else if is("HKWorkoutActivityTypeDownhillSkiing") || is("HKWorkoutActivityTypeSnowboarding") {
        "DistanceDownhillSnowSports"
    } else {
        "DistanceWalkingRunning"
    }
}
