//! [`Queues`]: all queues of a state directory.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{StageKey, away::Away, key, queue::Queue, reading::Reading};
use crate::{CheckpointStore, Name, Result, blocking::Blocking, disk::Disk, io_error};

/// The queues of a state directory. Clones are the same; all pipelines of a process that use the directory share one.
#[derive(Clone, Debug)]
pub struct Queues {
    hub: Arc<Hub>,
}

#[derive(Debug)]
struct Hub {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    store: Arc<dyn CheckpointStore>,
    queues: Mutex<BTreeMap<Name, Arc<Queue>>>,
}

/// A consumer of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The queue.
    pub queue: Name,
    /// Who reads it.
    pub consumer: StageKey,
    /// Whether it reads now, in this process.
    pub attached: bool,
    /// Released entries that it has not consumed, of the producers that are known to have released some.
    pub entries: u64,
}

impl Queues {
    /// The queues in `directory`, whose pipelines keep their checkpoints in `store`. Nothing is opened.
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, store: Arc<dyn CheckpointStore>) -> Queues {
        Queues { hub: Arc::new(Hub { disk, directory, store, queues: Mutex::default() }) }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Queue>>> {
        // Each change is one call of the map, so a panic elsewhere leaves it whole.
        self.hub.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue `name`, which is looked up on disk when it is first asked for.
    pub(super) async fn queue(&self, name: &Name, blocking: &Blocking) -> Result<Arc<Queue>> {
        key::check(&[name])?;
        if let Some(queue) = self.open().get(name) {
            return Ok(queue.clone());
        }
        let Hub { disk, directory, store, .. } = &*self.hub;
        let directory = directory.join(name.as_str());
        let (listing, place) = (disk.clone(), directory.clone());
        let (producers, consumers) = blocking.spawn(move || Queue::list(&*listing, &place)).await??;
        let mut readings = BTreeMap::new();
        for consumer in consumers {
            let away = Away::find(&**store, name, &consumer).await?;
            readings.insert(consumer.clone(), Arc::new(Reading::away(consumer, away)));
        }
        let queue = Queue::new(name.clone(), directory, disk.clone(), store.clone(), producers, readings);
        // Another may have been first; what it knows counts.
        Ok(self.open().entry(name.clone()).or_insert(Arc::new(queue)).clone())
    }

    /// Whether none of `pipelines` has still to consume what is released; of those that read.
    pub fn are_empty(&self, pipelines: &[Name]) -> bool {
        let queues: Vec<Arc<Queue>> = self.open().values().cloned().collect();
        queues.iter().all(|queue| {
            queue.all_readings().iter().all(|reading| {
                let counts = reading.is_attached() && pipelines.contains(&reading.consumer.pipeline);
                !counts || behind(queue, reading) == 0
            })
        })
    }

    /// Every consumer of every queue in the directory.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub async fn registered(&self, blocking: &Blocking) -> Result<Vec<Registered>> {
        let mut all = Vec::new();
        for name in self.names(blocking).await? {
            let queue = self.queue(&name, blocking).await?;
            for log in queue.all_logs() {
                log.look_up(&queue).await?;
            }
            for reading in queue.all_readings() {
                all.push(Registered {
                    queue: name.clone(),
                    consumer: reading.consumer.clone(),
                    attached: reading.is_attached(),
                    entries: behind(&queue, &reading),
                });
            }
        }
        Ok(all)
    }

    /// Takes the consumers of `pipeline` off the lists of all queues, or of `queue`, except those that read now; where it was on
    /// one. What nobody else needs may be removed from then on.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub async fn dismiss(
        &self,
        pipeline: &Name,
        queue: Option<&Name>,
        blocking: &Blocking,
    ) -> Result<Vec<StageKey>> {
        let names = match queue {
            Some(name) => vec![name.clone()],
            None => self.names(blocking).await?,
        };
        let mut dismissed = Vec::new();
        for name in names {
            let queue = self.queue(&name, blocking).await?;
            for reading in queue.all_readings() {
                let consumer = reading.consumer.clone();
                if consumer.pipeline != *pipeline {
                    continue;
                }
                let (queue, gone) = (queue.clone(), consumer.clone());
                if blocking.spawn(move || queue.dismiss(&gone)).await?? {
                    dismissed.push(consumer);
                }
            }
        }
        Ok(dismissed)
    }

    /// The queues on disk.
    async fn names(&self, blocking: &Blocking) -> Result<Vec<Name>> {
        let (disk, directory) = (self.hub.disk.clone(), self.hub.directory.clone());
        let list = move || {
            let found = disk.list(&directory).map_err(|error| io_error("list", &directory, error))?;
            let mut names: Vec<Name> =
                found.iter().filter_map(|path| Some(Name::from(path.file_name()?.to_str()?))).collect();
            names.retain(|name| key::check(&[name]).is_ok());
            names.sort();
            Ok(names)
        };
        blocking.spawn(list).await?
    }
}

/// Released entries of `queue` that `reading` has not consumed.
fn behind(queue: &Queue, reading: &Reading) -> u64 {
    let newest = reading.newest();
    let behind = queue.all_logs().into_iter().filter_map(|log| {
        let release = log.seen().release?;
        let next = newest.at(&log.producer, release.log).map(|at| at.next.number());
        Some(release.end.number().saturating_sub(next.unwrap_or(0)))
    });
    behind.sum()
}
