//! The database file: created, opened, given up after an error, and opened again.

use std::{
    any::Any,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use afferent_core::{
    Error, ErrorKind, Result, StoreId,
    disk::{Disk, DiskFile, OpenMode, directory_of},
    io_error,
};
use redb::{Database, ReadTransaction, ReadableDatabase, StorageError};

use super::{
    backend::Backend,
    caught::caught,
    rows::{self, Failure},
    tables::Tables,
};

/// Memory for database pages. The database is small and mostly appended to; the kernel caches the rest.
const CACHE_BYTES: usize = 4 << 20;
/// How much is read and written at once when the file is written over.
const REWRITE_BYTES: usize = 256 << 10;

/// The database file.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// `None` after an error, until the next use opens it again. Users hold it shared, so that it is never opened
    /// again before everyone has let go of the opening that failed.
    open: RwLock<Option<Open>>,
    /// It was closed for good; another process, or another store, may have it.
    closed: AtomicBool,
    openings: AtomicU64,
    commits: AtomicU64,
    /// See [`Backend::in_doubt`].
    in_doubt: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Open {
    database: Database,
    /// See [`Backend::abandoned`].
    abandoned: Arc<AtomicBool>,
    number: u64,
}

/// Why a database could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// It is damaged: setting it aside helps.
    Damaged(Error),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> OpenError {
        OpenError::Failed(error)
    }
}

impl From<Broken> for OpenError {
    fn from(broken: Broken) -> OpenError {
        if broken.is_damage() {
            OpenError::Damaged(broken.error())
        } else {
            OpenError::Failed(broken.error())
        }
    }
}

/// A failure of the database, told to everyone whom it concerns.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    kind: ErrorKind,
    message: String,
    /// The disk is full.
    pub(super) full: bool,
    /// Which part of the work it happened in, if in one: only there it is known to be damage.
    pub(super) part: Option<usize>,
}

impl Broken {
    /// As an error for one of those concerned.
    pub(super) fn error(&self) -> Error {
        Error::new(self.kind, self.message.clone())
    }

    /// As an error for those in whose work it did not happen: they may try again.
    pub(super) fn bystander(&self) -> Error {
        let message = "the state database failed at another pipeline's rows and is opened again; see the log";
        Error::transient(message)
    }

    /// Whether it says that the file is damaged, and not that the disk failed.
    pub(super) fn is_damage(&self) -> bool {
        self.kind == ErrorKind::State
    }

    fn redb(path: &Path, error: redb::Error) -> Broken {
        match error {
            redb::Error::Io(error) => Broken::io(path, error),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
                let message = format!("the state database {} failed and is opened again", path.display());
                Broken { kind: ErrorKind::Transient { retry_after: None }, message, full: false, part: None }
            }
            error => Broken::damaged(path, error),
        }
    }

    fn io(path: &Path, error: std::io::Error) -> Broken {
        use std::io::ErrorKind as Io;
        // What redb reports in this form is not an error of the disk.
        if matches!(error.kind(), Io::InvalidData | Io::UnexpectedEof) {
            return Broken::damaged(path, error);
        }
        let full = matches!(error.kind(), Io::StorageFull | Io::QuotaExceeded);
        let error = io_error("use the state database", path, error);
        Broken { kind: error.kind(), message: error.message().to_owned(), full, part: None }
    }

    fn damaged(path: &Path, cause: impl std::fmt::Display) -> Broken {
        let message = format!(
            "the state database {} can't be read ({cause}); restore it from a backup, or run with `--from-start` to set it aside and begin anew",
            path.display()
        );
        Broken { kind: ErrorKind::State, message, full: false, part: None }
    }

    fn panicked(path: &Path, panic: &(dyn Any + Send)) -> Broken {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        tracing::error!(path = %path.display(), "the state database panicked: {text}");
        Broken::damaged(path, "its pages contradict each other; the log says how")
    }
}

