//! [`Queue`]: one queue, its producers and its consumers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{StageKey, away::Away, log::Log, reading::Reading, state::QueuePosition};
use crate::{
    CheckpointStore, Committed, Name, Result,
    clock::{self, Instant},
    disk::{Disk, OpenMode},
    io_error,
    segment_log::{LogId, LogPosition},
};

/// One queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Name,
    /// When this process first looked at it.
    pub(super) opened: Instant,
    directory: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) store: Arc<dyn CheckpointStore>,
    logs: Mutex<BTreeMap<StageKey, Arc<Log>>>,
    readings: Mutex<BTreeMap<StageKey, Arc<Reading>>>,
    /// Held, inside jobs, while a consumer comes or goes: nobody begins to read while it is taken off the list.
    membership: Mutex<()>,
    /// Counts everything that whoever waits may wait for: releases, producers, consumers.
    changes: watch::Sender<u64>,
}

impl Queue {
    pub(super) fn new(
        name: Name,
        directory: PathBuf,
        disk: Arc<dyn Disk>,
        store: Arc<dyn CheckpointStore>,
        producers: Vec<StageKey>,
        readings: BTreeMap<StageKey, Arc<Reading>>,
    ) -> Queue {
        let queue = Queue {
            name,
            opened: clock::instant(),
            directory,
            disk,
            store,
            logs: Mutex::default(),
            readings: Mutex::new(readings),
            membership: Mutex::default(),
            changes: watch::channel(0).0,
        };
        producers.into_iter().for_each(|producer| drop(queue.log(&producer)));
        queue
    }

    /// Producers and consumers that are on disk. Blocks.
    pub(super) fn list(disk: &dyn Disk, directory: &Path) -> Result<(Vec<StageKey>, Vec<StageKey>)> {
        let list = |of: PathBuf| -> Result<Vec<StageKey>> {
            let found = disk.list(&of).map_err(|error| io_error("list", &of, error))?;
            Ok(found.iter().filter_map(|path| StageKey::of_file(path)).collect())
        };
        Ok((list(directory.join("producers"))?, list(directory.join("consumers"))?))
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<StageKey, Arc<Log>>> {
        // Each change is one call of the map, so a panic elsewhere leaves it whole.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readings(&self) -> MutexGuard<'_, BTreeMap<StageKey, Arc<Reading>>> {
        // As above.
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log of `producer`; it need not be on disk yet.
    pub(super) fn log(&self, producer: &StageKey) -> Arc<Log> {
        let directory = self.directory.join("producers").join(producer.file_name());
        let make = || Arc::new(Log::new(producer.clone(), directory, self.disk.clone()));
        self.logs().entry(producer.clone()).or_insert_with(make).clone()
    }

    /// All logs, in the order of their producers.
    pub(super) fn all_logs(&self) -> Vec<Arc<Log>> {
        self.logs().values().cloned().collect()
    }

    /// All consumers, in order.
    pub(super) fn all_readings(&self) -> Vec<Arc<Reading>> {
        self.readings().values().cloned().collect()
    }

    pub(super) fn reading(&self, consumer: &StageKey) -> Option<Arc<Reading>> {
        self.readings().get(consumer).cloned()
    }

    /// A consumer begins to read, from `position` on: it is registered durably and attached. Its life, and whether it was
    /// registered before. Blocks.
    pub(super) fn join(
        &self,
        consumer: &StageKey,
        committed: watch::Receiver<Committed>,
        position: QueuePosition,
    ) -> Result<(Arc<Reading>, u64, bool)> {
        let _membership = self.membership.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.reading(consumer);
        let was_known = known.is_some();
        let reading = match known {
            Some(reading) => reading,
            None => {
                self.register(consumer)?;
                let make = || Arc::new(Reading::away(consumer.clone(), Away::default()));
                self.readings().entry(consumer.clone()).or_insert_with(make).clone()
            }
        };
        let life = reading.attach(committed, position);
        self.changed();
        Ok((reading, life, was_known))
    }

    fn register(&self, consumer: &StageKey) -> Result<()> {
        let directory = self.directory.join("consumers");
        let path = directory.join(consumer.file_name());
        let made = self.disk.create_dir_all(&directory).and_then(|()| {
            self.disk.open(&path, OpenMode::Create)?.sync()?;
            self.disk.sync_dir(&directory)
        });
        made.map_err(|error| io_error("create", &path, error))
    }

    /// Takes a consumer that does not read off the list, durably; whether it was done. Blocks.
    pub(super) fn dismiss(&self, consumer: &StageKey) -> Result<bool> {
        let _membership = self.membership.lock().unwrap_or_else(PoisonError::into_inner);
        if self.reading(consumer).is_none_or(|reading| reading.is_attached()) {
            return Ok(false);
        }
        let directory = self.directory.join("consumers");
        let path = directory.join(consumer.file_name());
        let removed = self.disk.remove(&path).and_then(|()| self.disk.sync_dir(&directory));
        removed.map_err(|error| io_error("remove", &path, error))?;
        self.readings().remove(consumer);
        self.changed();
        Ok(true)
    }

    /// Before where nobody needs anything of the log `id` of `producer`; `None` while somebody needs everything, or nobody
    /// has come yet.
    pub(super) fn needs(&self, producer: &StageKey, id: LogId) -> Option<LogPosition> {
        let needs = self.all_readings().into_iter().map(|reading| reading.needs(producer, id));
        needs.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// Whoever waits looks again.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
