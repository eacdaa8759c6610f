//! Workout.

use std::sync::Arc;

use afferent_core::{
    MetaValue, Metadata, Name, Timestamp, Unit, Value,
    kind::workout::activity_of_constant,
    record::{Activity, Location, Route, Statistic, Workout, WorkoutEvent},
};

use super::{Attributes, Converter, Failure, Made, instant, named, number, optional_number};
use crate::export::{
    device::present,
    element::{Element, Reason},
    text::text,
};

/// What the constants of activities begin with.
const ACTIVITY: &str = "HKWorkoutActivityType";
/// What the constants of events begin with.
const EVENT: &str = "HKWorkoutEventType";
/// The type of workouts.
const WORKOUT: &str = "HKWorkoutTypeIdentifier";
/// The type of routes.
const ROUTE: &str = "HKWorkoutRouteTypeIdentifier";
/// What identifiers of distances begin with.
const DISTANCE: &str = "HKQuantityTypeIdentifierDistance";
/// The metadata key of the path that a route was read from, and of a further route of a workout, whose first is in the
/// workout itself.
const ROUTE_PATH: &str = "route";

/// The totals in attributes, which recent exports give as statistics instead: the attribute, the type, and the
/// unit where no attribute names it. The type of the distance depends on the activity.
const TOTALS: [(&str, &str, Option<&str>); 4] = [
    ("totalDistance", DISTANCE, None),
    ("totalEnergyBurned", "HKQuantityTypeIdentifierActiveEnergyBurned", None),
    ("totalFlightsClimbed", "HKQuantityTypeIdentifierFlightsClimbed", Some("count")),
    ("totalSwimmingStrokeCount", "HKQuantityTypeIdentifierSwimmingStrokeCount", Some("count")),
];

impl Converter {
    /// A Workout, its routes, and the samples inside it (effort scores stand nowhere else). Metadata of its events and
    /// activities have no place in a record and are not kept.
    pub(super) fn workout(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Failure> {
        let attributes = Attributes::of(element)?;
        let span = attributes.span()?;
        let kind = named(WORKOUT);
        let is_wanted = self.is_wanted(kind, span.0, &mut out.skipped);
        let mut workout = Workout {
            activity: activity(element.get("workoutActivityType"))?,
            duration: duration(element)?,
            ..Workout::default()
        };
        let mut metadata = Metadata::default();
        let place = out.records.len();
        for child in element.children() {
            match child.name() {
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata)?,
                "WorkoutEvent" => workout.events.push(self.event(&child)?),
                "WorkoutStatistics" => workout.statistics.push(self.statistic(&child)?),
                "WorkoutActivity" => {
                    let part = self.activity(&child, workout.activity, span.1)?;
                    workout.activities.push(part);
                }
                "WorkoutRoute" => {
                    for path in references(&child) {
                        match workout.route {
                            None => workout.route = Some(path),
                            Some(_) => metadata.push(self.names.get(ROUTE_PATH), MetaValue::String(path)),
                        }
                    }
                    self.route(&child, out)?;
                }
                "Record" => self.sample(&child, out)?,
                _ => {}
            }
        }
        self.totals(element, &mut workout)?;
        if is_wanted {
            let value = Value::Workout(Arc::new(workout));
            let origin = self.origin(&attributes);
            out.records.insert(place, self.record(kind, span, value, origin, metadata));
        }
        Ok(())
    }

    fn event(&mut self, element: &Element<'_>) -> Result<WorkoutEvent, Reason> {
        let name = text(element.get("type").ok_or("expected the type of a workout event, found none")?);
        let short = name.strip_prefix(EVENT).unwrap_or(&name);
        let mut letters = short.chars();
        let lower = letters.next().map(|first| first.to_lowercase().chain(letters).collect::<String>());
        let start = instant("date", element.get("date"))?;
        let micros = duration(element)?.map_or(0, |seconds| (seconds * 1e6) as i64);
        Ok(WorkoutEvent {
            event: self.names.get(&lower.unwrap_or_default()),
            start,
            end: start.plus_micros(micros),
        })
    }

    fn statistic(&mut self, element: &Element<'_>) -> Result<Statistic, Reason> {
        let of = self.kind(element.get("type"))?;
        Ok(Statistic {
            kind: of.kind,
            unit: self.unit(element.get("unit"))?,
            sum: optional_number("sum", element.get("sum"))?,
            average: optional_number("average", element.get("average"))?,
            minimum: optional_number("minimum", element.get("minimum"))?,
            maximum: optional_number("maximum", element.get("maximum"))?,
        })
    }

    fn activity(&mut self, element: &Element<'_>, whole: u32, end: Timestamp) -> Result<Activity, Reason> {
        let constant = element.get("workoutActivityType");
        let statistics = element.children().filter(|child| child.name() == "WorkoutStatistics");
        Ok(Activity {
            activity: constant.map_or(Ok(whole), |constant| activity(Some(constant)))?,
            start: instant("startDate", element.get("startDate"))?,
            end: element.get("endDate").map_or(Ok(end), |date| instant("endDate", Some(date)))?,
            duration: duration(element)?,
            statistics: statistics.map(|child| self.statistic(&child)).collect::<Result<_, _>>()?,
        })
    }

