use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::unit::tests::run_alone;

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

#[test]
fn the_catalogue_is_whole() {
    assert_eq!(Kind::all().count(), 218);
    let count = |class| Kind::all().filter(|kind| kind.class() == Some(class)).count();
    assert_eq!(count(KindClass::Quantity), 120);
    assert_eq!(count(KindClass::Category), 69);
    assert_eq!(count(KindClass::HeartbeatSeries), 1);
    assert_eq!(count(KindClass::Route), 1);
    for kind in Kind::all() {
        let info = kind.info().unwrap();
        assert_eq!(info.unit.is_some(), kind.is_quantity(), "{kind}");
        assert_eq!(info.aggregation.is_some(), kind.is_quantity(), "{kind}");
        assert!(info.value_enum.is_some() || !kind.is_category(), "{kind}");
        assert!(info.min_ios.parse::<f64>().is_ok(), "{kind}");
        if let Some(of_identifier) = KindClass::of_identifier(info.identifier) {
            assert_eq!(of_identifier, info.class, "{kind}");
        }
    }
}

// Scenario: the table of plausible values. Guarantees: each row is of a quantity, in a unit of it, with a source, and what it
// says is a range.
#[test]
fn plausible_values_are_of_their_kinds() {
    let mut rows = 0;
    for line in include_str!("../../data/plausible.tsv").lines().filter(|line| !line.starts_with('#')).skip(1)
    {
        let identifier = line.split('\t').next().unwrap();
        rows += 1;
        if identifier == "cumulative" {
            continue;
        }
        let info = Kind::all().find(|kind| kind.name() == identifier).unwrap().info().unwrap();
        let plausible = info.plausible.unwrap_or_else(|| panic!("{identifier} is no quantity"));
        assert!(line.ends_with(plausible.source), "{identifier}: a second row");
    }
    assert!(rows > 40);
    for kind in Kind::all() {
        let info = kind.info().unwrap();
        let Some(plausible) = info.plausible else {
            assert_ne!(info.aggregation, Some(Aggregation::Cumulative), "{kind}");
            continue;
        };
        assert_eq!(plausible.unit.fits(kind), Some(true), "{kind}");
        assert!(plausible.source.len() > 20, "{kind}");
        assert!(plausible.min.is_some() || plausible.max.is_some(), "{kind}");
        assert!(plausible.min.is_none_or(|min| plausible.max.is_none_or(|max| min < max)), "{kind}");
    }
    let steps = kind("StepCount").info().unwrap().plausible.unwrap();
    assert_eq!((steps.min, steps.max, steps.unit.as_str()), (Some(0.0), None, "count"));
}

// Guarantees: a name means one kind, whether full or short.
#[test]
fn full_and_short_names_are_unique_and_read_back() {
    let mut names = HashSet::new();
    for kind in Kind::all() {
        for name in [kind.name(), kind.short()] {
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(Kind::parse(name), Ok(kind));
            assert_eq!(Kind::from_data(name), Ok(kind));
        }
    }
    for line in include_str!("../../data/aliases.tsv").lines().filter(|line| !line.starts_with('#')).skip(1) {
        let alias = line.split('\t').next().unwrap();
        assert!(!names.contains(alias), "{alias} is in the catalogue too");
    }
}

#[test]
fn short_names_of_irregular_identifiers() {
    for (identifier, short) in [
        ("HKQuantityTypeIdentifierHeartRate", "HeartRate"),
        ("HKWorkoutTypeIdentifier", "Workout"),
        ("HKActivitySummaryTypeIdentifier", "ActivitySummary"),
        ("HKWorkoutRouteTypeIdentifier", "WorkoutRoute"),
        ("HKVisionPrescriptionTypeIdentifier", "VisionPrescription"),
        ("HKMedicationDoseEventTypeIdentifierMedicationDoseEvent", "MedicationDoseEvent"),
        ("HKDataTypeIdentifierElectrocardiogram", "Electrocardiogram"),
        ("HKDocumentTypeIdentifierCDA", "CDA"),
        ("HKCharacteristicTypeIdentifierBloodType", "BloodType"),
        ("HKScoredAssessmentTypeIdentifierPHQ9", "PHQ9"),
    ] {
        assert_eq!(kind(identifier).short(), short);
    }
}

#[test]
fn info_of_a_kind() {
    let info = kind("HeartRate").info().unwrap();
    assert_eq!(info.identifier, "HKQuantityTypeIdentifierHeartRate");
    assert_eq!(info.unit.unwrap().as_str(), "count/s");
    assert_eq!(info.aggregation, Some(Aggregation::DiscreteTemporallyWeighted));
    assert_eq!((info.min_ios, info.writeable), ("8.0", true));
    assert_eq!(kind("SleepAnalysis").info().unwrap().value_enum, Some("HKCategoryValueSleepAnalysis"));
    assert!(kind("BloodPressure").is_correlation());
    assert!(kind("Workout").is_workout());
}

