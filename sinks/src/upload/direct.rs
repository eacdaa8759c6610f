//! [`Direct`]: the sink's half without an outbox. Everything here blocks: it runs in jobs.

use std::mem;

use afferent_core::{Batch, Epoch, Error, Record, Rejects, Result};
use tokio::sync::mpsc;

use super::{
    Settings,
    body::Entry,
    feed::Made,
    outbox::Sealer,
    packer::{Draft, Packer},
};

/// Seals bodies and hands them to the driver.
#[derive(Debug)]
pub(super) struct Direct {
    packer: Packer,
    sealer: Sealer,
    epoch: Option<Epoch>,
    /// Bodies, which are also their numbers.
    count: u64,
    /// Records in them.
    records: u64,
    bodies: mpsc::UnboundedSender<Entry>,
    made: Made,
    rejects: Rejects,
    closed: Vec<Draft>,
}

impl Direct {
    pub(super) fn new(
        settings: &Settings,
        sealer: Sealer,
        bodies: mpsc::UnboundedSender<Entry>,
        made: Made,
    ) -> Direct {
        Direct {
            packer: Packer::new(settings),
            sealer,
            epoch: None,
            count: 0,
            records: 0,
            bodies,
            made,
            rejects: Vec::new(),
            closed: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        for record in batch.drain(..) {
            self.packer.push(&record, &mut self.closed, &mut self.rejects);
            self.hand_over()?;
        }
        Ok(())
    }

    /// Hands over what is open; how many records there were in all, and what has no form.
    pub(super) fn prepare(&mut self, epoch: Epoch) -> Result<(u64, Rejects)> {
        self.epoch.get_or_insert(epoch);
        self.packer.finish(&mut self.closed);
        self.hand_over()?;
        Ok((self.records, mem::take(&mut self.rejects)))
    }

    pub(super) fn commit(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch.next());
    }

    fn hand_over(&mut self) -> Result<()> {
        for draft in self.closed.drain(..) {
            let epoch = self.epoch.ok_or_else(|| Error::bug("a record was written before any commit"))?;
            let entry = self.sealer.seal(draft, epoch, self.count, 0)?;
            self.count += 1;
            self.records += u64::from(entry.head.records);
            self.made.add(entry.bytes());
            // Without a driver nobody takes it; the sink notices that by itself.
            let _ = self.bodies.send(entry);
        }
        Ok(())
    }
}
