//! Named crash points of a producer, as [`engine::CRASH_POINTS`](crate::engine::CRASH_POINTS) are those of the engine. Consumers have
//! none: what they have read is in their pipeline's checkpoint, and in nothing of their own.

/// Every crash point, in the order in which an epoch meets them.
pub const CRASH_POINTS: &[&str] = &["queue.opened", "queue.synced", "queue.released", "queue.trimmed"];

/// Stops here, as if the process had died, when the test says so.
macro_rules! crash_point {
    ($name:literal) => {
        fail::fail_point!($name, |_| Err($crate::Error::bug(format!(
            "{}: {}",
            $crate::engine::CRASHED,
            $name
        ))))
    };
}

pub(super) use crash_point;