// Scenario: one type under the name of its constant and under its string. Guarantees: one kind.
#[test]
fn aliases_are_the_real_kind() {
    let real = kind("HKCategoryTypeIdentifierAudioExposureEvent");
    for name in [
        "HKCategoryTypeIdentifierEnvironmentalAudioExposureEvent",
        "EnvironmentalAudioExposureEvent",
        "AudioExposureEvent",
    ] {
        assert_eq!(Kind::parse(name), Ok(real));
        assert_eq!(Kind::from_data(name), Ok(real));
    }
    let goal = Kind::from_data("HKDataTypeSleepDurationGoal").unwrap();
    assert_eq!(goal.name(), "HKDataTypeIdentifierSleepDurationGoal");
    assert_eq!(Kind::parse("HKDataTypeSleepDurationGoal"), Ok(goal));
}

#[test]
fn configuration_refuses_what_data_may_bring() {
    let name = "HKQuantityTypeIdentifierOfTheFuture";
    assert_eq!(Kind::parse(name).unwrap_err().reason, KindError::NotAKind);
    let unknown = Kind::from_data(name).unwrap();
    assert_eq!((unknown.name(), unknown.short()), (name, name));
    assert!(unknown.info().is_none() && unknown.is_quantity() && !unknown.is_category());
    assert!(!Kind::all().any(|kind| kind == unknown));

    let own = kind("com.example.mood");
    assert_eq!(Kind::from_data("com.example.mood"), Ok(own));
    assert_eq!((own.name(), own.class()), ("com.example.mood", None));
}

#[test]
fn names_that_are_none_by_either_rule() {
    for name in [
        "",
        "HK",
        "Mood",
        "heart rate",
        "steps ",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b.c",
        "HKNew Type",
        "HK\u{b}",
        "a.\n",
    ] {
        assert_eq!(Kind::from_data(name), Err(KindError::NotAKind), "{name:?}");
        assert_eq!(Kind::parse(name).unwrap_err().reason, KindError::NotAKind, "{name:?}");
    }
    let long = format!("HK{}", "é".repeat(MAX_KIND_BYTES));
    assert_eq!(Kind::from_data(&long), Err(KindError::TooLong));
    let error = Kind::parse(&long).unwrap_err();
    assert_eq!(error.reason, KindError::TooLong);
    assert!(error.name.len() <= MAX_KIND_BYTES);
}

