//! Closing an epoch: from the last batch to the commit in every sink. The order, and what a crash between two steps means, is
//! told at the head of the [engine](super).

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use super::{
    backoff::Backoff,
    control::Abort,
    crash::crash_point,
    life::Life,
    look::looking,
    tally::{SinkTally, Tally},
};
use crate::{
    Census, Checkpoint, Committed, DeadLetter, Epoch, Error, LetterId, Name, Result, Sink, Snapshot, Source,
    Token,
    checkpoint::{Save, make_room},
    clock,
    event::EventKind,
    ledger::{Account, Ledger},
    metrics,
    reject::{Fate, LetterKeeper, RejectedBy},
    stage::Transforms,
};

impl<S, X, K> Life<'_, S, X, K>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
{
    /// Closes the open epoch, unless nothing has changed.
    pub(super) async fn close(&mut self) -> Result<(), Abort> {
        if !self.tally.changed && !self.is_acknowledged_since() && !self.is_last_and_behind() {
            self.opened_at = None;
            return Ok(());
        }
        let began = clock::instant();
        crash_point!("close.begun");
        self.transforms.tick(self.world.clock.now(), &mut self.out)?;
        self.deliver().await?;

        let mut states = Vec::new();
        let (mut held, mut held_types) = (BTreeMap::new(), BTreeMap::new());
        self.transforms.stages(&mut |stage| {
            held.insert(stage.name().clone(), stage.held());
            held_types.extend(stage.held_by_type().map(|held| (stage.name().clone(), held.clone())));
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

        let withdrawn = Box::pin(self.withdraw(epoch)).await?;
        Box::pin(self.make_room_for_letters()).await?;
        let ledger = self.ledger(epoch, (held, held_types))?;
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
        // Before anything of the epoch is released.
        self.permit();

        self.commit_sinks().await?;
        crash_point!("close.committed");

        self.tally = Tally::new(self.sinks.len());
        self.opened_at = None;
        self.looked = false;
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
        self.control.committed(epoch, ledger);
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

    /// The accounts at the end of the open epoch, after which the transforms hold `held`: in all, and by type.
    ///
    /// An account that does not balance ends the run. Rows that don't make up their account are kept, for `audit` to say
    /// so: the account tells that nothing is missing.
    pub(super) fn ledger(
        &self,
        epoch: Epoch,
        held: (BTreeMap<Name, u64>, BTreeMap<Name, Census>),
    ) -> Result<Ledger> {
        let mut ledger = self.checkpoint.ledger.clone();
        let held_before = (ledger.held_total(), ledger.held_census());
        (ledger.held, ledger.held_types) = held;
        self.tally.add_to(&mut ledger, held_before, self.sinks.iter().map(|slot| &slot.name));
        if !ledger.accounts.values().all(Account::is_balanced) {
            return Err(Error::bug(format!(
                "the ledger does not balance at epoch {epoch}: {ledger:?}; report this"
            )));
        }
        if !ledger.is_balanced() {
            tracing::error!(%epoch, "the accounts by type do not balance; see `afferent audit`, and report this");
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
        self.control.attend(make_room(&*store, (&pipeline, self.generation), &limits, new, now)).await??;
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
            let outside = (&*self.world, &mut *self.control, &mut self.transforms);
            let prepared = looking(outside, &self.permission, pin!(slot.sink.prepare(epoch))).await?;
            let prepared = prepared.map_err(|error| error.at(&name))?;
            let tally = &mut self.tally.sinks[index];
            tally.superseded.add(&prepared.superseded);
            prepared.rejects.iter().for_each(|reject| tally.dead.count(reject.kind, 1));
            tally.refused.add(&prepared.refused);
            tally.withdrawn.add(&prepared.withdrawn);
            tally.withheld.add(&prepared.withheld);
            tally.pending = slot.sink.pending();
            if self.taps.is_some() {
                self.tally.types().sinks[index].pending = prepared.pending;
            }
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
                let outside = (&*self.world, &mut *self.control, &mut self.transforms);
                let committing = pin!(slot.sink.commit(self.checkpoint.epoch, token));
                let result = looking(outside, &self.permission, committing).await?;
                let error = match result {
                    Ok(()) => break,
                    Err(error) if error.kind().is_retryable() => error.at(&slot.name),
                    Err(error) => return Err(error.at(&slot.name).into()),
                };
                let wait = backoff.next(error.kind(), &mut self.world.random);
                let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!("{error}; committing again in {after_ms} ms");
                self.control.events.send(EventKind::Retrying { error: error.to_string(), after_ms });
                // Other sinks go on sending meanwhile.
                let outside = (&*self.world, &mut *self.control, &mut self.transforms);
                looking(outside, &self.permission, pin!(clock::sleep(wait))).await?;
            }
            crash_point!("close.committed_one");
        }
        Ok(())
    }
}

/// Counts a letter as withdrawn in the accounts that it is in; `tallies` are those of the sinks `names`.
fn count_withdrawn(letter: &DeadLetter, ledger: &Ledger, names: &[Name], tallies: &mut [SinkTally]) {
    for (name, tally) in names.iter().zip(tallies) {
        if ledger.counts(letter, name) {
            tally.withdrawn.count(letter.kind(), 1);
        }
    }
}
