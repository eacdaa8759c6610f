use std::collections::BTreeMap;

use afferent_core::{
    RecordId, StateRows,
    config::Configure,
    kind::Plausible,
    reject::Payload,
    testing::{results_contract, transform_contract},
};

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity, records};

fn config(text: &str) -> Config {
    toml::from_str(text).expect("a configuration")
}

fn validate(text: &str) -> Validate {
    Validate::new(&config(text)).expect("a configuration")
}

fn in_unit(record: Record, unit: &str) -> Record {
    let value = record.value.as_f64().unwrap();
    Record { value: Value::Quantity(value, Unit::parse(unit).unwrap()), ..record }
}

fn heart_rate(id: u128, value: f64) -> Record {
    in_unit(quantity(id, "HeartRate", value, 0), "count/min")
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_micros_clamped(second * 1_000_000)
}

/// What the metadata says under `key`.
fn told(record: &Record, key: &str) -> Option<MetaValue> {
    record.metadata.as_ref().and_then(|metadata| metadata.get(key)).cloned()
}

fn text(text: &str) -> Option<MetaValue> {
    Some(MetaValue::String(text.into()))
}

/// What comes out, and why what is rejected is.
fn run(stage: &mut Validate, input: &[Record]) -> (Vec<Record>, Vec<String>) {
    let mut out = Emit::new();
    stage.apply(&mut Batch::from(input.to_vec()), &mut out).unwrap();
    let reasons = out.take_rejects().into_iter().map(|(_, reject)| reject.reason).collect();
    (std::mem::take(&mut out.batch).into_vec(), reasons)
}

/// The number of a record, and what is told of it.
fn short(record: &Record) -> (f64, Option<MetaValue>, Option<MetaValue>) {
    (record.value.as_f64().unwrap(), told(record, INVALID), told(record, CORRECTED))
}

/// Scenario: values at, within and beyond the bounds of the catalogue, in the unit of the table and in others, of types without a
/// range, and deletions. Guarantees: G4; bounds are in, a tag is all that changes, and what is plausible is untouched.
#[test]
fn implausible_values_are_tagged() {
    let plausible = [
        heart_rate(1, 1.0),
        heart_rate(2, 300.0),
        in_unit(quantity(3, "HeartRate", 5.0, 0), "count/s"),
        in_unit(quantity(4, "BodyTemperature", 116.6, 0), "degF"),
        quantity(5, "OxygenSaturation", 1.0, 0),
        quantity(6, "StepCount", 0.0, 0),
        quantity(7, "WaterTemperature", -300.0, 0),
        deletion(8, Some("HeartRate")),
        deletion(9, None),
    ];
    let output = transform_contract(|| validate(""), &plausible, 0..5);
    assert_eq!(output, plausible);
    let implausible = [
        heart_rate(1, 0.5),
        heart_rate(2, 300.5),
        in_unit(quantity(3, "HeartRate", 5.01, 0), "count/s"),
        in_unit(quantity(4, "BodyTemperature", 116.7, 0), "degF"),
        quantity(5, "OxygenSaturation", 100.5, 0),
        quantity(6, "StepCount", -1.0, 0),
    ];
    let output = transform_contract(|| validate(""), &implausible, 0..5);
    for (mut record, before) in output.into_iter().zip(implausible) {
        assert_eq!(told(&record, INVALID), text("range"), "{before:?}");
        record.metadata = None;
        assert_eq!(record, before);
    }
    transform_contract(|| validate("range = \"reject\""), &records(500, 6), 0..10);
}

