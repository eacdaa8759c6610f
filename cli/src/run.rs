//! `afferent run`.

use afferent::{
    PipelineSpec, Registry,
    afferent_core::{Name, Result},
    definition::Definition,
    runtime::{Runtime, RuntimeOptions},
};

use crate::{
    account,
    args::{Global, RunArgs},
    drive::{Job, PATIENCE, Waits, drive, not_started},
    exit::Exit,
    files,
    render::{self, Channel},
    ui::Ui,
};

pub(crate) async fn run(args: &RunArgs, global: &Global, ui: &Ui) -> Exit {
    let Ok((definitions, specs)) = load(args, ui) else { return Exit::Config };
    match go(args, global, &definitions, specs, ui).await {
        Ok(exit) => exit,
        Err(error) => not_started(&error, ui),
    }
}

/// Reads the files; what is wrong has been shown when it fails.
fn load(args: &RunArgs, ui: &Ui) -> Result<(Vec<Definition>, Vec<PipelineSpec>), ()> {
    let mut read = files::read(&args.files, &Registry::builtin());
    let mut specs = Vec::new();
    for definition in &read.definitions {
        match definition.spec() {
            Ok(mut spec) => {
                spec.settings.until_idle = args.until_idle && !is_joined(definition, &read.definitions);
                specs.push(spec);
            }
            Err(report) => read.errors.push(report),
        }
    }
    for report in &read.errors {
        render::show(report, Channel::Talk, ui);
    }
    render::conclude(&read.errors, ui);
    if !read.errors.is_empty() {
        return Err(());
    }
    for definition in &read.definitions {
        render::show(definition.warnings(), Channel::Talk, ui);
    }
    for report in &read.warnings {
        render::show(report, Channel::Talk, ui);
    }
    Ok((read.definitions, specs))
}

/// Whether a queue joins `definition` with another one.
fn is_joined(definition: &Definition, all: &[Definition]) -> bool {
    all.iter().any(|other| definition.reads_from(other) || other.reads_from(definition))
}

/// Those of `all` that write to a queue which `definition` reads.
fn feeders(definition: &Definition, all: &[Definition]) -> Vec<Name> {
    all.iter().filter(|other| definition.reads_from(other)).map(|other| other.name().clone()).collect()
}

async fn go(
    args: &RunArgs,
    global: &Global,
    definitions: &[Definition],
    specs: Vec<PipelineSpec>,
    ui: &Ui,
) -> Result<Exit> {
    let options = RuntimeOptions {
        set_aside_damaged: args.from_start,
        take_over: args.take_over,
        ..RuntimeOptions::default()
    };
    let runtime = Runtime::open(&global.data, options).await?;
    if args.from_start {
        for spec in &specs {
            runtime.forget(&spec.name).await?;
        }
    }
    if definitions.iter().flat_map(Definition::stages).any(|stage| stage.type_name == "stdout") {
        ui.hide_bars();
    }
    let mut jobs = Vec::new();
    for (definition, spec) in definitions.iter().zip(specs) {
        let mut job = Job::new(spec);
        job.feeders = feeders(definition, definitions);
        job.finishes_together = args.until_idle && is_joined(definition, definitions);
        jobs.push(job);
    }
    let waits = Waits { timeout: args.timeout.map(|timeout| timeout.0), drain: args.drain.0 };
    let driven = drive(&runtime, Some(&global.data), jobs, waits, ui).await?;
    runtime.shutdown(PATIENCE).await?;
    if !ui.is_json() {
        let ended = definitions.iter().filter(|definition| driven.outcomes.contains_key(definition.name()));
        let again = args.files.iter().map(|file| account::quote(file)).collect::<Vec<_>>().join(" ");
        let mut others = vec![format!("afferent run {again} --until-idle")];
        let mut accounts = driven.outcomes.values().flat_map(|outcome| outcome.ledger.accounts.values());
        // It is refused while records wait for a receiver, and would send that everything again, under other keys.
        let uploads = definitions
            .iter()
            .flat_map(Definition::stages)
            .any(|stage| matches!(stage.type_name.as_str(), "http" | "fhir"));
        if !uploads && accounts.all(|account| account.pending == 0) {
            others.push(format!("afferent run {again} --until-idle --from-start"));
        }
        ui.say(account::next(ended.flat_map(Definition::stages), others));
    }
    Ok(driven.exit)
}
