//! A checkpoint store in memory: for tests, and for pipelines that need not survive the process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    Acknowledgement, Checkpoint, CheckpointStore, Epoch, Generation, KEPT_CHECKPOINTS, LettersHeld, Loaded,
    Save, Saved, StateRows, StoreId, Trim,
};
use crate::{
    DeadLetter, Error, Fence, LetterId, Name, RecordKey, Result, Snapshot,
    random::Random,
    reject::{Fate, LetterKeeper},
};

/// Keeps checkpoints for as long as it lives.
#[derive(Debug)]
pub struct MemoryStore {
    id: StoreId,
    pipelines: Mutex<HashMap<Name, Pipeline>>,
}

/// The values of a key by the epoch that wrote them; `None` is a key that is gone.
type Versions = BTreeMap<Epoch, Option<Vec<u8>>>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pipeline {
    generation: Generation,
    /// Serialised, so that what is loaded has gone through the same form as everywhere else.
    checkpoints: BTreeMap<Epoch, Vec<u8>>,
    /// By stage and key.
    states: BTreeMap<(Name, Vec<u8>), Versions>,
    /// By sink.
    acknowledged: BTreeMap<Name, Vec<u8>>,
    letters: BTreeMap<LetterId, DeadLetter>,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore {
            id: StoreId(Random::from_os().u128().to_be_bytes()),
            pipelines: Mutex::new(HashMap::new()),
        }
    }

    /// All that it holds, for [`from_bytes`](MemoryStore::from_bytes): for stores of tests that processes share.
    ///
    /// # Errors
    /// `Bug` when it can't be written.
    #[cfg(any(test, feature = "testing"))]
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        super::pack(&*self.pipelines())
    }

    /// A store with the identity `id` that holds what [`to_bytes`](MemoryStore::to_bytes) gave.
    ///
    /// # Errors
    /// `State` when it is damaged.
    #[cfg(any(test, feature = "testing"))]
    pub fn from_bytes(id: StoreId, bytes: &[u8]) -> Result<MemoryStore> {
        let pipelines = super::unpack(bytes, "the store")?;
        Ok(MemoryStore { id, pipelines: Mutex::new(pipelines) })
    }

    /// Claims the pipeline as if for the `generation`-th time, unless a newer claim is there: for tests of stages.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn claim_as(&self, pipeline: &Name, generation: Generation) {
        let mut pipelines = self.pipelines();
        let claimed = &mut pipelines.entry(pipeline.clone()).or_default().generation;
        *claimed = generation.max(*claimed);
    }

    fn pipelines(&self) -> MutexGuard<'_, HashMap<Name, Pipeline>> {
        // A panic elsewhere can't leave a pipeline half changed: each change is one assignment at its end.
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    fn fence(&self, generation: Generation) -> Result<()> {
        if generation == self.generation {
            return Ok(());
        }
        Err(Error::fenced(format!("generation {generation} was replaced by {}", self.generation)))
    }

    fn oldest(&self) -> Result<BTreeMap<Name, super::Position>> {
        match self.checkpoints.values().next() {
            Some(bytes) => Ok(Checkpoint::from_bytes(bytes)?.positions),
            None => Ok(BTreeMap::new()),
        }
    }

    fn bury(&mut self, letters: Vec<DeadLetter>) {
        for letter in letters {
            let epoch = letter.epoch;
            let of_epoch = LetterId { epoch, number: 0 }..=LetterId { epoch, number: u64::MAX };
            let number = self.letters.range(of_epoch).next_back().map_or(0, |(id, _)| id.number + 1);
            self.letters.insert(LetterId { epoch, number }, letter);
        }
    }

    /// Refuses to settle what is not dead.
    fn check_dead<'a>(&self, mut letters: impl Iterator<Item = &'a LetterId>) -> Result<()> {
        let is_dead = |id: &LetterId| self.letters.get(id).is_some_and(|letter| letter.fate == Fate::Dead);
        match letters.find(|id| !is_dead(id)) {
            Some(id) => Err(Error::transient(format!("dead letter {id} is no longer dead"))),
            None => Ok(()),
        }
    }

    fn settle(&mut self, id: LetterId, fate: Fate) {
        if let Some(letter) = self.letters.get_mut(&id) {
            letter.fate = fate;
        }
    }

    fn put(&mut self, stage: &Name, key: Vec<u8>, epoch: Epoch, value: Option<Vec<u8>>) {
        self.states.entry((stage.clone(), key)).or_default().insert(epoch, value);
    }

    fn save_state(&mut self, stage: &Name, epoch: Epoch, snapshot: Snapshot) {
        match snapshot {
            Snapshot::Unchanged => {}
            Snapshot::Full(bytes) => {
                let keys: Vec<Vec<u8>> = self
                    .states
                    .keys()
                    .filter(|(name, _)| name == stage)
                    .map(|(_, key)| key.clone())
                    .collect();
                for key in keys {
                    self.put(stage, key, epoch, None);
                }
                self.put(stage, Vec::new(), epoch, Some(bytes));
            }
            Snapshot::Delta(rows) => {
                for (key, value) in rows.iter() {
                    self.put(stage, key.to_vec(), epoch, value.map(<[u8]>::to_vec));
                }
            }
        }
    }

    /// Drops checkpoints beyond those kept, and the versions of state that none of them needs.
    fn trim(&mut self) {
        while self.checkpoints.len() > KEPT_CHECKPOINTS {
            self.checkpoints.pop_first();
        }
        let Some(oldest) = self.checkpoints.keys().next().copied() else { return };
        self.letters.retain(|_, letter| !matches!(letter.fate, Fate::Retried(epoch) if epoch <= oldest));
        self.states.retain(|_, versions| {
            let needed = versions.range(..=oldest).next_back().map(|(epoch, _)| *epoch);
            versions.retain(|epoch, value| *epoch > oldest || (Some(*epoch) == needed && value.is_some()));
            !versions.is_empty()
        });
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn claim(&self, pipeline: &Name) -> Result<Generation> {
        let mut pipelines = self.pipelines();
        let claimed = &mut pipelines.entry(pipeline.clone()).or_default().generation;
        claimed.0 += 1;
        Ok(*claimed)
    }

    async fn reclaim(&self, pipeline: &Name, generation: Generation) -> Result<Generation> {
        let mut pipelines = self.pipelines();
        let entry = pipelines.entry(pipeline.clone()).or_default();
        entry.fence(generation)?;
        entry.generation.0 += 1;
        Ok(entry.generation)
    }

    async fn load(&self, pipeline: &Name, generation: Generation) -> Result<Option<Loaded>> {
        let pipelines = self.pipelines();
        let Some(entry) = pipelines.get(pipeline) else { return Ok(None) };
        entry.fence(generation)?;
        let Some(bytes) = entry.checkpoints.values().next_back() else { return Ok(None) };
        Ok(Some(Loaded {
            checkpoint: Checkpoint::from_bytes(bytes)?,
            oldest: entry.oldest()?,
            fallback: None,
        }))
    }

    async fn checkpoints(&self, pipeline: &Name) -> Result<Vec<Checkpoint>> {
        let pipelines = self.pipelines();
        let kept = pipelines.get(pipeline).into_iter().flat_map(|entry| entry.checkpoints.values());
        kept.map(|bytes| Checkpoint::from_bytes(bytes)).collect()
    }

    async fn state(&self, pipeline: &Name, stage: &Name, epoch: Epoch) -> Result<StateRows> {
        let pipelines = self.pipelines();
        let rows: Vec<_> = pipelines
            .get(pipeline)
            .into_iter()
            .flat_map(|entry| &entry.states)
            .filter(|((name, _), _)| name == stage)
            .filter_map(|((_, key), versions)| {
                let (_, value) = versions.range(..=epoch).next_back()?;
                Some(Ok((key.clone(), value.clone()?)))
            })
            .collect();
        Ok(Box::new(rows.into_iter()))
    }

    async fn save(&self, save: Save) -> Result<Saved> {
        let Save { generation, checkpoint, states, dead_letters, withdrawn, retried } = save;
        let bytes = checkpoint.to_bytes()?;
        let mut pipelines = self.pipelines();
        let Some(entry) = pipelines.get_mut(&checkpoint.pipeline) else {
            return Err(Error::fenced("the pipeline was never claimed"));
        };
        entry.fence(generation)?;
        if let Some(last) = entry.checkpoints.keys().next_back()
            && last.next() != checkpoint.epoch
        {
            return Err(Error::state(format!("epoch {} does not follow epoch {last}", checkpoint.epoch)));
        }
        entry.check_dead(withdrawn.iter().chain(&retried))?;
        for (stage, snapshot) in states {
            entry.save_state(&stage, checkpoint.epoch, snapshot);
        }
        entry.bury(dead_letters);
        withdrawn.into_iter().for_each(|id| entry.settle(id, Fate::Withdrawn(checkpoint.epoch)));
        retried.into_iter().for_each(|id| entry.settle(id, Fate::Retried(checkpoint.epoch)));
        entry.checkpoints.insert(checkpoint.epoch, bytes);
        entry.trim();
        Ok(Saved { oldest: entry.oldest()? })
    }

    async fn acknowledge(&self, fence: &Fence, acknowledgement: Acknowledgement) -> Result<()> {
        let mut pipelines = self.pipelines();
        let Some(entry) = pipelines.get_mut(&fence.pipeline) else {
            return Err(Error::fenced("the pipeline was never claimed"));
        };
        entry.fence(fence.generation)?;
        entry.check_dead(acknowledgement.withdrawn.iter().map(|(id, _)| id))?;
        entry.acknowledged.insert(fence.sink.clone(), acknowledgement.state);
        entry.bury(acknowledgement.dead_letters);
        for (id, epoch) in acknowledgement.withdrawn {
            entry.settle(id, Fate::Withdrawn(epoch));
        }
        Ok(())
    }

    async fn acknowledged(&self, pipeline: &Name, sink: &Name) -> Result<Option<Vec<u8>>> {
        Ok(self.pipelines().get(pipeline).and_then(|entry| entry.acknowledged.get(sink).cloned()))
    }

    async fn forget(&self, pipeline: &Name) -> Result<()> {
        if let Some(entry) = self.pipelines().get_mut(pipeline) {
            *entry = Pipeline { generation: entry.generation, ..Pipeline::default() };
        }
        Ok(())
    }

    async fn count_dead_letters(&self, pipeline: &Name) -> Result<u64> {
        let pipelines = self.pipelines();
        let letters = pipelines.get(pipeline).into_iter().flat_map(|entry| entry.letters.values());
        Ok(letters.filter(|letter| letter.fate == Fate::Dead).count() as u64)
    }

    async fn letters(
        &self,
        pipeline: &Name,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipelines = self.pipelines();
        let letters = pipelines.get(pipeline).into_iter().flat_map(|entry| &entry.letters);
        let shown = letters
            .filter(|(id, letter)| Some(**id) > after && !matches!(letter.fate, Fate::Retried(_)))
            .take(limit);
        Ok(shown.map(|(id, letter)| (*id, letter.clone())).collect())
    }

    async fn letters_held(&self, pipeline: &Name) -> Result<LettersHeld> {
        let pipelines = self.pipelines();
        let mut held = LettersHeld::default();
        for letter in pipelines.get(pipeline).into_iter().flat_map(|entry| entry.letters.values()) {
            held.bytes += if matches!(letter.fate, Fate::Retried(_)) { 0 } else { letter.bytes() };
            held.oldest = held.oldest.or((letter.fate == Fate::Dead).then_some(letter.time));
        }
        Ok(held)
    }

    async fn trim_letters(&self, pipeline: &Name, generation: Generation, trim: Trim) -> Result<u64> {
        let mut bytes = self.letters_held(pipeline).await?.bytes;
        let mut pipelines = self.pipelines();
        let Some(entry) = pipelines.get_mut(pipeline) else { return Ok(0) };
        entry.fence(generation)?;
        let mut dropped = 0;
        entry.letters.retain(|_, letter| {
            if !trim.drops(letter, bytes) {
                return true;
            }
            bytes -= letter.bytes();
            dropped += u64::from(letter.fate == Fate::Dead);
            false
        });
        Ok(dropped)
    }

    async fn withdrawable(
        &self,
        pipeline: &Name,
        passed: Vec<RecordKey>,
        keeper: LetterKeeper,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        let pipelines = self.pipelines();
        let letters = pipelines.get(pipeline).into_iter().flat_map(|entry| &entry.letters);
        let found = letters.filter(|(_, letter)| letter.is_withdrawn_by(&passed, &keeper));
        Ok(found.map(|(id, letter)| (*id, letter.clone())).collect())
    }
}
