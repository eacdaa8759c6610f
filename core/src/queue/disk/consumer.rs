//! [`Consumer`]: a source's side of a queue.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Queues, StageKey,
    following::{Following, Surroundings},
    key,
    queue::Queue,
    reading::Reading,
    state::QueuePosition,
};
use crate::{Batch, Error, Name, Position, Pulled, Result, SourceCx};

/// Reads what a sink gave as one entry and adds it to a batch; an error of kind `State` stops the pipeline.
pub type Decode<T> = fn(&[u8], &mut Batch<T>) -> Result<()>;

/// A source's side of a queue: follows the logs of all of its producers.
#[derive(Debug)]
pub struct Consumer<T> {
    queue: Arc<Queue>,
    decode: Decode<T>,
    around: Surroundings,
    logs: Vec<Following<T>>,
    /// Which of them comes next, so that a busy producer does not keep others from being read.
    turn: usize,
    /// Where it is in logs that are not there now.
    start: QueuePosition,
    attached: Attached,
    changes: watch::Receiver<u64>,
    pulls: u64,
    /// What was given last said that there is no more, at this position.
    dry: Option<Arc<QueuePosition>>,
}

impl Queues {
    /// The consumer side of the queue `name` for a source that opens with `cx`, after the context's position. It is
    /// registered, durably, before it returns. `decode` reads entries.
    ///
    /// # Errors
    /// `State` when the position is damaged or of a newer version, `Transient` as the disk fails.
    pub async fn consume<T: Send + 'static>(
        &self,
        name: &Name,
        decode: Decode<T>,
        cx: SourceCx,
    ) -> Result<Consumer<T>> {
        key::check(&[&cx.pipeline, &cx.stage])?;
        let queue = self.queue(name, &cx.blocking).await?;
        let consumer = StageKey { pipeline: cx.pipeline, stage: cx.stage };
        let mut start = QueuePosition::default();
        match &cx.position {
            Some(position) if position.fingerprint == name.as_str() => start = QueuePosition::read(position)?,
            Some(position) => {
                let former = Name::from(position.fingerprint.as_str());
                cx.events.notice(format!(
                    "this source read queue `{former}` before; it now reads `{name}`, from its oldest entry on, and `{former}` keeps nothing for it"
                ));
                let (former, gone) = (self.queue(&former, &cx.blocking).await?, consumer.clone());
                cx.blocking.spawn(move || former.dismiss(&gone)).await??;
            }
            None => {}
        }
        let (joined, committed, position, who) =
            (queue.clone(), cx.committed, start.clone(), consumer.clone());
        let join = move || {
            let (reading, life, was_known) = joined.join(&who, committed, position)?;
            Ok::<_, Error>((Attached { queue: joined, reading, life }, was_known))
        };
        let (attached, was_known) = cx.blocking.spawn(join).await??;
        if !was_known && !start.logs.is_empty() {
            cx.events.alarm(format!(
                "this consumer was detached from queue `{name}`; it goes on where it was, as far as entries are still there"
            ));
        }
        let around = Surroundings {
            consumer,
            limits: cx.limits,
            blocking: cx.blocking,
            random: cx.random,
            events: cx.events,
        };
        let changes = queue.changes();
        Ok(Consumer {
            queue,
            decode,
            around,
            logs: Vec::new(),
            turn: 0,
            start,
            attached,
            changes,
            pulls: 0,
            dry: None,
        })
    }
}

/// It reads until this is dropped.
#[derive(Debug)]
struct Attached {
    queue: Arc<Queue>,
    reading: Arc<Reading>,
    life: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.reading.detach(self.life);
        self.queue.changed();
    }
}

impl<T: Send + 'static> Consumer<T> {
    /// The next batch; what a source gives. When there is none it says so once, and then waits.
    ///
    /// # Errors
    /// `State` when an entry can't be understood; `Transient` as the disk fails, after which it can be called again.
    pub async fn next(&mut self) -> Result<Pulled<T>> {
        loop {
            self.changes.mark_unchanged();
            if let Some(batch) = self.read().await? {
                self.dry = None;
                let position = self.place();
                return Ok(Pulled {
                    batch,
                    rejects: Vec::new(),
                    position: self.gave(position)?,
                    seal: false,
                });
            }
            let position = self.place();
            if self.dry.as_deref() != Some(&*position) {
                self.dry = Some(position.clone());
                return Ok(Pulled::drained(self.gave(position)?));
            }
            // The sender is in the queue, which is here.
            let _ = self.changes.changed().await;
        }
    }

    /// What the next producer in turn has.
    async fn read(&mut self) -> Result<Option<Batch<T>>> {
        self.find_producers();
        for _ in 0..self.logs.len() {
            let turn = self.turn % self.logs.len();
            self.turn = turn + 1;
            if let Some(batch) = self.logs[turn].next(&self.queue, self.decode, &mut self.around).await? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn find_producers(&mut self) {
        let logs = self.queue.all_logs();
        if logs.len() == self.logs.len() {
            return;
        }
        for log in logs {
            if self.logs.iter().all(|known| !Arc::ptr_eq(&known.log, &log)) {
                let at = self.start.logs.remove(&log.producer);
                self.logs.push(Following::new(log, at));
            }
        }
    }

    /// Where it is after what it has given.
    fn place(&self) -> Arc<QueuePosition> {
        let mut position = self.start.clone();
        let logs =
            self.logs.iter().filter_map(|following| Some((&following.log.producer, following.at.as_ref()?)));
        position.logs.extend(logs.map(|(producer, at)| (producer.clone(), at.clone())));
        Arc::new(position)
    }

    /// Notes that it gives what comes before `position`.
    fn gave(&mut self, position: Arc<QueuePosition>) -> Result<Position> {
        let saved = position.save(&self.queue.name)?;
        self.pulls += 1;
        self.attached.reading.gave(self.pulls, position);
        Ok(saved)
    }
}
