//! Configuration of [`Join`](super::Join).

use afferent_core::{
    Kind, Problem,
    config::{Configure, Span},
    kind::KindClass,
};
use serde::Deserialize;

use crate::{
    cel::{Field, KindSet, unknown_type},
    transforms::{
        at,
        by::fields,
        keyed::{Basis, MAX_SAMPLES, check_samples},
        window::MAX_REACH,
    },
};

/// What becomes of a record that comes too late to be joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Late {
    /// It passes, and is not joined.
    #[default]
    Pass,
    /// It is a dead letter.
    Dead,
}

/// Configuration of [`Join`](super::Join).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The types of samples that are joined, by short or full name: quantities that the catalogue knows.
    pub types: Vec<String>,
    /// The types of records that samples are joined to; by default workouts.
    #[serde(default = "default_into")]
    pub into: Vec<String>,
    /// The fields that are the same in both; `source` stands for `source.name`, `source.bundle` and `source.product`.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// Whether what is joined takes the place of statistics of the same type that a workout brought itself.
    #[serde(default)]
    pub replace: bool,
    /// For how long after its end, in event time, a record is changed by samples, and how long a sample waits for one that it is
    /// inside of: longer than the longest of them. By default for as long as there is room.
    #[serde(default)]
    pub lateness: Option<Span>,
    /// How far a type of a source may lag behind the others of its key before they wait for it no longer; with `lateness`.
    #[serde(default = "default_idle")]
    pub idle: Span,
    /// What becomes of a record that comes later: `"pass"`, it is not joined, or `"dead"`, it is a dead letter.
    #[serde(default)]
    pub late: Late,
    /// How many records are held. Where there would be more, the oldest are forgotten.
    #[serde(default = "default_samples")]
    pub max_samples: usize,
}

fn default_into() -> Vec<String> {
    vec!["Workout".to_owned()]
}

fn default_by() -> Vec<String> {
    vec!["subject".to_owned()]
}

/// As of windows.
fn default_idle() -> Span {
    Span(std::time::Duration::from_secs(3600))
}

fn default_samples() -> usize {
    MAX_SAMPLES
}

impl Config {
    /// Samples of `types`, to workouts.
    pub fn new(types: &[&str]) -> Config {
        Config {
            types: types.iter().map(|&name| name.to_owned()).collect(),
            into: default_into(),
            by: default_by(),
            replace: false,
            lateness: None,
            idle: default_idle(),
            late: Late::Pass,
            max_samples: default_samples(),
        }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Plan::new(self).err().unwrap_or_default()
    }
}

/// A checked configuration; all times in µs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kinds: KindSet,
    /// The types of samples, in the order of the file.
    pub(super) order: Vec<Kind>,
    pub(super) into: KindSet,
    pub(super) by: Vec<Field>,
    /// What tells this from another.
    pub(super) basis: Basis,
    pub(super) replace: bool,
    pub(super) lateness: Option<i64>,
    pub(super) idle: i64,
    pub(super) late: Late,
    pub(super) max_samples: usize,
}

impl Plan {
    pub(super) fn new(config: &Config) -> Result<Plan, Vec<Problem>> {
        let mut problems = Vec::new();
        let order = named("types", &config.types, &mut problems, |kind| {
            let is_known = kind.info().is_some_and(|info| info.aggregation.is_some());
            let message = || {
                format!("`{}` has no statistics: it is no quantity that the catalogue knows", kind.short())
            };
            (!is_known).then(message)
        });
        let into = named("into", &config.into, &mut problems, |kind| {
            let never_lasts = matches!(kind.class(), Some(KindClass::Characteristic | KindClass::Clinical));
            if order.contains(&kind) {
                Some(format!("`{}` is among `types`: it can't be on both sides", kind.short()))
            } else {
                never_lasts.then(|| format!("`{}` does not last: nothing is inside it", kind.short()))
            }
        });
        let by = fields(&config.by, &mut problems);
        for (key, span) in [("lateness", config.lateness), ("idle", Some(config.idle))] {
            if span.is_some_and(|span| span > MAX_REACH) {
                problems.push(Problem::new(key, format!("expected at most {MAX_REACH}")));
            }
        }
        problems.extend(check_samples(config.max_samples));
        if !problems.is_empty() {
            return Err(problems);
        }
        let micros = |span: Span| i64::try_from(span.0.as_micros()).unwrap_or(i64::MAX);
        let names = |kinds: &[Kind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
        let basis = format!("{}|{}|{}|{}", config.by.join(","), names(&into), names(&order), config.replace);
        Ok(Plan {
            kinds: KindSet::new(order.clone()),
            order,
            into: KindSet::new(into),
            by,
            basis: Basis::new(basis),
            replace: config.replace,
            lateness: config.lateness.map(micros),
            idle: micros(config.idle),
            late: config.late,
            max_samples: config.max_samples,
        })
    }
}

/// The types that `names`, the value of `key`, names; `wrong` says what is wrong with one.
fn named(
    key: &str,
    names: &[String],
    problems: &mut Vec<Problem>,
    wrong: impl Fn(Kind) -> Option<String>,
) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let problem = match Kind::parse(name) {
            Ok(kind) => match wrong(kind) {
                Some(message) => Problem::new("", message),
                None if kinds.contains(&kind) => {
                    Problem::new("", format!("`{}` is there twice", kind.short()))
                }
                None => {
                    kinds.push(kind);
                    continue;
                }
            },
            Err(unknown) => unknown_type(&unknown),
        };
        problems.push(at([key, &index.to_string()], problem));
    }
    if names.is_empty() {
        problems
            .push(Problem::new(key, "no type is named").help("name one, such as \"HeartRate\" in `types`"));
    }
    kinds
}
