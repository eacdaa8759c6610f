//! FHIR compared with what others wrote: HL7's JSON schema, a server, and a library for UCUM.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use afferent::{
    afferent_core::{Kind, Unit},
    formats::terms,
};
use afferent_tests::Place;
use serde_json::{Value as Json, json};

use super::{
    BINARY,
    mock::{WITHOUT_FORM, drawn_up, kinds, mocked},
    node::Node,
};

/// Scenario: some weeks of a mock store's samples of every type that has a form, and of every type of quantity in several units
/// and every value of every category. Guarantees: HL7's schema accepts every Observation, and each type is among them.
#[test]
fn observations_are_what_the_schema_says() {
    let Some(node) = Node::find() else { return };
    let place = Place::new(BINARY);
    let kinds = kinds(WITHOUT_FORM);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut parts: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    for file in [mocked(&place, &kinds, "fhir"), drawn_up(&place, "fhir")] {
        assert_eq!(node.run("fhir_schema.mjs", &file), "", "{}", file.display());
        for line in std::fs::read_to_string(&file).expect("it was written").lines() {
            let observation: Json = serde_json::from_str(line).expect("JSON");
            let codes = observation["code"]["coding"].as_array().expect("codes");
            seen.extend(codes.iter().map(|code| code["code"].as_str().expect("a code").to_owned()));
            parts.extend(observation.as_object().expect("an object").keys().cloned());
            count += 1;
        }
    }
    let missing: Vec<&str> =
        kinds.iter().map(|kind| kind.name()).filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "the mock store has samples of all but {missing:?}");
    let expected = ["valueQuantity", "valueCodeableConcept", "valueInteger", "valueString", "component"];
    assert!(expected.iter().all(|part| parts.contains(*part)), "{parts:?}");
    assert!(count > 5_000, "{count} Observations");
}

/// Scenario: Observations with one mistake each. Guarantees: the schema refuses every one, so that what it accepts says
/// something.
#[test]
fn planted_mistakes_are_refused() {
    let Some(node) = Node::find() else { return };
    let place = Place::new(BINARY);
    let file = mocked(&place, &[Kind::parse("HeartRate").expect("a type")], "fhir");
    let text = std::fs::read_to_string(&file).expect("it was written");
    let good: Json = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let mistakes: [(&str, Json); 8] = [
        ("/status", json!("finalish")),
        ("/valueQuantity/value", json!("71")),
        ("/effectiveDateTime", json!("2026-03-01 07:14:22 -0800")),
        ("/code/coding", json!("8867-4")),
        ("/identifier", json!({ "value": "an object, not a list" })),
        ("/device", json!({ "display": "no-break\u{a0}space" })),
        ("/foo", json!(1)),
        ("/valueInteger", json!("1")),
    ];
    let mut lines = format!("{good}\n");
    for (path, value) in &mistakes {
        let mut bad = good.clone();
        let (parent, key) = path.rsplit_once('/').expect("a path");
        bad.pointer_mut(parent).expect("it is there")[key] = value.clone();
        writeln!(lines, "{bad}").expect("a text takes all");
    }
    let refused = node.run("fhir_schema.mjs", &place.write("planted.ndjson", lines));
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), mistakes.len(), "{refused}");
    for (index, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("{} ", index + 1)), "{refused}");
    }
}

