//! The property that the whole design rests on, for any checkpoint store: whatever fails and wherever the
//! process dies, what the sinks show in the end equals the model.
//!
//! A case is drawn from a seed: inputs with bad records and repeats, faults of sources, sinks and the store,
//! and deaths. The pipeline is started again until it finishes. Then, for every sink: each record once (G1, G2)
//! in the order of its source (G3), and a ledger that balances, also by type, with the numbers of the model. Some items withdraw the
//! dead letter of an earlier one. In the end all letters are put in again, with deaths, and each becomes something once.

use std::{
    collections::{BTreeMap, HashSet},
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Recording, Script, TestClock};
use crate::{
    Batch, Census, Change, Checkpoint, CheckpointStore, DeadLetter, Emit, Epoch, Error, Fence, Generation,
    Kind, LetterId, Name, RecordId, RecordKey, Result, Snapshot, State, StateRows, StoreId, Transform,
    checkpoint::{Acknowledgement, LettersHeld, Loaded, Save, Saved, Trim},
    disk::OsDisk,
    engine::{self, Again, BoxLetters, End, EngineCx, Entry, Letters, Outcome, Settings, Stages},
    event::Events,
    ledger::NO_TYPE,
    mailbox::{Mailbox, mailbox},
    queue::disk::Queues,
    random::Random,
    reject::{Fate, LetterKeeper},
    stage::{Chain, Named, ops},
};

/// An item of the model: which source gave it, and which it was.
pub type Item = (u8, u64);

/// One case.
#[derive(Debug)]
pub struct Protocol {
    seed: u64,
    scripts: Vec<Script<Item>>,
    sinks: Vec<Recording<Item>>,
    settings: Settings,
    directory: TempDir,
}

/// Items whose number is a multiple of this are bad at the source.
const BAD: u64 = 17;
/// Items whose number modulo this is 1 are filtered.
const FILTERED: u64 = 5;
/// An item whose number modulo `BAD` is this withdraws the dead letter of the one that is so much before; not of the
/// second source, whose repeats may come on either side of it.
const WITHDRAWS: u64 = 3;
/// Each item of the second source is given again after so many others: a repeat for `Once` to drop.
const REPEAT_AFTER: usize = 7;

impl Protocol {
    /// Draws a case.
    ///
    /// # Panics
    /// If no temporary directory can be made.
    pub fn draw(seed: u64) -> Protocol {
        let mut random = Random::from_seed(seed);
        let faults = if random.chance(0.3) { 0.0 } else { random.unit() * 0.15 };
        let sources = 1 + random.below(3) as u8;
        let scripts = (0..sources)
            .map(|source| {
                let count = random.below(200);
                let mut items: Vec<Item> = (0..count).map(|number| (source, number)).collect();
                if source == 1 {
                    for number in 0..count.saturating_sub(REPEAT_AFTER as u64) {
                        let at = (items.len()).min(number as usize + REPEAT_AFTER);
                        items.insert(at, (source, number));
                    }
                }
                Script {
                    bad: |(_, number)| number % BAD == 0,
                    id: |item| Some(id_of(*item)),
                    faults,
                    seed: Arc::new(AtomicU64::new(random.u64() / 2)),
                    ..Script::new(items)
                }
            })
            .collect();
        let sinks = (0..1 + random.below(2)).map(|_| Recording::new(faults / 2.0, random.u64())).collect();
        let mut settings = Settings { records: 1 + random.below(100), ..Settings::default() };
        settings.limits.records = 1 + random.below(20) as usize;
        let directory = tempfile::tempdir().expect("a temporary directory");
        Protocol { seed, scripts, sinks, settings, directory }
    }

    /// Starts the pipeline once and runs it to its end, its failure or its death; `None` when it died.
    ///
    /// It dies after `polls` polls of its future, if that is given.
    ///
    /// # Errors
    /// As [`engine::run`].
    pub async fn live(&self, store: Arc<dyn CheckpointStore>, polls: Option<u64>) -> Result<Option<Outcome>> {
        let (mail, cx) = self.cx(store);
        let run = engine::run(cx, || self.stages());
        let outcome = dies_after(run, polls).await.transpose()?;
        drop(mail);
        Ok(outcome)
    }

