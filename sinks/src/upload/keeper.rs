//! Where the driver keeps what it knows of the receiver: [`save`] beside checkpoints, [`Refusals`] without an outbox.

use std::sync::{Arc, Mutex, PoisonError};

use afferent_core::{
    DeadLetter, ErrorKind, Reject, Rejects, Result,
    checkpoint::{Acknowledgement, Acknowledgements},
    clock,
    engine::Backoff,
    event::StageEvents,
    random::Random,
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

/// Saves until it is saved.
///
/// After an error the outcome is unknown, so what is there is read first: dead letters must not be added twice.
///
/// # Errors
/// `Fenced` when a newer generation has come.
pub(super) async fn save(
    acknowledgements: &Acknowledgements,
    state: Vec<u8>,
    dead_letters: Vec<DeadLetter>,
    random: &mut Random,
    events: &StageEvents,
) -> Result<()> {
    let mut backoff = Backoff::default();
    let mut failures = 0_u32;
    // Whether an attempt failed and may be there all the same.
    let mut in_doubt = false;
    loop {
        let result = match in_doubt {
            true => acknowledgements.load().await.map(|found| found.as_ref() == Some(&state)),
            false => {
                let acknowledgement =
                    Acknowledgement { state: state.clone(), dead_letters: dead_letters.clone() };
                acknowledgements.save(acknowledgement).await.map(|()| true)
            }
        };
        match result {
            Ok(true) => return Ok(()),
            Ok(false) => in_doubt = false,
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            Err(error) => {
                in_doubt = true;
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

/// Failures in a row after which somebody should know: about ten seconds.
const ALARM_AFTER: u32 = 8;
