//! Open mHealth and IEEE 1752.1: records as data points, one a line (NDJSON).
//!
//! A data point is a header and a body. The header is IEEE 1752.1's (header 1.0); the body is of the schema that
//! [`terms`](crate::terms) names for the type, or of the generic ones that Open mHealth's Granola made for HealthKit.
//!
//! | record | data point |
//! |---|---|
//! | id | `header.uuid` |
//! | end | `header.source_creation_date_time`: a record says no later time of itself |
//! | subject | `header.user_id`, as headers of Open mHealth 1.x have it; IEEE's knows no person and allows it |
//! | metadata `HKWasUserEntered` | `header.modality`: `self-reported`, otherwise `sensed` |
//! | device's manufacturer, or else the source | `header.external_datasheets` |
//! | start, end | `body.effective_time_frame`: an instant or an interval, in the record's zone as an offset |
//!
//! | value | schema | |
//! |---|---|---|
//! | quantity of a type with a schema | `omh:heart-rate:2.0`, … | in a unit of the schema: where the record's is none it is converted, exactly rounded once; a percentage is in hundredths |
//! | quantity of any other | `granola:hk-quantity-sample:1.0` | number, unit and metadata as HealthKit has them: 0.97 is 97 % |
//! | sleep, asleep | `ieee:sleep-episode:1.0` | its length, and that of its stage; each record is an episode |
//! | other categories, sleep too | `granola:hk-category-sample:1.0` | Apple's constant, or the number |
//! | blood pressure | `omh:blood-pressure:4.0` | in mmHg |
//! | other correlations | `granola:hk-correlation:1.0` | quantities and categories in it |
//! | workout | `ieee:physical-activity:1.0` | name, duration, distance and energy |
//!
//! **Lost**: the revision; sources but their name; metadata where the schema is no generic one; events, parts, route and
//! other statistics of a workout.
//!
//! **Refused**, for reasons without values: deletions, which Open mHealth has no form for; electrocardiograms, heartbeat
//! series and routes, whose schemas hold one interval or place each; activity summaries, aggregates, documents,
//! notifications and JSON, which have none; numbers that are not finite; times before the year 1.
//!
//! The same record gives the same bytes.

mod body;
mod encode;
mod schemas;
#[cfg(test)]
mod tests;

pub use self::encode::OmhEncoder;
