//! [`Runtime`]: the pipelines of a state directory.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use afferent_core::{
    CheckpointStore, Epoch, Error, Name, Result,
    blocking::Blocking,
    clock,
    engine::Claim,
    event::{EVENT_QUEUE, Event},
    mailbox::{Command, mailbox},
    queue::disk::Queues,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Handle, PipelineState, PipelineStatus, Retry, RuntimeOptions, Selection, directory, holder,
    run::{Phase, Run},
    slot::{Known, Slot},
    supervisor::{World, supervise},
};
use crate::{
    PipelineSpec,
    definition::{MAX_PIPELINE_NAME, StageInfo, is_name},
    state::{Desired, RedbStore, StoredDefinition},
};

/// The pipelines of a state directory. Clones are the same runtime. See the [module](crate::runtime) for what is
/// promised.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: Arc<World>,
    tasks: TaskTracker,
    slots: Mutex<BTreeMap<Name, Arc<Slot>>>,
    /// Set by `shutdown`: nothing is started any more.
    closing: CancellationToken,
}

/// What [`Runtime::resume_active`] did.
#[derive(Debug, Default)]
pub struct Resumed {
    /// The pipelines it started.
    pub started: Vec<Handle>,
    /// Why others could not be started.
    pub failed: Vec<Error>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.world.kill.cancel();
    }
}

impl Runtime {
    /// Opens a state directory, which is made if need be. Nothing is started.
    ///
    /// # Errors
    /// `CantCreate` when it can't be made or another process uses it, `State` when what it holds can't be used.
    pub async fn open(path: &Path, options: RuntimeOptions) -> Result<Runtime> {
        let RuntimeOptions { clock, disk, mut random, set_aside_damaged, take_over } = options;
        let blocking = Blocking::new();
        let lock = match take_over {
            true => holder::take_over(&blocking, &disk, path).await?,
            false => {
                let (place, locking) = (path.to_owned(), disk.clone());
                blocking.spawn(move || directory::lock(&*locking, &place)).await??
            }
        };
        let opening = RedbStore::open(disk.clone(), clock.clone(), random.fork(), path, set_aside_damaged);
        let store = Arc::new(opening.await?);
        let world = World {
            queues: Queues::new(disk.clone(), path.join("queues"), store.clone()),
            store,
            clock,
            disk,
            random: Mutex::new(random),
            directory: path.join("pipelines"),
            events: broadcast::channel(EVENT_QUEUE).0,
            kill: CancellationToken::new(),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Runtime {
            inner: Arc::new(Inner {
                world: Arc::new(world),
                tasks: TaskTracker::new(),
                slots: Mutex::default(),
                closing: CancellationToken::new(),
            }),
        })
    }

    /// The state: dead letters, definitions.
    pub fn store(&self) -> &Arc<RedbStore> {
        &self.inner.world.store
    }

    /// The queues between its pipelines.
    pub fn queues(&self) -> &Queues {
        &self.inner.world.queues
    }