    fn cx(&self, store: Arc<dyn CheckpointStore>) -> (Mailbox, EngineCx) {
        let (mail, mailbox) = mailbox();
        let (events, _) = Events::alone(Name::from("model"));
        let queues = Queues::new(OsDisk::shared(), self.directory.path().join("queues"), store.clone());
        let cx = EngineCx {
            pipeline: Name::from("model"),
            settings: self.settings,
            store,
            claim: Default::default(),
            clock: Arc::new(TestClock::default()),
            disk: OsDisk::shared(),
            random: Random::from_os(),
            directory: self.directory.path().to_owned(),
            queues,
            mailbox,
            events,
            kill: CancellationToken::new(),
        };
        (mail, cx)
    }

    fn stages(
        &self,
    ) -> Result<
        Stages<
            super::ScriptSource<Item>,
            impl crate::stage::Transforms<In = Item, Out = Item> + use<>,
            super::RecordingSink<Item>,
        >,
    > {
        let filter = ops().filter(|(_, number): &Item| number % FILTERED != 1).build();
        let once = Named::new("once", Once::default()).counting(count, count);
        let delay = Named::new("delay", Delay::default()).counting(count, count);
        let transforms =
            Chain::new(Named::new("filter", filter).counting(count, count), Chain::new(once, delay));
        let sources = self.scripts.iter().enumerate();
        let sources = sources.map(|(index, script)| (Name::from(format!("source-{index}")), script.source()));
        let sinks = self.sinks.iter().enumerate();
        let sinks = sinks.map(|(index, sink)| {
            // The second sink gets only the first source's items.
            let when: Option<engine::When<Item>> =
                (index == 1).then(|| Box::new(|item: &Item| item.0 == 0) as _);
            (Name::from(format!("sink-{index}")), sink.sink(), when)
        });
        let stages = Stages::new(sources.collect(), transforms, sinks.collect())?;
        Ok(stages.withdrawing(superseding).counting(count, count))
    }

    /// Puts the dead letters in again; `None` when it died, after `polls` polls.
    ///
    /// # Errors
    /// As [`engine::retry`].
    pub async fn retry(
        &self,
        store: Arc<dyn CheckpointStore>,
        polls: Option<u64>,
    ) -> Result<Option<Outcome>> {
        let (mail, cx) = self.cx(store.clone());
        let letters = || Box::new(Left { store: store.clone(), after: None }) as BoxLetters<Item, Item>;
        let run = engine::retry(cx, || self.stages(), letters);
        let outcome = dies_after(run, polls).await.transpose()?;
        drop(mail);
        Ok(outcome)
    }

    /// Puts what is left in again, and compares what is visible with the model.
    ///
    /// # Panics
    /// If anything differs.
    pub async fn verify_retry(&self, store: Arc<dyn CheckpointStore>) {
        let seed = self.seed;
        let outcome = match self.retry(store.clone(), None).await {
            Ok(Some(outcome)) => outcome,
            other => panic!("seed {seed}: the retry goes on to its end, not {other:?}"),
        };
        assert!(outcome.ledger.is_balanced(), "seed {seed}: {:?}", outcome.ledger);
        assert_eq!(store.count_dead_letters(&Name::from("model")).await.expect("a count"), 0, "seed {seed}");
        for (index, sink) in self.sinks.iter().enumerate() {
            let mut visible = sink.visible();
            let count = visible.len();
            visible.sort_unstable();
            visible.dedup();
            assert_eq!(visible.len(), count, "seed {seed}: sink {index} shows each item once");
            let mut expected: Vec<Item> =
                self.scripts.iter().flat_map(|script| script.items.iter().copied()).collect();
            expected.sort_unstable();
            expected.dedup();
            expected.retain(|item| {
                item.1 % FILTERED != 1 && (index != 1 || item.0 == 0) && !is_withdrawn(*item, self)
            });
            // The delay holds the last item of each source back.
            let missing: Vec<Item> =
                expected.iter().filter(|item| visible.binary_search(item).is_err()).copied().collect();
            let account = outcome.ledger.accounts[&Name::from(format!("sink-{index}"))];
            assert!(missing.len() as u64 <= account.pending, "seed {seed}: sink {index} lacks {missing:?}");
            assert!(missing.iter().all(|item| item.1 % BAD == 0), "seed {seed}: {missing:?}");
            let extra = visible.iter().filter(|item| expected.binary_search(item).is_err());
            assert_eq!(extra.count(), 0, "seed {seed}: sink {index} shows what was withdrawn");
            assert_eq!((account.dead, account.delivered), (0, count as u64), "seed {seed}: {account:?}");
            let mut shown = Census::new();
            self::count(&visible, &mut shown);
            let rows = &outcome.ledger.types[&Name::from(format!("sink-{index}"))].0;
            for (kind, records) in shown.iter() {
                let delivered = rows[kind.map_or(NO_TYPE, Kind::name)].delivered;
                assert_eq!(delivered, records, "seed {seed}: sink {index}, {kind:?}");
            }
        }
    }

