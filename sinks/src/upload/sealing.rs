//! [`Sealing`]: the sink's first half, which makes bodies of records. It computes, so it runs in jobs.

use std::{mem, sync::Arc};

use afferent_core::{Batch, Epoch, Error, Incarnation, Name, Record, Rejects, Result, clock::Clock};
use tokio::sync::mpsc;

use super::{
    Compression, Key, Settings,
    body::{Entry, Head},
    compress,
    feed::Made,
    key::Birth,
    packer::{Draft, Packer},
    state::Totals,
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
    /// Makes a body final: compresses it and gives it its key. It will lie where `at` says.
    fn seal(&self, draft: Draft, epoch: Epoch, at: &Sealed, permission: u64) -> Result<Entry> {
        let Draft { lane, ordinal, waits, plain, places, types } = draft;
        let length = plain.len() as u64;
        let content = compress::pack(self.compression, plain)?;
        let birth = Birth { incarnation: self.incarnation, sink: &self.sink, epoch, lane, ordinal };
        let head = Head {
            key: Key::of_body(birth, &content),
            epoch,
            lane,
            records: u32::try_from(places.len()).map_err(|_| Error::bug("a body has too many records"))?,
            after: if waits { at.next } else { at.barrier },
            compression: self.compression,
            plain: length,
            sealed_at: self.clock.now(),
            types,
            permission,
        };
        Entry::new(head, &places, content)
    }
}

/// Where sealing is.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealed {
    /// The number of the next body.
    pub(super) next: u64,
    /// Bodies wait for all before this number.
    pub(super) barrier: u64,
    /// What is in those before.
    pub(super) totals: Totals,
}

/// Packs records into bodies, seals them and hands them on: to the outbox, or to the driver.
#[derive(Debug)]
pub(super) struct Sealing {
    packer: Packer,
    sealer: Sealer,
    /// The epoch that is open; known from the last commit, which precedes every write.
    epoch: Option<Epoch>,
    sealed: Sealed,
    /// The version of what allows the records that are written to be sent; it does not change within an epoch.
    permission: u64,
    /// Without a bound, because a job must not wait in its thread for another. It never holds more than what comes of the
    /// two batches that this is given before the sink looks here again, and of the bodies that are open.
    bodies: mpsc::UnboundedSender<Entry>,
    /// `sealed.totals.bytes`, for the sink to see while this is in a job.
    made: Made,
    rejects: Rejects,
    closed: Vec<Draft>,
}

impl Sealing {
    pub(super) fn new(
        settings: &Settings,
        sealer: Sealer,
        sealed: Sealed,
        bodies: mpsc::UnboundedSender<Entry>,
        made: Made,
    ) -> Result<Sealing> {
        made.set(sealed.totals.bytes);
        Ok(Sealing {
            packer: Packer::new(settings)?,
            sealer,
            epoch: None,
            sealed,
            permission: 0,
            bodies,
            made,
            rejects: Vec::new(),
            closed: Vec::new(),
        })
    }

    /// What is written from now on may be sent as `permission`, a version, says.
    pub(super) fn permit(&mut self, permission: u64) {
        self.permission = permission;
        self.packer.guard(permission != 0);
    }

    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        for record in batch.drain(..) {
            self.packer.push(&record, &mut self.closed, &mut self.rejects);
            if !self.closed.is_empty() {
                self.hand_on()?;
            }
        }
        Ok(())
    }

    /// Seals and hands on what is open: where that ends, and what has no form in a body.
    pub(super) fn prepare(&mut self, epoch: Epoch) -> Result<(Sealed, Rejects)> {
        self.packer.finish(&mut self.closed);
        self.hand_on()?;
        if let Some(open) = self.epoch.filter(|open| *open != epoch) {
            // The keys of its bodies would name another epoch.
            return Err(Error::bug(format!("epoch {epoch} is prepared, and epoch {open} was open")));
        }
        Ok((self.sealed.clone(), mem::take(&mut self.rejects)))
    }

    pub(super) fn commit(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch.next());
    }

    fn hand_on(&mut self) -> Result<()> {
        let Some(epoch) = self.epoch else {
            return match self.closed.is_empty() {
                true => Ok(()),
                false => Err(Error::bug("a record was written before any commit")),
            };
        };
        for draft in self.closed.drain(..) {
            let entry = self.sealer.seal(draft, epoch, &self.sealed, self.permission)?;
            self.sealed.next += 1;
            self.sealed.totals.records += u64::from(entry.head.records);
            self.sealed.totals.bytes += entry.bytes();
            self.sealed.totals.types.add(&entry.head.census());
            // Before it is handed on: without an outbox it may be delivered, and counted as such, at once.
            self.made.set(self.sealed.totals.bytes);
            // The sink notices by itself that nobody takes it any more.
            let _ = self.bodies.send(entry);
        }
        Ok(())
    }
}
