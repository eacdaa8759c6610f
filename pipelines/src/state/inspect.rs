//! Looking into the state, and removing dead letters on purpose.

use std::{fmt, str::FromStr};

use afferent_core::{Checkpoint, DeadLetter, Error, Name, Result};
use redb::{ReadableTable, StorageError};

use super::{
    RedbStore,
    rows::{self, CHECKPOINTS, DEAD_LETTERS, PIPELINES},
};

/// Which dead letter of a pipeline: the epoch it belongs to and its number in that. Written `12.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// The epoch.
    pub epoch: u64,
    /// Its number among those of the epoch.
    pub number: u64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<LetterId, String> {
        let parts = text.split_once('.').and_then(|(epoch, number)| {
            Some(LetterId { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
        });
        parts.ok_or_else(|| "expected an id as `dlq ls` shows it, such as 12.3".to_owned())
    }
}

impl RedbStore {
    /// The pipelines that were ever claimed, by name.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub async fn pipelines(&self) -> Result<Vec<Name>> {
        self.read(|transaction| {
            let table = transaction.open_table(PIPELINES)?;
            let names = table.iter()?.map(|row| Ok(Name::from(row?.0.value())));
            Ok(names.collect::<Result<_, StorageError>>()?)
        })
        .await
    }

    /// The newest readable checkpoint of a pipeline, without claiming it.
    ///
    /// # Errors
    /// `State` when a newer program wrote it, `Transient` when the disk fails.
    pub async fn last_checkpoint(&self, pipeline: &Name) -> Result<Option<Checkpoint>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let table = transaction.open_table(CHECKPOINTS)?;
            for epoch in rows::epochs(&table, &pipeline)?.into_iter().rev() {
                if let Some(checkpoint) = rows::checkpoint(&table, &pipeline, epoch)? {
                    return Ok(Some(checkpoint));
                }
            }
            Ok(None)
        })
        .await
    }

    /// The first `limit` dead letters of a pipeline, oldest epoch first. A damaged one is told in the log.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub async fn letters(&self, pipeline: &Name, limit: usize) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            Ok(rows::letters(&transaction.open_table(DEAD_LETTERS)?, &pipeline, limit)?)
        })
        .await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// `State` when it is damaged, `Transient` when the disk fails.
    pub async fn letter(&self, pipeline: &Name, id: LetterId) -> Result<Option<DeadLetter>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let table = transaction.open_table(DEAD_LETTERS)?;
            let Some(row) = table.get((pipeline.as_str(), id.epoch, id.number))? else { return Ok(None) };
            let key = (id.epoch.to_be_bytes(), id.number.to_be_bytes());
            match rows::unpack(&rows::letter_key(&pipeline, &key.0, &key.1), row.value()) {
                Some(letter) => Ok(Some(letter)),
                None => Err(Error::state(rows::damaged(&format!("dead letter {id}"))).into()),
            }
        })
        .await
    }

    /// Removes dead letters for good: those of `ids`, or all; how many there were. Accounts go on counting them.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub async fn drop_letters(&self, pipeline: &Name, ids: Option<Vec<LetterId>>) -> Result<u64> {
        let pipeline = pipeline.clone();
        self.write(move |tables| tables.drop_letters(&pipeline, ids.as_deref())).await
    }
}
