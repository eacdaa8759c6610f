//! The file sink: records as NDJSON or CSV, in one file, in files that are rolled by size or time, or in one file
//! per type.
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
//! | that another pipeline wrote here since | alarms, cuts nothing and appends; [`Opened::Elsewhere`] |
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
//! **One file per type.** With `{type}` in its name, `out/{type}.csv` is `out/HeartRate.csv`, `out/SleepAnalysis.csv`
//! and so on: the short name of the type, in which all but letters and digits of ASCII, `.`, `_` and `-` is written as
//! `%` and its bytes in hexadecimal. A deletion without a type goes to `unknown`. A file is created with the first
//! record of its type. All that is said here of a file holds for each of them: the token has the length of every one,
//! and the sidecar `.{type}.csv.begun` which ones were begun after a checkpoint, so that a restart can undo these too
//! and leaves alone what somebody else put there. Lock and fence are one for all. A type that would need a 1,025th
//! file, or one whose name is longer than 255 bytes, is rejected record by record. These files are never rolled.
//!
//! **Durability.** `prepare` syncs what was written, and the directory when a file was created; a file that is finished is
//! synced when the next is begun. After a failed sync the sink is dropped and opened again from its token; nothing
//! is ever synced twice.
//!
//! **One writer.** An advisory lock on `.vitals.ndjson.lock` is held while the sink is open, and
//! `.vitals.ndjson.fence` records the newest generation, which is read again inside each effect: an older one
//! writes nothing and ends with `Fenced`.
//!
//! **Taking over** from an older generation that holds the lock and may have been stopped anywhere, also between a look at
//! the fence and the write that it allowed. No look closes that gap, so what such a write meets is not what is read:
//!
//! | what the older one may still do | and what comes of it |
//! |---|---|
//! | write to a file that it has open, or cut it back | nothing: the newer one copies each file, as far as its token says, to a new one in its place, and goes on there; the old one has no name any more |
//! | open a file by its name | it sees the fence before it writes: it looks again after each opening |
//! | begin its next rolled file | it fails: the newer one has begun a file of that name, after all that stood there |
//! | remove rolled files after its token | nothing: those are gone, and it looks at the fence between listing and removing |
//! | raise its own fence over the newer one's | it asks the checkpoint store before it does anything by it; the newer one's next effect raises the fence again |
//! | create the file of a type that is new to it | the file may appear, empty |
//!
//! This costs a copy of the files. It holds for paths that one pipeline writes to; and where locks do not reach an older
//! generation (some network file systems), no more holds than the fence gives.
//!
//! **Blocking.** A batch is encoded and written in one job of the context's `blocking`, one in flight. All files
//! are readable by their owner only.

mod by_type;
mod guard;
mod journal;
mod names;
mod open;
mod sidecar;
mod tail;
#[cfg(test)]
mod tests;
mod token;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use afferent_core::{
    Batch, Epoch, Error, Opened, Prepared, Problem, Record, Result, Sink, SinkCx, Token,
    config::{Configure, Guarantee, Size, Span},
    disk::directory_of,
    io_error,
};
use afferent_formats::Format;
use serde::Deserialize;

use self::{
    by_type::ByType,
    guard::Guard,
    names::{Names, TypeNames},
    token::{FileToken, TypesToken},
    writer::Writer,
};
use crate::jobs::{Jobs, not_open};

