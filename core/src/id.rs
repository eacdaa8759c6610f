//! [`RecordId`]: the 128-bit identity of a record.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

/// The identity of a record: HealthKit's uuid where there is one, else a uuid v5 that a replay gives again.
///
/// Its text form is the lower-case hyphenated uuid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u128);

/// Namespace of the ids that Afferent derives (uuid v5 of the DNS name `afferent.records`).
const NAMESPACE: Uuid = Uuid::from_u128(0x7e0d_45a6_4c0f_5d37_9a5e_0cb6_7f5a_e5c1);

impl RecordId {
    /// The id whose 128 bits are `value`.
    pub const fn from_u128(value: u128) -> RecordId {
        RecordId(value)
    }

    /// The 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The 16 bytes, most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads a uuid in any of its usual forms; upper case, as HealthKit prints it, too.
    pub fn parse(text: &str) -> Option<RecordId> {
        Uuid::try_parse(text).ok().map(|uuid| RecordId(uuid.as_u128()))
    }

    /// The id of a record that comes without one: uuid v5 over `parts`, each preceded by its length, so that
    /// no two different lists of parts give the same bytes.
    pub fn derive<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> RecordId {
        let mut hash = Sha1::new_with_prefix(NAMESPACE.as_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 20] = hash.finalize().into();
        let [sha1 @ .., _, _, _, _] = digest;
        RecordId(Builder::from_sha1_bytes(sha1).into_uuid().as_u128())
    }

    /// Writes the 36 characters of the text form into `buffer` and returns them.
    pub fn encode(self, buffer: &mut [u8; 36]) -> &str {
        Uuid::from_u128(self.0).hyphenated().encode_lower(buffer)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; 36]))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Uuid::from_u128(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RecordId, D::Error> {
        Uuid::deserialize(deserializer).map(|uuid| RecordId(uuid.as_u128()))
    }
}
