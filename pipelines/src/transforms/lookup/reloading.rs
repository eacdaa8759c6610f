//! [`Reloading`]: the table in force, and the looks that find the next one.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use afferent_core::{
    Error, Result, Snapshot, State, Timestamp,
    stage::{Look, Looked},
};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    MAX_TABLE_BYTES, TableFormat,
    file::{self, Stamp, Unread},
    rows::{self, Column, Fault, Row},
    saved::Saved,
};
use crate::transforms::keyed::{self, damaged, read};

/// Makes of rows what is looked up in; rows that it takes away are not saved.
type Build<T> = Box<dyn Fn(&mut Vec<Row>) -> Result<Built<T>, Fault> + Send + Sync>;

/// What was made of a table.
pub(crate) struct Built<T> {
    pub(crate) table: T,
    /// What is strange about it, though it can be used.
    pub(crate) alarm: Option<String>,
}

/// What is read, and what becomes of it.
pub(crate) struct Plan<T> {
    pub(crate) path: PathBuf,
    pub(crate) format: TableFormat,
    pub(crate) columns: Vec<Column>,
    /// What else `build` depends on: rows that were saved under another are not taken up.
    pub(crate) basis: String,
    pub(crate) build: Build<T>,
}

/// The table in force of one transform. What is at the head of [`lookup`](super) is done here.
pub(crate) struct Reloading<T> {
    plan: Arc<Plan<T>>,
    in_force: Option<T>,
    /// The bytes of what is in force, if no checkpoint has it.
    unsaved: Option<Vec<u8>>,
    /// What looks leave. Nobody waits for it: the engine does nothing else while one is under way.
    found: Arc<Mutex<Found<T>>>,
}

struct Found<T> {
    /// A version that is not in force yet, and the bytes of it that are saved.
    next: Option<(T, Vec<u8>)>,
    /// Of the file that the newest version is from.
    digest: Option<u128>,
    /// Of the file that was read last, if a later change shows in it.
    stamp: Option<Stamp>,
    /// What is wrong with the file.
    wrong: Option<String>,
}

impl<T: Send + 'static> Reloading<T> {
    pub(crate) fn new(plan: Plan<T>) -> Reloading<T> {
        let found = Found { next: None, digest: None, stamp: None, wrong: None };
        Reloading { plan: Arc::new(plan), in_force: None, unsaved: None, found: Arc::new(Mutex::new(found)) }
    }

    /// A look at the file.
    pub(crate) fn look(&mut self, now: Timestamp) -> Look {
        let (plan, found) = (self.plan.clone(), self.found.clone());
        let (has_one, is_unsaved) = (self.in_force.is_some(), self.unsaved.is_some());
        Box::new(move || {
            let mut looked = plan.look(&mut lock(&found), has_one, now)?;
            looked.is_new |= is_unsaved;
            Ok(looked)
        })
    }

    /// What is in force. Where nothing was, it is what the first look found.
    ///
    /// # Errors
    /// `Bug` if nothing was looked for.
    pub(crate) fn get(&mut self) -> Result<&T> {
        if self.in_force.is_none() {
            self.take_up();
        }
        self.in_force
            .as_ref()
            .ok_or_else(|| Error::bug("records came before the table was read; call `look` first"))
    }

    /// Puts what was found into force.
    fn take_up(&mut self) {
        if let Some((table, bytes)) = lock(&self.found).next.take() {
            (self.in_force, self.unsaved) = (Some(table), Some(bytes));
        }
    }

    /// Puts what was found into force, and saves what no checkpoint has.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot> {
        self.take_up();
        Ok(self.unsaved.take().map_or(Snapshot::Unchanged, Snapshot::Full))
    }

    /// Puts into force what was saved, unless it was saved for another configuration.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(crate) fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (key, bytes) = row?;
            if !key.is_empty() {
                return Err(damaged());
            }
            let Saved { basis, digest, mut rows } = read(&bytes)?;
            if basis == self.plan.basis() {
                self.in_force = Some((self.plan.build)(&mut rows).map_err(|_| damaged())?.table);
                lock(&self.found).digest = Some(digest);
            }
        }
        Ok(())
    }
}

