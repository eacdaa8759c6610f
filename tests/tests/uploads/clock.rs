//! Time that runs while nothing else happens.
//!
//! A paused clock that jumps by itself, as tokio's does, jumps while bytes are under way through a socket. Here it stands
//! still while the runtime works, and runs the faster the longer it has been at rest: waits of minutes take milliseconds,
//! and nothing times out only because the machine is slow.

use std::time::Duration;

use tokio::{runtime::Handle, sync::mpsc, time};

/// How often the clock looks whether the runtime is at rest.
const LOOK: Duration = Duration::from_millis(1);
/// How far it moves at the first look that finds it at rest, and twice as far at each that follows.
const FIRST_STEP: Duration = Duration::from_millis(2);
/// The longest step: waits are at most this much too long.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// Moves the paused clock of this runtime, which has one thread, until the runtime ends.
#[allow(clippy::disallowed_methods, reason = "time itself can't be injected with time")]
pub(super) fn run_while_at_rest() {
    let (sender, mut steps) = mpsc::channel(1);
    let runtime = Handle::current();
    // While a blocking job runs tokio does not move the clock by itself.
    tokio::task::spawn_blocking(move || {
        let (mut step, mut parked) = (FIRST_STEP, 0);
        while !sender.is_closed() {
            std::thread::sleep(LOOK);
            let now = runtime.metrics().worker_park_unpark_count(0);
            // The last step itself woke it, and put it to rest again.
            let is_at_rest = now - parked <= 2;
            step = if is_at_rest { LONGEST_STEP.min(step * 2) } else { FIRST_STEP };
            parked = now;
            if is_at_rest && sender.blocking_send(step).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(step) = steps.recv().await {
            time::advance(step).await;
        }
    });
}