#[test]
fn suggests_the_nearest_name() {
    for (written, suggestion) in [
        ("HeartRtae", Some("HeartRate")),
        ("heart_rate", Some("HeartRate")),
        ("heartrate", Some("HeartRate")),
        ("StepCounts", Some("StepCount")),
        ("OxygenSaturaton", Some("OxygenSaturation")),
        ("HKQuantityTypeIdentiferStepCount", Some("HKQuantityTypeIdentifierStepCount")),
        ("HKCategoryTypeIdentifierHeartRate", None),
        ("HKQuantityTypeIdentifierZzzzzzz", None),
        ("Mood", Some("Food")),
        ("GlucoseInTears", None),
        ("", None),
        ("___", None),
    ] {
        assert_eq!(Kind::parse(written).unwrap_err().suggestion, suggestion, "{written}");
    }
    let message = Kind::parse("HeartRtae").unwrap_err().to_string();
    assert_eq!(message, r#"unknown type "HeartRtae"; did you mean "HeartRate"?"#);
    let message = Kind::parse("GlucoseInTears").unwrap_err().to_string();
    assert!(
        message.starts_with(r#"unknown type "GlucoseInTears": not a type of health data; expected"#),
        "{message}"
    );
}

#[test]
fn text_and_serialised_form_are_the_identifier() {
    let heart_rate = kind("HeartRate");
    assert_eq!(format!("{heart_rate} {heart_rate:?}"), [heart_rate.name(); 2].join(" "));
    let bytes = rmp_serde::to_vec(&heart_rate).unwrap();
    assert_eq!(bytes, rmp_serde::to_vec("HKQuantityTypeIdentifierHeartRate").unwrap());
    assert_eq!(rmp_serde::from_slice::<Kind>(&bytes).unwrap(), heart_rate);
    assert!(rmp_serde::from_slice::<Kind>(&rmp_serde::to_vec("Mood").unwrap()).is_err());
    assert_eq!(size_of::<Option<Kind>>(), 4);
}

#[test]
fn errors_do_not_repeat_data() {
    let text = Kind::from_data("secret").unwrap_err().to_string();
    assert!(!text.contains("secret"), "{text}");
}

// Scenario: a feed with a new type in every record. Guarantees: G7, and configuration still has its places.
// In a process of its own, because the table it fills is the process's.
#[test]
fn the_table_of_kinds_is_bounded() {
    run_alone("kind::tests::fills_the_table_of_kinds");
}

#[test]
#[ignore = "fills the process's table; the_table_of_kinds_is_bounded runs it"]
fn fills_the_table_of_kinds() {
    let first = Kind::from_data("HKNew0").unwrap();
    let accepted =
        (0..2 * MAX_UNKNOWN_KINDS).filter(|n| Kind::from_data(&format!("HKNew{n}")).is_ok()).count();
    assert_eq!(accepted, MAX_UNKNOWN_KINDS);
    assert_eq!(Kind::from_data("HKOneMore"), Err(KindError::TooMany));
    assert_eq!(Kind::from_data("HKNew0"), Ok(first));
    assert_eq!(first.name(), "HKNew0");
    assert!(Kind::from_data("HeartRate").is_ok());

    let configured =
        (0..2 * CONFIGURED_KINDS).filter(|n| Kind::parse(&format!("com.example.n{n}")).is_ok()).count();
    assert_eq!(configured, CONFIGURED_KINDS);
    assert_eq!(Kind::parse("com.example.more").unwrap_err().reason, KindError::TooMany);
    // Data may carry what configuration has named.
    assert!(Kind::from_data("com.example.n0").is_ok());
}

#[test]
fn values_of_enumerations() {
    use category::{constant_of, name_of, value_of, value_of_name};

    let sleep = "HKCategoryValueSleepAnalysis";
    assert_eq!(value_of("HKCategoryValueSleepAnalysisAsleep"), Some(1));
    assert_eq!(value_of("HKCategoryValueSleepAnalysisAsleepUnspecified"), Some(1));
    assert_eq!(constant_of(sleep, 1), Some("HKCategoryValueSleepAnalysisAsleepUnspecified"));
    assert_eq!((name_of(sleep, 1), value_of_name(sleep, "asleep")), (Some("asleepUnspecified"), Some(1)));
    assert_eq!(value_of("HKCategoryValueNotApplicable"), Some(0));
    assert_eq!(
        constant_of("HKCategoryValueOvulationTestResult", 2),
        Some("HKCategoryValueOvulationTestResultLuteinizingHormoneSurge")
    );
    assert_eq!(value_of("HKCategoryValueOvulationTestResultPositive"), Some(2));
    assert_eq!((constant_of(sleep, 99), constant_of("None", 1), value_of("None")), (None, None, None));
    for kind in Kind::all().filter(|kind| kind.is_category()) {
        let values = kind.info().unwrap().value_enum.unwrap();
        assert!((0..10).any(|raw| constant_of(values, raw).is_some()), "{kind}: {values}");
    }
}

#[test]
fn activities_of_workouts() {
    use workout::{activity_of_constant, activity_of_short, constant_of_activity, short_of_activity};

    assert_eq!(activity_of_constant("HKWorkoutActivityTypeRunning"), Some(37));
    assert_eq!(constant_of_activity(37), Some("HKWorkoutActivityTypeRunning"));
    assert_eq!((short_of_activity(37), activity_of_short("running")), (Some("running"), Some(37)));
    assert_eq!(constant_of_activity(3000), Some("HKWorkoutActivityTypeOther"));
    assert_eq!(activity_of_constant("HKCategoryValueSleepAnalysisAsleep"), None);
    assert_eq!((constant_of_activity(81), activity_of_short("Running")), (None, None));
    let activities: Vec<u32> =
        (0..=3000).filter(|&activity| constant_of_activity(activity).is_some()).collect();
    assert_eq!(activities.len(), 84);
    for activity in activities {
        let constant = constant_of_activity(activity).unwrap();
        let short = short_of_activity(activity).unwrap();
        assert_eq!(activity_of_constant(constant), Some(activity));
        assert_eq!(activity_of_short(short), Some(activity));
        assert!(constant.strip_prefix("HKWorkoutActivityType").unwrap().eq_ignore_ascii_case(short));
    }
}

proptest! {
    // Names without a dot and not beginning with HK, which are refused before they reach the process's table.
    #[test]
    fn any_other_name_is_refused_without_panic(name in "[^.H]\\PC{0,40}") {
        prop_assume!(!name.contains('.') && Kind::from_catalogue(&name).is_none());
        prop_assert_eq!(Kind::from_data(&name), Err(KindError::NotAKind));
        prop_assert!(Kind::parse(&name).is_err());
    }
}
