//! ActivitySummary, and everything that has no form of its own.

use std::sync::Arc;

use afferent_core::{Kind, Metadata, Value, record::ActivitySummary};
use serde_json::{Map, Value as Json};

use super::{Attributes, Converter, Made, check_attributes, named, optional_number};
use crate::export::{
    date,
    element::{Element, Reason},
    text::text,
};

/// µs of a day without a change of the clock, such as each in UTC.
const DAY_MICROS: i64 = 86_400_000_000;

/// The type of activity summaries.
const SUMMARY: &str = "HKActivitySummaryTypeIdentifier";
/// The type of vision prescriptions.
const PRESCRIPTION: &str = "HKVisionPrescriptionTypeIdentifier";
/// The types of elements that may come without one.
const NAMED: [(&str, &str); 4] = [
    ("VisionPrescription", PRESCRIPTION),
    ("Audiogram", "HKDataTypeIdentifierAudiogram"),
    ("StateOfMind", "HKDataTypeIdentifierStateOfMind"),
    ("MedicationDoseEvent", "HKMedicationDoseEventTypeIdentifierMedicationDoseEvent"),
];

/// The attributes of an activity summary.
const OF_SUMMARY: [&str; 10] = [
    "dateComponents",
    "activeEnergyBurned",
    "activeEnergyBurnedGoal",
    "activeEnergyBurnedUnit",
    "appleMoveTime",
    "appleMoveTimeGoal",
    "appleExerciseTime",
    "appleExerciseTimeGoal",
    "appleStandHours",
    "appleStandHoursGoal",
];

/// Attributes that a record carries outside its value.
const CARRIED: [&str; 6] = ["sourceName", "sourceVersion", "device", "startDate", "endDate", "creationDate"];

impl Converter {
    /// An ActivitySummary.
    pub(super) fn activity_summary(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Reason> {
        let day = element.get("dateComponents").ok_or("expected dateComponents, found none")?;
        let start = date::day(day).ok_or("dateComponents is no date of the form yyyy-MM-dd")?;
        let kind = named(SUMMARY);
        if !self.is_wanted(kind, start, &mut out.skipped) {
            return Ok(());
        }
        check_attributes(element, |name| OF_SUMMARY.contains(&name), &mut out.skipped)?;
        element.children().for_each(|child| out.skipped.add_unknown(child.name()));
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
        out.records.push(self.record(kind, span, value, None, Metadata::default()));
        Ok(())
    }

    /// Any other element that has a type, by its attribute or its name, and a date; false if it has not.
    pub(super) fn other(&mut self, element: &Element<'_>, out: &mut Made) -> Result<bool, Reason> {
        let mut attributes = Attributes::of(element)?;
        let by_name = NAMED.iter().find(|(name, _)| *name == element.name()).map(|(_, kind)| *kind);
        // Prescriptions are in force from their issue to their expiry.
        attributes.start = attributes.start.or(element.get("dateIssued")).or(element.get("date"));
        attributes.end = attributes.end.or(element.get("expirationDate")).or(attributes.start);
        let kind = match (by_name, attributes.kind) {
            // Its type tells glasses from contacts.
            (Some(PRESCRIPTION), _) => Kind::from_data(PRESCRIPTION),
            (_, Some(kind)) if by_name.is_some() || attributes.start.is_some() => {
                Kind::from_data(&text(kind))
            }
            (Some(kind), None) => Kind::from_data(kind),
            _ => return Ok(false),
        };
        let kind = kind.map_err(|error| format!("type: {error}"))?;
        let span = attributes.span()?;
        if self.is_wanted(kind, span.0, &mut out.skipped) {
            let mut metadata = Metadata::default();
            for child in element.children().filter(|child| child.name() == "MetadataEntry") {
                self.metadata_entry(&child, &mut metadata, &mut out.skipped)?;
            }
            let origin = self.origin(&attributes);
            out.records.push(self.record(kind, span, json(element), origin, metadata));
        }
        Ok(true)
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
