//! Workout.

use std::sync::Arc;

use afferent_core::{
    Error, MetaValue, Metadata, Name, Timestamp, Unit, Value,
    kind::workout::activity_of_constant,
    record::{Activity, Location, Route, Statistic, Workout, WorkoutEvent},
};

use super::{
    Attributes, Converter, Failure, Made, NamedRoute, check_attributes, instant, named, number,
    optional_number,
};
use crate::export::{
    device::present,
    element::{Element, Reason},
    skipped::{Skip, Skipped},
    text::text,
};

/// What the constants of activities begin with.
const ACTIVITY: &str = "HKWorkoutActivityType";
/// The raw value of other activities, and of those this program does not know.
const OTHER: u32 = 3000;
/// The metadata key of an activity's constant that this program does not know.
const ACTIVITY_NAME: &str = "workoutActivityType";
/// Most routes that a workout may name; it has one, or one for each part.
const MAX_ROUTES: usize = 64;
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

/// The attributes of an event.
const OF_EVENT: [&str; 4] = ["type", "date", "duration", "durationUnit"];
/// The attributes of a statistic; its times are those of the workout or activity that it is of.
const OF_STATISTIC: [&str; 9] =
    ["type", "creationDate", "startDate", "endDate", "average", "minimum", "maximum", "sum", "unit"];
/// The attributes of an activity. Its uuid is not read: nothing else in an export has one.
const OF_ACTIVITY: [&str; 6] =
    ["uuid", "workoutActivityType", "startDate", "endDate", "duration", "durationUnit"];
/// The attributes of a place.
const OF_LOCATION: [&str; 8] = [
    "date",
    "latitude",
    "longitude",
    "altitude",
    "speed",
    "course",
    "horizontalAccuracy",
    "verticalAccuracy",
];

