//! `afferent audit`: whether everything that came in is accounted for, by sink and by type.

use afferent::{
    afferent_core::{
        CheckpointStore, Epoch, Error, Kind, Name, Result,
        ledger::{Account, Rows},
    },
    runtime::Runtime,
};

use serde::Serialize;

use crate::{
    account::{Row, table},
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
        if !ui.is_json() {
            ui.data(format_args!("{name}, epoch {} of {}\n", checkpoint.epoch, checkpoint.time));
        }
        for (sink, account) in &ledger.accounts {
            let rows = ledger.types.get(sink).map(|rows| &**rows);
            let audited = Audited { pipeline: name, epoch: checkpoint.epoch, sink, account, rows };
            match ui.is_json() {
                true => audited.json(ui),
                false => ui.data(audited.table()),
            }
            for fault in audited.faults() {
                ui.error(format_args!("{name}: {fault}; this is a defect, please report it"));
                exit = Exit::Check;
            }
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

/// The account of a sink, as it is looked at.
struct Audited<'a> {
    pipeline: &'a Name,
    epoch: Epoch,
    sink: &'a Name,
    account: &'a Account,
    /// The same by type, where that is known.
    rows: Option<&'a Rows>,
}

/// A line for programs: an account, or its row of a type.
#[derive(Serialize)]
struct Line<'a> {
    pipeline: &'a str,
    sink: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(flatten)]
    account: &'a Account,
    epochs: u64,
    balanced: bool,
}

impl Audited<'_> {
    /// The account and its rows, each with whether it balances.
    fn table(&self) -> String {
        let says = |balanced| if balanced { "balanced" } else { "NOT BALANCED" };
        let whole =
            Row { name: self.sink.to_string(), account: self.account, says: says(self.is_balanced()) };
        let types = self.types().map(|(name, account)| Row {
            name: format!("  {}", short(name)),
            account,
            says: says(account.is_balanced()),
        });
        table(&std::iter::once(whole).chain(types).collect::<Vec<_>>())
    }

    /// A line for the account and one for each row.
    fn json(&self, ui: &Ui) {
        let line = |kind, account, balanced| {
            let (pipeline, sink) = (self.pipeline.as_str(), self.sink.as_str());
            ui.json(&Line { pipeline, sink, kind, account, epochs: self.epoch.0 + 1, balanced });
        };
        line(None, self.account, self.is_balanced());
        for (name, row) in self.types() {
            line(Some(name), row, row.is_balanced());
        }
    }

    /// What is wrong with it.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.account.is_balanced() {
            faults.push(format!("the account of `{}` does not balance", self.sink));
        }
        for (name, _) in self.types().filter(|(_, row)| !row.is_balanced()) {
            faults.push(format!("the account of `{}` does not balance for {}", self.sink, short(name)));
        }
        if faults.is_empty() && !self.is_balanced() {
            faults.push(format!("the types do not add up to the account of `{}`", self.sink));
        }
        faults
    }

    /// Whether it balances, and its rows make it up.
    fn is_balanced(&self) -> bool {
        self.account.is_balanced() && self.rows.is_none_or(|rows| rows.make_up(self.account))
    }

    fn types(&self) -> impl Iterator<Item = (&Name, &Account)> {
        self.rows.into_iter().flat_map(|rows| &rows.0)
    }
}

/// A type as people write it.
fn short(name: &str) -> &str {
    // What is no type is a row of another kind, and has no short name.
    Kind::from_data(name).map(Kind::short).unwrap_or(name)
}
