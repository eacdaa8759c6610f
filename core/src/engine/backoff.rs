//! Exponential back-off with full jitter.

use std::time::Duration;

use crate::{ErrorKind, random::Random};

/// The first wait is at most this.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer, unless the other side asks for it: so that a healed fault is noticed within 10 s (G6).
const LONGEST: Duration = Duration::from_secs(8);

/// How long to wait before the next try.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between 0 and 0.1 s, 0.2 s, 0.4 s, … 8 s; or what the other side asked
    /// for, if that is longer.
    pub fn next(&mut self, kind: ErrorKind, random: &mut Random) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let wait = random.jitter(ceiling);
        match kind {
            ErrorKind::Transient { retry_after: Some(asked) } => wait.max(asked),
            _ => wait,
        }
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}
