//! Drivers: tasks of sinks beside the pipeline's own, which talk to receivers while the pipeline goes on.
//!
//! A driver belongs to one life of its pipeline. When that ends, for whatever reason, the engine asks all of its
//! drivers to stop and waits until they have, so that nothing an ended life started can still act. A driver stops at
//! its next wait; what it was sending then is sent again by the next one, byte for byte.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts drivers and ends them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Drivers {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Drivers {
    /// A group without drivers.
    pub fn new() -> Drivers {
        Drivers::default()
    }

    /// Starts what `drive` makes; it is dropped at its next wait when the group is stopped.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that starts drivers")]
    pub fn spawn<T: Send + 'static>(
        &self,
        drive: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let stop = self.stop.clone();
        self.tracker.spawn(async move { stop.run_until_cancelled(drive).await })
    }

    /// Stops all drivers and waits until they have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Scenario: a driver that waits for ever, and its group is stopped. Guarantees: nothing of it is left.
    #[tokio::test]
    async fn a_stopped_group_holds_nothing() {
        let (drivers, held) = (Drivers::new(), Arc::new(()));
        let travels = held.clone();
        let driver = drivers.spawn(async move {
            std::future::pending::<()>().await;
            drop(travels);
        });
        drivers.stop().await;
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(driver.await.expect("it did not panic"), None);
    }
}
