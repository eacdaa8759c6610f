//! [`SharedStore`]: a checkpoint store that several processes share.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use afferent_core::{
    Checkpoint, CheckpointStore, DeadLetter, Epoch, Error, ErrorKind, Fence, Generation, LetterId,
    MemoryStore, Name, RecordKey, Result, StateRows, StoreId,
    blocking::Blocking,
    checkpoint::{Acknowledgement, LettersHeld, Loaded, Save, Saved, Trim},
    random::Random,
    reject::LetterKeeper,
};
use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

/// How long a process waits for another that is in a transaction: far longer than any takes.
const BUSY: Duration = Duration::from_secs(20);

/// A [`MemoryStore`] whose content is one row of an SQLite database. Each call is a transaction that reads it, does what
/// is asked in memory, and writes it back. Every process that opens the same file has the same store.
#[derive(Debug)]
pub struct SharedStore {
    id: StoreId,
    connection: Arc<Mutex<Connection>>,
    blocking: Blocking,
}

impl SharedStore {
    /// Opens the store in `path`, or creates it.
    ///
    /// # Errors
    /// `Transient` when SQLite fails.
    pub fn open(path: &Path) -> Result<SharedStore> {
        let opened = || -> rusqlite::Result<_> {
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch("CREATE TABLE IF NOT EXISTS store (id BLOB, content BLOB)")?;
            let id: Option<[u8; 16]> =
                transaction.query_row("SELECT id FROM store", [], |row| row.get(0)).optional()?;
            let id = match id {
                Some(id) => id,
                None => {
                    let id = Random::from_os().u128().to_be_bytes();
                    let empty = MemoryStore::new().to_bytes().expect("nothing can be written");
                    transaction.execute("INSERT INTO store VALUES (?1, ?2)", params![id, empty])?;
                    id
                }
            };
            transaction.commit()?;
            Ok((StoreId(id), connection))
        };
        let (id, connection) = opened().map_err(sql_error)?;
        let connection = Arc::new(Mutex::new(connection));
        Ok(SharedStore { id, connection, blocking: Blocking::new() })
    }

    /// Everything that is in the store at `path`, to compare.
    ///
    /// # Errors
    /// `Transient` when SQLite fails.
    pub fn content(path: &Path) -> Result<Vec<u8>> {
        let read = || -> rusqlite::Result<Vec<u8>> {
            Connection::open(path)?.query_row("SELECT content FROM store", [], |row| row.get(0))
        };
        read().map_err(sql_error)
    }

    /// Does `work` with what is in the store, and keeps what it changes unless it fails.
    async fn with<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s MemoryStore) -> BoxFuture<'s, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (id, connection) = (self.id, self.connection.clone());
        let job = self.blocking.spawn(move || -> Result<T> {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql_error)?;
            let content: Vec<u8> = transaction
                .query_row("SELECT content FROM store", [], |row| row.get(0))
                .map_err(sql_error)?;
            let store = MemoryStore::from_bytes(id, &content)?;
            let done = work(&store).now_or_never().expect("a store in memory never waits")?;
            let changed = store.to_bytes()?;
            if changed != content {
                transaction.execute("UPDATE store SET content = ?1", [changed]).map_err(sql_error)?;
            }
            transaction.commit().map_err(sql_error)?;
            Ok(done)
        });
        job.await?
    }
}

fn sql_error(error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Transient { retry_after: None }, "the shared store failed").with_source(error)
}

#[async_trait]
impl CheckpointStore for SharedStore {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn claim(&self, pipeline: &Name) -> Result<Generation> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.claim(&pipeline).await }.boxed()).await
    }

    async fn reclaim(&self, pipeline: &Name, generation: Generation) -> Result<Generation> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.reclaim(&pipeline, generation).await }.boxed()).await
    }

    async fn load(&self, pipeline: &Name, generation: Generation) -> Result<Option<Loaded>> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.load(&pipeline, generation).await }.boxed()).await
    }

    async fn checkpoints(&self, pipeline: &Name) -> Result<Vec<Checkpoint>> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.checkpoints(&pipeline).await }.boxed()).await
    }

    async fn state(&self, pipeline: &Name, stage: &Name, epoch: Epoch) -> Result<StateRows> {
        let (pipeline, stage) = (pipeline.clone(), stage.clone());
        self.with(move |store| async move { store.state(&pipeline, &stage, epoch).await }.boxed()).await
    }

    async fn save(&self, save: Save) -> Result<Saved> {
        self.with(move |store| store.save(save)).await
    }

    async fn acknowledge(&self, fence: &Fence, acknowledgement: Acknowledgement) -> Result<()> {
        let fence = fence.clone();
        self.with(move |store| async move { store.acknowledge(&fence, acknowledgement).await }.boxed()).await
    }

    async fn acknowledged(&self, pipeline: &Name, sink: &Name) -> Result<Option<Vec<u8>>> {
        let (pipeline, sink) = (pipeline.clone(), sink.clone());
        self.with(move |store| async move { store.acknowledged(&pipeline, &sink).await }.boxed()).await
    }

    async fn forget(&self, pipeline: &Name) -> Result<()> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.forget(&pipeline).await }.boxed()).await
    }

    async fn count_dead_letters(&self, pipeline: &Name) -> Result<u64> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.count_dead_letters(&pipeline).await }.boxed()).await
    }

    async fn letters(
        &self,
        pipeline: &Name,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.letters(&pipeline, after, limit).await }.boxed()).await
    }

    async fn withdrawable(
        &self,
        pipeline: &Name,
        passed: Vec<RecordKey>,
        keeper: LetterKeeper,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.withdrawable(&pipeline, passed, keeper).await }.boxed())
            .await
    }

    async fn letters_held(&self, pipeline: &Name) -> Result<LettersHeld> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.letters_held(&pipeline).await }.boxed()).await
    }

    async fn trim_letters(&self, pipeline: &Name, generation: Generation, trim: Trim) -> Result<u64> {
        let pipeline = pipeline.clone();
        self.with(move |store| async move { store.trim_letters(&pipeline, generation, trim).await }.boxed())
            .await
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::store_contract::store_contract;

    use super::*;

    /// Scenario: the contract suite, each store in a file of its own. Guarantees: G1 and G10 as far as a store gives them.
    #[tokio::test]
    async fn it_keeps_the_contract() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (mut count, mut current) = (0, directory.path().join("0"));
        store_contract(async |store: Option<SharedStore>| {
            if store.is_none() {
                count += 1;
                current = directory.path().join(count.to_string());
            }
            drop(store);
            SharedStore::open(&current).expect("a store")
        })
        .await;
    }

    /// Scenario: two handles of one store, as two processes have them. Guarantees: G10: what the older claim saves is
    /// refused.
    #[tokio::test]
    async fn two_handles_are_one_store() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store");
        let [one, two] = [(); 2].map(|()| SharedStore::open(&path).expect("a store"));
        let name = Name::from("a");
        let old = one.claim(&name).await.expect("a claim");
        let new = two.claim(&name).await.expect("a claim");
        assert_eq!((one.id(), old.0 + 1), (two.id(), new.0));
        assert_eq!(one.reclaim(&name, old).await.expect_err("it was taken over").kind(), ErrorKind::Fenced);
        assert_eq!(one.load(&name, old).await.expect_err("it was taken over").kind(), ErrorKind::Fenced);
    }
}
