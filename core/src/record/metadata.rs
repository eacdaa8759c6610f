//! Typed metadata of a record.

use serde::{Deserialize, Serialize};

use crate::{Name, Timestamp, Unit};

/// Metadata of a record: keys and typed values in the order they were given. Keys may repeat, as they do in
/// Apple Health exports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Vec<(Name, MetaValue)>);

/// One metadata value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetaValue {
    /// A text.
    String(Name),
    /// A finite number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// An instant.
    Date(Timestamp),
    /// A finite number with its unit.
    Quantity(f64, Unit),
}

impl Metadata {
    /// Adds an entry at the end.
    pub fn push(&mut self, key: impl Into<Name>, value: MetaValue) {
        self.0.push((key.into(), value));
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&MetaValue> {
        self.0.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value)
    }

    /// Replaces all values of `key` by `value`, in the place of the first.
    pub fn set(&mut self, key: impl Into<Name>, value: MetaValue) {
        let key = key.into();
        match self.0.iter().position(|(name, _)| *name == key) {
            Some(index) => {
                self.0[index].1 = value;
                let mut position = 0;
                self.0.retain(|(name, _)| {
                    position += 1;
                    position - 1 <= index || *name != key
                });
            }
            None => self.0.push((key, value)),
        }
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &(Name, MetaValue)> {
        self.0.iter()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(Name, MetaValue)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (Name, MetaValue)>>(iter: I) -> Metadata {
        Metadata(iter.into_iter().collect())
    }
}
