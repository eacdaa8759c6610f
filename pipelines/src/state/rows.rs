//! The layout of the database, and reading it.
//!
//! Every value is [sealed](super::seal) under the parts of its key. Values are MessagePack unless said otherwise.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | `schema`: u16 big-endian; `store`: 16 bytes |
//! | `names` | `pipelines` or `definitions`, name | nothing: the rows that this table has, so that they are missed |
//! | `pipelines` | pipeline | [`Head`] |
//! | `checkpoints` | pipeline, epoch | length (u32 big-endian) of the [`Digests`], these, [`Checkpoint::to_bytes`] |
//! | `states` | pipeline, stage, key, epoch | one byte that says whether the key is there, and its bytes |
//! | `superseded` | pipeline, epoch | redb's form of a list of (stage, key, epoch): versions that this epoch made superfluous |
//! | `dead_letters` | pipeline, epoch, number in it | [`DeadLetter`] |
//! | `letters_by_record` | pipeline, record id, epoch, number in it | nothing: where the dead letters of a record are |
//! | `retried` | pipeline, epoch that took it, epoch, number in it | nothing: letters to be removed when that epoch is the oldest kept |
//! | `acknowledged` | pipeline, sink | the sink's own bytes |
//! | `definitions` | pipeline | [`DefinitionRow`](super::definition::DefinitionRow) |

use std::collections::{BTreeMap, BTreeSet};

use afferent_core::{Checkpoint, Epoch, Error, Generation, Name, Position, Result, StoreId};
use redb::{
    ReadTransaction, ReadableTable, StorageError, Table, TableDefinition, TableError, TableHandle, Value,
    WriteTransaction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    digest::{Digest, Digests},
    seal::{seal, unseal},
};

/// Version of the layout. A database of a newer one is refused.
pub(super) const SCHEMA: u16 = 4;

