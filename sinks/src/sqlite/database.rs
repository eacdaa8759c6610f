//! [`Database`]: the connection, and the one transaction of an epoch.

use std::{path::PathBuf, time::Duration};

use afferent_core::{
    Batch, Epoch, Error, ErrorKind, Fence, Opened, Prepared, Record, Result, SinkCx, Token,
    disk::{OpenMode, directory_of},
    io_error,
};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use serde::{Deserialize, Serialize};

use super::{
    samples::Samples,
    schema::{self, DatabaseId, Found},
};

/// Version of [`DatabaseToken`]'s form.
const TOKEN_VERSION: u16 = 1;

/// How long a job waits for another writer of the database before it fails with `Transient` and the engine tries again: two epochs of an
/// ordinary pipeline, which holds the write lock from its first record of an epoch to its end.
const BUSY: Duration = Duration::from_secs(2);

/// SQLite's page cache. It need not hold more than records that come together touch, because they are written in the order of their
/// keys: an import takes as long with four times as much.
const CACHE_KIB: i64 = 2 << 10;

/// Size of the pages of a new database: four times SQLite's own. Rows of a batch that fall into one month share pages more often, so
/// fewer are looked up, divided and written: an import takes a tenth less time than with 8 KiB, and of mixed types a quarter.
const PAGE_BYTES: u32 = 16 << 10;

/// Pages of the write-ahead log after which they are moved into the database: 32 MiB. A page that is written again
/// and again is moved once.
const LOG_PAGES: u32 = 2000;

/// To how much the write-ahead log is cut when it is reused: one epoch may have made it long, and need not keep
/// that disk for ever.
const LOG_BYTES: i64 = 64 << 20;

/// Statements that are kept prepared: all that this sink has.
const STATEMENTS: usize = 32;

/// Which database the checkpoint belongs to. How far it was is in the database itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DatabaseToken {
    database: DatabaseId,
}

/// An open database.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    id: DatabaseId,
    fence: Fence,
    samples: Samples,
}

impl Database {
    /// Opens or creates the database, raises the fence, and compares it with the token.
    pub(super) fn open(path: PathBuf, mut cx: SinkCx) -> Result<(Database, Opened)> {
        let directory = directory_of(&path);
        let (mut connection, created) = {
            let failed = |error| io_error("open", &path, error);
            cx.disk
                .create_dir_all(directory)
                .map_err(|error| io_error("create the directory", directory, error))?;
            let created = cx.disk.info(&path).map_err(failed)?.is_none();
            // Created here and not by SQLite, so that only the owner can read it; SQLite gives its other files the
            // same mode.
            drop(cx.disk.open(&path, OpenMode::Create).map_err(failed)?);
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            (Connection::open_with_flags(&path, flags).map_err(|error| sql_error(&path, error))?, created)
        };
        let failed = |error| sql_error(&path, error);
        connection.busy_timeout(BUSY).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        check(&path, schema::look(&connection).map_err(failed)?)?;
        // Of a database that has pages it changes nothing.
        connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(failed)?;
        for (name, value) in [
            ("cache_size", -CACHE_KIB),
            ("wal_autocheckpoint", LOG_PAGES.into()),
            ("journal_size_limit", LOG_BYTES),
            // The keys of rows come from the dictionaries of this sink.
            ("foreign_keys", 0),
        ] {
            connection.pragma_update(None, name, value).map_err(failed)?;
        }
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        // Each commit syncs the log: it is durable before the checkpoint that counts on it is saved.
        connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
        connection.pragma_update(None, "secure_delete", "on").map_err(failed)?;

        let id = {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            // Looked at again: another process may have come between.
            let found = schema::look(&transaction).map_err(failed)?;
            check(&path, found)?;
            if found == Found::Empty {
                schema::create(&transaction, cx.random.u128().to_be_bytes()).map_err(failed)?;
            }
            let id = schema::id(&transaction).map_err(failed)?.ok_or_else(|| {
                Error::state(format!(
                    "{} has lost its identity (table `database` is empty); restore the file, or move it away",
                    path.display()
                ))
            })?;
            raise(&transaction, &path, &cx.fence)?;
            transaction.commit().map_err(failed)?;
            id
        };
        if created {
            cx.disk.sync_dir(directory).map_err(|error| io_error("sync the directory", directory, error))?;
        }
        let opened = match &cx.token {
            Some(token) if token.read::<DatabaseToken>(TOKEN_VERSION)?.database == id => Opened::Resumed,
            Some(_) => {
                cx.events.alarm(format!(
                    "{}: this is not the database of the last checkpoint; records go on here, without those of the other one",
                    path.display()
                ));
                Opened::Elsewhere
            }
            None => Opened::Elsewhere,
        };
        Ok((Database { connection, path, id, fence: cx.fence, samples: Samples::new() }, opened))
    }

