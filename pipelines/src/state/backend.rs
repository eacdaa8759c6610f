//! redb's storage, over our [`Disk`](afferent_core::disk::Disk).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use afferent_core::disk::DiskFile;
use redb::StorageBackend;

/// One opening of the database file.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) file: Arc<dyn DiskFile>,
    /// Nothing may be written through this opening any more: another one may be at work.
    pub(super) abandoned: Arc<AtomicBool>,
    /// A sync failed: what the file reads as may not be on the disk. Shared by all openings.
    pub(super) in_doubt: Arc<AtomicBool>,
    /// The file is not in its place yet; it is synced once, when it is whole.
    pub(super) in_the_making: bool,
}

impl Backend {
    fn writable(&self) -> io::Result<()> {
        if self.abandoned.load(SeqCst) {
            return Err(io::Error::other("the database was given up after an error"));
        }
        Ok(())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.info()?.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.file.read_at(offset, out)? < out.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writable()?;
        if self.in_the_making {
            return Ok(());
        }
        self.file.sync().inspect_err(|_| self.in_doubt.store(true, SeqCst))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.file.write_at(offset, data)
    }
}
