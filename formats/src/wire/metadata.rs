//! Reading metadata.

use std::sync::Arc;

use afferent_core::{MetaValue, Metadata, Timestamp, Unit};

use super::{
    reason::{cause, printable},
    scalar::{Entries, Scalar},
};
use crate::context::Context;

/// How deep the arrays and objects of JSON that is kept as text may lie in one another; serde_json's own limit,
/// so that whoever reads it later can.
pub(crate) const MAX_JSON_DEPTH: usize = 128;

/// The metadata in the JSON object `text`; `null` and an empty object are none.
pub(crate) fn read_metadata(text: &str, cx: &mut Context) -> Result<Option<Arc<Metadata>>, String> {
    // Taken out while reading, because reading needs the rest of the context.
    let mut cache = std::mem::take(&mut cx.metadata);
    let metadata = cache.get_or_read(text.as_bytes(), || {
        let entries = match serde_json::from_str(text) {
            Ok(None) => return Ok(None),
            Ok(Some(Entries(entries))) => entries,
            Err(error) => return Err(format!("in `metadata`: {}", cause(&error))),
        };
        let mut metadata = Metadata::default();
        for (key, text) in entries {
            if let Some(value) = read_meta_value(&key, text, cx)? {
                metadata.push(cx.name(&key), value);
            }
        }
        Ok(if metadata.is_empty() { None } else { Some(Arc::new(metadata)) })
    });
    cx.metadata = cache;
    metadata
}

/// The metadata value that the JSON value `text` is; `null` is none. What metadata has no form for is kept as
/// JSON text, unless the mode is strict.
pub(crate) fn read_meta_value(key: &str, text: &str, cx: &mut Context) -> Result<Option<MetaValue>, String> {
    let scalar =
        serde_json::from_str(text).map_err(|error| format!("in `{}`: {}", printable(key), cause(&error)))?;
    let value = match &scalar {
        Scalar::Null => return Ok(None),
        Scalar::Bool(value) => Some(MetaValue::Bool(*value)),
        Scalar::Int(value) if value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS => {
            Some(MetaValue::Number(*value as f64))
        }
        // A whole number that no double holds, such as an identifier.
        Scalar::Int(_) => None,
        Scalar::Float(value) => Some(MetaValue::Number(*value)),
        Scalar::Text(text) => Some(MetaValue::String(cx.name(text))),
        Scalar::Array => None,
        Scalar::Object => date_or_quantity(text),
    };
    match value {
        Some(value) => Ok(Some(value)),
        None if cx.strict => Err(format!(
            "expected a text, number, truth value, {{\"date\"}} or {{\"value\",\"unit\"}} in `{}`, found {}",
            printable(key),
            scalar.found()
        )),
        None if !is_shallow(text) => Err(too_deep(key)),
        None => Ok(Some(MetaValue::String(text.into()))),
    }
}

fn date_or_quantity(text: &str) -> Option<MetaValue> {
    let Entries(entries) = serde_json::from_str(text).ok()?;
    let read = |text| serde_json::from_str(text).ok();
    match entries.as_slice() {
        [(key, date)] if key == "date" => match read(date)? {
            Scalar::Text(date) => Timestamp::parse_rfc3339(&date).map(|(date, _)| MetaValue::Date(date)),
            _ => None,
        },
        [(value_key, value), (unit_key, unit)] | [(unit_key, unit), (value_key, value)]
            if value_key == "value" && unit_key == "unit" =>
        {
            let Scalar::Text(unit) = read(unit)? else { return None };
            let unit = Unit::parse(&unit).ok()?;
            match read(value)? {
                Scalar::Int(value) => Some(MetaValue::Quantity(value as f64, unit)),
                Scalar::Float(value) => Some(MetaValue::Quantity(value, unit)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether valid JSON is as shallow as the wire form takes: 128 arrays and objects in one another at most.
pub fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return false;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

pub(crate) fn too_deep(key: &str) -> String {
    format!(
        "expected at most {MAX_JSON_DEPTH} levels of arrays and objects in `{}`, found more",
        printable(key)
    )
}
