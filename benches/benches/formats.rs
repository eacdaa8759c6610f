//! Decoding: the wire form and health_kit_reporter into records, against a struct for just these keys, derived for the same JSON
//! library and filled from the same bytes in memory; both give every value, and the loop by hand drops them.
//!
//! Each is measured twice. The struct of the first pair has texts where a record has an id, a type, times and a unit: less than
//! anybody can use. In the second pair the loop by hand reads these too, and still shares none of what repeats.
//!
//! `AFFERENT_BENCH_RECORDS` sets another number of records.

use std::borrow::Cow;

use afferent::{
    afferent_core::{Batch, Kind, Record, RecordId, Rejects, Timestamp, Unit},
    formats::{Decoder, DecoderOptions, Format, Location},
};
use afferent_benches::{Line, pair, write_ndjson};
use criterion::{Criterion, Throughput, criterion_group};
use serde::Deserialize;

/// How many records are decoded at once, as a file source does.
const CHUNK: usize = 1024;

/// How many samples an event has.
const SAMPLES: u64 = 100;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    samples: Vec<Cow<'a, str>>,
}

#[allow(dead_code, reason = "it is what reading costs that counts")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sample<'a> {
    uuid: &'a str,
    identifier: &'a str,
    start_timestamp: f64,
    end_timestamp: f64,
    device: Device<'a>,
    source_revision: Revision<'a>,
    harmonized: Harmonized<'a>,
}

#[allow(dead_code, reason = "as above")]
#[derive(Deserialize)]
struct Device<'a> {
    name: &'a str,
    manufacturer: &'a str,
    model: &'a str,
}

#[allow(dead_code, reason = "as above")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revision<'a> {
    #[serde(borrow)]
    source: Source<'a>,
    version: &'a str,
    product_type: &'a str,
    system_version: &'a str,
}

#[allow(dead_code, reason = "as above")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    name: &'a str,
    bundle_identifier: &'a str,
}

#[allow(dead_code, reason = "as above")]
#[derive(Deserialize)]
struct Harmonized<'a> {
    value: f64,
    unit: &'a str,
}

/// Events of the channel: samples as texts.
fn events(records: u64) -> Vec<String> {
    (0..records / SAMPLES)
        .map(|event| {
            let samples: Vec<String> = (0..SAMPLES)
                .map(|sample| {
                    let number = event * SAMPLES + sample;
                    let text = format!(
                        "{{\n  \"uuid\" : \"00000000-0000-4000-8000-{number:012x}\",\n  \"identifier\" : \"HKQuantityTypeIdentifierHeartRate\",\n  \
                         \"startTimestamp\" : {0}.25,\n  \"endTimestamp\" : {0}.25,\n  \"device\" : {{\"name\":\"Apple Watch\",\"manufacturer\":\"Apple Inc.\",\"model\":\"Watch\"}},\n  \
                         \"sourceRevision\" : {{\"source\":{{\"name\":\"Watch\",\"bundleIdentifier\":\"com.apple.health.watch\"}},\"version\":\"10.2\",\"productType\":\"Watch6,7\",\"systemVersion\":\"10.2\"}},\n  \
                         \"harmonized\" : {{\"value\":{1}.5,\"unit\":\"count/min\"}}\n}}",
                        1_735_689_600 + number,
                        number % 120,
                    );
                    serde_json::to_string(&text).expect("a text")
                })
                .collect();
            format!("{{\"samples\":[{}],\"deletedObjects\":[]}}", samples.join(","))
        })
        .collect()
}

/// What a program would hold of a quantity: nothing is a text that means more.
#[allow(dead_code, reason = "as above")]
struct Held<'a> {
    id: RecordId,
    kind: Kind,
    start: Timestamp,
    end: Timestamp,
    value: f64,
    unit: Unit,
    subject: Option<&'a str>,
    source: [&'a str; 4],
    device: Option<[&'a str; 3]>,
}

fn held_line<'a>(line: &Line<'a>) -> Held<'a> {
    let time = |text| Timestamp::parse_rfc3339(text).expect("a time").0;
    let source = &line.source;
    Held {
        id: RecordId::parse(line.id).expect("a uuid"),
        kind: Kind::from_data(line.kind).expect("a type"),
        start: time(line.start),
        end: time(line.end),
        value: line.value,
        unit: Unit::parse(line.unit).expect("a unit"),
        subject: Some(line.subject),
        source: [source.name, source.bundle, source.version, source.product],
        device: None,
    }
}

