//! Types and values of expressions.

use std::{cmp::Ordering, fmt};

use afferent_core::{Kind, MetaValue, Name, RecordId, Timestamp, Unit};

/// The type of an expression, known when it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number of 64 bits.
    Double,
    /// A text.
    String,
    /// An instant, in µs.
    Timestamp,
    /// A length of time, in µs.
    Duration,
    /// A metadata value: what it is, is known only when a record is there. As what is expected: anything that
    /// metadata can hold.
    Metadata,
}

impl Type {
    /// The name with its article: `a string`.
    pub fn with_article(self) -> &'static str {
        match self {
            Type::Bool => "a bool",
            Type::Int => "an int",
            Type::Double => "a double",
            Type::String => "a string",
            Type::Timestamp => "a timestamp",
            Type::Duration => "a duration",
            Type::Metadata => "a metadata value",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Double)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.with_article();
        f.write_str(name.split_once(' ').map_or(name, |(_, name)| name))
    }
}

/// What an expression gives for a record. Texts are borrowed from the record or the expression, unless they
/// were computed.
#[derive(Clone, Debug)]
pub enum CelValue<'a> {
    /// The record has no such field, or what was computed has no result (an int divided by 0).
    Absent,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number; not finite where it was computed so.
    Double(f64),
    /// A number of metadata with its unit. It compares and computes as its number.
    Quantity(f64, Unit),
    /// A text.
    Text(&'a str),
    /// A text that records share.
    Name(&'a Name),
    /// A computed text.
    Owned(String),
    /// A text: the identifier of a type.
    Kind(Kind),
    /// A text: a unit.
    Unit(Unit),
    /// A text: an id.
    Id(RecordId),
    /// An instant.
    Timestamp(Timestamp),
    /// A length of time, in µs.
    Duration(i64),
}

impl<'a> CelValue<'a> {
    /// The text, if it is one. `buffer` holds it where it is not text in memory.
    pub fn text<'b>(&'b self, buffer: &'b mut [u8; 36]) -> Option<&'b str> {
        match self {
            CelValue::Text(text) => Some(text),
            CelValue::Name(name) => Some(name.as_str()),
            CelValue::Owned(text) => Some(text),
            CelValue::Kind(kind) => Some(kind.name()),
            CelValue::Unit(unit) => Some(unit.as_str()),
            CelValue::Id(id) => Some(id.encode(buffer)),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[inline]
    pub fn number(&self) -> Option<f64> {
        match self {
            CelValue::Int(value) => Some(*value as f64),
            CelValue::Double(value) | CelValue::Quantity(value, _) => Some(*value),
            _ => None,
        }
    }

    /// Whether something is there.
    pub fn is_present(&self) -> bool {
        !matches!(self, CelValue::Absent)
    }

    /// Whether it is true. Absent is not.
    pub fn is_true(&self) -> bool {
        matches!(self, CelValue::Bool(true))
    }

    /// How it compares with `other`; `None` if one is absent or not a number, or if they are of different
    /// types, which only metadata can be.
    pub(super) fn compare(&self, other: &CelValue<'_>) -> Option<Ordering> {
        use CelValue::{Bool, Duration, Id, Int, Kind, Timestamp, Unit};
        match (self, other) {
            (Bool(a), Bool(b)) => Some(a.cmp(b)),
            (Int(a), Int(b)) | (Duration(a), Duration(b)) => Some(a.cmp(b)),
            (Timestamp(a), Timestamp(b)) => Some(a.cmp(b)),
            (Id(a), Id(b)) => Some(a.cmp(b)),
            (Kind(a), Kind(b)) if a == b => Some(Ordering::Equal),
            (Unit(a), Unit(b)) if a == b => Some(Ordering::Equal),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                (None, None) => {
                    let (mut left, mut right) = ([0; 36], [0; 36]);
                    Some(self.text(&mut left)?.cmp(other.text(&mut right)?))
                }
                _ => None,
            },
        }
    }

    pub(super) fn of_metadata(value: &'a MetaValue) -> CelValue<'a> {
        match value {
            MetaValue::String(text) => CelValue::Name(text),
            MetaValue::Number(value) => CelValue::Double(*value),
            MetaValue::Bool(value) => CelValue::Bool(*value),
            MetaValue::Date(time) => CelValue::Timestamp(*time),
            MetaValue::Quantity(value, unit) => CelValue::Quantity(*value, *unit),
        }
    }
}

/// A value that stands in an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Name),
    Kind(Kind),
    Unit(Unit),
    Id(RecordId),
    Timestamp(Timestamp),
    Duration(i64),
}

impl Literal {
    pub(super) fn value(&self) -> CelValue<'_> {
        match self {
            Literal::Bool(value) => CelValue::Bool(*value),
            Literal::Int(value) => CelValue::Int(*value),
            Literal::Double(value) => CelValue::Double(*value),
            Literal::Text(text) => CelValue::Name(text),
            Literal::Kind(kind) => CelValue::Kind(*kind),
            Literal::Unit(unit) => CelValue::Unit(*unit),
            Literal::Id(id) => CelValue::Id(*id),
            Literal::Timestamp(time) => CelValue::Timestamp(*time),
            Literal::Duration(micros) => CelValue::Duration(*micros),
        }
    }
}
