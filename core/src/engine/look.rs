//! Looking outside: before an epoch's first record moves, what transforms take from there is read, and saved if it is new.

use super::{Control, World, control::Abort, life::Life};
use crate::{
    Name, Result, Sink, Source, metrics,
    stage::{Look, Transforms},
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
            self.permit();
        }
        self.looked = true;
        Ok(())
    }

    /// Tells the sinks what may be sent.
    pub(super) fn permit(&mut self) {
        self.permission = self.transforms.permission();
        for slot in &mut self.sinks {
            slot.sink.permit(self.permission.clone());
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
