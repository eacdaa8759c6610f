//! Configuration of [`MergeSources`](super::MergeSources).

use std::{collections::BTreeMap, collections::HashMap};

use afferent_core::{
    Kind, Origin, Problem,
    config::Configure,
    kind::{Aggregation, KindClass},
};
use serde::Deserialize;

use crate::{
    cel::unknown_type,
    transforms::{
        at,
        keyed::{Basis, check_samples, source_digest},
        window::Late,
    },
};

/// How many samples are held if the file does not say: about 220 MiB of memory when all are there.
pub const DEFAULT_SAMPLES: usize = 500_000;

/// What is merged if the file does not say: what a phone and a watch both count.
const TYPES: [&str; 5] =
    ["StepCount", "DistanceWalkingRunning", "FlightsClimbed", "ActiveEnergyBurned", "BasalEnergyBurned"];

/// Whom to believe if the file does not say.
const PRIORITY: [&str; 2] = ["Watch", "iPhone"];

/// Configuration of [`MergeSources`](super::MergeSources).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By type, short or full, its sources, the best first: each the beginning of a product (`Watch`), or a whole name, bundle
    /// or device model. Sources that are not named come last. By default `["Watch", "iPhone"]` for steps, distance, flights and
    /// energy.
    #[serde(default = "default_priority")]
    pub priority: BTreeMap<String, Vec<String>>,
    /// What becomes of a record that comes when what it overlaps is final: `"dead"`, it is a dead letter, or `"drop"`.
    #[serde(default)]
    pub late: Late,
    /// How many records are held. Where there would be more, the oldest become final.
    #[serde(default = "default_samples")]
    pub max_samples: usize,
}

fn default_priority() -> BTreeMap<String, Vec<String>> {
    TYPES.into_iter().map(|kind| (kind.to_owned(), PRIORITY.map(str::to_owned).into())).collect()
}

fn default_samples() -> usize {
    DEFAULT_SAMPLES
}

impl Default for Config {
    fn default() -> Config {
        Config { priority: default_priority(), late: Late::default(), max_samples: DEFAULT_SAMPLES }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Plan::new(self).err().unwrap_or_default()
    }
}

/// How good a source is, and which one: the less the better. No two sources are equally good.
pub(super) type Rank = (u32, u64);

/// A checked configuration.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    priority: HashMap<Kind, Vec<String>, foldhash::fast::RandomState>,
    /// What tells these priorities from others.
    pub(super) what: Basis,
    pub(super) late: Late,
    pub(super) max_samples: usize,
}

impl Plan {
    pub(super) fn new(config: &Config) -> Result<Plan, Vec<Problem>> {
        let (mut priority, mut problems) = (HashMap::default(), Vec::new());
        for (name, sources) in &config.priority {
            let problem = |message: String| at(["priority", name], Problem::new("", message));
            match Kind::parse(name) {
                Err(unknown) => problems.push(at(["priority", name], unknown_type(&unknown))),
                Ok(kind) if !is_mergeable(kind) => {
                    let message = format!(
                        "values of `{}` do not add up over time: there is nothing to count twice",
                        kind.short()
                    );
                    problems
                        .push(problem(message).help("merge cumulative types, and categories such as sleep"));
                }
                Ok(kind) => {
                    if priority.insert(kind, sources.clone()).is_some() {
                        problems.push(problem(format!("`{kind}` is there twice, under two of its names")));
                    }
                }
            }
            let empty = sources.iter().position(String::is_empty);
            if let Some(index) = empty {
                let message = "expected a product, a name, a bundle or a model, found nothing";
                problems.push(at(["priority", name, &index.to_string()], Problem::new("", message)));
            }
        }
        if config.priority.is_empty() {
            let problem = Problem::new("priority", "no type is named");
            problems.push(problem.help("name one, such as { StepCount = [\"Watch\", \"iPhone\"] }"));
        }
        problems.extend(check_samples(config.max_samples));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Plan {
            priority,
            what: Basis::new(format!("{:?}", config.priority)),
            late: config.late,
            max_samples: config.max_samples,
        })
    }

    pub(super) fn is_about(&self, kind: Kind) -> bool {
        self.priority.contains_key(&kind)
    }

    /// How good a source is for records of a type.
    pub(super) fn rank(&self, kind: Option<Kind>, origin: Option<&Origin>) -> Rank {
        let sources = kind.and_then(|kind| self.priority.get(&kind)).map_or(&[][..], Vec::as_slice);
        let Some(origin) = origin else { return (sources.len() as u32, 0) };
        let rank = sources.iter().position(|source| is(source, origin)).unwrap_or(sources.len());
        (rank as u32, source_digest(origin))
    }
}

/// Whether its amounts or times would be counted twice.
fn is_mergeable(kind: Kind) -> bool {
    match kind.info() {
        Some(info) => info.aggregation == Some(Aggregation::Cumulative) || info.class == KindClass::Category,
        // Of what the catalogue does not know, the file does.
        None => true,
    }
}

fn is(source: &str, origin: &Origin) -> bool {
    let whole = [&origin.name, &origin.bundle];
    let model = origin.device.as_ref().and_then(|device| device.model.as_deref());
    origin.product.as_deref().is_some_and(|product| product.starts_with(source))
        || whole.into_iter().flatten().any(|text| &**text == source)
        || model == Some(source)
}
