//! `coarsen`: less exact times, places and values, so that a record tells less of a person.
//!
//! | key | |
//! |---|---|
//! | `time` | `start` is moved back, and `end` on, to a multiple of it since 1970; an instant becomes the span that it is in |
//! | `grid` | latitudes and longitudes of routes are moved to the middle of a square of so many degrees; altitude, speed, course and accuracy, which tell the place as well, go |
//! | `bins` | values of quantities of the type are moved to the middle of a bin that is so wide, in the unit that they have |
//!
//! Ids stay, so deletions and corrections meet their records. Samples in correlations are treated as records; other values that are
//! made of parts (workouts, electrocardiograms) keep their inner times. Deletions pass untouched.

use std::{collections::BTreeMap, sync::Arc};

use afferent_core::{
    Batch, Emit, Kind, Problem, Record, Result, Timestamp, Transform, Value,
    config::{Configure, Span},
    record::{Correlation, Location, Route},
};
use serde::Deserialize;

use super::{at, window::MAX_REACH};
use crate::cel::unknown_type;

/// Configuration of [`Coarsen`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Times are multiples of it: `"1h"`.
    #[serde(default)]
    pub time: Option<Span>,
    /// Places are the middle of a square of so many degrees: `0.01` is about a kilometre.
    #[serde(default)]
    pub grid: Option<f64>,
    /// By type, how wide a bin of its values is, in the unit that they have.
    #[serde(default)]
    pub bins: BTreeMap<String, f64>,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Coarsen::new(self).err().unwrap_or_default()
    }
}

/// Makes records less exact.
#[derive(Clone, Debug)]
pub struct Coarsen {
    /// µs.
    time: Option<i64>,
    /// Degrees.
    grid: Option<f64>,
    bins: Vec<(Kind, f64)>,
}

