//! What is known of a pipeline that does not run here: from its checkpoints.

use super::{
    StageKey,
    log::Release,
    state::{QueuePosition, QueueToken},
};
use crate::{CheckpointStore, ErrorKind, Name, Position, Result};

/// How far a consumer is that does not run.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// In its oldest checkpoint; `None` needs everything.
    pub(super) oldest: Option<QueuePosition>,
    /// In its newest.
    pub(super) newest: QueuePosition,
}

impl Away {
    /// Of `consumer` of `queue`. One whose state can't be read needs everything: its defect is not the producers'.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub(super) async fn find(store: &dyn CheckpointStore, queue: &Name, consumer: &StageKey) -> Result<Away> {
        let checkpoints = match store.checkpoints(&consumer.pipeline).await {
            Ok(checkpoints) => checkpoints,
            Err(error) if error.kind() == ErrorKind::State => return Ok(Away::default()),
            Err(error) => return Err(error),
        };
        let of = |position: &Position| {
            let is_of_queue = position.fingerprint == queue.as_str();
            is_of_queue.then(|| QueuePosition::read(position).ok()).flatten()
        };
        let mut positions =
            checkpoints.iter().map(|checkpoint| checkpoint.positions.get(&consumer.stage).and_then(of));
        let oldest = positions.next().flatten();
        let newest = positions.next_back().unwrap_or_else(|| oldest.clone());
        Ok(Away { oldest, newest: newest.unwrap_or_default() })
    }
}

/// What the last checkpoint of `producer` releases.
///
/// # Errors
/// `Transient` when the disk fails.
pub(super) async fn released(
    store: &dyn CheckpointStore,
    queue: &Name,
    producer: &StageKey,
) -> Result<Option<Release>> {
    let checkpoints = match store.checkpoints(&producer.pipeline).await {
        Ok(checkpoints) => checkpoints,
        // The producer will say so itself.
        Err(error) if error.kind() == ErrorKind::State => return Ok(None),
        Err(error) => return Err(error),
    };
    let token = checkpoints.last().and_then(|last| last.tokens.get(&producer.stage)).and_then(Option::as_ref);
    // A token of another kind of sink, or of another queue, releases nothing here.
    let token = token.and_then(|token| QueueToken::read(token).ok()).filter(|token| token.queue == *queue);
    Ok(token.map(Release::from))
}
