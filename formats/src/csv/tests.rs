use afferent_core::{Batch, MetaValue, Record, Rejects};
use proptest::prelude::*;

use super::*;
use crate::{Decoder, DecoderOptions, Encoder, Location, testing};

fn decode_with(options: DecoderOptions, bytes: &[u8]) -> (Batch<Record>, Rejects) {
    let (mut batch, mut rejects) = (Batch::new(), Vec::new());
    CsvDecoder::new(options).decode(bytes, Location { name: "in.csv", line: 1 }, &mut batch, &mut rejects);
    (batch, rejects)
}

fn encode(records: &[Record]) -> String {
    let (mut encoder, mut out) = (CsvEncoder::default(), Vec::new());
    encoder.header(&mut out);
    for record in records {
        encoder.encode(record, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

/// Scenario: any records are written and read, in strict mode, with line ends of either kind. Guarantees: G4,
/// each comes back as it was.
#[test]
fn any_record_comes_back_as_it_was() {
    let strict = DecoderOptions { strict: true };
    proptest!(|(records in proptest::collection::vec(testing::records(), 0..4))| {
        let text = encode(&records);
        let (batch, rejects) = decode_with(strict, text.as_bytes());
        prop_assert_eq!(rejects, Vec::new());
        prop_assert_eq!(&*batch, &records);
        prop_assert_eq!(encode(&batch), text);
    });
}

/// Scenario: rows that begin with a byte order mark, as where files were put together, and one that is nothing else. Guarantees: G4:
/// the mark belongs to the cell; G11: what is no record is a reject.
#[test]
fn a_mark_in_the_middle_is_text() {
    let text =
        "subject,type,start,value,unit\n\u{feff}ada,StepCount,2025-01-31T08:00:00Z,10,count\n\u{feff}\n";
    let (batch, rejects) = decode_with(DecoderOptions::default(), text.as_bytes());
    assert_eq!(
        batch.iter().map(|record| record.subject.as_deref()).collect::<Vec<_>>(),
        [Some("\u{feff}ada")]
    );
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0].location, "in.csv:3");
}

/// Scenario: a file as a spreadsheet writes it: a byte order mark, CRLF, other columns in another order, blank
/// lines, a cell over two lines. Guarantees: G1, each row is read, or a reject with its own line.
#[test]
fn rows_are_read_one_by_one() {
    let text = concat!(
        "\u{feff}start,type,value,unit,mood,deleted\r\n",
        "2025-01-31T08:00:00Z,StepCount,10,count,\"two\nlines\",FALSE\r\n",
        "\r\n",
        "2025-01-31T08:00:00Z,StepCount,ten,count,,\r\n",
        "2025-01-31T08:00:00Z,StepCount,10\r\n",
        "2025-01-31T08:00:00Z,StepCount,1.5,count,,\r\n",
    );
    let (batch, rejects) = decode_with(DecoderOptions::default(), text.as_bytes());
    let values: Vec<_> = batch.iter().map(|record| record.value.as_f64().unwrap()).collect();
    assert_eq!(values, [10.0, 1.5]);
    let mood = batch[0].metadata.as_ref().unwrap().get("mood").cloned();
    assert_eq!(mood, Some(MetaValue::String("two\nlines".into())));
    let reasons: Vec<_> =
        rejects.iter().map(|reject| (reject.location.as_str(), reject.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            ("in.csv:5", "expected a number in `value`, found another text"),
            ("in.csv:6", "expected 6 cells, as in the header, found 3"),
        ]
    );
}

/// Scenario: headers that can't be used. Guarantees: G1, every row is a reject that says why.
#[test]
fn a_header_that_can_not_be_used_refuses_every_row() {
    let reasons = |strict: bool, header: &str| {
        let text = format!("{header}\n1,2,3\n4,5,6\n");
        let (batch, rejects) = decode_with(DecoderOptions { strict }, text.as_bytes());
        assert_eq!((batch.len(), rejects.len()), (0, 3));
        assert!(rejects[2].reason.ends_with(&rejects[0].reason));
        rejects[0].reason.clone()
    };
    assert_eq!(reasons(false, "id,type,value"), "expected a header with a column `start`, found none");
    assert_eq!(reasons(false, "type,start,type"), "the column `type` comes twice");
    assert_eq!(reasons(true, "type,start,mood"), "unknown column `mood`");
}

/// Scenario: a row with a value in both of its places, and one that says it is JSON and is not. Guarantees: G4,
/// neither is chosen in silence; G8, the reason has no value.
#[test]
fn a_row_has_one_value() {
    let text = concat!(
        "type,start,value,unit,value_json\n",
        "com.example.mood,2025-01-31T08:00:00Z,1,,\"{\"\"json\"\":1}\"\n",
        "com.example.mood,2025-01-31T08:00:00Z,,,secret\n",
    );
    let (_, rejects) = decode_with(DecoderOptions::default(), text.as_bytes());
    assert_eq!(rejects[0].reason, "expected a value in `value` or in `value_json`, found both");
    assert_eq!(rejects[1].reason, "in `value_json`: not valid JSON: expected value");
}

/// Scenario: any bytes after a header. Guarantees: no panic.
#[test]
fn any_bytes_are_survived() {
    proptest!(|(text in "[a1,\"\r\n]{0,40}", tail in proptest::collection::vec(any::<u8>(), 0..8))| {
        let mut bytes = format!("type,start\n{text}").into_bytes();
        bytes.extend(tail);
        let (batch, _) = decode_with(DecoderOptions::default(), &bytes);
        prop_assert!(batch.is_empty());
    });
}
