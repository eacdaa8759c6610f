//! What a run leaves: the accounts, where dead letters are, and what one would type next.

use std::{path::Path, time::Duration};

use afferent::{
    afferent_core::{
        DeadLetter, Epoch, Name,
        engine::{End, Outcome},
        ledger::{Account, Ledger},
    },
    definition::StageInfo,
    registry::StageKind,
};
use serde::Serialize;

use crate::{
    args::DEFAULT_DATA,
    numbers::{count, counted, duration},
    ui::Ui,
};

/// Commands that are suggested at the end.
const NEXT: usize = 3;
/// Dead letters that are shown as examples.
pub(crate) const EXAMPLES: usize = 3;

/// A pipeline that has ended.
pub(crate) struct Ended<'a> {
    pub(crate) pipeline: &'a Name,
    /// How people know it.
    pub(crate) title: &'a str,
    pub(crate) outcome: &'a Outcome,
    /// How long it ran.
    pub(crate) time: Duration,
    /// How many of its records are in the dead letters, since epoch 0, and some of them.
    pub(crate) dead: u64,
    pub(crate) examples: &'a [DeadLetter],
    /// The state directory, if the dead letters stay.
    pub(crate) state: Option<&'a Path>,
}

/// An account for programs.
#[derive(Serialize)]
struct Line<'a> {
    pipeline: &'a str,
    sink: &'a str,
    #[serde(flatten)]
    account: &'a Account,
    epochs: u64,
}

impl Ended<'_> {
    /// One line for each account, on stdout.
    pub(crate) fn json(&self, ui: &Ui) {
        json_lines(self.pipeline, &self.outcome.ledger, self.outcome.epoch, ui);
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let how = match self.outcome.end {
            End::Finished => "finished",
            End::Idle => "is idle",
            End::Stopped => "stopped",
            End::Killed => "was stopped at once",
        };
        let mut text = format!("\n{} {how} after {}\n\n", self.title, duration(self.time));
        text += &grid(self.outcome.ledger.accounts.iter().map(|(sink, account)| (sink.as_str(), account)));
        if self.dead > 0 {
            let records = counted(self.dead, "record");
            text += &match self.state {
                Some(state) => {
                    let data = if state == Path::new(DEFAULT_DATA) {
                        String::new()
                    } else {
                        format!(" --data {}", quote(state))
                    };
                    format!("\n{records} in the dead letters: afferent dlq ls {}{data}\n", self.pipeline)
                }
                None => format!("\n{records} could not be read and would be dead letters\n"),
            };
            for letter in self.examples {
                let place = if letter.location.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", letter.location)
                };
                text += &format!("  {}: {}{place}\n", letter.stage, letter.reason);
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// One line for each account, on stdout.
fn json_lines(pipeline: &str, ledger: &Ledger, epoch: Option<Epoch>, ui: &Ui) {
    let epochs = epoch.map_or(0, |Epoch(last)| last + 1);
    for (sink, account) in &ledger.accounts {
        ui.json(&Line { pipeline, sink, account, epochs });
    }
}

/// A table of accounts: right-aligned numbers, and no column that says nothing anywhere.
pub(crate) fn grid<'a>(accounts: impl Iterator<Item = (&'a str, &'a Account)>) -> String {
    let rows = accounts.map(|(sink, account)| Row { name: sink.to_owned(), account, says: "" });
    table(&rows.collect::<Vec<_>>())
}

/// A row of a table of accounts.
pub(crate) struct Row<'a> {
    pub(crate) name: String,
    pub(crate) account: &'a Account,
    /// What stands behind its numbers.
    pub(crate) says: &'static str,
}

/// A table of `accounts`.
pub(crate) fn table(accounts: &[Row<'_>]) -> String {
    type Column = (&'static str, fn(&Account) -> u64);
    let mut columns: Vec<Column> = vec![
        ("read", |a| a.read),
        ("derived", |a| a.derived),
        ("delivered", |a| a.delivered),
        ("filtered", |a| a.filtered),
        ("superseded", |a| a.superseded),
        ("dead", |a| a.dead),
        ("pending", |a| a.pending),
    ];
    columns.retain(|(name, of)| *name != "derived" || accounts.iter().any(|row| of(row.account) > 0));
    let first = accounts.iter().map(|row| row.name.len()).chain([4]).max().unwrap_or_default();
    let mut text = format!("  {:first$}", "sink");
    let widths: Vec<usize> = columns
        .iter()
        .map(|(name, of)| {
            accounts.iter().map(|row| count(of(row.account)).len()).chain([name.len()]).max().unwrap_or(0)
        })
        .collect();
    for ((name, _), width) in columns.iter().zip(&widths) {
        text += &format!("  {name:>width$}");
    }
    text.push('\n');
    for Row { name, account, says } in accounts {
        text += &format!("  {name:first$}");
        for ((_, of), width) in columns.iter().zip(&widths) {
            text += &format!("  {:>width$}", count(of(account)));
        }
        if !says.is_empty() {
            text += &format!("  {says}");
        }
        text.push('\n');
    }
    text
}

/// Commands that look at what the sinks of `stages` have, then `others`; at most three.
pub(crate) fn next<'a>(
    stages: impl IntoIterator<Item = &'a StageInfo>,
    others: impl IntoIterator<Item = String>,
) -> String {
    let looks = stages.into_iter().filter(|stage| stage.kind == StageKind::Sink).filter_map(look);
    let commands: Vec<String> = looks.chain(others).take(NEXT).collect();
    if commands.is_empty() {
        return String::new();
    }
    format!("\nNext:\n  {}", commands.join("\n  "))
}

/// A command that looks at what `sink` has.
fn look(sink: &StageInfo) -> Option<String> {
    let path = sink.path.as_ref()?;
    let quoted = quote(path);
    match sink.type_name.as_str() {
        "sqlite" => Some(format!(
            "sqlite3 {quoted} \"select type, count(*) from samples group by type order by 2 desc\""
        )),
        "file" if path.exists() => Some(format!("head -n 3 {quoted}")),
        "file" => match path.parent()? {
            here if here.as_os_str().is_empty() => Some("ls".to_owned()),
            directory => Some(format!("ls {}", quote(directory))),
        },
        _ => None,
    }
}

/// A path as a shell takes it.
pub(crate) fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: accounts of two sinks, with and without derived records. Guarantees: columns line up, and one that
    /// nobody uses is not there.
    #[test]
    fn accounts_line_up() {
        let all = Account { read: 12_345, delivered: 12_000, filtered: 345, ..Account::default() };
        let some = Account { derived: 1, ..all };
        let plain = grid([("sqlite", &all), ("archive", &Account::default())].into_iter());
        assert_eq!(
            plain,
            "  sink       read  delivered  filtered  superseded  dead  pending\n\
             \x20 sqlite   12,345     12,000       345           0     0        0\n\
             \x20 archive       0          0         0           0     0        0\n"
        );
        assert!(grid([("sqlite", &some)].into_iter()).contains("derived"));
    }

    /// Scenario: paths with and without characters that a shell reads. Guarantees: what is suggested can be typed.
    #[test]
    fn paths_are_quoted_where_needed() {
        assert_eq!(quote(Path::new("out/a-1.db")), "out/a-1.db");
        assert_eq!(quote(Path::new("my out/it's")), r"'my out/it'\''s'");
    }
}
