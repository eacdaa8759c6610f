use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::{Encoder, testing, wire::WireEncoder};

/// As another program would write it.
fn packed(value: &serde_json::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.serialize(&mut rmp_serde::Serializer::new(&mut bytes)).unwrap();
    bytes
}

fn read(pieces: &[&[u8]]) -> (Vec<Record>, Rejects) {
    let mut decoder = MsgpackDecoder::new(DecoderOptions { strict: true });
    let (mut records, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "in", line: 1 };
    for piece in pieces {
        decoder.decode(piece, at, &mut records, &mut rejects);
    }
    decoder.finish(at, &mut records, &mut rejects);
    (records.into_vec(), rejects)
}

/// Scenario: any records as MessagePack, one after the other and in an array, cut anywhere. Guarantees: G4, each comes
/// back as it was; G1, where pieces end does not matter.
#[test]
fn any_record_comes_back_as_it_was() {
    proptest!(|(records in proptest::collection::vec(testing::records(), 1..4), cut in 0..400_usize)| {
        let wire = |record: &Record| {
            let mut text = Vec::new();
            WireEncoder.encode(record, &mut text).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()
        };
        // A map of serde_json holds a key once, and so does what is compared.
        let values: Vec<serde_json::Value> = records.iter().map(wire).collect();
        let one_by_one: Vec<u8> = values.iter().flat_map(packed).collect();
        let array = packed(&serde_json::Value::Array(values.clone()));
        for bytes in [one_by_one, array] {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            for pieces in [vec![&bytes[..]], vec![head, tail], bytes.chunks(1).collect()] {
                let (found, rejects) = read(&pieces);
                prop_assert_eq!(rejects, Vec::new());
                prop_assert_eq!(found.iter().map(wire).collect::<Vec<_>>(), values.clone());
            }
        }
    });
}

/// Scenario: a bad record between good ones, values that JSON has not, bytes that are no MessagePack, and an end in the
/// middle. Guarantees: G1, each is a reject and the good ones around it are read; G8, without a value.
#[test]
fn what_is_no_record_is_a_reject() {
    let good = packed(
        &serde_json::json!({"type": "StepCount", "start": "2025-01-31T08:00:00Z", "value": 7, "unit": "count"}),
    );
    let bad = packed(&serde_json::json!({"type": "StepCount", "value": "secret"}));
    let (records, rejects) = read(&[&[&[0x93][..], &good, &bad, &good].concat()]);
    assert_eq!((records.len(), rejects.len()), (2, 1));
    assert_eq!(rejects[0].location, "in:record 2");
    assert!(!rejects[0].reason.contains("secret"), "{}", rejects[0].reason);
    // {"value": bytes}, {1: 2}, {"value": NaN}, {"value": extension 5}, and arrays in arrays.
    let deep = [&[0x91; 500][..], &[0xc0]].concat();
    for odd in [
        b"\x81\xa5value\xc4\x01x".to_vec(),
        b"\x81\x01\x02".to_vec(),
        b"\x81\xa5value\xcb\x7f\xf8\0\0\0\0\0\0".to_vec(),
        b"\x81\xa5value\xd4\x05x".to_vec(),
        [&b"\x81\xa5value"[..], &deep].concat(),
    ] {
        let (records, rejects) = read(&[&[&odd[..], &good].concat()]);
        assert_eq!((records.len(), rejects.len()), (1, 1), "{odd:x?}");
    }
    for (end, count) in [(&b"\xc1rest"[..], 1), (&good[..9], 1), (b"\x92\xc0", 2)] {
        let (records, rejects) = read(&[&[&good[..], end].concat()]);
        assert_eq!((records.len(), rejects.len()), (1, count), "{end:x?}");
    }
}

/// Scenario: a timestamp in each of its lengths where a time is expected. Guarantees: G4.
#[test]
fn timestamps_are_instants() {
    let nanos = 250_000_000_u64;
    let long = [&(nanos as u32).to_be_bytes()[..], &1_738_310_400_i64.to_be_bytes()].concat();
    for (extension, expected) in [
        ([&b"\xd6\xff"[..], &1_738_310_400_u32.to_be_bytes()].concat(), "2025-01-31T08:00:00Z"),
        (
            [&b"\xd7\xff"[..], &(nanos << 34 | 1_738_310_400).to_be_bytes()].concat(),
            "2025-01-31T08:00:00.250000Z",
        ),
        ([&b"\xc7\x0c\xff"[..], &long].concat(), "2025-01-31T08:00:00.250000Z"),
    ] {
        let bytes =
            [&b"\x84\xa4type\xa9StepCount\xa5value\x01\xa4unit\xa5count\xa5start"[..], &extension].concat();
        let (records, rejects) = read(&[&bytes]);
        assert!(rejects.is_empty(), "{rejects:?}");
        assert_eq!(records[0].start.to_string(), expected);
    }
}
