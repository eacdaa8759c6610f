//! One life of a pipeline: its open stages, from start to end or failure.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Control, End, When, World,
    backoff::Backoff,
    control::Abort,
    crash::crash_point,
    pulls::{Completed, Pulls},
    retry::BoxLetters,
    stages::{CopyItem, Superseding},
    tally::{SinkTally, Tally},
    watch::LetterWatch,
};
use crate::{
    Batch, Checkpoint, Committed, DeadLetter, Emit, Epoch, Error, ErrorKind, Generation, LetterId, Name,
    Pulled, Reject, Result, Sink, Snapshot, Source, Token,
    checkpoint::{Save, make_room},
    clock::{self, Instant},
    event::EventKind,
    ledger::Ledger,
    mailbox::Activity,
    metrics,
    reject::{Fate, LetterKeeper, RejectedBy},
    stage::Transforms,
};

/// How often a pipeline whose receivers have not acknowledged everything looks whether they have.
const PENDING_CHECK: std::time::Duration = std::time::Duration::from_millis(250);

/// An epoch is closed when its dead letters take this much memory: they are the only part of it that is held until
/// the checkpoint.
const LETTERS_BYTES: u64 = 4 << 20;
/// An epoch is closed when so many records came out that may withdraw dead letters: 1.5 MiB of keys.
const PASSED_KEYS: usize = 1 << 16;
/// What a dead letter takes beside its payload: its reason, its location and itself.
const LETTER_BYTES: usize = 512;

/// The open stages and the open epoch.
pub(super) struct Life<'a, S: Source, X: Transforms<In = S::Item>, K: Sink<Item = X::Out>> {
    pub(super) world: &'a mut World,
    pub(super) control: &'a mut Control,
    pub(super) pulls: Pulls<S>,
    pub(super) transforms: X,
    pub(super) sinks: Vec<OpenSink<K>>,
    pub(super) copy: Option<CopyItem<X::Out>>,
    pub(super) superseding: Option<Superseding<X::Out>>,
    /// When it looks at its dead letters.
    pub(super) watch: LetterWatch,
    /// Whether this is a retry: dead letters are put in, and no source is pulled from.
    pub(super) retrying: bool,
    /// Those of a retry that are left.
    pub(super) letters: Option<BoxLetters<S::Item, X::Out>>,
    /// Output of the transforms; its buffers are reused.
    pub(super) out: Emit<X::Out>,
    pub(super) tally: Tally,
    /// The last one that was saved.
    pub(super) checkpoint: Checkpoint,
    pub(super) generation: Generation,
    /// When the open epoch first changed; `None` while it has not.
    pub(super) opened_at: Option<Instant>,
    pub(super) idle: bool,
}

pub(super) struct OpenSink<K: Sink> {
    pub(super) name: Name,
    pub(super) sink: K,
    pub(super) when: Option<When<K::Item>>,
    /// What it is given next; its buffer is reused.
    pub(super) batch: Batch<K::Item>,
}

/// What the loop woke up for.
enum Woke<S: Source> {
    Command(Option<crate::mailbox::Command>),
    Pulled(Completed<S>),
    Due,
}

impl<S, X, K> Life<'_, S, X, K>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
{
    /// Moves records until the end.
    pub(super) async fn run(mut self) -> Result<End, Abort> {
        let mut close = false;
        loop {
            let retried = self.put_in_letters().await?;
            let ended = self.pulls.all_ended() && self.letters.is_none();
            if ended && !self.retrying {
                self.finish().await?;
            }
            if close || retried || ended || self.control.wants_close() {
                self.close().await?;
                self.control.closed(Some(self.checkpoint.epoch));
                close = false;
            }
            if let Some(end) = self.ending(ended) {
                return Ok(end);
            }
            if retried {
                continue;
            }
            self.look_at_letters().await?;
            let due = self.due();
            let pulling = !self.control.paused && !self.control.is_ending();
            let woke = tokio::select! {
                biased;
                command = self.control.command() => Woke::Command(command?),
                pulled = self.pulls.completed(), if pulling => Woke::Pulled(pulled),
                () = clock::sleep_until(due.unwrap_or_else(clock::instant)), if due.is_some() => Woke::Due,
            };
            match woke {
                Woke::Command(command) => self.control.receive(command),
                Woke::Pulled(completed) => close = self.pulled(completed).await?,
                Woke::Due => {
                    self.sinks
                        .iter()
                        .try_for_each(|slot| slot.sink.check().map_err(|error| error.at(&slot.name)))?;
                    close = true;
                }
            }
        }
    }

