//! Checked expressions and their evaluation on a record.

use std::cmp::Ordering;

use afferent_core::{Kind, Name, Record};

use super::{
    field::Field,
    value::{CelValue, Literal},
};

/// A checked expression. Its types fit; what a record lacks makes it absent.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Literal(Literal),
    Field(Field),
    Metadata(Name),
    Has(Box<Expr>),
    Not(Box<Expr>),
    And(Box<[Expr; 2]>),
    Or(Box<[Expr; 2]>),
    Compare(Comparison, Box<[Expr; 2]>),
    /// Of two doubles.
    CompareDoubles(Comparison, Box<[Expr; 2]>),
    In(Box<Expr>, Set),
    /// An int as a double.
    ToDouble(Box<Expr>),
    Negate(Box<Expr>),
    Arithmetic(Operator, Box<[Expr; 2]>),
    /// On two doubles.
    Doubles(Operator, Box<[Expr; 2]>),
    If(Box<[Expr; 3]>),
    Matches(Match, Box<[Expr; 2]>),
    Lower(Box<Expr>),
    Upper(Box<Expr>),
    Size(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    #[inline]
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// The comparison that holds when the sides are swapped.
    pub(super) fn flipped(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    pub(super) fn is_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    StartsWith,
    EndsWith,
    Contains,
}

/// The literals to the right of `in`.
#[derive(Clone, Debug)]
pub(super) enum Set {
    Kinds(KindSet),
    /// Ascending.
    Texts(Box<[Name]>),
    Other(Box<[Literal]>),
}

impl Set {
    pub(super) fn new(literals: Vec<Literal>) -> Set {
        let kinds = literals.iter().map(|literal| match literal {
            Literal::Kind(kind) => Some(*kind),
            _ => None,
        });
        if let Some(kinds) = kinds.collect::<Option<Vec<Kind>>>() {
            return Set::Kinds(KindSet::new(kinds));
        }
        let texts = literals.iter().map(|literal| match literal {
            Literal::Text(text) => Some(text.clone()),
            _ => None,
        });
        if let Some(mut texts) = texts.collect::<Option<Vec<Name>>>() {
            texts.sort_unstable();
            return Set::Texts(texts.into());
        }
        Set::Other(literals.into())
    }

    fn contains(&self, value: &CelValue<'_>) -> bool {
        match (self, value) {
            (Set::Kinds(kinds), CelValue::Kind(kind)) => kinds.contains(*kind),
            (Set::Kinds(kinds), value) => kinds.iter().any(|kind| equal(value, &CelValue::Kind(kind))),
            (Set::Texts(texts), value) => {
                let mut buffer = [0; 36];
                value
                    .text(&mut buffer)
                    .is_some_and(|text| texts.binary_search_by(|name| name.as_str().cmp(text)).is_ok())
            }
            (Set::Other(literals), value) => literals.iter().any(|literal| equal(value, &literal.value())),
        }
    }
}

fn equal(left: &CelValue<'_>, right: &CelValue<'_>) -> bool {
    left.compare(right) == Some(Ordering::Equal)
}

/// A set of kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KindSet(Box<[Kind]>);

/// Up to this many kinds are compared one by one, which is faster than a search.
const SCANNED_KINDS: usize = 16;

impl KindSet {
    pub(crate) fn new(mut kinds: Vec<Kind>) -> KindSet {
        kinds.sort_unstable();
        kinds.dedup();
        KindSet(kinds.into())
    }

    #[inline]
    pub(crate) fn contains(&self, kind: Kind) -> bool {
        if self.0.len() <= SCANNED_KINDS {
            self.0.contains(&kind)
        } else {
            self.0.binary_search(&kind).is_ok()
        }
    }

    fn iter(&self) -> impl Iterator<Item = Kind> {
        self.0.iter().copied()
    }
}

impl Expr {
    pub(super) fn evaluate<'a>(&'a self, record: &'a Record) -> CelValue<'a> {
        match self {
            Expr::Literal(literal) => literal.value(),
            Expr::Field(field) => field.read(record),
            Expr::Metadata(key) => {
                let value = record.metadata.as_deref().and_then(|metadata| metadata.get(key));
                value.map_or(CelValue::Absent, CelValue::of_metadata)
            }
            Expr::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                if condition.holds(record) { then.evaluate(record) } else { otherwise.evaluate(record) }
            }
            Expr::ToDouble(inner) => match inner.evaluate(record) {
                CelValue::Int(value) => exact(value).map_or(CelValue::Absent, CelValue::Double),
                _ => CelValue::Absent,
            },
            Expr::Negate(inner) => match inner.evaluate(record) {
                CelValue::Int(value) => value.checked_neg().map_or(CelValue::Absent, CelValue::Int),
                CelValue::Duration(value) => value.checked_neg().map_or(CelValue::Absent, CelValue::Duration),
                value => value.number().map_or(CelValue::Absent, |value| CelValue::Double(-value)),
            },
            Expr::Arithmetic(operator, sides) => {
                arithmetic(*operator, &sides[0].evaluate(record), &sides[1].evaluate(record))
                    .unwrap_or(CelValue::Absent)
            }
            Expr::Doubles(..) => self.number(record).map_or(CelValue::Absent, CelValue::Double),
            Expr::Lower(inner) => {
                let lower = |text: &str| CelValue::Owned(text.to_ascii_lowercase());
                inner.with_text(record, lower).unwrap_or(CelValue::Absent)
            }
            Expr::Upper(inner) => {
                let upper = |text: &str| CelValue::Owned(text.to_ascii_uppercase());
                inner.with_text(record, upper).unwrap_or(CelValue::Absent)
            }
            Expr::Size(inner) => {
                let size = |text: &str| CelValue::Int(text.chars().count() as i64);
                inner.with_text(record, size).unwrap_or(CelValue::Absent)
            }
            Expr::Has(_)
            | Expr::Not(_)
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Compare(..)
            | Expr::CompareDoubles(..)
            | Expr::In(..)
            | Expr::Matches(..) => CelValue::Bool(self.holds(record)),
        }
    }

    /// Whether it is true for `record`.
    pub(super) fn holds(&self, record: &Record) -> bool {
        match self {
            Expr::Has(inner) => inner.evaluate(record).is_present(),
            Expr::Not(inner) => !inner.holds(record),
            Expr::And(sides) => sides[0].holds(record) && sides[1].holds(record),
            Expr::Or(sides) => sides[0].holds(record) || sides[1].holds(record),
            Expr::Compare(comparison, sides) => sides[0]
                .evaluate(record)
                .compare(&sides[1].evaluate(record))
                .is_some_and(|ordering| comparison.holds(ordering)),
            Expr::In(inner, set) => set.contains(&inner.evaluate(record)),
            Expr::CompareDoubles(comparison, sides) => {
                match (sides[0].number(record), sides[1].number(record)) {
                    (Some(left), Some(right)) => compare_doubles(*comparison, left, right),
                    _ => false,
                }
            }
            Expr::Matches(how, sides) => {
                let matches = |text: &str, part: &str| match how {
                    Match::StartsWith => text.starts_with(part),
                    Match::EndsWith => text.ends_with(part),
                    Match::Contains => text.contains(part),
                };
                sides[0]
                    .with_text(record, |text| sides[1].with_text(record, |part| matches(text, part)))
                    .flatten()
                    .unwrap_or(false)
            }
            other => other.evaluate(record).is_true(),
        }
    }
}

