//! `afferent import`: an Apple Health export into a database or a file.
//!
//! It is a pipeline like any other, named after what it does, so that an import that was interrupted goes on where
//! it stopped.
//!
//! - **Into a database** it ends by forgetting its checkpoint: the next import reads everything again. The
//!   database absorbs what it has by identity, so the same export changes nothing, a deleted database is filled
//!   again, and next month's export adds what is new.
//! - **Into a file** identity can't help: a file shows what it is given. There the checkpoint is kept as long as
//!   the file is, so the same export adds nothing; another export at the same path is read whole, as anywhere.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf, absolute},
    str::FromStr,
};

use afferent::{
    Builder, PipelineSpec,
    afferent_core::{CheckpointStore, Error, Result, Timestamp, config::Configure, engine::End},
    definition::StageInfo,
    formats::Format,
    registry::StageKind,
    runtime::{Runtime, RuntimeOptions},
    sinks::{
        file::{self, FileSink},
        sqlite::{self, Sqlite},
    },
    sources::export::{self, Export},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    account,
    args::{Global, ImportArgs},
    census::{Census, Counted, Results},
    drive::{Job, PATIENCE, drive, not_started},
    exit::Exit,
    numbers::count,
    ui::Ui,
};

/// Types that are listed at the end; an export has up to a hundred, most of them with few records.
const LISTED_TYPES: usize = 15;

/// Where an import goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Destination {
    Sqlite(PathBuf),
    File(Format, PathBuf),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Destination, String> {
        match text.split_once(':').filter(|(_, path)| !path.is_empty()) {
            Some(("sqlite", path)) => Ok(Destination::Sqlite(path.into())),
            Some(("ndjson", path)) => Ok(Destination::File(Format::Json, path.into())),
            Some(("csv", path)) => Ok(Destination::File(Format::Csv, path.into())),
            _ => Err("expected sqlite:FILE, ndjson:FILE or csv:FILE, such as sqlite:health.db".to_owned()),
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
    let results = Results::default();
    let built = name(args).and_then(|name| Ok((pipeline(name, config, &args.to, results.clone())?, args)));
    let ended = match built {
        Ok((spec, args)) => go(args, global, spec, &results, ui).await,
        Err(error) => Err(error),
    };
    ended.unwrap_or_else(|error| not_started(&error, ui))
}

async fn go(
    args: &ImportArgs,
    global: &Global,
    spec: PipelineSpec,
    results: &Results,
    ui: &Ui,
) -> Result<Exit> {
    let runtime = Runtime::open(&global.data, RuntimeOptions::default()).await?;
    let name = spec.name.clone();
    let (Destination::Sqlite(path) | Destination::File(_, path)) = &args.to;
    if !path.exists() {
        runtime.forget(&name).await?;
    }
    let driven =
        drive(&runtime, &global.data, vec![Job { spec, title: "import".to_owned() }], None, ui).await?;
    let finished = driven.outcomes.get(&name).is_some_and(|outcome| outcome.end == End::Finished);
    // Its dead letters go with it, so it is kept while there are any: people were just told where they are.
    let dead = runtime.store().count_dead_letters(&name).await? > 0;
    if finished && !dead && matches!(args.to, Destination::Sqlite(_)) {
        runtime.forget(&name).await?;
    }
    runtime.shutdown(PATIENCE).await?;
    if !ui.is_json() && driven.outcomes.contains_key(&name) {
        ui.say(types(&results.get()));
        if finished {
            ui.say(account::next([&args.to.stage()], []));
        } else {
            ui.say("\nNot all was read; the same command goes on where this one stopped.");
        }
    }
    Ok(driven.exit)
}

fn pipeline(
    name: String,
    config: export::Config,
    to: &Destination,
    results: Results,
) -> Result<PipelineSpec> {
    let builder = Builder::new(name)
        .source("export", move || Ok(Export::new(config.clone())))
        .transform("count", move || Ok(Census::new(results.clone())));
    match to.clone() {
        Destination::Sqlite(path) => {
            builder.sink("sqlite", move || Ok(Sqlite::new(sqlite::Config { path: path.clone() }))).build()
        }
        Destination::File(format, path) => {
            let config = file::Config { path, format, roll: None };
            builder.sink("file", move || Ok(FileSink::new(config.clone()))).build()
        }
    }
}

/// The same name for the same import: what is read, where from and where to.
fn name(args: &ImportArgs) -> Result<String> {
    let place = |path: &Path| {
        absolute(path).map_err(|error| Error::config(format!("{} is no path: {error}", path.display())))
    };
    let (form, to) = match &args.to {
        Destination::Sqlite(path) => ("sqlite", path),
        Destination::File(Format::Json, path) => ("ndjson", path),
        Destination::File(_, path) => ("csv", path),
    };
    let what = format!(
        "{:?}",
        (place(&args.export)?, form, place(to)?, &args.types, &args.since, &args.until, &args.subject)
    );
    Ok(format!("import-{:016x}", xxh3_64(what.as_bytes())))
}

impl Destination {
    fn stage(&self) -> StageInfo {
        let (type_name, path) = match self {
            Destination::Sqlite(path) => ("sqlite", path),
            Destination::File(_, path) => ("file", path),
        };
        StageInfo {
            kind: StageKind::Sink,
            name: type_name.into(),
            type_name: type_name.to_owned(),
            path: Some(path.clone()),
        }
    }
}

/// How many records of each type, most first, and from when to when.
fn types(counted: &BTreeMap<String, Counted>) -> String {
    if counted.is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = counted.iter().collect();
    rows.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.records));
    let more = rows.len().saturating_sub(LISTED_TYPES);
    rows.truncate(LISTED_TYPES);
    let width = rows.iter().map(|(kind, _)| kind.len()).chain([4]).max().unwrap_or_default();
    let mut text = format!("\n  {:width$}  {:>11}  first       last\n", "type", "records");
    for (kind, Counted { records, first, last }) in rows {
        let day = |time: &Timestamp| time.to_string()[..10].to_owned();
        text += &format!("  {kind:width$}  {:>11}  {}  {}\n", count(*records), day(first), day(last));
    }
    if more > 0 {
        text += &format!("  and {more} more types\n");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: destinations as people write them. Guarantees: none is guessed.
    #[test]
    fn destinations_are_read() {
        assert_eq!("sqlite:a.db".parse(), Ok(Destination::Sqlite("a.db".into())));
        assert_eq!("csv:C:/a.csv".parse(), Ok(Destination::File(Format::Csv, "C:/a.csv".into())));
        for bad in ["a.db", "sqlite:", "postgres:x", ""] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
    }
}
