//! ActivitySummary, ClinicalRecord, and everything that has no form of its own.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Record, Value,
    record::{ActivitySummary, Clinical},
};
use serde_json::{Map, Value as Json};

use super::{Attributes, Converter, instant, optional_number};
use crate::export::{
    date,
    device::present,
    element::{Element, Reason, text},
};

/// µs of a day without a change of the clock, such as each in UTC.
const DAY_MICROS: i64 = 86_400_000_000;

/// The type of activity summaries.
const SUMMARY: &str = "HKActivitySummaryTypeIdentifier";
/// What the identifiers of clinical types begin with; the export has only what follows.
const CLINICAL: &str = "HKClinicalTypeIdentifier";
/// The type of vision prescriptions; the export's `type` attribute tells glasses from contacts.
const PRESCRIPTION: &str = "HKVisionPrescriptionTypeIdentifier";
/// The type of audiograms, for one without a type attribute.
const AUDIOGRAM: &str = "HKDataTypeIdentifierAudiogram";

/// Attributes that a record carries outside its value.
const CARRIED: [&str; 6] = ["sourceName", "sourceVersion", "device", "startDate", "endDate", "creationDate"];

impl Converter {
    /// An ActivitySummary; `None` if it is not wanted.
    pub(super) fn activity_summary(&mut self, element: &Element<'_>) -> Result<Option<Record>, Reason> {
        let day = element.get("dateComponents").ok_or("expected dateComponents, found none")?;
        let start = date::day(day).ok_or("dateComponents is no date of the form yyyy-MM-dd")?;
        let kind = Kind::from_data(SUMMARY).expect("invariant: the type is in the catalogue");
        if !self.is_wanted(kind, start) {
            return Ok(None);
        }
        let number = |name| optional_number(name, element.get(name));
        let summary = ActivitySummary {
            day: Some(day.into()),
            energy: number("activeEnergyBurned")?,
            energy_goal: number("activeEnergyBurnedGoal")?,
            energy_unit: element
                .get("activeEnergyBurnedUnit")
                .map(|unit| self.unit(Some(unit)))
                .transpose()?,
            move_time: number("appleMoveTime")?,
            move_time_goal: number("appleMoveTimeGoal")?,
            exercise_time: number("appleExerciseTime")?,
            exercise_time_goal: number("appleExerciseTimeGoal")?,
            stand_hours: number("appleStandHours")?,
            stand_hours_goal: number("appleStandHoursGoal")?,
        };
        let span = (start, start.plus_micros(DAY_MICROS));
        let value = Value::ActivitySummary(Arc::new(summary));
        Ok(Some(self.record(kind, span, value, &Attributes::default(), Metadata::default())))
    }

    /// A ClinicalRecord; `None` if it is not wanted.
    pub(super) fn clinical(&mut self, element: &Element<'_>) -> Result<Option<Record>, Reason> {
        let attributes = Attributes::of(element)?;
        let short = text(attributes.kind.ok_or("expected a type, found none")?);
        let full = if short.starts_with("HK") { short.into_owned() } else { format!("{CLINICAL}{short}") };
        let kind = Kind::from_data(&full).map_err(|error| format!("type: {error}"))?;
        let received = instant("receivedDate", element.get("receivedDate"))?;
        if !self.is_wanted(kind, received) {
            return Ok(None);
        }
        let name = |attribute| element.get(attribute).and_then(|raw| present(text(raw)));
        let clinical = Clinical {
            display_name: None,
            fhir_version: name("fhirVersion"),
            source_url: name("sourceURL"),
            path: name("resourceFilePath"),
            document: None,
        };
        let mut metadata = Metadata::default();
        if let Some(identifier) = name("identifier") {
            metadata.push(self.names.get("identifier"), MetaValue::String(identifier));
        }
        let value = Value::Clinical(Arc::new(clinical));
        Ok(Some(self.record(kind, (received, received), value, &attributes, metadata)))
    }

    /// Any other element that has a type and dates; `None` if it has not, `Some(None)` if it is not wanted.
    pub(super) fn other(&mut self, element: &Element<'_>) -> Result<Option<Option<Record>>, Reason> {
        let mut attributes = Attributes::of(element)?;
        let kind = match element.name() {
            "VisionPrescription" => {
                // In force from its issue to its expiry.
                attributes.start = attributes.start.or(element.get("dateIssued"));
                attributes.end = attributes.end.or(element.get("expirationDate")).or(attributes.start);
                Kind::from_data(PRESCRIPTION)
            }
            "Audiogram" => Kind::from_data(attributes.kind.unwrap_or(AUDIOGRAM)),
            _ => match attributes.kind {
                Some(kind) if attributes.start.is_some() => Kind::from_data(&text(kind)),
                _ => return Ok(None),
            },
        };
        let kind = kind.map_err(|error| format!("type: {error}"))?;
        let span = attributes.span()?;
        if !self.is_wanted(kind, span.0) {
            return Ok(Some(None));
        }
        let mut metadata = Metadata::default();
        for child in element.children().filter(|child| child.name() == "MetadataEntry") {
            self.metadata_entry(&child, &mut metadata)?;
        }
        Ok(Some(Some(self.record(kind, span, json(element), &attributes, metadata))))
    }
}

/// The attributes of an element that its record does not carry otherwise, and its children but for metadata, as
/// JSON: texts, as they stand in the export, and a list for each name of a child.
pub(super) fn json(element: &Element<'_>) -> Value {
    Value::Json(json_object(element).to_string().into())
}

fn json_object(element: &Element<'_>) -> Json {
    let mut object = Map::new();
    // Whatever is malformed was reported when the record's own attributes were read.
    let _ = element.attributes(|name, value| {
        if !CARRIED.contains(&name) {
            object.entry(name).or_insert_with(|| Json::from(&*text(value)));
        }
    });
    for child in element.children().filter(|child| child.name() != "MetadataEntry") {
        let list = object.entry(child.name()).or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(list) = list {
            list.push(json_object(&child));
        }
    }
    Json::Object(object)
}
