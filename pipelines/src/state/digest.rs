//! [`Digest`]: proof that a transform's state is all there.

use std::collections::BTreeMap;

use afferent_core::Name;
use serde::{Deserialize, Serialize};

/// What the live rows of one transform's state add up to, so that one that is lost or too old is noticed: its own
/// checksum only tells that it is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digest {
    rows: u64,
    checksums: u64,
}

impl Digest {
    /// Adds a live row, as it stands in the table.
    pub(super) fn add(&mut self, sealed: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.checksums = self.checksums.wrapping_add(checksum_of(sealed));
    }

    /// Takes a row away again.
    pub(super) fn remove(&mut self, sealed: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.checksums = self.checksums.wrapping_sub(checksum_of(sealed));
    }
}

fn checksum_of(sealed: &[u8]) -> u64 {
    sealed.first_chunk().map_or(0, |crc| u32::from_be_bytes(*crc).into())
}

/// The digests of a pipeline's state at the end of an epoch, by stage.
pub(super) type Digests = BTreeMap<Name, Digest>;
