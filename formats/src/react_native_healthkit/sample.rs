//! [`Sample`]: what was read of a sample.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Record, RecordId, Timestamp, Unit, Value,
    kind::category,
    record::{
        Activity, Correlation, Electrocardiogram, HeartbeatSeries, Notification, Route, Statistic, Workout,
        WorkoutEvent,
    },
};

use super::{
    TOPIC, VENDOR,
    parts::{heartbeats, locations, metadata, origin, quantity, seconds, span, time, unit},
};
use crate::{
    context::Context,
    identity::derive_id_with,
    json::{Raw, object},
    wire::{printable, read_meta_value},
    workouts::distance_of,
};

/// What was read of a sample.
#[derive(Default)]
pub(super) struct Sample<'t> {
    pub(super) id: Option<RecordId>,
    pub(super) kind: Option<Kind>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    number: Option<f64>,
    category: Option<i64>,
    unit: Option<Unit>,
    metadata: Metadata,
    device: Option<&'t str>,
    revision: Option<&'t str>,
    /// The values of other samples, by key.
    others: Vec<(&'static str, &'t str)>,
    /// Something else than an id and metadata was there.
    is_sample: bool,
    is_observed: bool,
    error: bool,
}

/// The keys that only other samples than quantities and categories have.
const OTHERS: &[&str] = &[
    "objects",
    "workoutActivityType",
    "duration",
    "totalEnergyBurned",
    "totalDistance",
    "totalSwimmingStrokeCount",
    "totalFlightsClimbed",
    "events",
    "activities",
    "classification",
    "symptomsStatus",
    "averageHeartRateBpm",
    "samplingFrequencyHz",
    "voltages",
    "heartbeats",
    "locations",
];

impl<'t> Sample<'t> {
    pub(super) fn read(&mut self, text: &'t str, cx: &mut Context) -> Result<(), String> {
        object(text, |key, text| {
            let value = Raw::new("value", text);
            match key {
                "uuid" => self.id = Raw::new("uuid", text).id(VENDOR)?,
                "quantityType" | "categoryType" | "correlationType" | "typeIdentifier" => {
                    self.kind = Raw::new("quantityType", text).kind()?;
                    self.is_observed |= key == "typeIdentifier";
                }
                "errorMessage" => self.error = !value.is_null(),
                "startDate" => self.start = time(Raw::new("startDate", text))?,
                "endDate" => self.end = time(Raw::new("endDate", text))?,
                "quantity" => self.number = Raw::new("quantity", text).number()?,
                "value" if value.is_number() => self.category = value.whole()?,
                "unit" => self.unit = Raw::new("unit", text).unit()?,
                "metadata" => metadata(text, &mut self.metadata, cx)?,
                "device" => self.device = Some(text),
                "sourceRevision" => self.revision = Some(text),
                // They describe the type, or count what is there.
                "sampleType" | "numberOfVoltageMeasurements" => {}
                _ => match OTHERS.iter().find(|known| **known == key) {
                    Some(known) => self.others.push((known, text)),
                    None => self.keep(key, text, cx)?,
                },
            }
            self.is_sample |= !matches!(key, "uuid" | "metadata");
            Ok(())
        })
    }

    fn keep(&mut self, key: &str, text: &str, cx: &mut Context) -> Result<(), String> {
        // The library writes these of every sample; metadata beside `metadata` is a copy of some of it.
        let is_known = key == "hasUndeterminedDuration" || key.starts_with("metadata");
        if cx.strict && !is_known {
            return Err(format!("unknown key `{}`", printable(key)));
        }
        if text == "false" || key.starts_with("metadata") {
            return Ok(());
        }
        if let Some(value) = read_meta_value(key, text, cx)? {
            self.metadata.push(cx.name(key), value);
        }
        Ok(())
    }

