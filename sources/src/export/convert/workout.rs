//! Workout.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Record, Timestamp, Unit, Value,
    kind::workout::activity_of_constant,
    record::{Activity, Location, Route, Statistic, Workout, WorkoutEvent},
};

use super::{Attributes, Converter, Made, instant, number, optional_number};
use crate::export::{
    device::present,
    element::{Element, Reason, text},
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
/// The metadata key of a further route of a workout; the first is in the workout itself.
const FURTHER_ROUTE: &str = "route";

/// The totals in attributes, which recent exports give as statistics instead: the attribute, the type, and the
/// unit where no attribute names it. The type of the distance depends on the activity.
const TOTALS: [(&str, &str, Option<&str>); 4] = [
    ("totalDistance", DISTANCE, None),
    ("totalEnergyBurned", "HKQuantityTypeIdentifierActiveEnergyBurned", None),
    ("totalFlightsClimbed", "HKQuantityTypeIdentifierFlightsClimbed", Some("count")),
    ("totalSwimmingStrokeCount", "HKQuantityTypeIdentifierSwimmingStrokeCount", Some("count")),
];

impl Converter {
    /// A Workout and the routes inside it. Metadata of its events and activities have no place in a record and are
    /// not kept.
    pub(super) fn workout(&mut self, element: &Element<'_>, out: &mut Vec<Record>) -> Result<Made, Reason> {
        let attributes = Attributes::of(element)?;
        let span = attributes.span()?;
        let kind = named(WORKOUT);
        let before = out.len();
        let mut workout = Workout {
            activity: activity(element.get("workoutActivityType"))?,
            duration: duration(element)?,
            ..Workout::default()
        };
        let mut metadata = Metadata::default();
        let mut routes = Vec::new();
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
                    let files = child.children().filter(|file| file.name() == "FileReference");
                    for path in files.filter_map(|file| present(text(file.get("path")?))) {
                        match workout.route {
                            None => workout.route = Some(path),
                            Some(_) => metadata.push(self.names.get(FURTHER_ROUTE), MetaValue::String(path)),
                        }
                    }
                    routes.extend(self.route(&child)?);
                }
                _ => {}
            }
        }
        self.totals(element, &mut workout)?;
        if self.is_wanted(kind, span.0) {
            let value = Value::Workout(Arc::new(workout));
            out.push(self.record(kind, span, value, &attributes, metadata));
        }
        out.append(&mut routes);
        Ok(if out.len() > before { Made::Records } else { Made::Nothing })
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

    /// The places inside a WorkoutRoute, which the oldest exports have in place of a file, if they are wanted.
    fn route(&mut self, element: &Element<'_>) -> Result<Option<Record>, Reason> {
        let mut metadata = Metadata::default();
        let mut locations = Vec::new();
        for child in element.children() {
            match child.name() {
                "Location" => locations.push(location(&child)?),
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata)?,
                _ => {}
            }
        }
        if locations.is_empty() {
            return Ok(None);
        }
        let attributes = Attributes::of(element)?;
        let span = attributes.span()?;
        let kind = named(ROUTE);
        if !self.is_wanted(kind, span.0) {
            return Ok(None);
        }
        let value = Value::Route(Arc::new(Route { locations }));
        Ok(Some(self.record(kind, span, value, &attributes, metadata)))
    }
}

fn named(identifier: &str) -> Kind {
    Kind::from_data(identifier).expect("invariant: the identifier is in the catalogue")
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
