//! The `afferent` command as the tests run it.
//!
//! With `AFFERENT_ABORT_AT="close.saved 2"` it aborts when it comes to that crash point for the second time, where crash points
//! are compiled in.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering},
};

fn main() -> ExitCode {
    if let Ok(plan) = std::env::var("AFFERENT_ABORT_AT") {
        abort_at(&plan);
    }
    afferent_cli::main()
}

fn abort_at(plan: &str) {
    let (point, times) = plan.split_once(' ').expect("a crash point and a number");
    let left = AtomicU32::new(times.parse().expect("a number"));
    let count_down = move || {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    };
    fail::cfg_callback(point, count_down).expect("a crash point can be told what to do");
}