    /// Runs a case to its end without further deaths, and compares what is visible with the model.
    ///
    /// # Panics
    /// If anything differs.
    pub async fn verify(&self, store: Arc<dyn CheckpointStore>) {
        let seed = self.seed;
        let outcome = match self.live(store.clone(), None).await {
            Ok(Some(outcome)) => outcome,
            other => panic!("seed {seed}: the pipeline goes on to its end, not {other:?}"),
        };
        assert_eq!(outcome.end, End::Finished, "seed {seed}");
        assert!(outcome.ledger.is_balanced(), "seed {seed}: {:?}", outcome.ledger);
        let read: usize = self.scripts.iter().map(|script| script.items.len()).sum();
        let bad: usize = self
            .scripts
            .iter()
            .map(|script| script.items.iter().filter(|item| (script.bad)(item)).count())
            .sum();
        let letters = store.dead_letters(&Name::from("model"), usize::MAX).await.expect("dead letters");
        assert_eq!(letters.len(), bad, "seed {seed}: every bad item is one dead letter");
        let items = self.scripts.iter().flat_map(|script| script.items.iter());
        let withdrawn = items.filter(|item| item.1 % BAD == 0 && is_withdrawn(**item, self)).count();
        let kept = letters.iter().filter(|letter| letter.fate == Fate::Dead).count();
        assert_eq!(kept, bad - withdrawn, "seed {seed}: what a later item supersedes is withdrawn");
        for (index, sink) in self.sinks.iter().enumerate() {
            let visible = sink.visible();
            let mut expected_total = 0;
            // By type, what is read and what is shown. What can't be read has none.
            let mut types: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
            for (number, script) in self.scripts.iter().enumerate() {
                let mut seen = HashSet::new();
                let expected: Vec<Item> = script
                    .items
                    .iter()
                    .filter(|item| !(script.bad)(item) && item.1 % FILTERED != 1 && seen.insert(**item))
                    .filter(|item| index != 1 || item.0 == 0)
                    .copied()
                    .collect();
                let shown: Vec<Item> =
                    visible.iter().filter(|item| usize::from(item.0) == number).copied().collect();
                assert_eq!(shown, expected, "seed {seed}: sink {index}, source {number}");
                expected_total += expected.len();
                let bad = script.items.iter().filter(|item| (script.bad)(item)).count();
                types.entry(NO_TYPE).or_default().0 += bad as u64;
                let of_source = types.entry(kind_of(number as u8).map_or(NO_TYPE, Kind::name)).or_default();
                of_source.0 += (script.items.len() - bad) as u64;
                of_source.1 += expected.len() as u64;
            }
            let rows = outcome.ledger.types.get(&Name::from(format!("sink-{index}")));
            for (name, expected) in types {
                let row = rows.and_then(|rows| rows.0.get(name)).copied().unwrap_or_default();
                assert_eq!((row.read, row.delivered), expected, "seed {seed}: sink {index}, {name}");
            }
            let account = outcome.ledger.accounts[&Name::from(format!("sink-{index}"))];
            assert_eq!(account.read, read as u64, "seed {seed}: {account:?}");
            assert_eq!(account.delivered, expected_total as u64, "seed {seed}: {account:?}");
            assert_eq!(account.dead, (bad - withdrawn) as u64, "seed {seed}: {account:?}");
            assert_eq!(account.pending, 0, "seed {seed}: {account:?}");
        }
    }
}

/// The type of a source's items; the third gives none.
fn kind_of(source: u8) -> Option<Kind> {
    let name = ["HeartRate", "StepCount"].get(usize::from(source))?;
    Kind::parse(name).ok()
}

fn count(items: &[Item], census: &mut Census) {
    items.iter().for_each(|(source, _)| census.count(kind_of(*source), 1));
}

fn id_of((source, number): Item) -> RecordId {
    RecordId::from_u128(u128::from(source) << 64 | u128::from(number))
}

/// The item whose dead letter `item` withdraws.
fn superseded_by(item: Item) -> Option<Item> {
    let (source, number) = item;
    (source != 1 && number % BAD == WITHDRAWS).then(|| (source, number - WITHDRAWS))
}

