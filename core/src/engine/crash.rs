//! Named crash points, one at each numbered step of start and close.
//!
//! With the feature `failpoints` a test makes one of them fail (`fail::cfg(name, "return")`): the engine then
//! stops there as if the process had died, and runs nothing but destructors. Without the feature they are not
//! compiled.

/// Every crash point, in the order of the protocol.
pub const CRASH_POINTS: &[&str] = &[
    "start.claimed",
    "start.loaded",
    "start.sinks_opened",
    "start.committed",
    "start.restored",
    "start.prepared",
    "start.saved",
    "start.sources_opened",
    "close.begun",
    "close.snapshot",
    "close.prepared_one",
    "close.prepared",
    "close.saved",
    "close.committed_one",
    "close.committed",
    "close.published",
];

/// Message of the error with which a crash point stops the engine.
pub const CRASHED: &str = "crash point reached";

/// Stops here when the test says so.
macro_rules! crash_point {
    ($name:literal) => {
        fail::fail_point!($name, |_| Err($crate::Error::bug(format!(
            "{}: {}",
            $crate::engine::CRASHED,
            $name
        ))
        .into()))
    };
}

pub(super) use crash_point;
