//! Keyed randomness: what is random about a thing depends on its key alone, so any part of the log can be
//! made without the parts before it.

use afferent_core::RecordId;

/// What a piece of randomness hangs on: a seed, and what was added to it.
///
/// The numbers are part of what a seed means: changing them is another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    pub(super) const fn new(seed: u64) -> Key {
        Key(mix(seed))
    }

    /// The key of `part` below this one.
    pub(super) const fn with(self, part: u64) -> Key {
        Key(mix(self.0 ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The key of a name below this one (FNV-1a, then mixed).
    pub(super) fn with_text(self, text: &str) -> Key {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.with(hash)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// A number in `[0, 1)`.
    pub(super) fn unit(self) -> f64 {
        (self.0 >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True with probability `p`.
    pub(super) fn chance(self, p: f64) -> bool {
        self.unit() < p
    }

    /// A number in `[low, high)`.
    pub(super) fn range(self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number in `0..bound`.
    pub(super) fn below(self, bound: u64) -> u64 {
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }

    /// A random (version 4) uuid, as HealthKit's are.
    pub(super) fn id(self) -> RecordId {
        let bits = u128::from(self.with(1).0) << 64 | u128::from(self.with(2).0);
        RecordId::from_u128(bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
