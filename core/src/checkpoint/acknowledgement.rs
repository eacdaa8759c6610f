//! [`Acknowledgement`]: what a sink has settled with its receiver since the commit point.

use std::sync::Arc;

use super::{CheckpointStore, LetterLimits, make_room};
use crate::{
    DeadLetter, Epoch, Fence, Kind, LetterId, RecordKey, Result, clock::Clock, reject::LetterKeeper,
};

/// How far the receiver of an uploading sink is, saved in one step apart from checkpoints: a body is acknowledged
/// long after the epoch it was made in.
#[derive(Clone, Debug, Default)]
pub struct Acknowledgement {
    /// The acknowledgement position and the durable counters, in the sink's own form.
    pub state: Vec<u8>,
    /// What the receiver refused for good, as dead letters of the epochs they were made in.
    pub dead_letters: Vec<DeadLetter>,
    /// Which dead letters of this receiver are withdrawn, each by a record of this epoch. All must be dead.
    pub withdrawn: Vec<(LetterId, Epoch)>,
}

/// The acknowledgements of one sink under its claim. Clones are the same.
#[derive(Clone, Debug)]
pub struct Acknowledgements {
    store: Arc<dyn CheckpointStore>,
    fence: Fence,
    limits: LetterLimits,
    clock: Arc<dyn Clock>,
}

impl Acknowledgements {
    /// Those of the sink that `fence` names, in a pipeline whose dead letters have `limits`.
    pub fn new(
        store: Arc<dyn CheckpointStore>,
        fence: Fence,
        limits: LetterLimits,
        clock: Arc<dyn Clock>,
    ) -> Acknowledgements {
        Acknowledgements { store, fence, limits, clock }
    }

    /// The state that was saved last; `None` before the first.
    ///
    /// # Errors
    /// `State` when it is damaged, `Transient` when the store fails.
    pub async fn load(&self) -> Result<Option<Vec<u8>>> {
        self.store.acknowledged(&self.fence.pipeline, &self.fence.sink).await
    }

    /// Whether the claim still stands. A sink asks when it has raised its fence, before it rolls anything back: an older
    /// generation that was stopped on the way may just have written its own number over a newer one.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come, `Transient` when the store fails.
    pub async fn check_claim(&self) -> Result<()> {
        self.store.load(&self.fence.pipeline, self.fence.generation).await.map(drop)
    }

    /// Saves, durably.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come, `State` when there is no room for its dead letters, `Transient` when a
    /// letter to withdraw is no longer dead; these change nothing. After any other error the outcome is unknown.
    pub async fn save(&self, acknowledgement: Acknowledgement) -> Result<()> {
        if !acknowledgement.dead_letters.is_empty() {
            let new = acknowledgement.dead_letters.iter().map(DeadLetter::bytes).sum();
            let claim = (&self.fence.pipeline, self.fence.generation);
            make_room(&*self.store, claim, &self.limits, new, self.clock.now()).await?;
        }
        self.store.acknowledge(&self.fence, acknowledgement).await
    }

    /// Which dead letters of this receiver the records `passed` withdraw, and the type of each.
    ///
    /// # Errors
    /// `Transient` when the store fails.
    pub async fn withdrawable(&self, mut passed: Vec<RecordKey>) -> Result<Vec<(LetterId, Option<Kind>)>> {
        passed.sort_unstable();
        passed.dedup();
        let keeper = LetterKeeper::Receiver(self.fence.sink.clone());
        let letters = self.store.withdrawable(&self.fence.pipeline, passed, keeper).await?;
        Ok(letters.into_iter().map(|(id, letter)| (id, letter.kind())).collect())
    }
}
