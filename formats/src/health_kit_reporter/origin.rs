//! `sourceRevision` and `device`.

use std::sync::Arc;

use afferent_core::{MetaValue, Name, Origin, record::Device};

use crate::{
    context::{Context, Part},
    json::Raw,
    wire::{printable, read_meta_value},
};

/// The origin that both make, shared by all records that have the same.
pub(super) fn read(
    source: Option<&str>,
    device: Option<&str>,
    cx: &mut Context,
) -> Result<Part<Origin>, String> {
    let (source, device) = (source.unwrap_or("null"), device.unwrap_or("null"));
    let mut key = std::mem::take(&mut cx.scratch);
    key.clear();
    // With its length, so that no two pairs give the same bytes.
    key.extend_from_slice(&source.len().to_ne_bytes());
    key.extend_from_slice(source.as_bytes());
    key.extend_from_slice(device.as_bytes());
    let mut cache = std::mem::take(&mut cx.origins);
    let part = cache.get_or_read(&key, || read_both(source, device, cx));
    (cx.origins, cx.scratch) = (cache, key);
    part
}

fn read_both(source: &str, device: &str, cx: &mut Context) -> Result<Part<Origin>, String> {
    let mut origin = Origin::default();
    let mut unknown = Vec::new();
    let mut system = None;
    Raw::new("sourceRevision", source).entries(|key, text| {
        let value = Raw::new(key, text);
        match key {
            "source" => value.entries(|key, text| {
                match key {
                    "name" => origin.name = Raw::new(key, text).name(cx)?,
                    "bundleIdentifier" => origin.bundle = Raw::new(key, text).name(cx)?,
                    _ => keep(&mut unknown, "source", key, text, cx)?,
                }
                Ok(())
            })?,
            "version" => origin.version = value.name(cx)?,
            "productType" => origin.product = value.name(cx)?,
            "systemVersion" => origin.os = value.name(cx)?,
            "operatingSystem" => system = operating_system(value, cx)?,
            _ => keep(&mut unknown, "source", key, text, cx)?,
        }
        Ok(())
    })?;
    // Both say the same; the text is the longer one where they differ.
    origin.os = origin.os.or(system);
    let mut made_by = Device::default();
    Raw::new("device", device).entries(|key, text| {
        let value = Raw::new(key, text);
        match key {
            "name" => made_by.name = value.name(cx)?,
            "manufacturer" => made_by.manufacturer = value.name(cx)?,
            "model" => made_by.model = value.name(cx)?,
            "hardwareVersion" => made_by.hardware = value.name(cx)?,
            "firmwareVersion" => made_by.firmware = value.name(cx)?,
            "softwareVersion" => made_by.software = value.name(cx)?,
            _ => keep(&mut unknown, "device", key, text, cx)?,
        }
        Ok(())
    })?;
    origin.device = (made_by != Device::default()).then_some(made_by);
    Ok(Part {
        part: (origin != Origin::default()).then(|| Arc::new(origin)),
        unknown: (!unknown.is_empty()).then(|| unknown.into()),
    })
}

/// What is known and has no place: it tells a device from others of the same model.
const KEPT: [&str; 2] = ["localIdentifier", "udiDeviceIdentifier"];

/// Keeps what an origin has no place for.
fn keep(
    unknown: &mut Vec<(Name, MetaValue)>,
    object: &str,
    key: &str,
    text: &str,
    cx: &mut Context,
) -> Result<(), String> {
    if cx.strict && !KEPT.contains(&key) {
        return Err(format!("unknown key `{object}.{}`", printable(key)));
    }
    let key = format!("{object}.{key}");
    if let Some(value) = read_meta_value(&key, text, cx)? {
        unknown.push((cx.name(&key), value));
    }
    Ok(())
}

/// `14.5.0` of `{"majorVersion":14,"minorVersion":5,"patchVersion":0}`.
fn operating_system(value: Raw<'_>, cx: &mut Context) -> Result<Option<Name>, String> {
    let mut version = [None; 3];
    value.entries(|key, text| {
        let place = ["majorVersion", "minorVersion", "patchVersion"].iter().position(|known| *known == key);
        if let Some(place) = place {
            version[place] = Raw::new(key, text).whole()?;
        }
        Ok(())
    })?;
    let [major, minor, patch] = version;
    Ok(major.map(|major| cx.name(&format!("{major}.{}.{}", minor.unwrap_or(0), patch.unwrap_or(0)))))
}
