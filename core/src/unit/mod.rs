//! Units as HealthKit writes them, and conversion between them.
//!
//! A [`Unit`] is an interned text: two bytes, compared by number, printed as it came. Parsing keeps the text
//! and never normalises it, so `ml` and `mL` are two units that convert into each other with factor one, and
//! data with a unit nobody has heard of pass through unchanged.
//!
//! What a text means is worked out once, when it is interned:
//!
//! | text | reading |
//! |---|---|
//! | `mi`, `mcg`, `kPa`, `mmol<180.1558>` | a symbol of the table, or an SI prefix and a symbol that takes one |
//! | `m/s`, `ml/(kg*min)`, `kg.m^-1` | products by `*`, `.` or `·`, integral powers, parentheses |
//! | `mL/min·kg` | everything after a `/` divides: HealthKit evaluates multiplication first |
//! | `degC/min` | within a compound a degree is a difference: the zero point of the scale does not apply |
//! | anything else | not understood: [`Unit::dimension`] is `None` and nothing converts into it |
//!
//! Conversion is arithmetic on exact fractions, rounded once at the end (see [`Conversion`]).
//!
//! **Bounds.** A text has at most [`MAX_UNIT_BYTES`] bytes, and a process keeps at most [`MAX_UNITS`] texts
//! besides the built-in ones, which stay available whatever the data bring.

mod conversion;
mod definition;
mod dimension;
mod error;
mod fraction;
pub(crate) mod intern;
mod known;
mod parser;
mod symbols;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::num::NonZeroU16;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use conversion::Conversion;
pub use dimension::Dimension;
pub use error::UnitError;

use crate::kind::Kind;
use definition::Definition;
use intern::Interner;
use known::Known;

/// Longest text of a unit, in bytes. HealthKit's longest, a concentration with a molar mass, has 25.
pub const MAX_UNIT_BYTES: usize = 64;

/// How many unit texts a process keeps besides the built-in ones; a full table takes about 1 MiB. Real
/// data carry some tens; more than this is a feed that puts something else where the unit belongs.
pub const MAX_UNITS: usize = 4096;

/// A unit of measurement, interned: `Option<Unit>` is two bytes.
///
/// Equality is equality of the text. Whether two units measure the same thing is [`Unit::conversion`]'s to
/// say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unit(NonZeroU16);

/// A unit text and what it means.
pub(crate) struct Entry {
    text: &'static str,
    definition: Option<Definition>,
}

impl Entry {
    fn new(text: &'static str) -> Self {
        Self { text, definition: parser::parse(text) }
    }
}

static KNOWN: LazyLock<Known> = LazyLock::new(Known::load);
static OTHERS: LazyLock<Interner<&'static Entry>> = LazyLock::new(Interner::new);

impl Unit {
    /// Interns `text`. Any text is a unit, understood or not.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the text is empty, longer than [`MAX_UNIT_BYTES`], or new when [`MAX_UNITS`] are kept
    /// already.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        if let Some(index) = KNOWN.get(text) {
            return Ok(Self::at(index));
        }
        if text.is_empty() {
            return Err(UnitError::Empty);
        }
        if text.len() > MAX_UNIT_BYTES {
            return Err(UnitError::TooLong);
        }
        OTHERS
            .intern(text, MAX_UNITS, |text| &*Box::leak(Box::new(Entry::new(text))))
            .map(|index| Self::at(KNOWN.len() + index))
            .ok_or(UnitError::TooMany)
    }

    /// The text as it came.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().text
    }

    /// What the unit measures, or `None` if its text is not understood.
    #[must_use]
    pub fn dimension(self) -> Option<Dimension> {
        self.entry().definition.as_ref().map(|definition| definition.dimension)
    }

    /// How to turn a value in this unit into one in `to`: `None` if they measure different things, or if
    /// either is not understood. A unit converts into itself, understood or not.
    ///
    /// Look it up once for a run of equal units rather than once a value.
    #[must_use]
    pub fn conversion(self, to: Self) -> Option<Conversion> {
        if self == to {
            return Some(Conversion::IDENTITY);
        }
        Conversion::between(self.entry().definition.as_ref()?, to.entry().definition.as_ref()?)
    }

    /// Whether the unit converts into the one the catalogue gives for `kind`. `None` if that cannot be said:
    /// the kind is unknown or has no unit, or this unit is not understood.
    #[must_use]
    pub fn fits(self, kind: Kind) -> Option<bool> {
        let expected = kind.info()?.unit?;
        if self == expected {
            return Some(true);
        }
        self.dimension()?;
        Some(self.conversion(expected).is_some())
    }

    fn at(index: usize) -> Self {
        // KNOWN and MAX_UNITS together are far below the number of u16 values.
        let number = u16::try_from(index + 1).ok().and_then(NonZeroU16::new);
        Self(number.expect("invariant: the table of units is smaller than 65,535"))
    }

    fn entry(self) -> &'static Entry {
        let index = usize::from(self.0.get()) - 1;
        match KNOWN.entry(index) {
            Some(entry) => entry,
            None => OTHERS
                .item(index - KNOWN.len())
                .expect("invariant: a Unit is made only from an interned index"),
        }
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Unit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a unit of at most {MAX_UNIT_BYTES} bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Unit, E> {
                Unit::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}
