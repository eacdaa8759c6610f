//! `enrich`: what a table says of a record goes into its metadata.
//!
//! A record's row is the one whose columns are equal to the record's fields, as `key` says. Columns of it are written as metadata,
//! under their own name or another, behind `prefix`; what the metadata had under such a key is replaced, and an empty cell writes nothing.
//! A record without a row goes on as it is, or is a dead letter, or is dropped (`missing`). Two rows of one key are an error of the
//! table: nobody could say which one counts.
//!
//! Cells of CSV are texts, those of JSON texts, numbers and truth values. What is looked up are texts: a number in the metadata
//! or the table is the text that JSON has for it, and a type may have its short name in the table.
//!
//! Deletions pass untouched: they have no metadata that anybody reads. A correlation is one record, and its samples are not looked up.
//!
//! The table may change while the pipeline runs; what that means for records and replays stands at the head of `lookup`.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
};

use afferent_core::{
    Batch, Emit, Kind, MetaValue, Name, Problem, Record, Result, Snapshot, State, Timestamp, Transform,
    config::Configure, stage::Look,
};
use serde::Deserialize;

use super::{
    at,
    lookup::{Built, Column, Fault, Plan, Reloading, Row, TableFormat, check_format, text_of},
};
use crate::cel::{self, Field, nearest};

/// How many fields a key may have, and how many columns may be written: each is looked at for each record.
pub const MAX_COLUMNS: usize = 64;

/// How an entry of the metadata is named in `key`.
const METADATA: &str = "metadata.";

/// Configuration of [`Enrich`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file of the table, in CSV with a header, or in JSON (an array of objects, or an object a line). It is read again when it changes.
    pub table: PathBuf,
    /// How the table is written, `"csv"` or `"json"`, where its name does not end in `.csv`, `.json`, `.ndjson` or `.jsonl`.
    #[serde(default)]
    pub format: Option<TableFormat>,
    /// By field of the record the column that is equal to it: `{ subject = "participant" }`. Fields are the texts that `by` of other transforms has, `unit`, and `metadata.KEY`.
    pub key: BTreeMap<String, String>,
    /// The columns that are written: a list, or by column the key of the metadata: `{ arm = "study_arm" }`.
    pub columns: Columns,
    /// What stands before each key that is written.
    #[serde(default)]
    pub prefix: String,
    /// What becomes of a record without a row: `"keep"`, it goes on as it is, `"reject"`, it is a dead letter, or `"drop"`.
    #[serde(default)]
    pub missing: Missing,
}

/// The columns that are written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Columns {
    /// Under their own names.
    List(Vec<String>),
    /// Under other names.
    Named(BTreeMap<String, String>),
}

impl Columns {
    /// The columns, and what they are called in the metadata.
    fn pairs(&self) -> Vec<(&str, &str)> {
        match self {
            Columns::List(names) => names.iter().map(|name| (&**name, &**name)).collect(),
            Columns::Named(names) => names.iter().map(|(column, name)| (&**column, &**name)).collect(),
        }
    }
}

/// What becomes of a record without a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It goes on as it is.
    #[default]
    Keep,
    /// It is a dead letter.
    Reject,
    /// It is dropped, and counted as filtered.
    Drop,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Enrich::new(self).err().unwrap_or_default()
    }

    fn resolve(&mut self, base: &Path) {
        self.table = base.join(&self.table);
    }
}

/// Writes metadata from a table.
#[derive(Debug)]
pub struct Enrich {
    table: Reloading<Index>,
    key: Vec<KeyField>,
    /// What the cells of a row are called in the metadata.
    names: Vec<Name>,
    missing: Missing,
    /// The key that is looked up; its buffer is used again.
    buffer: Vec<u8>,
}

/// By key, the line of the row, and its cells that are written.
type Index = HashMap<Box<[u8]>, (u64, Box<[Option<MetaValue>]>), foldhash::fast::RandomState>;

/// A part of a key.
#[derive(Clone, Debug, PartialEq)]
enum KeyField {
    Field(Field),
    Metadata(String),
}

impl Enrich {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &Config) -> Result<Enrich, Vec<Problem>> {
        let (mut problems, mut columns) = (Vec::new(), Vec::new());
        let format = check_format(&config.table, config.format).map_err(|problem| problems.push(problem));
        let (mut key, mut key_places) = (Vec::new(), Vec::new());
        for (path, column) in &config.key {
            match key_field(path) {
                Ok(field) => key.push(field),
                Err(problem) => problems.push(at(["key", path], problem)),
            }
            key_places.push(place(&mut columns, column));
        }
        let pairs = config.columns.pairs();
        let places: Vec<usize> = pairs.iter().map(|(column, _)| place(&mut columns, column)).collect();
        for (index, (_, name)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(_, other)| other == name) {
                problems.push(Problem::new("columns", format!("two columns are written as `{name}`")));
            }
        }
        for (keys, found, example) in [
            ("key", config.key.len(), "{ subject = \"participant\" }"),
            ("columns", pairs.len(), "[\"arm\"]"),
        ] {
            if found == 0 || found > MAX_COLUMNS {
                let problem = Problem::new(keys, format!("expected from 1 to {MAX_COLUMNS}, found {found}"));
                problems.push(problem.help(format!("name one, such as {example}")));
            }
        }
        let (Ok(format), true) = (format, problems.is_empty()) else { return Err(problems) };
        let parts: Vec<(KeyField, usize)> = key.iter().cloned().zip(key_places).collect();
        let plan = Plan {
            path: config.table.clone(),
            format,
            basis: format!("{key:?}"),
            columns: columns.iter().map(Column::required).collect(),
            build: Box::new(move |rows| index(rows, &parts, &columns, &places)),
        };
        let names = pairs.iter().map(|(_, name)| Name::from(format!("{}{name}", config.prefix))).collect();
        Ok(Enrich { table: Reloading::new(plan), key, names, missing: config.missing, buffer: Vec::new() })
    }
}

