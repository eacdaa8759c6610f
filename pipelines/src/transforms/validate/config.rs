//! Configuration of [`Validate`](super::Validate).

use std::collections::{BTreeMap, HashMap};

use afferent_core::{
    Kind, Name, Problem, Record, Timestamp, Unit,
    config::{Configure, Span},
};
use serde::Deserialize;

use super::{note::Rule, range::Target};
use crate::{
    cel::{Field, nearest, unknown_type},
    transforms::{at, units, window::MAX_REACH},
};

/// What becomes of a record that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It goes on, and its metadata says which rule it breaks.
    #[default]
    Tag,
    /// It is a dead letter.
    Reject,
    /// It goes on with what is right, and its metadata says what was not.
    Correct,
    /// It goes on as it is.
    Pass,
}

/// What is plausible of a type, in place of what the catalogue says. Both bounds are in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The lowest plausible value, if there is one.
    #[serde(default)]
    pub min: Option<f64>,
    /// The highest plausible value, if there is one.
    #[serde(default)]
    pub max: Option<f64>,
    /// The unit of both.
    #[serde(default)]
    pub unit: Option<String>,
    /// What becomes of values beyond them, if it is not what `range` says.
    #[serde(default)]
    pub action: Option<Action>,
}

/// Configuration of [`Validate`](super::Validate).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of a value that is not plausible for its type: `"tag"`, `"reject"`, `"correct"` (it becomes the nearest
    /// plausible one) or `"pass"`.
    #[serde(default)]
    pub range: Action,
    /// By type, ranges in place of the catalogue's: `{ BodyMass = { min = 2, max = 300, unit = "kg", action = "reject" } }`;
    /// `unit` belongs to bounds, and `action` is `range` if it is not there.
    #[serde(default)]
    pub ranges: BTreeMap<String, Range>,
    /// What becomes of a share of a whole that stands above 1 and not above 100: `"correct"` divides it by 100, `"pass"` leaves
    /// it to `range`.
    #[serde(default)]
    pub percent: Action,
    /// What becomes of a value in a unit that is none of its type: `"tag"`, `"reject"` or `"pass"`.
    #[serde(default)]
    pub unit: Action,
    /// The fields that must be there: `subject`, `zone`, `source`, `source.name`, `device`, `device.model`, `metadata.key`, …
    #[serde(default)]
    pub require: Vec<String>,
    /// What becomes of a record without one of them: `"tag"`, `"reject"` or `"pass"`.
    #[serde(default)]
    pub missing: Action,
    /// What becomes of a record that ends before it starts: `"correct"` exchanges the two.
    #[serde(default)]
    pub order: Action,
    /// What becomes of a record that is more than `tolerance` in the future: `"tag"`, `"reject"` or `"pass"`.
    #[serde(default)]
    pub future: Action,
    /// How far ahead the clock of a device may be.
    #[serde(default = "default_tolerance")]
    pub tolerance: Span,
    /// No record is from before it: a day, which begins where it begins first on Earth, or a time.
    #[serde(default)]
    pub not_before: Option<String>,
    /// By subject, the day of birth; or a time.
    #[serde(default)]
    pub born: BTreeMap<String, String>,
    /// What becomes of a record from before `not_before`, or before its subject was born: `"tag"`, `"reject"` or `"pass"`.
    #[serde(default)]
    pub past: Action,
}

/// Zones are up to 14 hours ahead, and a time that was read in another zone than it was written in is wrong by up to a day.
fn default_tolerance() -> Span {
    Span(std::time::Duration::from_secs(86_400))
}

impl Default for Config {
    fn default() -> Config {
        Config {
            range: Action::Tag,
            ranges: BTreeMap::new(),
            percent: Action::Tag,
            unit: Action::Tag,
            require: Vec::new(),
            missing: Action::Tag,
            order: Action::Tag,
            future: Action::Tag,
            tolerance: default_tolerance(),
            not_before: None,
            born: BTreeMap::new(),
            past: Action::Tag,
        }
    }
}

