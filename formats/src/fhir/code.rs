//! Codes of types and units, written once and kept.

use std::collections::HashMap;

use afferent_core::{Kind, Unit};
use foldhash::fast::RandomState;

use super::{APPLE_SYSTEM, text::write_string};
use crate::{
    decimal::{write_decimal, write_hundredfold},
    terms,
};

/// How many codes are kept: a feed has some dozens of types, each in one or two units.
const MAX_CODES: usize = 1024;

/// The units in which HL7's vital signs profile takes each of its codes (FHIR R4, observation-vitalsigns). What is in
/// another unit is an Observation all the same, and no vital sign by that profile.
const VITAL_UNITS: &[(&str, &[&str])] = &[
    ("8867-4", &["/min"]),
    ("9279-1", &["/min"]),
    ("59408-5", &["%"]),
    ("8310-5", &["Cel", "[degF]"]),
    ("8302-2", &["cm", "[in_i]"]),
    ("29463-7", &["g", "kg", "[lb_av]"]),
    ("39156-5", &["kg/m2"]),
    ("8480-6", &["mm[Hg]"]),
    ("8462-4", &["mm[Hg]"]),
];

/// What stands around a number of one type in one unit.
#[derive(Debug)]
pub(super) struct Code {
    /// `,"category":[…]`, if there is one, and `,"code":{…}`.
    head: Vec<u8>,
    /// Where in it `"code":{…}` begins.
    code: usize,
    /// `,"unit":…,"system":…,"code":…}`, behind the number.
    tail: Vec<u8>,
    percent: bool,
}

impl Code {
    /// Appends category and code of an Observation.
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
    }

    /// Appends the code of a component.
    pub(super) fn write_code(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head[self.code..]);
    }

    /// Appends a Quantity; `begin` is what stands before the number, `{"value":` included.
    pub(super) fn write_quantity(&self, begin: &[u8], number: f64, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(begin);
        match self.percent {
            true => write_hundredfold(number, out)?,
            false => write_decimal(number, out)?,
        }
        out.extend_from_slice(&self.tail);
        Ok(())
    }
}

/// Codes that have come. What comes often comes in a row, so the last one is looked at first.
#[derive(Debug, Default)]
pub(super) struct Codes {
    known: Vec<(Key, Code)>,
    places: HashMap<Key, usize, RandomState>,
    last: usize,
}

type Key = (Option<Kind>, Option<Unit>);

impl Codes {
    /// What is written of `kind`, and of numbers of it in `unit`.
    pub(super) fn of(&mut self, kind: Option<Kind>, unit: Option<Unit>) -> &Code {
        let key = (kind, unit);
        if self.known.get(self.last).is_none_or(|(known, _)| *known != key) {
            self.last = self.place(key);
        }
        &self.known[self.last].1
    }

    fn place(&mut self, key: Key) -> usize {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        if self.known.len() == MAX_CODES {
            self.known.clear();
            self.places.clear();
        }
        let place = self.known.len();
        self.known.push((key, make(key.0, key.1)));
        self.places.insert(key, place);
        place
    }
}

fn make(kind: Option<Kind>, unit: Option<Unit>) -> Code {
    let ucum = unit.and_then(|unit| terms::ucum(kind, unit));
    let mut tail = Vec::new();
    if let Some(unit) = unit {
        tail.extend_from_slice(b",\"unit\":");
        write_string(unit.as_str(), &mut tail);
    }
    if let Some(ucum) = &ucum {
        tail.extend_from_slice(b",\"system\":\"http://unitsofmeasure.org\",\"code\":");
        write_string(&ucum.code, &mut tail);
    }
    tail.push(b'}');
    let mut head = Vec::new();
    if let Some(term) = kind.and_then(terms::of)
        && let (Some(name), Some((loinc, _))) = (term.category, term.loinc)
        && is_vital(loinc, kind.is_some_and(Kind::is_quantity), ucum.as_ref())
    {
        head.extend_from_slice(
            b",\"category\":[{\"coding\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/observation-category\",\"code\":",
        );
        write_string(name, &mut head);
        head.extend_from_slice(b"}]}]");
    }
    head.push(b',');
    let code = head.len();
    write_kind(kind, &mut head);
    Code { head, code, tail, percent: ucum.is_some_and(|ucum| ucum.percent) }
}

fn is_vital(loinc: &str, is_quantity: bool, ucum: Option<&terms::Ucum>) -> bool {
    let units = VITAL_UNITS.iter().find(|(code, _)| *code == loinc).map(|(_, units)| *units);
    match (units, ucum) {
        (Some(units), Some(ucum)) => units.contains(&ucum.code.as_str()),
        // The panel of a blood pressure has no unit of its own.
        _ => !is_quantity,
    }
}

/// Appends `"code":{…}`; a type that is not Apple's has no system, and is a text.
fn write_kind(kind: Option<Kind>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"code\":{");
    let Some(kind) = kind else {
        out.extend_from_slice(b"\"text\":\"unknown\"}");
        return;
    };
    if !kind.name().starts_with("HK") {
        out.extend_from_slice(b"\"text\":");
        write_string(kind.name(), out);
        out.push(b'}');
        return;
    }
    out.extend_from_slice(b"\"coding\":[");
    if let Some((code, display)) = terms::of(kind).and_then(|term| term.loinc) {
        write_coding("http://loinc.org", code, Some(display), out);
        out.push(b',');
    }
    if kind.class() == Some(afferent_core::kind::KindClass::Electrocardiogram) {
        // ISO/IEEE 11073-10101, as HL7's own example of an electrocardiogram writes it.
        write_coding(MDC_SYSTEM, "131328", Some("MDC_ECG_ELEC_POTL"), out);
        out.push(b',');
    }
    write_coding(APPLE_SYSTEM, kind.name(), None, out);
    out.extend_from_slice(b"]}");
}

/// Codes of ISO/IEEE 11073-10101.
pub(super) const MDC_SYSTEM: &str = "urn:oid:2.16.840.1.113883.6.24";

/// Appends a Coding.
pub(super) fn write_coding(system: &str, code: &str, display: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"system\":");
    write_string(system, out);
    out.extend_from_slice(b",\"code\":");
    write_string(code, out);
    if let Some(display) = display {
        out.extend_from_slice(b",\"display\":");
        write_string(display, out);
    }
    out.push(b'}');
}
