//! How a condition is run: as a line of tests that jump, without recursion or a detour over values.
//!
//! `&&`, `||`, `!` and `? :` become jumps. `field op literal`, which most conditions consist of, is a test of its own;
//! all else is evaluated as an expression.

use afferent_core::{Kind, Name, Record, Timestamp, Unit};

use super::{
    expr::{Comparison, Expr, KindSet, Set, compare_doubles},
    field::Field,
    value::Literal,
};

/// A condition as it is run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    steps: Box<[Step]>,
    first: Next,
}

#[derive(Clone, Debug)]
struct Step {
    test: Test,
    then: Next,
    otherwise: Next,
}

/// The index of a step, or one of the ends.
type Next = u32;

const TRUE: Next = Next::MAX;
const FALSE: Next = Next::MAX - 1;

#[derive(Clone, Debug)]
pub(super) enum Test {
    Kind(Kind),
    /// There is a type, and it is another.
    OtherKind(Kind),
    KindIn(KindSet),
    Value(Comparison, f64),
    Time(Field, Comparison, Timestamp),
    Text {
        field: Field,
        literal: Name,
        equal: bool,
    },
    Unit {
        unit: Unit,
        equal: bool,
    },
    Deleted,
    Expr(Expr),
}

impl Plan {
    /// How `expr`, a condition, is run.
    pub(super) fn new(expr: Expr) -> Plan {
        let mut steps = Vec::new();
        let first = add(&mut steps, expr, TRUE, FALSE);
        Plan { steps: steps.into(), first }
    }

    /// Evaluates all of `expr`: what the tests are compared with.
    #[cfg(test)]
    pub(super) fn slow(expr: Expr) -> Plan {
        Plan { steps: [Step { test: Test::Expr(expr), then: TRUE, otherwise: FALSE }].into(), first: 0 }
    }

    /// Whether the condition is true for `record`.
    #[inline]
    pub(super) fn holds(&self, record: &Record) -> bool {
        let mut next = self.first;
        // Every jump leads to a step that was added earlier, so there is an end.
        while let Some(step) = self.steps.get(next as usize) {
            next = if step.test.holds(record) { step.then } else { step.otherwise };
        }
        next == TRUE
    }

    #[cfg(test)]
    pub(super) fn tests(&self) -> impl Iterator<Item = &Test> {
        self.steps.iter().map(|step| &step.test)
    }
}

/// Adds the steps of `expr`, last to first. Returns where it begins.
fn add(steps: &mut Vec<Step>, expr: Expr, then: Next, otherwise: Next) -> Next {
    let test = match expr {
        Expr::And(sides) => {
            let [first, second] = *sides;
            let second = add(steps, second, then, otherwise);
            return add(steps, first, second, otherwise);
        }
        Expr::Or(sides) => {
            let [first, second] = *sides;
            let second = add(steps, second, then, otherwise);
            return add(steps, first, then, second);
        }
        Expr::Not(inner) => return add(steps, *inner, otherwise, then),
        Expr::If(parts) => {
            let [condition, yes, no] = *parts;
            let (yes, no) = (add(steps, yes, then, otherwise), add(steps, no, then, otherwise));
            return add(steps, condition, yes, no);
        }
        Expr::Literal(Literal::Bool(value)) => return if value { then } else { otherwise },
        Expr::Field(Field::Deleted) => Test::Deleted,
        Expr::In(inner, set) => match (*inner, set) {
            (Expr::Field(Field::Type), Set::Kinds(kinds)) => Test::KindIn(kinds),
            (inner, set) => Test::Expr(Expr::In(Box::new(inner), set)),
        },
        Expr::CompareDoubles(comparison, sides) => match literal_last(comparison, *sides) {
            (comparison, [Expr::Field(Field::Value), Expr::Literal(Literal::Double(literal))]) => {
                Test::Value(comparison, literal)
            }
            (comparison, sides) => Test::Expr(Expr::CompareDoubles(comparison, Box::new(sides))),
        },
        Expr::Compare(comparison, sides) => {
            let (comparison, sides) = literal_last(comparison, *sides);
            Test::comparison(comparison, sides)
        }
        other => Test::Expr(other),
    };
    steps.push(Step { test, then, otherwise });
    (steps.len() - 1) as Next
}

fn literal_last(comparison: Comparison, sides: [Expr; 2]) -> (Comparison, [Expr; 2]) {
    match sides {
        [literal @ Expr::Literal(_), other] => (comparison.flipped(), [other, literal]),
        sides => (comparison, sides),
    }
}

impl Test {
    fn comparison(comparison: Comparison, sides: [Expr; 2]) -> Test {
        let equal = comparison == Comparison::Equal;
        match sides {
            [
                Expr::Field(field @ (Field::Start | Field::End)),
                Expr::Literal(Literal::Timestamp(literal)),
            ] => Test::Time(field, comparison, literal),
            [Expr::Field(Field::Type), Expr::Literal(Literal::Kind(kind))] if comparison.is_equality() => {
                if equal {
                    Test::Kind(kind)
                } else {
                    Test::OtherKind(kind)
                }
            }
            [Expr::Field(Field::Unit), Expr::Literal(Literal::Unit(unit))] if comparison.is_equality() => {
                Test::Unit { unit, equal }
            }
            [Expr::Field(field), Expr::Literal(Literal::Text(literal))]
                if comparison.is_equality() && !matches!(field, Field::Type | Field::Unit | Field::Id) =>
            {
                Test::Text { field, literal, equal }
            }
            sides => Test::Expr(Expr::Compare(comparison, Box::new(sides))),
        }
    }

    /// What is absent makes a comparison false, `!=` too.
    #[inline]
    fn holds(&self, record: &Record) -> bool {
        match self {
            Test::Kind(kind) => record.kind == Some(*kind),
            Test::OtherKind(kind) => record.kind.is_some_and(|found| found != *kind),
            Test::KindIn(kinds) => record.kind.is_some_and(|kind| kinds.contains(kind)),
            Test::Value(comparison, literal) => {
                record.value.as_f64().is_some_and(|value| compare_doubles(*comparison, value, *literal))
            }
            Test::Time(field, comparison, literal) => {
                field.time(record).is_some_and(|time| comparison.holds(time.cmp(literal)))
            }
            Test::Text { field, literal, equal } => {
                field.name(record).is_some_and(|name| (name == literal) == *equal)
            }
            Test::Unit { unit, equal } => record.value.unit().is_some_and(|found| (found == *unit) == *equal),
            Test::Deleted => record.is_deletion(),
            Test::Expr(expr) => expr.holds(record),
        }
    }
}
