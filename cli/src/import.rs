//! `afferent import`: an Apple Health export into a database or files.
//!
//! It is a pipeline like any other, named after what it does, so that an import that was interrupted goes on where
//! it stopped.
//!
//! - **Into a database** it ends by forgetting its checkpoint: the next import reads everything again. The
//!   database absorbs what it has by identity, so the same export changes nothing, a deleted database is filled
//!   again, and next month's export adds what is new.
//! - **Into files** identity can't help: a file shows what it is given. There the checkpoint is kept as long as
//!   the file or directory is, so the same export adds nothing; another export at the same path is read whole, as
//!   anywhere.
//! - **Only counting** leaves nothing: its state is in a directory that is removed at the end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf, absolute},
    str::FromStr,
};

use afferent::{
    Builder,
    afferent_core::{
        CheckpointStore, Error, ErrorKind, Limits, Result, Timestamp,
        config::Configure,
        engine::{End, Settings},
    },
    definition::StageInfo,
    formats::Format,
    registry::StageKind,
    runtime::{Runtime, RuntimeOptions},
    sinks::{
        blackhole::{self, Blackhole},
        file::{self, FileSink},
        sqlite::{self, Sqlite},
    },
    sources::export::{self, Export, Report, Skipped},
};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    account,
    args::{Global, ImportArgs},
    census::{Census, Counted, Results},
    drive::{Job, PATIENCE, Summary, Waits, drive, not_started},
    exit::Exit,
    numbers::count,
    render::Channel,
    ui::Ui,
};

/// Larger batches than usual: the database takes the rows of one in the order of its own tree, and there is but one pipeline.
const LIMITS: Limits = Limits { records: 1536, bytes: 1 << 20 };

/// The name of a file of `csv:DIR`.
const CSV_FILE: &str = "{type}.csv";

/// Where an import goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Destination {
    Sqlite(PathBuf),
    Ndjson(PathBuf),
    /// A directory, with a file for each type.
    Csv(PathBuf),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Destination, String> {
        match text.split_once(':').filter(|(_, path)| !path.is_empty()) {
            Some(("sqlite", path)) => Ok(Destination::Sqlite(path.into())),
            Some(("ndjson", path)) => Ok(Destination::Ndjson(path.into())),
            Some(("csv", path)) => Ok(Destination::Csv(path.into())),
            _ => Err("expected sqlite:FILE, ndjson:FILE or csv:DIR, such as sqlite:health.db".to_owned()),
        }
    }
}

pub(crate) async fn import(args: &ImportArgs, global: &Global, ui: &Ui) -> Exit {
    let mut config = export::Config::new(&args.export);
    if !args.types.is_empty() {
        config.types.clone_from(&args.types);
    }
    (config.subject, config.since, config.until) =
        (args.subject.clone(), args.since.clone(), args.until.clone());
    let problems = config.check();
    for problem in &problems {
        let option = problem.key_path.first().filter(|key| *key != "path");
        let option = option.map(|key| format!("--{key}: ")).unwrap_or_default();
        ui.error(format_args!("{option}{}", problem.message));
        if let Some(help) = &problem.help {
            ui.talk(format_args!("  help: {help}"));
        }
    }
    if !problems.is_empty() {
        return Exit::Usage;
    }
    if let Some(to) = args.to.as_ref().filter(|to| !args.dry_run && is_same(to.path(), &args.export)) {
        ui.error(format_args!(
            "--to: {} is the export itself, which is only read; give another path",
            to.path().display()
        ));
        return Exit::Usage;
    }
    let import = match name(args) {
        Ok(name) => Import { name, config, results: Results::default(), skipped: Report::default() },
        Err(error) => return not_started(&error, ui),
    };
    let ended = match &args.to {
        Some(to) if !args.dry_run => import.deliver(to, global, ui).await,
        _ => import.count(ui).await,
    };
    ended.unwrap_or_else(|error| not_started(&error, ui))
}

struct Import {
    name: String,
    config: export::Config,
    results: Results,
    skipped: Report,
}

impl Import {
    /// Delivers the export to `to`.
    async fn deliver(&self, to: &Destination, global: &Global, ui: &Ui) -> Result<Exit> {
        let runtime = Runtime::open(&global.data, RuntimeOptions::default()).await?;
        let reading = self.reading();
        let spec = match to.clone() {
            Destination::Sqlite(path) => {
                reading.sink("sqlite", move || Ok(Sqlite::new(sqlite::Config { path: path.clone() })))
            }
            Destination::Ndjson(path) => reading.sink("file", file(Format::Json, path)),
            Destination::Csv(path) => reading.sink("file", file(Format::Csv, path.join(CSV_FILE))),
        };
        let summary = self.summary(Channel::Talk);
        let job = Job { title: "import".to_owned(), summary: Some(summary), ..Job::new(spec.build()?) };
        let name = job.spec.name.clone();
        if !to.path().exists() {
            runtime.forget(&name).await?;
        }
        let driven = drive(&runtime, Some(&global.data), vec![job], Waits::default(), ui).await?;
        let finished = driven.outcomes.get(&name).is_some_and(|outcome| outcome.end == End::Finished);
        // Its dead letters go with it, so it is kept while there are any: people were just told where they are.
        let dead = runtime.store().count_dead_letters(&name).await? > 0;
        if finished && !dead && matches!(to, Destination::Sqlite(_)) {
            runtime.forget(&name).await?;
        }
        runtime.shutdown(PATIENCE).await?;
        if !ui.is_json() && driven.outcomes.contains_key(&name) {
            if finished {
                ui.say(account::next([&to.stage()], []));
            } else {
                ui.say("\nNot all was read; the same command goes on where this one stopped.");
            }
        }
        Ok(driven.exit)
    }

