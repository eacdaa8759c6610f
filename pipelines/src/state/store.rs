//! [`RedbStore`]: the checkpoint store of a state directory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use afferent_core::{
    Checkpoint, CheckpointStore, DeadLetter, Epoch, Error, ErrorKind, Fence, Generation, LetterId, Name,
    RecordKey, Result, StateRows, StoreId,
    blocking::Blocking,
    checkpoint::{Acknowledgement, Fallback, LettersHeld, Loaded, Save, Saved, Trim},
    clock::Clock,
    disk::Disk,
    io_error,
    random::Random,
    reject::LetterKeeper,
};
use async_trait::async_trait;
use redb::ReadTransaction;

use super::{
    Desired, StoredDefinition,
    definition::{self, DefinitionRow},
    file::{DatabaseFile, OpenError},
    group::Writer,
    letters,
    reserve::Reserve,
    rows::{
        self, ACKNOWLEDGED, CHECKPOINTS, DEAD_LETTERS, DEFINITIONS, Failure, LETTERS_BY_RECORD, NAMES,
        PIPELINES, STATES,
    },
    seal::unseal,
    tables::Tables,
};
use crate::DefinitionSource;

/// The database's name in the state directory.
pub const DATABASE: &str = "state.redb";
/// The name of the reserve of disk space.
const RESERVE: &str = "reserve";
/// Databases that may have been set aside: after that many an operator is needed.
const MAX_SET_ASIDE: u32 = 1000;

/// Checkpoints, dead letters, definitions and desired states in a state directory. See the
/// [module](crate::state) for what is promised.
#[derive(Debug)]
pub struct RedbStore {
    id: StoreId,
    clock: Arc<dyn Clock>,
    file: Arc<DatabaseFile>,
    writer: Arc<Writer>,
    blocking: Blocking,
    /// Claims that were made again, and of which nobody knows whether they were: by pipeline, the generation before.
    doubtful: Mutex<BTreeMap<Name, Generation>>,
}

impl RedbStore {
    /// Opens the store of `directory`, which exists and which no other process uses, or creates it.
    ///
    /// A damaged database is an error, or, with `set_aside_damaged`, moved to `state.redb.damaged-N` and begun anew:
    /// whoever wants that must know that sinks without identity, such as files, then get records again. Nothing is
    /// deleted.
    ///
    /// # Errors
    /// `State` when the database is damaged or of a newer version, `CantCreate` when it can't be created,
    /// `Transient` when the disk fails or is full.
    pub async fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        mut random: Random,
        directory: &Path,
        set_aside_damaged: bool,
    ) -> Result<RedbStore> {
        let id = StoreId(random.u128().to_be_bytes());
        let directory = directory.to_owned();
        let blocking = Blocking::new();
        let opening = blocking.spawn(move || {
            let reserve = Reserve::new(disk.clone(), directory.join(RESERVE));
            let open = || DatabaseFile::open(disk.clone(), directory.join(DATABASE), id);
            let opened = match open() {
                Err(OpenError::Damaged(error)) if set_aside_damaged => {
                    let aside = set_aside(&*disk, &directory)?;
                    tracing::error!(
                        "{error}; it was moved to {}, and everything begins anew",
                        aside.display()
                    );
                    open()
                }
                opened => opened,
            };
            match opened {
                Ok((file, id)) => Ok((file, id, reserve)),
                Err(OpenError::Damaged(error) | OpenError::Failed(error)) => Err(error),
            }
        });
        let (file, id, reserve) = opening.await??;
        let file = Arc::new(file);
        let writer = Arc::new(Writer::new(file.clone(), reserve));
        Ok(RedbStore { id, clock, file, writer, blocking, doubtful: Mutex::default() })
    }

    /// How many transactions were committed since it was opened.
    pub fn commits(&self) -> u64 {
        self.file.commits()
    }

    /// Stores a pipeline's definition and what it should be doing.
    pub async fn define(
        &self,
        pipeline: &Name,
        source: Option<DefinitionSource>,
        desired: Desired,
    ) -> Result<()> {
        let (pipeline, row) = (pipeline.clone(), DefinitionRow::new(source, desired));
        self.write(move |tables| tables.define(&pipeline, &row)).await
    }

    /// Stores what a pipeline should be doing, if it has a definition; whether it has one.
    pub async fn set_desired(&self, pipeline: &Name, desired: Desired) -> Result<bool> {
        let pipeline = pipeline.clone();
        self.write(move |tables| tables.set_desired(&pipeline, desired)).await
    }

    /// Removes a pipeline's definition; its checkpoints stay.
    pub async fn undefine(&self, pipeline: &Name) -> Result<()> {
        let pipeline = pipeline.clone();
        self.write(move |tables| tables.undefine(&pipeline)).await
    }

    /// A pipeline's definition.
    pub async fn definition(&self, pipeline: &Name) -> Result<Option<StoredDefinition>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let row = definition::find(&transaction.open_table(DEFINITIONS)?, &pipeline)?;
            Ok(row.map(|row| row.named(&pipeline)))
        })
        .await
    }

    /// All definitions, by name; a damaged one is an error in its place, and so is one that is lost, at the end.
    pub async fn definitions(&self) -> Result<Vec<Result<StoredDefinition>>> {
        self.read(|transaction| {
            let rows = transaction.open_table(DEFINITIONS)?;
            let mut all = definition::all(&rows)?;
            for name in rows::noted(&transaction.open_table(NAMES)?, DEFINITIONS)? {
                if rows.get(name.as_str())?.is_none() {
                    all.push(Err(Error::state(definition::damaged(&name))));
                }
            }
            Ok(all)
        })
        .await
    }

    /// Completes what is queued and closes the database; later calls fail. Dropping the store closes it, too, but
    /// blocks meanwhile.
    pub async fn close(&self) -> Result<()> {
        self.blocking.idle().await;
        let file = self.file.clone();
        self.blocking.spawn(move || file.close()).await
    }

    fn doubtful(&self) -> MutexGuard<'_, BTreeMap<Name, Generation>> {
        // Each change is one call of the map, so a panic elsewhere leaves it whole.
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(&self.blocking, work).await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let file = self.file.clone();
        self.blocking.spawn(move || file.read(work)).await?
    }
}

