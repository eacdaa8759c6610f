//! Who made a record: the source attributes and the text form of an HKDevice.

use std::borrow::Cow;

use afferent_core::{Name, Origin, record::Device};

use super::text::text;

/// What HealthKit calls the fields of a device in its text form.
const FIELDS: [&str; 9] = [
    "name:",
    "manufacturer:",
    "model:",
    "hardware:",
    "firmware:",
    "software:",
    "localIdentifier:",
    "UDIDeviceIdentifier:",
    "creation date:",
];

/// How the text form of a device begins in the raw XML; the object's address in memory follows.
const RAW_START: &str = "&lt;&lt;HKDevice: 0x";

/// The raw device attribute without the address in memory, which differs from export to export and even
/// within one.
pub(super) fn without_address(raw: &str) -> &str {
    match raw.strip_prefix(RAW_START) {
        Some(rest) => &rest[rest.bytes().take_while(u8::is_ascii_hexdigit).count()..],
        None => raw,
    }
}

/// The origin that the raw attributes `sourceName`, `sourceVersion` and `device` describe. The export has no
/// bundle, product type or system version.
pub(super) fn origin(source: Option<&str>, version: Option<&str>, raw_device: Option<&str>) -> Origin {
    let name =
        |raw: Option<&str>| raw.map(text).filter(|text| !text.is_empty()).map(|text| Name::from(&*text));
    Origin {
        name: name(source),
        version: name(version),
        device: raw_device.and_then(|raw| device(&text(raw))),
        ..Origin::default()
    }
}

/// Reads `<<HKDevice: 0x3012772a0>, name:Apple Watch, hardware:Watch6,7, …>`. Values contain commas, so the text
/// is cut where one of the known fields begins. Local and UDI identifiers name one piece of hardware, not a
/// kind of it; they and the creation date are left out. A text in another form is kept as the name.
fn device(text: &str) -> Option<Device> {
    let Some(fields) = text.strip_prefix("<<HKDevice:") else {
        return (!text.is_empty()).then(|| Device { name: Some(text.into()), ..Device::default() });
    };
    let fields = fields.strip_suffix('>').unwrap_or(fields);
    // What stands before the first comma is the address.
    let mut rest = fields.split_once(", ").map_or("", |(_, rest)| rest);
    let mut device = Device::default();
    while let Some(field) = FIELDS.iter().find(|field| rest.starts_with(**field)) {
        let value = &rest[field.len()..];
        let end = next_field(value);
        let name = (end > 0).then(|| Name::from(&value[..end]));
        match *field {
            "name:" => device.name = name,
            "manufacturer:" => device.manufacturer = name,
            "model:" => device.model = name,
            "hardware:" => device.hardware = name,
            "firmware:" => device.firmware = name,
            "software:" => device.software = name,
            _ => {}
        }
        rest = value[end..].strip_prefix(", ").unwrap_or("");
    }
    (device != Device::default()).then_some(device)
}

/// Where the value ends: before `, ` and the name of a field, or at the end.
fn next_field(value: &str) -> usize {
    value
        .match_indices(", ")
        .map(|(at, _)| at)
        .find(|at| FIELDS.iter().any(|field| value[at + 2..].starts_with(field)))
        .unwrap_or(value.len())
}

/// The key under which an origin is remembered: its raw attributes, without the address.
pub(super) fn origin_key(
    key: &mut Vec<u8>,
    source: Option<&str>,
    version: Option<&str>,
    device: Option<&str>,
) {
    key.clear();
    for part in [source, version, device] {
        key.extend_from_slice(part.unwrap_or_default().as_bytes());
        key.push(0);
    }
}

/// A text as a name, unless it is empty.
pub(super) fn present(text: Cow<'_, str>) -> Option<Name> {
    (!text.is_empty()).then(|| Name::from(&*text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the device texts that exports carry. Guarantees: G2, the address is no part of the device; G4,
    /// commas in values stay.
    #[test]
    fn devices() {
        let watch = "&lt;&lt;HKDevice: 0x3012772a0&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,7, software:10.2, creation date:2024-01-01 10:00:00 +0000&gt;";
        let read = origin(None, None, Some(watch)).device.unwrap();
        assert_eq!(read.hardware.as_deref(), Some("Watch6,7"));
        assert_eq!(read.manufacturer.as_deref(), Some("Apple Inc."));
        assert_eq!(read.software.as_deref(), Some("10.2"));
        assert_eq!(read.firmware, None);
        let moved = watch.replace("0x3012772a0", "0xfeed");
        assert_eq!(origin(None, None, Some(&moved)).device, Some(read));
        assert_eq!(without_address(&moved), without_address(watch));
        let commas = "&lt;&lt;HKDevice: 0x1&gt;, name:Scale, kitchen, manufacturer:A, B &amp; C&gt;";
        let read = origin(None, None, Some(commas)).device.unwrap();
        assert_eq!(read.name.as_deref(), Some("Scale, kitchen"));
        assert_eq!(read.manufacturer.as_deref(), Some("A, B & C"));
        assert_eq!(origin(None, None, Some("Old scale")).device.unwrap().name.as_deref(), Some("Old scale"));
        for nothing in ["", "&lt;&lt;HKDevice: 0x1&gt;&gt;", "&lt;&lt;HKDevice: 0x1&gt;, name:&gt;"] {
            assert_eq!(origin(None, None, Some(nothing)).device, None, "{nothing}");
        }
    }
}
