//! Starting a life: from a claim to open sources.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::{
    Control, Stages, World,
    control::Abort,
    crash::crash_point,
    life::{Life, OpenSink},
    look::look,
    pulls::{Pulls, SourceSlot},
    retry::BoxLetters,
    tally::Tally,
    watch::LetterWatch,
};
use crate::{
    Checkpoint, Committed, Emit, Epoch, Error, Fence, Generation, Incarnation, Name, Opened, Position,
    Result, Sink, SinkCx, Snapshot, Source, SourceCx,
    checkpoint::{Acknowledgements, Loaded, Save},
    clock,
    event::EventKind,
    ledger::Account,
    mailbox::Activity,
    stage::Transforms,
};

impl<'a, S, X, K> Life<'a, S, X, K>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
{
    /// Claims the pipeline, opens the stages where the last checkpoint left them, and starts to pull.
    pub(super) async fn start(
        world: &'a mut World,
        control: &'a mut Control,
        stages: Stages<S, X, K>,
        letters: Option<BoxLetters<S::Item, X::Out>>,
    ) -> Result<Life<'a, S, X, K>, Abort> {
        let Stages { sources, mut transforms, mut sinks, copy, superseding, taps } = stages;
        let retrying = letters.is_some();

        let generation = control.attend(world.claim.renew(&*world.store, &world.pipeline)).await??;
        control.status.generation = Some(generation);
        crash_point!("start.claimed");

        let loaded = control.attend(world.store.load(&world.pipeline, generation)).await??;
        let Resume { checkpoint, oldest, history } = resume(world, control, loaded)?;
        let first = history == History::First;
        crash_point!("start.loaded");

        let mut bridge = history != History::Same;
        let mut resumed = Vec::with_capacity(sinks.len());
        for slot in &mut sinks {
            let known = checkpoint.tokens.get(&slot.name);
            let cx = sink_cx(world, control, &slot.name, known.cloned().flatten(), &checkpoint, generation);
            let opened = control.attend(slot.sink.open(cx)).await?.map_err(|error| error.at(&slot.name))?;
            let resumes = opened == Opened::Resumed && known.is_some();
            bridge |= !resumes;
            resumed.push(resumes);
        }
        crash_point!("start.sinks_opened");

        // What is committed again may be sent at once, and it is not known yet whether it may.
        let permission = transforms.permission();
        sinks.iter_mut().for_each(|slot| slot.sink.permit(permission.clone()));
        for (slot, _) in sinks.iter_mut().zip(&resumed).filter(|(_, resumed)| **resumed) {
            let token = checkpoint.tokens.get(&slot.name).and_then(Option::as_ref);
            let committed = control.attend(slot.sink.commit(checkpoint.epoch, token)).await?;
            committed.map_err(|error| error.at(&slot.name))?;
        }
        crash_point!("start.committed");

        transforms.stages(&mut |stage| stage.open(&world.pipeline))?;
        if !first {
            restore(world, control, &mut transforms, &checkpoint).await?;
        }
        // What can't be used is found now and not when the first record comes.
        let is_new = look(world, control, &mut transforms).await?;
        crash_point!("start.restored");

