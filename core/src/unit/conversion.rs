use super::definition::Definition;
use super::fraction::{Fraction, gcd};

/// A conversion between two units: `value * scale + offset`.
///
/// Scale and offset are kept as whole numbers over one denominator, because most factors (1/60, 5/9) have no
/// exact float: `value * numerator / denominator` then is the float nearest to the true result, and 90
/// count/min are exactly 1.5 count/s. A result outside the range of a float is infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    numerator: f64,
    addend: f64,
    denominator: f64,
}

impl Conversion {
    pub(super) const IDENTITY: Self = Self { numerator: 1.0, addend: 0.0, denominator: 1.0 };

    /// `None` if the dimensions differ, or if the factor is beyond any that a unit in use could have.
    pub(super) fn between(from: &Definition, to: &Definition) -> Option<Self> {
        if from.dimension != to.dimension {
            return None;
        }
        let scale = from.factor.over(to.factor)?;
        let offset = from.zero.minus(to.zero)?.over(to.factor)?;
        Self::over_one_denominator(scale, offset)
    }

    fn over_one_denominator(scale: Fraction, offset: Fraction) -> Option<Self> {
        let common = gcd(scale.denominator(), offset.denominator());
        let for_scale = offset.denominator() / common;
        let for_offset = scale.denominator() / common;
        Some(Self {
            numerator: scale.numerator().checked_mul(for_scale)? as f64,
            addend: offset.numerator().checked_mul(for_offset)? as f64,
            denominator: scale.denominator().checked_mul(for_scale)? as f64,
        })
    }

    /// Converts `value`. An identity returns it bit for bit; otherwise NaN stays NaN and infinity stays
    /// infinity.
    #[must_use]
    pub fn apply(self, value: f64) -> f64 {
        if self.is_identity() {
            return value;
        }
        let product = value * self.numerator;
        // Adding zero would turn −0 into 0.
        let sum = if self.addend == 0.0 { product } else { product + self.addend };
        let quotient = sum / self.denominator;
        // With one rounding only, or none, the quotient is the nearest float already. Where it is zero or not
        // finite, the correction below would lose the sign or make a NaN.
        let rounds_once = self.addend == 0.0 && (self.numerator == 1.0 || self.denominator == 1.0);
        if rounds_once || quotient == 0.0 || !quotient.is_finite() {
            return quotient;
        }
        // What the three roundings left out, each recovered exactly: of the product by a fused
        // multiplication, of the sum by Knuth's two-sum, of the quotient as its remainder.
        let product_error = value.mul_add(self.numerator, -product);
        let addend_kept = sum - product;
        let sum_error = (product - (sum - addend_kept)) + (self.addend - addend_kept);
        let remainder = (-quotient).mul_add(self.denominator, sum);
        quotient + (remainder + product_error + sum_error) / self.denominator
    }

    /// Whether every value stays as it is.
    #[must_use]
    pub fn is_identity(self) -> bool {
        self.numerator == self.denominator && self.addend == 0.0
    }

    /// The factor, as the nearest float.
    #[must_use]
    pub fn scale(self) -> f64 {
        self.numerator / self.denominator
    }

    /// What is added after scaling, as the nearest float; zero for all but temperatures.
    #[must_use]
    pub fn offset(self) -> f64 {
        self.addend / self.denominator
    }
}
