//! [`Outbox`]: the sink's half, which seals bodies and appends them. Everything here blocks: it runs in jobs.

use std::{collections::VecDeque, mem, sync::Arc};

use afferent_core::{
    Batch, Epoch, Error, Incarnation, Name, Record, Rejects, Result,
    checkpoint::KEPT_CHECKPOINTS,
    clock::Clock,
    segment_log::{Appended, LogPosition, SegmentLog},
};

use super::{
    Compression, Key,
    body::{Entry, Head},
    compress,
    crash::crash_point,
    feed::Made,
    guard::Guard,
    key::Birth,
    packer::{Draft, Packer},
    state::{Counters, OutboxToken, Totals},
};

/// Seals drafts.
#[derive(Debug)]
pub(super) struct Sealer {
    pub(super) incarnation: Incarnation,
    pub(super) sink: Name,
    pub(super) compression: Compression,
    pub(super) clock: Arc<dyn Clock>,
}

impl Sealer {
    /// Makes a body final: compresses it and gives it its key. Entry `number` is where it will lie.
    pub(super) fn seal(&self, draft: Draft, epoch: Epoch, number: u64, barrier: u64) -> Result<Entry> {
        let Draft { lane, ordinal, waits, plain, places } = draft;
        let length = plain.len() as u64;
        let content = compress::pack(self.compression, plain)?;
        let birth = Birth { incarnation: self.incarnation, sink: &self.sink, epoch, lane, ordinal };
        let head = Head {
            key: Key::of_body(birth, &content),
            epoch,
            lane,
            records: u32::try_from(places.len()).map_err(|_| Error::bug("a body has too many records"))?,
            after: if waits { number } else { barrier },
            compression: self.compression,
            plain: length,
            sealed_at: self.clock.now(),
        };
        Entry::new(head, &places, content)
    }
}

/// What the sink does to its outbox.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) guard: Guard,
    pub(super) log: SegmentLog,
    pub(super) packer: Packer,
    pub(super) sealer: Sealer,
    /// The epoch that is open; known from the last commit, which precedes every write.
    pub(super) epoch: Option<Epoch>,
    pub(super) lanes: u16,
    pub(super) barrier: u64,
    pub(super) sealed: Totals,
    /// `sealed.bytes`, for the sink to see while this is in a job.
    pub(super) made: Made,
    /// Where the newest committed epochs end, as many as are kept.
    pub(super) kept: VecDeque<LogPosition>,
    pub(super) rejects: Rejects,
    pub(super) closed: Vec<Draft>,
    pub(super) buffer: Vec<u8>,
}

impl Outbox {
    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        for record in batch.drain(..) {
            self.packer.push(&record, &mut self.closed, &mut self.rejects);
            if !self.closed.is_empty() {
                self.append_closed()?;
            }
        }
        Ok(())
    }

    /// Seals what is open and makes everything durable; the token, and what has no form.
    pub(super) fn prepare(&mut self, epoch: Epoch, counters: Counters) -> Result<(OutboxToken, Rejects)> {
        self.guard.check()?;
        self.packer.finish(&mut self.closed);
        self.append_closed()?;
        if let Some(open) = self.epoch.filter(|open| *open != epoch) {
            // The keys of its bodies would name another epoch.
            return Err(Error::bug(format!("epoch {epoch} is prepared, and epoch {open} was open")));
        }
        crash_point!("upload.appended");
        let end = self.log.sync()?;
        crash_point!("upload.synced");
        let token = OutboxToken {
            log: self.log.id(),
            end,
            incarnation: self.sealer.incarnation,
            lanes: self.lanes,
            barrier: self.barrier,
            sealed: self.sealed,
            counters,
        };
        Ok((token, mem::take(&mut self.rejects)))
    }

    /// The epoch that ends at `end` is committed, and everything before `low` is acknowledged: removes what no
    /// checkpoint that is kept can come back to. That this fails does no harm: the next commit tries again.
    pub(super) fn commit(&mut self, epoch: Epoch, end: LogPosition, low: LogPosition) {
        self.epoch = Some(epoch.next());
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

    fn append_closed(&mut self) -> Result<()> {
        if self.closed.is_empty() {
            return Ok(());
        }
        self.guard.check()?;
        let epoch = self.epoch.ok_or_else(|| Error::bug("a record was written before any commit"))?;
        for draft in self.closed.drain(..) {
            let number = self.log.end().number();
            let entry = self.sealer.seal(draft, epoch, number, self.barrier)?;
            entry.encode(&mut self.buffer)?;
            match self.log.append(&self.buffer)? {
                Appended::At(_) => {}
                Appended::Full => return Err(Error::bug("an outbox without a limit is full")),
            }
            self.sealed.records += u64::from(entry.head.records);
            self.sealed.bytes += entry.bytes();
        }
        self.made.set(self.sealed.bytes);
        Ok(())
    }
}
