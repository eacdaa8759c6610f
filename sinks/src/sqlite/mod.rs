//! The SQLite sink: records as rows, by identity.
//!
//! **Exactly once, by identity.** A row is known by (id, revision), and a deletion by its id, so a replay finds
//! what it would write:
//!
//! | the database holds | an addition of | counts as |
//! |---|---|---|
//! | nothing of this id | any revision | delivered: a row |
//! | a lower revision | a higher one | delivered: it replaces the row |
//! | the same revision | the same again | delivered: the row that is there |
//! | a higher revision | a lower one | superseded |
//! | the deletion of this id | any revision | superseded |
//!
//! A deletion removes the row, overwrites its bytes, and leaves a tombstone for good, also of an id that was never
//! there. Records are written in the order they came; those between which nobody can tell the order, first additions, in the order of
//! their keys, some batches at a time (`runs.rs`).
//!
//! **One transaction per epoch.** The first record of an epoch begins it and takes SQLite's write lock; `prepare`
//! commits it, durably (`synchronous = full` syncs the log at each commit), with generation and epoch; `commit` does
//! nothing. A crash between the two leaves the database ahead of its token, which identity absorbs. The token is the
//! database's id, 128 random bits drawn when it is created: a deleted or exchanged database is
//! [`Opened::Elsewhere`]. Several pipelines may write to one database and take turns by epochs; two sinks of one
//! pipeline would wait for each other and are refused.
//!
//! **Fences.** The newest generation by (checkpoint store, pipeline, sink) is a row, raised by `open` and read again
//! when a transaction begins: an older one ends with `Fenced` and changes nothing.
//!
//! **Keys.** Ids are random, so a key on the id alone touches a random page for each record and slows to a crawl when
//! the table outgrows the cache. The key of a row is (type, month of `start`, id): what comes in is near in type and
//! time to what came before, and few pages are touched; a row's place follows from the record, so a replay finds it.
//! Only a deletion, or the first correction of an id, has to look through the months of its type, one step through
//! the key for each. The limit of this: a record that comes again with the same revision and a *start in another
//! month* (because a `set` was changed between two runs over one database) is another row. Inserted 10 million
//! rows of five types over ten years with a cache of 8 MiB; rows a second, size, on two shared cores:
//!
//! | key | rows/s | MiB |
//! |---|---|---|
//! | none | 854,000 | 639 |
//! | **(type, month, id), the table itself** | **450,000** | **677** |
//! | the same, and an index on (type, start) | 324,000 | 1,056 |
//! | (month, id), the table itself | 297,000 | 671 |
//! | (type, month, id), an index beside the table | 282,000 | 956 |
//! | (month, id), an index beside the table | 251,000 | 938 |
//! | rowid of month and 48 bits of the id | 199,000 | 781 |
//! | id as text, an index | 54,000, falling (stopped at 3.4 million rows) | – |
//! | id as blob, the table itself | 50,000, falling (3.1 million) | – |
//! | id as blob, an index | 48,000, falling (3.2 million) | – |
//!
//! **Schema.** `docs/reference/sqlite-schema.md`; readers use the view `samples`. Its version is SQLite's `user_version`.
//!
//! **Errors.** Busy, a full disk and failing input or output are `Transient`; a file that is no database, is
//! another program's, is damaged or has a newer schema is `State`. A record whose value has no JSON form is a reject.
//!
//! **Blocking.** The connection travels in jobs of the context's `blocking`, one in flight.

mod database;
mod dictionary;
mod insert;
mod month;
mod runs;
mod samples;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use afferent_core::{
    Batch, Epoch, Opened, Prepared, Problem, Record, Result, Sink, SinkCx, Token,
    config::{Configure, Guarantee},
};
use serde::Deserialize;

use self::database::Database;
use crate::jobs::{Jobs, not_open};

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database; it and its directory are created. SQLite keeps two more files beside it.
    pub path: PathBuf,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        if self.path.file_name().is_some() {
            return Vec::new();
        }
        vec![
            Problem::new("path", format!("expected a file, found `{}`", self.path.display()))
                .help("end the path in the name of a file, such as \"out/health.db\""),
        ]
    }

    fn resolve(&mut self, base: &Path) {
        self.path = base.join(&self.path);
    }

    fn guarantee(&self) -> Option<Guarantee> {
        Some(Guarantee::ExactlyOnce("a record that comes again is known by its id and revision".to_owned()))
    }
}

/// A sink that writes to a SQLite database.
pub struct Sqlite {
    config: Config,
    jobs: Option<Jobs<Database, Record>>,
}

impl Sqlite {
    /// A sink that writes where `config` says. Nothing is opened yet.
    pub fn new(config: Config) -> Sqlite {
        Sqlite { config, jobs: None }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Sink for Sqlite {
    type Item = Record;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        let path = self.config.path.clone();
        let (jobs, opened) = Jobs::open(cx.blocking.clone(), move || Database::open(path, cx)).await?;
        self.jobs = Some(jobs);
        Ok(opened)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.jobs.as_mut().ok_or_else(not_open)?.write(batch, Database::write).await
    }

    async fn prepare(&mut self, epoch: Epoch) -> Result<Prepared> {
        self.jobs.as_mut().ok_or_else(not_open)?.run(move |database| database.prepare(epoch)).await
    }

    /// Nothing is left to do: `prepare` has committed.
    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}