    /// Whether and how the run ends now; says when the pipeline has become idle.
    fn ending(&mut self, ended: bool) -> Option<End> {
        let settled = !self.tally.changed && self.recorded_pending() == 0;
        if self.control.is_ending() {
            self.control.set(Activity::Stopping, None);
            return (settled || !self.control.is_draining()).then_some(End::Stopped);
        }
        if ended {
            return settled.then_some(End::Finished);
        }
        let idle = settled && self.pulls.all_drained() && self.letters.is_none();
        if idle && !self.idle {
            self.control.events.send(EventKind::Idle);
        }
        let resumed = self.control.status.activity == Activity::Paused;
        // A source that is no longer drained because it waits has said so itself.
        let waits = !idle && self.control.status.activity == Activity::Waiting;
        if (idle != self.idle || resumed) && !self.control.paused && !waits {
            self.control.set(if idle { Activity::Idle } else { Activity::Running }, None);
        }
        self.idle = idle;
        (idle && self.world.settings.until_idle).then_some(End::Idle)
    }

    /// When the loop must wake up though nothing happens: to close an epoch that has changed, to look whether what is
    /// pending has been acknowledged, or how old its dead letters are. Otherwise an idle pipeline has no timer.
    fn due(&self) -> Option<Instant> {
        let closing = self.opened_at.map(|opened| opened + self.world.settings.every);
        let closing =
            closing.or_else(|| (self.recorded_pending() > 0).then(|| clock::instant() + PENDING_CHECK));
        closing.into_iter().chain(self.watch.due()).min()
    }

    fn pending(&self) -> u64 {
        self.sinks.iter().map(|slot| slot.sink.pending()).sum()
    }

    /// What the accounts say is pending at receivers.
    fn recorded_pending(&self) -> u64 {
        let ledger = &self.checkpoint.ledger;
        let held = ledger.held_total();
        ledger.accounts.values().map(|account| account.pending.saturating_sub(held)).sum()
    }

    /// Whether receivers have acknowledged everything and the accounts do not say so yet.
    fn is_acknowledged_since(&self) -> bool {
        self.recorded_pending() > 0 && self.pending() == 0
    }

    /// Takes a completed pull; whether the epoch is to be closed now.
    async fn pulled(&mut self, completed: Completed<S>) -> Result<bool, Abort> {
        // A source that is always ready must not keep the worker from other tasks.
        tokio::task::coop::consume_budget().await;
        let Completed { index, source, result } = completed;
        let slot = &mut self.pulls.slots[index];
        let pulled = match result {
            Ok(Some(pulled)) => pulled,
            Ok(None) => {
                slot.ended = true;
                return Ok(false);
            }
            Err(error) => return self.failed_pull(index, source, error),
        };
        if self.control.status.activity == Activity::Waiting {
            self.control.set(Activity::Running, None);
        }
        slot.backoff.reset();
        slot.pulls += 1;
        slot.drained = pulled.is_drained();
        let name = slot.name.clone();
        let moved = slot.position.as_ref() != Some(&pulled.position);
        let Pulled { mut batch, rejects, position, seal } = pulled;
        if moved {
            slot.position = Some(position);
        }
        // The next pull is under way while this batch moves; it is not polled before the batch has.
        slot.pull(source, None);

        if moved || !batch.is_empty() || !rejects.is_empty() {
            self.changed();
        }
        self.tally.read += (batch.len() + rejects.len()) as u64;
        self.tally.source_dead += rejects.len() as u64;
        self.tally.bytes += batch.bytes() as u64;
        for reject in rejects {
            self.bury(name.clone(), RejectedBy::Source, reject);
        }
        if !batch.is_empty() {
            self.transforms.apply(&mut batch, &mut self.out)?;
            self.deliver().await?;
        }
        let settings = &self.world.settings;
        let full = self.tally.read >= settings.records
            || self.tally.bytes >= settings.bytes
            || self.tally.letters_bytes >= LETTERS_BYTES
            || self.tally.passed.len() >= PASSED_KEYS;
        let old = self.opened_at.is_some_and(|opened| clock::instant() >= opened + settings.every);
        Ok(seal || full || old)
    }

