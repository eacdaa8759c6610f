//! Apple Health exports: `export.zip` or `export.xml`.
//!
//! # Contract
//!
//! **Order.** First the electrocardiograms, by name, which no element of the document mentions; then records in the order
//! of the document. Each top-level element gives its record once; the samples inside a correlation stand at the top
//! level too, so they are inside the correlation and, as records of their own, where they stand. A workout is followed
//! by its routes.
//!
//! **Position.** The name of the last electrocardiogram that was given and the offset in the (inflated) XML behind the last element
//! that was read, with what was passed over so far and a fingerprint of the export: the zip entry's name, size and
//! checksum, or of a plain XML the size, a checksum of the first 64 KiB, and names and sizes of the electrocardiograms. Reading resumes there: a zip is inflated and
//! passed over unparsed, a plain XML is sought. Another export at the path is read whole, with a notice.
//!
//! **Files beside the XML.** Routes (GPX), electrocardiograms (CSV) and clinical documents (JSON) are read from the zip,
//! or from the folder the XML is in; nothing is unpacked to disk, and neither a path nor a link leads out of the export. One that is named
//! and missing is counted ([`Skip`]) and its path stays in the record that names it; one that can't be read whole is a
//! reject with its head, and the record that names it is kept.
//!
//! **Memory.** Constant: a window of 256 KiB, at most two batches in a queue, bounded caches of what repeats, the names of
//! the files in the zip. Only an element that is longer grows the window, up to 16 MiB; a still longer one is passed
//! over and rejected. Besides that there are the largest files beside the XML: a
//! route of at most 100,000 places, a recording of 2 MiB, a clinical document of 4 MiB; one of them takes a few times its
//! size while it goes through. A zip may have 200,000 entries.
//!
//! **Thread.** One, started with the source, because inflating and parsing never pause at a point where a job could
//! end. It is a blocking job like any other (counted and awaited), waits while the queue is full and ends when the
//! source is dropped.
//!
//! **Errors.** An element that can't be read (a date is missing, a number is none, a constant is unknown, half a UTF-8
//! sequence, a tag that is not closed) is a reject with its location (`export.zip!apple_health_export/export.xml:4711`,
//! the byte in the XML), and the others are kept. What is no export, or a damaged or truncated one, is `State`; what
//! is good before the damage is delivered first, in an epoch that the source seals. A file that is not there, or a folder
//! without an export, is `Config`. Errors of the file system that may heal are `Transient`; the next pull opens the file again.
//!
//! # What exports are like, and what is made of it
//!
//! The XML is found by its root `HealthData`, whatever its name. Its DTD is never parsed (that of iOS 16 is broken),
//! control characters are dropped, and of an attribute that is written twice the first counts. There are no ids:
//! they are [derived](afferent_formats::identity) from the record, for which the address in memory that a device's text
//! carries is dropped. Dates have the offset of the phone that exported, not of the sample: a record's `zone` is what
//! its metadata say (`HKTimeZone`), else unknown. Units are kept as given, and a percentage is a fraction under `%`.
//! A category's constant that this program does not know (of a newer system) stays as JSON. Name and date of birth in
//! electrocardiograms and in `Me` are not read. `creationDate` is not kept. [`Config::types`], `since` and `until` decide
//! in the reader: what they leave out is counted as passed over and appears in no account.

mod beside;
mod cache;
mod convert;
mod date;
mod device;
mod ecg;
mod element;
mod gpx;
mod locate;
mod position;
mod prolog;
mod reader;
mod shared;
mod skipped;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod text;
mod window;

use std::path::{Path, PathBuf};

use afferent_core::{
    Error, Kind, Name, Problem, Pulled, Record, Result, Source, SourceCx,
    blocking::Job,
    config::Configure,
    queue::{QueueLimits, Receiver, queue},
};
use serde::Deserialize;
use tokio::sync::oneshot;

pub use self::skipped::{Report, Skip, Skipped};
use self::{
    convert::Rules,
    position::Place,
    reader::{Chunk, Opened, Task},
};

/// Batches the reader may be ahead: one that is being taken and one that is ready.
const QUEUED_BATCHES: usize = 2;

/// Bytes of XML between two reports of progress; some ten a second at full speed.
const PROGRESS_BYTES: u64 = 16 << 20;

/// Configuration of an export source.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The `export.zip`, the folder it was unpacked to, or the XML in it. What it is is seen from its content.
    pub path: PathBuf,
    /// Which types are read, by full or short identifier; `["*"]` is all.
    #[serde(default = "all_types")]
    pub types: Vec<String>,
    /// The pseudonymous id of the person whose export it is.
    #[serde(default)]
    pub subject: Option<String>,
    /// Only records that start at this time or later: RFC 3339, or a day, which begins at midnight UTC.
    #[serde(default)]
    pub since: Option<String>,
    /// Only records that start before this time.
    #[serde(default)]
    pub until: Option<String>,
}

fn all_types() -> Vec<String> {
    vec![ALL.to_owned()]
}

/// What stands for all types.
const ALL: &str = "*";

