//! Writing CSV.

use afferent_core::{Change, Kind, Name, Origin, Record, Timestamp, Value, record::Device};

use super::COLUMNS;
use crate::{Encoder, wire};

/// Writes records as rows of CSV, in the order of [`COLUMNS`].
#[derive(Clone, Debug, Default)]
pub struct CsvEncoder {
    /// JSON of a cell, before it is quoted.
    json: Vec<u8>,
}

impl Encoder for CsvEncoder {
    fn header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(COLUMNS.join(",").as_bytes());
        out.push(b'\n');
    }

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

impl CsvEncoder {
    /// Appends the cells of [`COLUMNS`], one after the other.
    fn write(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        let deletion = record.change == Change::Deleted;
        out.extend_from_slice(record.id.encode(&mut [0; 36]).as_bytes());
        out.push(b',');
        match record.kind {
            Some(kind) => write_cell(kind.name().as_bytes(), out),
            None if deletion => {}
            None => return Err("an addition has no type".to_owned()),
        }
        out.push(b',');
        let timed = !deletion || record.start != Timestamp::default() || record.end != Timestamp::default();
        if timed {
            record.start.write_rfc3339(out);
        }
        out.push(b',');
        if timed {
            record.end.write_rfc3339(out);
        }
        out.push(b',');
        self.json.clear();
        let unit = match &record.value {
            Value::None if deletion => None,
            Value::None => return Err("an addition has no value".to_owned()),
            Value::Category(_) if record.kind.is_some_and(Kind::is_quantity) => {
                return Err("a quantity has no unit".to_owned());
            }
            value @ Value::Quantity(_, unit) => {
                wire::write_value(value, out)?;
                Some(*unit)
            }
            value @ Value::Category(_) => {
                wire::write_value(value, out)?;
                None
            }
            Value::Aggregate(aggregate) => {
                wire::write_value(&record.value, &mut self.json)?;
                aggregate.unit
            }
            value => {
                wire::write_value(value, &mut self.json)?;
                None
            }
        };
        out.push(b',');
        write_cell(unit.map_or("", |unit| unit.as_str()).as_bytes(), out);
        write_names(&[&record.subject, &record.zone], out);
        out.push(b',');
        if record.revision != 0 {
            out.extend_from_slice(itoa::Buffer::new().format(record.revision).as_bytes());
        }
        out.push(b',');
        if deletion {
            out.extend_from_slice(b"true");
        }
        let no_origin = Origin::default();
        let Origin { name, bundle, version, product, os, device } =
            record.origin.as_deref().unwrap_or(&no_origin);
        write_names(&[name, bundle, version, product, os], out);
        let no_device = Device::default();
        let Device { name, manufacturer, model, hardware, firmware, software } =
            device.as_ref().unwrap_or(&no_device);
        write_names(&[name, manufacturer, model, hardware, firmware, software], out);
        out.push(b',');
        let value = self.json.len();
        if let Some(metadata) = &record.metadata
            && !metadata.is_empty()
        {
            wire::write_metadata(metadata, &mut self.json)?;
        }
        write_cell(&self.json[value..], out);
        out.push(b',');
        write_cell(&self.json[..value], out);
        Ok(())
    }
}

/// Appends cells, each after a comma.
fn write_names(names: &[&Option<Name>], out: &mut Vec<u8>) {
    for name in names {
        out.push(b',');
        write_cell(name.as_ref().map_or("", Name::as_str).as_bytes(), out);
    }
}

/// Appends one cell, quoted where it must be.
fn write_cell(text: &[u8], out: &mut Vec<u8>) {
    if !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    let mut begin = 0;
    for quote in memchr::memchr_iter(b'"', text) {
        out.extend_from_slice(&text[begin..=quote]);
        out.push(b'"');
        begin = quote + 1;
    }
    out.extend_from_slice(&text[begin..]);
    out.push(b'"');
}
