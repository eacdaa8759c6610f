//! Configuration of the mock store.

use std::{fmt, str::FromStr, time::Duration};

use afferent_core::{
    Kind, Problem,
    config::{Configure, Span},
};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de};

use crate::healthkit::config::unknown_type;

/// Most people in one store: each takes about 200 bytes of memory.
pub const MAX_USERS: u32 = 100_000;
/// Most days of history: a century.
pub const MAX_DAYS: u32 = 36_525;
/// Highest density: a heart rate every five seconds, as in a workout.
pub const MAX_DENSITY: f64 = 60.0;
/// Longest lock: the store is readable for at least an hour a day.
const MAX_LOCK: Duration = Duration::from_secs(23 * 3600);

/// Configuration of [`MockStore`](super::MockStore). Every key has a default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What the whole log is made from. The same seed and keys give the same log on every machine.
    pub seed: u64,
    /// First day, `yyyy-mm-dd`.
    pub start: Day,
    /// How many days the log is long, 1 to 36,525.
    pub days: u32,
    /// How many people share the store, 1 to 100,000. They are `user-1`, `user-2`, …
    pub users: u32,
    /// Factor on the number of samples that devices take by themselves, above 0, at most 60. 1 is an ordinary
    /// phone and watch: some 450 heart rates, step counts and energies a day together.
    pub density: f64,
    /// `"max"`: the whole log is there to be read. A number: mock time runs that many times faster than real
    /// time, from the first day on, and samples arrive as it passes.
    pub speed: Speed,
    /// Share of the days on which the watch is away from the phone for hours and delivers late, in one burst.
    pub late: f64,
    /// Share of the days, for each person and type, on which a sample is added that is days old.
    pub back_dated: f64,
    /// Share of the bursts (a type, a person, an hour) of which a person later changes a sample: it is deleted
    /// and another added.
    pub edits: f64,
    /// Share of the bursts of which a person later deletes a sample.
    pub deletions: f64,
    /// Share of the bursts of which an app later saves a sample again with a higher sync version: the old one is
    /// deleted and the new one added.
    pub replacements: f64,
    /// Phone and watch both count steps, distance and energy, in the same minutes. Without it only one does.
    pub overlap: bool,
    /// How long the phone is locked each day, from 22:00 UTC on; counted in whole hours. Reads fail from 10
    /// minutes after the lock on, and what is saved meanwhile appears at the unlock. `"0s"` is never.
    pub lock: Span,
    /// How often the app asked to be woken for each type: `immediate`, `hourly`, `daily` or `weekly`. Steps, distance
    /// and active energy wake hourly at most, whatever was asked. This, `spurious` and `coalesced` need a `speed` that
    /// is a number.
    pub frequency: Frequency,
    /// How long the app may take to complete a wake; longer is a strike.
    pub budget: Span,
    /// How many strikes in a row end the wakes until the store is observed again.
    pub strikes: u32,
    /// The person has swiped the app away: no wake comes after the first.
    pub force_quit: bool,
    /// Chance an hour of a wake when nothing changed.
    pub spurious: f64,
    /// Chance that a wake is held back and comes together with the next.
    pub coalesced: f64,
    /// Types that may not be read. They look empty.
    pub denied: Vec<String>,
    /// After how long a deletion is purged, with the sample it deleted. `"0s"` is never. At `speed = "max"` this
    /// is counted from the end of the log.
    pub purge: Span,
}

