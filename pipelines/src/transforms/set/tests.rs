use std::sync::Arc;

use afferent_core::{Origin, reject::Payload, testing::transform_contract};

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity, records};

fn set<const N: usize>(to: [(&str, &str); N]) -> Set {
    Set::new(Config { to: to.into() }).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn one<const N: usize>(to: [(&str, &str); N], record: Record) -> Record {
    let output = transform_contract(|| set(to), &[record], 0..1);
    output.into_iter().next().expect("the record is not rejected")
}

/// Scenario: each field that can be written, from literals, other fields and itself. Guarantees: what is asked for
/// is written, nothing else changes.
#[test]
fn writes_fields() {
    let record = quantity(1, "HeartRate", 60.0, 100);
    let mut expected = record.clone();
    expected.subject = Some("user-1".into());
    expected.zone = Some("Europe/Berlin".into());
    expected.value = Value::Quantity(1.0, Unit::parse("count/min").unwrap());
    expected.start = Timestamp::from_micros_clamped(99_000_000);
    expected.end = Timestamp::from_micros_clamped(160_000_000);
    let device = afferent_core::record::Device { model: Some("Watch".into()), ..Default::default() };
    expected.origin =
        Some(Arc::new(Origin { name: Some("app".into()), device: Some(device), ..Origin::default() }));
    expected.metadata_mut().push("checked", MetaValue::Bool(true));
    expected.metadata_mut().push("com.example.old", MetaValue::Number(60.0));
    expected.metadata_mut().push("count", MetaValue::Number(3.0));
    expected.metadata_mut().push("seen", MetaValue::Date(record.start));
    expected.metadata_mut().push("what", MetaValue::String("HKQuantityTypeIdentifierHeartRate".into()));
    let to = [
        ("subject", "'user-' + '1'"),
        ("zone", "'Europe/Berlin'"),
        ("value", "value / 60"),
        ("unit", "'count/min'"),
        ("start", "start - duration('1s')"),
        ("end", "end + duration('1m')"),
        ("source.name", "'app'"),
        ("device.model", "'Watch'"),
        ("metadata.checked", "value > 30"),
        ("metadata.com.example.old", "value"),
        ("metadata.count", "1 + 2"),
        ("metadata.seen", "start"),
        ("metadata.what", "type"),
    ];
    assert_eq!(one(to, record), expected);
}

/// Scenario: two fields change places, and values of several kinds are written. Guarantees: all expressions see the
/// record as it came; what has no number keeps its value; an absent result changes nothing.
#[test]
fn expressions_see_the_record_as_it_came() {
    let mut record = quantity(1, "HeartRate", 60.0, 0);
    record.subject = Some("a".into());
    record.metadata_mut().push("note", MetaValue::String("b".into()));
    record.metadata_mut().push("note", MetaValue::String("again".into()));
    let swapped = one([("subject", "metadata.note"), ("metadata.note", "subject")], record.clone());
    assert_eq!(swapped.subject.as_deref(), Some("b"));
    assert_eq!(swapped.metadata.as_deref().map(|m| m.iter().count()), Some(1));
    let absent = [
        ("subject", "zone"),
        ("value", "metadata.x"),
        ("metadata.note", "metadata.x"),
        ("source.name", "zone"),
    ];
    assert_eq!(one(absent, record.clone()), record);
    let wrong_type = [("value", "metadata.note"), ("start", "metadata.note")];
    assert_eq!(one(wrong_type, record.clone()), record);
    record.value = Value::Category(1);
    assert_eq!(one([("value", "value + 2"), ("unit", "'kg'")], record.clone()).value, Value::Category(3));
    record.value = Value::Json("{}".into());
    assert_eq!(one([("value", "1.0"), ("unit", "'kg'")], record.clone()).value, record.value);
    let quantity = MetaValue::Quantity(1.5, Unit::parse("kg").unwrap());
    record.metadata_mut().push("weight", quantity.clone());
    let copied = one([("metadata.copy", "metadata.weight")], record);
    assert_eq!(copied.metadata.as_deref().and_then(|m| m.get("copy")), Some(&quantity));
}

/// Scenario: deletions with and without the fields that expressions name. Guarantees: only their subject is written.
#[test]
fn only_the_subject_of_deletions_is_written() {
    let to =
        [("subject", "'user-' + subject"), ("zone", "'UTC'"), ("metadata.a", "true"), ("source.name", "'x'")];
    let bare = deletion(1, None);
    assert_eq!(one(to, bare.clone()), bare);
    let known = Record { subject: Some("1".into()), ..bare };
    assert_eq!(one(to, known.clone()), Record { subject: Some("user-1".into()), ..known });
}

/// Scenario: results that can't be stored. Guarantees: G1 and G8, the record is rejected as it came, with a reason
/// that names no value; the others go on.
#[test]
fn what_cannot_be_stored_is_rejected() {
    let check = |to: [(&str, &str); 2], mut bad: Record, expected: &str| {
        bad.metadata_mut().push("zero", MetaValue::Number(0.0));
        let mut good = bad.clone();
        good.value = Value::Quantity(8.0, Unit::parse("count").unwrap());
        good.metadata = None;
        let mut out = Emit::new();
        set(to).apply(&mut vec![bad.clone(), good].into(), &mut out).unwrap();
        assert_eq!((out.batch.len(), out.counts().dead), (1, 1), "{to:?}");
        let (_, reject) = out.take_rejects().remove(0);
        assert_eq!(reject.reason, expected);
        assert_eq!(reject.payload, Payload::Record(rmp_serde::to_vec(&bad).unwrap()));
    };
    let record = quantity(1, "HeartRate", 60.0, 0);
    let first = ("subject", "'changed'");
    check(
        [first, ("value", "value / metadata.zero")],
        record.clone(),
        "set: the new value is not a finite number",
    );
    check(
        [first, ("metadata.x", "metadata.zero / metadata.zero")],
        record.clone(),
        "set: the new metadata value is not a finite number",
    );
    check(
        [first, ("start", "has(metadata.zero) ? end + duration('1us') : start")],
        record.clone(),
        "set: the record would start after its end",
    );
    check(
        [first, ("unit", "has(metadata.zero) ? '' : 'kg'")],
        record.clone(),
        "set: the new unit is empty, too long, or one of too many",
    );
    let category = Record { value: Value::Category(1), ..record };
    check(
        [first, ("value", "value / (has(metadata.zero) ? 2.0 : 1.0)")],
        category,
        "set: the new value of a category is not a whole number",
    );
}

/// Scenario: many records of few origins. Guarantees: G7, records of one origin share the changed one too; batches and
/// restarts change nothing.
#[test]
fn origins_stay_shared() {
    let origins: Vec<Arc<Origin>> = ["phone", "watch"]
        .map(|name| Arc::new(Origin { name: Some(name.into()), ..Origin::default() }))
        .into();
    let mut input = records(200, 7);
    for (index, record) in input.iter_mut().enumerate() {
        record.origin = Some(origins[index % 2].clone());
    }
    let to = [("source.bundle", "source.name + '.app'"), ("source.version", "subject")];
    let output = transform_contract(|| set(to), &input, 0..5);
    let mut shared: Vec<*const Origin> = output
        .iter()
        .filter(|record| !record.is_deletion())
        .filter_map(|record| record.origin.as_ref().map(Arc::as_ptr))
        .collect();
    shared.sort_unstable();
    shared.dedup();
    assert_eq!(shared.len(), 6, "two origins, three subjects");
    let many: Vec<Record> = (0..100)
        .map(|id| Record {
            subject: Some(format!("{}", id % 40).as_str().into()),
            ..quantity(id, "HeartRate", 1.0, 0)
        })
        .collect();
    for (record, input) in transform_contract(|| set(to), &many, 0..5).iter().zip(&many) {
        let origin = record.origin.as_deref().unwrap();
        assert_eq!((&origin.version, &origin.name), (&input.subject, &None));
    }
}

/// Scenario: a file's `to` with dotted and quoted keys. Guarantees: both name the field.
#[test]
fn keys_are_dotted_or_quoted() {
    let read = |text: &str| toml::from_str::<Config>(text);
    let config = read("to = { subject = \"'a'\", source.name = \"'b'\", \"device.name\" = \"'c'\", metadata.\"d.e\" = \"1\" }").unwrap();
    let fields: Vec<String> = config.to.iter().map(Assignment::field).collect();
    assert_eq!(fields, ["device.name", "metadata.d.e", "source.name", "subject"]);
    assert_eq!(config.check(), []);
    assert!(read("to = { value = 3 }").unwrap_err().to_string().contains("an expression in quotes"));
    assert!(read("to = { source.name.x = 'y' }").is_err());
}

/// Scenario: fields that are none, that can't be written, or twice; expressions that are wrong. Guarantees: each is a
/// problem at its place, all at once.
#[test]
fn problems_are_found_together() {
    let text = "[to]\nid = \"'a'\"\nsubejct = \"'a'\"\nvalue = \"subject\"\nsource.nam = \"'a'\"\nsource.name = \"vlaue\"\nmetadata.a = \"end - start\"\nunit = \"'bpm'\"\n\"source.os\" = \"'a'\"\nsource.os = \"'a'\"\n";
    let problems = toml::from_str::<Config>(text).unwrap().check();
    let paths = [
        "to.id",
        "to.metadata.a",
        "to.source.nam",
        "to.source.name",
        "to.source.os",
        "to.subejct",
        "to.unit",
        "to.value",
    ];
    let mut found = key_paths(&problems);
    found.sort();
    assert_eq!(found, paths);
    let of = |path: &str| problems.iter().find(|problem| problem.key_path.join(".") == path).unwrap();
    assert_eq!(of("to.id").message, "`id` is part of who a record is, and can't be written");
    assert_eq!(of("to.subejct").help.as_deref(), Some("did you mean `subject`?"));
    assert_eq!(of("to.source.name").span, Some(0..5));
    assert_eq!(of("to.source.name").key_path, ["to", "source", "name"]);
    assert_eq!(of("to.value").message, "`subject` is a string, expected a double");
    assert_eq!(of("to.source.os").message, "`source.os` is written twice");
    assert_eq!(key_paths(&Config { to: Assignments::default() }.check()), ["to"]);
    let whole = Config { to: [("metadata", "'a'")].into() }.check();
    assert_eq!(whole[0].message, "`metadata` as a whole can't be written");
}
