use std::fmt;

use super::{MAX_KIND_BYTES, MAX_UNKNOWN_KINDS, suggest};

/// Why a name was refused as a kind. It does not repeat the name, which in damaged data may be a health
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KindError {
    /// The name is neither HealthKit's nor a reverse-domain name.
    #[error("not a type of health data; expected a HealthKit identifier or a name like com.example.mood")]
    NotAKind,
    /// The name is longer than [`MAX_KIND_BYTES`].
    #[error("the name of a type is longer than {MAX_KIND_BYTES} bytes; check that the field holds a type")]
    TooLong,
    /// The name is new and [`MAX_UNKNOWN_KINDS`] are kept already.
    #[error("more than {MAX_UNKNOWN_KINDS} types outside the catalogue; check that the field holds a type")]
    TooMany,
}

/// A name in configuration that is no kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownKind {
    /// The name as written; its beginning if it is longer than [`MAX_KIND_BYTES`].
    pub name: String,
    /// The nearest name of the catalogue, short if the name was written short.
    pub suggestion: Option<&'static str>,
    /// Why it was refused.
    pub reason: KindError,
}

impl UnknownKind {
    pub(super) fn new(name: &str, reason: KindError) -> Self {
        let name = &name[..name.floor_char_boundary(MAX_KIND_BYTES)];
        let suggestion = if reason == KindError::NotAKind { suggest::nearest(name) } else { None };
        Self { name: name.to_owned(), suggestion, reason }
    }
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason, self.suggestion) {
            (KindError::NotAKind, Some(suggestion)) => {
                write!(f, "unknown type {:?}; did you mean {suggestion:?}?", self.name)
            }
            (reason, _) => write!(f, "unknown type {:?}: {reason}", self.name),
        }
    }
}

impl std::error::Error for UnknownKind {}
