//! [`Expression`]: a value computed from a record.

use afferent_core::{Problem, Record};

use super::{
    check::check,
    expr::Expr,
    parse::parse,
    value::{CelValue, Literal, Type},
};

/// A compiled expression of a known type: the right-hand side of a `set`.
#[derive(Clone, Debug)]
pub struct Expression {
    expr: Expr,
}

impl Expression {
    /// Compiles `source`, whose value must be of type `expected`. An int is widened to an expected double.
    ///
    /// # Errors
    /// As [`Predicate::compile`](super::Predicate::compile).
    pub fn compile(source: &str, expected: Type) -> Result<Expression, Vec<Problem>> {
        let tree = parse(source).map_err(|problem| vec![problem])?;
        Ok(Expression { expr: check(&tree, expected)? })
    }

    /// Its value for `record`: of the expected type or absent, or, where metadata stand alone, of any.
    #[inline]
    pub fn evaluate<'a>(&'a self, record: &'a Record) -> CelValue<'a> {
        self.expr.evaluate(record)
    }

    /// The text that it always is, if it is a literal one.
    pub(crate) fn literal_text(&self) -> Option<&str> {
        match &self.expr {
            Expr::Literal(Literal::Text(text)) => Some(text),
            _ => None,
        }
    }
}
