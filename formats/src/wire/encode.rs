//! Writing the wire form.

use afferent_core::{
    Change, MetaValue, Metadata, Name, Origin, Record, Timestamp, Value,
    record::{Aggregate, Correlation, Device},
};
use serde::Serialize;

use super::{
    MAX_CORRELATION_DEPTH,
    value::{Remote, Wire},
    with::{NOT_FINITE, one_line},
};
use crate::Encoder;

/// Writes records as NDJSON: one object a line, its keys in the order of the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct WireEncoder;

impl Encoder for WireEncoder {
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        let begin = out.len();
        match write_record(record, out) {
            Ok(()) => {
                out.push(b'\n');
                Ok(())
            }
            Err(reason) => {
                out.truncate(begin);
                Err(reason)
            }
        }
    }
}

/// Appends `record` as one JSON object, without a line end.
///
/// # Errors
/// The reason why the wire form can't carry it, without any health value. What was appended by then is to be
/// cut off.
pub fn write_record(record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
    write_nested(record, 0, out)
}

/// Appends what stands behind `"value":`.
///
/// # Errors
/// As [`write_record`].
pub fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    write_nested_value(value, 0, out)
}

fn write_nested(record: &Record, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let deletion = record.change == Change::Deleted;
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(record.id.encode(&mut [0; 36]).as_bytes());
    out.push(b'"');
    match record.kind {
        Some(kind) => write_text_field(b",\"type\":", kind.name(), out),
        None if deletion => {}
        None => return Err("an addition has no type".to_owned()),
    }
    if deletion {
        out.extend_from_slice(b",\"deleted\":true");
    }
    // A deletion without times has those of the epoch of 1970, see `Record::start`.
    if !deletion || record.start != Timestamp::default() || record.end != Timestamp::default() {
        out.extend_from_slice(b",\"start\":\"");
        record.start.write_rfc3339(out);
        out.extend_from_slice(b"\",\"end\":\"");
        record.end.write_rfc3339(out);
        out.push(b'"');
    }
    match &record.value {
        Value::None if deletion => {}
        Value::None => return Err("an addition has no value".to_owned()),
        Value::Category(_) if record.kind.is_some_and(afferent_core::Kind::is_quantity) => {
            return Err("a quantity has no unit".to_owned());
        }
        value => {
            out.extend_from_slice(b",\"value\":");
            write_nested_value(value, depth, out)?;
        }
    }
    match &record.value {
        Value::Quantity(_, unit) => write_text_field(b",\"unit\":", unit.as_str(), out),
        Value::Aggregate(aggregate) => {
            if let Some(unit) = aggregate.unit {
                write_text_field(b",\"unit\":", unit.as_str(), out);
            }
        }
        _ => {}
    }
    write_name_field(b",\"subject\":", record.subject.as_ref(), out);
    write_name_field(b",\"zone\":", record.zone.as_ref(), out);
    if record.revision != 0 {
        out.extend_from_slice(b",\"revision\":");
        out.extend_from_slice(itoa::Buffer::new().format(record.revision).as_bytes());
    }
    if let Some(origin) = &record.origin {
        write_origin(origin, out);
    }
    if let Some(metadata) = &record.metadata
        && !metadata.is_empty()
    {
        out.extend_from_slice(b",\"metadata\":");
        write_metadata(metadata, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_nested_value(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Quantity(number, _) => write_number(*number, out),
        Value::Category(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            Ok(())
        }
        Value::Workout(workout) => write_remote(b"{\"workout\":", &**workout, out),
        Value::Correlation(correlation) => write_correlation(correlation, depth + 1, out),
        Value::Electrocardiogram(ecg) => write_remote(b"{\"electrocardiogram\":", &**ecg, out),
        Value::HeartbeatSeries(series) => write_remote(b"{\"heartbeat_series\":", &**series, out),
        Value::Route(route) => write_remote(b"{\"route\":", &**route, out),
        Value::ActivitySummary(summary) => write_remote(b"{\"activity_summary\":", &**summary, out),
        Value::Clinical(clinical) => write_remote(b"{\"clinical\":", &**clinical, out),
        Value::Notification(notification) => write_remote(b"{\"notification\":", &**notification, out),
        Value::Aggregate(aggregate) => write_aggregate(aggregate, out),
        Value::Json(text) => {
            out.extend_from_slice(b"{\"json\":");
            out.extend_from_slice(one_line(text)?.get().as_bytes());
            out.push(b'}');
            Ok(())
        }
        _ => Err("this form has no such value".to_owned()),
    }
}

fn write_remote<T: Remote>(head: &[u8], value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(head);
    write_json(&Wire(value), out)?;
    out.push(b'}');
    Ok(())
}

fn write_correlation(correlation: &Correlation, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if depth > MAX_CORRELATION_DEPTH {
        return Err(format!("correlations lie in one another more than {MAX_CORRELATION_DEPTH} deep"));
    }
    out.extend_from_slice(b"{\"correlation\":[");
    for (index, sample) in correlation.samples.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_nested(sample, depth, out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn write_aggregate(aggregate: &Aggregate, out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(b"{\"aggregate\":{");
    for (index, (name, result)) in aggregate.results.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_number(*result, out)?;
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Appends `,"source":{…},"device":{…}`; an object without keys is left out.
fn write_origin(origin: &Origin, out: &mut Vec<u8>) {
    let Origin { name, bundle, version, product, os, device } = origin;
    let source = [("name", name), ("bundle", bundle), ("version", version), ("product", product), ("os", os)];
    write_names(b",\"source\":{", &source, out);
    if let Some(Device { name, manufacturer, model, hardware, firmware, software }) = device {
        let device = [
            ("name", name),
            ("manufacturer", manufacturer),
            ("model", model),
            ("hardware", hardware),
            ("firmware", firmware),
            ("software", software),
        ];
        write_names(b",\"device\":{", &device, out);
    }
}

fn write_names(head: &[u8], names: &[(&str, &Option<Name>)], out: &mut Vec<u8>) {
    let mut separator = head;
    for (key, name) in names {
        if let Some(name) = name {
            out.extend_from_slice(separator);
            out.push(b'"');
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            write_text(name, out);
            separator = b",";
        }
    }
    if separator != head {
        out.push(b'}');
    }
}

/// Appends metadata as one JSON object.
pub fn write_metadata(metadata: &Metadata, out: &mut Vec<u8>) -> Result<(), String> {
    let mut separator = b'{';
    for (key, value) in metadata.iter() {
        out.push(separator);
        separator = b',';
        write_text(key, out);
        out.push(b':');
        match value {
            MetaValue::String(text) => write_text(text, out),
            MetaValue::Number(number) => write_number(*number, out)?,
            MetaValue::Bool(true) => out.extend_from_slice(b"true"),
            MetaValue::Bool(false) => out.extend_from_slice(b"false"),
            MetaValue::Date(time) => {
                out.extend_from_slice(b"{\"date\":\"");
                time.write_rfc3339(out);
                out.extend_from_slice(b"\"}");
            }
            MetaValue::Quantity(number, unit) => {
                out.extend_from_slice(b"{\"value\":");
                write_number(*number, out)?;
                write_text_field(b",\"unit\":", unit.as_str(), out);
                out.push(b'}');
            }
        }
    }
    out.push(b'}');
    Ok(())
}

/// The shortest text that reads back as the same number.
pub(crate) fn write_number(number: f64, out: &mut Vec<u8>) -> Result<(), String> {
    if !number.is_finite() {
        return Err(NOT_FINITE.to_owned());
    }
    out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
    Ok(())
}

fn write_name_field(head: &[u8], name: Option<&Name>, out: &mut Vec<u8>) {
    if let Some(name) = name {
        write_text_field(head, name, out);
    }
}

fn write_text_field(head: &[u8], text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    write_text(text, out);
}

pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_json(text, out).expect("a text can always be written to memory");
}

fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    // Errors come from `with`, in words of our own, and hold no value.
    serde_json::to_writer(out, value).map_err(|error| error.to_string())
}
