use super::dimension::Dimension;
use super::fraction::Fraction;

/// What a unit means: a value `v` in it is `v * factor + zero` in the base units (gram, metre, second,
/// kelvin, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) dimension: Dimension,
    pub(super) factor: Fraction,
    /// Where the scale's zero lies, in base units; other than zero only for a temperature on its own.
    pub(super) zero: Fraction,
}

// Within a product, quotient or power a degree is a difference, so `zero` is dropped.
impl Definition {
    pub(super) const ONE: Self =
        Self { dimension: Dimension::NONE, factor: Fraction::ONE, zero: Fraction::ZERO };

    pub(super) fn times(self, other: Self) -> Option<Self> {
        Some(Self {
            dimension: self.dimension.times(other.dimension)?,
            factor: self.factor.times(other.factor)?,
            zero: Fraction::ZERO,
        })
    }

    pub(super) fn over(self, other: Self) -> Option<Self> {
        Some(Self {
            dimension: self.dimension.over(other.dimension)?,
            factor: self.factor.over(other.factor)?,
            zero: Fraction::ZERO,
        })
    }

    pub(super) fn power(self, exponent: i8) -> Option<Self> {
        Some(Self {
            dimension: self.dimension.power(exponent)?,
            factor: self.factor.power(exponent)?,
            zero: Fraction::ZERO,
        })
    }
}
