//! `consent`: records of whom, and of which type, may be used for a purpose.
//!
//! The table has the columns `subject`, `type`, `purpose` and, if wanted, `granted`. A row grants the use of records of its type, or
//! with `*` of all types, of its subject for its purpose; with `granted` it may also refuse it. The row of a type beats the one of all
//! types. **Without a row there is no consent**: a subject that nobody wrote down, a type that no row names, a record without a
//! subject do not pass. No row grants for everybody.
//!
//! A correlation passes if it and each type of its samples may. What does not pass is dropped and counted as filtered, or is a dead
//! letter (`refused`): then a copy of it is kept, which somebody who withdrew a consent may not want.
//!
//! **Deletions pass**, whoever's they are: what a receiver has of somebody who withdrew must be deletable there.
//!
//! **A withdrawal** is a changed table. What that means for records and replays stands at the head of `lookup`: from the first epoch
//! on that begins a second after the file was written, no record of the subject passes. That reaches also what is
//! pending *before* this transform: what sources have not given yet and what transforms before it hold; when they give
//! it out it does not pass, and leaves `pending` in the ledger for `filtered` (or `dead`). As the last transform, or before none but
//! others of its kind, it reaches also what has passed and waits in an outbox ([`Permission`]): that is not sent, and filtered. It does
//! not reach what transforms after it hold, and what is delivered.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::{
    Batch, Emit, Kind, MetaValue, Name, Problem, Record, Result, Snapshot, State, Timestamp, Transform,
    Value,
    config::Configure,
    stage::{Look, Permission, Permit},
};
use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use super::lookup::{Built, Column, Fault, Plan, Reloading, Row, TableFormat, check_format, text_of};

/// The columns, in the order in which rows have them.
const SUBJECT: usize = 0;
const TYPE: usize = 1;
const PURPOSE: usize = 2;
const GRANTED: usize = 3;
const COLUMNS: [&str; 4] = ["subject", "type", "purpose", "granted"];

/// What stands for all types.
const ALL: &str = "*";

/// Configuration of [`Consent`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file of the table, in CSV with a header, or in JSON (an array of objects, or an object a line), with the columns `subject`, `type`, `purpose` and, if wanted, `granted`. It is read again when it changes.
    pub table: PathBuf,
    /// How the table is written, `"csv"` or `"json"`, where its name does not end in `.csv`, `.json`, `.ndjson` or `.jsonl`.
    #[serde(default)]
    pub format: Option<TableFormat>,
    /// For what the records are used: rows of other purposes say nothing here.
    pub purpose: String,
    /// What becomes of records without consent: `"drop"`, or `"reject"`, which keeps them as dead letters.
    #[serde(default)]
    pub refused: Refused,
}

/// What becomes of records without consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refused {
    /// They are dropped, and counted as filtered.
    #[default]
    Drop,
    /// They are dead letters.
    Reject,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Consent::new(self).err().unwrap_or_default()
    }

    fn resolve(&mut self, base: &Path) {
        self.table = base.join(&self.table);
    }
}

/// Lets pass what there is consent for.
#[derive(Debug)]
pub struct Consent {
    /// Sinks have it, too.
    table: Reloading<Arc<Given>>,
    refused: Refused,
}

/// The consents that were given.
struct Given {
    index: Index,
    /// Of what the rows say.
    version: u64,
}

/// What each subject has said.
type Index = HashMap<Name, Said, foldhash::fast::RandomState>;

/// What a subject has said of one purpose: a few rows.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Of all types, or of one; with the line of the row.
    rows: Vec<(Option<Kind>, bool, u64)>,
}

impl Said {
    fn grants(&self, kind: Option<Kind>) -> bool {
        let said = |of: Option<Kind>| {
            self.rows.iter().find(|(kind, ..)| *kind == of).map(|(_, granted, _)| *granted)
        };
        said(kind).or_else(|| said(None)).unwrap_or(false)
    }
}

impl Consent {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Consent, Vec<Problem>> {
        let mut problems = Vec::new();
        let format = check_format(&config.table, config.format).map_err(|problem| problems.push(problem));
        if config.purpose.is_empty() {
            let problem = Problem::new("purpose", "expected a purpose, found an empty text");
            problems.push(problem.help("write the one that the rows have, such as \"research\""));
        }
        let (Ok(format), true) = (format, problems.is_empty()) else { return Err(problems) };
        let purpose = config.purpose.clone();
        let [required @ .., optional] = COLUMNS;
        let columns = required.map(Column::required).into_iter().chain([Column::optional(optional)]);
        let plan = Plan {
            path: config.table.clone(),
            format,
            columns: columns.collect(),
            basis: purpose.clone(),
            build: Box::new(move |rows| given(rows, &purpose)),
        };
        Ok(Consent { table: Reloading::new(plan), refused: config.refused })
    }
}

