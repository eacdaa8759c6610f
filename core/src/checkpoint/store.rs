//! The trait of checkpoint stores.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Acknowledgement, Checkpoint, Epoch, Generation, LettersHeld, Position, Trim};
use crate::{DeadLetter, Fence, LetterId, Name, RecordKey, Result, Snapshot, reject::LetterKeeper};

/// Identity of a checkpoint store: fences in sinks are keyed by it, because generations of two stores can't
/// be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The state of one transform at one epoch: keys and their bytes, ascending by key.
pub type StateRows = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + Send>;

/// What a store saves in one atomic step.
#[derive(Clone, Debug)]
pub struct Save {
    /// The claim under which it is saved: a newer one makes the save fail with `Fenced`.
    pub generation: Generation,
    /// The checkpoint. Its epoch is one more than the last saved one, or any for the first.
    pub checkpoint: Checkpoint,
    /// What changed in the states of the transforms, by stage.
    pub states: Vec<(Name, Snapshot)>,
    /// The dead letters of the epoch.
    pub dead_letters: Vec<DeadLetter>,
    /// Which earlier dead letters records of the epoch withdraw. All must be dead.
    pub withdrawn: Vec<LetterId>,
    /// Which earlier dead letters were put in again in the epoch. All must be dead.
    pub retried: Vec<LetterId>,
}

/// What a save gives back.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The positions of the oldest checkpoint that is kept: sources may trim below them.
    pub oldest: BTreeMap<Name, Position>,
}

/// What a store loads.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The newest readable checkpoint.
    pub checkpoint: Checkpoint,
    /// The positions of the oldest checkpoint that is kept.
    pub oldest: BTreeMap<Name, Position>,
    /// Set when newer checkpoints could not be read: the engine draws a new incarnation and alarms.
    pub fallback: Option<Fallback>,
}

/// Newer checkpoints were damaged and have been removed, with their dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The newest epoch that could not be read.
    pub lost: Epoch,
    /// Why.
    pub reason: String,
}

/// Where checkpoints and dead letters are kept. Shared by all pipelines of a process.
///
/// Contract (checked by the suite in [`testing`](crate::testing), which every implementation runs):
/// - `claim` and `reclaim` are durable before they return, and each gives a greater generation than any before, also after
///   `forget`.
/// - `save` is atomic and durable before it returns `Ok`: a compare-and-set on (generation, epoch − 1). A save
///   of an older generation fails with `Fenced` and changes nothing; one whose epoch does not follow the last
///   saved one fails with `State` and changes nothing; one that settles a letter which is no longer dead fails with
///   `Transient` and changes nothing.
/// - A fallback undoes what later epochs settled.
/// - An error of any other kind from `save` leaves the outcome unknown: the caller starts again, and `load`
///   decides.
/// - Several saves may be in flight, of different pipelines; a store may put them into one transaction.
/// - Dropping the future of a call does not undo it.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync + 'static {
    /// The identity of this store, the same for its whole life.
    fn id(&self) -> StoreId;

    /// Claims the pipeline: all older generations are fenced from now on.
    async fn claim(&self, pipeline: &Name) -> Result<Generation>;

    /// Claims the pipeline again for whoever claimed it as `generation`: what that claim left under way is fenced, too. A
    /// run that starts again after a failure must not take the pipeline from one that took it over meanwhile, so this is a
    /// compare-and-set.
    ///
    /// # Errors
    /// `Fenced` when `generation` is not the newest; it changes nothing. After any other error the outcome is unknown, and a
    /// second call is not fenced by what the first may have done.
    async fn reclaim(&self, pipeline: &Name, generation: Generation) -> Result<Generation>;

    /// The newest readable checkpoint, or `None` if there is none.
    ///
    /// # Errors
    /// `Fenced` when `generation` is not the newest, `State` when checkpoints are there and none is readable.
    async fn load(&self, pipeline: &Name, generation: Generation) -> Result<Option<Loaded>>;

    /// The checkpoints that are kept and can be read, oldest first, without claiming the pipeline: the newest of them is where
    /// it would go on, the oldest where it could fall back to.
    ///
    /// # Errors
    /// `State` when a newer program wrote one.
    async fn checkpoints(&self, pipeline: &Name) -> Result<Vec<Checkpoint>>;

    /// The state of `stage` as of `epoch`: for each key the newest row not above it.
    async fn state(&self, pipeline: &Name, stage: &Name, epoch: Epoch) -> Result<StateRows>;

    /// The commit point. Letters it withdraws are kept as that; those it retries are gone for everybody else.
    async fn save(&self, save: Save) -> Result<Saved>;

    /// Saves how far the receiver of the fence's sink is, with its dead letters, in one atomic step, durable before it
    /// returns.
    ///
    /// # Errors
    /// `Fenced` when the fence's generation is not the newest, `Transient` when a letter to withdraw is no longer dead;
    /// both change nothing. After any other error the outcome is unknown.
    async fn acknowledge(&self, fence: &Fence, acknowledgement: Acknowledgement) -> Result<()>;

    /// The state that [`acknowledge`](CheckpointStore::acknowledge) saved last for `sink`.
    ///
    /// # Errors
    /// `State` when it is damaged.
    async fn acknowledged(&self, pipeline: &Name, sink: &Name) -> Result<Option<Vec<u8>>>;

    /// Forgets the pipeline's checkpoints, states, acknowledgements and dead letters, and keeps its generation.
    async fn forget(&self, pipeline: &Name) -> Result<()>;

    /// How many dead letters the pipeline has; withdrawn ones don't count.
    async fn count_dead_letters(&self, pipeline: &Name) -> Result<u64>;

    /// The pipeline's dead letters and those that were withdrawn, oldest epoch first, from the one after `after` on, at
    /// most `limit`.
    async fn letters(
        &self,
        pipeline: &Name,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<Vec<(LetterId, DeadLetter)>>;

    /// Which of the dead letters that `keeper` decides on are withdrawn once the records `passed` have; these are sorted.
    async fn withdrawable(
        &self,
        pipeline: &Name,
        passed: Vec<RecordKey>,
        keeper: LetterKeeper,
    ) -> Result<Vec<(LetterId, DeadLetter)>>;

    /// What the pipeline has of dead letters.
    async fn letters_held(&self, pipeline: &Name) -> Result<LettersHeld>;

    /// Drops letters for good, as `trim` says; how many of them were dead. Accounts go on counting them.
    ///
    /// # Errors
    /// `Fenced` when `generation` is not the newest; it changes nothing.
    async fn trim_letters(&self, pipeline: &Name, generation: Generation, trim: Trim) -> Result<u64>;

    /// The first `limit` of [`letters`](CheckpointStore::letters), without their ids.
    async fn dead_letters(&self, pipeline: &Name, limit: usize) -> Result<Vec<DeadLetter>> {
        let letters = self.letters(pipeline, None, limit).await?;
        Ok(letters.into_iter().map(|(_, letter)| letter).collect())
    }
}