    /// What a source's error means; the source is pulled again if it may heal.
    fn failed_pull(&mut self, index: usize, source: S, error: Error) -> Result<bool, Abort> {
        let slot = &mut self.pulls.slots[index];
        slot.drained = false;
        let stage = slot.name.clone();
        match error.kind() {
            ErrorKind::Waiting => {
                slot.pull(source, None);
                let reason = error.message().to_owned();
                self.control.set(Activity::Waiting, Some(&reason));
                self.control.events.send(EventKind::Waiting { stage, reason });
                Ok(true)
            }
            kind @ ErrorKind::Transient { .. } => {
                let wait = slot.backoff.next(kind, &mut self.world.random);
                slot.pull(source, Some(wait));
                let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let error = error.at(&stage).to_string();
                tracing::warn!("{error}; trying again in {after_ms} ms");
                self.control.events.send(EventKind::Retrying { error, after_ms });
                Ok(false)
            }
            _ => Err(error.at(&stage).into()),
        }
    }

    pub(super) fn changed(&mut self) {
        self.tally.changed = true;
        self.opened_at.get_or_insert_with(clock::instant);
    }

    /// Keeps a rejected item for the dead letters of this epoch.
    fn bury(&mut self, stage: Name, by: RejectedBy, reject: Reject) {
        self.tally.bytes += reject.bytes() as u64;
        self.tally.letters_bytes += (reject.bytes() + LETTER_BYTES) as u64;
        self.tally.dead_letters.push(DeadLetter {
            stage,
            payload: reject.payload,
            key: reject.key,
            reason: reject.reason,
            location: reject.location,
            time: self.world.clock.now(),
            incarnation: self.checkpoint.incarnation,
            epoch: self.checkpoint.epoch.next(),
            by: Some(by),
            fate: Fate::Dead,
        });
    }

    /// Gives what lies in `out` to the sinks: clones to all but the last.
    pub(super) async fn deliver(&mut self) -> Result<(), Abort> {
        let counts = self.out.take_counts();
        self.tally.transforms.add(counts);
        for (stage, reject) in self.out.take_rejects() {
            self.bury(stage, RejectedBy::Transform, reject);
        }
        let batch = &mut self.out.batch;
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(superseding) = self.superseding {
            superseding(batch, &mut self.tally.passed);
        }
        let last = self.sinks.len() - 1;
        for (index, slot) in self.sinks.iter_mut().enumerate() {
            let given = batch.len();
            match (index == last, self.copy) {
                (true, _) => {
                    slot.batch.take_from(batch);
                    if let Some(when) = &mut slot.when {
                        slot.batch.retain(|record| when(record));
                    }
                }
                (false, Some(copy)) => match &mut slot.when {
                    Some(when) => slot.batch.extend(batch.iter().filter(|record| when(record)).map(copy)),
                    None => slot.batch.extend(batch.iter().map(copy)),
                },
                (false, None) => return Err(Error::bug("several sinks and no way to clone records").into()),
            }
            let written = slot.batch.len();
            let tally = &mut self.tally.sinks[index];
            tally.filtered += (given - written) as u64;
            tally.written += written as u64;
            if written > 0 {
                let result = self.control.attend(slot.sink.write(&mut slot.batch)).await?;
                result.map_err(|error| error.at(&slot.name))?;
                if !slot.batch.is_empty() {
                    return Err(Error::bug("`write` left records in the batch").at(&slot.name).into());
                }
            }
        }
        Ok(())
    }

    /// The input has ended: gives out what the transforms hold.
    async fn finish(&mut self) -> Result<(), Abort> {
        self.transforms.finish(&mut self.out)?;
        if !self.out.batch.is_empty() || self.out.counts() != Default::default() {
            self.changed();
        }
        self.deliver().await
    }