/// Scenario: additions, corrections and deletions of a few people, to a FHIR server over HTTP, as transactions and as batches; then
/// every Bundle again, twenty times each. Guarantees: G2 and G3: the server holds each record once, as its last correction
/// says, and none that was deleted, before as after.
#[test]
fn a_server_holds_each_record_once() {
    let Some(node) = Node::find() else { return };
    for bundle in ["transaction", "batch"] {
        let place = Place::new(BINARY);
        let given = given();
        let lines: String = given.iter().map(|record| format!("{record}\n")).collect();
        place.write("in.ndjson", lines);
        let server = node.server();
        place.write(
            "clinic.toml",
            format!(
                "name = \"clinic\"\n[[source]]\ntype = \"file\"\npath = \"in.ndjson\"\n\
                 [[sink]]\ntype = \"fhir\"\nurl = \"{}\"\nbundle = \"{bundle}\"\nbatch = {{ records = 4 }}\n",
                server.url()
            ),
        );
        place.run(&["run", "clinic.toml", "--until-idle", "--timeout", "120s"]).exits(0);
        let expected = expected(&given);
        let once = held(&server.get("/held"));
        assert_eq!(once, expected, "{bundle}, once");
        let bodies: u64 = server.get("/resend?times=20").parse().expect("how many Bundles");
        assert!(bodies > 5, "{bodies} Bundles");
        assert_eq!(held(&server.get("/held")), expected, "{bundle}, twenty times more");
    }
}

/// Records of three people; the server's search is slow, so there are few. Of two there is a correction, two are deleted, one of
/// them without whose it is.
fn given() -> Vec<Json> {
    let record = |number: usize, value: f64| {
        let subject = ["ada", "bo", "cy"][number % 3];
        json!({
            "id": format!("00000000-0000-4000-8000-{number:012}"),
            "type": "HKQuantityTypeIdentifierHeartRate", "start": "2025-01-01T00:00:00Z",
            "value": value, "unit": "count/min", "subject": subject,
        })
    };
    let mut records: Vec<Json> = (0..12).map(|number| record(number, 60.0 + number as f64)).collect();
    for (number, revision) in [(2, 1), (5, 1), (2, 2)] {
        let mut corrected = record(number, 90.0 + f64::from(revision));
        corrected["revision"] = json!(revision);
        records.push(corrected);
    }
    let deletion = |number: usize| json!({ "id": records[number]["id"], "type": records[number]["type"], "deleted": true });
    let mut whose = deletion(7);
    whose["subject"] = records[7]["subject"].clone();
    let nobodys = deletion(8);
    records.extend([whose, nobodys]);
    records
}

/// By id, the status and the value that a record has in the end.
fn expected(records: &[Json]) -> BTreeMap<String, (String, f64)> {
    let mut expected = BTreeMap::new();
    for record in records {
        let id = record["id"].as_str().expect("an id").to_owned();
        if record["deleted"] == true {
            expected.remove(&id);
            continue;
        }
        let status = if record["revision"].as_u64().unwrap_or(0) > 0 { "amended" } else { "final" };
        expected.insert(id, (status.to_owned(), record["value"].as_f64().expect("a value")));
    }
    expected
}

/// By identifier, status and value of each Observation.
fn held(text: &str) -> BTreeMap<String, (String, f64)> {
    let observations: Vec<Json> = serde_json::from_str(text).expect("a list");
    let mut held = BTreeMap::new();
    for observation in observations {
        let text = |value: &Json| value.as_str().expect("a text").to_owned();
        let value = observation["valueQuantity"]["value"].as_f64().expect("a value");
        let one = (text(&observation["status"]), value);
        let before = held.insert(text(&observation["identifier"][0]["value"]), one);
        assert!(before.is_none(), "it holds one twice");
    }
    held
}

/// Units as HealthKit, exports and dialects write them.
const UNITS: &[&str] = &[
    "%",
    "IU",
    "L",
    "L/min",
    "S",
    "W",
    "cm",
    "count",
    "count/min",
    "count/s",
    "dBASPL",
    "dBHL",
    "degC",
    "degF",
    "g",
    "kcal",
    "kcal/(kg*hr)",
    "kcal/hr·kg",
    "kg",
    "m",
    "m/s",
    "mL",
    "mg/dL",
    "min",
    "ml/(kg*min)",
    "mL/min·kg",
    "mmHg",
    "ms",
    "Cal",
    "D",
    "pD",
    "Hz",
    "J",
    "K",
    "Pa",
    "V",
    "atm",
    "cal",
    "cmAq",
    "cup_us",
    "d",
    "fl_oz_imp",
    "fl_oz_us",
    "ft",
    "ft/s",
    "hPa",
    "hr",
    "in",
    "inHg",
    "kJ",
    "kPa",
    "km",
    "km/hr",
    "lb",
    "lx",
    "mS",
    "mV",
    "mcS",
    "mcV",
    "mcg",
    "mg",
    "mg/L",
    "mi",
    "mi/hr",
    "mm",
    "mmol<180.1558800000541>/L",
    "oz",
    "pt_imp",
    "pt_us",
    "rad",
    "deg",
    "s",
    "st",
    "yd",
    "appleEffortScore",
    "kg.m^-1",
];

