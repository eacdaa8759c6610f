//! Elements of an export as records.
//!
//! | element | record |
//! |---|---|
//! | Record | quantity (unit as given, a percentage as a fraction), category (raw value), else JSON of its attributes |
//! | Correlation | correlation with its samples inside; they stand at the top level too and count there |
//! | Workout | workout; then its routes, from the GPX files it names or, in an old export, from inside it; then the samples inside it |
//! | ActivitySummary | activity summary, from midnight to midnight UTC because the zone of the day is not given |
//! | ClinicalRecord | clinical, with the document it names and its path |
//! | Audiogram, VisionPrescription, StateOfMind, MedicationDoseEvent, and unknown ones with a type and a date | JSON of attributes and children |
//! | Me | nothing: characteristics are no samples |
//!
//! Equal raw text (types, units, sources with their devices) is understood once and shared.

mod metadata;
mod other;
mod sample;
mod side;
mod workout;

use std::sync::Arc;

use afferent_core::{
    Error, Kind, MetaValue, Metadata, Name, NameCache, Origin, Record, RecordId, Rejects, Timestamp, Unit,
    Value,
};
use afferent_formats::identity::derive_id_with;

use self::sample::Type;
use super::{
    beside::Beside,
    cache::Cache,
    date,
    device::{origin, origin_key, without_address},
    element::{Element, Reason},
    skipped::{Skip, Skipped},
    text::{text, without_controls},
};

/// How long the buffer of ids may stay.
const MAX_ID_BUFFER: usize = 64 << 10;

/// Which records are wanted, and whose they are.
#[derive(Clone, Debug, Default)]
pub(in crate::export) struct Rules {
    pub(in crate::export) subject: Option<Name>,
    /// `None` is all.
    pub(in crate::export) kinds: Option<Vec<Kind>>,
    pub(in crate::export) since: Option<Timestamp>,
    pub(in crate::export) until: Option<Timestamp>,
}

impl Rules {
    fn wants_all(&self) -> bool {
        self.kinds.is_none() && self.since.is_none() && self.until.is_none()
    }

    /// Whether records of `kind` are wanted at any time.
    fn wants_kind(&self, kind: Kind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    fn wants(&self, kind: Kind, start: Timestamp) -> bool {
        self.wants_kind(kind)
            && self.since.is_none_or(|since| start >= since)
            && self.until.is_none_or(|until| start < until)
    }
}

/// Why an element was not converted.
#[derive(Debug)]
pub(in crate::export) enum Failure {
    /// It can't be read; without any value of it.
    Bad(Reason),
    /// A file beside the XML can't be read now.
    Failed(Error),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::Bad(reason)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error)
    }
}

/// What an element gave.
#[derive(Debug, Default)]
pub(in crate::export) struct Made {
    /// Its records.
    pub(in crate::export) records: Vec<Record>,
    /// Files that it names and that can't be read.
    pub(in crate::export) rejects: Rejects,
    /// Routes that it names; they follow.
    pub(in crate::export) routes: Vec<NamedRoute>,
    /// What was passed over.
    pub(in crate::export) skipped: Skipped,
    /// The date of the export.
    pub(in crate::export) exported: Option<String>,
}

/// A route in a file beside the XML.
#[derive(Debug)]
pub(in crate::export) struct NamedRoute {
    path: Name,
    /// Its record, but for the value and the id.
    record: Record,
}

impl Made {
    pub(in crate::export) fn clear(&mut self) {
        self.records.clear();
        self.rejects.clear();
        self.routes.clear();
        self.skipped = Skipped::default();
        self.exported = None;
    }
}

/// Converts elements, one after the other, and remembers what repeats.
#[derive(Debug)]
pub(in crate::export) struct Converter {
    rules: Rules,
    beside: Beside,
    names: NameCache,
    types: Cache<Type>,
    units: Cache<Unit>,
    origins: Cache<Arc<Origin>>,
    /// Buffers that keep their allocation.
    origin_key: Vec<u8>,
    id: Vec<u8>,
    clean: Vec<u8>,
}

/// Attributes that are read where they belong, or left out on purpose.
const ELSEWHERE: [&str; 20] = [
    "creationDate",
    "workoutActivityType",
    "duration",
    "durationUnit",
    "totalDistance",
    "totalDistanceUnit",
    "totalEnergyBurned",
    "totalEnergyBurnedUnit",
    "totalFlightsClimbed",
    "totalFlightsClimbedUnit",
    "totalSwimmingStrokeCount",
    "totalSwimmingStrokeCountUnit",
    "identifier",
    "sourceURL",
    "fhirVersion",
    "receivedDate",
    "resourceFilePath",
    "displayName",
    "dateIssued",
    "expirationDate",
];

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
    /// Whether there is one of a name that is not known.
    has_unknown: bool,
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
                name => {
                    found.has_unknown |= !ELSEWHERE.contains(&name);
                    return;
                }
            };
            slot.get_or_insert(value);
        })?;
        found.end = found.end.or(second_start);
        Ok(found)
    }

    /// Counts the attributes of `element`, which these are of, that have no place in its record.
    fn count_unknown(&self, element: &Element<'_>, skipped: &mut Skipped) -> Result<(), Reason> {
        if self.has_unknown { check_attributes(element, is_known, skipped) } else { Ok(()) }
    }

    fn span(&self) -> Result<(Timestamp, Timestamp), Reason> {
        let span = (instant("startDate", self.start)?, instant("endDate", self.end)?);
        if span.1 < span.0 { Err("endDate is before startDate".into()) } else { Ok(span) }
    }
}