/// Scenario: each action for a value that is too high, and ranges of the file in place of the catalogue's, with an action of
/// their own. Guarantees: G4; a correction says what it did and what was there, in the unit that the value has.
#[test]
fn the_file_says_what_becomes_of_values() {
    let high = [heart_rate(1, 400.0)];
    let (output, reasons) = run(&mut validate("range = \"pass\""), &high);
    assert_eq!((output.as_slice(), reasons.len()), (&high[..], 0));
    let (output, reasons) = run(&mut validate("range = \"reject\""), &high);
    assert_eq!(output, []);
    assert_eq!(
        reasons,
        [
            "`value` of HeartRate: expected one from 1 to 300 count/min, found a higher one; mend the source, or give the type another range in `ranges`"
        ]
    );
    let correct = "range = \"correct\"\nranges = { BodyMass = { min = 2, max = 300, unit = \"kg\" } }";
    let input = [
        heart_rate(1, 400.0),
        in_unit(quantity(2, "HeartRate", 0.001, 0), "count/s"),
        in_unit(quantity(3, "BodyMass", 700.0, 0), "lb"),
        quantity(4, "BodyMass", 1.0, 0),
    ];
    let output = transform_contract(|| validate(correct), &input, 0..5);
    let expected = [300.0, 1.0 / 60.0, 300.0 / 0.453_592_37, 2.0];
    for ((record, before), expected) in output.iter().zip(&input).zip(expected) {
        let (value, invalid, corrected) = short(record);
        assert!((value - expected).abs() < 1e-9, "{value} {expected}");
        assert_eq!((invalid, corrected), (None, text("range")));
        let Value::Quantity(was, unit) = before.value else { panic!("a quantity") };
        assert_eq!(told(record, ORIGINAL), Some(MetaValue::Quantity(was, unit)));
        assert_eq!(record.value.unit(), Some(unit));
    }
    // What was corrected is plausible for whoever looks again.
    assert_eq!(transform_contract(|| validate(correct), &output, 0..3), output);

    let own = "[ranges]\nHeartRate = { max = 250, unit = \"count/min\", action = \"reject\" }\n\
               \"com.example.mood\" = { min = 1, max = 5, unit = \"count\" }\nStepCount = { action = \"pass\" }";
    let mood = in_unit(quantity(3, "com.example.mood", 6.0, 0), "count");
    let input = [heart_rate(1, 0.0), heart_rate(2, 251.0), mood, quantity(4, "StepCount", -1.0, 0)];
    let (output, reasons) = run(&mut validate(own), &input);
    let ids: Vec<_> = output.iter().map(|record| (record.id.as_u128(), told(record, INVALID))).collect();
    assert_eq!(ids, [(1, None), (3, text("range")), (4, None)]);
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("of at most 250 count/min"), "{reasons:?}");
}

