//! `set`: writes fields.
//!
//! All expressions are evaluated on the record as it came, then all fields are written: `subject` and
//! `metadata.subject` can change places.
//!
//! | field | takes | |
//! |---|---|---|
//! | `subject` `zone` `source.*` `device.*` | a string | |
//! | `value` | a number | of quantities and categories; other values stay |
//! | `unit` | a string | of quantities; it names the unit and converts nothing, see [`units`](super::units) |
//! | `start` `end` | a timestamp | |
//! | `metadata.key` | a string, number, bool or timestamp | replaces all values of the key |
//!
//! `id`, `type`, `revision` and `deleted` are who a record is, and are never written.
//!
//! - An absent result leaves its field as it is.
//! - A result that can't be stored rejects the record: a number that is not finite, a category that is not
//!   whole, a unit that is none, a start after its end. The record is rejected as it came.
//! - Of deletions only `subject` is written, from fields that they have.

mod assignments;
mod origins;
#[cfg(test)]
mod tests;

use afferent_core::{
    Batch, Emit, MetaValue, Name, NameCache, Problem, Record, Result, Timestamp, Transform, Unit, Value,
    config::Configure,
};
use serde::Deserialize;

pub use self::assignments::{Assignment, Assignments};
use self::origins::Origins;
use super::at;
use crate::cel::{CelValue, Expression, Field, Type, nearest};

/// Configuration of [`Set`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By field, the expression in CEL that gives its new value: `{ subject = "'user-' + subject" }`.
    pub to: Assignments,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Set::new(self.clone()).err().unwrap_or_default()
    }
}

/// Writes fields.
#[derive(Debug)]
pub struct Set {
    writes: Vec<Write>,
    /// What the writes of a record are to store; kept for its buffer.
    results: Vec<Option<Stored>>,
    names: NameCache,
    origins: Origins,
}

#[derive(Debug)]
struct Write {
    target: Target,
    expression: Expression,
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
enum Target {
    Subject,
    Zone,
    Value,
    Unit,
    Start,
    End,
    /// A field of the source or the device.
    Origin(Field),
    Metadata(Name),
}

/// A result in the form in which it is stored.
#[derive(Clone, Debug, PartialEq)]
enum Stored {
    Name(Name),
    Value(Value),
    Time(Timestamp),
    Metadata(MetaValue),
}

impl Set {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// Fields that are none or can't be written, and all that is wrong with the expressions.
    pub fn new(config: Config) -> Result<Set, Vec<Problem>> {
        let (mut writes, mut problems) = (Vec::<Write>::new(), Vec::new());
        for assignment in config.to.iter() {
            let path = ["to"].into_iter().chain(assignment.path.iter().map(String::as_str));
            match Write::new(assignment) {
                Ok(write) if writes.iter().any(|other| other.target == write.target) => {
                    let problem = Problem::new("", format!("`{}` is written twice", assignment.field()));
                    problems.push(at(path, problem));
                }
                Ok(write) => writes.push(write),
                Err(found) => problems.extend(found.into_iter().map(|problem| at(path.clone(), problem))),
            }
        }
        if config.to.iter().next().is_none() {
            let problem = Problem::new("to", "no field is written");
            problems.push(problem.help("name at least one, such as { subject = \"'me'\" }"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Set { writes, results: Vec::new(), names: NameCache::default(), origins: Origins::default() })
    }

    /// Writes the fields of `record`, or says why it can't; then `record` is as it came.
    fn write(&mut self, record: &mut Record) -> Result<(), &'static str> {
        let mut results = std::mem::take(&mut self.results);
        results.clear();
        let written = self.evaluate(record, &mut results).map(|()| self.store(record, &mut results));
        self.results = results;
        written
    }

    fn evaluate(&mut self, record: &Record, results: &mut Vec<Option<Stored>>) -> Result<(), &'static str> {
        let (mut start, mut end) = (None, None);
        let mut value = None;
        for Write { target, expression } in &self.writes {
            if record.is_deletion() && *target != Target::Subject {
                results.push(None);
                continue;
            }
            let found = expression.evaluate(record);
            let stored = match target {
                Target::Subject | Target::Zone | Target::Origin(_) => {
                    name(&mut self.names, &found).map(Stored::Name)
                }
                Target::Start => time(&found).inspect(|time| start = Some(*time)).map(Stored::Time),
                Target::End => time(&found).inspect(|time| end = Some(*time)).map(Stored::Time),
                Target::Value => {
                    let value = value.get_or_insert_with(|| record.value.clone());
                    set_number(value, &found)?;
                    Some(Stored::Value(value.clone()))
                }
                Target::Unit => {
                    let value = value.get_or_insert_with(|| record.value.clone());
                    set_unit(value, &found)?;
                    Some(Stored::Value(value.clone()))
                }
                Target::Metadata(_) => metadata(&mut self.names, found)?.map(Stored::Metadata),
            };
            results.push(stored);
        }
        if (start.is_some() || end.is_some()) && start.unwrap_or(record.start) > end.unwrap_or(record.end) {
            return Err("set: the record would start after its end");
        }
        Ok(())
    }

