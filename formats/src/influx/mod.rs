//! InfluxDB's line protocol: records as points, one a line.
//!
//! ```text
//! HeartRate,source=Watch,subject=ada,unit=count/min value=71,id="8ba093d9-…" 1772378062000000000
//! ```
//!
//! | record | point |
//! |---|---|
//! | type | the measurement: its short name |
//! | subject, source's name, device's model, unit | tags `subject`, `source`, `device`, `unit`; in the order of their names, as InfluxDB likes them; absent and empty ones left out |
//! | id | field `id`, a text: as a tag it would make a series of each record |
//! | revision | field `revision`, a whole number, above 0 |
//! | start | the timestamp, in ns |
//! | end | field `seconds`, the length, if it is not 0 |
//!
//! | value | fields |
//! |---|---|
//! | quantity | `value`, in the record's own unit |
//! | category | `value`, a whole number; `name`, its short name where it has one |
//! | aggregate | each result by its name |
//! | correlation | each quantity by the short name of its type |
//! | workout | `activity`, `duration`, and of each statistic the short name of its type with `_sum`, `_average`, `_minimum`, `_maximum` |
//! | activity summary | each number by its name |
//! | all others | refused |
//!
//! **Lost**: zone, metadata, the rest of source and device; units of numbers inside a correlation, workout or summary. InfluxDB
//! knows a point by measurement, tags and timestamp: two records of one type, start and source replace one another there,
//! and so does a correction. A record that is sent again replaces itself.
//!
//! **Refused**, for reasons without values: deletions, which the protocol has no form for; times that have no ns in 64
//! bits (before 1677-09-21, after 2262-04-11); numbers that are not finite.
//!
//! **Texts.** Line ends, other control characters and backslashes, which have no safe form in tags, become `_` there.

mod encode;
#[cfg(test)]
mod tests;

pub use self::encode::InfluxEncoder;
