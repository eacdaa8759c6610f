//! Where a record comes from: source, device, metadata; as HealthKitOnFHIR's extensions
//! (StanfordBDHG/HealthKitOnFHIR at 25b9ca3, `FHIRExtensionBuilder+Source.swift`, `…+Metadata.swift`).

use std::sync::Arc;

use afferent_core::{MetaValue, Metadata, Name, Origin, Record, record::Device};

use super::{code::Codes, text::write_string};
use crate::{decimal::write_decimal, zones::Zones};

/// Of how many origins what is written is kept: a person has a few devices and apps, each in a few versions.
const MAX_ORIGINS: usize = 64;

/// Of how many metadata what is written is kept: a sensor says one of a few things (whether somebody moved, who set a value).
const MAX_SAYINGS: usize = 32;

/// Longest text that is kept of metadata; with [`MAX_SAYINGS`] it bounds them to 64 KiB.
const MAX_SAYING_BYTES: usize = 2048;

/// Begins the list of extensions.
const EXTENSION: &[u8] = b",\"extension\":[";

/// Base of the extensions' addresses.
const BASE: &str = "https://bdh.stanford.edu/fhir/defs/";

/// Origins that have come. Records of one origin share it, so it is known by its address.
#[derive(Debug, Default)]
pub(super) struct Origins {
    known: Vec<(Arc<Origin>, Written)>,
    last: usize,
}

/// What is written of an origin: `,"device":{…},"extension":[…`, as far as there is something to say.
#[derive(Debug)]
struct Written {
    text: Vec<u8>,
    /// Whether it begins the list of extensions, which is to be ended.
    extends: bool,
}

impl Origins {
    fn of(&mut self, origin: &Arc<Origin>) -> &Written {
        let is_it = |(known, _): &(Arc<Origin>, Written)| Arc::ptr_eq(known, origin);
        if !self.known.get(self.last).is_some_and(is_it) {
            self.last = self.known.iter().position(is_it).unwrap_or_else(|| {
                if self.known.len() == MAX_ORIGINS {
                    self.known.clear();
                }
                self.known.push((origin.clone(), written(origin)));
                self.known.len() - 1
            });
        }
        &self.known[self.last].1
    }
}

/// Metadata that have come, and what is written of them. Decoders share what is equal, so it is known by its address, which nothing
/// else has while it is kept here.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    known: Vec<(Arc<Metadata>, Vec<u8>)>,
    /// What makes room next.
    next: usize,
}

impl Sayings {
    /// Appends the extension of `metadata`; whether there was anything to say.
    fn write(
        &mut self,
        metadata: &Arc<Metadata>,
        codes: &mut Codes,
        out: &mut Vec<u8>,
    ) -> Result<bool, String> {
        if let Some((_, text)) = self.known.iter().find(|(known, _)| Arc::ptr_eq(known, metadata)) {
            out.extend_from_slice(text);
            return Ok(!text.is_empty());
        }
        let begin = out.len();
        let has_said = write_metadata(metadata, codes, out)?;
        let text = if has_said { &out[begin..] } else { &[] };
        // What nobody shares comes once.
        if Arc::strong_count(metadata) > 1 && text.len() <= MAX_SAYING_BYTES {
            let entry = (metadata.clone(), text.to_vec());
            if self.known.len() < MAX_SAYINGS {
                self.known.push(entry);
            } else {
                self.known[self.next] = entry;
                self.next = (self.next + 1) % MAX_SAYINGS;
            }
        }
        Ok(has_said)
    }
}

/// Appends `,"device":{…},"extension":[…]`, as far as there is something to say.
pub(super) fn write_provenance(
    record: &Record,
    origins: &mut Origins,
    sayings: &mut Sayings,
    codes: &mut Codes,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut separator: &[u8] = EXTENSION;
    if let Some(origin) = &record.origin {
        let Written { text, extends } = origins.of(origin);
        out.extend_from_slice(text);
        if *extends {
            separator = b",";
        }
    }
    if let Some(metadata) = &record.metadata {
        let begin = out.len();
        out.extend_from_slice(separator);
        match sayings.write(metadata, codes, out)? {
            true => separator = b",",
            false => out.truncate(begin),
        }
    }
    if separator == b"," {
        out.push(b']');
    }
    Ok(())
}