impl Coarsen {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Coarsen, Vec<Problem>> {
        let mut problems = Vec::new();
        if config.time.is_some_and(|time| time.0.is_zero() || time > MAX_REACH) {
            problems.push(Problem::new("time", format!("expected a span above 0, at most {MAX_REACH}")));
        }
        if config.grid.is_some_and(|grid| !(grid > 0.0 && grid <= 90.0)) {
            problems.push(Problem::new("grid", "expected a number of degrees above 0, at most 90"));
        }
        let mut bins = Vec::new();
        for (name, width) in &config.bins {
            match Kind::parse(name) {
                Ok(kind) if kind.class().is_some() && !kind.is_quantity() => {
                    let message = format!("`{}` is not a quantity: its values are no measures", kind.short());
                    problems.push(at(["bins", name], Problem::new("", message)));
                }
                Ok(kind) => bins.push((kind, *width)),
                Err(unknown) => problems.push(at(["bins", name], unknown_type(&unknown))),
            }
            if !(*width > 0.0 && width.is_finite()) {
                problems.push(at(["bins", name], Problem::new("", "expected a number above 0")));
            }
        }
        if config.time.is_none() && config.grid.is_none() && config.bins.is_empty() {
            let problem = Problem::new("", "it makes nothing coarse");
            problems.push(problem.help("write `time`, `grid` or `bins`"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let time = config.time.map(|time| i64::try_from(time.0.as_micros()).unwrap_or(i64::MAX));
        Ok(Coarsen { time, grid: config.grid, bins })
    }

    fn treat(&self, record: &mut Record) {
        if let Some(width) = self.time {
            let end = record.end.as_micros().max(record.start.as_micros().saturating_add(1));
            record.start = down(record.start, width);
            record.end = down(Timestamp::from_micros_clamped(end.saturating_add(width - 1)), width);
        }
        match &mut record.value {
            Value::Quantity(value, _) => {
                if let Some((_, width)) = self.bins.iter().find(|(kind, _)| Some(*kind) == record.kind) {
                    let middle = middle(*value, *width);
                    // Where a bin is too narrow for a double to tell, the value is its own bin.
                    *value = if middle.is_finite() { middle } else { *value };
                }
            }
            Value::Route(route) => {
                let locations = route.locations.iter().map(|location| self.place(location)).collect();
                *route = Arc::new(Route { locations });
            }
            Value::Correlation(correlation) => {
                let mut samples = correlation.samples.clone();
                samples.iter_mut().for_each(|sample| self.treat(sample));
                *correlation = Arc::new(Correlation { samples });
            }
            _ => {}
        }
    }

    fn place(&self, location: &Location) -> Location {
        let mut coarse = location.clone();
        if let Some(width) = self.time {
            coarse.time = down(location.time, width);
        }
        if let Some(grid) = self.grid {
            coarse = Location {
                time: coarse.time,
                latitude: middle(location.latitude, grid).clamp(-90.0, 90.0),
                longitude: middle(location.longitude, grid).clamp(-180.0, 180.0),
                altitude: None,
                speed: None,
                course: None,
                horizontal_accuracy: None,
                vertical_accuracy: None,
            };
        }
        coarse
    }
}

fn down(time: Timestamp, width: i64) -> Timestamp {
    Timestamp::from_micros_clamped(time.as_micros().div_euclid(width).saturating_mul(width))
}

/// The middle of the bin of `width` that `value` is in.
fn middle(value: f64, width: f64) -> f64 {
    ((value / width).floor() + 0.5) * width
}

impl Transform for Coarsen {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        input.iter_mut().filter(|record| !record.is_deletion()).for_each(|record| self.treat(record));
        out.take(input);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::transform_contract;

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn config(text: &str) -> Config {
        toml::from_str(text).expect("a configuration")
    }

    /// Scenario: instants, spans, values and a route, and a deletion. Guarantees: G3, G8; nothing finer than what is asked for is left,
    /// ids stay, and doing it twice changes nothing more.
    #[test]
    fn records_tell_less() {
        let config = config("time = \"1h\"\ngrid = 0.5\nbins = { HeartRate = 10 }");
        let make = || Coarsen::new(&config).unwrap();
        let mut span = quantity(2, "StepCount", 7.0, 3500);
        span.end = Timestamp::from_micros_clamped(7_200_000_000);
        let mut route = quantity(3, "StepCount", 0.0, 0);
        let location = Location {
            time: Timestamp::from_micros_clamped(3_700_000_000),
            latitude: 52.41,
            longitude: -4.9,
            altitude: Some(1.0),
            speed: Some(2.0),
            course: None,
            horizontal_accuracy: Some(3.0),
            vertical_accuracy: None,
        };
        route.value = Value::Route(Route { locations: vec![location] }.into());
        let input = [quantity(1, "HeartRate", 67.3, 10), span, route, deletion(4, None)];
        let output = transform_contract(make, &input, 0..3);
        let hours = |record: &Record| {
            (record.start.as_micros() / 3_600_000_000, record.end.as_micros() / 3_600_000_000)
        };
        assert_eq!((hours(&output[0]), output[0].value.as_f64()), ((0, 1), Some(65.0)));
        assert_eq!((hours(&output[1]), output[1].value.as_f64()), ((0, 2), Some(7.0)));
        let Value::Route(route) = &output[2].value else { panic!("a route") };
        let location = &route.locations[0];
        assert_eq!((location.latitude, location.longitude), (52.25, -4.75));
        assert_eq!((location.altitude, location.speed, location.horizontal_accuracy), (None, None, None));
        assert_eq!(output[3], input[3]);
        assert_eq!(transform_contract(make, &output, 0..3), output);
        transform_contract(make, &records(500, 1), 0..10);
    }

    /// Scenario: what makes no sense. Guarantees: each is a problem at its place.
    #[test]
    fn problems_are_found_together() {
        let problems =
            config("time = \"0s\"\ngrid = 0.0\nbins = { SleepAnalysis = 1, HeartRtae = 5, StepCount = -1 }")
                .check();
        assert_eq!(
            key_paths(&problems),
            ["time", "grid", "bins.HeartRtae", "bins.SleepAnalysis", "bins.StepCount"]
        );
        assert_eq!(key_paths(&Config::default().check()), [""]);
    }
}
