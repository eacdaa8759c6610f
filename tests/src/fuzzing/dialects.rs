//! Bodies in the dialects of other programs.

use afferent::formats::{Decoder, DecoderOptions, Format, Location};
use afferent_core::{Batch, Record, Rejects};

use super::{hash, records::survives, shape};

/// Any bytes in `format`: what is no record is a reject with a place and a reason, what is one has a wire form that survives; and
/// where pieces end does not matter.
pub(super) fn check(format: Format, bytes: &[u8]) -> u64 {
    let mut behaved = Vec::new();
    for strict in [true, false] {
        let (records, rejects) = decode(format, strict, [bytes]);
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let (again, rejects_again) = decode(format, strict, [head, tail]);
        assert!(*records == *again, "where pieces end does not matter");
        assert_eq!(rejects.len(), rejects_again.len(), "where pieces end does not matter");
        for reject in &rejects {
            assert!(!reject.reason.is_empty(), "a reject says why");
            assert!(reject.location.starts_with("input:"), "a reject has a place: {:?}", reject.location);
            behaved.push(shape(&reject.reason));
        }
        for record in records.iter() {
            behaved.push(survives(Format::Json, record));
            comes_back(format, record);
        }
    }
    behaved.sort_unstable();
    behaved.dedup();
    hash(behaved)
}

fn decode<const N: usize>(format: Format, strict: bool, pieces: [&[u8]; N]) -> (Batch<Record>, Rejects) {
    let mut decoder: Box<dyn Decoder> =
        format.decoder(DecoderOptions { strict }).expect("a form that is read");
    let (mut records, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "input", line: 1 };
    for piece in pieces {
        decoder.decode(piece, at, &mut records, &mut rejects);
    }
    decoder.finish(at, &mut records, &mut rejects);
    (records, rejects)
}

/// Where a dialect is written too, what is written is read as the same record.
fn comes_back(format: Format, record: &Record) {
    let mut text = Vec::new();
    let Some(Ok(())) = format.encoder().map(|mut encoder| encoder.encode(record, &mut text)) else { return };
    let (records, rejects) = decode(format, true, [&text]);
    assert!(rejects.is_empty(), "what was written is read: {}", rejects[0].reason);
    assert_eq!(records.len(), 1, "one record was written");
    assert_eq!(records[0].id, record.id, "an id changes on its way");
}

macro_rules! targets {
    ($($name:ident: $format:expr),* $(,)?) => {$(
        pub(super) fn $name(bytes: &[u8]) -> u64 {
            check($format, bytes)
        }
    )*};
}

targets! {
    health_kit_reporter: Format::HealthKitReporter,
    msgpack: Format::Msgpack,
    health_auto_export: Format::HealthAutoExport,
    react_native_healthkit: Format::ReactNativeHealthkit,
    flutter_health: Format::FlutterHealth,
    health_connect: Format::HealthConnect,
    open_wearables: Format::OpenWearables,
}

/// Any bytes as a body of a vendor, after a byte that says whose.
pub(super) fn vendors(bytes: &[u8]) -> u64 {
    let (whose, bytes) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let formats = [
        Format::GoogleHealth,
        Format::Fitbit,
        Format::Oura,
        Format::Strava,
        Format::Polar,
        Format::Whoop,
        Format::Suunto,
        Format::Terra,
        Format::Junction,
        Format::Garmin,
    ];
    check(formats[usize::from(whose) % formats.len()], bytes)
}
