//! A faithful, deterministic HealthKit for tests, examples and demonstrations.
//!
//! The store is a log of additions and deletions for each type, made from a seed and never from the wall clock:
//! two processes with the same [`Config`] have the same store, and one that was killed finds it again. Anchors
//! are places in that log; nothing is kept in memory, however many people and days there are.
//!
//! # What is real about it
//!
//! - **Order** is that of insertion: a watch that was away delivers hours late in one burst, back-dated samples
//!   come days after their time, and both lie *after* anchors that are later in time.
//! - **Deletions**: an edit is a deletion and an addition; a higher sync version replaces the sample and its
//!   uuid; tombstones may be purged, and then no reader learns of the deletion.
//! - **Two devices** count the same steps, distance and energy in the same minutes.
//! - **A locked phone** answers `Waiting`. What is saved meanwhile appears at the unlock, which wakes observers.
//! - **Wakes** say little, come once at the start whatever there is, come for some types hourly at most, and
//!   end after three that were not completed in time.
//! - **Denied** types look empty.
//!
//! Unlike HealthKit, the log keeps a deleted sample until its deletion is purged, so that every reader sees the
//! same sequence.
//!
//! # Mock time
//!
//! At `speed = "max"` mock time is where the log is read: all of it is there, a locked phone is found once at each
//! lock, and the same call moves time to the unlock. At a number, time runs from the first day on, that many times
//! faster than tokio's clock; a reader that comes with an anchor moves it to where it was.
//!
//! # What is made
//!
//! Every type of the catalogue but characteristics, which are not samples, and CDA documents. Audiograms, states of
//! mind, prescriptions, doses and assessments are JSON values. Values are plausible, not medical: people differ,
//! hearts are slower at night, nobody walks asleep.

mod clock;
mod composite;
mod config;
mod key;
mod log;
mod observer;
mod origins;
mod person;
mod plan;
mod samples;
mod store;
#[cfg(test)]
mod tests;

pub use self::{
    config::{Config, Day, Frequency, MAX_DAYS, MAX_DENSITY, MAX_USERS, Speed},
    store::MockStore,
};
