//! [`LetterWatch`]: how old dead letters are, and that somebody hears of it.

use std::time::Duration;

use super::{control::Abort, life::Life};
use crate::{
    Result, Sink, Source,
    checkpoint::make_room,
    clock::{self, Instant},
    event::EventKind,
    metrics,
    stage::Transforms,
};

/// How often a pipeline that has dead letters looks how old they are: ages are counted in hours.
const LOOK: Duration = Duration::from_secs(600);

/// When a pipeline looks at its dead letters. One without any has no timer for it.
#[derive(Debug, Default)]
pub(super) struct LetterWatch {
    due: Option<Instant>,
    /// Whether somebody was told: once for as long as there are old ones.
    told: bool,
}

impl LetterWatch {
    /// There are dead letters.
    pub(super) fn begin(&mut self) {
        self.due.get_or_insert_with(clock::instant);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| clock::instant() >= due)
    }
}

impl<S, X, K> Life<'_, S, X, K>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
{
    /// Drops the letters that are too old to be kept, where the pipeline says so, and alarms when the oldest
    /// is older than it should be.
    pub(super) async fn look_at_letters(&mut self) -> Result<(), Abort> {
        let (store, pipeline) = (self.world.store.clone(), self.world.pipeline.clone());
        let (limits, now) = (self.world.settings.letters, self.world.clock.now());
        if limits.max_age.is_some() {
            self.control.attend(make_room(&*store, (&pipeline, self.generation), &limits, 0, now)).await??;
        }
        let held = self.control.attend(store.letters_held(&pipeline)).await??;
        let age = held.oldest.map(|oldest| {
            Duration::from_micros(
                u64::try_from(now.as_micros().saturating_sub(oldest.as_micros())).unwrap_or(0),
            )
        });
        metrics::letters_held(&pipeline, held.bytes, age.unwrap_or_default().as_secs_f64());
        self.watch.due = age.map(|_| clock::instant() + LOOK);
        let old = age.filter(|age| *age > limits.alarm_age);
        if let Some(age) = old
            && !self.watch.told
        {
            let days = age.as_secs() / 86_400;
            let message = format!(
                "the oldest dead letter is {days} days old; look at it, then put it in again or drop it (afferent dlq ls {pipeline})"
            );
            tracing::warn!("{message}");
            self.control.events.send(EventKind::Alarm { stage: None, message });
        }
        self.watch.told = old.is_some();
        Ok(())
    }
}
