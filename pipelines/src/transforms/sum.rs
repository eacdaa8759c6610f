//! [`Sum`]: a sum of doubles that loses nothing to cancellation.

/// A sum whose rounding errors are carried along (Neumaier, 1974). It depends on the order of the numbers, so they are added
/// in an order that does not depend on that of their arrival.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    sum: f64,
    rest: f64,
}

impl Sum {
    #[inline]
    pub(super) fn add(&mut self, number: f64) {
        let sum = self.sum + number;
        let rest = if self.sum.abs() >= number.abs() {
            (self.sum - sum) + number
        } else {
            (number - sum) + self.sum
        };
        self.rest += rest;
        self.sum = sum;
    }

    pub(super) fn total(&self) -> f64 {
        self.sum + self.rest
    }
}
