//! What the benches share: ratios measured within one run.
//!
//! Machines differ and drift; the ratio of two things measured in turn on one machine says more than either
//! time. Each bench prints such ratios first and then lets criterion record the times.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// The spread of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; quote this.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `figures`.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        Spread { min: figures[0], median: figures[figures.len() / 2], max: figures[figures.len() - 1] }
    }
}

/// Runs `ours` and `theirs` in turn, once unmeasured and then `pairs` times, and prints the ratio of their times
/// (above 1: ours takes longer) with the median throughput of each in `items` a second.
#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
pub fn pair<A, B>(
    name: &str,
    items: u64,
    pairs: usize,
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) -> Spread {
    black_box((ours(), theirs()));
    let mut figures = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        let (a, b) = (time(&mut ours), time(&mut theirs));
        figures.0.push(a.as_secs_f64() / b.as_secs_f64());
        figures.1.push(items as f64 / a.as_secs_f64());
        figures.2.push(items as f64 / b.as_secs_f64());
    }
    let ratio = Spread::of(figures.0);
    println!(
        "{name}: {:.3}× of the hand-written loop's time ({:.3}–{:.3}, {pairs} pairs); {:.0} against {:.0} records/s",
        ratio.median,
        ratio.min,
        ratio.max,
        Spread::of(figures.1).median,
        Spread::of(figures.2).median,
    );
    ratio
}

#[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
fn time<T>(work: &mut impl FnMut() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}
