use std::fmt;

/// What a unit measures: a product of powers of base dimensions. Two units convert into each other if, and
/// only if, their dimensions are equal.
///
/// `count`, `%`, `IU` and the two decibel scales are dimensions of their own: HealthKit does not convert them, so
/// `count/s` is no frequency (`Hz`). A decibel is a logarithm, which no factor turns into a pressure.
/// Moles with a molar mass are a mass.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dimension([i8; BASES]);

const BASES: usize = 15;

const NAMES: [&str; BASES] = [
    "mass",
    "length",
    "time",
    "temperature",
    "current",
    "amount",
    "luminous",
    "angle",
    "count",
    "percent",
    "international unit",
    "sound pressure level",
    "hearing level",
    "effort score",
    "prism",
];

impl Dimension {
    pub(super) const NONE: Self = Self([0; BASES]);
    pub(super) const MASS: Self = Self::base(0);
    pub(super) const LENGTH: Self = Self::base(1);
    pub(super) const TIME: Self = Self::base(2);
    pub(super) const TEMPERATURE: Self = Self::base(3);
    pub(super) const AMOUNT: Self = Self::base(5);
    pub(super) const ANGLE: Self = Self::base(7);
    pub(super) const COUNT: Self = Self::base(8);
    pub(super) const PERCENT: Self = Self::base(9);
    pub(super) const INTERNATIONAL_UNIT: Self = Self::base(10);
    pub(super) const SOUND_PRESSURE_LEVEL: Self = Self::base(11);
    pub(super) const HEARING_LEVEL: Self = Self::base(12);
    pub(super) const EFFORT: Self = Self::base(13);
    pub(super) const PRISM: Self = Self::base(14);

    pub(super) const VOLUME: Self = Self::of(0, 3, 0, 0);
    pub(super) const OPTICAL_POWER: Self = Self::of(0, -1, 0, 0);
    pub(super) const FREQUENCY: Self = Self::of(0, 0, -1, 0);
    pub(super) const PRESSURE: Self = Self::of(1, -1, -2, 0);
    pub(super) const ENERGY: Self = Self::of(1, 2, -2, 0);
    pub(super) const POWER: Self = Self::of(1, 2, -3, 0);
    pub(super) const VOLTAGE: Self = Self::of(1, 2, -3, -1);
    pub(super) const CONDUCTANCE: Self = Self::of(-1, -2, 3, 2);
    pub(super) const ILLUMINANCE: Self = {
        let mut exponents = [0; BASES];
        exponents[6] = 1;
        exponents[1] = -2;
        Self(exponents)
    };

    const fn base(index: usize) -> Self {
        let mut exponents = [0; BASES];
        exponents[index] = 1;
        Self(exponents)
    }

    const fn of(mass: i8, length: i8, time: i8, current: i8) -> Self {
        let mut exponents = [0; BASES];
        exponents[0] = mass;
        exponents[1] = length;
        exponents[2] = time;
        exponents[4] = current;
        Self(exponents)
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        self.combine(other, i8::checked_add)
    }

    pub(super) fn over(self, other: Self) -> Option<Self> {
        self.combine(other, i8::checked_sub)
    }

    pub(super) fn power(self, exponent: i8) -> Option<Self> {
        self.combine(Self([exponent; BASES]), i8::checked_mul)
    }

    fn combine(self, other: Self, operation: fn(i8, i8) -> Option<i8>) -> Option<Self> {
        let mut exponents = [0; BASES];
        for (index, exponent) in exponents.iter_mut().enumerate() {
            *exponent = operation(self.0[index], other.0[index])?;
        }
        Some(Self(exponents))
    }
}

impl fmt::Display for Dimension {
    /// `mass·length^-3`; `1` for a pure number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, &exponent) in NAMES.iter().zip(&self.0) {
            match exponent {
                0 => continue,
                1 => write!(f, "{separator}{name}")?,
                _ => write!(f, "{separator}{name}^{exponent}")?,
            }
            separator = "·";
        }
        if separator.is_empty() { f.write_str("1") } else { Ok(()) }
    }
}

impl fmt::Debug for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
