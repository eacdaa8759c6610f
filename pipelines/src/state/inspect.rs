//! Looking into the state, and removing dead letters on purpose.

use afferent_core::{Checkpoint, DeadLetter, Error, LetterId, Name, Result, reject::Fate};
use redb::{ReadableTable, StorageError};

use super::{
    RedbStore, letters,
    rows::{self, CHECKPOINTS, DEAD_LETTERS, PIPELINES},
};

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

    /// How many letters a pipeline has, withdrawn ones included.
    ///
    /// # Errors
    /// `Transient` when the disk fails.
    pub async fn count_letters(&self, pipeline: &Name) -> Result<u64> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            Ok(letters::count_letters(&transaction.open_table(DEAD_LETTERS)?, &pipeline)?)
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
            let Some(row) = table.get((pipeline.as_str(), id.epoch.0, id.number))? else { return Ok(None) };
            match letters::letter(&pipeline, id, row.value()) {
                Some(letter) => Ok(Some(letter).filter(|letter| !matches!(letter.fate, Fate::Retried(_)))),
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
