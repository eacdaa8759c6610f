//! [`Outbox`]: the sink's second half, which keeps bodies on disk, and [`Outbound`], what it does so with. Everything of the
//! outbox blocks: it runs in jobs, beside those that seal. A segment that ends is synced, and that takes longer than to fill
//! the next one; sealing goes on meanwhile.

use std::collections::VecDeque;

use afferent_core::{
    Batch, Error, Incarnation, Result,
    checkpoint::KEPT_CHECKPOINTS,
    guard::Guard,
    segment_log::{Appended, LogPosition, SegmentLog},
};
use tokio::sync::mpsc;

use super::{
    body::Entry,
    crash::crash_point,
    sealing::Sealed,
    state::{Counters, OutboxToken},
};
use crate::jobs::Jobs;

/// Bodies that may wait for the disk, in bytes; as much again may be next, and under way. It is what is sealed in the time that
/// a segment takes to be synced.
const WAITING_BYTES: usize = 2 << 20;

/// What the sink does to its outbox.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) guard: Guard,
    pub(super) log: SegmentLog,
    pub(super) incarnation: Incarnation,
    pub(super) lanes: u16,
    /// Where the newest committed epochs end, as many as are kept.
    pub(super) kept: VecDeque<LogPosition>,
    pub(super) buffer: Vec<u8>,
}

impl Outbox {
    fn append(&mut self, bodies: &mut Batch<Entry>) -> Result<()> {
        self.guard.check_to_append()?;
        for entry in bodies.drain(..) {
            entry.encode(&mut self.buffer)?;
            match self.log.append(&self.buffer)? {
                Appended::At(_) => {}
                Appended::Full => return Err(Error::bug("an outbox without a limit is full")),
            }
        }
        Ok(())
    }

    /// Makes everything durable, which is what was sealed; the token.
    fn prepare(&mut self, sealed: Sealed, counters: Counters) -> Result<OutboxToken> {
        self.guard.check()?;
        if self.log.end().number() != sealed.next {
            // A body would wait for another than it was sealed to wait for.
            return Err(Error::bug("the bodies in the outbox are not those that were sealed"));
        }
        crash_point!("upload.appended");
        let end = self.log.sync()?;
        crash_point!("upload.synced");
        Ok(OutboxToken {
            log: self.log.id(),
            end,
            incarnation: self.incarnation,
            lanes: self.lanes,
            barrier: sealed.barrier,
            sealed: sealed.totals,
            counters,
        })
    }

    /// An epoch that ends at `end` is committed, and everything before `low` is acknowledged: removes what no
    /// checkpoint that is kept can come back to. That this fails does no harm: the next commit tries again.
    fn commit(&mut self, end: LogPosition, low: LogPosition) {
        self.kept.push_back(end);
        while self.kept.len() > KEPT_CHECKPOINTS {
            self.kept.pop_front();
        }
        if self.kept.len() < KEPT_CHECKPOINTS {
            return;
        }
        let oldest = self.kept.front().copied().unwrap_or_default();
        if let Err(error) = self.guard.check().and_then(|()| self.log.trim(oldest.min(low))) {
            tracing::warn!("the outbox could not be trimmed: {error}");
        }
    }
}

/// The way of bodies from the jobs that seal them to those that append them.
pub(super) struct Outbound {
    pub(super) jobs: Jobs<Outbox, Entry>,
    pub(super) sealed: mpsc::UnboundedReceiver<Entry>,
    pub(super) waiting: Batch<Entry>,
}

impl Outbound {
    /// Has what was sealed appended. Waits only for room.
    pub(super) async fn proceed(&mut self) -> Result<()> {
        self.receive();
        if self.waiting.is_empty() || self.jobs.offer(&mut self.waiting, Outbox::append)? {
            return Ok(());
        }
        if self.waiting.bytes() >= WAITING_BYTES {
            self.jobs.write(&mut self.waiting, Outbox::append).await?;
        }
        Ok(())
    }

    /// Makes durable what was `sealed`; the token.
    pub(super) async fn prepare(&mut self, sealed: Sealed, counters: Counters) -> Result<OutboxToken> {
        self.receive();
        if !self.waiting.is_empty() {
            self.jobs.write(&mut self.waiting, Outbox::append).await?;
        }
        self.jobs.run(move |outbox| outbox.prepare(sealed, counters)).await
    }

    /// See [`Outbox::commit`].
    pub(super) async fn commit(&mut self, end: LogPosition, low: LogPosition) -> Result<()> {
        self.jobs
            .run(move |outbox| {
                outbox.commit(end, low);
                Ok(())
            })
            .await
    }

    fn receive(&mut self) {
        while let Ok(entry) = self.sealed.try_recv() {
            self.waiting.add_bytes(entry.bytes() as usize);
            self.waiting.push(entry);
        }
    }
}
