//! [`Tasks`]: the tasks of listeners.
//!
//! They can't be a pipeline's: a connection may be about any of the pipelines that share an address, and a body that is being
//! synced must be told to the ids even if its sender has hung up. All of them are bounded, by connections and by bytes in
//! flight, and end when their listener stops or their log closes.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts `task`.
#[allow(clippy::disallowed_methods, reason = "this is the one place that starts tasks of listeners")]
pub(super) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}
