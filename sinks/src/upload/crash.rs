//! Named crash points of uploads, as `afferent_core::engine::CRASH_POINTS` are those of the engine.

/// Every crash point, in the order in which a body meets them.
pub const CRASH_POINTS: &[&str] = &[
    "upload.opened",
    "upload.appended",
    "upload.synced",
    "upload.answered",
    "upload.saved",
    "upload.split",
    "upload.part_answered",
];

/// Stops here, as if the process had died, when the test says so.
macro_rules! crash_point {
    ($name:literal) => {
        fail::fail_point!($name, |_| Err(afferent_core::Error::bug(format!(
            "{}: {}",
            afferent_core::engine::CRASHED,
            $name
        ))))
    };
}

pub(super) use crash_point;
