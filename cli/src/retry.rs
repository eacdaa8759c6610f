//! `afferent dlq retry`: dead letters are put into their pipeline again.

use std::path::PathBuf;

use afferent::{
    Definition, Registry,
    afferent_core::{Error, LetterId, Result, config::Span},
    runtime::{RetryReport, Selection},
};
use clap::Args;
use serde_json::json;

use crate::{
    args::Global,
    drive::{Job, PATIENCE, Waits, drive, not_started, open},
    exit::Exit,
    files,
    numbers::{count, counted},
    render::{self, Channel},
    ui::Ui,
};

/// Letters that are named one by one when they were passed over.
const NAMED: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The pipeline's file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Their ids, as `ls` shows them
    #[arg(conflicts_with = "all")]
    ids: Vec<LetterId>,
    /// All of the pipeline
    #[arg(long)]
    all: bool,
    /// Give up after this time, with exit code 75; what is not settled then stays
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Span>,
}

pub(crate) async fn retry(args: &RetryArgs, global: &Global, ui: &Ui) -> Exit {
    if args.ids.is_empty() && !args.all {
        ui.error("name the dead letters to put in again, or say --all");
        return Exit::Usage;
    }
    let Some(definition) = read(args, ui) else { return Exit::Config };
    match go(args, &definition, global, ui).await {
        Ok(exit) => exit,
        Err(error) => not_started(&error, ui),
    }
}

/// Reads the file; what is wrong has been shown when there is none.
fn read(args: &RetryArgs, ui: &Ui) -> Option<Definition> {
    let mut read = files::read(std::slice::from_ref(&args.file), &Registry::builtin());
    for definition in &read.definitions {
        read.errors.extend(definition.spec().err());
    }
    for report in &read.errors {
        render::show(report, Channel::Talk, ui);
    }
    render::conclude(&read.errors, ui);
    read.definitions.pop().filter(|_| read.errors.is_empty())
}

async fn go(args: &RetryArgs, definition: &Definition, global: &Global, ui: &Ui) -> Result<Exit> {
    // It was made before; only the environment could have changed.
    let spec = definition.spec().map_err(|_| Error::config("the pipeline's file can't be used any more"))?;
    let runtime = open(global).await?;
    let name = spec.name.clone();
    let before = runtime.store().last_checkpoint(&name).await?.map_or(0, |last| last.ledger.dead_letters);
    let selection = if args.all { Selection::All } else { Selection::Ids(args.ids.clone()) };
    let retry = runtime.retry(spec, definition.stages(), selection).await?;
    let job = Job::new(retry.spec.clone());
    let timeout = args.timeout.map(|timeout| timeout.0);
    let driven =
        drive(&runtime, Some(&global.data), vec![job], Waits { timeout, ..Waits::default() }, ui).await?;
    let after = runtime.store().last_checkpoint(&name).await?.map_or(before, |last| last.ledger.dead_letters);
    runtime.shutdown(PATIENCE).await?;

    let RetryReport { put_in, passed_over } = retry.report();
    let again = after.saturating_sub(before);
    if ui.is_json() {
        let passed_over = passed_over.iter().map(|(id, why)| json!({ "id": id.to_string(), "reason": why }));
        ui.json(&json!({
            "pipeline": name.as_str(),
            "put_in": put_in.len(),
            "dead_again": again,
            "passed_over": passed_over.collect::<Vec<_>>(),
        }));
    } else {
        ui.say(format_args!(
            "\nput in {} again; {} dead again, {} passed over",
            counted(put_in.len() as u64, "dead letter"),
            count(again),
            count(passed_over.len() as u64)
        ));
        for (id, reason) in passed_over.iter().take(NAMED) {
            ui.say(format_args!("  {id}: {reason}"));
        }
        if passed_over.len() > NAMED {
            ui.say(format_args!("  and {} more", count((passed_over.len() - NAMED) as u64)));
        }
    }
    let all_settled = again == 0 && passed_over.is_empty();
    Ok(driven.exit.or(if all_settled { Exit::Ok } else { Exit::Data }))
}
