//! Time. Nothing else in the workspace asks the machine for it (lint-enforced), so everything runs under a
//! paused clock.
//!
//! Waiting and measuring go through tokio's clock, which a test pauses; the wall clock is injected as a
//! [`Clock`]. The wall clock may jump: it labels events and dead letters and is never used to measure.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crate::Timestamp;

/// A point on the monotonic clock.
pub type Instant = tokio::time::Instant;

/// The wall clock.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's wall clock, shared.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that tells time")]
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now();
        let micros = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp::from_micros_clamped(micros)
    }
}

/// The monotonic clock, for measuring.
#[allow(clippy::disallowed_methods, reason = "this is the one place that tells time")]
pub fn instant() -> Instant {
    Instant::now()
}

/// Waits for `duration`.
#[allow(clippy::disallowed_methods, reason = "this is the one place that waits")]
pub fn sleep(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}

/// Waits until `deadline`.
#[allow(clippy::disallowed_methods, reason = "this is the one place that waits")]
pub fn sleep_until(deadline: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(deadline)
}
