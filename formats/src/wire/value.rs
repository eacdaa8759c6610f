//! The one-key objects of values that are more than a number.
//!
//! The definitions mirror the structs of `afferent_core::record` field by field; serde's `remote` makes the
//! compiler compare them. They are closed: an unknown key inside a value is refused in either mode, because
//! metadata has no place that would say to which part it belonged.

use std::sync::Arc;

use afferent_core::{
    Kind, Name, Timestamp, Unit,
    record::{
        Activity, ActivitySummary, Clinical, Electrocardiogram, Heartbeat, HeartbeatSeries, Location,
        Notification, Route, Statistic, Workout, WorkoutEvent,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::with::{finite, finite_list, finite_option, json_option, time};

/// A struct of the core that has a wire form.
pub(super) trait Remote: Sized {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// A struct of the core, for serde.
pub(super) struct Wire<T>(pub(super) T);

impl<T: Remote> Serialize for Wire<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Remote> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wire<T>, D::Error> {
        T::read(deserializer).map(Wire)
    }
}

/// Lists of such structs.
mod list {
    use super::{Deserialize, Deserializer, Remote, Serializer, Wire};

    pub(super) fn serialize<T: Remote, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(Wire))
    }

    pub(super) fn deserialize<'de, T: Remote, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<Wire<T>>::deserialize(deserializer)?.into_iter().map(|item| item.0).collect())
    }
}

macro_rules! remote {
    ($($type:ty: $wire:ident),* $(,)?) => {$(
        impl Remote for $type {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $wire::serialize(self, serializer)
            }
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                $wire::deserialize(deserializer)
            }
        }
    )*};
}

remote! {
    Workout: WorkoutWire,
    WorkoutEvent: WorkoutEventWire,
    Statistic: StatisticWire,
    Activity: ActivityWire,
    Electrocardiogram: ElectrocardiogramWire,
    HeartbeatSeries: HeartbeatSeriesWire,
    Heartbeat: HeartbeatWire,
    Route: RouteWire,
    Location: LocationWire,
    ActivitySummary: ActivitySummaryWire,
    Clinical: ClinicalWire,
    Notification: NotificationWire,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Workout", deny_unknown_fields)]
struct WorkoutWire {
    activity: u32,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(default, with = "list", skip_serializing_if = "Vec::is_empty")]
    events: Vec<WorkoutEvent>,
    #[serde(default, with = "list", skip_serializing_if = "Vec::is_empty")]
    statistics: Vec<Statistic>,
    #[serde(default, with = "list", skip_serializing_if = "Vec::is_empty")]
    activities: Vec<Activity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<Name>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "WorkoutEvent", deny_unknown_fields)]
struct WorkoutEventWire {
    event: Name,
    #[serde(with = "time")]
    start: Timestamp,
    #[serde(with = "time")]
    end: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Statistic", deny_unknown_fields)]
struct StatisticWire {
    #[serde(rename = "type")]
    kind: Kind,
    unit: Unit,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    sum: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    average: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    minimum: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    maximum: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Activity", deny_unknown_fields)]
struct ActivityWire {
    activity: u32,
    #[serde(with = "time")]
    start: Timestamp,
    #[serde(with = "time")]
    end: Timestamp,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(default, with = "list", skip_serializing_if = "Vec::is_empty")]
    statistics: Vec<Statistic>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Electrocardiogram", deny_unknown_fields)]
struct ElectrocardiogramWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classification: Option<Name>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    average_heart_rate: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    sampling_frequency: Option<f64>,
    #[serde(default, with = "finite_list")]
    voltages: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "HeartbeatSeries", deny_unknown_fields)]
struct HeartbeatSeriesWire {
    #[serde(default, with = "list")]
    beats: Vec<Heartbeat>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Heartbeat", deny_unknown_fields)]
struct HeartbeatWire {
    #[serde(with = "finite")]
    time: f64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Route", deny_unknown_fields)]
struct RouteWire {
    #[serde(default, with = "list")]
    locations: Vec<Location>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Location", deny_unknown_fields)]
struct LocationWire {
    #[serde(with = "time")]
    time: Timestamp,
    #[serde(with = "finite")]
    latitude: f64,
    #[serde(with = "finite")]
    longitude: f64,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    altitude: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    course: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    horizontal_accuracy: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    vertical_accuracy: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ActivitySummary", deny_unknown_fields)]
struct ActivitySummaryWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<Name>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    energy: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    energy_goal: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    energy_unit: Option<Unit>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    move_time: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    move_time_goal: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    exercise_time: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    exercise_time_goal: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    stand_hours: Option<f64>,
    #[serde(default, with = "finite_option", skip_serializing_if = "Option::is_none")]
    stand_hours_goal: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Clinical", deny_unknown_fields)]
struct ClinicalWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fhir_version: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_url: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<Name>,
    #[serde(default, with = "json_option", skip_serializing_if = "Option::is_none")]
    document: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Notification", deny_unknown_fields)]
struct NotificationWire {
    vendor: Name,
    topic: Name,
}
