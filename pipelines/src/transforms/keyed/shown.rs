//! [`Shown`]: what was given out under an id.

use afferent_core::Value;
use xxhash_rust::xxh3::Xxh3;

use super::row::{Get, Put, Row};

/// What was given out as the result of one place: of a window, of a bucket, of a piece of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// How often a result of this place was withdrawn: part of the id.
    pub(crate) life: u32,
    /// The revision that went out last.
    pub(crate) revision: u32,
    /// Whether one is there now.
    pub(crate) live: bool,
    /// A digest of what went out last.
    pub(crate) digest: u64,
}

impl Shown {
    /// Takes note of contents that are to go out; their revision, if they have to.
    pub(crate) fn show(&mut self, digest: u64) -> Option<u32> {
        if self.live && self.digest == digest {
            return None;
        }
        self.revision = if self.live { self.revision + 1 } else { 0 };
        (self.live, self.digest) = (true, digest);
        Some(self.revision)
    }

    /// Takes note that it is withdrawn; the life and the revision of the deletion, if there was anything.
    pub(crate) fn withdraw(&mut self) -> Option<(u32, u32)> {
        if !self.live {
            return None;
        }
        let gone = (self.life, self.revision);
        *self = Shown { life: self.life + 1, revision: 0, live: false, digest: 0 };
        Some(gone)
    }
}

impl Row for Shown {
    fn put(&self, to: &mut Put<'_>) {
        to.u32(self.life);
        to.u32(self.revision);
        to.u8(u8::from(self.live));
        to.u64(self.digest);
    }

    fn get(from: &mut Get<'_>) -> Option<Shown> {
        Some(Shown { life: from.u32()?, revision: from.u32()?, live: from.u8()? != 0, digest: from.u64()? })
    }
}

/// A digest of a result's contents. That two of them have one of 2^64 is not to be expected; the next change would mend it.
pub(crate) fn digest(start: i64, end: i64, value: &Value) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&start.to_be_bytes());
    hash.update(&end.to_be_bytes());
    match value {
        Value::Quantity(number, _) => hash.update(&number.to_bits().to_be_bytes()),
        Value::Category(number) => hash.update(&number.to_be_bytes()),
        Value::Aggregate(aggregate) => {
            for (name, number) in &aggregate.results {
                hash.update(&(name.len() as u64).to_be_bytes());
                hash.update(name.as_bytes());
                hash.update(&number.to_bits().to_be_bytes());
            }
        }
        // Nothing else is derived.
        _ => {}
    }
    hash.digest()
}