    fn totals(&mut self, element: &Element<'_>, workout: &mut Workout) -> Result<(), Reason> {
        for (name, of, unit) in TOTALS {
            let Some(total) = element.get(name) else { continue };
            if workout.statistics.iter().any(|statistic| statistic.kind.name().starts_with(of)) {
                continue;
            }
            let kind = named(if of == DISTANCE { distance(workout.activity) } else { of });
            let unit = self.unit(element.get(&format!("{name}Unit")).or(unit))?;
            let sum = Some(number(name, Some(total))?);
            workout.statistics.push(Statistic {
                kind,
                unit,
                sum,
                average: None,
                minimum: None,
                maximum: None,
            });
        }
        Ok(())
    }

    /// The routes of a WorkoutRoute, if they are wanted: of the files it names, or of the places inside it, which the
    /// oldest exports have instead.
    fn route(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Failure> {
        let kind = named(ROUTE);
        let attributes = Attributes::of(element)?;
        let mut metadata = Metadata::default();
        let mut locations = Vec::new();
        for child in element.children() {
            match child.name() {
                "Location" => locations.push(location(&child)?),
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata)?,
                _ => {}
            }
        }
        let paths: Vec<Name> = references(element).collect();
        if locations.is_empty() && paths.is_empty() {
            return Ok(());
        }
        let span = attributes.span()?;
        if !self.is_wanted(kind, span.0, &mut out.skipped) {
            return Ok(());
        }
        let origin = self.origin(&attributes);
        if !locations.is_empty() {
            let value = Value::Route(Arc::new(Route { locations }));
            out.records.push(self.record(kind, span, value, origin.clone(), metadata.clone()));
        }
        for path in paths {
            if let Some(route) = self.route_in(&path, out)? {
                let mut metadata = metadata.clone();
                metadata.push(self.names.get(ROUTE_PATH), MetaValue::String(path));
                let value = Value::Route(Arc::new(route));
                out.records.push(self.record(kind, span, value, origin.clone(), metadata));
            }
        }
        Ok(())
    }
}

/// The paths of the files that an element names.
fn references<'a>(element: &Element<'a>) -> impl Iterator<Item = Name> + use<'a> {
    let files = element.children().filter(|file| file.name() == "FileReference");
    files.filter_map(|file| present(text(file.get("path")?)))
}

/// The raw value of an activity's constant, or of a number in its place.
fn activity(raw: Option<&str>) -> Result<u32, Reason> {
    let constant = raw.ok_or("expected a workoutActivityType, found none")?;
    activity_of_constant(constant)
        .or_else(|| constant.strip_prefix(ACTIVITY).unwrap_or(constant).parse().ok())
        .ok_or_else(|| "workoutActivityType is neither a number nor a constant this program knows".into())
}

/// `duration` in `durationUnit`, as seconds.
fn duration(element: &Element<'_>) -> Result<Option<f64>, Reason> {
    let Some(duration) = optional_number("duration", element.get("duration"))? else { return Ok(None) };
    let unit = Unit::parse(&text(element.get("durationUnit").unwrap_or("min"))).ok();
    let seconds = Unit::parse("s").ok();
    match unit.zip(seconds).and_then(|(unit, seconds)| unit.conversion(seconds)) {
        Some(conversion) => Ok(Some(conversion.apply(duration))),
        None => Err("durationUnit is no unit of time".into()),
    }
}

/// The type of a workout's distance, as HealthKit counts it.
fn distance(activity: u32) -> &'static str {
    let is = |constant| activity_of_constant(constant) == Some(activity);
    if is("HKWorkoutActivityTypeCycling") || is("HKWorkoutActivityTypeHandCycling") {
        "HKQuantityTypeIdentifierDistanceCycling"
    } else if is("HKWorkoutActivityTypeSwimming") {
        "HKQuantityTypeIdentifierDistanceSwimming"
    } else if is("HKWorkoutActivityTypeWheelchairWalkPace") || is("HKWorkoutActivityTypeWheelchairRunPace") {
        "HKQuantityTypeIdentifierDistanceWheelchair"
    } else if is("HKWorkoutActivityTypeDownhillSkiing") || is("HKWorkoutActivityTypeSnowboarding") {
        "HKQuantityTypeIdentifierDistanceDownhillSnowSports"
    } else {
        "HKQuantityTypeIdentifierDistanceWalkingRunning"
    }
}

fn location(element: &Element<'_>) -> Result<Location, Reason> {
    Ok(Location {
        time: instant("date", element.get("date"))?,
        latitude: number("latitude", element.get("latitude"))?,
        longitude: number("longitude", element.get("longitude"))?,
        altitude: optional_number("altitude", element.get("altitude"))?,
        speed: optional_number("speed", element.get("speed"))?,
        course: optional_number("course", element.get("course"))?,
        horizontal_accuracy: optional_number("horizontalAccuracy", element.get("horizontalAccuracy"))?,
        vertical_accuracy: optional_number("verticalAccuracy", element.get("verticalAccuracy"))?,
    })
}