impl DatabaseFile {
    /// Opens the database at `path`, or creates it with `id` if there is none. Blocks.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        id: StoreId,
    ) -> Result<(DatabaseFile, StoreId), OpenError> {
        let present = disk.info(&path).map_err(|error| io_error("look at", &path, error))?.is_some();
        if !present {
            create(&*disk, &path, id)?;
        }
        let file = DatabaseFile {
            disk,
            path,
            open: RwLock::new(None),
            closed: AtomicBool::new(false),
            openings: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            in_doubt: Arc::default(),
        };
        match file.try_read(rows::identity) {
            Ok(identity) => {
                let (id, older) = identity?;
                if older {
                    file.upgrade()?;
                }
                Ok((file, id))
            }
            Err(broken) => Err(broken.into()),
        }
    }

    /// Marks the layout as this program's, so that an older one refuses it.
    fn upgrade(&self) -> Result<(), Broken> {
        self.with(|database| {
            let transaction = database.begin_write().map_err(redb::Error::from)?;
            rows::put_schema(&transaction)?;
            transaction.commit().map_err(redb::Error::from)
        })
    }

    /// Transactions committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(SeqCst)
    }

    /// Reads in a snapshot. Blocks.
    pub(super) fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, Failure>) -> Result<T> {
        self.try_read(work).map_err(|broken| broken.error())?
    }

    /// Like [`read`](DatabaseFile::read); a failure of the database apart from a refusal of the work.
    fn try_read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<Result<T>, Broken> {
        self.with(|database| {
            let transaction = database.begin_read().map_err(redb::Error::from)?;
            match work(&transaction) {
                Ok(value) => Ok(Ok(value)),
                Err(Failure::Refused(error)) => Ok(Err(error)),
                Err(Failure::Broken(error)) => Err(error.into()),
            }
        })
    }

    /// Does `parts` pieces of work in one durable transaction; `work` says whether a piece changed anything.
    /// Blocks.
    pub(super) fn write(
        &self,
        parts: usize,
        mut work: impl FnMut(usize, &mut Tables<'_>) -> Result<bool, StorageError>,
    ) -> Result<(), Broken> {
        let mut part = None;
        let result = self.with(|database| {
            let mut transaction = database.begin_write().map_err(redb::Error::from)?;
            // The default, said aloud: the answers depend on it.
            transaction.set_durability(redb::Durability::Immediate).map_err(redb::Error::from)?;
            let mut changed = false;
            {
                let mut tables = Tables::open(&transaction).map_err(redb::Error::from)?;
                for index in 0..parts {
                    part = Some(index);
                    changed |= work(index, &mut tables)?;
                }
            }
            part = None;
            if changed {
                transaction.commit().map_err(redb::Error::from)?;
                self.commits.fetch_add(1, SeqCst);
                Ok(())
            } else {
                Ok(transaction.abort()?)
            }
        });
        result.map_err(|broken| Broken { part, ..broken })
    }

    /// Closes the database in order and for good, so that the next opening has nothing to recover. Waits for those
    /// who use it; what still waits in a queue fails. Blocks.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
        let Some(open) = self.open.write().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let failure = match caught(|| open.database.close()) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        tracing::warn!(
            path = %self.path.display(),
            "the state database could not be closed in order ({failure}); the next start recovers it"
        );
    }

    /// Uses the database, opening it first if need be. After any error it is given up.
    fn with<T>(&self, use_it: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Broken> {
        let (number, result) = loop {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            let Some(open) = open.as_ref() else {
                drop(open);
                self.reopen()?;
                continue;
            };
            break (open.number, caught(|| use_it(&open.database)));
        };
        let broken = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Broken::redb(&self.path, error),
            Err(panic) => Broken::panicked(&self.path, &*panic),
        };
        tracing::error!("{}", broken.message);
        self.give_up(number);
        Err(broken)
    }

    /// Drops an opening after an error; it can't write any more, not even when it closes.
    fn give_up(&self, number: u64) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = open.take_if(|open| open.number == number) {
            failed.abandoned.store(true, SeqCst);
            // Whatever it panics with has been reported already.
            let _ = caught(|| drop(failed));
        }
    }

    fn reopen(&self) -> Result<(), Broken> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return Ok(());
        }
        if self.closed.load(SeqCst) {
            let message = "the state database was closed".to_owned();
            return Err(Broken {
                kind: ErrorKind::Transient { retry_after: None },
                message,
                full: false,
                part: None,
            });
        }
        let file =
            self.disk.open(&self.path, OpenMode::Write).map_err(|error| Broken::io(&self.path, error))?;
        self.check(&*file)?;
        let abandoned = Arc::<AtomicBool>::default();
        let backend = Backend {
            file,
            abandoned: abandoned.clone(),
            in_doubt: self.in_doubt.clone(),
            in_the_making: false,
        };
        let opened = caught(|| redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend));
        let database = match opened {
            Ok(Ok(database)) => database,
            Ok(Err(error)) => return Err(Broken::redb(&self.path, error.into())),
            Err(panic) => return Err(Broken::panicked(&self.path, &*panic)),
        };
        let number = self.openings.fetch_add(1, SeqCst);
        *open = Some(Open { database, abandoned, number });
        Ok(())
    }

    /// Sees to it that what the file reads as is on the disk, and that redb does not take an empty file for a new
    /// database: ours are created elsewhere, so an empty one was cut.
    fn check(&self, file: &dyn DiskFile) -> Result<(), Broken> {
        let checked = file.info().and_then(|info| {
            if self.in_doubt.load(SeqCst) {
                rewrite(file, info.len)?;
                self.in_doubt.store(false, SeqCst);
            }
            Ok(info.len)
        });
        match checked {
            Ok(0) => Err(Broken::damaged(&self.path, "the file is empty")),
            Ok(_) => Ok(()),
            Err(error) => Err(Broken::io(&self.path, error)),
        }
    }
}

/// Writes a file over with what it reads as, and syncs.
fn rewrite(file: &dyn DiskFile, len: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; REWRITE_BYTES];
    let mut offset = 0;
    while offset < len {
        let read = file.read_at(offset, &mut buffer)?;
        if read == 0 {
            break;
        }
        file.write_at(offset, &buffer[..read])?;
        offset += read as u64;
    }
    file.sync()
}

/// Creates the database beside its place and moves it there once it is whole.
fn create(disk: &dyn Disk, path: &Path, id: StoreId) -> Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let io = |error| io_error("create the state database", path, error);
    disk.remove(&new).map_err(io)?;
    let file = disk.open(&new, OpenMode::CreateNew).map_err(io)?;
    let backend = Backend {
        file: file.clone(),
        abandoned: Arc::default(),
        in_doubt: Arc::default(),
        in_the_making: true,
    };
    let made = (|| {
        let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        rows::initialise(&transaction, id)?;
        transaction.commit()?;
        database.close()?;
        Ok(())
    })();
    made.map_err(|error| Broken::redb(path, error).error())?;
    file.sync()
        .and_then(|()| disk.rename(&new, path))
        .and_then(|()| disk.sync_dir(directory_of(path)))
        .map_err(io)
}
