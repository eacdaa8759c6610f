//! [`Predicate`]: a condition on records.

use afferent_core::{Problem, Record};

use super::{check::check, parse::parse, plan::Plan, value::Type};

/// A compiled condition: a filter's or sink's `when`.
///
/// ```
/// use afferent::cel::Predicate;
///
/// let when = Predicate::compile("type != 'HeartRate' || value > 30.0 && value < 220.0").unwrap();
/// let problems = Predicate::compile("vlaue > 30.0").unwrap_err();
/// assert_eq!(problems[0].span, Some(0..5));
/// ```
#[derive(Clone, Debug)]
pub struct Predicate {
    plan: Plan,
}

impl Predicate {
    /// Compiles `source`.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text, with byte ranges of `source`; key paths are the
    /// caller's to fill. Of the errors of syntax the first only.
    pub fn compile(source: &str) -> Result<Predicate, Vec<Problem>> {
        let tree = parse(source).map_err(|problem| vec![problem])?;
        let expr = check(&tree, Type::Bool)?;
        Ok(Predicate { plan: Plan::new(expr) })
    }

    /// As [`compile`](Predicate::compile), without the fast path: what it is measured against.
    #[cfg(test)]
    pub(super) fn compile_slow(source: &str) -> Result<Predicate, Vec<Problem>> {
        let tree = parse(source).map_err(|problem| vec![problem])?;
        let expr = check(&tree, Type::Bool)?;
        Ok(Predicate { plan: Plan::slow(expr) })
    }

    /// Whether `record` meets it. Allocates only where an expression computes a text.
    #[inline]
    pub fn matches(&self, record: &Record) -> bool {
        self.plan.holds(record)
    }

    #[cfg(test)]
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }
}