fn superseding(batch: &Batch<Item>, keys: &mut Vec<RecordKey>) {
    let deletion = |item: &Item| {
        let id = id_of(superseded_by(*item)?);
        Some(RecordKey { id, change: Change::Deleted, revision: 0 })
    };
    keys.extend(batch.iter().filter_map(deletion));
}

/// Whether the item that withdraws this one passes.
fn is_withdrawn((source, number): Item, case: &Protocol) -> bool {
    let by = (source, number + WITHDRAWS);
    let given = case.scripts.get(usize::from(source)).is_some_and(|script| by.1 < script.items.len() as u64);
    number % BAD == 0 && superseded_by(by).is_some() && by.1 % FILTERED != 1 && given
}

/// The letters that are left, a few at a time.
struct Left {
    store: Arc<dyn CheckpointStore>,
    after: Option<LetterId>,
}

#[async_trait]
impl Letters<Item, Item> for Left {
    async fn next(&mut self) -> Result<Vec<Again<Item, Item>>> {
        loop {
            let letters = self.store.letters(&Name::from("model"), self.after, 3).await?;
            let Some((last, _)) = letters.last() else { return Ok(Vec::new()) };
            self.after = Some(*last);
            let again: Vec<_> = letters
                .into_iter()
                .filter(|(_, letter)| letter.fate == Fate::Dead)
                .map(|(id, letter)| {
                    let record = letter.record_key().expect("scripted letters have keys").id.as_u128();
                    let entry = Entry::Front(vec![((record >> 64) as u8, record as u64)]);
                    Again { id, letter, entry }
                })
                .collect();
            if !again.is_empty() {
                return Ok(again);
            }
        }
    }
}