    /// What all pipelines tell from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.world.events.subscribe()
    }

    /// Starts a pipeline for this process only: neither its definition nor that it should run is stored.
    ///
    /// # Errors
    /// `Config` when it runs already or its name can't be one.
    pub async fn run(&self, spec: PipelineSpec) -> Result<Handle> {
        let slot = self.slot_for(spec.clone(), false)?;
        let _control = slot.control.lock().await;
        if let Some(run) = slot.active() {
            return Err(Error::config(format!("pipeline `{}` runs already; stop it first", run.spec.name)));
        }
        slot.set(spec, false);
        self.start_slot(&slot)
    }

    /// What puts dead letters of `spec`'s pipeline in again; `stages` are those of its definition.
    ///
    /// # Errors
    /// `Config` when the pipeline has no checkpoint, and so no dead letters.
    pub async fn retry(
        &self,
        spec: PipelineSpec,
        stages: &[StageInfo],
        selection: Selection,
    ) -> Result<Retry> {
        let Some(checkpoint) = self.store().last_checkpoint(&spec.name).await? else {
            return Err(Error::config(format!(
                "there is no checkpoint of `{}` in this state directory; check the name and --data",
                spec.name
            )));
        };
        Ok(Retry::new(spec, stages, selection, checkpoint.epoch, self.store().clone()))
    }

    /// Makes a pipeline known without starting it, so that it can be started or woken by name. One that runs goes on as it is
    /// until it is started the next time.
    ///
    /// # Errors
    /// `Config` when its name can't be one.
    pub async fn know(&self, spec: PipelineSpec) -> Result<()> {
        let slot = self.slot_for(spec.clone(), false)?;
        let _control = slot.control.lock().await;
        let applied = slot.known().applied;
        slot.set(spec, applied);
        Ok(())
    }

    /// Stores a pipeline and that it should run, and starts it; one of the same name is stopped first.
    ///
    /// # Errors
    /// `Config` when its name can't be one, or what storing it failed with.
    pub async fn apply(&self, spec: PipelineSpec) -> Result<Handle> {
        let slot = self.slot_for(spec.clone(), true)?;
        let _control = slot.control.lock().await;
        if let Some(run) = slot.active() {
            run.stop().await;
        }
        self.store().define(&spec.name, spec.source.clone(), Desired::Running).await?;
        slot.set(spec, true);
        self.start_slot(&slot)
    }

    /// Starts again, from their checkpoints, exactly the pipelines that should be running. The others that are
    /// stored become known, so that they can be started by name. `resolve` makes a pipeline of its definition.
    ///
    /// One that can't be resolved does not keep the others from starting.
    ///
    /// # Errors
    /// If the definitions can't be read at all.
    pub async fn resume_active(
        &self,
        mut resolve: impl FnMut(&StoredDefinition) -> Result<PipelineSpec>,
    ) -> Result<Resumed> {
        let mut resumed = Resumed::default();
        for definition in self.store().definitions().await? {
            let started = match definition {
                Ok(definition) => {
                    let spec = resolve(&definition);
                    self.resume_definition(&definition, spec).await
                }
                Err(error) => Err(error),
            };
            match started {
                Ok(handle) => resumed.started.extend(handle),
                Err(error) => resumed.failed.push(error),
            }
        }
        Ok(resumed)
    }

    /// Starts a known pipeline that does not run, from its checkpoint.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name.
    pub async fn start(&self, name: &str) -> Result<Handle> {
        let slot = self.slot(name)?;
        let _control = slot.control.lock().await;
        self.desire(&slot, Desired::Running).await?;
        match slot.active() {
            Some(run) => Ok(Handle { run }),
            None => self.start_slot(&slot),
        }
    }

    /// Closes the pipeline's open epoch and ends it. One that does not run stays so.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, or what storing its desired state failed with.
    pub async fn stop(&self, name: &str) -> Result<()> {
        let slot = self.slot(name)?;
        let _control = slot.control.lock().await;
        self.desire(&slot, Desired::Stopped).await?;
        if let Some(run) = slot.active() {
            run.stop().await;
        }
        Ok(())
    }

    /// Closes the pipeline's open epoch and pulls no more until [`resume`](Runtime::resume).
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, `State` when it has ended meanwhile.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let slot = self.slot(name)?;
        let _control = slot.control.lock().await;
        self.desire(&slot, Desired::Paused).await?;
        match slot.active() {
            Some(run) => run.ask(async |mailbox| mailbox.pause().await).await,
            None => Ok(()),
        }
    }

    /// Goes on after a pause, or after a pause for credentials. One that does not run is started.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, `State` when it has ended meanwhile.
    pub async fn resume(&self, name: &str) -> Result<()> {
        let slot = self.slot(name)?;
        let _control = slot.control.lock().await;
        self.desire(&slot, Desired::Running).await?;
        match slot.active() {
            Some(run) => run.ask(async |mailbox| mailbox.resume().await).await,
            None => self.start_slot(&slot).map(drop),
        }
    }

    /// Closes the pipeline's open epoch now; the last committed one comes back.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, `State` when it does not run, `Transient` while it backs off.
    pub async fn checkpoint(&self, name: &str) -> Result<Epoch> {
        match self.slot(name)?.active() {
            Some(run) => run.ask(async |mailbox| mailbox.checkpoint().await).await,
            None => Err(Error::state(format!("pipeline `{name}` does not run; start it first"))),
        }
    }

    /// How a pipeline is.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name.
    pub async fn status(&self, name: &str) -> Result<PipelineStatus> {
        let known = self.slot(name)?.known().clone();
        let desired = match known.applied {
            true => self.store().definition(&known.spec.name).await?.map(|definition| definition.desired),
            false => None,
        };
        let mut state = PipelineState::NotStarted;
        if let Some(run) = known.run {
            state = match run.ask(async |mailbox| mailbox.status().await).await {
                Ok(status) => PipelineState::Active(status),
                Err(_) => match run.wait().await {
                    Ok(outcome) => PipelineState::Ended(outcome),
                    Err(error) => PipelineState::Failed(error),
                },
            };
        }
        Ok(PipelineStatus { name: known.spec.name, desired, state })
    }

    /// The names of all known pipelines, in order.
    pub fn list(&self) -> Vec<Name> {
        self.slots().keys().cloned().collect()
    }

    /// Forgets a pipeline's checkpoints, state and dead letters, so that it begins anew. It need not be known. Queues that it
    /// reads keep nothing for it from then on.
    ///
    /// # Errors
    /// `Config` while it runs, or while records wait for the receiver of an upload: it would never send them.
    pub async fn forget(&self, name: &str) -> Result<()> {
        let slot = self.slots().get(name).cloned();
        let _control = match &slot {
            Some(slot) => Some(slot.control.lock().await),
            None => None,
        };
        if slot.as_ref().is_some_and(|slot| slot.active().is_some()) {
            return Err(Error::config(format!(
                "pipeline `{name}` runs; stop it before its checkpoints are forgotten"
            )));
        }
        let name = Name::from(name);
        // What can't be read can't be kept either: forgetting it is how one goes on.
        if let Ok(Some(last)) = self.store().last_checkpoint(&name).await {
            let held = last.ledger.held_total();
            for (sink, account) in &last.ledger.accounts {
                let waiting = account.pending.saturating_sub(held);
                if waiting > 0 {
                    return Err(Error::config(format!(
                        "{waiting} records of pipeline `{name}` wait for the receiver of sink `{sink}`, and starting over would leave them behind; let it run from its checkpoint until they are delivered"
                    )));
                }
            }
        }
        self.queues().dismiss(&name, None, &Blocking::new()).await?;
        self.store().forget(&name).await
    }

    /// Stops a pipeline and removes its definition. Its checkpoints stay until they are forgotten.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, or what removing its definition failed with.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let slot = self.slot(name)?;
        let _control = slot.control.lock().await;
        if let Some(run) = slot.active() {
            run.stop().await;
        }
        if slot.known().applied {
            self.store().undefine(&Name::from(name)).await?;
        }
        self.slots().remove(name);
        Ok(())
    }

    /// Stops every pipeline, kills those that have not stopped after `patience`, and closes the state directory.
    /// What should be running stays so, for the next start.
    pub async fn shutdown(&self, patience: Duration) -> Result<()> {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        let runs: Vec<Arc<Run>> = self.slots().values().filter_map(|slot| slot.active()).collect();
        let stops = async {
            futures::future::join_all(runs.iter().map(|run| run.stop())).await;
            self.inner.tasks.wait().await;
        };
        tokio::select! {
            biased;
            () = stops => {}
            () = clock::sleep(patience) => tracing::warn!(
                "some pipelines did not stop within {patience:?}: they are killed, and replay their open epoch"
            ),
        }
        // Also whatever was started at the same moment.
        self.inner.world.kill.cancel();
        self.inner.tasks.wait().await;
        self.store().close().await?;
        drop(self.inner.world.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    async fn resume_definition(
        &self,
        definition: &StoredDefinition,
        spec: Result<PipelineSpec>,
    ) -> Result<Option<Handle>> {
        let spec = spec.map_err(|error| error.at(&definition.name))?;
        if spec.name != definition.name {
            return Err(Error::config(format!(
                "the definition of pipeline `{}` gave one named `{}`; apply that one instead",
                definition.name, spec.name
            )));
        }
        let slot = self.slot_for(spec, true)?;
        let _control = slot.control.lock().await;
        if definition.desired != Desired::Running || slot.active().is_some() {
            return Ok(None);
        }
        self.start_slot(&slot).map(Some)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Slot>>> {
        // Each change is one call of the map, so a panic elsewhere leaves it whole.
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slot(&self, name: &str) -> Result<Arc<Slot>> {
        self.slots().get(name).cloned().ok_or_else(|| {
            Error::config(format!("no pipeline is named `{name}`; those that are known can be listed"))
        })
    }

    /// The slot of `spec`'s name, made if there is none.
    fn slot_for(&self, spec: PipelineSpec, applied: bool) -> Result<Arc<Slot>> {
        if !is_name(&spec.name, MAX_PIPELINE_NAME) {
            return Err(Error::config(format!(
                "`{}` can't name a pipeline: expected at most {MAX_PIPELINE_NAME} characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or digit",
                spec.name
            )));
        }
        let slot = self
            .slots()
            .entry(spec.name.clone())
            .or_insert_with(|| Arc::new(Slot::new(spec, applied)))
            .clone();
        Ok(slot)
    }

    /// Stores what an applied pipeline should be doing.
    pub(super) async fn desire(&self, slot: &Slot, desired: Desired) -> Result<()> {
        let Known { spec, applied, .. } = slot.known().clone();
        if applied && !self.store().set_desired(&spec.name, desired).await? {
            self.store().define(&spec.name, spec.source, desired).await?;
        }
        Ok(())
    }

    /// Starts the pipeline of a slot that has no active run; its control is held.
    fn start_slot(&self, slot: &Slot) -> Result<Handle> {
        let (run, commands) = self.prepare(slot)?;
        self.launch(&run, commands);
        Ok(Handle { run })
    }

    /// A new run of a slot that has no active one; its control is held.
    pub(super) fn prepare(&self, slot: &Slot) -> Result<(Arc<Run>, mpsc::Receiver<Command>)> {
        if self.inner.closing.is_cancelled() {
            return Err(Error::transient("the runtime is shutting down"));
        }
        let world = &self.inner.world;
        let (mailbox, commands) = mailbox();
        let run = {
            let mut known = slot.known();
            let run = Arc::new(Run {
                spec: known.spec.clone(),
                applied: known.applied,
                phase: tokio::sync::watch::channel(Phase::Active(mailbox)).0,
                ending: CancellationToken::new(),
                claim: Claim::default(),
                finishing: CancellationToken::new(),
                kill: world.kill.child_token(),
            });
            known.run = Some(run.clone());
            run
        };
        Ok((run, commands))
    }

    /// Starts it.
    pub(super) fn launch(&self, run: &Arc<Run>, commands: mpsc::Receiver<Command>) {
        self.inner.tasks.spawn(supervise(self.inner.world.clone(), run.clone(), commands));
    }
}
