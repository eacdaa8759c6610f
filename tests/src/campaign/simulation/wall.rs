//! [`Wall`]: a wall clock that jumps, and [`Jumps`], when it does.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use afferent_core::{
    Timestamp,
    clock::{self, Clock},
};

/// 2025-06-01T00:00:00Z, in µs: when the first life begins.
const START: i64 = 1_748_736_000_000_000;

/// A wall clock that moves with tokio's (paused) clock, over all lives, and jumps. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Wall(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// What it showed when this life began.
    start: i64,
    began: clock::Instant,
}

impl Default for Wall {
    fn default() -> Wall {
        Wall(Arc::new(Mutex::new(Inner { start: START, began: clock::instant() })))
    }
}

impl Wall {
    /// A life begins, `passed` after the beginning of the first.
    pub(super) fn begin(&self, passed: Duration) {
        let mut inner = self.inner();
        (inner.start, inner.began) = (START + micros(passed), clock::instant());
    }

    fn jump(&self, micros: i64) {
        let mut inner = self.inner();
        inner.start = inner.start.saturating_add(micros);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Two numbers: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let inner = self.inner();
        let passed = clock::instant().saturating_duration_since(inner.began);
        Timestamp::from_micros_clamped(inner.start.saturating_add(micros(passed)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What a clock does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// The wall clock is set, by so many µs.
    Wall(i64),
    /// The machine sleeps: the wall clock goes on, and the monotonic one, as on Linux, stands still.
    Sleep(Duration),
    /// The machine sleeps, and the monotonic clock goes on, as on other systems.
    SleepOfBoth(Duration),
}

/// When clocks jump, from the beginning of a life on, in order.
#[derive(Clone, Debug, Default)]
pub struct Jumps(pub Vec<(Duration, Jump)>);

impl Jumps {
    /// Lets them happen, and never ends.
    pub(super) async fn happen(&self, wall: &Wall) -> Infallible {
        let began = clock::instant();
        let mut slept = Duration::ZERO;
        for (at, jump) in &self.0 {
            clock::sleep_until(began + *at + slept).await;
            match *jump {
                Jump::Wall(micros) => wall.jump(micros),
                Jump::Sleep(length) => wall.jump(micros(length)),
                Jump::SleepOfBoth(length) => {
                    slept += length;
                    tokio::time::advance(length).await;
                }
            }
        }
        std::future::pending().await
    }
}
