//! Ids of records that come without one.
//!
//! A replay, another reader and a second import of the same data must give the same id again, so the id is a
//! uuid v5 over what the record says and over nothing else: (subject, type, start, end, value, unit, source,
//! device). Revision, zone and metadata are left out: they may be added or mended later.
//!
//! An absent text and an empty one are the same. A number goes in as its bits, any other value as the text of
//! its wire form. A device's address in memory, which changes from export to export, is no part of
//! [`Device`] and so never enters.

use afferent_core::{Name, Origin, Record, RecordId, Value, record::Device};

use crate::wire;

/// The id of `record`, whatever id it has.
pub fn derive_id(record: &Record) -> RecordId {
    derive_id_with(&mut Vec::new(), record)
}

/// The id of `record`, as [`derive_id`] gives it; `buffer` is overwritten and keeps its allocation.
pub fn derive_id_with(buffer: &mut Vec<u8>, record: &Record) -> RecordId {
    buffer.clear();
    write_value(&record.value, buffer);
    let value = buffer.len();
    let origin = record.origin.as_deref();
    if let Some(origin) = origin {
        write_source(origin, buffer);
    }
    let source = buffer.len();
    if let Some(device) = origin.and_then(|origin| origin.device.as_ref()) {
        write_device(device, buffer);
    }
    RecordId::derive([
        text(record.subject.as_ref()).as_bytes(),
        record.kind.map_or("", |kind| kind.name()).as_bytes(),
        &record.start.as_micros().to_be_bytes(),
        &record.end.as_micros().to_be_bytes(),
        &buffer[..value],
        unit_of(&record.value).as_bytes(),
        &buffer[value..source],
        &buffer[source..],
    ])
}

fn text(name: Option<&Name>) -> &str {
    name.map_or("", Name::as_str)
}

fn unit_of(value: &Value) -> &'static str {
    match value {
        Value::Quantity(_, unit) => unit.as_str(),
        Value::Aggregate(aggregate) => aggregate.unit.map_or("", |unit| unit.as_str()),
        _ => "",
    }
}

/// The first byte tells the forms apart, so that a category 3 is not a quantity with the same bits.
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::None => {}
        Value::Quantity(number, _) => {
            out.push(b'q');
            out.extend_from_slice(&number.to_bits().to_be_bytes());
        }
        Value::Category(number) => {
            out.push(b'c');
            out.extend_from_slice(&number.to_be_bytes());
        }
        other => {
            out.push(b'j');
            // What the wire form refuses (a number that is not finite) has an id too: of what could be written.
            let _ = wire::write_value(other, out);
        }
    }
}

fn write_source(origin: &Origin, out: &mut Vec<u8>) {
    for name in [&origin.name, &origin.bundle, &origin.version, &origin.product, &origin.os] {
        write_text(name.as_ref(), out);
    }
}

fn write_device(device: &Device, out: &mut Vec<u8>) {
    let Device { name, manufacturer, model, hardware, firmware, software } = device;
    for name in [name, manufacturer, model, hardware, firmware, software] {
        write_text(name.as_ref(), out);
    }
}

/// With its length first, so that no two lists of texts give the same bytes.
fn write_text(name: Option<&Name>, out: &mut Vec<u8>) {
    let text = text(name);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use afferent_core::{Kind, Timestamp, Unit};

    use super::*;

    fn heart_rate() -> Record {
        let at = Timestamp::from_micros(1_748_736_000_000_000).unwrap();
        let unit = Unit::parse("count/min").unwrap();
        let mut record = Record::added(
            RecordId::from_u128(0),
            Kind::parse("HeartRate").unwrap(),
            at,
            at,
            Value::Quantity(72.0, unit),
        );
        record.subject = Some("p1".into());
        record.origin = Some(Arc::new(Origin {
            name: Some("Watch".into()),
            bundle: None,
            device: Some(Device { model: Some("Watch".into()), ..Device::default() }),
            ..Origin::default()
        }));
        record
    }

    /// Scenario: one record, and the same with each field of its identity changed. Guarantees: G2, the id is
    /// the same in every process and version (the literal is what data already stored carry), and differs
    /// where the fact differs.
    #[test]
    fn ids_are_stable_and_tell_facts_apart() {
        let id = derive_id(&heart_rate());
        assert_eq!(id.to_string(), "929fa2d7-2945-5868-a4c1-31687c8e6df4");
        let changes: [fn(&mut Record); 8] = [
            |r| r.subject = Some("p2".into()),
            |r| r.kind = Some(Kind::parse("StepCount").unwrap()),
            |r| r.start = r.start.plus_micros(-1),
            |r| r.end = r.end.plus_micros(1),
            |r| r.value = Value::Quantity(72.5, Unit::parse("count/min").unwrap()),
            |r| r.value = Value::Quantity(72.0, Unit::parse("count/s").unwrap()),
            |r| {
                let origin = Arc::make_mut(r.origin.as_mut().unwrap());
                (origin.name, origin.bundle) = (None, Some("Watch".into()));
            },
            |r| Arc::make_mut(r.origin.as_mut().unwrap()).device = None,
        ];
        let mut ids = vec![id];
        for change in changes {
            let mut record = heart_rate();
            change(&mut record);
            ids.push(derive_id(&record));
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    /// Scenario: fields outside the identity are added. Guarantees: G2, the id stays.
    #[test]
    fn what_may_be_mended_later_is_no_part_of_the_id() {
        let mut record = heart_rate();
        let id = derive_id(&record);
        record.id = RecordId::from_u128(9);
        record.revision = 3;
        record.zone = Some("Europe/Berlin".into());
        record.metadata_mut().push("HKWasUserEntered", afferent_core::MetaValue::Bool(true));
        assert_eq!(derive_id(&record), id);
    }
}
