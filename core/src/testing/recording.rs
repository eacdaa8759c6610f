//! A recording sink: what it shows outlives the sink, as a database outlives a process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{Batch, Epoch, Error, Opened, Prepared, Result, Sink, SinkCx, Token, random::Random};

/// What recording sinks show, and what they have staged. Clones share it.
#[derive(Debug)]
pub struct Recording<T> {
    inner: Arc<Mutex<Inner<T>>>,
    /// Each record that is written takes a permit for good; a test that adds none holds the sink back.
    pub gate: Arc<Semaphore>,
}

#[derive(Debug)]
struct Inner<T> {
    place: u64,
    visible: Vec<T>,
    staged: BTreeMap<u64, Vec<T>>,
    next: u64,
    faults: f64,
    random: Random,
    prepares: u64,
}

/// What a recording sink puts into its token.
#[derive(Serialize, Deserialize)]
struct Staged {
    place: u64,
    id: u64,
}

impl<T> Clone for Recording<T> {
    fn clone(&self) -> Recording<T> {
        Recording { inner: self.inner.clone(), gate: self.gate.clone() }
    }
}

impl<T> Default for Recording<T> {
    fn default() -> Recording<T> {
        Recording::new(0.0, 0)
    }
}

impl<T> Recording<T> {
    /// Shows nothing yet; its sinks fail with probability `faults` in each call, drawn from `seed`.
    pub fn new(faults: f64, seed: u64) -> Recording<T> {
        Recording {
            inner: Arc::new(Mutex::new(Inner {
                place: 1,
                visible: Vec::new(),
                staged: BTreeMap::new(),
                next: 0,
                faults,
                random: Random::from_seed(seed),
                prepares: 0,
            })),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink that records here, transactionally: `prepare` stages, `commit` shows.
    pub fn sink(&self) -> RecordingSink<T> {
        RecordingSink { recording: self.clone(), batch: Vec::new() }
    }

    /// How many epochs were prepared.
    pub fn prepares(&self) -> u64 {
        self.lock().prepares
    }

    /// Throws everything away, as if the database were deleted: sinks that open now are elsewhere.
    pub fn delete(&self) {
        let mut inner = self.lock();
        inner.place += 1;
        inner.visible.clear();
        inner.staged.clear();
    }
}

impl<T: Clone> Recording<T> {
    /// What is visible, in order.
    pub fn visible(&self) -> Vec<T> {
        self.lock().visible.clone()
    }
}

/// See [`Recording`].
#[derive(Debug)]
pub struct RecordingSink<T> {
    recording: Recording<T>,
    batch: Vec<T>,
}

impl<T> RecordingSink<T> {
    /// Fails now and then, before or after the effect of the call.
    fn fault(&self, call: &str) -> Result<()> {
        let mut inner = self.recording.lock();
        let faults = inner.faults;
        if inner.random.chance(faults) {
            return Err(Error::transient(format!("scripted failure of `{call}`")));
        }
        Ok(())
    }
}

impl<T: Send + 'static> Sink for RecordingSink<T> {
    type Item = T;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        self.fault("open")?;
        let mut inner = self.recording.lock();
        let token: Option<Staged> = cx.token.as_ref().map(|token| token.read(1)).transpose()?;
        let kept = token.as_ref().filter(|token| token.place == inner.place).map(|token| token.id);
        inner.staged.retain(|id, _| Some(*id) == kept);
        Ok(if kept.is_some() { Opened::Resumed } else { Opened::Elsewhere })
    }

    async fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.fault("write")?;
        for record in batch.drain(..) {
            let permit = self.recording.gate.acquire().await.map_err(|_| Error::bug("the gate is closed"))?;
            permit.forget();
            self.batch.push(record);
        }
        self.fault("write")
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        self.fault("prepare")?;
        let token = {
            let mut inner = self.recording.lock();
            let id = inner.next;
            inner.next += 1;
            inner.prepares += 1;
            inner.staged.insert(id, std::mem::take(&mut self.batch));
            Token::new(1, &Staged { place: inner.place, id })?
        };
        self.fault("prepare")?;
        Ok(Some(token).into())
    }

    async fn commit(&mut self, _: Epoch, token: Option<&Token>) -> Result<()> {
        self.fault("commit")?;
        let staged: Staged = token.ok_or_else(|| Error::bug("no token"))?.read(1)?;
        {
            let mut inner = self.recording.lock();
            let records = inner.staged.remove(&staged.id).unwrap_or_default();
            inner.visible.extend(records);
        }
        self.fault("commit")
    }
}