fn written(origin: &Origin) -> Written {
    let Origin { name, bundle, version, product, os, device } = origin;
    let (mut native, mut extensions) = (Vec::new(), Vec::new());
    if let Some(device) = device {
        let Device { name, manufacturer, model, hardware, firmware, software } = device;
        if let Some(shown) = [name, model].into_iter().flatten().find(|text| !text.is_empty()) {
            native.extend_from_slice(b",\"device\":{\"display\":");
            write_string(shown, &mut native);
            native.push(b'}');
        }
        let entries = [
            ("name", name),
            ("manufacturer", manufacturer),
            ("model", model),
            ("hardwareVersion", hardware),
            ("firmwareVersion", firmware),
            ("softwareVersion", software),
        ];
        write_extension("sourceDevice", &[], &entries, &mut extensions);
    }
    let mut source = Vec::new();
    write_extension(
        "sourceRevision/source",
        &[],
        &[("name", name), ("bundleIdentifier", bundle)],
        &mut source,
    );
    let entries = [("version", version), ("productType", product), ("OSVersion", os)];
    write_extension("sourceRevision", &source, &entries, &mut extensions);
    let (mut text, extends) = (native, !extensions.is_empty());
    if extends {
        text.extend_from_slice(EXTENSION);
        text.extend_from_slice(&extensions);
    }
    Written { text, extends }
}

/// Appends the extension `name` with `nested` and with a text for each entry, after a comma if it is not the first; nothing if
/// it would be empty.
fn write_extension(name: &str, nested: &[u8], entries: &[(&str, &Option<Name>)], out: &mut Vec<u8>) {
    let begin = out.len();
    if begin > 0 {
        out.push(b',');
    }
    out.extend_from_slice(b"{\"extension\":[");
    out.extend_from_slice(nested);
    let mut is_empty = nested.is_empty();
    for (key, text) in entries {
        let Some(text) = text.as_ref().filter(|text| !text.is_empty()) else { continue };
        if !is_empty {
            out.push(b',');
        }
        is_empty = false;
        out.extend_from_slice(b"{\"url\":\"");
        for part in [BASE, name, "/", key] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(b"\",\"valueString\":");
        write_string(text, out);
        out.push(b'}');
    }
    if is_empty {
        out.truncate(begin);
        return;
    }
    out.extend_from_slice(b"],\"url\":\"");
    out.extend_from_slice(BASE.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\"}");
}

/// Appends the extension of the metadata; whether there was anything to say.
fn write_metadata(metadata: &Metadata, codes: &mut Codes, out: &mut Vec<u8>) -> Result<bool, String> {
    let mut separator: &[u8] = b"{\"extension\":[";
    for (key, value) in metadata.iter() {
        if matches!(value, MetaValue::String(text) if text.is_empty()) {
            continue;
        }
        out.extend_from_slice(separator);
        separator = b",";
        out.extend_from_slice(b"{\"url\":\"https://bdh.stanford.edu/fhir/defs/metadata/");
        write_segment(key, out);
        out.extend_from_slice(b"\",\"value");
        match value {
            MetaValue::String(text) => {
                out.extend_from_slice(b"String\":");
                write_string(text, out);
            }
            MetaValue::Number(number) => {
                out.extend_from_slice(b"Decimal\":");
                write_decimal(*number, out)?;
            }
            MetaValue::Bool(true) => out.extend_from_slice(b"Boolean\":true"),
            MetaValue::Bool(false) => out.extend_from_slice(b"Boolean\":false"),
            MetaValue::Date(time) => {
                out.extend_from_slice(b"DateTime\":");
                Zones::default().write_time(None, *time, out)?;
            }
            MetaValue::Quantity(number, unit) => {
                codes.of(None, Some(*unit)).write_quantity(b"Quantity\":{\"value\":", *number, out)?;
            }
        }
        out.push(b'}');
    }
    if separator == b"," {
        out.extend_from_slice(b"],\"url\":\"https://bdh.stanford.edu/fhir/defs/metadata\"}");
    }
    Ok(separator == b",")
}

/// Appends `key` as a segment of an address (RFC 3986 §2.3).
fn write_segment(key: &str, out: &mut Vec<u8>) {
    let is_unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut rest = key.as_bytes();
    loop {
        let plain = rest.iter().take_while(|byte| is_unreserved(byte)).count();
        out.extend_from_slice(&rest[..plain]);
        let Some((byte, after)) = rest[plain..].split_first() else { return };
        let digit = |number: u8| b"0123456789ABCDEF"[usize::from(number)];
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        rest = after;
    }
}
