//! Record and Correlation.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Record, Timestamp, Value,
    kind::{KindClass, category},
    record::Correlation,
};

use super::{Attributes, Converter, Made, metadata::beats, number, other};
use crate::export::{
    element::{Element, Reason},
    skipped::Skipped,
    text::text,
};

/// What a type attribute means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) kind: Kind,
    class: Option<KindClass>,
    /// What a category without a value means: its enumeration has nothing but "not applicable", or is not known.
    absent: Option<i64>,
}

/// The enumeration of categories that have no values, and its only value.
const NO_VALUES: (&str, i64) = ("HKCategoryValue", 0);

/// What the constants of categories begin with.
const CONSTANT: &str = "HKCategoryValue";

/// The metadata key of the beats that a heart rate variability was computed from, a JSON text:
/// `[{"bpm":61,"time":14437.12},…]`, with `time` in seconds since midnight in the zone of the exporting phone. A
/// time or rate that can't be read is kept as its text.
const BEATS: &str = "beats";

impl Converter {
    pub(super) fn kind(&mut self, raw: Option<&str>) -> Result<Type, Reason> {
        let raw = raw.ok_or("expected a type, found none")?;
        self.types.get(raw.as_bytes(), || {
            let kind = Kind::from_data(&text(raw)).map_err(|error| Reason::from(format!("type: {error}")))?;
            let has_none = kind.info().is_none_or(|info| info.value_enum == Some(NO_VALUES.0));
            let absent = has_none.then_some(NO_VALUES.1);
            Ok(Type { kind, class: kind.class(), absent })
        })
    }

    /// A Record.
    pub(super) fn sample(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Reason> {
        let attributes = Attributes::of(element)?;
        let of = self.kind(attributes.kind)?;
        let span = attributes.span()?;
        if self.is_wanted(of.kind, span.0, &mut out.skipped) {
            let record = self.sample_of(element, &attributes, of, span, &mut out.skipped)?;
            out.records.push(record);
        }
        Ok(())
    }

    fn sample_of(
        &mut self,
        element: &Element<'_>,
        attributes: &Attributes<'_>,
        of: Type,
        span: (Timestamp, Timestamp),
        skipped: &mut Skipped,
    ) -> Result<Record, Reason> {
        attributes.count_unknown(element, skipped)?;
        let value = match of.class {
            Some(KindClass::Quantity) => self.quantity(attributes)?,
            // A constant of a newer system than this program knows stays as it is.
            Some(KindClass::Category) => {
                category_value(attributes.value, of.absent)?.unwrap_or_else(|| other::json(element))
            }
            _ if attributes.unit.is_some() => self.quantity(attributes)?,
            _ => {
                category_value(attributes.value, None).ok().flatten().unwrap_or_else(|| other::json(element))
            }
        };
        let mut metadata = Metadata::default();
        for child in element.children() {
            match child.name() {
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata, skipped)?,
                "HeartRateVariabilityMetadataList" => {
                    let beats = beats(&child, skipped)?;
                    metadata.push(self.names.get(BEATS), MetaValue::String(beats.into()));
                }
                name => skipped.add_unknown(name),
            }
        }
        let origin = self.origin(attributes);
        Ok(self.record(of.kind, span, value, origin, metadata))
    }

    fn quantity(&mut self, attributes: &Attributes<'_>) -> Result<Value, Reason> {
        Ok(Value::Quantity(number("value", attributes.value)?, self.unit(attributes.unit)?))
    }

    /// A Correlation.
    pub(super) fn correlation(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Reason> {
        let attributes = Attributes::of(element)?;
        let of = self.kind(attributes.kind)?;
        let span = attributes.span()?;
        if !self.is_wanted(of.kind, span.0, &mut out.skipped) {
            return Ok(());
        }
        attributes.count_unknown(element, &mut out.skipped)?;
        let (mut samples, mut metadata) = (Vec::new(), Metadata::default());
        for child in element.children() {
            match child.name() {
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata, &mut out.skipped)?,
                "Record" => {
                    let attributes = Attributes::of(&child)?;
                    let of = self.kind(attributes.kind)?;
                    let span = attributes.span()?;
                    samples.push(self.sample_of(&child, &attributes, of, span, &mut out.skipped)?);
                }
                name => out.skipped.add_unknown(name),
            }
        }
        let value = Value::Correlation(Arc::new(Correlation { samples }));
        let origin = self.origin(&attributes);
        out.records.push(self.record(of.kind, span, value, origin, metadata));
        Ok(())
    }
}

/// The raw value of a category's constant or number; `None` if it is another constant.
fn category_value(raw: Option<&str>, absent: Option<i64>) -> Result<Option<Value>, Reason> {
    let value = match raw.map(text) {
        Some(value) => match category::value_of(&value).or_else(|| value.parse().ok()) {
            Some(value) => value,
            None if value.starts_with(CONSTANT) => return Ok(None),
            None => return Err("value is neither a number nor a constant of HealthKit".into()),
        },
        None => absent.ok_or("expected a value, found none")?,
    };
    Ok(Some(Value::Category(value)))
}
