//! The bodies of `health_kit_reporter`, the Flutter plugin, and of `HealthKitReporter`, the Swift library below it.
//!
//! Source: kvs-coder/health_kit_reporter@af945db (2.3.1), kvs-coder/HealthKitReporter of pods 1 to 4 (`Sources/Model/Payload`,
//! `Sources/Decorator`), and the README of 4.x. Every object crosses the channel as a JSON *text*; those of people who have
//! parsed it first are read as well.
//!
//! | document | gives |
//! |---|---|
//! | `{"samples":[…],"deletedObjects":[…],"anchor":…}`, an anchored event | the samples, then the deletions; the anchor is the phone's and is left to it |
//! | `{"identifier":…}`, an observer event | a notification without a time: something changed |
//! | a sample, a deleted object (`{"uuid","metadata"}`), a statistic, an activity summary | itself |
//! | an array of these, or a JSON text that holds one | each |
//!
//! | object | value |
//! |---|---|
//! | quantity | a quantity in its unit, which is never converted: glucose comes in mg/L, temperature in K |
//! | category | its number; `description` and `detail` say the same in words |
//! | correlation | its samples, quantities first |
//! | workout | activity, duration, events; totals as sums of their types, unless there are `statistics` (4.x) |
//! | electrocardiogram | classification by HealthKit's name, voltages in µV |
//! | heartbeat series, workout route, clinical record, activity summary | the value of that name |
//! | statistic | an aggregate of `sum`, `average`, `recent`, `min`, `max`; its id is derived |
//! | anything else (state of mind, prescriptions) | its `harmonized` as JSON |
//!
//! **Times** are seconds since 1970, or milliseconds where the number is above 10¹¹: what goes to the phone is in these, and
//! some bodies have been through it. They are read to the µs, which doubles carry until the year 2242.
//!
//! **Numbers that are not finite** are rejects, in either spelling: `"inf"` and `"-500.0"` (which is NaN) until 3.x,
//! `"Infinity"`, `"-Infinity"`, `"NaN"` in 4.x.
//!
//! **Metadata** is a plain map of texts (pod 1), a Swift enumeration (`{"double":{"dictionary":{…}}}`, pods 2 and 3, dates in
//! seconds since 2001) or a flat object of typed values (4.x). `HKTimeZone` gives the zone. Mixed metadata is `null` in pods 2
//! and 3: the library loses it before anybody could read it.
//!
//! **Words** that were misspelt until 3.x ("Sinus rhytm") are read as what they mean.
//!
//! **Lost in reading**: the metadata and durations of workout events, the floor and the accuracy of speed and course of places,
//! the times of single voltages (they are evenly spaced), the sources of statistics, the lengths of laps and places of 4.x's
//! activities. **Kept in metadata**: what a record has no place for (`symptomsStatus`, `device.localIdentifier`).
//!
//! # Writing
//!
//! A record is one anchored event with one sample or deletion, in the form of 4.x. What the dialect has no key for is written
//! under keys that its readers pass over (`subject`, `zone`, `revision`). What it can't say at all is refused:
//! notifications other than an observer's, aggregates with other results, correlations of other values than quantities and
//! categories.

mod decode;
mod encode;
mod metadata;
mod origin;
mod parts;
#[cfg(test)]
mod tests;
mod value;
mod words;

pub(crate) use self::decode::Reporter;
pub use self::encode::ReporterEncoder;

/// What notifications of observers say who sent them.
const VENDOR: &str = "health_kit_reporter";
/// And what they are about.
const TOPIC: &str = "observer";