impl Drop for RedbStore {
    /// Whoever opens the directory next must not find a job of this store still at work.
    fn drop(&mut self) {
        self.file.close();
    }
}

#[async_trait]
impl CheckpointStore for RedbStore {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn claim(&self, pipeline: &Name) -> Result<Generation> {
        let (pipeline, now) = (pipeline.clone(), self.clock.now());
        self.write(move |tables| tables.claim(&pipeline, None, now)).await
    }

    async fn reclaim(&self, pipeline: &Name, generation: Generation) -> Result<Generation> {
        let (name, now) = (pipeline.clone(), self.clock.now());
        // No other process has this database, so the one claim that may have come between is the one of unknown outcome.
        let in_doubt = self.doubtful().get(pipeline) == Some(&generation);
        let among = generation.0..=generation.0 + u64::from(in_doubt);
        let claimed = self.write(move |tables| tables.claim(&name, Some(among), now)).await;
        match &claimed {
            Err(error) if error.kind() != ErrorKind::Fenced => {
                self.doubtful().insert(pipeline.clone(), generation);
            }
            _ => drop(self.doubtful().remove(pipeline)),
        }
        claimed
    }

    async fn load(&self, pipeline: &Name, generation: Generation) -> Result<Option<Loaded>> {
        let name = pipeline.clone();
        let found = self
            .read(move |transaction| {
                let Some(head) = rows::head(&transaction.open_table(PIPELINES)?, &name)? else {
                    return Ok(Found::Nothing);
                };
                rows::fence(&head, generation)?;
                let checkpoints = transaction.open_table(CHECKPOINTS)?;
                let epochs = rows::epochs(&checkpoints, &name)?;
                let Some(newest) = head.epoch.max(epochs.last().copied().map(Epoch)) else {
                    return Ok(Found::Nothing);
                };
                let Some(checkpoint) = rows::checkpoint(&checkpoints, &name, newest.0)? else {
                    return Ok(Found::Damage);
                };
                let oldest = rows::oldest_positions(&checkpoints, &name, &epochs)?;
                let fallback = head.fallback.map(|(lost, reason)| Fallback { lost, reason });
                Ok(Found::Whole(Box::new(Loaded { checkpoint, oldest, fallback })))
            })
            .await?;
        match found {
            Found::Nothing => Ok(None),
            Found::Whole(loaded) => Ok(Some(*loaded)),
            Found::Damage => {
                let pipeline = pipeline.clone();
                let work = move |tables: &mut Tables<'_>| tables.fall_back(&pipeline, generation);
                self.write(work).await.map(Some)
            }
        }
    }