    /// Closes the open epoch, unless nothing has changed.
    async fn close(&mut self) -> Result<(), Abort> {
        if !self.tally.changed && !self.is_acknowledged_since() {
            self.opened_at = None;
            return Ok(());
        }
        let began = clock::instant();
        crash_point!("close.begun");
        self.transforms.tick(self.world.clock.now(), &mut self.out)?;
        self.deliver().await?;

        let mut states = Vec::new();
        let mut held = BTreeMap::new();
        self.transforms.stages(&mut |stage| {
            held.insert(stage.name().clone(), stage.held());
            match stage.snapshot()? {
                Snapshot::Unchanged => {}
                changed => states.push((stage.name().clone(), changed)),
            }
            Ok(())
        })?;
        crash_point!("close.snapshot");

        let epoch = self.checkpoint.epoch.next();
        let tokens = self.prepare_sinks(epoch).await?;
        crash_point!("close.prepared");

        let withdrawn = self.withdraw(epoch).await?;
        self.make_room_for_letters().await?;
        let ledger = self.ledger(epoch, held)?;
        let mut positions = self.checkpoint.positions.clone();
        for slot in &self.pulls.slots {
            if let Some(position) = &slot.position {
                positions.insert(slot.name.clone(), position.clone());
            }
        }
        let checkpoint = Checkpoint {
            pipeline: self.world.pipeline.clone(),
            incarnation: self.checkpoint.incarnation,
            epoch,
            time: self.world.clock.now(),
            positions,
            tokens,
            ledger,
        };
        let dead = self.tally.dead_letters.len() as u64;
        let save = Save {
            generation: self.generation,
            checkpoint: checkpoint.clone(),
            states,
            dead_letters: std::mem::take(&mut self.tally.dead_letters),
            withdrawn,
            retried: std::mem::take(&mut self.tally.retried),
        };
        let saved = self.control.attend(self.world.store.save(save)).await??;
        let before = std::mem::replace(&mut self.checkpoint, checkpoint);
        crash_point!("close.saved");

        self.commit_sinks().await?;
        crash_point!("close.committed");

        self.tally = Tally::new(self.sinks.len());
        self.opened_at = None;
        for slot in &self.pulls.slots {
            let position = saved.oldest.get(&slot.name).cloned();
            slot.committed.send_replace(Committed { epoch, pulls: slot.pulls, position });
        }
        let ledger = &self.checkpoint.ledger;
        for (name, account) in &ledger.accounts {
            let earlier = before.ledger.accounts.get(name).copied().unwrap_or_default();
            metrics::account(&self.world.pipeline, name, &earlier, account);
        }
        metrics::epoch(&self.world.pipeline, clock::instant().duration_since(began).as_secs_f64());
        tracing::debug!(%epoch, "committed");
        self.control.status.epoch = Some(epoch);
        self.control.status.ledger = ledger.clone();
        self.control.events.send(EventKind::Committed { epoch, ledger: Arc::new(ledger.clone()) });
        if ledger.dead_letters > before.ledger.dead_letters {
            self.watch.begin();
        }
        if dead > 0 {
            self.control.events.send(EventKind::DeadLettered { count: dead, total: ledger.dead_letters });
        }
        crash_point!("close.published");
        Ok(())
    }

    /// The accounts at the end of the open epoch, after which the transforms hold `held`.
    pub(super) fn ledger(&self, epoch: Epoch, held: BTreeMap<Name, u64>) -> Result<Ledger> {
        let mut ledger = self.checkpoint.ledger.clone();
        let held_before = ledger.held_total();
        ledger.held = held;
        self.tally.add_to(&mut ledger, held_before, self.sinks.iter().map(|slot| &slot.name));
        if !ledger.is_balanced() {
            return Err(Error::bug(format!(
                "the ledger does not balance at epoch {epoch}: {ledger:?}; report this"
            )));
        }
        Ok(ledger)
    }

    /// Sees to it that the dead letters of the epoch have room.
    async fn make_room_for_letters(&mut self) -> Result<(), Abort> {
        if self.tally.dead_letters.is_empty() {
            return Ok(());
        }
        let new: u64 = self.tally.dead_letters.iter().map(DeadLetter::bytes).sum();
        // What is put in again makes room.
        let new = new.saturating_sub(self.tally.retried_bytes);
        let (store, pipeline) = (self.world.store.clone(), self.world.pipeline.clone());
        let (limits, now) = (self.world.settings.letters, self.world.clock.now());
        self.control.attend(make_room(&*store, &pipeline, &limits, new, now)).await??;
        Ok(())
    }

