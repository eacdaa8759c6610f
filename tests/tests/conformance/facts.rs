//! What any of the tools reads from an export, in one form.

use std::{cmp::Ordering, fmt::Debug};

use afferent::afferent_core::{Kind, Timestamp};

/// What the names of types begin with that `healthkit-to-sqlite` drops.
const PREFIXES: [&str; 2] = ["HKQuantityTypeIdentifier", "HKCategoryTypeIdentifier"];

/// A number that is the same only if all its bits are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) f64);

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

/// The value of a sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// Of a quantity, or HealthKit's raw value of a category.
    Number(Number),
    /// A category's constant that no table has.
    Constant(String),
}

/// A sample by what is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sample {
    /// Its type, as [`short`] has it.
    pub(crate) kind: String,
    /// µs since 1970.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) value: Value,
    pub(crate) unit: Option<String>,
    /// The name of its source; empty if it has none.
    pub(crate) source: String,
}

/// A workout by what is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Workout {
    /// HealthKit's raw value of the activity.
    pub(crate) activity: u32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Seconds.
    pub(crate) duration: Option<Number>,
    pub(crate) source: String,
    /// What happened in it, and when: `pause`.
    pub(crate) events: Vec<(String, i64)>,
}

/// A place of a route: when, and the numbers of [`PLACE`].
pub(crate) type Place = (i64, Vec<Option<Number>>);

/// The numbers of a place: our name and that of `healthkit-to-sqlite`.
pub(crate) const PLACE: [(&str, &str); 7] = [
    ("latitude", "latitude"),
    ("longitude", "longitude"),
    ("altitude", "altitude"),
    ("speed", "speed"),
    ("course", "course"),
    ("horizontal_accuracy", "horizontalAccuracy"),
    ("vertical_accuracy", "verticalAccuracy"),
];

/// An activity summary: its day, the unit of energy, and the numbers of [`SUMMARY`].
pub(crate) type Summary = (String, Option<String>, Vec<Option<Number>>);

/// The numbers of an activity summary: our name and that of the export, which `healthkit-to-sqlite` keeps.
pub(crate) const SUMMARY: [(&str, &str); 8] = [
    ("energy", "activeEnergyBurned"),
    ("energy_goal", "activeEnergyBurnedGoal"),
    ("move_time", "appleMoveTime"),
    ("move_time_goal", "appleMoveTimeGoal"),
    ("exercise_time", "appleExerciseTime"),
    ("exercise_time_goal", "appleExerciseTimeGoal"),
    ("stand_hours", "appleStandHours"),
    ("stand_hours_goal", "appleStandHoursGoal"),
];

/// Everything of an export that is compared, in no order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) samples: Vec<Sample>,
    pub(crate) workouts: Vec<Workout>,
    pub(crate) places: Vec<Place>,
    pub(crate) summaries: Vec<Summary>,
}

impl Facts {
    /// In an order of its own, so that equal ones are equal.
    pub(crate) fn sorted(mut self) -> Facts {
        self.samples.sort();
        self.workouts.sort();
        self.places.sort();
        self.summaries.sort();
        self
    }
}

/// A type by the present name of an identifier (a few go by two), without what tells quantities from categories.
pub(crate) fn short(identifier: &str) -> String {
    let name = Kind::from_data(identifier).expect("a type").name();
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
}

/// The instant of a text of RFC 3339, µs since 1970.
pub(crate) fn instant(text: &str) -> i64 {
    Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{text:?} is no instant")).0.as_micros()
}

/// Fails, with the first differences, unless both lists have the same items equally often.
#[track_caller]
pub(crate) fn assert_same<T: Clone + Debug + Ord>(what: &str, ours: &[T], theirs: &[T]) {
    let sorted = |items: &[T]| {
        let mut items = items.to_vec();
        items.sort();
        items
    };
    let (ours, theirs) = (sorted(ours), sorted(theirs));
    if ours == theirs {
        return;
    }
    let without = |items: &[T], mut others: &[T]| -> Vec<T> {
        let is_alone = |item: &&T| {
            let before = others.iter().take_while(|other| other < item).count();
            others = &others[before..];
            let is_there = others.first() == Some(*item);
            others = &others[usize::from(is_there)..];
            !is_there
        };
        items.iter().filter(is_alone).take(5).cloned().collect()
    };
    panic!(
        "{what}: {} of ours, {} of theirs\nonly ours: {:#?}\nonly theirs: {:#?}",
        ours.len(),
        theirs.len(),
        without(&ours, &theirs),
        without(&theirs, &ours)
    );
}
