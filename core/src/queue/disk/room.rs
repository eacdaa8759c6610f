//! [`Room`]: the bound of a queue, which pushes back to the producer's source.

use std::{future::pending, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use serde::Deserialize;

use super::{entry, log::Log, metrics, queue::Queue, reading::Reading};
use crate::{
    Result, SinkCx,
    blocking::Blocking,
    clock::{self, Instant},
    event::StageEvents,
};

/// A consumer is away for this long before the producer says that it waits for it: what starts together does not start at once.
const SAY_AFTER: Duration = Duration::from_secs(2);
/// A consumer is away for this long before it is detached: more than the longest back-off (8 s) and a start together, so that
/// one whose pipeline fails and starts again is not.
const DETACH_AFTER: Duration = Duration::from_secs(30);

/// What happens when a queue is full because of a consumer that does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The producer waits, and so does its source.
    #[default]
    Wait,
    /// The consumer is taken off the list, with an alarm: it is no longer waited for.
    Detach,
}

/// Whether more may be written to a queue.
#[derive(Debug)]
pub struct Room {
    queue: Arc<Queue>,
    log: Arc<Log>,
    max_bytes: u64,
    blocking: Blocking,
    events: StageEvents,
    /// For whom it was said that it waits.
    said: Option<String>,
}

/// How full the queue is.
struct Full {
    /// Consumers that are too far behind; none when nobody has come yet.
    behind: Vec<Arc<Reading>>,
}

/// Whose absence holds the producer up; who reads and is slow is not among them, for that is what queues are for.
enum Absent {
    /// Nobody is registered, since the queue was looked at.
    Nobody { since: Instant },
    /// These are, and are away since then.
    Some(Vec<(Arc<Reading>, Instant)>),
}

impl Full {
    fn absent(&self, queue: &Queue) -> Absent {
        if self.behind.is_empty() {
            return Absent::Nobody { since: queue.opened };
        }
        let away = self.behind.iter().filter_map(|reading| Some((reading.clone(), reading.away_since()?)));
        Absent::Some(away.collect())
    }
}

fn is_over(since: Instant, span: Duration) -> bool {
    clock::instant() >= since + span
}

impl Room {
    pub(super) fn new(queue: Arc<Queue>, log: Arc<Log>, max_bytes: u64, cx: &SinkCx) -> Room {
        let (blocking, events) = (cx.blocking.clone(), cx.events.clone());
        Room { queue, log, max_bytes, blocking, events, said: None }
    }

    /// Waits until more may be written. `false` means that the queue is full, nobody is registered to read it, and by
    /// `policy` nobody is waited for: [`Producer::forgo`](super::Producer::forgo) then makes room.
    ///
    /// # Errors
    /// `Transient` as the disk fails.
    pub async fn wait(&mut self, policy: WhenFull) -> Result<bool> {
        while self.full().is_some() {
            // What happens from here on wakes it.
            let mut changes = self.queue.changes();
            let mut commits: FuturesUnordered<_> = self
                .queue
                .all_readings()
                .iter()
                .filter_map(|reading| reading.committed())
                .map(|mut committed| {
                    committed.mark_unchanged();
                    async move {
                        if committed.changed().await.is_err() {
                            // Its life is over, and the queue tells of the next.
                            pending::<()>().await;
                        }
                    }
                })
                .collect();
            let Some(full) = self.full() else { break };
            let absent = full.absent(&self.queue);
            let due = match policy {
                WhenFull::Wait => None,
                WhenFull::Detach => match &absent {
                    Absent::Nobody { since } if is_over(*since, DETACH_AFTER) => return Ok(false),
                    Absent::Nobody { since } => Some(*since + DETACH_AFTER),
                    Absent::Some(readings) => {
                        let gone: Vec<_> =
                            readings.iter().filter(|(_, since)| is_over(*since, DETACH_AFTER)).collect();
                        for (reading, _) in &gone {
                            self.detach(reading).await?;
                        }
                        if !gone.is_empty() {
                            continue;
                        }
                        readings.iter().map(|(_, since)| *since + DETACH_AFTER).min()
                    }
                },
            };
            let due = self.say(&absent).into_iter().chain(due).min();
            tokio::select! {
                // It lives as long as the queue does.
                _ = changes.changed() => {}
                Some(()) = commits.next() => {}
                () = clock::sleep_until(due.unwrap_or_else(clock::instant)), if due.is_some() => {}
            }
        }
        self.said = None;
        Ok(true)
    }

