//! [`Key`]: what names a body for ever.

use std::{fmt, ops::Range};

use afferent_core::{Epoch, Incarnation, Name};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// The `Idempotency-Key` of a body: 128 bits that it never shares with another body. Its text form is hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key([u8; 16]);

/// Where a body was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth<'a> {
    pub(super) incarnation: Incarnation,
    pub(super) sink: &'a Name,
    pub(super) epoch: Epoch,
    pub(super) lane: u16,
    /// Counts the bodies of a lane in an epoch.
    pub(super) ordinal: u32,
}

impl Key {
    /// The key of a body.
    pub(super) fn of_body(birth: Birth<'_>, body: &[u8]) -> Key {
        let mut hash = Context::new(&SHA256);
        hash.update(&birth.incarnation.to_bytes());
        // Preceded by its length, so that no two births give the same bytes.
        hash.update(&(birth.sink.len() as u64).to_be_bytes());
        hash.update(birth.sink.as_bytes());
        hash.update(&birth.epoch.0.to_be_bytes());
        hash.update(&birth.lane.to_be_bytes());
        hash.update(&birth.ordinal.to_be_bytes());
        hash.update(body);
        Key::finish(hash)
    }

    /// The key of the records `range` of the body that has this key.
    pub(super) fn of_part(self, range: Range<u32>, body: &[u8]) -> Key {
        let mut hash = Context::new(&SHA256);
        hash.update(&self.0);
        hash.update(&range.start.to_be_bytes());
        hash.update(&range.end.to_be_bytes());
        hash.update(body);
        Key::finish(hash)
    }

    fn finish(hash: Context) -> Key {
        let digest = hash.finish();
        Key(*digest.as_ref().first_chunk().expect("SHA-256 gives 32 bytes"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: bodies that differ in one thing only, and a key that was computed with another program
    /// (Python's hashlib). Guarantees: G2, no key names two bodies, and a key never changes with the program.
    #[test]
    fn each_body_has_a_key_of_its_own() {
        let (http, other) = (Name::from("http"), Name::from("http-2"));
        let birth = |sink, incarnation, epoch, lane, ordinal| Birth {
            incarnation: Incarnation::from_u128(incarnation),
            sink,
            epoch: Epoch(epoch),
            lane,
            ordinal,
        };
        let key = |birth, body: &str| Key::of_body(birth, body.as_bytes());
        let first = key(birth(&http, 1, 2, 3, 4), "[]");
        assert_eq!(first.to_string(), "2eb6a247ba24ce11e274b952e64c770d");
        let mut keys = vec![
            first,
            key(birth(&other, 1, 2, 3, 4), "[]"),
            key(birth(&http, 2, 2, 3, 4), "[]"),
            key(birth(&http, 1, 3, 3, 4), "[]"),
            key(birth(&http, 1, 2, 4, 4), "[]"),
            key(birth(&http, 1, 2, 3, 5), "[]"),
            key(birth(&http, 1, 2, 3, 4), "[1]"),
            first.of_part(0..1, b"[]"),
            first.of_part(1..2, b"[]"),
            first.of_part(0..1, b"[1]"),
        ];
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 10);
    }
}