    /// Writes a batch, into the transaction of the epoch.
    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let path = &self.path;
        if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| sql_error(path, error))?;
            // The write lock is held from here to the commit, so no newer generation can come between.
            check_fence(&self.connection, path, &self.fence)?;
            self.samples.begin(&self.connection).map_err(|error| sql_error(path, error))?;
        }
        self.samples.write(&self.connection, batch).map_err(|error| sql_error(path, error))
    }

    /// Commits the transaction of the epoch.
    pub(super) fn prepare(&mut self, epoch: Epoch) -> Result<Prepared> {
        if !self.connection.is_autocommit() {
            self.samples.finish(&self.connection).map_err(|error| sql_error(&self.path, error))?;
            self.commit(epoch).map_err(|error| sql_error(&self.path, error))?;
        }
        let (superseded, rejects) = self.samples.take_counts();
        let token = Token::new(TOKEN_VERSION, &DatabaseToken { database: self.id })?;
        Ok(Prepared { token: Some(token), superseded, rejects, ..Prepared::default() })
    }

    fn commit(&self, epoch: Epoch) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE fence SET epoch = ?4 WHERE store = ?1 AND pipeline = ?2 AND sink = ?3")?
            .execute(params![
                self.fence.store.0,
                self.fence.pipeline.as_str(),
                self.fence.sink.as_str(),
                number(epoch.0)
            ])?;
        self.connection.execute_batch("COMMIT")
    }
}

/// Whether this sink may use what it found.
fn check(path: &std::path::Path, found: Found) -> Result<()> {
    match found {
        Found::Empty | Found::Ours => Ok(()),
        Found::Newer(version) => Err(Error::state(format!(
            "{} has schema version {version}, which is newer than this program; use the program that wrote it, or a newer one",
            path.display()
        ))),
        Found::Foreign => Err(Error::state(format!(
            "{} is a database of another program; give the sink another path",
            path.display()
        ))),
    }
}

/// SQLite's integers are signed; epochs and generations stay far below.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The generation that is recorded for this sink.
fn recorded(connection: &Connection, fence: &Fence) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT generation FROM fence WHERE store = ?1 AND pipeline = ?2 AND sink = ?3")?
        .query_row(params![fence.store.0, fence.pipeline.as_str(), fence.sink.as_str()], |row| row.get(0))
        .optional()
}

/// Fails with `Fenced` when a newer generation has come.
fn check_fence(connection: &Connection, path: &std::path::Path, fence: &Fence) -> Result<()> {
    match recorded(connection, fence).map_err(|error| sql_error(path, error))? {
        Some(generation) if generation > number(fence.generation.0) => Err(Error::fenced(format!(
            "a newer run of pipeline `{}` writes to this database",
            fence.pipeline
        ))),
        _ => Ok(()),
    }
}

/// Raises the fence to this generation.
fn raise(transaction: &Transaction<'_>, path: &std::path::Path, fence: &Fence) -> Result<()> {
    check_fence(transaction, path, fence)?;
    let mine =
        params![fence.store.0, fence.pipeline.as_str(), fence.sink.as_str(), number(fence.generation.0)];
    let sibling: Option<String> = transaction
        .query_row(
            "SELECT sink FROM fence WHERE store = ?1 AND pipeline = ?2 AND sink <> ?3 AND generation = ?4",
            mine,
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| sql_error(path, error))?;
    if let Some(sibling) = sibling {
        // Each would wait for the other's transaction, which ends with an epoch of both.
        return Err(Error::config(format!(
            "the sinks `{sibling}` and `{}` of one pipeline write to {}; leave one of them, or give it another path",
            fence.sink,
            path.display()
        )));
    }
    transaction
        .execute(
            "INSERT INTO fence (store, pipeline, sink, generation, epoch) VALUES (?1, ?2, ?3, ?4, 0) \
             ON CONFLICT DO UPDATE SET generation = excluded.generation",
            mine,
        )
        .map_err(|error| sql_error(path, error))?;
    Ok(())
}

/// Turns SQLite's error into one that says what to do. Statements bind their values, so none is in its text.
fn sql_error(path: &std::path::Path, error: rusqlite::Error) -> Error {
    let transient = ErrorKind::Transient { retry_after: None };
    let (kind, what) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (transient, "another writer holds the database; it goes on when that one ends its epoch")
        }
        Some(ErrorCode::DiskFull) => {
            (transient, "the disk is full; free some space and it goes on by itself")
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::SchemaChanged,
        ) => (transient, "an input or output failed; see the cause"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (ErrorKind::CantCreate, "it can't be opened for writing; check that this user may write there")
        }
        Some(ErrorCode::NotADatabase) => {
            (ErrorKind::State, "it is not a SQLite database; give the sink another path")
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::State,
            "the database is damaged; restore it from a copy, or move it away and a new one is begun",
        ),
        _ => (ErrorKind::Bug, "a statement failed; see the cause"),
    };
    Error::new(kind, format!("{}: {what}", path.display())).with_source(error)
}
