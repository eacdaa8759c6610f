//! Sealing, and who takes what is sealed.

use std::sync::Arc;

use afferent_core::{Batch, Epoch, Incarnation, Name, Record, testing::TestClock};
use afferent_formats::Format;
use tokio::sync::mpsc;

use super::world::record;
use crate::upload::{
    BatchLimits, Compression, Framing, MAX_LANES, Settings,
    feed::Made,
    packer::Packer,
    sealing::{Sealed, Sealer, Sealing},
};

/// Scenario: a job seals many bodies one after the other, and whoever takes them is done with each before the next is
/// sealed, as a quick receiver is without an outbox. Guarantees: G7, at no moment more is settled than was made, so that the
/// sink knows how much is in memory.
#[test]
fn a_body_is_counted_before_it_is_handed_on() {
    const ROUNDS: u64 = 20;
    let (bodies, mut queue) = mpsc::unbounded_channel();
    let made = Made::default();
    let settings = Settings {
        compression: Compression::Gzip,
        batch: BatchLimits { records: usize::MAX, ..BatchLimits::default() },
        lanes: MAX_LANES,
        ..Settings::default()
    };
    let sealer = Sealer {
        incarnation: Incarnation::from_u128(1),
        sink: Name::from("sink"),
        compression: settings.compression,
        clock: Arc::new(TestClock::default()),
    };
    let mut sealing = Sealing::new(&settings, sealer, Sealed::default(), bodies, made.clone()).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            for round in 0..ROUNDS {
                sealing.commit(Epoch(round));
                let subjects = (0..500).map(|number| format!("subject {number}"));
                let mut batch: Batch<Record> =
                    subjects.zip(0..).map(|(subject, number)| record(number, Some(&subject))).collect();
                sealing.write(&mut batch).unwrap();
                // Closes a body in each lane.
                sealing.prepare(Epoch(round + 1)).unwrap();
            }
        });
        let (mut settled, mut records) = (0, 0);
        while let Some(entry) = queue.blocking_recv() {
            settled += entry.bytes();
            records += u64::from(entry.head.records);
            assert!(made.get() >= settled, "{settled} bytes are settled, {} were made", made.get());
        }
        assert_eq!((records, made.get()), (500 * ROUNDS, settled));
    });
}

/// Scenario: records of which some come twice, corrected or deleted, in one epoch, as each kind of Bundle. Guarantees: G2 and G3, no
/// Bundle holds two entries of a record, because a server carries them out in an order of its own; each is whole JSON, and so
/// is each part that a refused one is taken apart into.
#[test]
fn a_bundle_holds_a_record_once() {
    use afferent_core::RecordId;
    for framing in [Framing::Transaction, Framing::Batch] {
        let settings = Settings { format: Format::Fhir, framing, lanes: 1, ..Settings::default() };
        let mut packer = Packer::new(&settings).unwrap();
        let (mut closed, mut rejects) = (Vec::new(), Vec::new());
        let mut corrected = record(2, Some("ada"));
        corrected.revision = 1;
        let deleted = Record::deleted(RecordId::from_u128(1), None);
        let records = [record(1, Some("ada")), record(2, Some("ada")), record(3, None), corrected, deleted];
        for record in &records {
            packer.push(record, &mut closed, &mut rejects);
        }
        packer.finish(&mut closed);
        assert!(rejects.is_empty(), "{rejects:?}");
        let bundles: Vec<serde_json::Value> =
            closed.iter().map(|draft| serde_json::from_slice(&draft.plain).unwrap()).collect();
        let methods = |bundle: &serde_json::Value| {
            let entries = bundle["entry"].as_array().unwrap().iter();
            entries.map(|entry| entry["request"]["method"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let expected: [&[&str]; 2] = [&["POST", "POST", "POST"], &["PUT", "DELETE"]];
        assert_eq!(bundles.iter().map(methods).collect::<Vec<_>>(), expected);
        assert!(bundles.iter().all(|bundle| bundle["resourceType"] == "Bundle"));
        assert!(closed[0].ordinal == 0 && closed[1].ordinal == 1);
        let first = &closed[0];
        for place in &first.places {
            let entry = &first.plain[place.offset as usize..(place.offset + place.length) as usize];
            assert!(serde_json::from_slice::<serde_json::Value>(entry).is_ok());
        }
    }
}

/// Scenario: records as bodies of one, in each format that has such. Guarantees: G4, each body is its record and nothing else; what
/// has no form is a reject, and leaves no body.
#[test]
fn a_body_may_be_one_record() {
    for format in [Format::Json, Format::Fhir, Format::OpenMhealth] {
        let settings = Settings { format, framing: Framing::Single, lanes: 1, ..Settings::default() };
        let mut packer = Packer::new(&settings).unwrap();
        let (mut closed, mut rejects) = (Vec::new(), Vec::new());
        for number in 0..3 {
            packer.push(&record(number, Some("ada")), &mut closed, &mut rejects);
        }
        let untyped = Record { kind: None, ..record(3, Some("ada")) };
        packer.push(&untyped, &mut closed, &mut rejects);
        packer.finish(&mut closed);
        assert_eq!((closed.len(), rejects.len()), (3, 1), "{format:?}");
        for draft in &closed {
            assert!(serde_json::from_slice::<serde_json::Value>(&draft.plain).unwrap().is_object());
            assert_eq!(draft.places[0].length as usize, draft.plain.len());
        }
    }
}

/// Scenario: records as MessagePack, one behind the other and as bodies of one. Guarantees: G4, each body is its records to its last
/// byte, and each place in it is one of them, so that a refused body can be halved and its record be put in again.
#[test]
fn bodies_of_messagepack_are_records_one_behind_the_other() {
    use afferent_formats::{Location, decode_one, msgpack::is_whole};
    for (framing, bodies) in [(Framing::Lines, 1), (Framing::Single, 3)] {
        let settings = Settings { format: Format::Msgpack, framing, lanes: 1, ..Settings::default() };
        let mut packer = Packer::new(&settings).unwrap();
        let (mut closed, mut rejects) = (Vec::new(), Vec::new());
        let records: Vec<Record> = (0..3).map(|number| record(number, Some("ada"))).collect();
        for record in &records {
            packer.push(record, &mut closed, &mut rejects);
        }
        packer.finish(&mut closed);
        assert_eq!((closed.len(), rejects.len()), (bodies, 0));
        let mut found = Vec::new();
        for draft in &closed {
            assert!(is_whole(&draft.plain));
            assert_eq!(
                draft.plain.len(),
                draft.places.iter().map(|place| place.length as usize).sum::<usize>()
            );
            for place in &draft.places {
                let bytes = &draft.plain[place.offset as usize..(place.offset + place.length) as usize];
                found.push(decode_one(Format::Msgpack, bytes, Location { name: "body", line: 1 }).unwrap());
            }
        }
        assert_eq!(found, records);
    }
}