impl Config {
    /// Everything of the export at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Config {
        Config { path: path.into(), types: all_types(), subject: None, since: None, until: None }
    }

    fn rules(&self) -> Result<Rules> {
        if let Some(problem) = self.check().into_iter().next() {
            return Err(Error::config(problem.message));
        }
        let instant = |text: &Option<String>| text.as_deref().and_then(date::configured);
        let all = self.types.iter().any(|name| name == ALL);
        Ok(Rules {
            subject: self.subject.as_deref().map(Name::from),
            kinds: (!all).then(|| self.types.iter().filter_map(|name| Kind::parse(name).ok()).collect()),
            since: instant(&self.since),
            until: instant(&self.until),
        })
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push(Problem::new("path", "the path is empty").help("give the path of an export.zip"));
        }
        if self.types.is_empty() {
            problems.push(
                Problem::new("types", "no type is named").help("name types, or leave the key out for all"),
            );
        }
        for (index, name) in self.types.iter().enumerate().filter(|(_, name)| *name != ALL) {
            if let Err(unknown) = Kind::parse(name) {
                problems.push(Problem::new(&format!("types.{index}"), unknown.to_string()));
            }
        }
        if self.subject.as_deref() == Some("") {
            problems
                .push(Problem::new("subject", "the subject is empty").help("name it, or leave the key out"));
        }
        for (key, text) in [("since", &self.since), ("until", &self.until)] {
            if text.as_deref().is_some_and(|text| date::configured(text).is_none()) {
                problems.push(
                    Problem::new(
                        key,
                        "expected a time such as \"2025-01-31T08:00:00Z\" or a day such as \"2025-01-31\"",
                    )
                    .help("write it in one of these forms"),
                );
            }
        }
        let [since, until] =
            [&self.since, &self.until].map(|text| text.as_deref().and_then(date::configured));
        if since.zip(until).is_some_and(|(since, until)| until <= since) {
            problems.push(
                Problem::new("until", "nothing is between `since` and `until`")
                    .help("give a time after that of `since`"),
            );
        }
        problems
    }

    fn resolve(&mut self, base: &Path) {
        self.path = base.join(&self.path);
    }
}

/// Reads an Apple Health export; see the [module](self).
#[derive(Debug)]
pub struct Export {
    config: Config,
    cx: Option<SourceCx>,
    reading: Option<Reading>,
    /// Behind what was given, and the fingerprint of what it was given from.
    given: Option<(String, Place)>,
    report: Option<Report>,
    finished: bool,
}

/// A reader at work.
#[derive(Debug)]
struct Reading {
    job: Job<Result<()>>,
    chunks: Receiver<Chunk>,
    fingerprint: String,
    size: u64,
    /// What was last reported as progress.
    reported: u64,
}

impl Export {
    /// A source for the export that `config` names. Nothing is opened yet.
    pub fn new(config: Config) -> Export {
        Export { config, cx: None, reading: None, given: None, report: None, finished: false }
    }

    /// Publishes in `report` what is passed over, in place of a notice at the end.
    pub fn with_report(self, report: Report) -> Export {
        Export { report: Some(report), ..self }
    }

    /// Starts a reader behind what was given.
    async fn start(&mut self) -> Result<Reading> {
        let cx = self
            .cx
            .as_ref()
            .ok_or_else(|| Error::bug("an export source was asked for records before it was opened"))?;
        let room = |limit: usize| u32::try_from(limit.saturating_mul(QUEUED_BATCHES)).unwrap_or(u32::MAX);
        let (sender, chunks) =
            queue(QueueLimits { records: room(cx.limits.records), bytes: room(cx.limits.bytes) });
        let (opened, is_open) = oneshot::channel();
        let task = Task {
            path: self.config.path.clone(),
            rules: self.config.rules()?,
            limits: cx.limits,
            resume: self.given.clone(),
            events: cx.events.clone(),
            tells_skipped: self.report.is_none(),
        };
        let job = cx.blocking.spawn(move || reader::run(task, opened, sender));
        match is_open.await {
            Ok(Opened { fingerprint, size, place }) => {
                cx.events.progress(place.offset, Some(size));
                publish(self.report.as_ref(), &place);
                let reported = place.offset;
                self.given = Some((fingerprint.clone(), place));
                Ok(Reading { job, chunks, fingerprint, size, reported })
            }
            Err(_) => {
                job.await??;
                Err(Error::bug("the export reader ended before it opened the file, without an error"))
            }
        }
    }
}

impl Source for Export {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        self.given = match &cx.position {
            Some(position) => Some((position.fingerprint.clone(), Place::from_position(position)?)),
            None => None,
        };
        self.cx = Some(cx);
        self.reading = Some(self.start().await?);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        if self.finished {
            return Ok(None);
        }
        let reading = match self.reading.as_mut() {
            Some(reading) => reading,
            None => {
                let reading = self.start().await?;
                self.reading.insert(reading)
            }
        };
        let chunk = reading.chunks.recv().await;
        let done = chunk.as_ref().map_or(reading.size, |chunk| chunk.place.offset);
        if done - reading.reported >= PROGRESS_BYTES || chunk.is_none() {
            reading.reported = done;
            if let Some(cx) = &self.cx {
                cx.events.progress(done, Some(reading.size));
            }
        }
        match chunk {
            Some(Chunk { batch, rejects, place, seal }) => {
                let position = place.to_position(&reading.fingerprint)?;
                publish(self.report.as_ref(), &place);
                self.given = Some((reading.fingerprint.clone(), place));
                Ok(Some(Pulled { batch, rejects, position, seal }))
            }
            None => {
                if let Some(reading) = self.reading.take() {
                    reading.job.await??;
                }
                self.finished = true;
                Ok(None)
            }
        }
    }
}

fn publish(report: Option<&Report>, place: &Place) {
    if let Some(report) = report {
        report.set(&place.skipped);
    }
}
