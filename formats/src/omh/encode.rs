//! [`OmhEncoder`]: header and envelope.

use std::collections::HashMap;

use afferent_core::{Kind, MetaValue, Name, Record, Unit};
use foldhash::fast::RandomState;

use super::{
    body::{schema_of, write_body},
    schemas::{Plan, plan},
};
use crate::{Encoder, wire::write_text, zones::Zones};

/// How many plans are kept: a feed has some dozens of types, each in one or two units.
const MAX_PLANS: usize = 1024;

/// Writes records as data points. See the [module](super).
#[derive(Debug, Default)]
pub struct OmhEncoder {
    pub(super) plans: Plans,
    pub(super) zones: Zones,
}

/// How numbers are written, by type and unit.
#[derive(Debug, Default)]
pub(super) struct Plans(HashMap<(Kind, Unit), Plan, RandomState>);

impl Plans {
    pub(super) fn of(&mut self, kind: Kind, unit: Unit) -> Plan {
        if self.0.len() >= MAX_PLANS && !self.0.contains_key(&(kind, unit)) {
            self.0.clear();
        }
        *self.0.entry((kind, unit)).or_insert_with(|| plan(kind, unit))
    }
}

impl OmhEncoder {
    fn write(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        if record.is_deletion() {
            return Err("Open mHealth has no form for a deletion".to_owned());
        }
        let kind = record.kind.ok_or("an addition has no type")?;
        let schema = schema_of(record, kind, &mut self.plans)?;
        out.extend_from_slice(b"{\"header\":{\"uuid\":\"");
        out.extend_from_slice(record.id.encode(&mut [0; 36]).as_bytes());
        out.extend_from_slice(b"\",\"schema_id\":{\"namespace\":\"");
        out.extend_from_slice(schema.namespace.as_bytes());
        out.extend_from_slice(b"\",\"name\":\"");
        out.extend_from_slice(schema.name.as_bytes());
        out.extend_from_slice(b"\",\"version\":\"");
        out.extend_from_slice(schema.version.as_bytes());
        out.extend_from_slice(b"\"},\"source_creation_date_time\":");
        self.zones.write_time(record.zone.as_ref(), record.end, out)?;
        out.extend_from_slice(b",\"modality\":\"");
        out.extend_from_slice(if is_entered(record) { b"self-reported" } else { b"sensed" });
        out.push(b'"');
        if let Some(subject) = named(record.subject.as_ref()) {
            out.extend_from_slice(b",\"user_id\":");
            write_text(subject, out);
        }
        let origin = record.origin.as_deref();
        let manufacturer = origin.and_then(|origin| origin.device.as_ref()?.manufacturer.as_ref());
        let source = origin.and_then(|origin| origin.name.as_ref());
        if let Some(reference) = named(manufacturer) {
            write_datasheet("manufacturer", reference, out);
        } else if let Some(reference) = named(source) {
            write_datasheet("source", reference, out);
        }
        out.extend_from_slice(b"},\"body\":{");
        write_body(record, kind, schema, self, out)?;
        out.extend_from_slice(b"}}");
        Ok(())
    }
}

fn named(name: Option<&Name>) -> Option<&Name> {
    name.filter(|name| !name.is_empty())
}

fn write_datasheet(kind: &str, reference: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"external_datasheets\":[{\"datasheet_type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"datasheet_reference\":");
    write_text(reference, out);
    out.extend_from_slice(b"}]");
}

/// Whether a person typed it in; feeds write the truth as such, as a number or as a text.
fn is_entered(record: &Record) -> bool {
    match record.metadata.as_ref().and_then(|metadata| metadata.get("HKWasUserEntered")) {
        Some(MetaValue::Bool(entered)) => *entered,
        Some(MetaValue::Number(number)) => *number == 1.0,
        Some(MetaValue::String(text)) => matches!(text.as_str(), "1" | "true"),
        _ => false,
    }
}

impl Encoder for OmhEncoder {
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        let begin = out.len();
        let result = self.write(record, out);
        match result {
            Ok(()) => out.push(b'\n'),
            Err(_) => out.truncate(begin),
        }
        result
    }
}
