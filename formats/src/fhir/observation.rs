//! One Observation.

use afferent_core::{Name, Record, Timestamp, Value};

use super::{
    Patient,
    code::Codes,
    effective::write_effective,
    measured::write_value,
    provenance::{Origins, Sayings, write_provenance},
    text::write_string,
};
use crate::zones::Zones;

/// What an encoder keeps from record to record; all bounded.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) patient: Patient,
    pub(super) codes: Codes,
    pub(super) zones: Zones,
    pub(super) origins: Origins,
    pub(super) sayings: Sayings,
}

/// Appends the Observation of an addition.
pub(super) fn write_observation(record: &Record, cx: &mut Context, out: &mut Vec<u8>) -> Result<(), String> {
    let kind = record.kind.ok_or("an addition has no type")?;
    write_begin(record, if record.revision == 0 { "final" } else { "amended" }, out);
    let unit = match &record.value {
        Value::Aggregate(aggregate) => aggregate.unit,
        value => value.unit(),
    };
    cx.codes.of(Some(kind), unit).write_head(out);
    write_subject(record.subject.as_ref(), cx.patient, out)?;
    write_effective(&mut cx.zones, record.zone.as_ref(), record.start, record.end, out)?;
    write_value(record, kind, cx, out)?;
    write_provenance(record, &mut cx.origins, &mut cx.sayings, &mut cx.codes, out)?;
    out.push(b'}');
    Ok(())
}

/// Appends the Observation that says that a record was deleted.
pub(super) fn write_deleted(record: &Record, cx: &mut Context, out: &mut Vec<u8>) -> Result<(), String> {
    let kind = record.kind.ok_or(
        "a deletion without a type has no code, which every Observation needs; a Bundle carries it without one",
    )?;
    write_begin(record, "entered-in-error", out);
    cx.codes.of(Some(kind), None).write_head(out);
    write_subject(record.subject.as_ref(), cx.patient, out)?;
    // One without times has those of the epoch of 1970, see `Record::start`.
    if record.start != Timestamp::default() || record.end != Timestamp::default() {
        write_effective(&mut cx.zones, record.zone.as_ref(), record.start, record.end, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_begin(record: &Record, status: &str, out: &mut Vec<u8>) {
    // With `IDENTIFIER_SYSTEM` in it: one copy instead of three.
    out.extend_from_slice(
        b"{\"resourceType\":\"Observation\",\"identifier\":[{\"system\":\"https://developer.apple.com/documentation/healthkit/hkobject/uuid\",\"value\":\"",
    );
    out.extend_from_slice(record.id.encode(&mut [0; 36]).as_bytes());
    out.extend_from_slice(b"\"}],\"status\":\"");
    out.extend_from_slice(status.as_bytes());
    out.push(b'"');
}

fn write_subject(subject: Option<&Name>, patient: Patient, out: &mut Vec<u8>) -> Result<(), String> {
    let Some(subject) = subject.filter(|subject| !subject.is_empty()) else { return Ok(()) };
    match patient {
        Patient::Identifier => {
            out.extend_from_slice(b",\"subject\":{\"type\":\"Patient\",\"identifier\":{\"value\":");
            write_string(subject, out);
            out.extend_from_slice(b"}}");
        }
        Patient::Reference => {
            // FHIR R4, datatype `id`.
            let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            if subject.len() > 64 || !subject.bytes().all(is_id) {
                return Err(
                    "the subject is no id of a Patient: expected up to 64 letters, digits, `-` and `.`"
                        .to_owned(),
                );
            }
            out.extend_from_slice(b",\"subject\":{\"reference\":\"Patient/");
            out.extend_from_slice(subject.as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
    Ok(())
}
