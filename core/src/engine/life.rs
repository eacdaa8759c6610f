//! One life of a pipeline: its open stages, from start to end or failure.

use std::pin::pin;

use super::{
    Control, End, When, World,
    control::Abort,
    look::looking,
    pulls::{Completed, Pulls},
    retry::BoxLetters,
    stages::{CopyItem, Superseding, Taps},
    tally::Tally,
    watch::LetterWatch,
};
use crate::{
    Batch, Census, Checkpoint, DeadLetter, Emit, Error, ErrorKind, Generation, Name, Pulled, Reject, Result,
    Sink, Source, Tap,
    clock::{self, Instant},
    event::EventKind,
    mailbox::{Activity, Need},
    reject::{Fate, RejectedBy},
    stage::{Permission, Transforms},
};

/// How often a pipeline whose receivers have not acknowledged everything looks whether they have.
pub(super) const PENDING_CHECK: std::time::Duration = std::time::Duration::from_millis(250);

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
    pub(super) taps: Option<Taps<S::Item, X::Out>>,
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
    /// What may be sent, as the sinks were told.
    pub(super) permission: Permission<K::Item>,
    /// When the transforms look outside for what is pending.
    pub(super) look_at: Instant,
    /// Whether the transforms have looked outside in this epoch.
    pub(super) looked: bool,
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
            // What few pipelines ever do is boxed: the future of a pipeline is as large as its largest part.
            let retried = self.letters.is_some() && Box::pin(self.put_in_letters()).await?;
            let ended = self.pulls.all_ended() && self.letters.is_none();
            if ended && !self.retrying {
                self.finish().await?;
            }
            if close || retried || ended || self.control.wants_close() {
                self.close().await?;
                self.control.closed(Some(self.checkpoint.epoch));
                close = false;
            }
            let end = self.ending(ended);
            if self.control.endings.is_woken() {
                self.tell_needs();
            }
            if let Some(end) = end {
                return Ok(end);
            }
            if retried {
                continue;
            }
            if self.watch.is_due() {
                Box::pin(self.look_at_letters()).await?;
                // Commands that came meanwhile were noted and not acted on.
                continue;
            }
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
                    let now = clock::instant();
                    let looks = self.is_guarded() && self.look_at <= now;
                    // An epoch that is open is not closed for a look alone.
                    close = !looks || self.closing().is_none_or(|closing| closing <= now);
                    // What waits to be sent may have to stay, also while nothing comes.
                    if looks {
                        let looked = self.looked;
                        Box::pin(self.look()).await?;
                        // The first record of the next epoch is looked for again.
                        self.looked = looked && self.opened_at.is_some();
                        self.look_at = clock::instant() + PENDING_CHECK;
                    }
                    self.sinks
                        .iter()
                        .try_for_each(|slot| slot.sink.check().map_err(|error| error.at(&slot.name)))?;
                }
            }
        }
    }

    /// Whether and how the run ends now; says when the pipeline has become idle.
    fn ending(&mut self, ended: bool) -> Option<End> {
        let settled = !self.tally.changed && self.recorded_pending() == 0;
        if self.control.is_ending() {
            self.control.set(Activity::Stopping, None);
            return (settled || self.control.is_stopping()).then_some(End::Stopped);
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
        if idle && self.control.endings.is_woken() {
            return Some(End::Stopped);
        }
        (idle && (self.world.settings.until_idle || self.control.is_finishing())).then_some(End::Idle)
    }

    /// When the loop must wake up though nothing happens: to close an epoch that has changed, to look whether what is
    /// pending has been acknowledged, or how old its dead letters are. Otherwise an idle pipeline has no timer.
    fn due(&self) -> Option<Instant> {
        let closing = self.closing();
        let is_pending = self.recorded_pending() > 0;
        let checking = (closing.is_none() && is_pending).then(|| clock::instant() + PENDING_CHECK);
        let is_held = is_pending || self.opened_at.is_some();
        let looking = (is_held && self.is_guarded()).then_some(self.look_at);
        let due = [closing, checking, looking, self.watch.due(), self.control.endings.due()];
        due.into_iter().flatten().min()
    }

    /// When the open epoch is to be closed.
    fn closing(&self) -> Option<Instant> {
        self.opened_at.map(|opened| opened + self.world.settings.every)
    }

    /// Says what is in the way, to whoever has woken the pipeline.
    fn tell_needs(&mut self) {
        let mut needs = Vec::new();
        if self.pulls.slots.iter().any(|slot| slot.waits) {
            needs.push(Need::Unlock);
        }
        let pending = self.sinks.iter().filter(|slot| slot.sink.pending() > 0);
        let mut is_slow = false;
        for slot in pending {
            match slot.sink.need() {
                Some(need) => needs.push(need),
                None => is_slow = true,
            }
        }
        if is_slow || self.pulls.slots.iter().any(|slot| !slot.drained && !slot.ended && !slot.waits) {
            needs.push(Need::MoreTime);
        }
        needs.sort();
        needs.dedup();
        self.control.endings.needs(needs);
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
    pub(super) fn is_acknowledged_since(&self) -> bool {
        self.recorded_pending() > 0 && self.pending() == 0
    }

    /// Whether the pipeline ends now because its time is over, and receivers have acknowledged some of what the accounts call
    /// pending: whoever is told what is left is told the truth.
    pub(super) fn is_last_and_behind(&self) -> bool {
        let is_last = self.control.endings.is_timed() && self.control.is_stopping();
        is_last && self.pending() < self.recorded_pending()
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
        if !self.looked && !pulled.batch.is_empty() {
            Box::pin(self.look()).await?;
        }
        let slot = &mut self.pulls.slots[index];
        if self.control.status.activity == Activity::Waiting {
            self.control.set(Activity::Running, None);
        }
        slot.backoff.reset();
        slot.waits = false;
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
            self.open_epoch()?;
        }
        self.tally.read += (batch.len() + rejects.len()) as u64;
        self.tally.source_dead += rejects.len() as u64;
        if let Some((tap, _)) = self.taps {
            let types = self.tally.types();
            tap(&batch, &mut types.read);
            for reject in &rejects {
                types.read.count(reject.kind, 1);
                types.source_dead.count(reject.kind, 1);
            }
        }
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
                slot.waits = true;
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

    /// Something came: it is of the open epoch, or opens one. Then the transforms learn what time it is, which they may have
    /// been told last a long while ago.
    pub(super) fn open_epoch(&mut self) -> Result<()> {
        if self.opened_at.is_none() {
            self.transforms.tick(self.world.clock.now(), &mut self.out)?;
        }
        self.changed();
        Ok(())
    }

    pub(super) fn changed(&mut self) {
        self.tally.changed = true;
        // Whoever asks meanwhile must not be told what was true before.
        if std::mem::take(&mut self.idle) && self.control.status.activity == Activity::Idle {
            self.control.set(Activity::Running, None);
        }
        self.opened_at.get_or_insert_with(clock::instant);
    }

    /// Keeps a rejected item for the dead letters of this epoch.
    pub(super) fn bury(&mut self, stage: Name, by: RejectedBy, reject: Reject) {
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
            kind: reject.kind,
        });
    }

    /// Gives what lies in `out` to the sinks: clones to all but the last.
    pub(super) async fn deliver(&mut self) -> Result<(), Abort> {
        let counts = self.out.take_counts();
        self.tally.transforms.add(counts);
        if let Some(by_type) = self.out.take_by_type() {
            self.tally.types().transforms.add(&by_type);
        }
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
        let tap = self.taps.map(|(_, tap)| tap);
        let counted = tap.map(|tap| count(tap, batch)).unwrap_or_default();
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
            if let Some(tap) = tap {
                let types = &mut self.tally.types().sinks[index];
                if slot.when.is_some() {
                    let passed = count(tap, &slot.batch);
                    types.filtered.add(&counted.without(&passed));
                    types.written.add(&passed);
                } else {
                    types.written.add(&counted);
                }
            }
            if written > 0 {
                let outside = (&*self.world, &mut *self.control, &mut self.transforms);
                let told = &self.permission;
                let result = looking(outside, told, pin!(slot.sink.write(&mut slot.batch))).await?;
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
        if !self.looked {
            Box::pin(self.look()).await?;
        }
        self.transforms.finish(&mut self.out)?;
        if !self.out.batch.is_empty() || self.out.counts() != Default::default() {
            self.changed();
        }
        self.deliver().await
    }
}

/// `items`, counted by type.
pub(super) fn count<T>(tap: Tap<T>, items: &[T]) -> Census {
    let mut census = Census::new();
    tap(items, &mut census);
    census
}