/// Where UCUM's definition of a unit is not ours, or its library adds an offset and so rounds twice: UCUM has mercury at
/// 133.322 kPa/m where ISO 80000-4 has 133.322387415, and angles by fewer digits of π.
const OTHERWISE: &[&str] = &["mmHg", "inHg", "degC", "degF", "deg"];

/// Scenario: the code of each unit, of each type in the catalogue's unit, and conversions between all units that measure the same.
/// Guarantees: G4: a library for UCUM knows every code, and converts as we do, but for what it rounds on its way.
#[test]
fn codes_are_those_of_ucum() {
    let Some(node) = Node::find() else { return };
    let place = Place::new(BINARY);
    let unit = |text: &str| Unit::parse(text).expect("a unit");
    let of_types = Kind::all().filter_map(|kind| {
        let unit = kind.info().expect("it is in the catalogue").unit?;
        Some(terms::ucum(Some(kind), unit).expect("a code").code)
    });
    let usual = terms::all().filter_map(|term| term.ucum).map(str::to_owned);
    let of_units =
        UNITS.iter().map(|text| terms::ucum(None, unit(text)).unwrap_or_else(|| panic!("{text}")).code);
    let codes: BTreeSet<String> = of_types.chain(usual).chain(of_units).collect();
    let mut lines: String = codes.iter().map(|code| format!("{code} - - -\n")).collect();
    let mut ours = Vec::new();
    for (from, to) in UNITS.iter().flat_map(|from| UNITS.iter().map(move |to| (*from, *to))) {
        let Some(conversion) = unit(from).conversion(unit(to)).filter(|_| from != to) else { continue };
        let code = |text| terms::ucum(None, unit(text)).expect("a code").code;
        for value in [1.0, 36.6, 1234.5] {
            writeln!(lines, "{0} {0} {1} {value}", code(from), code(to)).expect("a text takes all");
            ours.push((from, to, value, conversion.apply(value)));
        }
    }
    let said = node.run("ucum.mjs", &place.write("units.txt", lines));
    let (validity, conversions): (Vec<&str>, Vec<&str>) = {
        let mut lines = said.lines();
        (lines.by_ref().take(codes.len()).collect(), lines.collect())
    };
    for (code, line) in codes.iter().zip(validity) {
        assert!(line.starts_with("valid "), "{code}: {line}");
    }
    assert_eq!(conversions.len(), ours.len());
    let mut compared = 0;
    for ((from, to, value, ours), line) in ours.iter().zip(conversions) {
        let theirs = line.strip_prefix("valid ").expect("a valid code");
        // It does not convert between all that we do (moles of a known molar mass).
        let Ok(theirs) = theirs.parse::<f64>() else { continue };
        compared += 1;
        let apart = ((ours - theirs) / ours).abs();
        let is_otherwise = OTHERWISE.contains(from) || OTHERWISE.contains(to);
        // Ours is the double nearest to the exact result (core/src/unit/tests/exact.rs); theirs is not: it multiplies and divides by
        // factors that were rounded, which takes it a few units in the last place away.
        let bound = if is_otherwise { 1e-5 } else { 8.0 * f64::EPSILON };
        assert!(apart <= bound, "{value} {from} is {ours} {to} here and {theirs} there");
    }
    assert!(compared > 300, "{compared} conversions");
}
