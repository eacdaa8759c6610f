//! Looking outside: before an epoch's first record moves, what transforms take from there is read, and saved if it is new.

use std::pin::Pin;

use super::{
    Control, World,
    control::Abort,
    life::{Life, PENDING_CHECK},
};
use crate::{
    Error, Name, Result, Sink, Source, clock, metrics,
    stage::{Look, Permission, Transforms},
};

impl<S, X, K> Life<'_, S, X, K>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
{
    /// Lets the transforms look outside, once in each epoch; what is new is in a checkpoint when this returns.
    pub(super) async fn look(&mut self) -> Result<(), Abort> {
        if look(self.world, self.control, &mut self.transforms).await? {
            self.changed();
            self.close().await?;
        }
        self.looked = true;
        Ok(())
    }

    /// Tells the sinks what may be sent, if it is something else than before.
    pub(super) fn permit(&mut self) {
        let permission = self.transforms.permission();
        if permission.version() != self.permission.version() {
            for slot in &mut self.sinks {
                slot.sink.permit(permission.clone());
            }
        }
        self.permission = permission;
    }

    /// Whether a transform says what may be sent.
    pub(super) fn is_guarded(&self) -> bool {
        !matches!(self.permission, Permission::Free)
    }
}

/// Waits for what a sink does. A sink may wait for its receiver, for days, and send what must not be sent when that is back: so where
/// a transform says what may be sent, of which the sinks were `told`, the transforms look meanwhile.
///
/// # Errors
/// `Transient` when they have found something new, or have in this epoch what the sinks were not told: the life is undone, and the next
/// one begins with it.
pub(super) async fn looking<X: Transforms, T>(
    outside: (&World, &mut Control, &mut X),
    told: &Permission<X::Out>,
    work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Abort> {
    match told {
        Permission::Free => outside.1.attend(work).await,
        // Boxed: few pipelines do it, and the future of a pipeline is as large as its largest part.
        told => Box::pin(looking_outside(outside, told.version(), work)).await,
    }
}

async fn looking_outside<X: Transforms, T>(
    (world, control, transforms): (&World, &mut Control, &mut X),
    told: Option<u64>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Abort> {
    loop {
        let waited = async {
            tokio::select! {
                biased;
                done = &mut work => Some(done),
                () = clock::sleep(PENDING_CHECK) => None,
            }
        };
        if let Some(done) = control.attend(waited).await? {
            return Ok(done);
        }
        let is_new = look(world, control, transforms).await?;
        // Sinks that were told of nothing send nothing.
        let is_other = told.is_some() && transforms.permission().version() != told;
        if is_new || is_other {
            return Err(Error::transient("what may be sent has changed, and a sink waits").into());
        }
    }
}

/// Runs the looks of `transforms`, one after the other; whether one found something new.
pub(super) async fn look<X: Transforms>(
    world: &World,
    control: &mut Control,
    transforms: &mut X,
) -> Result<bool, Abort> {
    let mut looks: Vec<(Name, Look)> = Vec::new();
    let now = world.clock.now();
    transforms.stages(&mut |stage| {
        let name = stage.name().clone();
        looks.extend(stage.look(now).map(|look| (name, look)));
        Ok(())
    })?;
    let mut is_new = false;
    for (name, look) in looks {
        let looked = control.attend(world.blocking.spawn(look)).await?;
        let looked = looked.flatten().map_err(|error| error.at(&name))?;
        is_new |= looked.is_new;
        metrics::stale(&world.pipeline, &name, looked.is_stale);
        let events = control.events.stage(name);
        looked.alarm.into_iter().for_each(|message| events.alarm(message));
        looked.notice.into_iter().for_each(|message| events.notice(message));
    }
    Ok(is_new)
}