    /// Only counts.
    async fn count(&self, ui: &Ui) -> Result<Exit> {
        let state = tempfile::tempdir().map_err(|error| {
            Error::new(ErrorKind::CantCreate, "can't create a temporary directory").with_source(error)
        })?;
        let runtime = Runtime::open(state.path(), RuntimeOptions::default()).await?;
        let spec = self.reading().sink("nowhere", || Ok(Blackhole::new(blackhole::Config {}))).build()?;
        let job =
            Job { title: "dry run".to_owned(), summary: Some(self.summary(Channel::Data)), ..Job::new(spec) };
        let driven = drive(&runtime, None, vec![job], Waits::default(), ui).await?;
        runtime.shutdown(PATIENCE).await?;
        Ok(driven.exit)
    }

    /// What reads the export and counts it.
    fn reading(&self) -> Builder {
        let (config, results, skipped) = (self.config.clone(), self.results.clone(), self.skipped.clone());
        Builder::new(self.name.clone())
            .settings(Settings { limits: LIMITS, ..Settings::default() })
            .source("export", move || Ok(Export::new(config.clone()).with_report(skipped.clone())))
            .transform("count", move || Ok(Census::new(results.clone())))
    }

    /// Shows what was counted; `channel` is where people find it.
    fn summary(&self, channel: Channel) -> Summary {
        let (results, skipped) = (self.results.clone(), self.skipped.clone());
        Box::new(move |ui| {
            let (counted, skipped) = (results.get(), skipped.get());
            if ui.is_json() {
                return for_programs(&counted, &skipped, ui);
            }
            let text = for_people(&counted, &skipped);
            match channel {
                Channel::Data => ui.data(text),
                Channel::Talk => ui.say(text),
            }
        })
    }
}

/// Makes file sinks.
fn file(format: Format, path: PathBuf) -> impl Fn() -> Result<FileSink> + Send + Sync + 'static {
    let config = file::Config { path, format, roll: None };
    move || Ok(FileSink::new(config.clone()))
}

/// Whether both lead to one file: lines are added to one that is there, and an export is one, too.
fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// The same name for the same import: what is read, where from and where to.
fn name(args: &ImportArgs) -> Result<String> {
    let place = |path: &Path| {
        absolute(path).map_err(|error| Error::config(format!("{} is no path: {error}", path.display())))
    };
    let to = match &args.to {
        Some(Destination::Sqlite(path)) => ("sqlite", place(path)?),
        Some(Destination::Ndjson(path)) => ("ndjson", place(path)?),
        Some(Destination::Csv(path)) => ("csv", place(path)?),
        None => ("", PathBuf::new()),
    };
    let what = format!(
        "{:?}",
        (place(&args.export)?, to.0, to.1, &args.types, &args.since, &args.until, &args.subject)
    );
    Ok(format!("import-{:016x}", xxh3_64(what.as_bytes())))
}

impl Destination {
    fn path(&self) -> &Path {
        match self {
            Destination::Sqlite(path) | Destination::Ndjson(path) | Destination::Csv(path) => path,
        }
    }

    fn stage(&self) -> StageInfo {
        let (type_name, path) = match self {
            Destination::Sqlite(path) => ("sqlite", path.clone()),
            Destination::Ndjson(path) => ("file", path.clone()),
            Destination::Csv(path) => ("file", path.join(CSV_FILE)),
        };
        StageInfo {
            kind: StageKind::Sink,
            name: type_name.into(),
            type_name: type_name.to_owned(),
            path: Some(path),
            queue: None,
            format: None,
            guarantee: None,
        }
    }
}

/// How many records of each type, most first, and from when to when; then what was passed over, and why.
fn for_people(counted: &BTreeMap<String, Counted>, skipped: &Skipped) -> String {
    let mut rows: Vec<_> = counted.iter().collect();
    rows.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.records));
    let width = rows.iter().map(|(kind, _)| kind.len()).chain([4]).max().unwrap_or_default();
    let mut text = String::new();
    if !rows.is_empty() {
        text += &format!("\n  {:width$}  {:>11}  first       last (UTC)\n", "type", "records");
    }
    for (kind, Counted { records, first, last }) in rows {
        text += &format!("  {kind:width$}  {:>11}  {}  {}\n", count(*records), day(first), day(last));
    }
    if !skipped.is_empty() {
        text += "\n  passed over\n";
    }
    for (skip, number) in skipped.iter() {
        text += &format!("  {:>11}  {skip}\n", count(number));
    }
    text.truncate(text.trim_end().len());
    text
}

/// The same, a line for each type and each reason.
fn for_programs(counted: &BTreeMap<String, Counted>, skipped: &Skipped, ui: &Ui) {
    for (kind, Counted { records, first, last }) in counted {
        ui.json(&json!({ "type": kind, "records": records, "first": first.to_string(), "last": last.to_string() }));
    }
    for (skip, number) in skipped.iter() {
        ui.json(&json!({ "passed_over": skip.code(), "what": skip.to_string(), "count": number }));
    }
}

fn day(time: &Timestamp) -> String {
    time.to_string().chars().take("2026-03-01".len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: destinations as people write them. Guarantees: none is guessed.
    #[test]
    fn destinations_are_read() {
        assert_eq!("sqlite:a.db".parse(), Ok(Destination::Sqlite("a.db".into())));
        assert_eq!("csv:C:/out".parse(), Ok(Destination::Csv("C:/out".into())));
        for bad in ["a.db", "sqlite:", "postgres:x", ""] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
    }
}
