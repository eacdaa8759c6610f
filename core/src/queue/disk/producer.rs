//! [`Producer`]: a sink's side of a queue. It blocks: use it in jobs.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Queues, Room, StageKey,
    crash::crash_point,
    entry, key,
    log::{Log, Release},
    queue::Queue,
    state::{History, QueueToken},
};
use crate::{
    Error, Incarnation, Name, Opened, Result, SinkCx, Token,
    checkpoint::KEPT_CHECKPOINTS,
    disk::Disk,
    event::StageEvents,
    guard::Guard,
    io_error,
    random::Random,
    segment_log::{Appended, LogLimits, LogPosition, SegmentLog, set_aside},
};

/// A sink's side of a queue: the only one that appends to its log, cuts it and trims it.
#[derive(Debug)]
pub struct Producer {
    queue: Arc<Queue>,
    log: Arc<Log>,
    guard: Guard,
    /// The handle it may use.
    opening: u64,
    history: History,
    /// Where the newest committed epochs end, as many as are kept.
    kept: VecDeque<LogPosition>,
    buffer: Vec<u8>,
}

impl Queues {
    /// The producer side of the queue `name` for a sink that opens with `cx`; `max_bytes` may wait in it. What lies after the
    /// context's token is cut off.
    ///
    /// # Errors
    /// `Transient` while another has the log open, or as the disk fails; `Fenced` for an older generation.
    pub async fn produce(
        &self,
        name: &Name,
        max_bytes: u64,
        cx: &SinkCx,
    ) -> Result<(Producer, Room, Opened)> {
        key::check(&[&cx.pipeline, &cx.stage])?;
        let queue = self.queue(name, &cx.blocking).await?;
        let key = StageKey { pipeline: cx.pipeline.clone(), stage: cx.stage.clone() };
        let log = queue.log(&key);
        let token = cx.token.as_ref().map(QueueToken::read).transpose()?;
        let opening = Opening {
            queue: queue.clone(),
            log: log.clone(),
            limits: LogLimits { max_bytes: u64::MAX, ..LogLimits::new(max_bytes) },
            token,
            incarnation: cx.incarnation,
            random: cx.random.clone(),
            events: cx.events.clone(),
        };
        let (disk, fence) = (queue.disk.clone(), cx.fence.clone());
        let open = move || {
            let directory = opening.log.segments();
            disk.create_dir_all(&directory).map_err(|error| io_error("create", &directory, error))?;
            // Queues are in the state directory, of which there is one owner: no lock is ever passed over.
            let guard = Guard::take(&disk, &opening.log.directory, "queue", fence, false)?;
            let opened = opening.open(&*disk, guard);
            // Whatever came of it, readers made before are of no use.
            queue.changed();
            opened.map(|(producer, opened)| (producer, queue, log, opened))
        };
        let (producer, queue, log, opened) = cx.blocking.spawn(open).await??;
        Ok((producer, Room::new(queue, log, max_bytes, cx), opened))
    }
}

/// What opening needs.
struct Opening {
    queue: Arc<Queue>,
    log: Arc<Log>,
    limits: LogLimits,
    token: Option<QueueToken>,
    incarnation: Incarnation,
    random: Random,
    events: StageEvents,
}

impl Opening {
    /// | there is | and `open` |
    /// |---|---|
    /// | no token, a log with entries | sets it aside with an alarm, begins another; `Elsewhere` |
    /// | a token, its log | cuts it back to the token; `Resumed` |
    /// | a token, another log or none | sets it aside if it has entries, begins another, with an alarm; `Elsewhere` |
    /// | a token of another incarnation than the engine's | (a fallback) cuts, and begins an incarnation there; `Resumed` |
    fn open(mut self, disk: &dyn Disk, guard: Guard) -> Result<(Producer, Opened)> {
        let (log, queue) = (self.log.clone(), self.queue.clone());
        let directory = log.segments();
        let mut handle = log.handle();
        let expected = self.token.as_ref().map(|token| token.end);
        let damaged = log.open(&mut handle, self.limits, expected, &mut self.random)?;
        let id = handle.log.as_ref().map(SegmentLog::id);
        let resumed = self.token.take_if(|token| Some(token.log) == id);
        let (history, written, opened) = match resumed {
            Some(QueueToken { end, bytes, mut history, .. }) => {
                guard.check()?;
                if damaged {
                    self.events.alarm(format!(
                        "the log of queue `{}` is damaged; consumers pass over what can't be read, and say how much",
                        queue.name
                    ));
                }
                let segments = handle.log.as_mut().ok_or_else(gone)?;
                segments.truncate(end)?;
                if history.incarnation() != self.incarnation {
                    history.go_on(self.incarnation, end);
                }
                (history, bytes, Opened::Resumed)
            }
            None => {
                guard.check()?;
                log.release(None);
                if handle.log.as_ref().is_some_and(|log| !log.is_empty()) {
                    handle.log = None;
                    let aside = set_aside(disk, &directory)?;
                    let aside = aside.map(|path| path.display().to_string()).unwrap_or_default();
                    self.events.alarm(format!(
                        "the log of queue `{}` has entries that no checkpoint knows of; they are kept in {aside}, and what consumers have not read of them by now they will not read",
                        queue.name
                    ));
                    log.open(&mut handle, self.limits, None, &mut self.random)?;
                }
                if let Some(token) = &self.token {
                    self.events.alarm(lost(token, &queue.name));
                }
                let first = handle.log.as_ref().ok_or_else(gone)?.first();
                (History::begin(self.incarnation, first), 0, Opened::Elsewhere)
            }
        };
        log.find_base(handle.log.as_ref().ok_or_else(gone)?, written)?;
        log.set_written(written);
        let opening = handle.opening;
        drop(handle);
        crash_point!("queue.opened");
        let kept = VecDeque::new();
        Ok((Producer { queue, log, guard, opening, history, kept, buffer: Vec::new() }, opened))
    }
}

