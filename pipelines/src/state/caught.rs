//! Panics of the database, which are how redb reports some damage.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught and reported as damage of the state database: a panic hook need
/// not speak of it.
pub fn catches_panics() -> bool {
    CATCHING.get()
}

/// Does `work`, and gives its panic instead if it panics.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(before);
    result
}
