//! [`Feed`]: where the driver's bodies come from.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use afferent_core::{
    Result,
    blocking::Blocking,
    clock,
    engine::Backoff,
    random::Random,
    segment_log::{Damage, Entries, LogPosition, LogReader},
};
use tokio::sync::{mpsc, watch};

use super::{body::Entry, state::Totals};

/// What the driver may send: everything before `end`, which is in a saved checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Released {
    pub(super) end: LogPosition,
    pub(super) sealed: Totals,
}

/// Where a body lies: its number, and where in the outbox. Without an outbox, only its number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) number: u64,
    pub(super) position: LogPosition,
}

impl From<LogPosition> for Spot {
    fn from(position: LogPosition) -> Spot {
        Spot { number: position.number(), position }
    }
}

/// A body and where it lies.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) spot: Spot,
    pub(super) entry: Entry,
}

/// Where bodies come from.
#[derive(Debug)]
pub(super) enum Feed {
    /// The outbox. The reader is away while a job reads.
    Outbox { reader: Option<Box<LogReader>>, released: watch::Receiver<Option<Released>>, blocking: Blocking },
    /// The sink's jobs, which wait when `Backlog` is over its bound.
    Direct { bodies: mpsc::UnboundedReceiver<Entry> },
}

/// What a job has read.
#[derive(Debug)]
pub(super) struct Scanned {
    reader: Box<LogReader>,
    pub(super) queued: Vec<Queued>,
    pub(super) damage: Option<Damage>,
    /// Where it stopped.
    pub(super) stopped: Spot,
}

impl Feed {
    /// How far the driver may go; `None` before the first commit, and of bodies that are sent directly.
    pub(super) fn released(&self) -> Option<Released> {
        match self {
            Feed::Outbox { released, .. } => released.borrow().clone(),
            Feed::Direct { .. } => None,
        }
    }

    /// Begins to read what comes after `scanned`, unless all was read or a job is reading.
    pub(super) fn scan(
        &mut self,
        scanned: Spot,
        mut random: Random,
    ) -> Option<impl Future<Output = Result<Scanned>> + Send + 'static + use<>> {
        let Feed::Outbox { reader, released, blocking } = self else { return None };
        let limit = released.borrow().as_ref()?.end;
        if scanned.number >= limit.number() {
            return None;
        }
        let mut reader = reader.take()?;
        let blocking = blocking.clone();
        Some(async move {
            let mut backoff = Backoff::default();
            loop {
                let job = blocking.spawn(move || {
                    let result = read(&mut reader, limit);
                    (reader, result)
                });
                let (back, result) = job.await?;
                reader = back;
                match result {
                    Ok((queued, damage)) => {
                        let stopped = reader.position().into();
                        return Ok(Scanned { reader, queued, damage, stopped });
                    }
                    Err(error) if error.kind().is_retryable() => {
                        tracing::warn!("the outbox could not be read: {error}");
                        clock::sleep(backoff.next(error.kind(), &mut random)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// Takes the reader back.
    pub(super) fn give_back(&mut self, scanned: Scanned) -> Vec<Queued> {
        if let Feed::Outbox { reader, .. } = self {
            *reader = Some(scanned.reader);
        }
        scanned.queued
    }

    /// Waits until there is more: a body that came directly, or `None` for the outbox to be read. An error is the end: the
    /// sink has gone.
    pub(super) async fn more(&mut self) -> Result<Option<Entry>, Gone> {
        match self {
            Feed::Outbox { released, .. } => released.changed().await.map(|()| None).map_err(|_| Gone),
            Feed::Direct { bodies } => bodies.recv().await.map(Some).ok_or(Gone),
        }
    }
}

/// The sink has gone.
#[derive(Debug)]
pub(super) struct Gone;

fn read(reader: &mut LogReader, limit: LogPosition) -> Result<(Vec<Queued>, Option<Damage>)> {
    let mut entries = Entries::new();
    reader.read(limit, &mut entries)?;
    let queued = entries
        .iter()
        .map(|entry| Ok(Queued { spot: entry.position.into(), entry: Entry::decode(entry.payload)? }))
        .collect::<Result<Vec<Queued>>>()?;
    Ok((queued, entries.damage().cloned()))
}

/// Bytes of bodies that were made, as far as the sink's jobs have come; the sink reads it while a job runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Made(Arc<AtomicU64>);

impl Made {
    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Release);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