    fn store(&mut self, record: &mut Record, results: &mut Vec<Option<Stored>>) {
        let names =
            self.writes.iter().zip(&*results).filter_map(|(write, stored)| match (&write.target, stored) {
                (Target::Origin(field), Some(Stored::Name(name))) => Some((*field, name)),
                _ => None,
            });
        self.origins.write(&mut record.origin, names);
        for (write, stored) in self.writes.iter().zip(results) {
            match (&write.target, stored.take()) {
                (Target::Subject, Some(Stored::Name(name))) => record.subject = Some(name),
                (Target::Zone, Some(Stored::Name(name))) => record.zone = Some(name),
                (Target::Start, Some(Stored::Time(time))) => record.start = time,
                (Target::End, Some(Stored::Time(time))) => record.end = time,
                // Each holds what those before it have set.
                (Target::Value | Target::Unit, Some(Stored::Value(value))) => record.value = value,
                (Target::Metadata(key), Some(Stored::Metadata(value))) => {
                    record.metadata_mut().set(key.clone(), value);
                }
                _ => {}
            }
        }
    }
}

fn name(names: &mut NameCache, value: &CelValue<'_>) -> Option<Name> {
    match value {
        CelValue::Name(name) => Some((*name).clone()),
        value => value.text(&mut [0; 36]).map(|text| names.get(text)),
    }
}

fn time(value: &CelValue<'_>) -> Option<Timestamp> {
    match value {
        CelValue::Timestamp(time) => Some(*time),
        _ => None,
    }
}

fn set_number(value: &mut Value, found: &CelValue<'_>) -> Result<(), &'static str> {
    let Some(number) = found.number() else { return Ok(()) };
    match value {
        Value::Quantity(..) | Value::Category(_) if !number.is_finite() => {
            return Err("set: the new value is not a finite number");
        }
        Value::Quantity(value, _) => *value = number,
        Value::Category(category) => {
            let whole = number as i64;
            if whole as f64 != number {
                return Err("set: the new value of a category is not a whole number");
            }
            *category = whole;
        }
        _ => {}
    }
    Ok(())
}

fn set_unit(value: &mut Value, found: &CelValue<'_>) -> Result<(), &'static str> {
    let (Value::Quantity(_, unit), Some(text)) = (value, found.text(&mut [0; 36]).map(Unit::parse)) else {
        return Ok(());
    };
    *unit = text.map_err(|_| "set: the new unit is empty, too long, or one of too many")?;
    Ok(())
}

fn metadata(names: &mut NameCache, value: CelValue<'_>) -> Result<Option<MetaValue>, &'static str> {
    if value.number().is_some_and(|number| !number.is_finite()) {
        return Err("set: the new metadata value is not a finite number");
    }
    Ok(match value {
        CelValue::Absent => None,
        CelValue::Bool(value) => Some(MetaValue::Bool(value)),
        CelValue::Timestamp(time) => Some(MetaValue::Date(time)),
        CelValue::Quantity(value, unit) => Some(MetaValue::Quantity(value, unit)),
        value => match value.number() {
            Some(number) => Some(MetaValue::Number(number)),
            None => name(names, &value).map(MetaValue::String),
        },
    })
}

/// The fields that can be written, as messages list them.
fn writable() -> impl Iterator<Item = &'static str> {
    Field::ALL.iter().filter(|(_, field)| target_of(*field).is_some()).map(|(name, _)| *name)
}

fn target_of(field: Field) -> Option<Target> {
    match field {
        Field::Id | Field::Type | Field::Revision | Field::Deleted => None,
        Field::Subject => Some(Target::Subject),
        Field::Zone => Some(Target::Zone),
        Field::Value => Some(Target::Value),
        Field::Unit => Some(Target::Unit),
        Field::Start => Some(Target::Start),
        Field::End => Some(Target::End),
        field => Some(Target::Origin(field)),
    }
}

impl Write {
    fn new(assignment: &Assignment) -> Result<Write, Vec<Problem>> {
        let path = assignment.field();
        let (target, expected) = match path.strip_prefix("metadata.") {
            Some(key) if !key.is_empty() => (Target::Metadata(Name::from(key)), Type::Metadata),
            _ => {
                let field = Field::parse(&path).ok_or_else(|| vec![unknown(&path)])?;
                let target = target_of(field).ok_or_else(|| {
                    let message = format!("`{path}` is part of who a record is, and can't be written");
                    vec![Problem::new("", message)]
                })?;
                (target, field.r#type())
            }
        };
        let expression = Expression::compile(&assignment.expression, expected)?;
        if target == Target::Unit
            && let Some(text) = expression.literal_text()
            && Unit::parse(text).map_or(true, |unit| unit.dimension().is_none())
        {
            let help = "units are written as HealthKit does: `count/min`, `kcal`, `mg/dL`, `degC`";
            return Err(vec![Problem::new("", format!("unknown unit `{text}`")).help(help)]);
        }
        Ok(Write { target, expression })
    }
}

fn unknown(path: &str) -> Problem {
    if path == "metadata" || path == "metadata." {
        let help = "name the value, as in `metadata.reviewed`";
        return Problem::new("", "`metadata` as a whole can't be written").help(help);
    }
    let mut names: Vec<&str> = writable().collect();
    names.push("metadata.key");
    let help = match nearest(path, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("fields that can be written are `{}`", names.join("`, `")),
    };
    Problem::new("", format!("unknown field `{path}`")).help(help)
}

impl Transform for Set {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        input.retain_mut(|record| match self.write(record) {
            Ok(()) => true,
            Err(reason) => {
                out.reject_record(record, reason);
                false
            }
        });
        out.take(input);
        Ok(())
    }
}
