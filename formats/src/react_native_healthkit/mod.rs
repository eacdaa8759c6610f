//! The samples of `@kingstinct/react-native-healthkit`, after `JSON.stringify`.
//!
//! Source: kingstinct/react-native-healthkit@d0dacf8 (`src/types`): `QuantitySample`, `CategorySample`, `CorrelationSample`,
//! `WorkoutSample`, `ElectrocardiogramSample`, `HeartbeatSeriesSample`, `WorkoutRoute`, and the answers of queries with anchors.
//!
//! | document | gives |
//! |---|---|
//! | `{"samples" or "workouts" or "correlations":[…],"deletedSamples":[…],"newAnchor":…}` | the samples, then the deletions; the anchor is the phone's and is left to it |
//! | `{"typeIdentifier":…}`, what a subscription is called with | a notification without a time; with `errorMessage` a reject |
//! | a sample, or an array of samples | itself |
//!
//! | sample | value |
//! |---|---|
//! | with `quantityType`, `quantity`, `unit` | a quantity |
//! | with `categoryType`, `value` | a category |
//! | with `correlationType`, `objects` | a correlation |
//! | with `workoutActivityType` | a workout: duration and totals are numbers or `{"unit","quantity"}` |
//! | with `classification`, `heartbeats`, `locations` | an electrocardiogram (µV), a heartbeat series, a route |
//!
//! **Times** are JavaScript dates: UTC to the millisecond. The zone is that of the metadata (`HKTimeZone`), where it is.
//! **Numbers that are not finite** are `null` after `JSON.stringify`, and rejects. **Lost**: the description of the type in
//! `sampleType`, the accuracy of speeds. Everything else that has no place is in the metadata.

mod parts;
mod sample;
#[cfg(test)]
mod tests;

use self::sample::Sample;
use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
};

const DOCUMENT: u8 = 1;
const LISTED: u8 = 2;
const SAMPLES: u8 = 3;
const DELETED: u8 = 4;

/// What notifications say who sent them, and what they are about.
const VENDOR: &str = "react-native-healthkit";
const TOPIC: &str = "observer";

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Enter(LISTED),
        (DOCUMENT | LISTED, Step::Key("samples" | "workouts" | "correlations")) => Visit::Enter(SAMPLES),
        (DOCUMENT | LISTED, Step::Key("deletedSamples")) => Visit::Enter(DELETED),
        (DOCUMENT | LISTED, Step::Key("newAnchor")) => Visit::Note(DOCUMENT),
        (DOCUMENT | LISTED, Step::Key(_)) => Visit::Whole(DOCUMENT),
        (SAMPLES | DELETED, Step::Element) => Visit::Part(state),
        _ => Visit::Unknown,
    }
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct ReactNativeHealthkit {
    cx: Context,
}

impl ReactNativeHealthkit {
    pub(crate) fn new(options: DecoderOptions) -> ReactNativeHealthkit {
        ReactNativeHealthkit { cx: Context::new(options) }
    }
}

impl Dialect for ReactNativeHealthkit {
    fn shape(&self) -> Shape {
        shape
    }

    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>) {
        let mut sample = Sample::default();
        let is_deleted = number == DELETED;
        let read = sample.read(text, &mut self.cx);
        let (id, kind) = (sample.id, sample.kind);
        match read.and_then(|()| sample.finish(is_deleted, &mut self.cx)) {
            Ok(record) => out.push(record),
            Err(reason) if is_deleted => {
                out.reject(format!("{{\"deletedSamples\":[{text}]}}").as_bytes(), reason, id, kind);
            }
            Err(reason) => out.reject(text.as_bytes(), reason, id, kind),
        }
    }
}
