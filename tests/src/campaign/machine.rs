//! What faults of real processes share: the runtime of their receivers, waiting, and seeds.

use std::{sync::OnceLock, time::Duration};

use afferent_core::clock;
use tokio::runtime::{Builder, Runtime};

/// What the receiver of one case runs on: a receiver serves, and remembers all that it was sent, until its runtime ends.
pub(super) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Waits, on a thread of no runtime.
pub(super) fn pause(length: Duration) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(runtime).block_on(async { clock::sleep(length).await });
}

/// What a seed draws.
#[allow(clippy::disallowed_methods, reason = "the campaign's own seed")]
pub(super) fn seeded(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}