fn held_sample<'a>(sample: &Sample<'a>) -> Held<'a> {
    let time = |seconds: f64| Timestamp::from_micros((seconds * 1e6).round() as i64).expect("a time");
    let Sample { device, source_revision: revision, harmonized, .. } = sample;
    Held {
        id: RecordId::parse(sample.uuid).expect("a uuid"),
        kind: Kind::from_data(sample.identifier).expect("a type"),
        start: time(sample.start_timestamp),
        end: time(sample.end_timestamp),
        value: harmonized.value,
        unit: Unit::parse(harmonized.unit).expect("a unit"),
        subject: None,
        source: [
            revision.source.name,
            revision.source.bundle_identifier,
            revision.version,
            revision.product_type,
        ],
        device: Some([device.name, device.manufacturer, device.model]),
    }
}

/// Decodes each chunk and drops its records.
fn decode(decoder: &mut dyn Decoder, chunks: &[&[u8]]) -> usize {
    let (mut batch, mut rejects, mut count) = (Batch::<Record>::with_capacity(CHUNK), Rejects::new(), 0);
    for chunk in chunks {
        decoder.decode(chunk, Location { name: "bench", line: 1 }, &mut batch, &mut rejects);
        count += batch.len();
        batch.clear();
    }
    assert!(rejects.is_empty(), "all of it is good");
    count
}

fn decoder(format: Format) -> Box<dyn Decoder> {
    format.decoder(DecoderOptions::default()).expect("a form that is read")
}

#[allow(clippy::disallowed_methods, reason = "a bench's own files")]
fn benches(criterion: &mut Criterion) {
    let records = std::env::var("AFFERENT_BENCH_RECORDS")
        .map_or(200_000, |records| records.parse().expect("AFFERENT_BENCH_RECORDS is a number"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("input.ndjson");
    write_ndjson(&path, records).expect("the input is written");
    let wire = std::fs::read(&path).expect("the input");
    let lines: Vec<&[u8]> = wire.split_inclusive(|byte| *byte == b'\n').collect();
    let mut from = 0;
    let chunks: Vec<&[u8]> = lines
        .chunks(CHUNK)
        .map(|lines| {
            let begin = from;
            from += lines.iter().map(|line| line.len()).sum::<usize>();
            &wire[begin..from]
        })
        .collect();
    let events = events(records);
    let bodies: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();

    let mut wire_decoder = decoder(Format::Json);
    let mut wire_ours = || assert_eq!(decode(&mut *wire_decoder, &chunks) as u64, records);
    let wire_by_hand = || {
        for line in &lines {
            let line: Line<'_> = serde_json::from_slice(line).expect("a line");
            std::hint::black_box(&line);
        }
    };
    let wire_typed_by_hand = || {
        for line in &lines {
            let line: Line<'_> = serde_json::from_slice(line).expect("a line");
            std::hint::black_box(&held_line(&line));
        }
    };
    pair("wire", records, 9, &mut wire_ours, wire_by_hand);
    pair("wire, values read by hand too", records, 9, &mut wire_ours, wire_typed_by_hand);

    let mut reporter = decoder(Format::HealthKitReporter);
    let count = records / SAMPLES * SAMPLES;
    let mut reporter_ours = || assert_eq!(decode(&mut *reporter, &bodies) as u64, count);
    let reporter_by_hand = || {
        for body in &bodies {
            let event: Event<'_> = serde_json::from_slice(body).expect("an event");
            for sample in &event.samples {
                let sample: Sample<'_> = serde_json::from_str(sample).expect("a sample");
                std::hint::black_box(&sample);
            }
        }
    };
    let reporter_typed_by_hand = || {
        for body in &bodies {
            let event: Event<'_> = serde_json::from_slice(body).expect("an event");
            for sample in &event.samples {
                let sample: Sample<'_> = serde_json::from_str(sample).expect("a sample");
                std::hint::black_box(&held_sample(&sample));
            }
        }
    };
    pair("health_kit_reporter", count, 9, &mut reporter_ours, reporter_by_hand);
    pair(
        "health_kit_reporter, values read by hand too",
        count,
        9,
        &mut reporter_ours,
        reporter_typed_by_hand,
    );

    let mut group = criterion.benchmark_group("formats");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("wire", |bench| bench.iter(&mut wire_ours));
    group.bench_function("wire by hand", |bench| bench.iter(wire_by_hand));
    group.bench_function("health_kit_reporter", |bench| bench.iter(&mut reporter_ours));
    group.bench_function("health_kit_reporter by hand", |bench| bench.iter(reporter_by_hand));
    group.finish();
}

criterion_group!(formats, benches);

fn main() {
    formats();
    Criterion::default().configure_from_args().final_summary();
}
