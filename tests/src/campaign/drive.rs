//! [`drive`]: plays many seeds, on several threads, until there are enough or the time is over.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Books, Case, panics};

/// How far a fault is driven.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
    /// No seed is begun later than this after the beginning.
    pub limit: Option<Duration>,
    /// Seeds at a time. Simulated ones take a core each; real ones mostly wait.
    pub at_once: usize,
}

impl Extent {
    /// So many seeds, from 0, one a core.
    pub fn of(seeds: u64) -> Extent {
        Extent { first: 0, seeds, limit: None, at_once: cores() }
    }

    /// So many at a time.
    pub fn at_once(self, at_once: usize) -> Extent {
        Extent { at_once, ..self }
    }
}

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Plays `case` with the seeds of `extent`. A case that panics is a failure of its seed.
#[allow(clippy::disallowed_methods, reason = "how long the campaign itself runs")]
pub fn drive(extent: Extent, case: impl Fn(u64) -> Case + Sync) -> Books {
    panics::watch();
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let all = Mutex::new(Books::default());
    std::thread::scope(|threads| {
        for _ in 0..extent.at_once.max(1) {
            threads.spawn(|| {
                let mut own = Books::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = extent.limit.is_some_and(|limit| began.elapsed() >= limit);
                    if number >= extent.seeds || is_late {
                        break;
                    }
                    let seed = extent.first + number;
                    let before = panics::here();
                    let played = catch_unwind(AssertUnwindSafe(|| case(seed))).unwrap_or_else(|panic| Case {
                        wrong: Some(format!("panicked: {}", text(&*panic))),
                        ..Case::default()
                    });
                    own.panics += panics::here() - before;
                    own.enter(seed, played);
                }
                lock(&all).merge(own);
            });
        }
    });
    let mut books = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    books.took = began.elapsed();
    books.finish();
    books
}

/// Plays each of `seeds` twice.
///
/// # Errors
/// The first seed that did not give the same trace twice.
pub fn is_deterministic(seeds: std::ops::Range<u64>, case: impl Fn(u64) -> Case) -> Result<(), String> {
    panics::watch();
    for seed in seeds {
        let (first, second) = (case(seed), case(seed));
        if first != second {
            return Err(format!("seed {seed}, played twice: {first:?}, then {second:?}"));
        }
    }
    Ok(())
}

fn lock(books: &Mutex<Books>) -> std::sync::MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