    async fn checkpoints(&self, pipeline: &Name) -> Result<Vec<Checkpoint>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let table = transaction.open_table(CHECKPOINTS)?;
            let mut kept = Vec::new();
            for epoch in rows::epochs(&table, &pipeline)? {
                kept.extend(rows::checkpoint(&table, &pipeline, epoch)?);
            }
            Ok(kept)
        })
        .await
    }

    async fn state(&self, pipeline: &Name, stage: &Name, epoch: Epoch) -> Result<StateRows> {
        let (pipeline, stage) = (pipeline.clone(), stage.clone());
        let packed = self
            .read(move |transaction| {
                let mut packed = PackedRows::default();
                let states = transaction.open_table(STATES)?;
                let take = |key: &[u8], value: &[u8]| packed.push(key, value);
                let digest = rows::state(&states, &pipeline, &stage, epoch.0, take)?;
                let saved = rows::digests(&transaction.open_table(CHECKPOINTS)?, &pipeline, epoch.0)?;
                if saved.is_some_and(|saved| saved.get(&stage).copied().unwrap_or_default() != digest) {
                    return Err(rows::damaged_state(&stage).into());
                }
                Ok(packed)
            })
            .await?;
        Ok(Box::new(packed))
    }

    async fn save(&self, save: Save) -> Result<Saved> {
        self.write(move |tables| tables.save(&save)).await
    }

    async fn acknowledge(&self, fence: &Fence, acknowledgement: Acknowledgement) -> Result<()> {
        let fence = fence.clone();
        self.write(move |tables| tables.acknowledge(&fence, &acknowledgement)).await
    }

    async fn acknowledged(&self, pipeline: &Name, sink: &Name) -> Result<Option<Vec<u8>>> {
        let (pipeline, sink) = (pipeline.clone(), sink.clone());
        self.read(move |transaction| {
            let table = transaction.open_table(ACKNOWLEDGED)?;
            let Some(row) = table.get((pipeline.as_str(), sink.as_str()))? else { return Ok(None) };
            match unseal(&[pipeline.as_bytes(), sink.as_bytes()], row.value()) {
                Some(state) => Ok(Some(state.to_vec())),
                None => Err(Error::state(rows::damaged("how far its receiver is")).at(&sink).into()),
            }
        })
        .await
    }

    async fn forget(&self, pipeline: &Name) -> Result<()> {
        let (pipeline, now) = (pipeline.clone(), self.clock.now());
        self.write(move |tables| tables.forget(&pipeline, now)).await
    }

    async fn count_dead_letters(&self, pipeline: &Name) -> Result<u64> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let head = rows::head(&transaction.open_table(PIPELINES)?, &pipeline)?;
            Ok(head.map_or(0, |head| head.dead_letters))
        })
        .await
    }

    async fn letters(
        &self,
        pipeline: &Name,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            Ok(letters::letters(&transaction.open_table(DEAD_LETTERS)?, &pipeline, after, limit)?)
        })
        .await
    }

    async fn letters_held(&self, pipeline: &Name) -> Result<LettersHeld> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let head = rows::head(&transaction.open_table(PIPELINES)?, &pipeline)?;
            let Some(head) = head else { return Ok(LettersHeld::default()) };
            let letters = transaction.open_table(DEAD_LETTERS)?;
            let oldest = match head.dead_letters {
                0 => None,
                _ => letters::oldest_dead(&letters, &pipeline)?.map(|letter| letter.time),
            };
            Ok(LettersHeld { bytes: head.letter_bytes, oldest })
        })
        .await
    }

    async fn trim_letters(&self, pipeline: &Name, generation: Generation, trim: Trim) -> Result<u64> {
        let pipeline = pipeline.clone();
        self.write(move |tables| tables.trim_letters(&pipeline, generation, &trim)).await
    }

    async fn withdrawable(
        &self,
        pipeline: &Name,
        passed: Vec<RecordKey>,
        keeper: LetterKeeper,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipeline = pipeline.clone();
        self.read(move |transaction| {
            let letters = transaction.open_table(DEAD_LETTERS)?;
            let by_record = transaction.open_table(LETTERS_BY_RECORD)?;
            Ok(letters::withdrawable(&letters, &by_record, &pipeline, &passed, &keeper)?)
        })
        .await
    }
}

/// Moves the database of `directory` to a free name beside it.
fn set_aside(disk: &dyn Disk, directory: &Path) -> Result<PathBuf> {
    let path = directory.join(DATABASE);
    let io = |error| io_error("set aside", &path, error);
    for number in 1..=MAX_SET_ASIDE {
        let aside = directory.join(format!("{DATABASE}.damaged-{number}"));
        if disk.info(&aside).map_err(io)?.is_none() {
            disk.rename(&path, &aside).and_then(|()| disk.sync_dir(directory)).map_err(io)?;
            return Ok(aside);
        }
    }
    Err(Error::state(format!(
        "{} holds {MAX_SET_ASIDE} damaged databases; move them elsewhere and look at the disk",
        directory.display()
    )))
}

/// What `load` finds.
enum Found {
    Nothing,
    Whole(Box<Loaded>),
    /// The newest checkpoint is damaged or gone.
    Damage,
}

/// Rows of state in one buffer, read by a blocking job and taken apart where they are needed: no transaction stays
/// open meanwhile, and a million small rows are not two million allocations.
#[derive(Debug, Default)]
struct PackedRows {
    /// Length and bytes of a key, then of its value, and so on.
    bytes: Vec<u8>,
    next: usize,
}

impl PackedRows {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.bytes.extend((part.len() as u64).to_ne_bytes());
            self.bytes.extend(part);
        }
    }

    fn part(&mut self) -> Option<Vec<u8>> {
        let (len, rest) = self.bytes.get(self.next..)?.split_first_chunk()?;
        let len = usize::try_from(u64::from_ne_bytes(*len)).ok()?;
        let part = rest.get(..len)?.to_vec();
        self.next += size_of::<u64>() + len;
        Some(part)
    }
}

impl Iterator for PackedRows {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(Ok((self.part()?, self.part()?)))
    }
}
