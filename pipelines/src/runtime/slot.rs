//! What a runtime knows under one name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run::Run;
use crate::PipelineSpec;

/// One name.
#[derive(Debug)]
pub(super) struct Slot {
    /// Held while a command takes effect.
    pub(super) control: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) spec: PipelineSpec,
    /// Whether its definition is stored.
    pub(super) applied: bool,
    /// The newest run, which may have ended.
    pub(super) run: Option<Arc<Run>>,
}

impl Slot {
    pub(super) fn new(spec: PipelineSpec, applied: bool) -> Slot {
        Slot { control: tokio::sync::Mutex::new(()), known: Mutex::new(Known { spec, applied, run: None }) }
    }

    /// What is known of it; never held across an await.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is one assignment, so a panic elsewhere leaves it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that has not ended, if there is one.
    pub(super) fn active(&self) -> Option<Arc<Run>> {
        self.known().run.clone().filter(|run| run.is_active())
    }

    /// Replaces what it is made of; the control is held.
    pub(super) fn set(&self, spec: PipelineSpec, applied: bool) {
        let mut known = self.known();
        known.spec = spec;
        known.applied = applied;
    }
}
