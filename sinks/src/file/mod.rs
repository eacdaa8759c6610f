//! The file sink: records as NDJSON or CSV, in one file or in files that are rolled by size or time.
//!
//! **Exactly once.** The token is (path, file, sequence, length): `open` cuts that file back to the length and
//! removes later ones, so a replay writes what the crash cut off, once. A deletion is a line of its own; lines
//! that were written are never changed, and a record that comes twice stands there twice (see `dedupe`).
//!
//! | `open` finds | and does |
//! |---|---|
//! | no token, or one of another path | appends to what stands at the path; [`Opened::Elsewhere`] |
//! | the token's file, as long or longer | cuts it back, removes later ones; [`Opened::Resumed`] |
//! | the token's file, shorter | fails with `State`: somebody cut it |
//! | no file, or another one in its place | alarms and appends to what stands there; [`Opened::Elsewhere`] |
//! | the token's file, of another mode (now rolled, or no longer) | cuts it back, begins there; [`Opened::Elsewhere`] |
//! | the token's file, in another format | fails with `Config` |
//!
//! `open` creates the file, empty, and nothing is written before the first batch: a CSV header too comes with the
//! first record after it. A last line without an end is ended first.
//!
//! **Names.** Without `roll`, `path` is the file. With it, `out/vitals.ndjson` is `out/vitals.000001.ndjson` and so
//! on: the sequence is in the name from creation and no file is ever renamed, so a finished one can be taken away
//! at any time; the newest can't. By size, a file is finished before the record that would make it longer; by time,
//! before the first batch in another period, and periods count from 1970 in UTC (`every = "1d"` rolls at midnight).
//! A replay may roll elsewhere than the run before it did: those files were cut back.
//!
//! **Durability.** `prepare` syncs the file, and the directory when a file was created; a file that is finished is
//! synced when the next is begun. After a failed sync the sink is dropped and opened again from its token; nothing
//! is ever synced twice.
//!
//! **One writer.** An advisory lock on `.vitals.ndjson.lock` is held while the sink is open, and
//! `.vitals.ndjson.fence` records the newest generation, which is read again inside each effect: an older one
//! writes nothing and ends with `Fenced`.
//!
//! **Blocking.** A batch is encoded and written in one job of the context's `blocking`, one in flight. All files
//! are readable by their owner only.

mod guard;
mod names;
mod open;
#[cfg(test)]
mod tests;
mod token;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use afferent_core::{
    Batch, Epoch, Opened, Prepared, Problem, Record, Result, Sink, SinkCx, Token,
    config::{Configure, Size, Span},
};
use afferent_formats::Format;
use serde::Deserialize;

use self::{names::Names, writer::Writer};
use crate::jobs::{Jobs, not_open};

/// Where and how records are written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file; its directory is created. With `roll`, the sequence is added to the name:
    /// `vitals.ndjson` becomes `vitals.000001.ndjson`.
    pub path: PathBuf,
    /// What it is written in: `json` (NDJSON) or `csv`.
    #[serde(default)]
    pub format: Format,
    /// When the next file is begun; without it there is one file.
    #[serde(default)]
    pub roll: Option<Roll>,
}

/// When a file is finished and the next is begun: at whichever comes first.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// At each multiple of this since 1970 in UTC: `1d` is at midnight.
    #[serde(default)]
    pub every: Option<Span>,
    /// Before the file gets longer than this. A single record may be.
    #[serde(default)]
    pub size: Option<Size>,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if Names::of(&self.path).is_none() {
            problems.push(
                Problem::new("path", format!("expected a file, found `{}`", self.path.display()))
                    .help("end the path in the name of a file, such as \"out/records.ndjson\""),
            );
        }
        match &self.roll {
            Some(Roll { every: None, size: None }) => problems.push(
                Problem::new("roll", "expected `every`, `size` or both, found neither")
                    .help("say when to roll, such as `roll = { size = \"64MiB\" }`, or leave `roll` out"),
            ),
            Some(Roll { every, size }) => {
                if every.is_some_and(|every| every.0.is_zero()) {
                    problems.push(Problem::new("roll.every", "expected more than 0"));
                }
                if size.is_some_and(|size| size.0 == 0) {
                    problems.push(Problem::new("roll.size", "expected more than 0"));
                }
            }
            None => {}
        }
        problems
    }

    fn resolve(&mut self, base: &Path) {
        self.path = base.join(&self.path);
    }
}

/// A sink that writes files.
pub struct FileSink {
    config: Config,
    jobs: Option<Jobs<Writer, Record>>,
}

impl FileSink {
    /// A sink that writes where `config` says. Nothing is opened yet.
    pub fn new(config: Config) -> FileSink {
        FileSink { config, jobs: None }
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Sink for FileSink {
    type Item = Record;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        let config = self.config.clone();
        let (jobs, opened) = Jobs::open(cx.blocking.clone(), move || open::open(config, cx)).await?;
        self.jobs = Some(jobs);
        Ok(opened)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.jobs.as_mut().ok_or_else(not_open)?.write(batch, Writer::write).await
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        self.jobs.as_mut().ok_or_else(not_open)?.run(Writer::prepare).await
    }

    /// Nothing is left to do: the file stands where the saved token says.
    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}