fn lost(token: &QueueToken, queue: &Name) -> String {
    if token.queue == *queue {
        format!(
            "the log of queue `{queue}` that the last checkpoint ends in is gone; what consumers had not read of it is lost"
        )
    } else {
        format!(
            "the last checkpoint ends in queue `{}`, and this sink now writes to `{queue}`; what consumers of the former had not read stays there and is not released",
            token.queue
        )
    }
}

fn gone() -> Error {
    Error::bug("the log of a queue was closed while it was opened")
}

impl Producer {
    /// The longest entry that it takes.
    pub fn max_entry_bytes(&self) -> u64 {
        let handle = self.log.handle();
        // An entry's header is in it.
        handle.log.as_ref().map_or(0, |log| log.max_entry_bytes().saturating_sub(entry::HEADER_LEN as u64))
    }

    /// Appends an entry. It counts when a token after it is saved.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come, `Data` for an entry that is too long, `Transient` as the disk fails.
    pub fn append(&mut self, payload: &[u8]) -> Result<()> {
        self.guard.check()?;
        let mut handle = self.log.handle();
        let log = handle.of_opening(self.opening)?;
        let before = self.log.written();
        entry::encode(before, payload, &mut self.buffer);
        match log.append(&self.buffer)? {
            Appended::At(_) => {}
            Appended::Full => return Err(Error::bug("a log without a limit is full")),
        }
        self.log.set_written(before + self.buffer.len() as u64);
        Ok(())
    }

    /// Makes everything durable; the token.
    ///
    /// # Errors
    /// As [`append`](Producer::append).
    pub fn prepare(&mut self) -> Result<Token> {
        self.guard.check()?;
        let mut handle = self.log.handle();
        let log = handle.of_opening(self.opening)?;
        let token = QueueToken {
            queue: self.queue.name.clone(),
            log: log.id(),
            end: log.sync()?,
            bytes: self.log.written(),
            history: self.history.clone(),
        };
        crash_point!("queue.synced");
        token.save()
    }

    /// Releases what lies before the token's end, and removes what nobody needs any more.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come.
    pub fn commit(&mut self, token: &Token) -> Result<()> {
        let token = QueueToken::read(token)?;
        self.guard.check()?;
        let mut handle = self.log.handle();
        let log = handle.of_opening(self.opening)?;
        self.kept.push_back(token.end);
        while self.kept.len() > KEPT_CHECKPOINTS {
            self.kept.pop_front();
        }
        // After a fallback the token is of the incarnation before, and the one that is saved next tells consumers where
        // they were cut.
        if token.history == self.history {
            self.log.release(Some(Release::from(token)));
        }
        crash_point!("queue.released");
        // That it fails does no harm: the next commit tries again.
        let trimmed = match self.queue.needs(&self.log.producer, log.id()) {
            Some(needed) => trim(log, &self.log, &self.kept, needed),
            None => Ok(()),
        };
        drop(handle);
        if let Err(error) = trimmed {
            tracing::warn!("the log of queue `{}` could not be trimmed: {error}", self.queue.name);
        }
        self.queue.changed();
        crash_point!("queue.trimmed");
        Ok(())
    }

    /// Removes the oldest released entries, as nobody is registered to read them; how many.
    ///
    /// # Errors
    /// `Fenced` when a newer generation has come, `Transient` as the disk fails.
    pub fn forgo(&mut self) -> Result<u64> {
        self.guard.check()?;
        let mut handle = self.log.handle();
        let log = handle.of_opening(self.opening)?;
        let before = log.first().number();
        // A consumer that has come since needs all that is there.
        if self.queue.all_readings().is_empty() {
            let end = self.kept.back().copied().unwrap_or_default();
            trim(log, &self.log, &self.kept, end)?;
        }
        let gone = log.first().number() - before;
        drop(handle);
        self.queue.changed();
        Ok(gone)
    }
}

/// Removes segments before `needed` that no checkpoint which is kept can come back to.
fn trim(
    segments: &mut SegmentLog,
    log: &Log,
    kept: &VecDeque<LogPosition>,
    needed: LogPosition,
) -> Result<()> {
    let Some(oldest) = kept.front().filter(|_| kept.len() == KEPT_CHECKPOINTS) else { return Ok(()) };
    let before = segments.first();
    let trimmed = segments.trim(needed.min(*oldest));
    if segments.first() != before {
        log.find_base(segments, log.written())?;
    }
    trimmed
}