/// Completes `future`, or drops it after `polls` polls.
async fn dies_after<T>(future: impl Future<Output = T>, polls: Option<u64>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if let Some(left) = &mut left {
            if *left == 0 {
                return Poll::Ready(None);
            }
            *left -= 1;
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Drops repeats; its state goes out as deltas.
#[derive(Debug, Default)]
struct Once {
    seen: HashSet<Item>,
    fresh: Vec<Item>,
}

impl Transform for Once {
    type In = Item;
    type Out = Item;

    fn apply(&mut self, input: &mut Batch<Item>, out: &mut Emit<Item>) -> Result<()> {
        let before = input.len();
        input.retain(|item| {
            let new = self.seen.insert(*item);
            if new {
                self.fresh.push(*item);
            }
            new
        });
        out.superseded(before - input.len());
        out.take(input);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if self.fresh.is_empty() {
            return Ok(Snapshot::Unchanged);
        }
        let key = |(source, number): Item| [&[source], &number.to_be_bytes()[..]].concat();
        Ok(Snapshot::Delta(self.fresh.drain(..).map(|item| (key(item), Some([]))).collect()))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (key, _) = row?;
            let number = key[1..].try_into().map_err(|_| Error::state("a key of 9 bytes"))?;
            self.seen.insert((key[0], u64::from_be_bytes(number)));
        }
        Ok(())
    }
}

/// Holds the last item of each source back until the next; its state goes out whole.
#[derive(Debug, Default)]
struct Delay {
    held: BTreeMap<u8, Item>,
    changed: bool,
}

impl Transform for Delay {
    type In = Item;
    type Out = Item;

    fn apply(&mut self, input: &mut Batch<Item>, out: &mut Emit<Item>) -> Result<()> {
        for item in input.drain(..) {
            self.changed = true;
            match self.held.insert(item.0, item) {
                Some(earlier) => out.push(earlier),
                None => out.held(1),
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Emit<Item>) -> Result<()> {
        for (_, item) in std::mem::take(&mut self.held) {
            self.changed = true;
            out.push(item);
            out.held(-1);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if !std::mem::take(&mut self.changed) {
            return Ok(Snapshot::Unchanged);
        }
        let bytes = rmp_serde::to_vec(&self.held.values().collect::<Vec<_>>())
            .map_err(|_| Error::bug("plain data"))?;
        Ok(Snapshot::Full(bytes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let (_, bytes) = row?;
            let items: Vec<Item> =
                rmp_serde::from_slice(&bytes).map_err(|_| Error::state("a list of items"))?;
            self.held = items.into_iter().map(|item| (item.0, item)).collect();
        }
        Ok(())
    }
}

/// A store that checks what it is given, and fails now and then: before the save, or after it, so that its
/// outcome is unknown to the engine.
#[derive(Debug)]
pub struct CheckedStore<S> {
    store: S,
    faults: f64,
    seed: AtomicU64,
    last: std::sync::Mutex<Option<Checkpoint>>,
}

impl<S> CheckedStore<S> {
    /// Wraps `store`; `faults` is the probability of each of the two failures.
    pub fn new(store: S, faults: f64, seed: u64) -> CheckedStore<S> {
        CheckedStore { store, faults, seed: AtomicU64::new(seed), last: std::sync::Mutex::new(None) }
    }

    fn fault(&self) -> Result<()> {
        let mut random = Random::from_seed(self.seed.fetch_add(1, Ordering::SeqCst));
        if random.chance(self.faults) {
            Err(Error::transient("scripted failure of the store"))
        } else {
            Ok(())
        }
    }

    /// Epochs follow one another, positions never go back, the ledger balances and only grows.
    fn check(&self, save: &Save) {
        let mut last = self.last.lock().expect("no check panicked before");
        let new = &save.checkpoint;
        assert!(new.ledger.is_balanced(), "the ledger balances at every checkpoint: {:?}", new.ledger);
        if let Some(last) = &*last {
            assert!(new.epoch <= last.epoch.next(), "epoch {} after {}", new.epoch, last.epoch);
            assert_eq!(new.incarnation, last.incarnation);
            for (source, position) in &last.positions {
                let at = |position: &crate::Position| position.read::<u64>(1).expect("a scripted position");
                let moved = at(&new.positions[source]) >= at(position);
                assert!(moved || new.epoch <= last.epoch, "positions of later epochs never go back");
            }
        }
        *last = Some(new.clone());
    }
}

#[async_trait]
impl<S: CheckpointStore> CheckpointStore for CheckedStore<S> {
    fn id(&self) -> StoreId {
        self.store.id()
    }
    async fn claim(&self, pipeline: &Name) -> Result<Generation> {
        self.fault()?;
        self.store.claim(pipeline).await
    }
    async fn reclaim(&self, pipeline: &Name, generation: Generation) -> Result<Generation> {
        self.fault()?;
        self.store.reclaim(pipeline, generation).await
    }
    async fn load(&self, pipeline: &Name, generation: Generation) -> Result<Option<Loaded>> {
        self.fault()?;
        let loaded = self.store.load(pipeline, generation).await?;
        // A save that failed may have happened all the same: only this shows it.
        if let Some(Loaded { checkpoint, .. }) = &loaded {
            let mut last = self.last.lock().expect("no check panicked before");
            if last.as_ref().is_some_and(|last| checkpoint.epoch == last.epoch.next()) {
                *last = Some(checkpoint.clone());
            }
        }
        Ok(loaded)
    }
    async fn checkpoints(&self, pipeline: &Name) -> Result<Vec<Checkpoint>> {
        self.fault()?;
        self.store.checkpoints(pipeline).await
    }
    async fn state(&self, pipeline: &Name, stage: &Name, epoch: Epoch) -> Result<StateRows> {
        self.fault()?;
        self.store.state(pipeline, stage, epoch).await
    }
    async fn save(&self, save: Save) -> Result<Saved> {
        self.fault()?;
        let checked = save.clone();
        let saved = self.store.save(save).await?;
        self.check(&checked);
        self.fault()?;
        Ok(saved)
    }
    async fn acknowledge(&self, fence: &Fence, acknowledgement: Acknowledgement) -> Result<()> {
        self.fault()?;
        self.store.acknowledge(fence, acknowledgement).await?;
        self.fault()
    }
    async fn acknowledged(&self, pipeline: &Name, sink: &Name) -> Result<Option<Vec<u8>>> {
        self.fault()?;
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
    async fn letters_held(&self, pipeline: &Name) -> Result<LettersHeld> {
        self.fault()?;
        self.store.letters_held(pipeline).await
    }
    async fn trim_letters(&self, pipeline: &Name, generation: Generation, trim: Trim) -> Result<u64> {
        self.store.trim_letters(pipeline, generation, trim).await
    }
    async fn withdrawable(
        &self,
        pipeline: &Name,
        passed: Vec<RecordKey>,
        keeper: LetterKeeper,
    ) -> Result<Vec<(LetterId, DeadLetter)>> {
        self.fault()?;
        self.store.withdrawable(pipeline, passed, keeper).await
    }
}
