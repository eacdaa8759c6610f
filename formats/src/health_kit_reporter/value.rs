//! What stands under `harmonized`, and beside it.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Name, Record, Timestamp, Unit, Value,
    record::{
        ActivitySummary, Aggregate, Clinical, Correlation, Electrocardiogram, Heartbeat, HeartbeatSeries,
        Route, Statistic, Workout,
    },
};

use super::{
    parts::{Scale, activity, event, location, number, part, required, statistics, voltage},
    words,
};
use crate::{
    context::Context,
    json::{Raw, is_json},
    wire::is_shallow,
    workouts::distance_of,
};

/// What stands beside `harmonized` in some samples.
#[derive(Default)]
pub(super) struct Beside<'t> {
    duration: Option<f64>,
    events: Option<&'t str>,
    statistics: Option<&'t str>,
    activities: Option<&'t str>,
    route: Option<&'t str>,
    date: Option<&'t str>,
    /// That of `date`, once it was read.
    at: Option<Timestamp>,
}

impl<'t> Beside<'t> {
    /// Takes a key; whether it is one of these.
    pub(super) fn read(&mut self, key: &str, text: &'t str) -> Result<bool, String> {
        match key {
            "duration" => self.duration = number(Raw::new("duration", text))?,
            "workoutEvents" => self.events = Some(text),
            "statistics" => self.statistics = Some(text),
            "activities" => self.activities = Some(text),
            "route" => self.route = Some(text),
            "date" => self.date = Some(text),
            // They say what is known.
            "numberOfMeasurements" | "sources" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// When the day of `date` began.
    pub(super) fn start(&self) -> Option<Timestamp> {
        self.at
    }
}

/// The parts of `harmonized`.
#[derive(Default)]
pub(super) struct Harmonized<'t> {
    whole: &'t str,
    value: Option<&'t str>,
    unit: Option<Unit>,
    metadata: Option<&'t str>,
    /// Those of other objects than quantities and categories, by the names below.
    others: Vec<(&'static str, &'t str)>,
    /// Those of no object that is known.
    unknown: Vec<(Name, &'t str)>,
}

/// The keys of objects other than quantities and categories.
const OTHERS: &[&str] = &[
    "quantitySamples",
    "categorySamples",
    "totalEnergyBurned",
    "totalEnergyBurnedUnit",
    "totalDistance",
    "totalDistanceUnit",
    "totalSwimmingStrokeCount",
    "totalSwimmingStrokeCountUnit",
    "totalFlightsClimbed",
    "totalFlightsClimbedUnit",
    "averageHeartRate",
    "averageHeartRateUnit",
    "samplingFrequency",
    "samplingFrequencyUnit",
    "classification",
    "symptomsStatus",
    "count",
    "voltageMeasurements",
    "measurements",
    "routes",
    "displayName",
    "fhirSourceUrl",
    "fhirVersion",
    "fhirData",
    "path",
    "summary",
    "average",
    "recent",
    "min",
    "max",
    "activeEnergyBurned",
    "activeEnergyBurnedGoal",
    "activeEnergyBurnedUnit",
    "appleMoveTime",
    "appleMoveTimeGoal",
    "appleMoveTimeUnit",
    "appleExerciseTime",
    "appleExerciseTimeGoal",
    "appleExerciseTimeUnit",
    "appleStandHours",
    "appleStandHoursGoal",
    "appleStandHoursUnit",
    "json",
];

/// The results of statistics: as they are written, and as records have them.
pub(super) const RESULTS: [(&str, &str); 5] =
    [("summary", "sum"), ("average", "average"), ("recent", "recent"), ("min", "min"), ("max", "max")];

/// Reads a sample of a correlation that is of the wanted form.
pub(super) type Nested<'n> = dyn FnMut(&str, fn(&Value) -> bool) -> Result<Record, String> + 'n;

impl<'t> Harmonized<'t> {
    pub(super) fn read(text: &'t str, cx: &mut Context) -> Result<Harmonized<'t>, String> {
        let mut parts = Harmonized { whole: text, ..Harmonized::default() };
        Raw::new("harmonized", text).entries(|key, text| {
            match key {
                "value" => parts.value = Some(text).filter(|text| *text != "null"),
                "unit" => parts.unit = Raw::new(key, text).unit()?,
                "metadata" => parts.metadata = Some(text),
                // They say in words what the number says.
                "description" | "detail" => {}
                _ => match OTHERS.iter().find(|known| **known == key) {
                    Some(known) => parts.others.push((known, text)),
                    None => parts.unknown.push((cx.name(key), text)),
                },
            }
            Ok(())
        })?;
        Ok(parts)
    }

    fn other(&self, key: &'static str) -> Option<Raw<'t>> {
        let found = self.others.iter().find(|(known, _)| *known == key);
        found.map(|(_, text)| Raw::new(key, text)).filter(|value| !value.is_null())
    }

    fn other_number(&self, key: &'static str) -> Result<Option<f64>, String> {
        self.other(key).map_or(Ok(None), number)
    }

    fn has(&self, keys: &[&'static str]) -> bool {
        keys.iter().any(|key| self.others.iter().any(|(known, _)| known == key))
    }

    /// The value of a quantity or a category.
    pub(super) fn plain(&self, kind: Kind) -> Result<(Value, Option<&'t str>), String> {
        let value = Raw::new("value", self.value.ok_or("expected a number in `value`, found none")?);
        let value = match self.unit {
            Some(unit) => Value::Quantity(required("value", number(value)?)?, unit),
            None if kind.is_quantity() => {
                return Err("expected a `unit` of a quantity, found none".to_owned());
            }
            None => Value::Category(required("value", value.whole()?)?),
        };
        Ok((value, self.metadata))
    }

    /// The value, and the text of the metadata.
    pub(super) fn finish(
        self,
        kind: Kind,
        beside: &mut Beside<'t>,
        unknown: &mut Vec<(Name, MetaValue)>,
        start: Option<Timestamp>,
        nested: &mut Nested<'_>,
    ) -> Result<(Value, Option<&'t str>), String> {
        if self.others.is_empty() && self.value.is_some() && !kind.is_workout() {
            self.keep_unknown(unknown);
            return self.plain(kind);
        }
        // By what is there, and by the type only where that says nothing.
        let value = if self.has(&["quantitySamples", "categorySamples"]) {
            Value::Correlation(Arc::new(self.correlation(nested)?))
        } else if self.has(&["voltageMeasurements", "classification", "samplingFrequency"]) {
            Value::Electrocardiogram(Arc::new(self.electrocardiogram(unknown)?))
        } else if self.has(&["measurements"]) {
            Value::HeartbeatSeries(Arc::new(self.heartbeats()?))
        } else if self.has(&["routes"]) {
            Value::Route(Arc::new(self.route()?))
        } else if beside.date.is_some() {
            Value::ActivitySummary(Arc::new(self.activity_summary(beside, start)?))
        } else if self.has(&["displayName", "fhirSourceUrl", "fhirVersion", "fhirData", "path"]) {
            Value::Clinical(Arc::new(self.clinical()?))
        } else if let Some(json) = self.other("json") {
            document(json)?
        } else if kind.is_workout() {
            Value::Workout(Arc::new(self.workout(beside)?))
        } else if self.value.is_some() {
            self.plain(kind)?.0
        } else if self.unit.is_some() || self.has(&RESULTS.map(|(key, _)| key)) {
            Value::Aggregate(Arc::new(self.aggregate()?))
        } else if self.unknown.is_empty() {
            return Err("expected a `value` in `harmonized`, found none".to_owned());
        } else {
            // Its metadata stays where it is.
            return Ok((document(Raw::new("harmonized", self.whole))?, None));
        };
        self.keep_unknown(unknown);
        Ok((value, self.metadata))
    }

    fn keep_unknown(&self, unknown: &mut Vec<(Name, MetaValue)>) {
        for (key, text) in &self.unknown {
            if *text != "null" {
                unknown.push((key.clone(), MetaValue::String((*text).into())));
            }
        }
    }

    fn correlation(&self, nested: &mut Nested<'_>) -> Result<Correlation, String> {
        let mut samples = Vec::new();
        if let Some(list) = self.other("quantitySamples") {
            list.elements(|text| {
                samples.push(nested(text, |value| matches!(value, Value::Quantity(..)))?);
                Ok(())
            })?;
        }
        if let Some(list) = self.other("categorySamples") {
            list.elements(|text| {
                samples.push(nested(text, |value| matches!(value, Value::Category(_)))?);
                Ok(())
            })?;
        }
        Ok(Correlation { samples })
    }

    fn workout(&self, beside: &Beside<'t>) -> Result<Workout, String> {
        let activity = activity("value", self.value)?;
        let mut events = Vec::new();
        if let Some(text) = beside.events {
            Raw::new("workoutEvents", text).elements(|text| {
                events.push(event(text)?);
                Ok(())
            })?;
        }
        let statistics = match beside.statistics.filter(|text| *text != "null") {
            Some(text) => statistics(text)?,
            None => self.totals(activity)?,
        };
        let mut activities = Vec::new();
        if let Some(text) = beside.activities {
            Raw::new("activities", text).elements(|text| {
                activities.push(part(text)?);
                Ok(())
            })?;
        }
        let route = beside.route.map_or(Ok(None), |text| Raw::new("route", text).string())?;
        let route = route.map(|route| Name::from(route.as_ref()));
        Ok(Workout { activity, duration: beside.duration, events, statistics, activities, route })
    }

    /// The totals, as sums of the types that HealthKit adds up for them.
    fn totals(&self, activity: u32) -> Result<Vec<Statistic>, String> {
        let mut totals = Vec::new();
        for (key, unit_key, kind) in [
            ("totalEnergyBurned", "totalEnergyBurnedUnit", "ActiveEnergyBurned"),
            ("totalDistance", "totalDistanceUnit", distance_of(activity)),
            ("totalSwimmingStrokeCount", "totalSwimmingStrokeCountUnit", "SwimmingStrokeCount"),
            ("totalFlightsClimbed", "totalFlightsClimbedUnit", "FlightsClimbed"),
        ] {
            let Some(sum) = self.other_number(key)? else { continue };
            let unit = self.other(unit_key).map_or(Ok(None), Raw::unit)?;
            totals.push(Statistic {
                kind: Kind::from_data(kind).map_err(|error| error.to_string())?,
                unit: required(unit_key, unit)?,
                sum: Some(sum),
                average: None,
                minimum: None,
                maximum: None,
            });
        }
        Ok(totals)
    }

    fn electrocardiogram(&self, unknown: &mut Vec<(Name, MetaValue)>) -> Result<Electrocardiogram, String> {
        let word = |key| self.other(key).map_or(Ok(None), Raw::string);
        let classification = word("classification")?.filter(|word| word != words::NOT_SET);
        if let Some(status) = word("symptomsStatus")?.filter(|word| word != words::NOT_SET) {
            unknown.push(("symptomsStatus".into(), MetaValue::String(status.as_ref().into())));
        }
        let mut voltages = Vec::new();
        if let Some(list) = self.other("voltageMeasurements") {
            let mut scale = Scale::default();
            list.elements(|text| {
                voltages.push(voltage(text, &mut scale)?);
                Ok(())
            })?;
        }
        Ok(Electrocardiogram {
            classification: classification.map(|word| words::classification(&word).into()),
            average_heart_rate: self.other_number("averageHeartRate")?,
            sampling_frequency: self.other_number("samplingFrequency")?,
            voltages,
        })
    }

    fn heartbeats(&self) -> Result<HeartbeatSeries, String> {
        let mut beats = Vec::new();
        if let Some(list) = self.other("measurements") {
            list.elements(|text| {
                let (mut time, mut gap) = (None, false);
                Raw::new("measurements", text).entries(|key, text| {
                    match key {
                        "timeSinceSeriesStart" => time = number(Raw::new(key, text))?,
                        "precededByGap" => gap = Raw::new(key, text).boolean()?.unwrap_or(false),
                        _ => {}
                    }
                    Ok(())
                })?;
                beats.push(Heartbeat { time: required("timeSinceSeriesStart", time)?, gap });
                Ok(())
            })?;
        }
        Ok(HeartbeatSeries { beats })
    }

    fn route(&self) -> Result<Route, String> {
        let mut locations = Vec::new();
        if let Some(list) = self.other("routes") {
            // The library hands places out in pieces, each with a mark whether it is the last.
            list.elements(|text| {
                Raw::new("routes", text).entries(|key, text| match key {
                    "locations" => Raw::new(key, text).elements(|text| {
                        locations.push(location(text)?);
                        Ok(())
                    }),
                    _ => Ok(()),
                })
            })?;
        }
        Ok(Route { locations })
    }

    fn clinical(&self) -> Result<Clinical, String> {
        let text = |key| -> Result<Option<Name>, String> {
            Ok(self.other(key).map_or(Ok(None), Raw::string)?.map(|text| text.as_ref().into()))
        };
        let document = match self.other("fhirData").map_or(Ok(None), Raw::string)? {
            Some(text) if is_json(&text) && is_shallow(&text) => Some(text.as_ref().into()),
            Some(_) => return Err("expected a text that holds JSON in `fhirData`, found another".to_owned()),
            None => None,
        };
        Ok(Clinical {
            display_name: text("displayName")?,
            fhir_version: text("fhirVersion")?,
            source_url: text("fhirSourceUrl")?,
            path: text("path")?,
            document,
        })
    }

    fn activity_summary(
        &self,
        beside: &mut Beside<'t>,
        start: Option<Timestamp>,
    ) -> Result<ActivitySummary, String> {
        let mut day = None;
        if let Some(text) = beside.date {
            let date = Raw::new("date", text).string()?;
            beside.at = date.as_deref().and_then(Timestamp::parse_rfc3339).map(|(at, _)| at);
            // The library writes the instant at which the day began, with its offset.
            let is_instant = beside.at.is_some() && start.is_none();
            day = date.map(|date| if is_instant { date[..10].into() } else { Name::from(date.as_ref()) });
        }
        let minutes = |key, unit_key| self.converted(key, unit_key, "min");
        Ok(ActivitySummary {
            day,
            energy: self.other_number("activeEnergyBurned")?,
            energy_goal: self.other_number("activeEnergyBurnedGoal")?,
            energy_unit: self.other("activeEnergyBurnedUnit").map_or(Ok(None), Raw::unit)?,
            move_time: minutes("appleMoveTime", "appleMoveTimeUnit")?,
            move_time_goal: minutes("appleMoveTimeGoal", "appleMoveTimeUnit")?,
            exercise_time: minutes("appleExerciseTime", "appleExerciseTimeUnit")?,
            exercise_time_goal: minutes("appleExerciseTimeGoal", "appleExerciseTimeUnit")?,
            // Hours in which somebody stood: a count, whatever unit they come with.
            stand_hours: self.other_number("appleStandHours")?,
            stand_hours_goal: self.other_number("appleStandHoursGoal")?,
        })
    }

    /// A number in the unit that records have it in.
    fn converted(
        &self,
        key: &'static str,
        unit_key: &'static str,
        unit: &str,
    ) -> Result<Option<f64>, String> {
        let Some(number) = self.other_number(key)? else { return Ok(None) };
        let Some(from) = self.other(unit_key).map_or(Ok(None), Raw::unit)? else { return Ok(Some(number)) };
        let to = Unit::parse(unit).map_err(|error| error.to_string())?;
        let conversion = from.conversion(to);
        let conversion =
            conversion.ok_or_else(|| format!("expected a unit of time in `{unit_key}`, found another"))?;
        Ok(Some(conversion.apply(number)))
    }

    fn aggregate(&self) -> Result<Aggregate, String> {
        let mut results = Vec::new();
        for (written, name) in RESULTS {
            if let Some(number) = self.other_number(written)? {
                results.push((name.into(), number));
            }
        }
        Ok(Aggregate { unit: self.unit, results })
    }
}

fn document(value: Raw<'_>) -> Result<Value, String> {
    if is_shallow(value.text) {
        Ok(Value::Json(value.text.into()))
    } else {
        Err(format!("expected fewer levels of arrays and objects in `{}`, found more", value.key))
    }
}
