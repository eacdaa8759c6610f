//! Heart rates of a watch as FHIR Observations, against the same bytes formatted by hand: a loop that knows the type, the unit,
//! the device and the zone beforehand and copies what they make of an Observation from constants.
//!
//! `AFFERENT_BENCH_RECORDS` sets another number of records.

use std::{hint::black_box, sync::Arc};

use afferent::{
    afferent_core::{
        Kind, MetaValue, Metadata, Origin, Record, RecordId, Timestamp, Unit, Value, record::Device,
    },
    formats::{
        Encoder,
        fhir::{FhirEncoder, Patient, Shape},
    },
};
use afferent_benches::pair;
use criterion::{Criterion, Throughput, criterion_group};
use uuid::Uuid;

const HEAD: &str = r#"{"resourceType":"Observation","identifier":[{"system":"https://developer.apple.com/documentation/healthkit/hkobject/uuid","value":""#;
const CODE: &str = r#""}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"},{"system":"http://developer.apple.com/documentation/healthkit","code":"HKQuantityTypeIdentifierHeartRate"}]},"subject":{"type":"Patient","identifier":{"value":""#;
const TIME: &str = r#""}},"effectiveDateTime":""#;
const VALUE: &str = r#"+05:45","valueQuantity":{"value":"#;
const TAIL: &str = r#","unit":"count/min","system":"http://unitsofmeasure.org","code":"/min"},"device":{"display":"Apple Watch"},"extension":[{"extension":[{"url":"https://bdh.stanford.edu/fhir/defs/sourceDevice/name","valueString":"Apple Watch"},{"url":"https://bdh.stanford.edu/fhir/defs/sourceDevice/manufacturer","valueString":"Apple Inc."}],"url":"https://bdh.stanford.edu/fhir/defs/sourceDevice"},{"extension":[{"extension":[{"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/source/name","valueString":"Watch"},{"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/source/bundleIdentifier","valueString":"com.apple.health"}],"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision/source"}],"url":"https://bdh.stanford.edu/fhir/defs/sourceRevision"},{"extension":[{"url":"https://bdh.stanford.edu/fhir/defs/metadata/HKMetadataKeyHeartRateMotionContext","valueDecimal":"#;
const END: &str = r#"}],"url":"https://bdh.stanford.edu/fhir/defs/metadata"}]}"#;

/// Kathmandu's offset in µs: what the loop knows of its zone.
const OFFSET: i64 = (5 * 60 + 45) * 60 * 1_000_000;

fn records(count: u64) -> Vec<Record> {
    let kind = Kind::parse("HeartRate").expect("a type");
    let unit = Unit::parse("count/min").expect("a unit");
    let device = Device {
        name: Some("Apple Watch".into()),
        manufacturer: Some("Apple Inc.".into()),
        ..Device::default()
    };
    let origin = Arc::new(Origin {
        name: Some("Watch".into()),
        bundle: Some("com.apple.health".into()),
        device: Some(device),
        ..Origin::default()
    });
    let motion = |context: f64| -> Arc<Metadata> {
        let entry = ("HKMetadataKeyHeartRateMotionContext".into(), MetaValue::Number(context));
        Arc::new([entry].into_iter().collect())
    };
    let contexts = [motion(0.0), motion(1.0), motion(2.0)];
    let record = |number: u64| {
        let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 5_000_000);
        let id =
            RecordId::from_u128(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let value = Value::Quantity(48.0 + (number % 1200) as f64 / 10.0, unit);
        Record {
            subject: Some("ada".into()),
            zone: Some("Asia/Kathmandu".into()),
            origin: Some(origin.clone()),
            metadata: Some(contexts[(number % 3) as usize].clone()),
            ..Record::added(id, kind, start, start, value)
        }
    };
    (0..count).map(record).collect()
}

fn encoded(records: &[Record], out: &mut Vec<u8>) {
    out.clear();
    let mut encoder = FhirEncoder::new(Shape::Resource, Patient::Identifier);
    for record in records {
        encoder.encode(record, out).expect("it has a form");
    }
}

fn by_hand(records: &[Record], out: &mut Vec<u8>) {
    out.clear();
    let decimal = |number: f64, out: &mut Vec<u8>| {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format(number);
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    };
    for record in records {
        let Value::Quantity(number, _) = record.value else { unreachable!("they are quantities") };
        out.extend_from_slice(HEAD.as_bytes());
        let uuid = Uuid::from_u128(record.id.as_u128());
        out.extend_from_slice(uuid.hyphenated().encode_lower(&mut [0; 36]).as_bytes());
        out.extend_from_slice(CODE.as_bytes());
        out.extend_from_slice(record.subject.as_deref().unwrap_or_default().as_bytes());
        out.extend_from_slice(TIME.as_bytes());
        record.start.plus_micros(OFFSET).write_rfc3339(out);
        out.pop();
        out.extend_from_slice(VALUE.as_bytes());
        decimal(number, out);
        out.extend_from_slice(TAIL.as_bytes());
        let metadata = record.metadata.as_ref().and_then(|metadata| metadata.iter().next());
        let Some((_, MetaValue::Number(context))) = metadata else { unreachable!("they have a context") };
        decimal(*context, out);
        out.extend_from_slice(END.as_bytes());
        out.push(b'\n');
    }
}

fn benches(criterion: &mut Criterion) {
    let count = std::env::var("AFFERENT_BENCH_RECORDS")
        .map_or(100_000, |records| records.parse().expect("AFFERENT_BENCH_RECORDS is a number"));
    let records = records(count);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    encoded(&records, &mut ours);
    by_hand(&records, &mut theirs);
    assert!(ours == theirs, "both write the same bytes");
    pair(
        "fhir",
        count,
        15,
        || encoded(black_box(&records), &mut ours),
        || by_hand(black_box(&records), &mut theirs),
    );

    let mut group = criterion.benchmark_group("fhir");
    group.throughput(Throughput::Elements(count)).sample_size(10);
    group.bench_function("hand", |bench| bench.iter(|| by_hand(&records, &mut theirs)));
    group.bench_function("encoder", |bench| bench.iter(|| encoded(&records, &mut ours)));
    group.finish();
}

criterion_group!(fhir, benches);

fn main() {
    fhir();
    Criterion::default().configure_from_args().final_summary();
}
