//! The fast path: the tests that most conditions consist of, without the detour over values.

use std::cmp::Ordering;

use afferent_core::{Kind, Name, Record, Timestamp, Unit};

use super::{
    expr::{Comparison, Expr, KindSet, Set},
    field::Field,
    value::Literal,
};

/// A condition as it is run: `field op literal`, `&&`, `||` and `!` of such directly, all else as an expression.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Kind { kind: Kind, equal: bool },
    KindIn(KindSet),
    Value { comparison: Comparison, literal: f64 },
    Time { field: Field, comparison: Comparison, literal: Timestamp },
    Text { field: Field, literal: Name, equal: bool },
    Unit { unit: Unit, equal: bool },
    Deleted,
    Not(Box<Plan>),
    All(Box<[Plan]>),
    Any(Box<[Plan]>),
    Other(Expr),
}

impl Plan {
    /// What `expr`, a condition, is run as.
    pub(super) fn new(expr: Expr) -> Plan {
        match expr {
            Expr::And(sides) => {
                let mut parts = Vec::new();
                for side in *sides {
                    match Plan::new(side) {
                        Plan::All(inner) => parts.extend(inner),
                        part => parts.push(part),
                    }
                }
                Plan::All(parts.into())
            }
            Expr::Or(sides) => {
                let mut parts = Vec::new();
                for side in *sides {
                    match Plan::new(side) {
                        Plan::Any(inner) => parts.extend(inner),
                        part => parts.push(part),
                    }
                }
                Plan::Any(parts.into())
            }
            Expr::Not(inner) => Plan::Not(Box::new(Plan::new(*inner))),
            Expr::Field(Field::Deleted) => Plan::Deleted,
            Expr::In(inner, set) => match (*inner, set) {
                (Expr::Field(Field::Type), Set::Kinds(kinds)) => Plan::KindIn(kinds),
                (inner, set) => Plan::Other(Expr::In(Box::new(inner), set)),
            },
            Expr::Compare(comparison, sides) => {
                let (comparison, sides) = match *sides {
                    [literal @ Expr::Literal(_), other] => (comparison.flipped(), [other, literal]),
                    sides => (comparison, sides),
                };
                Plan::comparison(comparison, sides)
            }
            other => Plan::Other(other),
        }
    }

    fn comparison(comparison: Comparison, sides: [Expr; 2]) -> Plan {
        let equal = comparison == Comparison::Equal;
        match sides {
            [Expr::Field(Field::Value), Expr::Literal(Literal::Double(literal))] => {
                Plan::Value { comparison, literal }
            }
            [
                Expr::Field(field @ (Field::Start | Field::End)),
                Expr::Literal(Literal::Timestamp(literal)),
            ] => Plan::Time { field, comparison, literal },
            [Expr::Field(Field::Type), Expr::Literal(Literal::Kind(kind))] if comparison.is_equality() => {
                Plan::Kind { kind, equal }
            }
            [Expr::Field(Field::Unit), Expr::Literal(Literal::Unit(unit))] if comparison.is_equality() => {
                Plan::Unit { unit, equal }
            }
            [Expr::Field(field), Expr::Literal(Literal::Text(literal))]
                if comparison.is_equality() && !matches!(field, Field::Type | Field::Unit | Field::Id) =>
            {
                Plan::Text { field, literal, equal }
            }
            sides => Plan::Other(Expr::Compare(comparison, Box::new(sides))),
        }
    }

    /// Whether the condition is true for `record`. What is absent makes a comparison false, `!=` too.
    #[inline]
    pub(super) fn holds(&self, record: &Record) -> bool {
        match self {
            Plan::Kind { kind, equal } => record.kind.is_some_and(|found| (found == *kind) == *equal),
            Plan::KindIn(kinds) => record.kind.is_some_and(|kind| kinds.contains(kind)),
            Plan::Value { comparison, literal } => {
                record.value.as_f64().is_some_and(|value| doubles(*comparison, value, *literal))
            }
            Plan::Time { field, comparison, literal } => {
                field.time(record).is_some_and(|time| comparison.holds(time.cmp(literal)))
            }
            Plan::Text { field, literal, equal } => {
                field.name(record).is_some_and(|name| (name == literal) == *equal)
            }
            Plan::Unit { unit, equal } => record.value.unit().is_some_and(|found| (found == *unit) == *equal),
            Plan::Deleted => record.is_deletion(),
            Plan::Not(inner) => !inner.holds(record),
            Plan::All(parts) => parts.iter().all(|part| part.holds(record)),
            Plan::Any(parts) => parts.iter().any(|part| part.holds(record)),
            Plan::Other(expr) => expr.holds(record),
        }
    }
}

/// As `comparison` of doubles by their order; false, also `!=`, where one is not a number.
#[inline]
fn doubles(comparison: Comparison, left: f64, right: f64) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left.partial_cmp(&right).is_some_and(Ordering::is_ne),
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}
