//! Configuration of [`Window`](super::Window).

use afferent_core::{
    Kind, Name, Problem,
    config::{Configure, Span},
    kind::Aggregation,
};
use serde::Deserialize;

use super::function::Function;
use crate::{
    cel::{Field, KindSet, nearest, unknown_type},
    transforms::{
        at,
        by::fields,
        keyed::{Basis, MAX_SAMPLES, check_samples},
    },
};

/// How far back what is held may reach: size, lateness and allowed lateness together. A longer window is a
/// calendar's, which is what `statistics` is for.
pub const MAX_REACH: Span = Span(std::time::Duration::from_secs(400 * 86_400));

/// In how many windows a record may be: each of them is computed for it.
pub const MAX_OVERLAP: i64 = 1000;

/// What becomes of a record that comes too late for its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Late {
    /// It is a dead letter.
    #[default]
    Dead,
    /// It is dropped, and counted as filtered.
    Drop,
}

/// Configuration of [`Window`](super::Window).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a window is; windows are counted from 1970. Not with `gap`.
    #[serde(default)]
    pub size: Option<Span>,
    /// How far apart windows begin, if they overlap: a part of `size`, by default all of it.
    #[serde(default)]
    pub slide: Option<Span>,
    /// A window lasts until nothing has come for so long in event time (a session). Not with `size`.
    #[serde(default)]
    pub gap: Option<Span>,
    /// For each different value of these fields windows of their own; `source` stands for `source.name`, `source.bundle` and
    /// `source.product`. Type and unit always tell windows apart.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// What is computed: `count`, `sum`, `min`, `max`, `avg`, `first`, `last`, `stddev`, and quantiles as `p50` or `p99.9`.
    pub aggregate: Vec<String>,
    /// The types it is about, by short or full name; others pass. By default all.
    #[serde(default)]
    pub types: Vec<String>,
    /// How long a window waits for what is late, in event time.
    #[serde(default = "zero")]
    pub lateness: Span,
    /// For how long after that a late record corrects its window.
    #[serde(default = "zero")]
    pub allowed_lateness: Span,
    /// How far a source may lag behind the others of its key before the windows wait for it no longer.
    #[serde(default = "default_idle")]
    pub idle: Span,
    /// What becomes of later ones: `"dead"`, they are dead letters, or `"drop"`.
    #[serde(default)]
    pub late: Late,
    /// How many records are held. Where there would be more, the oldest windows are closed early.
    #[serde(default = "default_samples")]
    pub max_samples: usize,
}

fn default_by() -> Vec<String> {
    vec!["subject".into(), "type".into()]
}

fn zero() -> Span {
    Span(std::time::Duration::ZERO)
}

/// Longer than a watch is usually out of reach of its phone, shorter than a night.
fn default_idle() -> Span {
    Span(std::time::Duration::from_secs(3600))
}

fn default_samples() -> usize {
    MAX_SAMPLES
}

impl Config {
    /// Tumbling windows of `size` that compute `aggregate`.
    pub fn new(size: Span, aggregate: &[&str]) -> Config {
        Config {
            size: Some(size),
            slide: None,
            gap: None,
            by: default_by(),
            aggregate: aggregate.iter().map(|&name| name.to_owned()).collect(),
            types: Vec::new(),
            lateness: zero(),
            allowed_lateness: zero(),
            idle: default_idle(),
            late: Late::Dead,
            max_samples: default_samples(),
        }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Plan::new(self).err().unwrap_or_default()
    }
}

/// The form of windows; all times in µs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Windows of `size` that begin every `slide`.
    Fixed { size: i64, slide: i64 },
    /// Windows that end when nothing has come for `gap`.
    Session { gap: i64 },
}

/// A checked configuration; all times in µs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) by: Vec<Field>,
    /// What tells this `by` from another.
    pub(super) by_text: Basis,
    pub(super) kinds: Option<KindSet>,
    pub(super) functions: Vec<(Name, Function)>,
    pub(super) lateness: i64,
    pub(super) allowed: i64,
    pub(super) idle: i64,
    pub(super) late: Late,
    pub(super) max_samples: usize,
}

impl Plan {
    pub(super) fn new(config: &Config) -> Result<Plan, Vec<Problem>> {
        let mut problems = Vec::new();
        let shape = shape(config, &mut problems);
        let functions = functions(config, &mut problems);
        let kinds = kinds(config, &functions, &mut problems);
        let by = fields(&config.by, &mut problems);
        problems.extend(check_samples(config.max_samples));
        let reach = [config.size, config.gap, Some(config.lateness), Some(config.allowed_lateness)];
        let reach = reach
            .into_iter()
            .flatten()
            .map(|span| span.0)
            .fold(std::time::Duration::ZERO, |sum, one| sum.saturating_add(one));
        if reach > MAX_REACH.0 {
            let key = if config.gap.is_some() { "gap" } else { "size" };
            let message = format!("with its lateness it would hold more than {MAX_REACH} of records");
            problems.push(Problem::new(key, message).help("for months and years there is `statistics`"));
        }
        if config.idle.0 > MAX_REACH.0 {
            problems.push(Problem::new("idle", format!("expected at most {MAX_REACH}")));
        }
        let Some(shape) = shape.filter(|_| problems.is_empty()) else { return Err(problems) };
        Ok(Plan {
            shape,
            by_text: Basis::new(config.by.join(",")),
            by,
            kinds,
            functions: functions.into_iter().map(|(name, function)| (Name::from(name), function)).collect(),
            lateness: micros(config.lateness),
            allowed: micros(config.allowed_lateness),
            idle: micros(config.idle),
            late: config.late,
            max_samples: config.max_samples,
        })
    }
}

