//! Kinds: the types of health data, HealthKit's and others.
//!
//! A [`Kind`] is an interned type identifier: four bytes, compared by number. HealthKit's types are a
//! catalogue built into the program, with the unit, aggregation and enumeration of each ([`KindInfo`]); a
//! kind outside it carries its name and nothing else.
//!
//! Two rules read a name, because the two places where names stand fail in different ways:
//!
//! | name | in configuration ([`Kind::parse`]) | in data ([`Kind::from_data`]) |
//! |---|---|---|
//! | full identifier, short name or alias of the catalogue | accepted | accepted |
//! | reverse-domain name (`com.example.mood`) | accepted | accepted |
//! | any other name that starts with `HK` | refused, with a suggestion | accepted: Apple adds types every year |
//! | anything else | refused, with a suggestion | refused |
//!
//! A type that goes by two names is one kind: an alias yields the kind of the real identifier, so a filter
//! finds it under either.
//!
//! **Bounds.** Names outside the catalogue are kept for the life of the process: at most
//! [`MAX_UNKNOWN_KINDS`] of at most [`MAX_KIND_BYTES`] bytes from data. A further [`CONFIGURED_KINDS`] places
//! are for configuration, so that a feed that fills the table cannot make a pipeline file unreadable.

mod catalogue;
pub mod category;
mod error;
mod info;
mod plausible;
mod suggest;
#[cfg(test)]
mod tests;
mod tsv;
pub mod workout;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use error::{KindError, UnknownKind};
pub use info::{Aggregation, KindClass, KindInfo};
pub use plausible::Plausible;

use crate::unit::intern::Interner;
use catalogue::CATALOGUE;

/// How many kinds outside the catalogue data may bring into a process: 1 MiB of names at the longest.
/// Real feeds have a few dozen; more than this is a feed that puts something else where the type belongs.
pub const MAX_UNKNOWN_KINDS: usize = 4096;

/// How many kinds outside the catalogue configuration may add when data have used all of
/// [`MAX_UNKNOWN_KINDS`].
pub const CONFIGURED_KINDS: usize = 1024;

/// Longest name of a kind, in bytes. HealthKit's longest identifier has 58.
pub const MAX_KIND_BYTES: usize = 256;

/// A type of health data, interned: `Option<Kind>` is four bytes.
///
/// The order is that of the catalogue, then of first appearance: the same within a process, not across two.
/// What is stored is the identifier, which is also the serialised form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(NonZeroU32);

static UNKNOWN: LazyLock<Interner<&'static str>> = LazyLock::new(Interner::new);

impl Kind {
    /// The full identifier: `HKQuantityTypeIdentifierHeartRate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.info() {
            Some(info) => info.identifier,
            None => UNKNOWN
                .item(self.index() - CATALOGUE.len())
                .expect("invariant: a Kind is made only from an interned index"),
        }
    }

    /// The short name, `HeartRate`; the full name of a kind outside the catalogue.
    #[must_use]
    pub fn short(self) -> &'static str {
        self.info().map_or_else(|| self.name(), |info| info.short)
    }

    /// What the catalogue says; `None` for a kind outside it.
    #[must_use]
    pub fn info(self) -> Option<&'static KindInfo> {
        CATALOGUE.info(self.index())
    }

    /// What sort of type it is: the catalogue's word or, for a HealthKit type newer than that, what its
    /// identifier begins with. `None` if neither says.
    #[must_use]
    pub fn class(self) -> Option<KindClass> {
        self.info().map_or_else(|| KindClass::of_identifier(self.name()), |info| Some(info.class))
    }

    /// Whether its values are numbers with a unit.
    #[must_use]
    pub fn is_quantity(self) -> bool {
        self.class() == Some(KindClass::Quantity)
    }

    /// Whether its values are numbers of an enumeration.
    #[must_use]
    pub fn is_category(self) -> bool {
        self.class() == Some(KindClass::Category)
    }

    /// Whether its values are sets of other records.
    #[must_use]
    pub fn is_correlation(self) -> bool {
        self.class() == Some(KindClass::Correlation)
    }

    /// Whether its values are workouts.
    #[must_use]
    pub fn is_workout(self) -> bool {
        self.class() == Some(KindClass::Workout)
    }

    /// Reads a name in configuration, where a name nobody knows is a slip of the pen.
    ///
    /// # Errors
    ///
    /// [`UnknownKind`], with the nearest name of the catalogue if one is near.
    pub fn parse(name: &str) -> Result<Self, UnknownKind> {
        if let Some(kind) = Self::from_catalogue(name) {
            return Ok(kind);
        }
        let identifier = CATALOGUE.identifier_of_alias(name);
        let accepted = match identifier {
            Some(identifier) => Ok(identifier),
            None => check_name(name)
                .and_then(|()| is_reverse_domain(name).then_some(name).ok_or(KindError::NotAKind)),
        };
        accepted
            .and_then(|name| Self::intern(name, MAX_UNKNOWN_KINDS + CONFIGURED_KINDS))
            .map_err(|reason| UnknownKind::new(name, reason))
    }

    /// Reads a name in data, where a HealthKit type nobody knows is one of a newer system.
    ///
    /// # Errors
    ///
    /// [`KindError`] if the name is neither HealthKit's nor a reverse-domain name, holds white space or
    /// control characters, is longer than [`MAX_KIND_BYTES`], or is new when [`MAX_UNKNOWN_KINDS`] are kept
    /// already.
    pub fn from_data(name: &str) -> Result<Self, KindError> {
        if let Some(kind) = Self::from_catalogue(name) {
            return Ok(kind);
        }
        check_name(name)?;
        let is_healthkit = name.strip_prefix("HK").is_some_and(|rest| !rest.is_empty());
        if !is_healthkit && !is_reverse_domain(name) {
            return Err(KindError::NotAKind);
        }
        Self::intern(CATALOGUE.identifier_of_alias(name).unwrap_or(name), MAX_UNKNOWN_KINDS)
    }

    /// The kinds of the catalogue, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CATALOGUE.len()).map(Self::at)
    }

    fn from_catalogue(name: &str) -> Option<Self> {
        CATALOGUE.get(name).map(Self::at)
    }

    fn intern(name: &str, limit: usize) -> Result<Self, KindError> {
        let index = UNKNOWN.intern(name, limit, |name| name).ok_or(KindError::TooMany)?;
        Ok(Self::at(CATALOGUE.len() + index))
    }

    fn at(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("invariant: the table of kinds is smaller than 4,294,967,295"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// From 1, in the order of kinds.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }
}

/// A name goes into labels and file names: it has to be one short printable word.
fn check_name(name: &str) -> Result<(), KindError> {
    if name.len() > MAX_KIND_BYTES {
        return Err(KindError::TooLong);
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(KindError::NotAKind);
    }
    Ok(())
}

fn is_reverse_domain(name: &str) -> bool {
    name.contains('.') && name.split('.').all(|label| !label.is_empty())
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    /// By the rule for data; configuration calls [`Kind::parse`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl serde::de::Visitor<'_> for Name {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the identifier of a type of health data")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Kind, E> {
                Kind::from_data(name).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}
