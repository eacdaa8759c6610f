//! Metadata of samples.

use afferent_core::{MetaValue, Metadata, Name, Unit};
use serde_json::{Map, Value as Json};

use super::{Converter, check_attributes};
use crate::export::{
    date,
    element::{Element, Reason},
    skipped::Skipped,
    text::text,
};

/// Longest value that is looked for among those met before; longer ones (sync identifiers, links) hardly repeat.
const MAX_SHARED_BYTES: usize = 32;

impl Converter {
    /// Reads a MetadataEntry into `metadata`. Keys may repeat.
    ///
    /// HealthKit's own keys can carry quantities ("418 cm"), which are read as such when the unit is understood.
    /// Everything else stays a text: the export does not tell a number from a truth value ("1") or an identifier
    /// ("0012").
    pub(super) fn metadata_entry(
        &mut self,
        entry: &Element<'_>,
        metadata: &mut Metadata,
        skipped: &mut Skipped,
    ) -> Result<(), Reason> {
        let (mut key, mut value) = (None, None);
        entry.attributes(|name, raw| match name {
            "key" => key = key.or(Some(raw)),
            "value" => value = value.or(Some(raw)),
            name => skipped.add_unknown_attribute(name),
        })?;
        let (Some(key), Some(value)) = (key, value) else {
            return Err("a metadata entry has no key or no value".into());
        };
        let (key, value) = (text(key), text(value));
        let quantity = if key.starts_with("HK") || key.starts_with("_HK") { quantity(&value) } else { None };
        let value = quantity.unwrap_or_else(|| MetaValue::String(self.shared(&value)));
        metadata.push(self.names.get(&key), value);
        Ok(())
    }

    fn shared(&mut self, text: &str) -> Name {
        if text.len() <= MAX_SHARED_BYTES { self.names.get(text) } else { Name::from(text) }
    }
}

/// A number, a blank and a unit that is understood.
fn quantity(text: &str) -> Option<MetaValue> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let (number, unit) = text.split_once(' ')?;
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
    let unit = Unit::parse(unit).ok().filter(|unit| unit.dimension().is_some())?;
    Some(MetaValue::Quantity(number, unit))
}

/// The attributes of a beat.
const BEAT: [&str; 2] = ["bpm", "time"];

/// The beats of a HeartRateVariabilityMetadataList, as JSON text.
pub(super) fn beats(list: &Element<'_>, skipped: &mut Skipped) -> Result<String, Reason> {
    let mut beats = Vec::new();
    for beat in list.children() {
        if beat.name() != "InstantaneousBeatsPerMinute" {
            skipped.add_unknown(beat.name());
            continue;
        }
        check_attributes(&beat, |name| BEAT.contains(&name), skipped)?;
        let mut object = Map::new();
        if let Some(bpm) = beat.get("bpm") {
            object.insert("bpm".into(), json_number(bpm));
        }
        if let Some(time) = beat.get("time") {
            let time = text(time);
            object.insert(
                "time".into(),
                date::seconds_of_day(&time).map_or_else(|| Json::from(&*time), Json::from),
            );
        }
        beats.push(Json::Object(object));
    }
    Ok(Json::Array(beats).to_string())
}

/// A number if `raw` is one, else its text.
fn json_number(raw: &str) -> Json {
    let text = text(raw);
    if let Ok(whole) = text.parse::<i64>() {
        return Json::from(whole);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Json::from(number),
        _ => Json::from(&*text),
    }
}