/// Where and how records are written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file; its directory is created. With `roll`, the sequence is added to the name:
    /// `vitals.ndjson` becomes `vitals.000001.ndjson`. With `{type}` in its name there is one file per type:
    /// `out/{type}.csv` becomes `out/HeartRate.csv` and so on.
    pub path: PathBuf,
    /// What it is written in: `json` (NDJSON), `csv`, `fhir` (FHIR R4 Observations, NDJSON),
    /// `open-mhealth` (data points, NDJSON), `influxdb` (line protocol), `msgpack` or `health_kit_reporter`
    /// (NDJSON).
    #[serde(default, deserialize_with = "Format::deserialize_written")]
    pub format: Format,
    /// When the next file is begun; without it there is one file. Files per type are not rolled.
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
        let mut problems: Vec<Problem> = self.format.check_written().into_iter().collect();
        if Names::of(&self.path).is_none() {
            problems.push(
                Problem::new("path", format!("expected a file, found `{}`", self.path.display()))
                    .help("end the path in the name of a file, such as \"out/records.ndjson\""),
            );
        }
        match TypeNames::of(&self.path) {
            Err(message) => problems.push(Problem::new("path", message).help(
                "write `{type}` once, in the name of the file, such as \"out/{type}.csv\"; it is the only placeholder",
            )),
            Ok(Some(_)) if self.roll.is_some() => problems.push(
                Problem::new("roll", "files per type are not rolled")
                    .help("leave `roll` out, or leave `{type}` out of `path`"),
            ),
            Ok(_) => {}
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

    fn guarantee(&self) -> Option<Guarantee> {
        Some(Guarantee::ExactlyOnce(
            "a file is cut back to its last checkpoint before it is written to again".to_owned(),
        ))
    }
}

/// A sink that writes files.
pub struct FileSink {
    config: Config,
    jobs: Option<Jobs<Files, Record>>,
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
        let (config, blocking) = (self.config.clone(), cx.blocking.clone());
        let acknowledgements = cx.acknowledgements.clone();
        let guarding = blocking.spawn(move || Files::guard(&config, &cx).map(|guard| (config, cx, guard)));
        let (config, cx, guard) = guarding.await??;
        acknowledgements.check_claim().await?;
        let (jobs, opened) = Jobs::open(blocking, move || Files::open(config, cx, guard)).await?;
        self.jobs = Some(jobs);
        Ok(opened)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.jobs.as_mut().ok_or_else(not_open)?.write(batch, Files::write).await
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        self.jobs.as_mut().ok_or_else(not_open)?.run(Files::prepare).await
    }

    /// Nothing is left to do: the files stand where the saved token says.
    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}

/// What an open sink writes to.
enum Files {
    /// One file, or one after the other.
    Sequence(Writer),
    /// One per type.
    ByType(ByType),
}

impl Files {
    /// Takes the right to write. Nothing but sidecars is touched.
    fn guard(config: &Config, cx: &SinkCx) -> Result<Guard> {
        if let Some(problem) = config.check().into_iter().next() {
            return Err(Error::config(problem.message));
        }
        let names = Names::of(&config.path).expect("it was checked above");
        let directory = directory_of(names.path());
        cx.disk
            .create_dir_all(directory)
            .map_err(|error| io_error("create the directory", directory, error))?;
        let path = names.path().to_string_lossy();
        let resumes = match TypeNames::of(&config.path).expect("it was checked above") {
            None => FileToken::read(cx.token.as_ref(), &path)?.is_some(),
            Some(_) => TypesToken::read(cx.token.as_ref(), &path)?.is_some(),
        };
        Guard::take(&*cx.disk, &names, cx.fence.clone(), resumes, cx.take_over)
    }

    fn open(config: Config, cx: SinkCx, guard: Guard) -> Result<(Files, Opened)> {
        let names = Names::of(&config.path).expect("it was checked when the guard was taken");
        match TypeNames::of(&config.path).expect("it was checked when the guard was taken") {
            None => {
                open::open(config, names, cx, guard).map(|(writer, opened)| (Files::Sequence(writer), opened))
            }
            Some(type_names) => ByType::open(&config, names, type_names, cx, guard)
                .map(|(by_type, opened)| (Files::ByType(by_type), opened)),
        }
    }

    fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        match self {
            Files::Sequence(writer) => writer.write(batch),
            Files::ByType(by_type) => by_type.write(batch),
        }
    }

    fn prepare(&mut self) -> Result<Prepared> {
        match self {
            Files::Sequence(writer) => writer.prepare(),
            Files::ByType(by_type) => by_type.prepare(),
        }
    }
}