/// What the rows of `purpose` say; the others are taken away.
fn given(rows: &mut Vec<Row>, purpose: &str) -> Result<Built<Arc<Given>>, Fault> {
    let mut index = Index::default();
    let mut version = Xxh3::new();
    let mut wrong = None;
    rows.retain(|row| {
        if wrong.is_some() {
            return false;
        }
        add(row, purpose, &mut index, &mut version).unwrap_or_else(|fault| {
            wrong = Some(fault);
            false
        })
    });
    let strange = || format!("expected rows of the purpose `{purpose}`, found none: no record passes");
    let alarm = index.is_empty().then(strange);
    let given = Given { index, version: version.digest() };
    wrong.map_or(Ok(Built { table: Arc::new(given), alarm }), Err)
}

/// Adds what a row says; whether it says something of `purpose`.
fn add(row: &Row, purpose: &str, index: &mut Index, version: &mut Xxh3) -> Result<bool, Fault> {
    let text = |column: usize| {
        let text = row.cells[column].as_ref().and_then(text_of);
        text.ok_or_else(|| Fault::empty(row, COLUMNS[column]))
    };
    let wrong = |column: usize, what: &str| Fault::new(row.line, format!("`{}`: {what}", COLUMNS[column]));
    let (subject, kind, is_ours) = (text(SUBJECT)?, text(TYPE)?, text(PURPOSE)? == purpose);
    if subject == ALL {
        return Err(wrong(SUBJECT, "expected a subject, found `*`: nobody consents for everybody"));
    }
    let kind = match &*kind {
        ALL => None,
        name => Some(Kind::parse(name).map_err(|_| {
            wrong(TYPE, "expected `*`, a type that is known, or a reverse-domain name, found another text")
        })?),
    };
    let granted = match &row.cells[GRANTED] {
        None => true,
        Some(MetaValue::Bool(granted)) => *granted,
        Some(MetaValue::String(text)) if text.eq_ignore_ascii_case("true") => true,
        Some(MetaValue::String(text)) if text.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(wrong(GRANTED, "expected `true` or `false`, found another value")),
    };
    if !is_ours {
        return Ok(false);
    }
    let said = match index.entry(Name::from(&*subject)) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(Said::default()),
    };
    if let Some((.., line)) = said.rows.iter().find(|(of, ..)| *of == kind) {
        return Err(Fault::twice(row, *line));
    }
    // With what no text has in between, so that no two rows say the same as one.
    for part in
        [subject.as_bytes(), &[0xff], kind.map_or(ALL, Kind::name).as_bytes(), &[0xfe, granted.into()]]
    {
        version.update(part);
    }
    said.rows.push((kind, granted, row.line));
    Ok(true)
}

impl Given {
    /// Whether there is consent for `record`.
    fn passes(&self, record: &Record) -> bool {
        if record.is_deletion() {
            return true;
        }
        let said = record.subject.as_ref().and_then(|subject| self.index.get(subject));
        said.is_some_and(|said| {
            said.grants(record.kind)
                && match &record.value {
                    Value::Correlation(whole) => whole.samples.iter().all(|sample| said.grants(sample.kind)),
                    _ => true,
                }
        })
    }
}

impl Permit<Record> for Given {
    fn version(&self) -> u64 {
        self.version
    }

    fn allows(&self, record: &Record) -> bool {
        self.passes(record)
    }
}

// Who has consented to what is in no log.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Transform for Consent {
    type In = Record;
    type Out = Record;

    fn look(&mut self, now: Timestamp) -> Option<Look> {
        Some(self.table.look(now))
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let (given, before) = (self.table.get()?, input.len());
        input.retain(|record| {
            let passes = given.passes(record);
            if !passes && self.refused == Refused::Reject {
                out.reject_record(record, "expected a consent for this purpose, found none");
            }
            passes
        });
        if self.refused == Refused::Drop {
            out.filtered(before - input.len());
        }
        out.take(input);
        Ok(())
    }

    fn permission(&mut self) -> Permission<Record> {
        // Before the first look, and where nothing was restored, there is none.
        self.table.get().map_or(Permission::Unknown, |given| Permission::by(given.clone()))
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.table.snapshot()
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.table.restore(state)
    }
}