    /// Says that [`Producer::forgo`](super::Producer::forgo) has removed `entries`.
    pub fn forwent(&mut self, entries: u64) {
        metrics::given_up(&self.log.producer, entries);
        let message = format!(
            "queue `{}` is full, with {} bytes, and nobody is registered to read it: its oldest entries make room for new ones, and are counted in `afferent_queue_entries_given_up_total`",
            self.queue.name, self.max_bytes
        );
        if entries > 0 && self.said.as_ref() != Some(&message) {
            self.events.alarm(message.clone());
            self.said = Some(message);
        }
    }

    /// Says how many bytes wait.
    pub fn measure(&self) {
        metrics::waiting(&self.log.producer, self.log.written().saturating_sub(self.least()));
    }

    /// `None` while there is room. What is open does not wait for itself: only while something is released and not consumed.
    fn full(&self) -> Option<Full> {
        let (released, least) = (self.log.seen().release.map_or(0, |release| release.bytes), self.least());
        if self.is_room_after(least) || released <= least {
            return None;
        }
        let mut behind = self.queue.all_readings();
        behind.retain(|reading| !self.is_room_after(self.consumed(reading)));
        Some(Full { behind })
    }

    fn is_room_after(&self, consumed: u64) -> bool {
        self.log.written().saturating_sub(consumed) < self.max_bytes
    }

    /// Bytes that every consumer has consumed; those that were trimmed when there is none.
    fn least(&self) -> u64 {
        let readings = self.queue.all_readings();
        let least = readings.iter().map(|reading| self.consumed(reading)).min();
        least.unwrap_or_else(|| self.log.seen().base)
    }

    fn consumed(&self, reading: &Reading) -> u64 {
        let seen = self.log.seen();
        let Some(release) = seen.release else { return seen.base };
        let newest = reading.newest();
        let consumed = newest.at(&self.log.producer, release.log).map_or(0, |at| at.bytes);
        // Where a consumer was before a cut is more than was released.
        consumed.min(release.bytes).max(seen.base)
    }

    /// Says for whom it waits, once they have been away for a while; until then, when it will be a while.
    fn say(&mut self, absent: &Absent) -> Option<Instant> {
        let (whom, due) = match absent {
            Absent::Nobody { since } if is_over(*since, SAY_AFTER) => {
                (Some("nobody has read it yet; run a pipeline that has it as its source".to_owned()), None)
            }
            Absent::Nobody { since } => (None, Some(*since + SAY_AFTER)),
            Absent::Some(readings) => {
                let (long, short): (Vec<_>, Vec<_>) =
                    readings.iter().partition(|(_, since)| is_over(*since, SAY_AFTER));
                let who: Vec<String> =
                    long.into_iter().map(|(reading, _)| format!("`{}`", reading.consumer)).collect();
                let whom = (!who.is_empty()).then(|| {
                    format!(
                        "{} has not read it and does not run here; start it, or take it off the list (`afferent queue detach`)",
                        who.join(", ")
                    )
                });
                (whom, short.into_iter().map(|(_, since)| *since + SAY_AFTER).min())
            }
        };
        if let Some(whom) = whom {
            let (queue, most) = (&self.queue.name, self.max_bytes);
            let message = format!("queue `{queue}` is full, with {most} bytes: {whom}; records wait");
            if self.said.as_ref() != Some(&message) {
                self.events.alarm(message.clone());
                self.said = Some(message);
            }
        }
        due
    }

    async fn detach(&self, reading: &Arc<Reading>) -> Result<()> {
        let consumer = reading.consumer.clone();
        let unread = self.log.seen().release.map_or(0, |release| {
            let newest = reading.newest();
            let next = newest.at(&self.log.producer, release.log).map_or(0, |at| at.next.number());
            release.end.number().saturating_sub(next)
        });
        let (queue, who) = (self.queue.clone(), consumer.clone());
        if self.blocking.spawn(move || queue.dismiss(&who)).await?? {
            metrics::given_up(&self.log.producer, unread);
            self.events.alarm(format!(
                "queue `{}` is full: its consumer `{consumer}`, which does not run here, is detached; {} that it has not read are no longer kept for it",
                self.queue.name,
                entry::counted(unread)
            ));
        }
        Ok(())
    }
}