pub(super) type ByName = TableDefinition<'static, &'static str, &'static [u8]>;
pub(super) type ByEpoch = TableDefinition<'static, (&'static str, u64), &'static [u8]>;
pub(super) type StateKey = (&'static str, &'static str, &'static [u8], u64);
pub(super) type LetterKey = (&'static str, u64, u64);
/// (stage, key, epoch) of a version of a state row.
pub(super) type Version<'a> = (&'a str, &'a [u8], u64);

pub(super) const META: ByName = TableDefinition::new("meta");
pub(super) const PIPELINES: ByName = TableDefinition::new("pipelines");
pub(super) const CHECKPOINTS: ByEpoch = TableDefinition::new("checkpoints");
pub(super) const STATES: TableDefinition<'static, StateKey, &'static [u8]> = TableDefinition::new("states");
pub(super) const SUPERSEDED: ByEpoch = TableDefinition::new("superseded");
pub(super) const DEAD_LETTERS: TableDefinition<'static, LetterKey, &'static [u8]> =
    TableDefinition::new("dead_letters");
/// Where the dead letters of a record are.
pub(super) type RecordLetterKey = (&'static str, u128, u64, u64);
pub(super) const LETTERS_BY_RECORD: TableDefinition<'static, RecordLetterKey, ()> =
    TableDefinition::new("letters_by_record");
/// Letters that were put in again, by the epoch that took them.
pub(super) type RetriedKey = (&'static str, u64, u64, u64);
pub(super) const RETRIED: TableDefinition<'static, RetriedKey, ()> = TableDefinition::new("retried");
pub(super) const ACKNOWLEDGED: TableDefinition<'static, (&'static str, &'static str), &'static [u8]> =
    TableDefinition::new("acknowledged");
pub(super) const DEFINITIONS: ByName = TableDefinition::new("definitions");
/// A table and the name of one of its rows.
pub(super) type NameKey = (&'static str, &'static str);
pub(super) const NAMES: TableDefinition<'static, NameKey, &'static [u8]> = TableDefinition::new("names");

/// Why work on the database was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// Its own fault or that of its rows; it changed nothing.
    Refused(Error),
    /// The database failed.
    Broken(StorageError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        Failure::Broken(error)
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Failure {
        match error {
            TableError::Storage(error) => Failure::Broken(error),
            // All tables are made when the database is created, and looked for when it is opened.
            error => Failure::Broken(StorageError::Corrupted(error.to_string())),
        }
    }
}

/// What is kept of a pipeline besides its checkpoints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// The newest claim.
    pub(super) generation: Generation,
    /// The newest checkpoint, so that a lost row is noticed like a damaged one.
    pub(super) epoch: Option<Epoch>,
    /// Letters in the table that are dead.
    pub(super) dead_letters: u64,
    /// Newest lost epoch and reason of a fallback after which nothing was saved yet. It is kept so that a crash
    /// right after the fallback does not make it go unnoticed.
    pub(super) fallback: Option<(Epoch, String)>,
    /// Whether `letters_by_record` has all of them: not so in a database of before it was there.
    #[serde(default)]
    pub(super) indexed: bool,
    /// What the letters that were not put in again count for in limits.
    #[serde(default)]
    pub(super) letter_bytes: u64,
}

/// Makes the tables of a new database.
pub(super) fn initialise(transaction: &WriteTransaction, id: StoreId) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert("store", seal(&[b"store"], &id.0).as_slice())?;
    put_schema(transaction)
}

/// Says that the layout is this program's: what an older one left is read as it is, once all tables are there and their names
/// are noted.
pub(super) fn put_schema(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(CHECKPOINTS)?;
    transaction.open_table(STATES)?;
    transaction.open_table(SUPERSEDED)?;
    transaction.open_table(DEAD_LETTERS)?;
    transaction.open_table(LETTERS_BY_RECORD)?;
    transaction.open_table(RETRIED)?;
    transaction.open_table(ACKNOWLEDGED)?;
    let mut names = transaction.open_table(NAMES)?;
    for table in [PIPELINES, DEFINITIONS] {
        for row in transaction.open_table(table)?.iter()? {
            put_name(&mut names, table, row?.0.value())?;
        }
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert("schema", seal(&[b"schema"], &SCHEMA.to_be_bytes()).as_slice())?;
    Ok(())
}

/// Notes that `table` has a row of this name, so that it is missed when it can't be found any more.
pub(super) fn put_name(
    names: &mut Table<'_, NameKey, &'static [u8]>,
    table: ByName,
    name: &str,
) -> Result<(), StorageError> {
    let row = seal(&[table.name().as_bytes(), name.as_bytes()], &[]);
    names.insert((table.name(), name), row.as_slice())?;
    Ok(())
}

/// Whether `table` has, or had, a row of this name.
pub(super) fn is_noted(
    names: &impl ReadableTable<NameKey, &'static [u8]>,
    table: ByName,
    name: &str,
) -> Result<bool, StorageError> {
    let row = names.get((table.name(), name))?;
    Ok(row.is_some_and(|row| unseal(&[table.name().as_bytes(), name.as_bytes()], row.value()).is_some()))
}

/// The names of all rows that `table` has, or had.
pub(super) fn noted(
    names: &impl ReadableTable<NameKey, &'static [u8]>,
    table: ByName,
) -> Result<Vec<Name>, StorageError> {
    let mut found = Vec::new();
    for row in names.range((table.name(), "")..)? {
        let (key, value) = row?;
        let (of, name) = key.value();
        if of != table.name() {
            break;
        }
        if unseal(&[of.as_bytes(), name.as_bytes()], value.value()).is_some() {
            found.push(Name::from(name));
        }
    }
    Ok(found)
}

/// Checks that the tables of a layout are there: who writes would make one that is missing anew, and what was in it would never
/// have been.
fn check_tables(transaction: &ReadTransaction, schema: u16) -> Result<(), StorageError> {
    let there: BTreeSet<String> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    let tables = [
        (1, PIPELINES.name()),
        (1, DEFINITIONS.name()),
        (1, CHECKPOINTS.name()),
        (1, STATES.name()),
        (1, SUPERSEDED.name()),
        (1, DEAD_LETTERS.name()),
        (2, LETTERS_BY_RECORD.name()),
        (2, RETRIED.name()),
        (2, ACKNOWLEDGED.name()),
        (4, NAMES.name()),
    ];
    match tables.into_iter().find(|(since, name)| *since <= schema && !there.contains(*name)) {
        Some((_, missing)) => Err(StorageError::Corrupted(format!("its table `{missing}` is gone"))),
        None => Ok(()),
    }
}

/// Checks that the tables are there, and the layout's version, and gives the store's id, and whether the layout is older. Damage to either is damage
/// to the whole.
pub(super) fn identity(transaction: &ReadTransaction) -> Result<(StoreId, bool), Failure> {
    let meta = transaction.open_table(META)?;
    let schema = u16::from_be_bytes(meta_value(&meta, "schema")?);
    if schema > SCHEMA {
        return Err(Error::state(format!(
            "the state directory was written by a newer version of Afferent (layout {schema}, this one reads up to {SCHEMA}); use that version, or a newer one"
        ))
        .into());
    }
    check_tables(transaction, schema)?;
    Ok((StoreId(meta_value(&meta, "store")?), schema < SCHEMA))
}

fn meta_value<const N: usize>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<[u8; N], StorageError> {
    let row = meta.get(name)?;
    let value = row.as_ref().and_then(|row| unseal(&[name.as_bytes()], row.value())?.try_into().ok());
    value.ok_or_else(|| StorageError::Corrupted(format!("its `{name}` is damaged")))
}

/// What is said of a damaged row.
pub(super) fn damaged(what: &str) -> String {
    format!(
        "{what} in the state database is damaged; restore it from a backup, or start over with `--from-start`"
    )
}

/// A value as MessagePack.
pub(super) fn pack(value: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec(value)
        .map_err(|error| Error::bug("a row can't be written as MessagePack").with_source(error))
}

/// Reads a value under `key`; `None` when it is damaged.
pub(super) fn unpack<T: DeserializeOwned>(key: &[&[u8]], sealed: &[u8]) -> Option<T> {
    rmp_serde::from_slice(unseal(key, sealed)?).ok()
}

/// The pipeline's head, if it was ever claimed.
pub(super) fn head(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    pipeline: &str,
) -> Result<Option<Head>, Failure> {
    let Some(row) = table.get(pipeline)? else { return Ok(None) };
    match unpack(&[pipeline.as_bytes()], row.value()) {
        Some(head) => Ok(Some(head)),
        None => Err(Error::state(damaged_head(pipeline)).into()),
    }
}

/// What is said of a damaged or missing head.
pub(super) fn damaged_head(pipeline: &str) -> String {
    damaged(&format!("the row of pipeline `{pipeline}`"))
}

/// What is said of a pipeline that has nothing but its name left.
pub(super) fn lost_head(pipeline: &str) -> String {
    damaged(&format!("all that was known of pipeline `{pipeline}`"))
}

/// Refuses what an older claim asks for.
pub(super) fn fence(head: &Head, generation: Generation) -> Result<()> {
    if generation == head.generation {
        return Ok(());
    }
    Err(Error::fenced(format!("generation {generation} was replaced by {}", head.generation)))
}

/// The epochs of the pipeline's checkpoints, oldest first.
pub(super) fn epochs(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    pipeline: &str,
) -> Result<Vec<u64>, StorageError> {
    table.range((pipeline, 0)..=(pipeline, u64::MAX))?.map(|row| Ok(row?.0.value().1)).collect()
}

/// A checkpoint; `None` when its row is damaged or gone.
///
/// # Errors
/// `State` when it is whole and yet can't be read: a newer program wrote it.
pub(super) fn checkpoint(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    pipeline: &str,
    epoch: u64,
) -> Result<Option<Checkpoint>, Failure> {
    let row = table.get((pipeline, epoch))?;
    match row.as_ref().and_then(|row| open_checkpoint(pipeline, epoch, row.value())) {
        Some((_, checkpoint)) => Ok(Some(Checkpoint::from_bytes(checkpoint)?)),
        None => Ok(None),
    }
}

/// The digests that were saved with a checkpoint; `None` when its row is damaged or gone.
pub(super) fn digests(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    pipeline: &str,
    epoch: u64,
) -> Result<Option<Digests>, StorageError> {
    let row = table.get((pipeline, epoch))?;
    let digests = row.as_ref().and_then(|row| open_checkpoint(pipeline, epoch, row.value()));
    Ok(digests.and_then(|(digests, _)| rmp_serde::from_slice(digests).ok()))
}

/// The row of a checkpoint whose own bytes are `checkpoint`.
pub(super) fn seal_checkpoint(pipeline: &str, epoch: u64, digests: &[u8], checkpoint: &[u8]) -> Vec<u8> {
    // The digests of as many stages as a pipeline has are far below 4 GiB.
    let length = u32::try_from(digests.len()).unwrap_or(u32::MAX).to_be_bytes();
    seal(&[pipeline.as_bytes(), &epoch.to_be_bytes()], &[&length, digests, checkpoint].concat())
}

/// The digests and the checkpoint in a row.
pub(super) fn open_checkpoint<'a>(
    pipeline: &str,
    epoch: u64,
    sealed: &'a [u8],
) -> Option<(&'a [u8], &'a [u8])> {
    let value = unseal(&[pipeline.as_bytes(), &epoch.to_be_bytes()], sealed)?;
    let (length, rest) = value.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// The positions of the oldest readable checkpoint among `epochs`: nothing falls back behind it.
pub(super) fn oldest_positions(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    pipeline: &str,
    epochs: &[u64],
) -> Result<BTreeMap<Name, Position>, Failure> {
    for epoch in epochs {
        if let Some(checkpoint) = checkpoint(table, pipeline, *epoch)? {
            return Ok(checkpoint.positions);
        }
    }
    Ok(Default::default())
}

/// The key of a state row, for its seal.
pub(super) fn state_key<'a>(
    pipeline: &'a str,
    stage: &'a str,
    key: &'a [u8],
    epoch: &'a [u8; 8],
) -> [&'a [u8]; 4] {
    [pipeline.as_bytes(), stage.as_bytes(), key, epoch]
}

/// First byte of a state row's value: the key is not there.
pub(super) const GONE: u8 = 0;
/// First byte of a state row's value: the key is there, its bytes follow.
pub(super) const THERE: u8 = 1;

/// The newest version of each key of `stage` that is not above `epoch` and there, through `take`; their digest.
pub(super) fn state(
    table: &impl ReadableTable<StateKey, &'static [u8]>,
    pipeline: &str,
    stage: &str,
    epoch: u64,
    mut take: impl FnMut(&[u8], &[u8]),
) -> Result<Digest, Failure> {
    let mut digest = Digest::default();
    // Of the key at hand: itself, the epoch of its newest version so far, and that version's sealed value.
    let (mut key, mut newest, mut sealed) = (Vec::new(), None, Vec::new());
    let mut give = |key: &[u8], epoch: u64, sealed: &[u8]| -> Result<(), Failure> {
        match unseal(&state_key(pipeline, stage, key, &epoch.to_be_bytes()), sealed) {
            Some([THERE, value @ ..]) => {
                digest.add(sealed);
                take(key, value);
            }
            Some([GONE]) => {}
            _ => return Err(damaged_state(stage).into()),
        }
        Ok(())
    };
    for row in table.range((pipeline, stage, &[][..], 0)..)? {
        let (row_key, value) = row?;
        let (row_pipeline, row_stage, row_key, row_epoch) = row_key.value();
        if (row_pipeline, row_stage) != (pipeline, stage) {
            break;
        }
        if row_epoch > epoch {
            continue;
        }
        if let Some(newest) = newest
            && key != row_key
        {
            give(&key, newest, &sealed)?;
        }
        newest = Some(row_epoch);
        for (buffer, bytes) in [(&mut key, row_key), (&mut sealed, value.value())] {
            buffer.clear();
            buffer.extend_from_slice(bytes);
        }
    }
    if let Some(newest) = newest {
        give(&key, newest, &sealed)?;
    }
    Ok(digest)
}

/// What is said when a transform's state can't be trusted.
pub(super) fn damaged_state(stage: &str) -> Error {
    Error::state(damaged("its state")).at(stage)
}

/// The list in a row of `superseded`, in redb's own form.
pub(super) fn encode_versions(versions: &Vec<Version<'_>>) -> Vec<u8> {
    <Vec<Version<'_>> as Value>::as_bytes(versions)
}

/// Reads [`encode_versions`] back; the bytes come out of a seal.
pub(super) fn decode_versions(bytes: &[u8]) -> Vec<Version<'_>> {
    <Vec<Version<'_>> as Value>::from_bytes(bytes)
}