/// Where `name` is among `columns`, to which it is added.
fn place(columns: &mut Vec<String>, name: &str) -> usize {
    columns.iter().position(|column| column == name).unwrap_or_else(|| {
        columns.push(name.to_owned());
        columns.len() - 1
    })
}

fn key_field(path: &str) -> Result<KeyField, Problem> {
    if let Some(key) = path.strip_prefix(METADATA).filter(|key| !key.is_empty()) {
        return Ok(KeyField::Metadata(key.to_owned()));
    }
    let texts =
        Field::ALL.iter().filter(|(_, field)| field.r#type() == cel::Type::String && *field != Field::Id);
    let texts: Vec<&str> = texts.map(|(name, _)| *name).collect();
    match Field::parse(path) {
        Some(field) if texts.contains(&path) => Ok(KeyField::Field(field)),
        Some(_) => Err(Problem::new("", format!("`{path}` is no text that a table has"))
            .help(format!("expected one of `{}`, or `metadata.KEY`", texts.join("`, `")))),
        None => Err(Problem::new("", format!("unknown field `{path}`")).help(match nearest(path, &texts) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("expected one of `{}`, or `metadata.KEY`", texts.join("`, `")),
        })),
    }
}

/// What rows are looked up in: `parts` of keys with their places, and the `places` of what is written.
fn index(
    rows: &[Row],
    parts: &[(KeyField, usize)],
    columns: &[String],
    places: &[usize],
) -> Result<Built<Index>, Fault> {
    let mut index = Index::with_capacity_and_hasher(rows.len(), Default::default());
    for row in rows {
        let mut key = Vec::new();
        for (field, place) in parts {
            let text = row.cells[*place].as_ref().and_then(text_of);
            let text = text.ok_or_else(|| Fault::empty(row, &columns[*place]))?;
            if *field == KeyField::Field(Field::Type) {
                let expected = "expected a type that is known, or a reverse-domain name, found another text";
                let kind = Kind::parse(&text);
                let message = format!("`{}`: {expected}", columns[*place]);
                push_text(&mut key, kind.map_err(|_| Fault::new(row.line, message))?.name());
            } else {
                push_text(&mut key, &text);
            }
        }
        match index.entry(key.into()) {
            Entry::Occupied(other) => return Err(Fault::twice(row, other.get().0)),
            Entry::Vacant(free) => {
                free.insert((row.line, places.iter().map(|place| row.cells[*place].clone()).collect()));
            }
        }
    }
    Ok(Built { table: index, alarm: None })
}

/// Writes the key of `record`; whether it has one.
fn write_key(key: &[KeyField], record: &Record, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    key.iter().all(|part| {
        let push = |text: &str| push_text(buffer, text);
        match part {
            KeyField::Field(field) => field.read(record).text(&mut [0; 36]).map(push),
            KeyField::Metadata(name) => {
                let value = record.metadata.as_ref().and_then(|metadata| metadata.get(name));
                value.and_then(text_of).as_deref().map(push)
            }
        }
        .is_some()
    })
}

/// With its length, so that no two lists of texts give the same bytes.
fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u64).to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

impl Transform for Enrich {
    type In = Record;
    type Out = Record;

    fn look(&mut self, now: Timestamp) -> Option<Look> {
        Some(self.table.look(now))
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        let (index, before) = (self.table.get()?, input.len());
        let (key, names, buffer) = (&self.key, &self.names, &mut self.buffer);
        input.retain_mut(|record| {
            if record.is_deletion() {
                return true;
            }
            let row = write_key(key, record, buffer).then(|| index.get(&**buffer)).flatten();
            if let Some((_, cells)) = row {
                for (name, cell) in names.iter().zip(cells.iter()) {
                    if let Some(value) = cell {
                        record.metadata_mut().set(name.clone(), value.clone());
                    }
                }
            } else if self.missing == Missing::Reject {
                out.reject_record(record, "expected a row of the table for its key, found none");
            }
            row.is_some() || self.missing == Missing::Keep
        });
        if self.missing == Missing::Drop {
            out.filtered(before - input.len());
        }
        out.take(input);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.table.snapshot()
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.table.restore(state)
    }
}
