//! [`Following`]: how a consumer follows the log of one producer.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Decode, StageKey,
    chunk::{self, Chunk, Piece},
    entry,
    log::{Log, Reader, Release},
    metrics,
    queue::Queue,
    state::At,
};
use crate::{
    Batch, Limits, Result,
    blocking::{Blocking, Job},
    event::StageEvents,
    random::Random,
    segment_log::LogPosition,
};

/// What following needs beside the log.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) consumer: StageKey,
    pub(super) limits: Limits,
    pub(super) blocking: Blocking,
    pub(super) random: Random,
    pub(super) events: StageEvents,
}

/// How a consumer follows the log of one producer.
#[derive(Debug)]
pub(super) struct Following<T> {
    pub(super) log: Arc<Log>,
    /// Where it is; none while it has not found the log.
    pub(super) at: Option<At>,
    reader: Option<Reader>,
    pieces: VecDeque<Piece<T>>,
    /// A job that reads on while the batch before moves through the pipeline.
    ahead: Option<Job<Result<Chunk<T>>>>,
    /// It was said that entries are gone which it would have read next.
    was_behind: bool,
}

impl<T: Send + 'static> Following<T> {
    /// Follows `log` after `at`.
    pub(super) fn new(log: Arc<Log>, at: Option<At>) -> Following<T> {
        Following { log, at, reader: None, pieces: VecDeque::new(), ahead: None, was_behind: false }
    }

    /// What comes next; `None` when there is nothing now.
    pub(super) async fn next(
        &mut self,
        queue: &Queue,
        decode: Decode<T>,
        around: &mut Surroundings,
    ) -> Result<Option<Batch<T>>> {
        loop {
            let Some(release) = self.log.look_up(queue).await? else { return Ok(None) };
            self.place(&release, queue, around);
            let batch = self.give(around.limits);
            if let Some(batch) = batch {
                self.read_on(&release, decode, around);
                return Ok(Some(batch));
            }
            if self.at.as_ref().is_some_and(|at| at.next >= release.end) {
                return Ok(None);
            }
            self.start(&release, decode, around);
            let Some(job) = &mut self.ahead else { return Ok(None) };
            let read = job.await;
            self.ahead = None;
            if !self.take(read??, &release, queue, around) {
                return Ok(None);
            }
        }
    }

    /// Sees to it that it stands in what is released now.
    fn place(&mut self, release: &Release, queue: &Queue, around: &Surroundings) {
        let producer = &self.log.producer;
        let Some(at) = &mut self.at else { return };
        if at.log != release.log {
            around.events.notice(format!(
                "producer `{producer}` of queue `{}` has begun another log; it is read from its first entry on",
                queue.name
            ));
            self.begin_anew();
            return;
        }
        let is_same = at.incarnation == release.history.incarnation();
        if is_same && at.next <= release.end {
            return;
        }
        let cut = release.history.cut_since(at.incarnation).map_or(release.end, |cut| cut.min(release.end));
        at.incarnation = release.history.incarnation();
        if (at.next, at.skip) > (cut, 0) {
            let undone = at.next.number().saturating_sub(cut.number()) + u64::from(at.skip > 0);
            around.events.alarm(format!(
                "producer `{producer}` of queue `{}` went back to an older checkpoint; {} that were read from it are undone there, and records in them may come again",
                queue.name,
                entry::counted(undone)
            ));
            (at.next, at.skip, at.bytes) = (cut, 0, at.bytes.min(release.bytes));
        }
        self.drop_ahead();
    }

    fn begin_anew(&mut self) {
        self.at = None;
        self.drop_ahead();
    }

    /// Forgets what was read and not given.
    fn drop_ahead(&mut self) {
        self.reader = None;
        self.pieces.clear();
        self.ahead = None;
    }

    /// Gives what was read, as much as one batch takes.
    fn give(&mut self, limits: Limits) -> Option<Batch<T>> {
        let at = self.at.as_mut()?;
        let mut batch = Batch::new();
        while let Some(piece) = self.pieces.front_mut() {
            let room = limits.records.max(1) - batch.len();
            let is_enough = !batch.is_empty() && batch.bytes() as u64 + piece.weight > limits.bytes as u64;
            if room == 0 || is_enough {
                break;
            }
            let given = room.min(piece.records.len());
            if batch.is_empty() && given == piece.records.len() {
                // All of it, in the buffer that it has.
                let records = std::mem::take(&mut piece.records);
                batch = Batch::from(records.collect::<Vec<T>>());
            } else {
                batch.extend(piece.records.by_ref().take(given));
            }
            if piece.records.len() == 0 {
                batch.add_bytes(piece.weight as usize);
                (at.next, at.skip, at.bytes) = (piece.after, 0, piece.before + piece.bytes);
                self.pieces.pop_front();
            } else {
                let share = piece.weight * given as u64 / (given + piece.records.len()) as u64;
                piece.weight -= share;
                batch.add_bytes(share as usize);
                (at.next, at.bytes) = (piece.place, piece.before);
                at.skip += given as u64;
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Has the next job read while the batch that was given moves.
    fn read_on(&mut self, release: &Release, decode: Decode<T>, around: &mut Surroundings) {
        let is_more = self.reader.as_ref().is_some_and(|reader| reader.reader.position() < release.end);
        if is_more && self.pieces.is_empty() {
            self.start(release, decode, around);
        }
    }

    fn start(&mut self, release: &Release, decode: Decode<T>, around: &mut Surroundings) {
        if self.ahead.is_some() {
            return;
        }
        let seen = self.log.seen().opening;
        let reader = self.reader.take().filter(|reader| reader.opening == seen);
        let from = self.at.as_ref().map(|at| at.next);
        let (log, release, mut random) = (self.log.clone(), release.clone(), around.random.fork());
        let read = move || chunk::read(&log, reader, from, &release, decode, &mut random);
        self.ahead = Some(around.blocking.spawn(read));
    }

    /// Takes what a job has read of `release`; whether there may be more.
    fn take(&mut self, chunk: Chunk<T>, release: &Release, queue: &Queue, around: &Surroundings) -> bool {
        // If the log is not there, whoever puts it there says so.
        let Some(reader) = chunk.reader else { return chunk.stale };
        if let Some(first) = chunk.first {
            self.found(first, release, queue, around);
        }
        let Some(at) = &mut self.at else { return false };
        for mut piece in chunk.pieces {
            if piece.place == at.next && at.skip > 0 {
                // They were given before.
                piece.records.nth(at.skip as usize - 1);
            }
            self.pieces.push_back(piece);
        }
        if let Some(damage) = chunk.damage {
            metrics::lost(&around.consumer, damage.lost());
            around.events.alarm(format!(
                "{} of producer `{}` of queue `{}` can't be read, and the records in it are lost: {damage}",
                entry::counted(damage.lost()),
                self.log.producer,
                queue.name
            ));
            (at.next, at.skip) = (reader.reader.position(), 0);
        }
        self.reader = Some(reader);
        true
    }

    /// A reader was made of a log whose oldest entry is `first`.
    fn found(&mut self, first: LogPosition, release: &Release, queue: &Queue, around: &Surroundings) {
        let begin = At {
            log: release.log,
            incarnation: release.history.incarnation(),
            next: first,
            skip: 0,
            bytes: self.log.seen().base.min(release.bytes),
        };
        let at = self.at.get_or_insert(begin);
        if at.next < first && !std::mem::replace(&mut self.was_behind, true) {
            let gone = first.number() - at.next.number();
            metrics::lost(&around.consumer, gone);
            around.events.alarm(format!(
                "this consumer was detached from queue `{}`: {} of producer `{}` that it had not read are gone; it goes on at the oldest that is there",
                queue.name,
                entry::counted(gone),
                self.log.producer
            ));
        }
        if at.next < first {
            (at.next, at.skip) = (first, 0);
        }
    }
}