impl Converter {
    /// A Workout, the samples inside it (effort scores stand nowhere else), and its routes. Metadata of its events and
    /// activities have no place in a record and are counted.
    pub(super) fn workout(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Failure> {
        let attributes = Attributes::of(element)?;
        let span = attributes.span()?;
        let kind = named(WORKOUT);
        if self.is_wanted(kind, span.0, &mut out.skipped) {
            let (workout, metadata) = self.workout_of(element, &attributes, span, &mut out.skipped)?;
            let value = Value::Workout(Arc::new(workout));
            let origin = self.origin(&attributes);
            out.records.push(self.record(kind, span, value, origin, metadata));
        }
        for child in element.children() {
            match child.name() {
                "WorkoutRoute" => self.route(&child, out)?,
                "Record" => self.sample(&child, out)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn workout_of(
        &mut self,
        element: &Element<'_>,
        attributes: &Attributes<'_>,
        span: (Timestamp, Timestamp),
        skipped: &mut Skipped,
    ) -> Result<(Workout, Metadata), Reason> {
        let mut metadata = Metadata::default();
        let activity = activity(element.get("workoutActivityType"))?;
        if let Err(constant) = &activity {
            metadata.push(self.names.get(ACTIVITY_NAME), MetaValue::String(constant.clone()));
        }
        let mut workout = Workout {
            activity: activity.unwrap_or(OTHER),
            duration: duration(element)?,
            ..Workout::default()
        };
        attributes.count_unknown(element, skipped)?;
        let mut parts = Vec::new();
        for child in element.children() {
            match child.name() {
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata, skipped)?,
                "WorkoutEvent" => workout.events.push(self.event(&child, skipped)?),
                "WorkoutStatistics" => workout.statistics.extend(self.statistic(&child, skipped)?),
                "WorkoutActivity" => {
                    let part = self.activity(&child, workout.activity, span.1, skipped)?;
                    workout.activities.push(part);
                    parts.push(child);
                }
                "WorkoutRoute" => {
                    for path in references(&child) {
                        match workout.route {
                            None => workout.route = Some(path),
                            Some(_) => metadata.push(self.names.get(ROUTE_PATH), MetaValue::String(path)),
                        }
                    }
                }
                "Record" => {}
                name => skipped.add_unknown(name),
            }
        }
        for event in parts.iter().flat_map(Element::children).filter(|child| child.name() == "WorkoutEvent") {
            // An event of a part is one of the workout; most exports write it in both places.
            let event = self.event(&event, skipped)?;
            if !workout.events.contains(&event) {
                workout.events.push(event);
            }
        }
        self.totals(element, &mut workout)?;
        Ok((workout, metadata))
    }

    fn event(&mut self, element: &Element<'_>, skipped: &mut Skipped) -> Result<WorkoutEvent, Reason> {
        check_attributes(element, |name| OF_EVENT.contains(&name), skipped)?;
        element.children().for_each(|_| skipped.add(Skip::PartMetadata));
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

    /// A statistic; nothing if it has no number and no unit, of which the DTD requires none.
    fn statistic(
        &mut self,
        element: &Element<'_>,
        skipped: &mut Skipped,
    ) -> Result<Option<Statistic>, Reason> {
        check_attributes(element, |name| OF_STATISTIC.contains(&name), skipped)?;
        let of = self.kind(element.get("type"))?;
        let number = |name| optional_number(name, element.get(name));
        let numbers = [number("sum")?, number("average")?, number("minimum")?, number("maximum")?];
        let unit = element.get("unit");
        if unit.is_none() && numbers == [None; 4] {
            return Ok(None);
        }
        let [sum, average, minimum, maximum] = numbers;
        Ok(Some(Statistic { kind: of.kind, unit: self.unit(unit)?, sum, average, minimum, maximum }))
    }

    fn activity(
        &mut self,
        element: &Element<'_>,
        whole: u32,
        end: Timestamp,
        skipped: &mut Skipped,
    ) -> Result<Activity, Reason> {
        let of = match element.get("workoutActivityType") {
            Some(constant) => activity(Some(constant))?.unwrap_or(OTHER),
            None => whole,
        };
        check_attributes(element, |name| OF_ACTIVITY.contains(&name), skipped)?;
        let mut statistics = Vec::new();
        for child in element.children() {
            match child.name() {
                "WorkoutStatistics" => statistics.extend(self.statistic(&child, skipped)?),
                // Read with those of the workout.
                "WorkoutEvent" => {}
                "MetadataEntry" => skipped.add(Skip::PartMetadata),
                name => skipped.add_unknown(name),
            }
        }
        Ok(Activity {
            activity: of,
            start: instant("startDate", element.get("startDate"))?,
            end: element.get("endDate").map_or(Ok(end), |date| instant("endDate", Some(date)))?,
            duration: duration(element)?,
            statistics,
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
        let (mut metadata, mut skipped) = (Metadata::default(), Skipped::default());
        attributes.count_unknown(element, &mut skipped)?;
        let mut locations = Vec::new();
        for child in element.children() {
            match child.name() {
                "Location" => locations.push(location(&child, &mut skipped)?),
                "MetadataEntry" => self.metadata_entry(&child, &mut metadata, &mut skipped)?,
                "FileReference" => check_attributes(&child, |name| name == "path", &mut skipped)?,
                name => skipped.add_unknown(name),
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
        out.skipped.take(&mut skipped);
        let origin = self.origin(&attributes);
        if !locations.is_empty() {
            let value = Value::Route(Arc::new(Route { locations }));
            out.records.push(self.record(kind, span, value, origin.clone(), metadata.clone()));
        }
        if out.routes.len() + paths.len() > MAX_ROUTES {
            return Err(Failure::Bad(format!("the workout names more than {MAX_ROUTES} routes").into()));
        }
        for path in paths {
            let mut metadata = metadata.clone();
            metadata.push(self.names.get(ROUTE_PATH), MetaValue::String(path.clone()));
            let record = self.record(kind, span, Value::None, origin.clone(), metadata);
            out.routes.push(NamedRoute { path, record });
        }
        Ok(())
    }

    /// Reads a route from its file; it becomes a record, a reject, or something that was passed over.
    ///
    /// # Errors
    /// `Transient` when the file system fails.
    pub(in crate::export) fn named_route(&mut self, route: NamedRoute, out: &mut Made) -> Result<(), Error> {
        let NamedRoute { path, mut record } = route;
        if let Some(route) = self.route_in(&path, out)? {
            record.value = Value::Route(Arc::new(route));
            self.identify(&mut record);
            out.records.push(record);
        }
        Ok(())
    }
}

/// The paths of the files that an element names.
fn references<'a>(element: &Element<'a>) -> impl Iterator<Item = Name> + use<'a> {
    let files = element.children().filter(|file| file.name() == "FileReference");
    files.filter_map(|file| present(text(file.get("path")?)))
}

/// The raw value of an activity's constant, or of a number in its place; the constant itself if it is of a newer
/// system than this program knows.
fn activity(raw: Option<&str>) -> Result<Result<u32, Name>, Reason> {
    let constant = raw.ok_or("expected a workoutActivityType, found none")?;
    let known = activity_of_constant(constant)
        .or_else(|| constant.strip_prefix(ACTIVITY).unwrap_or(constant).parse().ok());
    match known {
        Some(known) => Ok(Ok(known)),
        None if constant.starts_with(ACTIVITY) => Ok(Err(Name::from(&*text(constant)))),
        None => Err("workoutActivityType is neither a number nor a constant of HealthKit".into()),
    }
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

fn location(element: &Element<'_>, skipped: &mut Skipped) -> Result<Location, Reason> {
    check_attributes(element, |name| OF_LOCATION.contains(&name), skipped)?;
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