impl Expr {
    /// Its value, where that is a double: without a detour over [`CelValue`].
    fn number(&self, record: &Record) -> Option<f64> {
        match self {
            Expr::Literal(Literal::Double(value)) => Some(*value),
            Expr::Field(Field::Value) => record.value.as_f64(),
            Expr::Doubles(operator, sides) => {
                let (left, right) = (sides[0].number(record)?, sides[1].number(record)?);
                match operator {
                    Operator::Add => Some(left + right),
                    Operator::Subtract => Some(left - right),
                    Operator::Multiply => Some(left * right),
                    Operator::Divide => Some(left / right),
                    // Of ints only.
                    Operator::Remainder => None,
                }
            }
            other => other.evaluate(record).number(),
        }
    }

    /// Calls `f` with its value, where that is a text.
    fn with_text<T>(&self, record: &Record, f: impl FnOnce(&str) -> T) -> Option<T> {
        match self {
            Expr::Literal(Literal::Text(text)) => Some(f(text)),
            Expr::Field(Field::Type) => record.kind.map(|kind| f(kind.name())),
            other => other.evaluate(record).text(&mut [0; 36]).map(f),
        }
    }
}

/// As the order of doubles has it; false, also for `!=`, where one is not a number.
#[inline]
pub(super) fn compare_doubles(comparison: Comparison, left: f64, right: f64) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left.partial_cmp(&right).is_some_and(Ordering::is_ne),
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

/// `value` as a double, if one is equal to it.
pub(super) fn exact(value: i64) -> Option<f64> {
    let double = value as f64;
    // 2^63 is not an i64, though casting it gives the largest one.
    (double < 9_223_372_036_854_775_808.0 && double as i64 == value).then_some(double)
}

fn arithmetic<'a>(operator: Operator, left: &CelValue<'_>, right: &CelValue<'_>) -> Option<CelValue<'a>> {
    use CelValue::{Duration, Int, Owned, Timestamp};
    use Operator::{Add, Divide, Multiply, Remainder, Subtract};
    Some(match (operator, left, right) {
        (Add, Int(a), Int(b)) => Int(a.checked_add(*b)?),
        (Subtract, Int(a), Int(b)) => Int(a.checked_sub(*b)?),
        (Multiply, Int(a), Int(b)) => Int(a.checked_mul(*b)?),
        (Divide, Int(a), Int(b)) => Int(a.checked_div(*b)?),
        (Remainder, Int(a), Int(b)) => Int(a.checked_rem(*b)?),
        (Add, Duration(a), Duration(b)) => Duration(a.checked_add(*b)?),
        (Subtract, Duration(a), Duration(b)) => Duration(a.checked_sub(*b)?),
        (Add, Timestamp(time), Duration(by)) | (Add, Duration(by), Timestamp(time)) => moved(*time, *by)?,
        (Subtract, Timestamp(time), Duration(by)) => moved(*time, by.checked_neg()?)?,
        (Subtract, Timestamp(a), Timestamp(b)) => Duration(a.as_micros().checked_sub(b.as_micros())?),
        _ => {
            let (mut first, mut second) = ([0; 36], [0; 36]);
            match (operator, left.text(&mut first), right.text(&mut second)) {
                (Add, Some(a), Some(b)) => Owned([a, b].concat()),
                _ => return None,
            }
        }
    })
}

fn moved<'a>(time: afferent_core::Timestamp, by: i64) -> Option<CelValue<'a>> {
    afferent_core::Timestamp::from_micros(time.as_micros().checked_add(by)?).map(CelValue::Timestamp)
}
