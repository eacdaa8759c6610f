//! What vendors call the activity of a workout, and HealthKit's word for it.

use afferent_core::kind::workout::activity_of_short;

/// HKWorkoutActivityTypeOther.
const OTHER: u32 = 3000;

/// Suunto's activities.
///
/// Source: Suunto's "Activities.pdf", as the-momentum/open-wearables@36e24a9c lists it.
const SUUNTO: &[(i64, &str)] = &[
    (0, "walking"),
    (1, "running"),
    (2, "cycling"),
    (3, "crossCountrySkiing"),
    (10, "cycling"),
    (11, "hiking"),
    (12, "skatingSports"),
    (13, "downhillSkiing"),
    (14, "paddleSports"),
    (15, "rowing"),
    (16, "golf"),
    (21, "swimming"),
    (22, "running"),
    (24, "walking"),
    (25, "equestrianSports"),
    (27, "skatingSports"),
    (28, "waterSports"),
    (29, "climbing"),
    (30, "snowboarding"),
    (33, "soccer"),
    (34, "tennis"),
    (35, "basketball"),
    (36, "badminton"),
    (37, "baseball"),
    (38, "volleyball"),
    (39, "americanFootball"),
    (40, "tableTennis"),
    (41, "racquetball"),
    (42, "squash"),
    (44, "handball"),
    (45, "softball"),
    (46, "bowling"),
    (47, "cricket"),
    (48, "rugby"),
    (49, "skatingSports"),
    (50, "hockey"),
    (52, "cycling"),
    (53, "running"),
    (54, "crossTraining"),
    (55, "elliptical"),
    (57, "rowing"),
    (58, "flexibility"),
    (59, "trackAndField"),
    (61, "paddleSports"),
    (62, "martialArts"),
    (65, "snowSports"),
    (66, "discSports"),
    (67, "soccer"),
    (70, "hiking"),
    (71, "sailing"),
    (72, "paddleSports"),
    (77, "boxing"),
    (78, "underwaterDiving"),
    (79, "underwaterDiving"),
    (81, "gymnastics"),
    (82, "paddleSports"),
    (84, "downhillSkiing"),
    (85, "swimming"),
    (86, "surfingSports"),
    (87, "surfingSports"),
    (91, "surfingSports"),
    (96, "fishing"),
    (97, "hunting"),
    (98, "transition"),
    (99, "cycling"),
    (102, "jumpRope"),
    (103, "running"),
    (105, "cycling"),
    (106, "cycling"),
    (109, "handCycling"),
    (110, "snowboarding"),
    (112, "mindAndBody"),
    (113, "hockey"),
    (114, "cycling"),
    (115, "running"),
    (117, "crossCountrySkiing"),
    (118, "crossCountrySkiing"),
    (120, "pilates"),
    (121, "yoga"),
];

/// Terra's activities.
///
/// Source: tryterra/openapi@04fe8e33, `data_models/specs/data_models/enums.tsp`, `ActivityType`.
const TERRA: &[(i64, &str)] = &[
    (1, "cycling"),
    (7, "walking"),
    (8, "running"),
    (10, "badminton"),
    (11, "baseball"),
    (12, "basketball"),
    (14, "handCycling"),
    (15, "cycling"),
    (16, "cycling"),
    (17, "cycling"),
    (18, "cycling"),
    (19, "cycling"),
    (20, "boxing"),
    (23, "cricket"),
    (25, "elliptical"),
    (26, "fencing"),
    (27, "americanFootball"),
    (28, "australianFootball"),
    (29, "soccer"),
    (30, "discSports"),
    (32, "golf"),
    (33, "gymnastics"),
    (34, "handball"),
    (35, "hiking"),
    (36, "hockey"),
    (37, "equestrianSports"),
    (39, "jumpRope"),
    (40, "paddleSports"),
    (42, "kickboxing"),
    (43, "surfingSports"),
    (44, "martialArts"),
    (45, "mindAndBody"),
    (46, "martialArts"),
    (49, "pilates"),
    (51, "racquetball"),
    (52, "climbing"),
    (53, "rowing"),
    (54, "rowing"),
    (55, "rugby"),
    (56, "running"),
    (57, "running"),
    (58, "running"),
    (59, "sailing"),
    (60, "underwaterDiving"),
    (61, "skatingSports"),
    (62, "skatingSports"),
    (63, "skatingSports"),
    (64, "skatingSports"),
    (66, "crossCountrySkiing"),
    (67, "crossCountrySkiing"),
    (68, "downhillSkiing"),
    (73, "snowboarding"),
    (75, "snowSports"),
    (76, "squash"),
    (77, "stairs"),
    (78, "stairClimbing"),
    (79, "paddleSports"),
    (80, "traditionalStrengthTraining"),
    (81, "surfingSports"),
    (82, "swimming"),
    (83, "swimming"),
    (84, "swimming"),
    (85, "tableTennis"),
    (87, "tennis"),
    (88, "running"),
    (89, "volleyball"),
    (90, "volleyball"),
    (91, "volleyball"),
    (93, "walking"),
    (94, "walking"),
    (95, "walking"),
    (96, "waterPolo"),
    (97, "traditionalStrengthTraining"),
    (99, "surfingSports"),
    (100, "yoga"),
    (102, "underwaterDiving"),
    (104, "skatingSports"),
    (105, "skatingSports"),
    (106, "curling"),
    (113, "crossTraining"),
    (114, "highIntensityIntervalTraining"),
    (116, "walking"),
    (119, "archery"),
    (120, "softball"),
    (122, "mindAndBody"),
    (123, "mixedCardio"),
    (124, "lacrosse"),
    (125, "flexibility"),
    (127, "skatingSports"),
    (129, "paddleSports"),
    (131, "fishing"),
    (133, "running"),
    (140, "paddleSports"),
];

/// HealthKit's raw value of Suunto's activity `id`; "other" where it has none.
pub(super) fn of_suunto(id: i64) -> u32 {
    of(SUUNTO, id)
}

/// HealthKit's raw value of Terra's activity `number`; "other" where it has none.
pub(super) fn of_terra(number: i64) -> u32 {
    of(TERRA, number)
}

fn of(known: &[(i64, &str)], number: i64) -> u32 {
    let short = known.iter().find(|(known, _)| *known == number).map(|(_, short)| *short);
    short.and_then(activity_of_short).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every activity that is mapped. Guarantees: G4, HealthKit has it, and none is there twice.
    #[test]
    fn every_activity_is_one_of_health_kits() {
        for known in [SUUNTO, TERRA] {
            assert!(known.iter().all(|(_, short)| activity_of_short(short).is_some()));
            assert!(known.is_sorted_by(|one, next| one.0 < next.0));
        }
        assert_eq!((of_suunto(4), of_terra(108)), (OTHER, OTHER));
    }
}
