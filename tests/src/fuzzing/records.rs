//! Records as text: the wire form and CSV.

use afferent::formats::{DecoderOptions, Format, Location};
use afferent_core::{Batch, Record, Rejects};

use super::{hash, shape};

/// Any bytes as NDJSON; what is read in one pass is what the JSON library reads of the same.
pub(super) fn wire(bytes: &[u8]) -> u64 {
    for strict in [true, false] {
        let (records, rejects) = decode(Format::Json, bytes, strict);
        let (others, others_rejects) = decode(Format::Json, &escaped(bytes), strict);
        assert!(*records == *others, "a record depends on how its first key is written");
        assert_eq!(rejects.len(), others_rejects.len(), "a reject depends on how its first key is written");
    }
    hash([true, false].map(|strict| check(Format::Json, bytes, strict)))
}

/// The same with an escape in the first key of each line, which is more than the one pass reads.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line {
            [b'{', b'"', first, rest @ ..] if first.is_ascii_alphabetic() => {
                out.extend_from_slice(format!("{{\"\\u{first:04x}").as_bytes());
                out.extend_from_slice(rest);
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

/// Any bytes as CSV.
pub(super) fn csv(bytes: &[u8]) -> u64 {
    hash([true, false].map(|strict| check(Format::Csv, bytes, strict)))
}

/// What is no record is a reject with a place and a reason; what is one survives being written and read again.
fn check(format: Format, bytes: &[u8], strict: bool) -> Vec<String> {
    let (records, rejects) = decode(format, bytes, strict);
    let mut behaved: Vec<String> = Vec::new();
    for reject in &rejects {
        assert!(!reject.reason.is_empty(), "a reject says why");
        assert!(reject.location.starts_with("input:"), "a reject has a place: {:?}", reject.location);
        behaved.push(shape(&reject.reason));
    }
    for record in records.iter() {
        behaved.push(survives(format, record));
    }
    behaved.sort_unstable();
    behaved.dedup();
    behaved
}

fn decode(format: Format, bytes: &[u8], strict: bool) -> (Batch<Record>, Rejects) {
    let (mut records, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "input", line: 1 };
    let mut decoder = format.decoder(DecoderOptions { strict }).expect("a form that is read");
    decoder.decode(bytes, at, &mut records, &mut rejects);
    decoder.finish(at, &mut records, &mut rejects);
    (records, rejects)
}

/// Writes a record and reads it again; what kind of record it is.
pub(super) fn survives(format: Format, record: &Record) -> String {
    let encode = |record: &Record| {
        let mut encoder = format.encoder().expect("a form that is written");
        let mut text = Vec::new();
        encoder.header(&mut text);
        encoder.encode(record, &mut text).map(|()| text)
    };
    // What lies in itself too deeply has no form of its own; a sink rejects it.
    let Ok(first) = encode(record) else { return "without a form".to_owned() };
    let (again, rejects) = decode(format, &first, true);
    assert!(rejects.is_empty(), "what was written is read: {}", rejects[0].reason);
    assert_eq!(again.len(), 1, "one record was written");
    assert_eq!(again[0].id, record.id, "an id changes on its way");
    let second = encode(&again[0]).expect("what was read is written");
    assert!(first == second, "a record changes on its way");
    let value = format!("{:?}", record.value);
    let value: String = value.chars().take_while(|character| character.is_alphabetic()).collect();
    format!("{value} {} {} {}", record.is_deletion(), record.origin.is_some(), record.metadata.is_some())
}