/// Scenario: percentages where fractions belong, with each action; and one that is out of the range of the file after it was
/// divided. Guarantees: G4; one fault is told once, and what comes out of a correction is looked at again.
#[test]
fn percentages_become_fractions() {
    let input = [quantity(1, "OxygenSaturation", 97.0, 0), quantity(2, "OxygenSaturation", 0.97, 0)];
    let shorts = |text: &str| {
        let output = transform_contract(|| validate(text), &input, 0..3);
        output.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(shorts(""), [(97.0, text("percent"), None), (0.97, None, None)]);
    assert_eq!(shorts("percent = \"correct\""), [(0.97, None, text("percent")), (0.97, None, None)]);
    assert_eq!(shorts("percent = \"pass\""), [(97.0, text("range"), None), (0.97, None, None)]);
    let strict =
        "percent = \"correct\"\nranges = { OxygenSaturation = { min = 0.98, max = 1, unit = \"%\" } }";
    assert_eq!(shorts(strict), [(0.97, text("range"), text("percent")), (0.97, text("range"), None)]);
    let (_, reasons) = run(&mut validate("percent = \"reject\""), &input);
    assert_eq!(
        reasons,
        [
            "`value` of OxygenSaturation: expected a fraction from 0 to 1, found a percentage; divide it with `percent = \"correct\"`"
        ]
    );
}

/// Scenario: units of something else, and a text that is no unit. Guarantees: G8; a unit that nobody knows is not repeated.
#[test]
fn units_of_something_else_are_found() {
    let input = [
        in_unit(quantity(1, "HeartRate", 70.0, 0), "kg"),
        in_unit(quantity(2, "HeartRate", 70.0, 0), "seventy"),
        in_unit(quantity(3, "WaterTemperature", 20.0, 0), "kg"),
    ];
    let (output, _) = run(&mut validate(""), &input);
    assert!(output.iter().all(|record| told(record, INVALID) == text("unit")));
    let (output, reasons) = run(&mut validate("unit = \"reject\""), &input);
    assert_eq!(output, []);
    assert_eq!(
        reasons,
        [
            "`unit` of HeartRate: expected one that converts into count/min, found kg; mend the source",
            "`unit` of HeartRate: expected one that converts into count/min, found a unit nobody knows; mend the source",
            "`unit` of WaterTemperature: expected one that converts into degC, found kg; mend the source",
        ]
    );
}

/// Scenario: records that end before they start, that are from before a day and from before a birth. Guarantees: G4; an exchange
/// is told, a day begins where it begins first on Earth, and only the subject of a birth is held to it.
#[test]
fn times_out_of_order_or_too_early_are_found() {
    let mut turned = quantity(1, "StepCount", 1.0, 100);
    turned.end = second(40);
    let output = transform_contract(|| validate("order = \"correct\""), std::slice::from_ref(&turned), 0..3);
    assert_eq!((output[0].start, output[0].end), (second(40), second(100)));
    assert_eq!((told(&output[0], CORRECTED), told(&output[0], INVALID)), (text("order"), None));
    let (_, reasons) = run(&mut validate("order = \"reject\""), &[turned]);
    assert!(reasons[0].starts_with("`end`: expected a time that is not before `start`"), "{reasons:?}");

    let past = "not_before = \"2000-01-01\"\nborn = { ada = \"2010-05-05T00:00:00Z\" }\npast = \"reject\"";
    let at = |id, text: &str, subject: Option<&str>| {
        let time = Timestamp::parse_rfc3339(text).unwrap().0;
        let mut record = quantity(id, "StepCount", 1.0, 0);
        (record.start, record.end, record.subject) = (time, time, subject.map(Into::into));
        record
    };
    let input = [
        at(1, "1999-12-31T09:59:59Z", None),
        at(2, "1999-12-31T10:00:00Z", None),
        at(3, "2010-05-04T23:59:59Z", Some("ada")),
        at(4, "2010-05-05T00:00:00Z", Some("ada")),
        at(5, "2010-05-04T23:59:59Z", Some("bob")),
    ];
    let (output, reasons) = run(&mut validate(past), &input);
    assert_eq!(output.iter().map(|record| record.id.as_u128()).collect::<Vec<_>>(), [2, 4, 5]);
    assert_eq!(reasons.len(), 2);
    // The day of a birth is a health value, too.
    assert!(
        reasons.iter().all(|reason| reason.starts_with("`start`") && !reason.contains("2010")),
        "{reasons:?}"
    );
}

/// Scenario: records ahead of a clock that was never set, of one that moves, and of one that jumps back. Guarantees: G5; before
/// the time is known nothing is in the future, and a clock that is wrong makes the rule lenient, never strict.
#[test]
fn the_future_is_what_the_engine_said() {
    let now = EARLIEST_NOW.as_micros() / 1_000_000 + 1_000_000;
    let mut stage = validate("future = \"reject\"\ntolerance = \"1h\"");
    let is_future = |stage: &mut Validate, at: i64| {
        let (_, reasons) = run(stage, &[quantity(1, "StepCount", 1.0, at)]);
        assert!(
            reasons
                .iter()
                .all(|reason| reason.starts_with("`start`: expected a time that is not in the future"))
        );
        !reasons.is_empty()
    };
    let tick = |stage: &mut Validate, at: i64| stage.tick(second(at), &mut Emit::new()).unwrap();
    assert!(!is_future(&mut stage, now + 86_400));
    tick(&mut stage, 0);
    assert!(!is_future(&mut stage, now + 86_400), "1970 is no time of day");
    tick(&mut stage, now);
    assert!(is_future(&mut stage, now + 3601));
    assert!(!is_future(&mut stage, now + 3600));
    tick(&mut stage, now - 800_000);
    assert!(!is_future(&mut stage, now + 3600), "it never goes back");
    tick(&mut stage, now + 86_400);
    assert!(!is_future(&mut stage, now + 86_400 + 3600));
}

/// Scenario: a feed with times before and after now, and a clock that moves on at some of its records; it dies after each record and
/// goes on from its last checkpoint. Guarantees: G1, G2, G5; everything comes out as if it had not died.
#[test]
fn a_death_anywhere_changes_nothing() {
    let make = || validate("future = \"reject\"\ntolerance = \"30s\"\nrange = \"correct\"");
    let now = EARLIEST_NOW.as_micros() / 1_000_000;
    let input: Vec<Record> = (0..60)
        .map(|index: i64| heart_rate(index as u128, (index * 10) as f64))
        .zip(0..)
        .map(|(record, index)| {
            let at = second(now + index + if index % 3 == 0 { 60 } else { 0 });
            Record { start: at, end: at, ..record }
        })
        .collect();
    let step = |stage: &mut Validate, at: usize, out: &mut Emit<Record>| {
        // An epoch opens and closes at every seventh record.
        if at.is_multiple_of(7) {
            stage.tick(second(now + at as i64), out).unwrap();
        }
        stage.apply(&mut Batch::from(vec![input[at].clone()]), out).unwrap();
    };
    let (mut whole, mut expected) = (make(), Emit::new());
    (0..input.len()).for_each(|at| step(&mut whole, at, &mut expected));
    assert!(expected.counts().dead > 10);
    for death in 0..input.len() {
        let mut rows = BTreeMap::new();
        let (mut stage, mut out) = (make(), Emit::new());
        for at in 0..death {
            step(&mut stage, at, &mut out);
            if let Snapshot::Delta(changes) = stage.snapshot().unwrap() {
                for (key, value) in changes.iter() {
                    rows.insert(key.to_vec(), value.expect("time is never forgotten").to_vec());
                }
            }
        }
        let mut stage = make();
        let state: StateRows = Box::new(rows.into_iter().map(Ok));
        stage.restore(state).unwrap();
        (death..input.len()).for_each(|at| step(&mut stage, at, &mut out));
        assert_eq!(out.batch[..], expected.batch[..], "it died after {death}");
        assert_eq!(out.counts(), expected.counts(), "it died after {death}");
    }
    results_contract(make, &input, 0..20);
}

/// Scenario: records without fields that are required, and with empty ones. Guarantees: G8; the reason names the field.
#[test]
fn required_fields_are_asked_for() {
    let require = "require = [\"subject\", \"source.bundle\", \"device\", \"metadata.HKTimeZone\"]";
    let bare = quantity(1, "StepCount", 1.0, 0);
    let mut empty = quantity(2, "StepCount", 1.0, 0);
    empty.subject = Some("".into());
    let mut full = quantity(3, "StepCount", 1.0, 0);
    full.subject = Some("ada".into());
    full.origin = Some(Arc::new(afferent_core::Origin {
        bundle: Some("com.example".into()),
        device: Some(Default::default()),
        ..Default::default()
    }));
    full.metadata_mut().push("HKTimeZone", MetaValue::String("Europe/Berlin".into()));
    let input = [bare, empty, full.clone()];
    let output = transform_contract(|| validate(require), &input, 0..3);
    assert_eq!(told(&output[0], INVALID), text("missing"));
    assert_eq!(told(&output[1], INVALID), text("missing"));
    assert_eq!(output[2], full);
    let (_, reasons) = run(&mut validate(&format!("{require}\nmissing = \"reject\"")), &input);
    assert_eq!(reasons.len(), 2);
    assert!(reasons[0].starts_with("`subject`: expected one, found none"), "{reasons:?}");
}

/// Scenario: a blood pressure of which one value is implausible, and rejected ones of all sorts. Guarantees: G1, G3; the sample and the
/// whole are tagged, what is rejected is kept as it came, and names no value.
#[test]
fn samples_in_correlations_are_looked_at() {
    let pressure = |id, systolic| {
        let samples = vec![
            quantity(id + 1, "BloodPressureSystolic", systolic, 0),
            quantity(id + 2, "HeartRate", 1.0, 0),
        ];
        let kind = Kind::parse("BloodPressure").unwrap();
        let value = Value::Correlation(Arc::new(Correlation { samples }));
        Record::added(RecordId::from_u128(id), kind, second(0), second(0), value)
    };
    let (good, bad) = (pressure(10, 120.0), pressure(20, 1200.0));
    let output = transform_contract(|| validate(""), &[good.clone(), bad.clone()], 0..3);
    assert_eq!(output[0], good);
    assert_eq!(told(&output[1], INVALID), text("range"));
    let Value::Correlation(correlation) = &output[1].value else { panic!("a correlation") };
    let of_samples: Vec<_> = correlation.samples.iter().map(|sample| told(sample, INVALID)).collect();
    assert_eq!(of_samples, [text("range"), None]);

    let (output, _) = run(&mut validate("range = \"correct\""), std::slice::from_ref(&bad));
    let Value::Correlation(correlation) = &output[0].value else { panic!("a correlation") };
    assert_eq!(correlation.samples[0].value.as_f64(), Some(500.0));
    assert!(told(&correlation.samples[0], ORIGINAL).is_some());
    assert_eq!((told(&output[0], CORRECTED), told(&output[0], ORIGINAL)), (text("range"), None));

    // The order is mended first, and the value rejects it all the same: it is kept as it came.
    let turned = Record { start: second(9), ..bad };
    let mut out = Emit::new();
    let mut stage = validate("range = \"reject\"\norder = \"correct\"");
    stage.apply(&mut Batch::from(vec![turned.clone()]), &mut out).unwrap();
    let rejects = out.take_rejects();
    assert_eq!(rejects[0].1.payload, Payload::Record(rmp_serde::to_vec(&turned).unwrap()));
    assert!(!rejects[0].1.reason.contains("1200"), "{}", rejects[0].1.reason);
}

/// Scenario: two of them in a row. Guarantees: what the first told stays told.
#[test]
fn what_was_told_stays_told() {
    let mut record = heart_rate(1, 400.0);
    record.end = second(-1);
    let (once, _) = run(&mut validate("range = \"pass\""), &[record]);
    assert_eq!(told(&once[0], INVALID), text("order"));
    let (twice, _) = run(&mut validate(""), &once);
    assert_eq!(told(&twice[0], INVALID), text("order,range"));
    let (again, _) = run(&mut validate(""), &twice);
    assert_eq!(again, twice);
}

/// Scenario: what makes no sense. Guarantees: each is a problem at its place, found without a record.
#[test]
fn problems_are_found_together() {
    let wrong = config(
        "future = \"correct\"\nunit = \"correct\"\nnot_before = \"yesterday\"\nborn = { ada = \"1985-13-01\" }\n\
         tolerance = \"1000d\"\nrequire = [\"subjekt\", \"type\", \"metadata.\", \"device.model\"]\n[ranges]\n\
         HartRate = { max = 1, unit = \"count/s\" }\nSleepAnalysis = { max = 1, unit = \"s\" }\nBodyMass = { max = 1 }\n\
         Height = { min = 2, max = 1, unit = \"kg\" }\nStepCount = {}\nBodyFatPercentage = { min = nan, unit = \"%\" }\n\
         HKQuantityTypeIdentifierHeartRate = { max = 9, unit = \"count/s\" }\nHeartRate = { max = 9, unit = \"count/s\" }",
    );
    let paths = [
        "future",
        "unit",
        "tolerance",
        "not_before",
        "born.ada",
        "require.0",
        "require.1",
        "require.2",
        "ranges.BodyFatPercentage.min",
        "ranges.BodyMass.unit",
        "ranges.HartRate",
        "ranges.HeartRate",
        "ranges.Height.max",
        "ranges.Height.unit",
        "ranges.SleepAnalysis",
        "ranges.StepCount",
    ];
    let mut found: Vec<String> = key_paths(&wrong.check());
    let mut expected: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let problems = wrong.check();
    let of = |path: &str| problems.iter().find(|problem| problem.key_path.join(".") == path).unwrap();
    assert_eq!(of("require.0").help.as_deref(), Some("did you mean `subject`?"));
    assert_eq!(
        of("ranges.BodyMass.unit").help.as_deref(),
        Some("write `unit = \"kg\"`, or another that converts into it")
    );
    assert_eq!(config("").check(), []);
}

/// The catalogue's ranges as the page shows them.
fn table() -> String {
    let bound = |bound: Option<f64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
    let row = |what: &str, Plausible { min, max, unit, source, .. }: &Plausible, unit_of_all: bool| {
        let unit = if unit_of_all { "" } else { unit.as_str() };
        format!("| {what} | {} | {} | {unit} | {source} |\n", bound(*min), bound(*max))
    };
    // Types of which the same is said are one row.
    let mut rows: Vec<(Plausible, Vec<String>)> = Vec::new();
    for kind in Kind::all() {
        let Some(range) = kind.info().and_then(|info| info.plausible) else { continue };
        let same = |row: &&mut (Plausible, Vec<String>)| {
            let unit = row.0.unit == range.unit || range.max.is_none();
            unit && (row.0.min, row.0.max, row.0.source) == (range.min, range.max, range.source)
        };
        match rows.iter_mut().find(same) {
            Some((_, kinds)) => kinds.push(format!("`{}`", kind.short())),
            None => rows.push((range, vec![format!("`{}`", kind.short())])),
        }
    }
    let mut table = "| type | lowest | highest | unit | source |\n|---|---|---|---|---|\n".to_owned();
    for (range, kinds) in rows {
        let all_cumulative = kinds.len() > 40;
        let what = if all_cumulative { "every other cumulative type".to_owned() } else { kinds.join(", ") };
        table.push_str(&row(&what, &range, range.max.is_none()));
    }
    table
}

/// Scenario: the page in `docs/`. Guarantees: it shows what is plausible, and where it comes from.
#[test]
#[allow(clippy::disallowed_methods, reason = "writes the page when asked to")]
fn the_page_shows_what_is_plausible() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/transforms/validate.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let (before, rest) = page.split_once("| type | lowest |").expect("the table");
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    let expected = format!("{before}{}\n{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).expect("the page can be written");
    } else {
        assert!(
            page == expected,
            "docs/reference/transforms/validate.md is stale; run this test with UPDATE_DOCS=1"
        );
    }
}