impl Config {
    fn action(&self, rule: Rule) -> Action {
        match rule {
            Rule::Missing => self.missing,
            Rule::Order => self.order,
            Rule::Future => self.future,
            Rule::Past => self.past,
            Rule::Unit => self.unit,
            Rule::Percent => self.percent,
            Rule::Range => self.range,
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
    /// By number of the rule.
    pub(super) actions: [Action; Rule::ALL.len()],
    targets: HashMap<Kind, Target, foldhash::fast::RandomState>,
    pub(super) required: Vec<Required>,
    pub(super) tolerance: i64,
    pub(super) not_before: i64,
    pub(super) born: HashMap<Name, i64>,
}

/// A field that must be there.
#[derive(Clone, Debug)]
pub(super) struct Required {
    /// As the file names it.
    pub(super) path: String,
    pub(super) is_there: Presence,
}

/// How a field is found to be there. An empty text is not.
#[derive(Clone, Debug)]
pub(super) enum Presence {
    Field(Field),
    Source,
    Device,
    Metadata(String),
}

impl Presence {
    pub(super) fn of(&self, record: &Record) -> bool {
        match self {
            Presence::Field(field) => field.name(record).is_some_and(|text| !text.is_empty()),
            Presence::Source => record.origin.is_some(),
            Presence::Device => record.origin.as_ref().is_some_and(|origin| origin.device.is_some()),
            Presence::Metadata(key) => record.metadata.as_ref().is_some_and(|all| all.get(key).is_some()),
        }
    }
}

impl Plan {
    pub(super) fn new(config: &Config) -> Result<Plan, Vec<Problem>> {
        let mut problems = Vec::new();
        for rule in Rule::ALL {
            if config.action(rule) == Action::Correct && !rule.has_correction() {
                let message = format!("`{}` has no correction: nobody can tell what is right", rule.name());
                let problem = Problem::new(rule.name(), message);
                problems.push(problem.help("write \"tag\", \"reject\" or \"pass\""));
            }
        }
        if config.tolerance > MAX_REACH {
            problems.push(Problem::new("tolerance", format!("expected at most {MAX_REACH}")));
        }
        let not_before =
            config.not_before.as_deref().and_then(|text| time(text, &["not_before"], &mut problems));
        let mut born = HashMap::new();
        for (subject, text) in &config.born {
            born.extend(time(text, &["born", subject], &mut problems).map(|at| (Name::from(&**subject), at)));
        }
        let required = required(&config.require, &mut problems);
        let targets = targets(&config.ranges, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Plan {
            actions: Rule::ALL.map(|rule| config.action(rule)),
            targets,
            required,
            tolerance: i64::try_from(config.tolerance.0.as_micros()).unwrap_or(i64::MAX),
            not_before: not_before.unwrap_or(i64::MIN),
            born,
        })
    }

    pub(super) fn action(&self, rule: Rule) -> Action {
        self.actions[rule as usize]
    }

    /// What is expected of the values of a type, if anything is.
    #[inline]
    pub(super) fn target(&mut self, kind: Kind) -> Option<&mut Target> {
        self.targets.get_mut(&kind)
    }
}

/// A day, from its first moment on Earth, or a time; in µs.
fn time(text: &str, keys: &[&str], problems: &mut Vec<Problem>) -> Option<i64> {
    let day = || Timestamp::parse_rfc3339(&format!("{text}T00:00:00+14:00"));
    let parsed = Timestamp::parse_rfc3339(text).or_else(day);
    if parsed.is_none() {
        let problem = Problem::new("", "expected a day or a time");
        problems.push(at(
            keys.iter().copied(),
            problem.help("write one such as \"1985-04-12\" or \"1985-04-12T08:00:00Z\""),
        ));
    }
    parsed.map(|(time, _)| time.as_micros())
}

fn required(paths: &[String], problems: &mut Vec<Problem>) -> Vec<Required> {
    let mut required = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let is_there = match path.as_str() {
            "source" => Some(Presence::Source),
            "device" => Some(Presence::Device),
            _ => match path.strip_prefix("metadata.").filter(|key| !key.is_empty()) {
                Some(key) => Some(Presence::Metadata(key.to_owned())),
                None => optional(path).map(Presence::Field),
            },
        };
        match is_there {
            Some(is_there) => required.push(Required { path: path.clone(), is_there }),
            None => problems.push(at(["require", &index.to_string()], unknown(path))),
        }
    }
    required
}

/// The field at `path`, if records may be without it.
fn optional(path: &str) -> Option<Field> {
    let may_be_absent = matches!(path, "subject" | "zone") || path.contains('.');
    Field::parse(path).filter(|_| may_be_absent)
}

fn unknown(path: &str) -> Problem {
    let all = Field::ALL.iter().map(|(name, _)| *name).filter(|name| optional(name).is_some());
    let all: Vec<&str> = all.chain(["source", "device"]).collect();
    if Field::parse(path).is_some() {
        return Problem::new("", format!("`{path}` is what a record is, and always there"));
    }
    let help = match nearest(path, &all) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of `{}`, or `metadata.key`", all.join("`, `")),
    };
    Problem::new("", format!("unknown field `{path}`")).help(help)
}