    fn other(&self, key: &'static str) -> Option<Raw<'t>> {
        let found = self.others.iter().find(|(known, _)| *known == key);
        found.map(|(_, text)| Raw::new(key, text)).filter(|value| !value.is_null())
    }

    pub(super) fn finish(mut self, is_deleted: bool, cx: &mut Context) -> Result<Record, String> {
        if is_deleted || (!self.is_sample && self.id.is_some()) {
            let id = self.id.ok_or("expected the id of what was deleted in `uuid`, found none")?;
            let mut record = Record::deleted(id, self.kind);
            self.about(&mut record, cx)?;
            return Ok(record);
        }
        if self.is_observed {
            return self.observed(cx);
        }
        let (kind, value) = self.value(cx)?;
        let start = self.start.ok_or("expected a time in `startDate`, found none")?;
        let end = self.end.unwrap_or(start);
        if end < start {
            return Err("expected an `endDate` that is not before `startDate`".to_owned());
        }
        let mut record = Record::added(self.id.unwrap_or(RecordId::from_u128(0)), kind, start, end, value);
        self.about(&mut record, cx)?;
        if self.id.is_none() {
            record.id = derive_id_with(&mut cx.scratch, &record);
        }
        Ok(record)
    }

    /// Something changed: without a time, and so with the same id each time.
    fn observed(&self, cx: &mut Context) -> Result<Record, String> {
        if self.error {
            return Err("the observer was called with an error instead of a change".to_owned());
        }
        let kind = self.kind.ok_or("expected a type in `typeIdentifier`, found none")?;
        let said = Notification { vendor: cx.name(VENDOR), topic: cx.name(TOPIC) };
        let at = Timestamp::default();
        let mut record =
            Record::added(RecordId::from_u128(0), kind, at, at, Value::Notification(Arc::new(said)));
        record.id = derive_id_with(&mut cx.scratch, &record);
        Ok(record)
    }

    fn about(&mut self, record: &mut Record, cx: &mut Context) -> Result<(), String> {
        record.origin = origin(self.revision, self.device, cx)?;
        let metadata = std::mem::take(&mut self.metadata);
        if !metadata.is_empty() {
            if let Some(MetaValue::String(zone)) = metadata.get("HKTimeZone") {
                record.zone = Some(zone.clone());
            }
            record.metadata = Some(Arc::new(metadata));
        }
        Ok(())
    }

    fn value(&mut self, cx: &mut Context) -> Result<(Kind, Value), String> {
        let of = |name: &str| Kind::from_data(name).map_err(|error| error.to_string());
        if let Some(activity) = self.other("workoutActivityType") {
            return Ok((of("HKWorkoutTypeIdentifier")?, Value::Workout(Arc::new(self.workout(activity)?))));
        }
        if self.other("classification").is_some() {
            let ecg = self.electrocardiogram(cx)?;
            return Ok((
                of("HKDataTypeIdentifierElectrocardiogram")?,
                Value::Electrocardiogram(Arc::new(ecg)),
            ));
        }
        if let Some(beats) = self.other("heartbeats") {
            let series = HeartbeatSeries { beats: heartbeats(beats)? };
            return Ok((
                of("HKDataTypeIdentifierHeartbeatSeries")?,
                Value::HeartbeatSeries(Arc::new(series)),
            ));
        }
        if let Some(list) = self.other("locations") {
            let locations = locations(list)?;
            // A route has no times but those of its places.
            self.start = self.start.or(locations.first().map(|place| place.time));
            self.end = self.end.or(locations.last().map(|place| place.time)).max(self.start);
            return Ok((of("HKWorkoutRouteTypeIdentifier")?, Value::Route(Arc::new(Route { locations }))));
        }
        let kind = self.kind.ok_or("expected the type in `quantityType` or `categoryType`, found none")?;
        if let Some(list) = self.other("objects") {
            let mut samples = Vec::new();
            list.elements(|text| {
                let mut sample = Sample::default();
                sample.read(text, cx)?;
                if sample.other("objects").is_some() || !sample.is_sample {
                    return Err("expected quantities and categories, found another sample".to_owned());
                }
                samples.push(sample.finish(false, cx)?);
                Ok(())
            })?;
            return Ok((kind, Value::Correlation(Arc::new(Correlation { samples }))));
        }
        match (self.number, self.unit, self.category) {
            (Some(number), Some(unit), _) => Ok((kind, Value::Quantity(number, unit))),
            (Some(_), None, _) => Err("expected a `unit` of a quantity, found none".to_owned()),
            (None, _, Some(number)) if !kind.is_quantity() => Ok((kind, Value::Category(number))),
            (None, ..) => Err("expected a number in `quantity` or `value`, found none".to_owned()),
        }
    }

    fn workout(&self, activity: Raw<'_>) -> Result<Workout, String> {
        let number = activity.whole()?.and_then(|number| u32::try_from(number).ok());
        let activity = number.ok_or_else(|| activity.expected("an activity's number"))?;
        let mut workout = Workout { activity, ..Workout::default() };
        if let Some(duration) = self.other("duration") {
            workout.duration = seconds(duration)?;
        }
        for (key, kind, unit) in [
            ("totalEnergyBurned", "ActiveEnergyBurned", "kcal"),
            ("totalDistance", distance_of(activity), "m"),
            ("totalSwimmingStrokeCount", "SwimmingStrokeCount", "count"),
            ("totalFlightsClimbed", "FlightsClimbed", "count"),
        ] {
            let Some((sum, unit)) = self.other(key).map_or(Ok(None), |value| quantity(value, unit))? else {
                continue;
            };
            let kind = Kind::from_data(kind).map_err(|error| error.to_string())?;
            workout.statistics.push(Statistic {
                kind,
                unit,
                sum: Some(sum),
                average: None,
                minimum: None,
                maximum: None,
            });
        }
        if let Some(list) = self.other("events") {
            list.elements(|text| {
                let (start, end, number) = span(text, "type")?;
                let number = number.ok_or("expected a number in `type`, found none")?;
                let event = category::name_of("HKWorkoutEventType", number).unwrap_or("unknown");
                workout.events.push(WorkoutEvent { event: event.into(), start, end });
                Ok(())
            })?;
        }
        if let Some(list) = self.other("activities") {
            list.elements(|text| {
                let (start, end, duration) = span(text, "duration")?;
                let duration = duration.map(|seconds| seconds as f64);
                // The library does not say which activity a part was.
                workout.activities.push(Activity { activity, start, end, duration, statistics: Vec::new() });
                Ok(())
            })?;
        }
        Ok(workout)
    }

    fn electrocardiogram(&mut self, cx: &mut Context) -> Result<Electrocardiogram, String> {
        let number = |value: Option<Raw<'_>>| value.map_or(Ok(None), Raw::number);
        let classification = self.other("classification").map_or(Ok(None), |value| value.name(cx))?;
        if let Some(status) = self.other("symptomsStatus").map_or(Ok(None), |value| value.name(cx))?
            && status.as_str() != "notSet"
        {
            self.metadata.push("symptomsStatus", MetaValue::String(status));
        }
        let mut voltages = Vec::new();
        if let Some(list) = self.other("voltages") {
            let (volt, micro) = (unit("V")?, unit("mcV")?);
            let conversion = volt.conversion(micro).ok_or("a volt is no voltage")?;
            list.elements(|text| {
                let mut voltage = None;
                object(text, |key, text| {
                    if key == "voltage" {
                        voltage = Raw::new(key, text).number()?;
                    }
                    Ok(())
                })?;
                voltages.push(conversion.apply(voltage.ok_or("expected a number in `voltage`, found none")?));
                Ok(())
            })?;
        }
        Ok(Electrocardiogram {
            classification: classification.filter(|name| name.as_str() != "notSet"),
            average_heart_rate: number(self.other("averageHeartRateBpm"))?,
            sampling_frequency: number(self.other("samplingFrequencyHz"))?,
            voltages,
        })
    }
}