        let count = sinks.len();
        let mut life = Life {
            pulls: Pulls::new(Vec::new()),
            transforms,
            sinks: sinks
                .into_iter()
                .map(|slot| OpenSink {
                    name: slot.name,
                    sink: slot.sink,
                    when: slot.when,
                    batch: Default::default(),
                })
                .collect(),
            copy,
            superseding,
            taps,
            watch: LetterWatch::default(),
            retrying,
            letters,
            out: Emit::new(),
            tally: Tally::new(count),
            checkpoint,
            generation,
            opened_at: None,
            idle: false,
            permission,
            look_at: clock::instant(),
            looked: false,
            world,
            control,
        };
        life.open_accounts(first);
        // What waits to be sent must not be sent by what was in force before.
        let is_new = is_new && life.is_guarded();
        if bridge || is_new {
            life.save_bridge(first, is_new).await?;
        }
        life.permit();
        life.control.committed(life.checkpoint.epoch, &life.checkpoint.ledger);
        if life.checkpoint.ledger.dead_letters > 0 {
            life.watch.begin();
        }
        if !retrying {
            life.open_sources(sources, &oldest).await?;
        }
        crash_point!("start.sources_opened");
        let from = (!first).then_some(life.checkpoint.epoch);
        if !life.control.paused {
            life.control.set(Activity::Running, None);
        }
        tracing::info!(%generation, epoch = %life.checkpoint.epoch, "started");
        life.control.events.send(EventKind::Started { from, generation });
        Ok(life)
    }

    /// Keeps the accounts of the sinks that are there, and opens those of new ones: what is held already is
    /// their opening balance.
    fn open_accounts(&mut self, first: bool) {
        let (mut held, mut held_types) = (BTreeMap::new(), BTreeMap::new());
        // The visitor never fails here: it only reads.
        let _ = self.transforms.stages(&mut |stage| {
            held.insert(stage.name().clone(), stage.held());
            held_types.extend(stage.held_by_type().map(|held| (stage.name().clone(), held.clone())));
            Ok(())
        });
        let ledger = &mut self.checkpoint.ledger;
        (ledger.held, ledger.held_types) = (held, held_types);
        let opening = ledger.held_total();
        let accounts = std::mem::take(&mut ledger.accounts);
        let opened = std::mem::take(&mut ledger.opened);
        ledger.types.retain(|name, _| self.sinks.iter().any(|sink| sink.name == *name));
        // That of the bridging epoch which a new sink makes.
        let now = if first { self.checkpoint.epoch } else { self.checkpoint.epoch.next() };
        for sink in &self.sinks {
            let account = accounts.get(&sink.name).copied();
            let opened = account.map_or(now, |_| opened.get(&sink.name).copied().unwrap_or_default());
            let account =
                account.unwrap_or(Account { read: opening, pending: opening, ..Account::default() });
            ledger.accounts.insert(sink.name.clone(), account);
            ledger.opened.insert(sink.name.clone(), opened);
        }
    }

    /// Saves epoch 0, or a bridging epoch at the same positions, with tokens of where the sinks stand now and what they
    /// say of earlier epochs: the tokens count that as known; and with what the transforms' looks have found, if that `is_new`.
    async fn save_bridge(&mut self, first: bool, is_new: bool) -> Result<(), Abort> {
        let epoch = if first { self.checkpoint.epoch } else { self.checkpoint.epoch.next() };
        let mut states = Vec::new();
        if is_new {
            self.transforms.stages(&mut |stage| {
                let snapshot = stage.snapshot()?;
                states.extend(
                    (!matches!(snapshot, Snapshot::Unchanged)).then(|| (stage.name().clone(), snapshot)),
                );
                Ok(())
            })?;
        }
        let tokens = self.prepare_sinks(epoch).await?;
        crash_point!("start.prepared");
        let held = (self.checkpoint.ledger.held.clone(), self.checkpoint.ledger.held_types.clone());
        let ledger = self.ledger(epoch, held)?;
        let checkpoint =
            Checkpoint { epoch, tokens, ledger, time: self.world.clock.now(), ..self.checkpoint.clone() };
        let save = Save {
            generation: self.generation,
            checkpoint: checkpoint.clone(),
            states,
            dead_letters: std::mem::take(&mut self.tally.dead_letters),
            withdrawn: Vec::new(),
            retried: Vec::new(),
        };
        self.control.attend(self.world.store.save(save)).await??;
        self.checkpoint = checkpoint;
        self.tally = Tally::new(self.sinks.len());
        crash_point!("start.saved");
        self.permit();
        self.commit_sinks().await
    }

    async fn open_sources(
        &mut self,
        sources: Vec<(Name, S)>,
        oldest: &BTreeMap<Name, Position>,
    ) -> Result<(), Abort> {
        let names: Vec<Name> = sources.iter().map(|(name, _)| name.clone()).collect();
        self.checkpoint.positions.retain(|name, _| names.contains(name));
        for (name, mut source) in sources {
            let position = self.checkpoint.positions.get(&name).cloned();
            let committed =
                Committed { epoch: self.checkpoint.epoch, pulls: 0, position: oldest.get(&name).cloned() };
            let (sender, receiver) = watch::channel(committed);
            let cx = SourceCx {
                pipeline: self.world.pipeline.clone(),
                stage: name.clone(),
                position: position.clone(),
                committed: receiver,
                limits: self.world.settings.limits,
                clock: self.world.clock.clone(),
                disk: self.world.disk.clone(),
                blocking: self.world.blocking.clone(),
                random: self.world.random.fork(),
                directory: self.world.directory.join(name.as_str()),
                queues: self.world.queues.clone(),
                events: self.control.events.stage(name.clone()),
            };
            self.control.attend(source.open(cx)).await?.map_err(|error| error.at(&name))?;
            let mut slot = SourceSlot::new(name, position, sender);
            slot.pull(source, None);
            self.pulls.slots.push(slot);
        }
        Ok(())
    }
}

