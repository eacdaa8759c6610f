//! The data points of `health`, the Flutter plugin for HealthKit and Health Connect, as its `toJson` writes them.
//!
//! Source: carp-dk/flutter-plugins, packages/health 13.2.0 (`health_data_point`, `health_value_types`, `health.g.dart`).
//!
//! A document is a point, or an array of points.
//!
//! | point | gives |
//! |---|---|
//! | `NumericHealthValue` | a quantity in HealthKit's unit; a phase of sleep, a headache or an event is the category that its type names |
//! | `WorkoutHealthValue` | a workout with its sums |
//! | `ElectrocardiogramHealthValue` | an electrocardiogram, voltages in µV |
//! | `MenstruationFlowHealthValue` | a category |
//! | `InsulinDeliveryHealthValue` | a quantity in IU, the reason in the metadata |
//! | any other value | its JSON |
//!
//! **Times have no offset**: the plugin writes the phone's local time and does not say where that was. They are read as if they
//! were UTC, and the metadata says so (`localTime`). A time that has an offset is read as what it is.
//!
//! **Percentages** are fractions on iPhones and whole numbers on Android; both become fractions, by `sourcePlatform`.
//!
//! **Types** that HealthKit has not become `dk.cachet.health.NAME`. The dialect has no deletions and no anchors.

mod point;
#[cfg(test)]
mod tests;
mod types;

use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
};

/// What types begin with that only the plugin has.
const PREFIX: &str = "dk.cachet.health.";

const DOCUMENT: u8 = 1;

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Part(DOCUMENT),
        (DOCUMENT, Step::Key(_)) => Visit::Whole(DOCUMENT),
        _ => Visit::Unknown,
    }
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct FlutterHealth {
    cx: Context,
}

impl FlutterHealth {
    pub(crate) fn new(options: DecoderOptions) -> FlutterHealth {
        FlutterHealth { cx: Context::new(options) }
    }
}

impl Dialect for FlutterHealth {
    fn shape(&self) -> Shape {
        shape
    }

    fn part(&mut self, _: u8, text: &str, out: &mut Out<'_>) {
        let mut point = point::Point::default();
        let read = point.read(text, &mut self.cx);
        let id = point.id;
        match read.and_then(|()| point.finish(&mut self.cx)) {
            Ok(record) => out.push(record),
            Err(reason) => out.reject(text.as_bytes(), reason, id, None),
        }
    }
}
