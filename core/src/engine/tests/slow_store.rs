//! Commands that come while the store takes its time.

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::{
    Checkpoint, DeadLetter, Fence, Generation, LetterId, RecordKey, StateRows, StoreId,
    checkpoint::{Acknowledgement, LettersHeld, Loaded, Save, Saved, Trim},
    reject::LetterKeeper,
};

/// A store that says what it holds of dead letters once it may.
#[derive(Debug)]
struct Slow {
    store: Arc<MemoryStore>,
    asked: Notify,
    may_answer: Notify,
}

#[async_trait]
impl CheckpointStore for Slow {
    fn id(&self) -> StoreId {
        self.store.id()
    }
    async fn claim(&self, pipeline: &Name) -> Result<Generation> {
        self.store.claim(pipeline).await
    }
    async fn reclaim(&self, pipeline: &Name, generation: Generation) -> Result<Generation> {
        self.store.reclaim(pipeline, generation).await
    }
    async fn load(&self, pipeline: &Name, generation: Generation) -> Result<Option<Loaded>> {
        self.store.load(pipeline, generation).await
    }
    async fn checkpoints(&self, pipeline: &Name) -> Result<Vec<Checkpoint>> {
        self.store.checkpoints(pipeline).await
    }
    async fn state(&self, pipeline: &Name, stage: &Name, epoch: Epoch) -> Result<StateRows> {
        self.store.state(pipeline, stage, epoch).await
    }
    async fn save(&self, save: Save) -> Result<Saved> {
        self.store.save(save).await
    }
    async fn acknowledge(&self, fence: &Fence, acknowledgement: Acknowledgement) -> Result<()> {
        self.store.acknowledge(fence, acknowledgement).await
    }
    async fn acknowledged(&self, pipeline: &Name, sink: &Name) -> Result<Option<Vec<u8>>> {
        self.store.acknowledged(pipeline, sink).await
    }
    async fn forget(&self, pipeline: &Name) -> Result<()> {
        self.store.forget(pipeline).await
    }
    async fn count_dead_letters(&self, pipeline: &Name) -> Result<u64> {
        self.store.count_dead_letters(pipeline).await
    }
    async fn letters(
        &self,
        pipeline: &Name,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        self.store.letters(pipeline, after, limit).await
    }
    async fn withdrawable(
        &self,
        pipeline: &Name,
        passed: Vec<RecordKey>,
        keeper: LetterKeeper,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        self.store.withdrawable(pipeline, passed, keeper).await
    }
    async fn letters_held(&self, pipeline: &Name) -> Result<LettersHeld> {
        self.asked.notify_one();
        self.may_answer.notified().await;
        self.store.letters_held(pipeline).await
    }
    async fn trim_letters(&self, pipeline: &Name, generation: Generation, trim: Trim) -> Result<u64> {
        self.store.trim_letters(pipeline, generation, trim).await
    }
}

/// A source that gives nothing.
struct Silent;

impl Source for Silent {
    type Item = u64;

    async fn open(&mut self, _: crate::SourceCx) -> Result<()> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<crate::Pulled<u64>>> {
        std::future::pending().await
    }
}

/// Scenario: a pipeline that has nothing to do asks the store about its dead letters, and is told to end before it has the answer.
/// Guarantees: G6: it ends as soon as it has the answer, not when it next has something to do.
#[tokio::test(start_paused = true)]
async fn a_command_that_comes_during_a_look_is_obeyed_after_it() {
    let world = World::new();
    let script = Script { bad: |item| *item == 3, ..Script::new((0..9_u64).collect()) };
    let recording = Recording::default();
    let (cx, _outside) = world.run();
    let outcome = run(cx, || stages(script.source(), recording.sink())).await.unwrap();
    assert_eq!(outcome.ledger.dead_letters, 1);

    let store =
        Arc::new(Slow { store: world.store.clone(), asked: Notify::new(), may_answer: Notify::new() });
    let (mut cx, outside) = world.run();
    cx.store = store.clone();
    let task = spawn(run(cx, move || stages(Silent, recording.sink())));
    store.asked.notified().await;
    let asked = clock::instant();
    let told = async { outside.mailbox.stop().await.unwrap() };
    let answered = async {
        // It comes behind the command, which was taken by then.
        outside.mailbox.status().await.unwrap();
        store.may_answer.notify_one();
    };
    let ((), (), outcome) = tokio::join!(biased; told, answered, task);
    assert_eq!(outcome.unwrap().unwrap().end, End::Stopped);
    assert_eq!(clock::instant(), asked, "nothing was waited for");
}
