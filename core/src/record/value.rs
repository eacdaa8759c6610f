//! What a record measured.
//!
//! Plain values are inline; large ones are shared (`Arc`) and immutable, so a record fans out to several
//! sinks without a deep copy.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Kind, Name, Record, Timestamp, Unit};

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Value {
    /// No value: a deletion.
    None,
    /// A number with a unit. Always finite.
    Quantity(f64, Unit),
    /// A category's raw value (for sleep: 0 in bed … 5 REM).
    Category(i64),
    /// A workout.
    Workout(Arc<Workout>),
    /// Samples that belong together, such as the two of a blood pressure.
    Correlation(Arc<Correlation>),
    /// An electrocardiogram.
    Electrocardiogram(Arc<Electrocardiogram>),
    /// Beat-to-beat times.
    HeartbeatSeries(Arc<HeartbeatSeries>),
    /// A workout's route.
    Route(Arc<Route>),
    /// The rings of one day.
    ActivitySummary(Arc<ActivitySummary>),
    /// A clinical document.
    Clinical(Arc<Clinical>),
    /// A vendor says that something changed, and when.
    Notification(Arc<Notification>),
    /// The result of a window or statistic.
    Aggregate(Arc<Aggregate>),
    /// Anything else: one JSON value, as text.
    Json(Arc<str>),
}

impl Value {
    /// The number of a quantity or category, as a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Quantity(value, _) => Some(*value),
            Value::Category(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The unit of a quantity.
    pub fn unit(&self) -> Option<Unit> {
        match self {
            Value::Quantity(_, unit) => Some(*unit),
            _ => None,
        }
    }
}

/// A workout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Workout {
    /// Raw value of HKWorkoutActivityType.
    pub activity: u32,
    /// Duration in seconds, without pauses.
    pub duration: Option<f64>,
    /// Pauses, laps, markers.
    pub events: Vec<WorkoutEvent>,
    /// Totals and averages by type.
    pub statistics: Vec<Statistic>,
    /// Parts of a multi-sport workout.
    pub activities: Vec<Activity>,
    /// Where its route is kept in the source (a path in an export), if it has one.
    pub route: Option<Name>,
}

/// Something that happened in a workout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkoutEvent {
    /// HKWorkoutEventType's name without prefix: `pause`, `resume`, `lap`, …
    pub event: Name,
    /// When.
    pub start: Timestamp,
    /// Until when; equal to `start` for an instant.
    pub end: Timestamp,
}

/// A total or average of one quantity type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    /// Of what.
    pub kind: Kind,
    /// Unit of all the numbers.
    pub unit: Unit,
    /// Sum, for cumulative types.
    pub sum: Option<f64>,
    /// Average, for discrete types.
    pub average: Option<f64>,
    /// Minimum, for discrete types.
    pub minimum: Option<f64>,
    /// Maximum, for discrete types.
    pub maximum: Option<f64>,
}

/// A part of a multi-sport workout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Raw value of HKWorkoutActivityType.
    pub activity: u32,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Duration in seconds.
    pub duration: Option<f64>,
    /// Its statistics.
    pub statistics: Vec<Statistic>,
}

/// Samples that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// The samples, as records of their own.
    pub samples: Vec<Record>,
}

/// An electrocardiogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Electrocardiogram {
    /// Classification as the source names it.
    pub classification: Option<Name>,
    /// Average heart rate in count/min.
    pub average_heart_rate: Option<f64>,
    /// Samples a second, in Hz.
    pub sampling_frequency: Option<f64>,
    /// Voltages in µV, evenly spaced.
    pub voltages: Vec<f64>,
}

/// Beat-to-beat times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatSeries {
    /// The beats, in order.
    pub beats: Vec<Heartbeat>,
}

/// One beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Seconds since the series began.
    pub time: f64,
    /// Whether beats before this one were missed.
    pub gap: bool,
}

/// A workout's route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The places, in order.
    pub locations: Vec<Location>,
}

/// A place on a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// When.
    pub time: Timestamp,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres above sea level.
    pub altitude: Option<f64>,
    /// Metres a second.
    pub speed: Option<f64>,
    /// Degrees clockwise from north.
    pub course: Option<f64>,
    /// Horizontal accuracy in metres.
    pub horizontal_accuracy: Option<f64>,
    /// Vertical accuracy in metres.
    pub vertical_accuracy: Option<f64>,
}

/// The rings of one day. Energies in kcal, times in min, stand hours in count, unless the unit says
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivitySummary {
    /// The day, `yyyy-mm-dd`, in the person's calendar.
    pub day: Option<Name>,
    /// Active energy burned.
    pub energy: Option<f64>,
    /// Its goal.
    pub energy_goal: Option<f64>,
    /// Unit of both energies.
    pub energy_unit: Option<Unit>,
    /// Move minutes.
    pub move_time: Option<f64>,
    /// Their goal.
    pub move_time_goal: Option<f64>,
    /// Exercise minutes.
    pub exercise_time: Option<f64>,
    /// Their goal.
    pub exercise_time_goal: Option<f64>,
    /// Stand hours.
    pub stand_hours: Option<f64>,
    /// Their goal.
    pub stand_hours_goal: Option<f64>,
}

/// A clinical document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clinical {
    /// What it is called.
    pub display_name: Option<Name>,
    /// The FHIR release it is written in, as the source names it.
    pub fhir_version: Option<Name>,
    /// Where it came from.
    pub source_url: Option<Name>,
    /// Where it is kept in the source (a path in an export).
    pub path: Option<Name>,
    /// The document: one JSON value, as text.
    pub document: Option<Arc<str>>,
}

/// A vendor says that something changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The vendor's name.
    pub vendor: Name,
    /// What changed, in the vendor's word.
    pub topic: Name,
}

/// The result of a window or statistic over records of the record's type and unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Unit of the numbers, where there is one.
    pub unit: Option<Unit>,
    /// The results by name: `count`, `sum`, `min`, …
    pub results: Vec<(Name, f64)>,
}