fn micros(span: Span) -> i64 {
    i64::try_from(span.0.as_micros()).expect("invariant: spans were checked to be far below i64")
}

fn shape(config: &Config, problems: &mut Vec<Problem>) -> Option<Shape> {
    let is_zero = |span: &Span| span.0.is_zero();
    for (key, span) in [("size", &config.size), ("slide", &config.slide), ("gap", &config.gap)] {
        if span.as_ref().is_some_and(is_zero) {
            let message = format!("expected a span of time above 0, found \"{}\"", Span(Default::default()));
            problems.push(Problem::new(key, message).help("write one such as \"1min\""));
        }
    }
    let too_long = [config.size, config.gap].into_iter().flatten().any(|span| span > MAX_REACH);
    if !problems.is_empty() || too_long {
        // What is too long is said with the lateness.
        return None;
    }
    match (config.size, config.slide, config.gap) {
        (Some(size), slide, None) => {
            let (size, slide) = (micros(size), micros(slide.unwrap_or(size)));
            if slide > size || size % slide != 0 {
                let message = "expected a part of `size`: the windows would leave gaps or not line up";
                problems.push(Problem::new("slide", message).help("write one that divides `size`"));
                return None;
            }
            if size / slide > MAX_OVERLAP {
                let message = format!("each record would be in {} windows", size / slide);
                problems
                    .push(Problem::new("slide", message).help(format!("at most {MAX_OVERLAP} may overlap")));
                return None;
            }
            Some(Shape::Fixed { size, slide })
        }
        (None, None, Some(gap)) => Some(Shape::Session { gap: micros(gap) }),
        (None, _, None) => {
            let problem = Problem::new("", "it says neither how long windows are nor what ends one");
            problems.push(problem.help("write `size = \"1min\"`, or `gap = \"30min\"` for sessions"));
            None
        }
        _ => {
            let problem = Problem::new("gap", "a session has no `size` and no `slide`");
            problems.push(problem.help("leave out `gap`, or the others"));
            None
        }
    }
}

fn functions(config: &Config, problems: &mut Vec<Problem>) -> Vec<(String, Function)> {
    let mut functions: Vec<(String, Function)> = Vec::new();
    for (index, name) in config.aggregate.iter().enumerate() {
        let index = index.to_string();
        match Function::parse(name) {
            Some(_) if functions.iter().any(|(other, _)| other == name) => {
                problems
                    .push(at(["aggregate", &index], Problem::new("", format!("`{name}` is there twice"))));
            }
            Some(function) => functions.push((name.clone(), function)),
            None => {
                let help = match nearest(name, &Function::NAMES) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "expected one of `{}`, or a quantile such as `p95`",
                        Function::NAMES.join("`, `")
                    ),
                };
                let problem = Problem::new("", format!("unknown aggregate `{name}`")).help(help);
                problems.push(at(["aggregate", &index], problem));
            }
        }
    }
    if config.aggregate.is_empty() {
        problems.push(Problem::new("aggregate", "nothing is computed").help("name one, such as \"avg\""));
    }
    functions
}

/// The types that are named; those for which a sum makes no sense are a problem if one is asked for.
fn kinds(config: &Config, functions: &[(String, Function)], problems: &mut Vec<Problem>) -> Option<KindSet> {
    let mut kinds = Vec::new();
    for (index, name) in config.types.iter().enumerate() {
        let index = index.to_string();
        match Kind::parse(name) {
            Ok(kind) => {
                if functions.iter().any(|(_, function)| *function == Function::Sum) && !adds_up(kind) {
                    let message =
                        format!("a sum of `{}` means nothing: its values do not add up", kind.short());
                    let problem = Problem::new("", message).help("leave out `sum`, or write `avg`");
                    problems.push(at(["types", &index], problem));
                }
                kinds.push(kind);
            }
            Err(unknown) => problems.push(at(["types", &index], unknown_type(&unknown))),
        }
    }
    (!kinds.is_empty()).then(|| KindSet::new(kinds))
}

/// Whether a sum of the type's values means anything; of what the catalogue does not know, it may.
pub(super) fn adds_up(kind: Kind) -> bool {
    match kind.info() {
        Some(info) => info.aggregation == Some(Aggregation::Cumulative),
        None => !kind.is_category(),
    }
}
