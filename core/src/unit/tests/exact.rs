//! Conversions against exact arithmetic, in whole numbers of 512 bits.

use proptest::prelude::*;

use super::super::{Conversion, KNOWN, Unit, fraction::Fraction};

/// A whole number in two's complement, the lowest digits first: wider than any product that is compared here.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wide([u64; 8]);

/// The power of two that all terms are multiplied by, so that they are whole: doubles of magnitude 2^-60 and more are.
const SCALE: i32 = 120;

impl Wide {
    /// `left * right * 2^shift`.
    fn product(left: i128, right: i128, shift: i32) -> Wide {
        let halves = |number: i128| {
            let magnitude = number.unsigned_abs();
            [magnitude as u64, (magnitude >> 64) as u64].map(u128::from)
        };
        let (left_halves, right_halves) = (halves(left), halves(right));
        let mut digits = [0_u64; 8];
        for (i, one) in left_halves.iter().enumerate() {
            let mut carry = 0_u128;
            for (j, other) in right_halves.iter().enumerate() {
                let sum = one * other + u128::from(digits[i + j]) + carry;
                digits[i + j] = sum as u64;
                carry = sum >> 64;
            }
            digits[i + 2] = carry as u64;
        }
        let shift = usize::try_from(shift).unwrap();
        let (words, bits) = (shift / 64, shift % 64);
        let shifted = std::array::from_fn(|at| {
            let digit = |at: Option<usize>| at.map_or(0, |at| digits[at]);
            let (high, low) = (digit(at.checked_sub(words)), digit(at.checked_sub(words + 1)));
            if bits == 0 { high } else { high << bits | low >> (64 - bits) }
        });
        let wide = Wide(shifted);
        if (left < 0) == (right < 0) { wide } else { wide.negated() }
    }

    fn negated(self) -> Wide {
        Wide(self.0.map(|digit| !digit)).plus(Wide([1, 0, 0, 0, 0, 0, 0, 0]))
    }

    fn plus(self, other: Wide) -> Wide {
        let mut carry = false;
        Wide(std::array::from_fn(|at| {
            let (sum, first) = self.0[at].overflowing_add(other.0[at]);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            sum
        }))
    }

    /// Its magnitude, the highest digits first: arrays compare by those.
    fn magnitude(self) -> [u64; 8] {
        let wide = if self.0[7] >> 63 == 1 { self.negated() } else { self };
        let mut digits = wide.0;
        digits.reverse();
        digits
    }
}

/// `number` as `mantissa * 2^exponent`.
fn parts(number: f64) -> (i128, i32) {
    let bits = number.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i128);
    let (mantissa, exponent) =
        if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    (if number < 0.0 { -mantissa } else { mantissa }, exponent)
}

/// Whether `result` is a double nearest to what `value` is exactly.
fn is_nearest(result: f64, value: f64, scale: Fraction, offset: Fraction) -> bool {
    // value * scale + offset, over the product of both denominators.
    let term = |number: f64, factor: i128, other: i128| {
        let (mantissa, exponent) = parts(number);
        Wide::product(mantissa * other, factor, SCALE + exponent)
    };
    let exact = term(value, scale.numerator(), offset.denominator()).plus(Wide::product(
        offset.numerator(),
        scale.denominator(),
        SCALE,
    ));
    let distance =
        |float: f64| exact.plus(term(float, scale.denominator(), offset.denominator()).negated()).magnitude();
    let found = distance(result);
    found <= distance(result.next_up()) && found <= distance(result.next_down())
}

/// All units that the process knows from the start and that are understood.
fn known() -> Vec<Unit> {
    (0..KNOWN.len()).map(Unit::at).filter(|unit| unit.dimension().is_some()).collect()
}

/// The fractions between two units, and the conversion that is made of them; `None` if they measure different things.
fn between(from: Unit, to: Unit) -> Option<(Fraction, Fraction, Conversion)> {
    let (one, other) = (from.entry().definition.as_ref()?, to.entry().definition.as_ref()?);
    let conversion = from.conversion(to)?;
    let scale = one.factor.over(other.factor)?;
    let offset = one.zero.minus(other.zero)?.over(other.factor)?;
    Some((scale, offset, conversion))
}

// Scenario: values with few and with many digits, between all units that are built in and measure the same. Guarantees: G4; each
// result is the double nearest to the exact one, and none is one beside it.
#[test]
fn every_conversion_is_the_nearest_double() {
    let mut converted = 0;
    for (from, to) in known().iter().flat_map(|from| known().into_iter().map(move |to| (*from, to))) {
        let Some((scale, offset, conversion)) = between(from, to) else { continue };
        for value in [1.0, 7.3e-3, 0.97, 36.6, 61.0, 98.6, 180.1558, 1234.5, 5.5e6, -40.0, 1.0 / 3.0] {
            let result = conversion.apply(value);
            // Zero is exact, and has no neighbours of its size.
            if result != 0.0 {
                assert!(is_nearest(result, value, scale, offset), "{value} {from} is {result} {to}");
            }
            converted += 1;
        }
    }
    assert!(converted > 3_000, "{converted}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // Scenario: any values between any such units. Guarantees: as above.
    #[test]
    fn any_value_becomes_the_nearest_double(value in -1e7_f64..1e7, from in 0_usize..1_000, to in 0_usize..1_000) {
        let known = known();
        let from = known[from % known.len()];
        let alike: Vec<Unit> = known.iter().copied().filter(|to| between(from, *to).is_some()).collect();
        let to = alike[to % alike.len()];
        let (scale, offset, conversion) = between(from, to).unwrap();
        let result = conversion.apply(value);
        prop_assume!(result.abs() > 1e-9 && value.abs() > 1e-9);
        prop_assert!(is_nearest(result, value, scale, offset), "{} {} is {} {}", value, from, result, to);
    }
}
