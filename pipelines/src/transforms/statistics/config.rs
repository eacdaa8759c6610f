//! Configuration of [`Statistics`](super::Statistics).

use afferent_core::{Kind, Name, Problem, config::Configure};
use serde::Deserialize;

use super::{
    calendar::{Bucket, WeekStart, zone},
    value::Style,
};
use crate::{
    cel::{Field, KindSet, unknown_type},
    transforms::{
        at,
        by::fields,
        keyed::{Basis, MAX_SAMPLES, check_samples},
        window::Late,
    },
};

/// Configuration of [`Statistics`](super::Statistics).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a bucket is: `"hour"`, `"day"`, `"week"` or `"month"`.
    pub bucket: Bucket,
    /// The zone of records that do not say theirs: an IANA name, or an offset such as `+01:00`.
    #[serde(default = "utc")]
    pub zone: String,
    /// Whether `zone` is that of all records, whatever they say.
    #[serde(default)]
    pub fixed: bool,
    /// On which day a week begins: `"monday"`, `"sunday"` or `"saturday"`.
    #[serde(default)]
    pub week_starts: WeekStart,
    /// The types it is about, by short or full name; others pass. By default all quantities and categories that the catalogue
    /// knows.
    #[serde(default)]
    pub types: Vec<String>,
    /// For each different value of these fields statistics of their own; `source` stands for `source.name`, `source.bundle` and
    /// `source.product`. Type, unit and zone always tell them apart.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// What becomes of a record whose bucket is final: `"dead"`, it is a dead letter, or `"drop"`.
    #[serde(default)]
    pub late: Late,
    /// How many records and buckets are held. Where there would be more, the oldest buckets become final.
    #[serde(default = "default_samples")]
    pub max_samples: usize,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn default_by() -> Vec<String> {
    vec!["subject".to_owned()]
}

fn default_samples() -> usize {
    MAX_SAMPLES
}

impl Config {
    /// Statistics of each `bucket`, in the zone of the records.
    pub fn new(bucket: Bucket) -> Config {
        Config {
            bucket,
            zone: utc(),
            fixed: false,
            week_starts: WeekStart::default(),
            types: Vec::new(),
            by: default_by(),
            late: Late::default(),
            max_samples: default_samples(),
        }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Plan::new(self).err().unwrap_or_default()
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) bucket: Bucket,
    pub(super) week: WeekStart,
    pub(super) zone: Name,
    pub(super) fixed: bool,
    pub(super) kinds: Option<KindSet>,
    /// The fields, the zone last.
    pub(super) by: Vec<Field>,
    /// What tells these buckets from others.
    pub(super) what: Basis,
    pub(super) late: Late,
    pub(super) max_samples: usize,
}

impl Plan {
    pub(super) fn new(config: &Config) -> Result<Plan, Vec<Problem>> {
        let mut problems = Vec::new();
        if zone(&config.zone).is_none() {
            let problem = Problem::new("zone", "unknown time zone");
            problems.push(
                problem.help("write a name such as \"Europe/Berlin\", or an offset such as \"+01:00\""),
            );
        }
        let mut kinds = Vec::new();
        for (index, name) in config.types.iter().enumerate() {
            let index = index.to_string();
            match Kind::parse(name) {
                Ok(kind) if Style::of(kind).is_none() => {
                    let message =
                        format!("`{}` has no statistics: it is no quantity and no category", kind.short());
                    problems.push(at(["types", &index], Problem::new("", message)));
                }
                Ok(kind) => kinds.push(kind),
                Err(unknown) => problems.push(at(["types", &index], unknown_type(&unknown))),
            }
        }
        let mut by = fields(&config.by, &mut problems);
        by.retain(|field| *field != Field::Zone);
        by.push(Field::Zone);
        problems.extend(check_samples(config.max_samples));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Plan {
            bucket: config.bucket,
            week: config.week_starts,
            zone: Name::from(&*config.zone),
            fixed: config.fixed,
            kinds: (!kinds.is_empty()).then(|| KindSet::new(kinds)),
            by,
            what: Basis::new(format!("{:?} {:?} {}", config.bucket, config.week_starts, config.by.join(","))),
            late: config.late,
            max_samples: config.max_samples,
        })
    }

    /// Whether it is about records of this type.
    pub(super) fn is_about(&self, kind: Kind) -> bool {
        match &self.kinds {
            Some(kinds) => kinds.contains(kind),
            None => Style::of(kind).is_some(),
        }
    }
}
