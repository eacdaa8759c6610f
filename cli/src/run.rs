//! `afferent run`.

use afferent::{
    PipelineSpec, Registry,
    afferent_core::Result,
    definition::Definition,
    runtime::{Runtime, RuntimeOptions},
};

use crate::{
    account,
    args::{Global, RunArgs},
    drive::{Job, PATIENCE, drive, not_started},
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
                spec.settings.until_idle = args.until_idle;
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
    Ok((read.definitions, specs))
}

async fn go(
    args: &RunArgs,
    global: &Global,
    definitions: &[Definition],
    specs: Vec<PipelineSpec>,
    ui: &Ui,
) -> Result<Exit> {
    let options = RuntimeOptions { set_aside_damaged: args.from_start, ..RuntimeOptions::default() };
    let runtime = Runtime::open(&global.data, options).await?;
    if args.from_start {
        for spec in &specs {
            runtime.forget(&spec.name).await?;
        }
    }
    if definitions.iter().flat_map(Definition::stages).any(|stage| stage.type_name == "stdout") {
        ui.hide_bars();
    }
    let jobs =
        specs.into_iter().map(|spec| Job { title: spec.name.to_string(), spec, summary: None }).collect();
    let driven = drive(&runtime, Some(&global.data), jobs, args.timeout.map(|timeout| timeout.0), ui).await?;
    runtime.shutdown(PATIENCE).await?;
    if !ui.is_json() {
        let ended = definitions.iter().filter(|definition| driven.outcomes.contains_key(definition.name()));
        let again = args.files.iter().map(|file| account::quote(file)).collect::<Vec<_>>().join(" ");
        let mut others = vec![format!("afferent run {again} --until-idle")];
        let mut accounts = driven.outcomes.values().flat_map(|outcome| outcome.ledger.accounts.values());
        // It is refused while records wait for a receiver, and would send that everything again, under other keys.
        let uploads = definitions.iter().flat_map(Definition::stages).any(|stage| stage.type_name == "http");
        if !uploads && accounts.all(|account| account.pending == 0) {
            others.push(format!("afferent run {again} --until-idle --from-start"));
        }
        ui.say(account::next(ended.flat_map(Definition::stages), others));
    }
    Ok(driven.exit)
}
