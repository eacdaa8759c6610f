//! Parts of elements: what is known of them is read, what is not is counted, and what is malformed is no silent loss.

use super::*;

const WALK: &str = "workoutActivityType=\"HKWorkoutActivityTypeWalking\"";
const LAP: &str = "<WorkoutEvent type=\"HKWorkoutEventTypeLap\" date=\"2026-03-01 08:05:00 +0100\"";
const HEART: &str = "<WorkoutStatistics type=\"HKQuantityTypeIdentifierHeartRate\"";

/// What was passed over in an export, but for `Me`.
fn passed_over(given: &Given) -> Vec<(Skip, u64)> {
    let last = given.positions.last().expect("something was given");
    let skipped = Place::from_position(last).unwrap().skipped;
    skipped
        .iter()
        .filter(|(skip, _)| **skip != Skip::Characteristics)
        .map(|(skip, count)| (skip.clone(), count))
        .collect()
}

/// Scenario: each element and each part of one with two attributes of a newer system, and parts with children of one.
/// Guarantees: all of them are counted by name, and everything else is read.
#[tokio::test]
async fn unknown_names_in_parts_are_counted() {
    let body = format!(
        " <Record type=\"HKQuantityTypeIdentifierStepCount\" unit=\"count\" {TIMES} value=\"1\" n1=\"\" n2=\"\">\
         <MetadataEntry key=\"a\" value=\"b\" n3=\"\"/><HeartRateVariabilityMetadataList>\
         <InstantaneousBeatsPerMinute bpm=\"60\" time=\"04:00:38.10\" n4=\"\"/><P1/></HeartRateVariabilityMetadataList></Record>\n \
         <Workout {WALK} {TIMES} n5=\"\">{LAP} n6=\"\"/>{HEART} average=\"90\" unit=\"count/min\" n7=\"\"/>\
         <WorkoutActivity uuid=\"1\" startDate=\"2026-03-01 08:00:00 +0100\" n8=\"\"><P2/></WorkoutActivity>\
         <WorkoutRoute {TIMES} n9=\"\"><P3/><Location date=\"2026-03-01 08:00:01 +0100\" latitude=\"1\" longitude=\"2\" n10=\"\"/>\
         </WorkoutRoute></Workout>\n \
         <ActivitySummary dateComponents=\"2026-03-01\" n11=\"\"><P4/></ActivitySummary>\n"
    );
    let bench = Bench::new(10);
    let given = bench.read_all("export.xml", document(&body)).await;
    assert!(given.error.is_none() && given.rejects.is_empty(), "{given:?}");
    let kinds: Vec<&str> = given.records.iter().map(short).collect();
    assert_eq!(kinds, ["StepCount", "Workout", "WorkoutRoute", "ActivitySummary"]);
    let elements = (1..=4).map(|n| (Skip::Unknown(format!("P{n}")), 1));
    let mut names: Vec<String> = (1..=11).map(|n| format!("n{n}")).collect();
    names.sort();
    let attributes = names.into_iter().map(|name| (Skip::UnknownAttribute(name), 1));
    assert_eq!(passed_over(&given), elements.chain(attributes).collect::<Vec<_>>());
}

/// Scenario: an attribute without quotes in each part of an element, before others. Guarantees: G1, the element is a reject: what
/// follows the attribute is not lost without a word.
#[tokio::test]
async fn a_malformed_attribute_in_a_part_is_a_reject() {
    let route = "<Location bad=1 date=\"2026-03-01 08:00:01 +0100\" latitude=\"1\" longitude=\"2\"/>";
    let bodies = [
        "<ActivitySummary dateComponents=\"2026-03-01\" bad=1 activeEnergyBurned=\"5\"/>".to_owned(),
        format!("<Workout {WALK} {TIMES}>{LAP} bad=1 duration=\"5\"/></Workout>"),
        format!("<Workout {WALK} {TIMES}>{HEART} unit=\"count/min\" bad=1 sum=\"5\"/></Workout>"),
        format!(
            "<Workout {WALK} {TIMES}><WorkoutActivity startDate=\"2026-03-01 08:00:00 +0100\" bad=1 duration=\"5\"/></Workout>"
        ),
        format!("<Workout {WALK} {TIMES}><WorkoutRoute {TIMES}>{route}</WorkoutRoute></Workout>"),
        format!(
            "<Record type=\"HKQuantityTypeIdentifierStepCount\" unit=\"count\" {TIMES} value=\"1\">\
             <HeartRateVariabilityMetadataList><InstantaneousBeatsPerMinute bad=1 bpm=\"60\"/></HeartRateVariabilityMetadataList>\
             </Record>"
        ),
    ];
    for body in bodies {
        let bench = Bench::new(10);
        let given = bench.read_all("export.xml", document(&format!(" {body}\n{}", steps("1")))).await;
        assert!(given.error.is_none() && given.records.len() == 1, "{body}: {given:?}");
        assert!(given.rejects[0].reason.contains("name=\"value\""), "{body}: {:?}", given.rejects);
    }
}

/// Scenario: a workout whose parts have events, one of which stands in the workout, too, and a statistic that says nothing.
/// Guarantees: G1 and G4, each event is there once; what the DTD does not require costs nothing else.
#[tokio::test]
async fn events_of_parts_are_those_of_the_workout() {
    let pause = LAP.replace("TypeLap", "TypePause");
    let body = format!(
        " <Workout {WALK} {TIMES}>{LAP}/>{HEART}/><WorkoutActivity startDate=\"2026-03-01 08:00:00 +0100\">{LAP}/>{pause}/>\
         </WorkoutActivity></Workout>\n"
    );
    let bench = Bench::new(10);
    let given = bench.read_all("export.xml", document(&body)).await;
    assert!(given.error.is_none() && given.rejects.is_empty(), "{given:?}");
    let Value::Workout(workout) = &given.records[0].value else { panic!("no workout") };
    let events: Vec<&str> = workout.events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!((&events[..], workout.statistics.len()), (&["lap", "pause"][..], 0));
    assert_eq!(passed_over(&given), []);
}

/// Scenario: a category of a newer system without a value, and an export that is nothing but its root. Guarantees: what is
/// unknown or empty is no fault.
#[tokio::test]
async fn what_is_unknown_or_empty_is_no_fault() {
    let bench = Bench::new(10);
    let body = format!(" <Record type=\"HKCategoryTypeIdentifierNewEvent\" {TIMES}/>\n");
    let given = bench.read_all("export.xml", document(&body)).await;
    assert!(given.error.is_none() && given.rejects.is_empty(), "{given:?}");
    assert_eq!(given.records[0].value, Value::Category(0));
    for root in ["<HealthData/>", "<HealthData locale=\"en_NL\"></HealthData>\n"] {
        let given = bench.read_all("root.xml", root).await;
        assert!(given.error.is_none() && given.records.is_empty(), "{root}: {given:?}");
    }
}
