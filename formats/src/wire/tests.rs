use std::cell::Cell;

use afferent_core::{Batch, Change, MetaValue, Record, Reject, Rejects, Value, reject::Payload};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{Decoder, DecoderOptions, Encoder, Location, context::Context, testing};

const ID: &str = "6f9619ff-8b86-4d01-b42d-00c04fc964ff";

fn decode_with(options: DecoderOptions, bytes: &[u8]) -> (Batch<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Vec::new());
    WireDecoder::new(options).decode(
        bytes,
        Location { name: "in.ndjson", line: 1 },
        &mut batch,
        &mut rejects,
    );
    (batch, rejects)
}

fn decode(text: &str) -> (Batch<Record>, Rejects) {
    decode_with(DecoderOptions::default(), text.as_bytes())
}

fn encode(record: &Record) -> String {
    let mut out = Vec::new();
    WireEncoder.encode(record, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The only record of `text`.
fn one(text: &str) -> Record {
    let (mut batch, rejects) = decode(text);
    assert_eq!((batch.len(), rejects.as_slice()), (1, &[] as &[Reject]), "{text}");
    batch.remove(0)
}

/// Why `text` is refused.
fn refused(text: &str) -> String {
    let (batch, rejects) = decode(text);
    assert_eq!((batch.len(), rejects.len()), (0, 1), "{text}");
    rejects[0].reason.clone()
}

/// A heart rate with `rest` in the place of some of its fields.
fn heart_rate(rest: &str) -> String {
    format!("{{\"id\":\"{ID}\",\"type\":\"HeartRate\",\"start\":\"2025-01-31T08:00:00Z\",{rest}}}")
}

/// Scenario: any records are written and read, in strict mode. Guarantees: G4, each comes back as it was, and
/// is written the same way again.
#[test]
fn any_record_comes_back_as_it_was() {
    let strict = DecoderOptions { strict: true };
    proptest!(|(records in proptest::collection::vec(testing::records(), 1..4))| {
        let text: String = records.iter().map(encode).collect();
        let (batch, rejects) = decode_with(strict, text.as_bytes());
        prop_assert_eq!(rejects, Vec::new());
        let again: String = batch.iter().map(encode).collect();
        prop_assert_eq!(&*batch, &records);
        prop_assert_eq!(again, text);
    });
}

/// Scenario: records as they are written, with white space and their keys in another order, and with a character changed, in
/// either mode. Guarantees: G4, what is read in one pass is what serde_json reads.
#[test]
fn one_pass_reads_what_serde_json_reads() {
    let (read, all) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig::with_cases(3_000);
    proptest!(config, |(record in testing::records(), strict in any::<bool>(), at in any::<Index>(), with in "[\"{}\\[\\]:,0-9a-z.eE\\\\ -]?")| {
        let text = encode(&record);
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pretty = serde_json::to_string_pretty(&sorted).unwrap();
        let mut broken: Vec<char> = text.chars().collect();
        let place = at.index(broken.len());
        broken.splice(place..=place, with.chars());
        for text in [text, pretty, broken.into_iter().collect()] {
            let options = DecoderOptions { strict };
            all.set(all.get() + 1);
            if let Some(record) = quick::read(&text, &mut Context::new(options)) {
                read.set(read.get() + 1);
                let again = encode(&record);
                prop_assert_eq!(WireDecoder::new(options).decode_any(&text), Ok(record), "{}", text);
                prop_assert_eq!(encode(&WireDecoder::new(options).decode_any(&text).unwrap()), again);
            }
        }
    });
    // Half of these records are more than a number.
    assert!(read.get() * 5 > all.get(), "{read:?} of {all:?}");
}

/// Scenario: an end of no characters before the start. Guarantees: it is refused in both ways of reading, not taken for an instant.
#[test]
fn an_empty_end_is_no_end() {
    let text = r#"{"id":"00000000-0000-4000-8000-000000000001","type":"HeartRate","end":"","start":"2025-01-01T08:00:00Z","value":60,"unit":"count/min"}"#;
    assert!(quick::read(text, &mut Context::new(DecoderOptions::default())).is_none());
    assert!(WireDecoder::new(DecoderOptions::default()).decode_any(text).is_err());
}

/// Scenario: any number as a quantity. Guarantees: G4, the same bits come back (equality would not tell -0
/// from 0).
#[test]
fn numbers_keep_their_bits() {
    proptest!(|(number in testing::finite())| {
        let mut record = one(&heart_rate("\"value\":1,\"unit\":\"count/min\""));
        record.value = Value::Quantity(number, record.value.unit().unwrap());
        prop_assert_eq!(one(&encode(&record)).value.as_f64().unwrap().to_bits(), number.to_bits());
    });
}

/// Scenario: a record with every key, and a deletion. Guarantees: the keys are those of the contract, in its
/// order.
#[test]
fn the_form_is_the_one_of_the_contract() {
    let full = concat!(
        r#"{"id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff","type":"HKQuantityTypeIdentifierHeartRate","#,
        r#""start":"2025-01-31T08:00:00Z","end":"2025-01-31T08:00:05.250000Z","value":72.5,"unit":"count/min","#,
        r#""subject":"p1","zone":"Europe/Berlin","revision":2,"#,
        r#""source":{"name":"Watch","bundle":"com.apple.health","version":"11","product":"Watch6,7","os":"11.0"},"#,
        r#""device":{"name":"Apple Watch","manufacturer":"Apple Inc.","model":"Watch","hardware":"Watch6,7","firmware":"1","software":"11.0"},"#,
        r#""metadata":{"a":"text","b":1.5,"c":true,"d":{"date":"2025-01-31T08:00:00Z"},"e":{"value":4.0,"unit":"cm"},"a":"twice"}}"#,
        "\n"
    );
    assert_eq!(encode(&one(full)), full);
    let deletion =
        format!("{{\"id\":\"{ID}\",\"type\":\"HKQuantityTypeIdentifierHeartRate\",\"deleted\":true}}\n");
    assert_eq!(encode(&one(&deletion)), deletion);
    let bare = one(&format!(
        "{{\"deleted\":true,\"id\":\"{}\",\"subject\":\"p1\",\"revision\":1}}",
        ID.to_uppercase()
    ));
    assert_eq!((bare.change, bare.kind, bare.revision), (Change::Deleted, None, 1));
    assert_eq!(bare.id.to_string(), ID);
}

/// Scenario: lines that are no records, among good ones. Guarantees: G1, the good ones are read; each reject
/// has its line, its bytes and, where known, its id; G8, no reason repeats a value.
#[test]
fn bad_lines_are_rejects_of_their_own() {
    let good = heart_rate("\"value\":60,\"unit\":\"count/min\"");
    let mut text = format!("\u{feff}{good}\r\n\r\n").into_bytes();
    text.extend_from_slice(b"{\"id\":\"\xc3\"}\r\n");
    text.extend_from_slice(heart_rate("\"value\":\"secret\"").as_bytes());
    text.extend_from_slice(format!("\n{good}\n{good}").as_bytes());
    let (batch, rejects) = decode_with(DecoderOptions::default(), &text);
    assert_eq!(batch.len(), 3);
    assert_eq!(rejects[0].location, "in.ndjson:3");
    assert_eq!(rejects[0].payload, Payload::Raw(b"{\"id\":\"\xc3\"}".to_vec()));
    assert_eq!(rejects[0].reason, "expected UTF-8, found another byte at column 8");
    assert_eq!(rejects[1].location, "in.ndjson:4");
    assert_eq!(rejects[1].key.as_deref(), Some(ID));
    assert_eq!(rejects.len(), 2);
}

/// Scenario: each way in which a line can fail to be a record. Guarantees: a reason says what was expected and
/// what was found; G8, without the value.
#[test]
fn reasons_say_what_was_expected() {
    let value = |value: &str| heart_rate(&format!("\"value\":{value}"));
    for (text, reason) in [
        ("{", "not valid JSON: EOF while parsing an object, at column 1".to_owned()),
        ("[1]", "expected a record (an object), found sequence".to_owned()),
        ("7", "expected a record (an object), found integer, at column 1".to_owned()),
        ("{} {}", "not valid JSON: trailing characters, at column 4".to_owned()),
        ("{\"id\":5}", "expected a uuid in `id`, found a whole number, at column 8".to_owned()),
        ("{\"id\":\"x\"}", "expected a uuid in `id`, found another text, at column 10".to_owned()),
        ("{\"type\":\"Weight\"}", "in `type`: not a type of health data; expected a HealthKit identifier or a name like com.example.mood, at column 17".to_owned()),
        ("{\"start\":\"yesterday\"}", "expected a time such as \"2025-01-31T08:00:00Z\" in `start`, found another text, at column 21".to_owned()),
        ("{\"revision\":-1}", "expected a whole number from 0 to 4294967295 in `revision`, found a whole number, at column 15".to_owned()),
        ("{\"deleted\":true}", "expected the `id` of what was deleted, found none".to_owned()),
        ("{\"value\":1,\"unit\":\"count\",\"type\":\"HeartRate\"}", "expected a time in `start`, found none".to_owned()),
        (&heart_rate("\"value\":1,\"unit\":\"count\",\"end\":\"2025-01-31T07:59:59Z\""), "expected an `end` that is not before `start`".to_owned()),
        (&heart_rate("\"zone\":null"), "expected a `value`, found none".to_owned()),
        (&heart_rate("\"start\":\"2025-01-31T08:00:00Z\""), "`start` comes twice, at column 102".to_owned()),
        (&value("1"), "expected a `unit`, because values of this type are quantities, found none".to_owned()),
        (&value("\"72 secret, expected 5\""), "expected a number or an object with one key in `value`, found string, at column 126".to_owned()),
        (&value("{\"secret\":1}"), "expected one of `workout`, `correlation`, `electrocardiogram`, `heartbeat_series`, `route`, `activity_summary`, `clinical`, `notification`, `aggregate`, `json` in `value`, found another key, at column 112".to_owned()),
        (&value("{}"), "expected one key in `value`, found none, at column 105".to_owned()),
        (&value("{\"json\":1,\"more\":2}"), "expected one key in `value`, found more, at column 119".to_owned()),
        (&value("{\"workout\":{\"activity\":72.5}}"), "expected u32, found floating point, at column 130".to_owned()),
        (&value("{\"workout\":{}}"), "missing field `activity`, at column 116".to_owned()),
        (&value("{\"json\":1},\"unit\":\"m\""), "expected a `unit` only beside a number or an aggregate".to_owned()),
        (&value("1e400"), "not valid JSON: number out of range, at column 108".to_owned()),
        (&value("1,\"metadata\":7"), "in `metadata`: expected an object, found integer, at column 118".to_owned()),
        (&value("1,\"source\":{\"name\":[1]}"), "expected a text in `source.name`, found an array, at column 127".to_owned()),
    ] {
        assert_eq!(refused(text), reason, "{text}");
    }
}

/// Scenario: records of types that are no quantities, whose numbers have no unit. Guarantees: G4, whole
/// numbers are categories, and no number is rounded to become one.
#[test]
fn a_number_without_a_unit_is_a_category() {
    let record = |value: &str| {
        format!("{{\"type\":\"SleepAnalysis\",\"start\":\"2025-01-31T08:00:00Z\",\"value\":{value}}}")
    };
    assert_eq!(one(&record("5")).value, Value::Category(5));
    assert_eq!(one(&record("5.0")).value, Value::Category(5));
    assert_eq!(one(&record("-9223372036854775808")).value, Value::Category(i64::MIN));
    for bad in ["5.5", "9223372036854775808", "1e300"] {
        assert_eq!(refused(&record(bad)), "expected a whole number in `value`, or a `unit` beside it");
    }
}

/// Scenario: fields that no record has, of every JSON type. Guarantees: G1, without strict mode they are kept
/// in metadata; in strict mode the record is refused.
#[test]
fn unknown_fields_are_kept_or_refused() {
    let text = heart_rate(concat!(
        r#""value":1,"unit":"m","metadata":{"m":{"deep":[1]}},"a":"x","b":2,"c":false,"d":[1, 2],"#,
        r#""e":{"date":"2025-01-31T08:00:00Z"},"f":null,"g":9007199254740993,"#,
        r#""source":{"name":"Watch","color":"red"},"device":{"serial":7}"#
    ));
    let record = one(&text);
    let text_of = |text: &str| MetaValue::String(text.into());
    let expected = [
        ("m", text_of("{\"deep\":[1]}")),
        ("a", text_of("x")),
        ("b", MetaValue::Number(2.0)),
        ("c", MetaValue::Bool(false)),
        ("d", text_of("[1, 2]")),
        ("e", MetaValue::Date(record.start)),
        ("g", text_of("9007199254740993")),
        ("source.color", text_of("red")),
        ("device.serial", MetaValue::Number(7.0)),
    ];
    let found: Vec<_> = record.metadata.as_ref().unwrap().iter().cloned().collect();
    assert_eq!(found, expected.map(|(key, value)| (key.into(), value)));
    let (batch, rejects) = decode_with(DecoderOptions { strict: true }, text.as_bytes());
    assert_eq!((batch.len(), rejects.len()), (0, 1));
    assert!(rejects[0].reason.starts_with("expected a text, number"), "{}", rejects[0].reason);
    let strict = |rest: &str| {
        let text = heart_rate(&format!("\"value\":1,\"unit\":\"m\",{rest}"));
        decode_with(DecoderOptions { strict: true }, text.as_bytes()).1.remove(0).reason
    };
    assert_eq!(strict("\"extra\":1"), "unknown key `extra`, at column 123");
    assert_eq!(strict("\"72 kg\":1"), "unknown key `…`, at column 123");
    assert_eq!(strict("\"source\":{\"color\":\"red\"}"), "unknown key `source.color`, at column 141");
}

/// Scenario: records without ids, twice; one without `end`; one in local time. Guarantees: G2, the same facts
/// get the same ids; G4, the offset becomes the zone.
#[test]
fn what_is_left_out_is_filled_in() {
    let text =
        "{\"type\":\"StepCount\",\"start\":\"2025-01-31T08:00:00+01:00\",\"value\":10,\"unit\":\"count\"}";
    let record = one(text);
    assert_eq!(record.id, crate::identity::derive_id(&record));
    assert_eq!(one(text).id, record.id);
    assert_eq!(record.end, record.start);
    assert_eq!(record.start.to_string(), "2025-01-31T07:00:00Z");
    assert_eq!(record.zone.as_deref(), Some("+01:00"));
}

/// Scenario: records of two sources in turn, of eight such pairs: two sources may have one place in the cache. Guarantees: G7, equal
/// sources and equal metadata are one allocation each.
#[test]
fn what_repeats_is_shared() {
    let record = |source: &str| {
        heart_rate(&format!(r#""value":1,"unit":"m","source":{{"name":"{source}"}},"metadata":{{"k":1}}"#))
    };
    let mut shared = 0;
    for pair in 0..8 {
        let (a, b) = (record(&format!("A{pair}")), record(&format!("B{pair}")));
        let (batch, _) = decode(&format!("{a}\n{b}\n{a}\n"));
        let origin = |index: usize| batch[index].origin.as_ref().unwrap();
        shared += usize::from(std::sync::Arc::ptr_eq(origin(0), origin(2)));
        assert!(!std::sync::Arc::ptr_eq(origin(0), origin(1)));
        let metadata = |index: usize| batch[index].metadata.as_ref().unwrap();
        assert!(std::sync::Arc::ptr_eq(metadata(0), metadata(1)));
    }
    assert!(shared >= 4, "{shared} of 8");
}

/// Scenario: arrays and correlations that lie in one another very deep. Guarantees: G7, they are refused, and
/// no stack overflows.
#[test]
fn depth_is_bounded() {
    for depth in [200, 100_000] {
        let array = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for text in [
            heart_rate(&format!("\"value\":{{\"json\":{array}}}")),
            heart_rate(&format!("\"value\":1,\"unit\":\"m\",\"unknown\":{array}")),
            heart_rate(&format!("\"value\":1,\"unit\":\"m\",\"metadata\":{{\"a\":{array}}}")),
            array.clone(),
        ] {
            refused(&text);
        }
    }
    let (mut inner, mut accepted) = (heart_rate("\"value\":1,\"unit\":\"m\""), 0);
    while decode(&inner).1.is_empty() {
        encode(&one(&inner));
        inner = heart_rate(&format!("\"value\":{{\"correlation\":[{inner}]}}"));
        accepted += 1;
    }
    assert_eq!(accepted, MAX_CORRELATION_DEPTH + 1);
}

/// Scenario: records that the wire form can't carry. Guarantees: G4, they are refused with a reason, and
/// nothing is left in the output.
#[test]
fn what_can_not_be_written_is_refused() {
    let unit = afferent_core::Unit::parse("m").unwrap();
    let base = one(&heart_rate("\"value\":1,\"unit\":\"m\""));
    type Change = fn(&mut Record, afferent_core::Unit);
    let cases: [(Change, &str); 6] = [
        (
            |r, unit| r.value = Value::Quantity(f64::NAN, unit),
            "a number is not finite, and JSON has no such number",
        ),
        (|r, _| r.value = Value::None, "an addition has no value"),
        (|r, _| r.kind = None, "an addition has no type"),
        (|r, _| r.value = Value::Category(1), "a quantity has no unit"),
        (|r, _| r.value = Value::Json("{".into()), "a document is not valid JSON"),
        (
            |r, _| {
                r.value =
                    Value::HeartbeatSeries(std::sync::Arc::new(afferent_core::record::HeartbeatSeries {
                        beats: vec![afferent_core::record::Heartbeat { time: f64::INFINITY, gap: false }],
                    }));
            },
            "a number is not finite, and JSON has no such number",
        ),
    ];
    for (change, reason) in cases {
        let (mut record, mut out) = (base.clone(), b"before".to_vec());
        change(&mut record, unit);
        assert_eq!(WireEncoder.encode(&record, &mut out), Err(reason.to_owned()));
        assert_eq!(out, b"before");
    }
}

/// Scenario: a JSON document over several lines is a value. Guarantees: one record stays one line.
#[test]
fn a_record_is_one_line() {
    let mut record = one(&heart_rate("\"value\":1,\"unit\":\"m\""));
    record.value = Value::Json("{\n \"a\": 1\r\n}".into());
    assert_eq!(encode(&record).matches('\n').count(), 1);
    assert_eq!(one(&encode(&record)).value, Value::Json("{  \"a\": 1  }".into()));
}

/// Scenario: any bytes. Guarantees: G1, each line is a record, a reject or blank; no panic.
#[test]
fn any_bytes_are_survived() {
    let pieces = prop_oneof![
        Just("{\"id\":".to_owned()),
        Just("\"value\":".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        Just("[".to_owned()),
        Just("\"".to_owned()),
        Just(",".to_owned()),
        "[ -~]{0,5}",
    ];
    proptest!(|(pieces in proptest::collection::vec(pieces, 0..20), tail in proptest::collection::vec(any::<u8>(), 0..8))| {
        let mut bytes = pieces.concat().into_bytes();
        bytes.extend(tail);
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        let (batch, rejects) = decode_with(DecoderOptions::default(), &bytes);
        prop_assert_eq!(batch.len() + rejects.len(), lines);
    });
}
