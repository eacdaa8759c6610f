//! Mock time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use afferent_core::clock::{Instant, instant, sleep_until};
use std::time::Duration;

use super::config::Speed;

/// Mock time, in µs since 1970. It begins at the first day and is moved on by the anchors that are read from, so
/// that a process that was killed finds itself where it was.
#[derive(Debug)]
pub(super) struct MockClock {
    speed: Speed,
    base: Mutex<Base>,
}

#[derive(Clone, Copy, Debug)]
struct Base {
    mock: i64,
    real: Instant,
}

const MICROS: i64 = 1_000_000;

impl MockClock {
    /// A clock that shows `start` (seconds since 1970) now.
    pub(super) fn new(speed: Speed, start: i64) -> MockClock {
        MockClock { speed, base: Mutex::new(Base { mock: start * MICROS, real: instant() }) }
    }

    fn base(&self) -> MutexGuard<'_, Base> {
        // Two numbers: a panic elsewhere leaves nothing half done.
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, in seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.at(*self.base(), instant()).div_euclid(MICROS)
    }

    fn at(&self, base: Base, now: Instant) -> i64 {
        match self.speed {
            Speed::Max => base.mock,
            Speed::Factor(factor) => {
                base.mock + (now.duration_since(base.real).as_micros() as f64 * factor) as i64
            }
        }
    }

    /// It is `time` or later.
    pub(super) fn advance(&self, time: i64) {
        let mut base = self.base();
        let now = instant();
        if self.at(*base, now) < time * MICROS {
            *base = Base { mock: time * MICROS, real: now };
        }
    }

    /// Waits until it is `time` (forever at `max`, where time does not pass by itself).
    pub(super) async fn wait_until(&self, time: i64) {
        let Speed::Factor(factor) = self.speed else { return std::future::pending().await };
        loop {
            let now = instant();
            let left = time * MICROS - self.at(*self.base(), now);
            if left <= 0 {
                return;
            }
            // At least a ms: the timer's own grain.
            let real = Duration::from_micros((left as f64 / factor) as u64).max(Duration::from_millis(1));
            sleep_until(now + real).await;
        }
    }
}
