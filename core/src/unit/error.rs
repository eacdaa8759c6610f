use super::{MAX_UNIT_BYTES, MAX_UNITS};

/// Why a text was refused as a unit. It does not repeat the text, which in damaged data may be a health
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text is empty.
    #[error("the unit is empty; leave it out if the value has none")]
    Empty,
    /// The text is longer than [`MAX_UNIT_BYTES`].
    #[error("the unit is longer than {MAX_UNIT_BYTES} bytes; check that the field holds a unit")]
    TooLong,
    /// The text is new and [`MAX_UNITS`] are kept already.
    #[error("more than {MAX_UNITS} different units in this process; check that the field holds a unit")]
    TooMany,
}
