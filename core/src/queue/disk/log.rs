//! [`Log`]: the log of one producer, with the one handle that a process has on it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    StageKey, away, entry,
    queue::Queue,
    state::{History, QueueToken},
};
use crate::{
    Error, Result,
    disk::Disk,
    io_error,
    random::Random,
    segment_log::{Entries, LogId, LogLimits, LogPosition, LogReader, SegmentLog},
};

/// The log of one producer.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) producer: StageKey,
    /// Of the producer: lock, fence, and the log in a directory of its own.
    pub(super) directory: PathBuf,
    disk: Arc<dyn Disk>,
    /// Held inside jobs only.
    handle: Mutex<Handle>,
    /// Held for a moment.
    seen: Mutex<Seen>,
    /// Bytes of all entries since the log began, those that are not released included.
    written: AtomicU64,
}

/// The handle, and how often there was a new one.
#[derive(Debug, Default)]
pub(super) struct Handle {
    pub(super) log: Option<SegmentLog>,
    pub(super) opening: u64,
}

impl Handle {
    /// The log, if `opening` is still the one that counts: a life that was killed may have a job under way.
    pub(super) fn of_opening(&mut self, opening: u64) -> Result<&mut SegmentLog> {
        match &mut self.log {
            Some(log) if self.opening == opening => Ok(log),
            _ => Err(Error::fenced("a newer run has this queue's log open")),
        }
    }
}

/// What everybody may know of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Up to where consumers may read; `None` while that is not known.
    pub(super) release: Option<Release>,
    /// Bytes of the entries that were trimmed.
    pub(super) base: u64,
    /// Readers made before the last opening are of no use.
    pub(super) opening: u64,
}

/// Up to where consumers may read.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) log: LogId,
    pub(super) end: LogPosition,
    pub(super) bytes: u64,
    pub(super) history: Arc<History>,
}

impl From<QueueToken> for Release {
    fn from(token: QueueToken) -> Release {
        Release { log: token.log, end: token.end, bytes: token.bytes, history: Arc::new(token.history) }
    }
}

/// A reader, and what it was made with.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) reader: LogReader,
    pub(super) entries: Entries,
    pub(super) opening: u64,
}

impl Log {
    pub(super) fn new(producer: StageKey, directory: PathBuf, disk: Arc<dyn Disk>) -> Log {
        let (handle, seen, written) = Default::default();
        Log { producer, directory, disk, handle, seen, written }
    }

    /// Where the segments are.
    pub(super) fn segments(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The handle; for jobs.
    pub(super) fn handle(&self) -> MutexGuard<'_, Handle> {
        // A log is whole between its operations, and poisons itself when it can't say so.
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> Seen {
        self.look().clone()
    }

    fn look(&self) -> MutexGuard<'_, Seen> {
        // Each change is one assignment, so a panic elsewhere leaves it whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all entries since the log began.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn set_written(&self, bytes: u64) {
        self.written.store(bytes, Ordering::Release);
    }

    pub(super) fn release(&self, release: Option<Release>) {
        self.look().release = release;
    }

    /// What a consumer finds in the producer's last checkpoint is released, unless more is known already.
    pub(super) fn release_saved(&self, release: Release) {
        self.look().release.get_or_insert(release);
    }

    /// Finds out what is released, unless that is known: the last checkpoint of the producer says it while that does not run.
    pub(super) async fn look_up(&self, queue: &Queue) -> Result<Option<Release>> {
        if self.look().release.is_none()
            && let Some(release) = away::released(&*queue.store, &queue.name, &self.producer).await?
        {
            self.release_saved(release);
        }
        Ok(self.look().release.clone())
    }

    /// Opens the segments, in place of an earlier handle. What `release` says is kept, if it is of this log.
    pub(super) fn open(
        &self,
        handle: &mut Handle,
        limits: LogLimits,
        expected: Option<LogPosition>,
        random: &mut Random,
    ) -> Result<bool> {
        handle.log = None;
        handle.opening += 1;
        self.look().opening = handle.opening;
        let (log, recovery) =
            SegmentLog::open(self.disk.clone(), &self.segments(), limits, expected, random)?;
        handle.log = Some(log);
        Ok(!recovery.damage.is_empty())
    }

    /// Finds out how many bytes were trimmed; `total` were written.
    pub(super) fn find_base(&self, log: &SegmentLog, total: u64) -> Result<()> {
        let mut entries = Entries::new();
        log.reader(log.first()).read(log.synced(), &mut entries)?;
        let base = match entries.iter().next() {
            Some(first) => entry::decode(first.payload)?.0,
            // What is damaged there is not trimmed yet; a base that is too low only keeps a producer waiting.
            None if entries.damage().is_some() => return Ok(()),
            None => total,
        };
        let mut seen = self.look();
        seen.base = base;
        Ok(())
    }

    /// The log that `release` is about is not there: nothing of it can be read, and nobody is to wait for it.
    fn withdraw(&self, release: &Release) {
        self.look().release.take_if(|now| now.log == release.log);
    }

    /// A reader of what `release` is about, from `from` or the oldest entry on; and where the oldest entry is. `None` when the
    /// log is not there, or is another.
    pub(super) fn reader(
        &self,
        release: &Release,
        from: Option<LogPosition>,
        random: &mut Random,
    ) -> Result<Option<(Reader, LogPosition)>> {
        let mut handle = self.handle();
        if handle.log.is_none() {
            if !is_log(&*self.disk, &self.segments())? {
                self.withdraw(release);
                return Ok(None);
            }
            self.open(&mut handle, LogLimits::new(u64::MAX), Some(release.end), random)?;
            if let Some(log) = handle.log.as_ref().filter(|log| log.id() == release.log) {
                self.find_base(log, release.bytes)?;
            }
        }
        let opening = handle.opening;
        let Some(log) = handle.log.as_ref().filter(|log| log.id() == release.log) else {
            self.withdraw(release);
            return Ok(None);
        };
        let first = log.first();
        let reader = log.reader(from.unwrap_or(first).max(first));
        Ok(Some((Reader { reader, entries: Entries::new(), opening }, first)))
    }
}

/// Whether there are segments in `directory`: to look must not make any.
fn is_log(disk: &dyn Disk, directory: &Path) -> Result<bool> {
    let files = disk.list(directory).map_err(|error| io_error("list", directory, error))?;
    Ok(files.iter().any(|file| file.extension().is_some_and(|extension| extension == "log")))
}
