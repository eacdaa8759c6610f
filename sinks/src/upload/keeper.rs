//! Where the driver keeps what it knows of the receiver: [`save`] beside checkpoints, [`Refusals`] without an outbox.

use std::sync::{Arc, Mutex, PoisonError};

use afferent_core::{
    DeadLetter, ErrorKind, Kind, LetterId, Reject, Rejects, Result,
    checkpoint::{Acknowledgement, Acknowledgements},
    clock,
    engine::Backoff,
    event::StageEvents,
    random::Random,
};

use super::{
    letter::Passed,
    state::{Counters, State},
};

/// What the receiver refused, of bodies that are sent directly: the sink hands it to the engine.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<Rejects>>);

impl Refusals {
    pub(super) fn push(&self, reject: Reject) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(reject);
    }

    pub(super) fn take(&self) -> Rejects {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is to be saved in one step.
#[derive(Debug)]
pub(super) struct Saving {
    pub(super) state: State,
    pub(super) letters: Vec<DeadLetter>,
    /// What may withdraw letters that are saved already.
    pub(super) passed: Passed,
}

/// Saves until it is saved; the counters with the letters that were withdrawn.
///
/// After an error the outcome is unknown, so what is there is read first: dead letters must not be added twice.
///
/// # Errors
/// `Fenced` when a newer generation has come, `State` when there is no room for its dead letters.
pub(super) async fn save(
    acknowledgements: &Acknowledgements,
    mut saving: Saving,
    random: &mut Random,
    events: &StageEvents,
) -> Result<Counters> {
    let before = saving.state.counters.types.withdrawn.clone();
    let mut backoff = Backoff::default();
    let mut failures = 0_u32;
    // What an attempt that failed may have saved all the same.
    let mut in_doubt = None;
    loop {
        let result = match &in_doubt {
            Some(state) => acknowledgements.load().await.map(|found| found.as_ref() == Some(state)),
            None => match withdrawn(acknowledgements, &saving.passed).await {
                Ok(withdrawn) => {
                    let types = &mut saving.state.counters.types;
                    types.withdrawn = before.clone();
                    withdrawn.iter().for_each(|(_, kind)| types.withdrawn.count(*kind, 1));
                    saving.state.counters.withdrawn = saving.state.counters.types.withdrawn.total();
                    let state = saving.state.to_bytes()?;
                    in_doubt = Some(state.clone());
                    let epoch = saving.passed.epoch();
                    let withdrawn = withdrawn.into_iter().map(|(id, _)| (id, epoch)).collect();
                    let dead_letters = saving.letters.clone();
                    let acknowledgement = Acknowledgement { state, dead_letters, withdrawn };
                    acknowledgements.save(acknowledgement).await.map(|()| true)
                }
                Err(error) => Err(error),
            },
        };
        match result {
            Ok(true) => return Ok(saving.state.counters),
            Ok(false) => in_doubt = None,
            Err(error) if matches!(error.kind(), ErrorKind::Fenced | ErrorKind::State) => return Err(error),
            Err(error) => {
                failures += 1;
                if failures == ALARM_AFTER {
                    events.alarm(format!("acknowledgements can't be saved ({error}); this is tried again"));
                }
                tracing::warn!("acknowledgements could not be saved: {error}");
                clock::sleep(backoff.next(error.kind(), random)).await;
            }
        }
    }
}

/// The saved letters that are withdrawn, and the type of each.
async fn withdrawn(
    acknowledgements: &Acknowledgements,
    passed: &Passed,
) -> Result<Vec<(LetterId, Option<Kind>)>> {
    let keys = passed.keys();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    acknowledgements.withdrawable(keys).await
}

/// Failures in a row after which somebody should know: about ten seconds.
const ALARM_AFTER: u32 = 8;
