//! Reading `source` and `device`.

use std::sync::Arc;

use afferent_core::{MetaValue, Name, Origin, record::Device};

use super::{
    metadata::read_meta_value,
    reason::{cause, printable},
    scalar::{Entries, Scalar},
};
use crate::context::{Context, Part};

/// The origin that the JSON objects `source` and `device` make, shared by all records that have the same; an
/// absent or empty object is none.
pub(super) fn read_origin(
    source: Option<&str>,
    device: Option<&str>,
    cx: &mut Context,
) -> Result<Part<Origin>, String> {
    let (source, device) = (source.unwrap_or("null"), device.unwrap_or("null"));
    // One slice for both, in the buffer of the context. A line end stands in neither, because both are parts
    // of one line.
    let mut key = std::mem::take(&mut cx.scratch);
    key.clear();
    key.extend_from_slice(source.as_bytes());
    key.push(b'\n');
    key.extend_from_slice(device.as_bytes());
    let mut cache = std::mem::take(&mut cx.origins);
    let part = cache.get_or_read(&key, || read_both(source, device, cx));
    (cx.origins, cx.scratch) = (cache, key);
    part
}

fn read_both(source: &str, device: &str, cx: &mut Context) -> Result<Part<Origin>, String> {
    let mut origin = Origin::default();
    let mut unknown = Vec::new();
    read_names(
        "source",
        source,
        cx,
        &mut unknown,
        &mut [
            ("name", &mut origin.name),
            ("bundle", &mut origin.bundle),
            ("version", &mut origin.version),
            ("product", &mut origin.product),
            ("os", &mut origin.os),
        ],
    )?;
    let mut made_by = Device::default();
    read_names(
        "device",
        device,
        cx,
        &mut unknown,
        &mut [
            ("name", &mut made_by.name),
            ("manufacturer", &mut made_by.manufacturer),
            ("model", &mut made_by.model),
            ("hardware", &mut made_by.hardware),
            ("firmware", &mut made_by.firmware),
            ("software", &mut made_by.software),
        ],
    )?;
    origin.device = (made_by != Device::default()).then_some(made_by);
    Ok(Part {
        part: (origin != Origin::default()).then(|| Arc::new(origin)),
        unknown: (!unknown.is_empty()).then(|| unknown.into()),
    })
}

/// Reads the texts of one object into the places of their keys.
fn read_names(
    object: &str,
    text: &str,
    cx: &mut Context,
    unknown: &mut Vec<(Name, MetaValue)>,
    places: &mut [(&str, &mut Option<Name>)],
) -> Result<(), String> {
    let entries: Option<Entries<'_>> =
        serde_json::from_str(text).map_err(|error| format!("in `{object}`: {}", cause(&error)))?;
    for (key, text) in entries.map_or_else(Vec::new, |entries| entries.0) {
        match places.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => {
                if place.is_some() {
                    return Err(format!("`{object}.{key}` comes twice"));
                }
                match serde_json::from_str(text)
                    .map_err(|error| format!("in `{object}.{key}`: {}", cause(&error)))?
                {
                    Scalar::Null => {}
                    Scalar::Text(text) => **place = Some(cx.name(&text)),
                    other => {
                        return Err(format!("expected a text in `{object}.{key}`, found {}", other.found()));
                    }
                }
            }
            None if cx.strict => return Err(format!("unknown key `{object}.{}`", printable(&key))),
            None => {
                let key = format!("{object}.{key}");
                if let Some(value) = read_meta_value(&key, text, cx)? {
                    unknown.push((cx.name(&key), value));
                }
            }
        }
    }
    Ok(())
}
