//! [`Claim`]: how a run claims its pipeline, again and again.
//!
//! A run claims anew with each of its lives, so that what an earlier life left under way is fenced. But only its first
//! claim takes the pipeline from whoever has it. The later ones are made on the condition that nobody else has claimed it
//! since: otherwise one that was stopped for a while, and fails when it goes on, would take the pipeline back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{CheckpointStore, Generation, Name, Result};

/// How a run claims its pipeline. Clones are the same claim: a supervisor hands one to all engines of a run.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// Pass over the locks of an older generation that has its sinks open and need not answer.
    take_over: bool,
    /// As it was claimed last; 0, which is no generation, before that.
    newest: Arc<AtomicU64>,
}

impl Claim {
    /// A claim that passes over the advisory locks of an older generation: it may have stopped, and nobody can wait for it.
    pub fn taking_over() -> Claim {
        Claim { take_over: true, ..Claim::default() }
    }

    /// Whether it passes over locks.
    pub fn takes_over(&self) -> bool {
        self.take_over
    }

    /// The generation of the last claim; `None` before the first.
    pub fn generation(&self) -> Option<Generation> {
        Some(self.newest.load(Ordering::Acquire)).filter(|newest| *newest > 0).map(Generation)
    }

    /// Claims `pipeline` for the next life.
    pub(super) async fn renew(&self, store: &dyn CheckpointStore, pipeline: &Name) -> Result<Generation> {
        let claimed = match self.generation() {
            None => store.claim(pipeline).await?,
            Some(generation) => store.reclaim(pipeline, generation).await?,
        };
        self.newest.store(claimed.0, Ordering::Release);
        Ok(claimed)
    }

    /// Whether a newer claim is there, as far as the store says so.
    pub(super) async fn is_fenced(&self, store: &dyn CheckpointStore, pipeline: &Name) -> bool {
        let Some(generation) = self.generation() else { return false };
        let loaded = store.load(pipeline, generation).await;
        loaded.is_err_and(|error| error.kind() == crate::ErrorKind::Fenced)
    }
}
