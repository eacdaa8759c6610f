//! `afferent audit`: whether everything that came in is accounted for.

use afferent::{
    afferent_core::{CheckpointStore, Error, Name, Result},
    runtime::Runtime,
};

use crate::{
    account::{grid, json_lines},
    args::{AuditArgs, Global},
    drive::{PATIENCE, not_started, open},
    exit::Exit,
    numbers::count,
    ui::Ui,
};

pub(crate) async fn audit(args: &AuditArgs, global: &Global, ui: &Ui) -> Exit {
    match go(args, global, ui).await {
        Ok(exit) => exit,
        Err(error) => not_started(&error, ui),
    }
}

async fn go(args: &AuditArgs, global: &Global, ui: &Ui) -> Result<Exit> {
    let runtime = open(global).await?;
    let exit = look(args, &runtime, ui).await;
    runtime.shutdown(PATIENCE).await?;
    exit
}

async fn look(args: &AuditArgs, runtime: &Runtime, ui: &Ui) -> Result<Exit> {
    let store = runtime.store();
    let names: Vec<Name> = match &args.pipeline {
        Some(name) => vec![name.clone()],
        None => store.pipelines().await?,
    };
    let mut exit = Exit::Ok;
    for name in &names {
        let Some(checkpoint) = store.last_checkpoint(name).await? else {
            if args.pipeline.is_some() {
                return Err(Error::config(format!(
                    "there is no checkpoint of `{name}` in this state directory; check the name and --data"
                )));
            }
            continue;
        };
        let ledger = &checkpoint.ledger;
        if ui.is_json() {
            json_lines(name, ledger, Some(checkpoint.epoch), ui);
        } else {
            ui.data(format_args!("{name}, epoch {} of {}\n", checkpoint.epoch, checkpoint.time));
            ui.data(grid(ledger.accounts.iter().map(|(sink, account)| (sink.as_str(), account))));
        }
        for (sink, _) in ledger.accounts.iter().filter(|(_, account)| !account.is_balanced()) {
            ui.error(format_args!(
                "{name}: the account of `{sink}` does not balance; this is a defect, please report it"
            ));
            exit = Exit::Check;
        }
        let kept = store.count_dead_letters(name).await?;
        if kept > ledger.dead_letters {
            ui.error(format_args!(
                "{name}: {} dead letters are kept, and its ledger knows of {}; please report it",
                count(kept),
                count(ledger.dead_letters)
            ));
            exit = Exit::Check;
        }
    }
    if names.is_empty() {
        ui.say("no pipeline has run with this state directory");
    }
    Ok(exit)
}
