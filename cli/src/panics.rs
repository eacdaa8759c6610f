//! Panics are defects: what to do is said, and what may be a health value is not.

use std::{io::Write, panic};

use afferent::state::catches_panics;

/// Says where a panic happened, and nothing of what it holds: its message may quote data. One that is caught and
/// reported as damage of the state is no defect.
pub(crate) fn say_without_values() {
    panic::set_hook(Box::new(|info| {
        if catches_panics() {
            return;
        }
        let place = info.location().map(ToString::to_string).unwrap_or_else(|| "an unknown place".to_owned());
        let _ = writeln!(
            std::io::stderr(),
            "error: a defect in afferent {} at {place}; please report it with this line",
            env!("CARGO_PKG_VERSION")
        );
    }));
}
