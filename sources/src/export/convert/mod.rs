//! Elements of an export as records.
//!
//! | element | record |
//! |---|---|
//! | Record | quantity (unit as given, a percentage as a fraction), category (raw value), else JSON of its attributes |
//! | Correlation | correlation with its samples inside; they stand at the top level too and count there |
//! | Workout | workout; an inline route of an old export is a record of its own |
//! | ActivitySummary | activity summary, from midnight to midnight UTC because the zone of the day is not given |
//! | ClinicalRecord | clinical, with the path of the document in the export |
//! | Audiogram, VisionPrescription, and unknown ones with a type and dates | JSON of attributes and children |
//! | Me | nothing: characteristics are no samples |
//!
//! Equal raw text (types, units, sources with their devices) is understood once and shared.

mod metadata;
mod other;
mod sample;
mod workout;

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Name, NameCache, Origin, Record, RecordId, Timestamp, Unit, Value,
};
use afferent_formats::identity::derive_id_with;

use self::sample::Type;
use super::{
    cache::Cache,
    date,
    device::{origin, origin_key, without_address},
    element::{Element, Reason, text, without_controls},
};

/// Which records are wanted, and whose they are.
#[derive(Clone, Debug, Default)]
pub(in crate::export) struct Rules {
    pub(in crate::export) subject: Option<Name>,
    /// `None` is all.
    pub(in crate::export) kinds: Option<Vec<Kind>>,
    pub(in crate::export) since: Option<Timestamp>,
    pub(in crate::export) until: Option<Timestamp>,
}

/// What an element was converted to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::export) enum Made {
    /// Records were added to the output.
    Records,
    /// Nothing: it is no sample, or not a wanted one.
    Nothing,
    /// The date of the export.
    Exported(String),
    /// Nothing: this name is unknown.
    Unknown(String),
}

/// Converts elements, one after the other, and remembers what repeats.
#[derive(Debug)]
pub(in crate::export) struct Converter {
    rules: Rules,
    names: NameCache,
    types: Cache<Type>,
    units: Cache<Unit>,
    origins: Cache<Arc<Origin>>,
    /// Buffers that keep their allocation.
    origin_key: Vec<u8>,
    id: Vec<u8>,
    clean: Vec<u8>,
}

/// The attributes that most samples have, raw.
#[derive(Clone, Copy, Debug, Default)]
struct Attributes<'a> {
    kind: Option<&'a str>,
    source: Option<&'a str>,
    version: Option<&'a str>,
    device: Option<&'a str>,
    unit: Option<&'a str>,
    value: Option<&'a str>,
    start: Option<&'a str>,
    end: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn of(element: &Element<'a>) -> Result<Attributes<'a>, Reason> {
        let mut found = Attributes::default();
        let mut second_start = None;
        element.attributes(|name, value| {
            // The first of several with one name counts; iOS 16 wrote a second startDate in place of endDate.
            let slot = match name {
                "type" => &mut found.kind,
                "sourceName" => &mut found.source,
                "sourceVersion" => &mut found.version,
                "device" => &mut found.device,
                "unit" => &mut found.unit,
                "value" => &mut found.value,
                "startDate" if found.start.is_some() => &mut second_start,
                "startDate" => &mut found.start,
                "endDate" => &mut found.end,
                _ => return,
            };
            slot.get_or_insert(value);
        })?;
        found.end = found.end.or(second_start);
        Ok(found)
    }

    fn span(&self) -> Result<(Timestamp, Timestamp), Reason> {
        Ok((instant("startDate", self.start)?, instant("endDate", self.end)?))
    }
}

/// Reads a date that has to be there.
fn instant(name: &str, raw: Option<&str>) -> Result<Timestamp, Reason> {
    let raw = raw.ok_or_else(|| format!("expected a {name}, found none"))?;
    date::instant(raw)
        .ok_or_else(|| format!("{name} is no date of the form yyyy-MM-dd HH:mm:ss ±HHMM").into())
}

/// Reads a finite number that has to be there.
fn number(name: &str, raw: Option<&str>) -> Result<f64, Reason> {
    let raw = raw.ok_or_else(|| format!("expected a {name}, found none"))?;
    let number: Option<f64> = raw.trim().parse().ok();
    number.filter(|number| number.is_finite()).ok_or_else(|| format!("{name} is no finite number").into())
}