/// What is said of a version that was read.
struct Said {
    notice: String,
    alarm: Option<String>,
}

impl<T> Plan<T> {
    /// What saved rows depend on.
    fn basis(&self) -> String {
        format!("{:?} {:?} {}", self.format, self.columns, self.basis)
    }

    fn look(&self, found: &mut Found<T>, has_one: bool, now: Timestamp) -> Result<Looked> {
        let has_one = has_one || found.next.is_some();
        let (mut alarm, mut notice) = (None, None);
        match self.read(found, has_one, now) {
            Ok(None) => {}
            Ok(Some(read)) => (notice, alarm) = (Some(read.notice), read.alarm),
            Err(wrong) if !has_one => return Err(wrong),
            Err(wrong) => {
                let wrong = wrong.message().to_owned();
                if found.wrong.as_ref() != Some(&wrong) {
                    alarm = Some(format!(
                        "{wrong}; what was in force stays in force: mend the table, and rename the finished file into its place"
                    ));
                    found.wrong = Some(wrong);
                }
            }
        }
        let (is_new, is_stale) = (found.next.is_some(), found.wrong.is_some());
        Ok(Looked { is_new, is_stale, alarm, notice })
    }

    /// Reads the file if it may have changed; what to say of a new version.
    fn read(&self, found: &mut Found<T>, has_one: bool, now: Timestamp) -> Result<Option<Said>> {
        let path = self.path.display();
        let io = |error: std::io::Error| {
            let message = format!("can't read the table {path}: {error}; check the path and its permissions");
            match error.kind() {
                std::io::ErrorKind::NotFound
                | std::io::ErrorKind::PermissionDenied
                | std::io::ErrorKind::IsADirectory => Error::config(message),
                _ => Error::transient(message),
            }
        };
        let stamp = Stamp::of(&self.path).map_err(|error| {
            found.stamp = None;
            io(error)
        })?;
        if found.stamp == Some(stamp) || (has_one && stamp.is_young(now)) {
            return Ok(None);
        }
        let bytes = match file::read(&self.path, stamp) {
            Ok(bytes) => bytes,
            Err(Unread::Changing) if has_one => return Ok(None),
            Err(Unread::Changing) => {
                return Err(Error::transient(format!("the table {path} changes while it is read; wait")));
            }
            Err(Unread::TooLarge) => {
                let message = format!(
                    "expected a table of at most {MAX_TABLE_BYTES} bytes in {path}, found a larger one"
                );
                return Err(Error::config(message));
            }
            Err(Unread::Io(error)) => return Err(io(error)),
        };
        found.stamp = Some(stamp).filter(|stamp| stamp.is_telling(now));
        let digest = xxh3_128(&bytes);
        if found.digest == Some(digest) {
            found.wrong = None;
            return Ok(None);
        }
        let fault = |Fault { line, message }| {
            let place = if line == 0 { path.to_string() } else { format!("{path}:{line}") };
            Error::config(format!("{place}: {message}"))
        };
        let mut rows = rows::read(&bytes, self.format, &self.columns).map_err(fault)?;
        drop(bytes);
        let Built { table, alarm } = (self.build)(&mut rows).map_err(fault)?;
        let count = rows.len();
        let mut saved = Vec::new();
        keyed::Row::write(&Saved { basis: self.basis(), digest, rows }, &mut saved);
        (found.next, found.digest, found.wrong) = (Some((table, saved)), Some(digest), None);
        let notice = format!("read the table {path}, rows: {count}");
        Ok(Some(Said { notice, alarm: alarm.map(|alarm| format!("{path}: {alarm}")) }))
    }
}

/// What looks have left. A look that panicked left it as it was before, or complete.
fn lock<T>(found: &Mutex<Found<T>>) -> MutexGuard<'_, Found<T>> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("path", &self.plan.path).finish_non_exhaustive()
    }
}