impl Default for Config {
    /// A person's month, with everything in it that happens to everybody.
    fn default() -> Config {
        Config {
            seed: 1,
            start: Day(jiff::civil::date(2025, 1, 1)),
            days: 30,
            users: 1,
            density: 1.0,
            speed: Speed::Max,
            late: 0.3,
            back_dated: 0.02,
            edits: 0.01,
            deletions: 0.005,
            replacements: 0.01,
            overlap: true,
            lock: Span(Duration::ZERO),
            frequency: Frequency::Immediate,
            budget: Span(Duration::from_secs(30)),
            strikes: 3,
            force_quit: false,
            spurious: 0.0,
            coalesced: 0.0,
            denied: Vec::new(),
            purge: Span(Duration::ZERO),
        }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut whole = |key: &str, value: u32, most: u32| {
            if value == 0 || value > most {
                problems.push(Problem::new(key, format!("expected 1 to {most}, found {value}")));
            }
        };
        whole("days", self.days, MAX_DAYS);
        whole("users", self.users, MAX_USERS);
        whole("strikes", self.strikes, u32::MAX);
        for (key, value) in [
            ("late", self.late),
            ("back_dated", self.back_dated),
            ("edits", self.edits),
            ("deletions", self.deletions),
            ("replacements", self.replacements),
            ("spurious", self.spurious),
            ("coalesced", self.coalesced),
        ] {
            if !(0.0..=1.0).contains(&value) {
                problems.push(Problem::new(key, format!("expected a share from 0 to 1, found {value}")));
            }
        }
        if self.edits + self.deletions + self.replacements > 1.0 {
            problems
                .push(Problem::new("edits", "`edits`, `deletions` and `replacements` add up to more than 1"));
        }
        if !(self.density > 0.0 && self.density <= MAX_DENSITY) {
            let found = self.density;
            problems.push(Problem::new(
                "density",
                format!("expected more than 0, at most {MAX_DENSITY}, found {found}"),
            ));
        }
        if let Speed::Factor(factor) = self.speed
            && !is_factor(factor)
        {
            problems.push(Problem::new("speed", format!("expected {SPEEDS}, found {factor}")));
        }
        if self.lock.0 > MAX_LOCK {
            problems.push(Problem::new("lock", format!("expected at most \"23h\", found \"{}\"", self.lock)));
        }
        for (index, name) in self.denied.iter().enumerate() {
            if let Err(unknown) = Kind::parse(name) {
                problems.push(unknown_type(&format!("denied.{index}"), &unknown));
            }
        }
        problems.extend(self.idle_keys().map(|key| {
            let message =
                format!("`{key}` has no effect at speed = \"max\", where nothing has to be waited for");
            let mut problem = Problem::new(key, message).help("set `speed` to a number, such as 3600");
            problem.warning = true;
            problem
        }));
        problems
    }
}

impl Config {
    /// Keys about wakes that are set although no wake is waited for.
    fn idle_keys(&self) -> impl Iterator<Item = &'static str> {
        let default = Config::default();
        let max = self.speed == Speed::Max;
        [
            ("frequency", self.frequency != default.frequency),
            ("spurious", self.spurious != default.spurious),
            ("coalesced", self.coalesced != default.coalesced),
        ]
        .into_iter()
        .filter(move |(_, set)| max && *set)
        .map(|(key, _)| key)
    }

    /// Hours a day that the phone is locked.
    pub(super) fn locked_hours(&self) -> i64 {
        i64::try_from(self.lock.0.as_secs().div_ceil(3600)).unwrap_or(0)
    }
}

/// A day of the calendar, written `2025-01-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub Date);

impl Day {
    /// Days since 1970-01-01.
    pub(super) fn since_1970(self) -> i64 {
        let epoch = jiff::civil::date(1970, 1, 1);
        i64::from(self.0.since(epoch).map_or(0, |span| span.get_days()))
    }
}

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Day, String> {
        match text.parse::<Date>() {
            Ok(date) if (1970..=2200).contains(&date.year()) => Ok(Day(date)),
            _ => Err("expected a day of the years 1970 to 2200, such as \"2025-01-01\"".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How fast mock time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// It does not run: mock time is where the log is read.
    Max,
    /// So many times faster than real time.
    Factor(f64),
}

/// Fastest [`Speed::Factor`]: a day a second. Above it `max` is what is meant.
const MAX_FACTOR: f64 = 86_400.0;
const SPEEDS: &str = "\"max\", or a number above 0, at most 86400";

fn is_factor(factor: f64) -> bool {
    factor > 0.0 && factor <= MAX_FACTOR
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Speed, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Speed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SPEEDS)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Speed, E> {
                if text == "max" {
                    Ok(Speed::Max)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
            fn visit_f64<E: de::Error>(self, factor: f64) -> Result<Speed, E> {
                if is_factor(factor) {
                    Ok(Speed::Factor(factor))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(factor), &self))
                }
            }
            fn visit_i64<E: de::Error>(self, factor: i64) -> Result<Speed, E> {
                self.visit_f64(factor as f64)
            }
            fn visit_u64<E: de::Error>(self, factor: u64) -> Result<Speed, E> {
                self.visit_f64(factor as f64)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// How often an app asked to be woken: `HKUpdateFrequency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// Whenever something changes.
    Immediate,
    /// Once an hour at most.
    Hourly,
    /// Once a day at most.
    Daily,
    /// Once a week at most.
    Weekly,
}

impl Frequency {
    /// The least time between two wakes, in seconds.
    pub(super) fn period(self) -> i64 {
        match self {
            Frequency::Immediate => 0,
            Frequency::Hourly => 3600,
            Frequency::Daily => 86_400,
            Frequency::Weekly => 604_800,
        }
    }
}