/// Reads a finite number that may be absent.
fn optional_number(name: &str, raw: Option<&str>) -> Result<Option<f64>, Reason> {
    raw.map(|raw| number(name, Some(raw))).transpose()
}

impl Converter {
    pub(in crate::export) fn new(rules: Rules) -> Converter {
        Converter {
            rules,
            names: NameCache::default(),
            types: Cache::default(),
            units: Cache::default(),
            origins: Cache::default(),
            origin_key: Vec::new(),
            id: Vec::new(),
            clean: Vec::new(),
        }
    }

    /// Converts the element that `bytes` are, whose first tag is `tag_len` long; its records go to the end of `out`.
    ///
    /// # Errors
    /// Why it can't be read, without any value of it; what is in `out` then is to be dropped.
    pub(in crate::export) fn convert(
        &mut self,
        bytes: &[u8],
        tag_len: usize,
        out: &mut Vec<Record>,
    ) -> Result<Made, Reason> {
        let mut clean = std::mem::take(&mut self.clean);
        let made = match std::str::from_utf8(without_controls(bytes, &mut clean)) {
            Ok(text) if text.len() == bytes.len() => self.convert_element(Element::whole(text, tag_len), out),
            // Without its control characters the tag is shorter.
            Ok(text) => self.convert_element(Element::first(text).map(|(element, _)| element), out),
            Err(_) => Err("the element is not valid UTF-8".into()),
        };
        self.clean = clean;
        made
    }

    fn convert_element(
        &mut self,
        element: Option<Element<'_>>,
        out: &mut Vec<Record>,
    ) -> Result<Made, Reason> {
        let element = element.ok_or("the element is damaged")?;
        let record = match element.name() {
            "Record" => self.sample(&element)?,
            "Correlation" => self.correlation(&element)?,
            "Workout" => return self.workout(&element, out),
            "ActivitySummary" => self.activity_summary(&element)?,
            "ClinicalRecord" => self.clinical(&element)?,
            "Me" => None,
            "ExportDate" => {
                return Ok(element
                    .get("value")
                    .map_or(Made::Nothing, |date| Made::Exported(date.to_owned())));
            }
            name => match self.other(&element)? {
                Some(made) => made,
                None => return Ok(Made::Unknown(name.chars().take(MAX_NAME_CHARS).collect())),
            },
        };
        Ok(match record {
            Some(record) => {
                out.push(record);
                Made::Records
            }
            None => Made::Nothing,
        })
    }

    /// Whether a record of `kind` that starts then is wanted.
    fn is_wanted(&self, kind: Kind, start: Timestamp) -> bool {
        let Rules { kinds, since, until, .. } = &self.rules;
        kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
            && since.is_none_or(|since| start >= since)
            && until.is_none_or(|until| start < until)
    }

    /// The record of these parts, with its id.
    fn record(
        &mut self,
        kind: Kind,
        (start, end): (Timestamp, Timestamp),
        value: Value,
        attributes: &Attributes<'_>,
        metadata: Metadata,
    ) -> Record {
        let mut record = Record::added(RecordId::from_u128(0), kind, start, end, value);
        record.subject = self.rules.subject.clone();
        record.origin = self.origin(attributes);
        if !metadata.is_empty() {
            // The zone of the sample; that of the dates is the phone's at the time of the export.
            if let Some(MetaValue::String(zone)) = metadata.get("HKTimeZone") {
                record.zone = Some(zone.clone());
            }
            record.metadata = Some(Arc::new(metadata));
        }
        record.id = derive_id_with(&mut self.id, &record);
        record
    }

    fn origin(&mut self, attributes: &Attributes<'_>) -> Option<Arc<Origin>> {
        let Attributes { source, version, device, .. } = *attributes;
        source.or(version).or(device)?;
        origin_key(&mut self.origin_key, source, version, device.map(without_address));
        let made =
            self.origins.get(&self.origin_key, || Ok::<_, ()>(Arc::new(origin(source, version, device))));
        made.ok()
    }

    fn unit(&mut self, raw: Option<&str>) -> Result<Unit, Reason> {
        let raw = raw.ok_or("expected a unit, found none")?;
        self.units
            .get(raw.as_bytes(), || Unit::parse(&text(raw)).map_err(|error| format!("unit: {error}").into()))
    }
}

/// Characters of an unknown name that are told.
const MAX_NAME_CHARS: usize = 40;