/// What is expected of the values of all types: by the catalogue, and by `ranges` in its place.
fn targets(
    ranges: &BTreeMap<String, Range>,
    problems: &mut Vec<Problem>,
) -> HashMap<Kind, Target, foldhash::fast::RandomState> {
    let mut targets = HashMap::default();
    for kind in Kind::all() {
        let Some(info) = kind.info() else { continue };
        let target = match (&info.plausible, info.unit) {
            (Some(range), _) => Target::new(range.min, range.max, range.unit, None),
            (None, Some(unit)) => Target::new(None, None, unit, None),
            (None, None) => continue,
        };
        targets.insert(kind, target);
    }
    let mut named = Vec::new();
    for (name, range) in ranges {
        let Some((kind, target)) = target(name, range, problems) else { continue };
        if named.contains(&kind) {
            let message = format!("`{}` is there twice, under two of its names", kind.short());
            problems.push(at(["ranges", name], Problem::new("", message)));
        }
        named.push(kind);
        targets.insert(kind, target);
    }
    targets
}

/// The type and what is expected of it that an entry of `ranges` names.
fn target(name: &str, range: &Range, problems: &mut Vec<Problem>) -> Option<(Kind, Target)> {
    let before = problems.len();
    let kind = match Kind::parse(name) {
        Ok(kind) if kind.class().is_some() && !kind.is_quantity() => {
            let message = format!("`{}` is not a quantity: it has no range", kind.short());
            problems.push(at(["ranges", name], Problem::new("", message)));
            return None;
        }
        Ok(kind) => kind,
        Err(unknown) => {
            problems.push(at(["ranges", name], unknown_type(&unknown)));
            return None;
        }
    };
    let mut wrong = |key: &str, problem: Problem| problems.push(at(["ranges", name, key], problem));
    let bounds = [("min", range.min), ("max", range.max)];
    for (key, bound) in bounds {
        if bound.is_some_and(|bound| !bound.is_finite()) {
            wrong(key, Problem::new("", "expected a finite number"));
        }
    }
    if let (Some(min), Some(max)) = (range.min, range.max)
        && min > max
    {
        wrong("max", Problem::new("", "expected a number that is not below `min`"));
    }
    let has_bounds = range.min.is_some() || range.max.is_some();
    let canonical: Option<Unit> = kind.info().and_then(|info| info.unit);
    let unit = match &range.unit {
        Some(unit) => match units::target(name, unit) {
            Ok((_, unit)) => Some(unit),
            Err(problem) => {
                wrong("unit", problem);
                None
            }
        },
        None if has_bounds => {
            let help = match canonical {
                Some(unit) => format!("write `unit = \"{unit}\"`, or another that converts into it"),
                None => {
                    "units are written as HealthKit does: `count/min`, `kcal`, `mg/dL`, `degC`".to_owned()
                }
            };
            wrong("unit", Problem::new("", "the bounds have no unit").help(help));
            None
        }
        None => canonical,
    };
    if !has_bounds && range.action != Some(Action::Pass) {
        let problem = Problem::new("", format!("`{}` has neither `min` nor `max`", kind.short()));
        let help = "write one of them, or `action = \"pass\"` where no value is to be looked at";
        problems.push(at(["ranges", name], problem.help(help)));
    }
    let unit = unit.filter(|_| problems.len() == before)?;
    Some((kind, Target::new(range.min, range.max, unit, range.action)))
}