/// Where a life starts from.
struct Resume {
    checkpoint: Checkpoint,
    /// The positions of the oldest checkpoint that is kept.
    oldest: BTreeMap<Name, Position>,
    history: History,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum History {
    /// There is no checkpoint.
    First,
    /// It goes on.
    Same,
    /// It goes on from an older checkpoint, under a new incarnation.
    FellBack,
}

fn resume(world: &mut World, control: &Control, loaded: Option<Loaded>) -> Result<Resume> {
    let Some(Loaded { mut checkpoint, oldest, fallback }) = loaded else {
        let checkpoint = Checkpoint {
            pipeline: world.pipeline.clone(),
            incarnation: world.random.incarnation(),
            epoch: Epoch(0),
            time: world.clock.now(),
            positions: BTreeMap::new(),
            tokens: BTreeMap::new(),
            ledger: Default::default(),
        };
        return Ok(Resume { checkpoint, oldest: BTreeMap::new(), history: History::First });
    };
    if checkpoint.pipeline != world.pipeline {
        return Err(Error::state(format!(
            "the checkpoint belongs to pipeline `{}`, not to `{}`; was a state directory copied?",
            checkpoint.pipeline, world.pipeline
        )));
    }
    let Some(fallback) = fallback else {
        return Ok(Resume { checkpoint, oldest, history: History::Same });
    };
    let message = format!(
        "checkpoints up to epoch {} can't be read ({}): going back to epoch {}; uploads sent since then may repeat",
        fallback.lost, fallback.reason, checkpoint.epoch
    );
    tracing::error!("{message}");
    control.events.send(EventKind::Alarm { stage: None, message });
    checkpoint.incarnation = world.random.incarnation();
    Ok(Resume { checkpoint, oldest, history: History::FellBack })
}

fn sink_cx(
    world: &mut World,
    control: &Control,
    name: &Name,
    token: Option<crate::Token>,
    checkpoint: &Checkpoint,
    generation: Generation,
) -> SinkCx {
    let incarnation: Incarnation = checkpoint.incarnation;
    let fence =
        Fence { store: world.store.id(), pipeline: world.pipeline.clone(), sink: name.clone(), generation };
    SinkCx {
        pipeline: world.pipeline.clone(),
        stage: name.clone(),
        token,
        incarnation,
        acknowledgements: Acknowledgements::new(
            world.store.clone(),
            fence.clone(),
            world.settings.letters,
            world.clock.clone(),
        ),
        drivers: world.drivers.clone(),
        fence,
        take_over: world.claim.takes_over(),
        clock: world.clock.clone(),
        disk: world.disk.clone(),
        blocking: world.blocking.clone(),
        random: world.random.fork(),
        directory: world.directory.join(name.as_str()),
        queues: world.queues.clone(),
        events: control.events.stage(name.clone()),
    }
}

async fn restore<X: Transforms>(
    world: &World,
    control: &mut Control,
    transforms: &mut X,
    checkpoint: &Checkpoint,
) -> Result<(), Abort> {
    let mut names = Vec::new();
    transforms.stages(&mut |stage| {
        names.push(stage.name().clone());
        Ok(())
    })?;
    let mut states = Vec::with_capacity(names.len());
    for name in &names {
        states.push(control.attend(world.store.state(&world.pipeline, name, checkpoint.epoch)).await??);
    }
    let mut states = states.into_iter();
    transforms.stages(&mut |stage| {
        let ledger = &checkpoint.ledger;
        let held = ledger.held.get(stage.name()).copied().unwrap_or(0);
        let by_type = ledger.held_types.get(stage.name()).cloned().unwrap_or_default();
        match states.next() {
            Some(state) => stage.restore(state, held, by_type),
            None => Ok(()),
        }
    })?;
    Ok(())
}
