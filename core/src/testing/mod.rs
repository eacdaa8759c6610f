//! Test support: contract suites, recording stages, the fault-injecting disk and the paused clock.

mod context;

pub use self::context::{Surroundings, TestClock};
