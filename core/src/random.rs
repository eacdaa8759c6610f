//! Randomness. Nothing else in the workspace draws it (lint-enforced), so a seed repeats a run.

use std::time::Duration;

use crate::Incarnation;

/// A source of random numbers, from a seed or from the operating system.
#[derive(Clone, Debug)]
pub struct Random {
    rng: fastrand::Rng,
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that draws randomness")]
impl Random {
    /// Seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: two histories could then not be told apart.
    pub fn from_os() -> Random {
        let seed = getrandom::u64().expect("the operating system gives random bytes");
        Random::from_seed(seed)
    }

    /// The same numbers for the same `seed`, on every machine.
    pub fn from_seed(seed: u64) -> Random {
        Random { rng: fastrand::Rng::with_seed(seed) }
    }

    /// A generator of its own, so that what one user draws does not move another's numbers.
    pub fn fork(&mut self) -> Random {
        Random { rng: self.rng.fork() }
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.rng.u64(..)
    }

    /// 128 random bits.
    pub fn u128(&mut self) -> u128 {
        self.rng.u128(..)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.rng.u64(..bound) }
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        self.rng.f64()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A fresh incarnation.
    pub fn incarnation(&mut self) -> Incarnation {
        Incarnation::from_u128(self.u128())
    }

    /// A wait between 0 and `ceiling` ("full jitter").
    pub fn jitter(&mut self, ceiling: Duration) -> Duration {
        ceiling.mul_f64(self.unit())
    }
}
