//! Rejects and dead letters: one bad record never fails a batch.
//!
//! A stage rejects what it can't process; the engine turns each [`Reject`] into a [`DeadLetter`] that is
//! saved in the same transaction as the checkpoint of its epoch. A rejected item counts as read and dead.

use serde::{Deserialize, Serialize};

use crate::{Epoch, Incarnation, Name, Record, Timestamp};

/// Longest payload that is kept whole. A longer one is kept as its first [`HEAD_BYTES`], its length, its
/// hash and its location, so that a 100 MB line does not fill the store.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// How much of a payload that is too long is kept.
pub const HEAD_BYTES: usize = 4096;

/// What was rejected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// A record, in MessagePack.
    Record(#[serde(with = "bytes")] Vec<u8>),
    /// Bytes of the input, as they came.
    Raw(#[serde(with = "bytes")] Vec<u8>),
    /// The head of an input that was too long to keep.
    Head {
        /// Its first bytes.
        #[serde(with = "bytes")]
        head: Vec<u8>,
        /// How long it was, in bytes.
        length: u64,
        /// CRC-32C of the bytes that were seen.
        crc: u32,
    },
}

impl Payload {
    /// The record, if it is one and can be read.
    pub fn to_record(&self) -> Option<Record> {
        match self {
            Payload::Record(bytes) => rmp_serde::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

/// An item that a stage can't process.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The item.
    pub payload: Payload,
    /// Its record id, if it is known.
    pub key: Option<String>,
    /// What was expected and what was found, without any health value.
    pub reason: String,
    /// Where it stood: `file:line`, `name.zip!export.xml:offset`.
    pub location: String,
}

/// The rejects of a call.
pub type Rejects = Vec<Reject>;

impl Reject {
    /// Rejects bytes of the input; too long ones are cut to their head.
    pub fn raw(bytes: &[u8], reason: impl Into<String>, location: impl Into<String>) -> Reject {
        let payload = if bytes.len() > MAX_PAYLOAD_BYTES {
            Payload::Head {
                head: bytes[..HEAD_BYTES].to_vec(),
                length: bytes.len() as u64,
                crc: crc32c::crc32c(bytes),
            }
        } else {
            Payload::Raw(bytes.to_vec())
        };
        Reject { payload, key: None, reason: reason.into(), location: location.into() }
    }

    /// Rejects the input between `head` and `length` bytes later, which was never wholly in memory.
    pub fn too_long(
        head: &[u8],
        length: u64,
        crc: u32,
        reason: impl Into<String>,
        location: impl Into<String>,
    ) -> Reject {
        let head = head[..head.len().min(HEAD_BYTES)].to_vec();
        Reject {
            payload: Payload::Head { head, length, crc },
            key: None,
            reason: reason.into(),
            location: location.into(),
        }
    }

    /// Rejects a record.
    pub fn record(record: &Record, reason: impl Into<String>) -> Reject {
        let payload = match rmp_serde::to_vec(record) {
            Ok(bytes) => Payload::Record(bytes),
            // A record is plain data; if it can't be written, what is known of it is its id.
            Err(_) => Payload::Raw(Vec::new()),
        };
        Reject { payload, key: Some(record.id.to_string()), reason: reason.into(), location: String::new() }
    }

    /// How many bytes of payload are kept.
    pub fn bytes(&self) -> usize {
        match &self.payload {
            Payload::Record(bytes) | Payload::Raw(bytes) => bytes.len(),
            Payload::Head { head, .. } => head.len(),
        }
    }
}

/// A rejected item as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The stage that rejected it.
    pub stage: Name,
    /// The item.
    pub payload: Payload,
    /// Its record id, if it is known.
    pub key: Option<String>,
    /// What was expected and what was found.
    pub reason: String,
    /// Where it stood.
    pub location: String,
    /// When it was rejected.
    pub time: Timestamp,
    /// The history it belongs to.
    pub incarnation: Incarnation,
    /// The epoch it belongs to.
    pub epoch: Epoch,
}

mod bytes {
    //! Byte strings as MessagePack `bin`, not as arrays of numbers.
    use serde::{Deserializer, Serializer, de::Visitor};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
