//! The world of a runtime, injected.

use std::sync::Arc;

use afferent_core::{
    clock::{Clock, SystemClock},
    disk::{Disk, OsDisk},
    random::Random,
};

/// The world of a runtime: the machine's, unless a test says otherwise.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Randomness.
    pub random: Random,
    /// Set the state database aside before opening, if it can't be read. Its pipelines then begin anew, which an
    /// operator must want: sinks without identity, such as files, get records again.
    pub set_aside_damaged: bool,
    /// End the process that holds the directory, if one does: it is asked to, and killed if it does not. Linux only.
    pub take_over: bool,
}

impl Default for RuntimeOptions {
    fn default() -> RuntimeOptions {
        RuntimeOptions {
            clock: SystemClock::shared(),
            disk: OsDisk::shared(),
            random: Random::from_os(),
            set_aside_damaged: false,
            take_over: false,
        }
    }
}