    /// Withdraws the dead letters that what passed in `epoch` supersedes: marks those of the epoch itself, and gives the
    /// earlier ones, to be marked by its save. An epoch in which nothing passed that could, or a pipeline without
    /// dead letters, asks the store nothing.
    async fn withdraw(&mut self, epoch: Epoch) -> Result<Vec<LetterId>, Abort> {
        let mut passed = std::mem::take(&mut self.tally.passed);
        let earlier = self.checkpoint.ledger.dead_letters > 0;
        if passed.is_empty() || (!earlier && self.tally.dead_letters.is_empty()) {
            return Ok(Vec::new());
        }
        passed.sort_unstable();
        passed.dedup();
        let names: Vec<Name> = self.sinks.iter().map(|slot| slot.name.clone()).collect();
        for letter in &mut self.tally.dead_letters {
            if letter.is_withdrawn_by(&passed, &LetterKeeper::Engine) {
                letter.fate = Fate::Withdrawn(epoch);
                count_withdrawn(letter, &self.checkpoint.ledger, &names, &mut self.tally.sinks);
            }
        }
        if !earlier {
            return Ok(Vec::new());
        }
        let asked = self.world.store.withdrawable(&self.world.pipeline, passed, LetterKeeper::Engine);
        let mut found = self.control.attend(asked).await??;
        // What is put in again in this epoch is no longer dead.
        found.retain(|(id, _)| !self.tally.retried.contains(id));
        for (_, letter) in &found {
            count_withdrawn(letter, &self.checkpoint.ledger, &names, &mut self.tally.sinks);
        }
        Ok(found.into_iter().map(|(id, _)| id).collect())
    }

    /// Makes the sinks' writes durable or staged; the tokens by sink.
    pub(super) async fn prepare_sinks(
        &mut self,
        epoch: Epoch,
    ) -> Result<BTreeMap<Name, Option<Token>>, Abort> {
        let mut tokens = BTreeMap::new();
        for index in 0..self.sinks.len() {
            let slot = &mut self.sinks[index];
            let name = slot.name.clone();
            let prepared =
                self.control.attend(slot.sink.prepare(epoch)).await?.map_err(|error| error.at(&name))?;
            let tally = &mut self.tally.sinks[index];
            tally.superseded += prepared.superseded;
            tally.dead += prepared.rejects.len() as u64;
            tally.refused += prepared.refused;
            tally.withdrawn += prepared.withdrawn;
            tally.pending = slot.sink.pending();
            for reject in prepared.rejects {
                self.bury(name.clone(), RejectedBy::Sink, reject);
            }
            tokens.insert(name, prepared.token);
            crash_point!("close.prepared_one");
        }
        Ok(tokens)
    }

    /// Finishes the saved epoch in every sink, for as long as it takes.
    pub(super) async fn commit_sinks(&mut self) -> Result<(), Abort> {
        for slot in &mut self.sinks {
            let token = self.checkpoint.tokens.get(&slot.name).and_then(Option::as_ref);
            let mut backoff = Backoff::default();
            loop {
                let result = self.control.attend(slot.sink.commit(self.checkpoint.epoch, token)).await?;
                let error = match result {
                    Ok(()) => break,
                    Err(error) if error.kind().is_retryable() => error.at(&slot.name),
                    Err(error) => return Err(error.at(&slot.name).into()),
                };
                let wait = backoff.next(error.kind(), &mut self.world.random);
                let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!("{error}; committing again in {after_ms} ms");
                self.control.events.send(EventKind::Retrying { error: error.to_string(), after_ms });
                self.control.attend(clock::sleep(wait)).await?;
            }
            crash_point!("close.committed_one");
        }
        Ok(())
    }
}

/// Counts a letter as withdrawn in the accounts that it is in; `tallies` are those of the sinks `names`.
fn count_withdrawn(letter: &DeadLetter, ledger: &Ledger, names: &[Name], tallies: &mut [SinkTally]) {
    for (name, tally) in names.iter().zip(tallies) {
        tally.withdrawn += u64::from(ledger.counts(letter, name));
    }
}
