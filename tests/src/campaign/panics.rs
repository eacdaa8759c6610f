//! Panics, counted wherever they are caught: the supervisor starts a pipeline that panicked again, and a job that panicked is
//! an error, so that a panic does not show in what arrives. It is a defect all the same.

use std::{
    cell::Cell,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

use afferent::state::catches_panics;

thread_local! {
    static HERE: Cell<u64> = const { Cell::new(0) };
}

static EVERYWHERE: AtomicU64 = AtomicU64::new(0);

/// From now on panics are counted; they are still told. What the state database catches on damaged pages, and reports as damage,
/// is none of ours.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !catches_panics() {
                HERE.set(HERE.get() + 1);
                EVERYWHERE.fetch_add(1, Ordering::Relaxed);
                told(info);
            }
        }));
    });
}

/// How many there were on this thread.
pub fn here() -> u64 {
    HERE.get()
}

/// How many there were on all threads.
pub fn everywhere() -> u64 {
    EVERYWHERE.load(Ordering::Relaxed)
}