/// The attributes that [`Attributes`] has.
const COMMON: [&str; 8] =
    ["type", "sourceName", "sourceVersion", "device", "unit", "value", "startDate", "endDate"];

/// Whether the attribute is one of a sample.
fn is_known(name: &str) -> bool {
    COMMON.contains(&name) || ELSEWHERE.contains(&name)
}

/// Checks the attributes of an element, or of a part of one, that are read one by one, and counts those that are not
/// known.
///
/// # Errors
/// When one of them is not of the form `name="value"`: those behind it would be missed without a word.
fn check_attributes(
    element: &Element<'_>,
    is_known: impl Fn(&str) -> bool,
    skipped: &mut Skipped,
) -> Result<(), Reason> {
    element.attributes(|name, _| {
        if !is_known(name) {
            skipped.add_unknown_attribute(name);
        }
    })
}

/// A type of the catalogue.
fn named(identifier: &str) -> Kind {
    Kind::from_data(identifier).expect("invariant: the identifier is in the catalogue")
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
    pub(in crate::export) fn new(rules: Rules, beside: Beside) -> Converter {
        Converter {
            rules,
            beside,
            names: NameCache::default(),
            types: Cache::default(),
            units: Cache::default(),
            origins: Cache::default(),
            origin_key: Vec::new(),
            id: Vec::new(),
            clean: Vec::new(),
        }
    }

    /// Converts the element that `bytes` are, whose first tag is `tag_len` long; what it gives is added to `out`.
    ///
    /// # Errors
    /// What is in `out` then is to be dropped.
    pub(in crate::export) fn convert(
        &mut self,
        bytes: &[u8],
        tag_len: usize,
        out: &mut Made,
    ) -> Result<(), Failure> {
        let mut clean = std::mem::take(&mut self.clean);
        let made = match std::str::from_utf8(without_controls(bytes, &mut clean)) {
            Ok(text) if text.len() == bytes.len() => self.convert_element(Element::whole(text, tag_len), out),
            // Without its control characters the tag is shorter.
            Ok(text) => self.convert_element(Element::first(text).map(|(element, _)| element), out),
            Err(_) => Err(Failure::Bad("the element is not valid UTF-8".into())),
        };
        self.clean = clean;
        made
    }

    fn convert_element(&mut self, element: Option<Element<'_>>, out: &mut Made) -> Result<(), Failure> {
        let element = element.ok_or(Reason::from("the element is damaged"))?;
        match element.name() {
            "Record" => self.sample(&element, out)?,
            "Correlation" => self.correlation(&element, out)?,
            "Workout" => self.workout(&element, out)?,
            "ActivitySummary" => self.activity_summary(&element, out)?,
            "ClinicalRecord" => self.clinical(&element, out)?,
            "Me" => out.skipped.add(Skip::Characteristics),
            "ExportDate" => out.exported = element.get("value").map(str::to_owned),
            name => {
                if !self.other(&element, out)? {
                    out.skipped.add_unknown(name);
                }
            }
        }
        Ok(())
    }

    /// Whether a record of `kind` that starts then is wanted; one that is not is counted.
    fn is_wanted(&self, kind: Kind, start: Timestamp, skipped: &mut Skipped) -> bool {
        let wanted = self.rules.wants(kind, start);
        if !wanted {
            skipped.add(Skip::NotWanted);
        }
        wanted
    }

    /// The record of these parts, with its id.
    fn record(
        &mut self,
        kind: Kind,
        (start, end): (Timestamp, Timestamp),
        value: Value,
        origin: Option<Arc<Origin>>,
        metadata: Metadata,
    ) -> Record {
        let mut record = Record::added(RecordId::from_u128(0), kind, start, end, value);
        record.subject = self.rules.subject.clone();
        record.origin = origin;
        if !metadata.is_empty() {
            // The zone of the sample; that of the dates is the phone's at the time of the export.
            if let Some(MetaValue::String(zone)) = metadata.get("HKTimeZone") {
                record.zone = Some(zone.clone());
            }
            record.metadata = Some(Arc::new(metadata));
        }
        self.identify(&mut record);
        record
    }

    fn identify(&mut self, record: &mut Record) {
        record.id = derive_id_with(&mut self.id, record);
        if self.id.capacity() > MAX_ID_BUFFER {
            // A route of a day is some MiB, once.
            self.id = Vec::new();
        }
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
