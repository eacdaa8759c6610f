//! [`Acknowledgement`]: what a sink has settled with its receiver since the commit point.

use std::sync::Arc;

use super::CheckpointStore;
use crate::{DeadLetter, Fence, Result};

/// How far the receiver of an uploading sink is, saved in one step apart from checkpoints: a body is acknowledged
/// long after the epoch it was made in.
#[derive(Clone, Debug, Default)]
pub struct Acknowledgement {
    /// The acknowledgement position and the durable counters, in the sink's own form.
    pub state: Vec<u8>,
    /// What the receiver refused for good, as dead letters of the epochs they were made in.
    pub dead_letters: Vec<DeadLetter>,
}

/// The acknowledgements of one sink under its claim. Clones are the same.
#[derive(Clone, Debug)]
pub struct Acknowledgements {
    store: Arc<dyn CheckpointStore>,
    fence: Fence,
}

impl Acknowledgements {
    /// Those of the sink that `fence` names.
    pub fn new(store: Arc<dyn CheckpointStore>, fence: Fence) -> Acknowledgements {
        Acknowledgements { store, fence }
    }

    /// The state that was saved last; `None` before the first.
    ///
    /// # Errors
    /// `State` when it is damaged, `Transient` when the store fails.
    pub async fn load(&self) -> Result<Option<Vec<u8>>> {
        self.store.acknowledged(&self.fence.pipeline, &self.fence.sink).await
    }

    /// Saves, durably.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come; it changes nothing. After any other error the outcome is unknown.
    pub async fn save(&self, acknowledgement: Acknowledgement) -> Result<()> {
        self.store.acknowledge(&self.fence, acknowledgement).await
    }
}
