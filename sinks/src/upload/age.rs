//! [`Ages`]: how old the oldest body is that the receiver has not acknowledged, and that somebody hears of it.

use std::time::Duration;

use afferent_core::{
    Timestamp,
    clock::{self, Instant},
};

use super::driver::DriverCx;

/// A body this old raises an alarm: an outage longer than what receivers call maintenance.
const ALARM_AGE: Duration = Duration::from_secs(3600);
/// How often is looked, while there is any.
const LOOK: Duration = Duration::from_secs(60);

/// When the driver looks how old its oldest body is.
#[derive(Debug, Default)]
pub(super) struct Ages {
    due: Option<Instant>,
    /// Whether somebody was told: once for as long as there are old ones.
    told: bool,
}

impl Ages {
    /// When to look next; `None` while nothing waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Looks if it is due. `oldest` is when the oldest body that waits was sealed.
    pub(super) fn look(&mut self, oldest: Option<Timestamp>, cx: &DriverCx) {
        let now = clock::instant();
        let Some(oldest) = oldest else {
            if self.due.take().is_some() {
                cx.metrics.oldest(0.0);
                self.young(cx);
            }
            return;
        };
        if self.due.is_some_and(|due| now < due) {
            return;
        }
        // A body that was just sealed is looked at when it has waited for a while.
        let first = self.due.replace(now + LOOK).is_none();
        let age = cx.clock.now().as_micros().saturating_sub(oldest.as_micros());
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        if first && age < LOOK {
            return;
        }
        cx.metrics.oldest(age.as_secs_f64());
        if age < ALARM_AGE {
            self.young(cx);
        } else if !std::mem::replace(&mut self.told, true) {
            cx.events.alarm(format!(
                "a body has waited for the receiver for {} min; everything is kept and tried again",
                age.as_secs() / 60
            ));
        }
    }

    fn young(&mut self, cx: &DriverCx) {
        if std::mem::take(&mut self.told) {
            cx.events.notice("the receiver has what waited for it");
        }
    }
}
