//! Rejects and dead letters: one bad record never fails a batch.
//!
//! A stage rejects what it can't process; the engine turns each [`Reject`] into a [`DeadLetter`] that is
//! saved in the same transaction as the checkpoint of its epoch. A rejected item counts as read and dead.
//!
//! What becomes of a dead letter is its [`Fate`]. A deletion or a higher revision that passes withdraws it; put in
//! again, it is settled by the checkpoint of the epoch that takes it. Each letter has one keeper, which alone decides
//! that: the uploading sink whose receiver refused it, otherwise the engine.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Change, Epoch, Incarnation, Kind, Name, Record, RecordId, RecordKey, Timestamp};

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
    /// What is kept.
    pub fn bytes(&self) -> &[u8] {
        let (Payload::Record(bytes) | Payload::Raw(bytes) | Payload::Head { head: bytes, .. }) = self;
        bytes
    }

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
    /// Its type, if it is known.
    pub kind: Option<Kind>,
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
        Reject { payload, key: None, reason: reason.into(), location: location.into(), kind: None }
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
            kind: None,
        }
    }

    /// Rejects a record.
    pub fn record(record: &Record, reason: impl Into<String>) -> Reject {
        let payload = match rmp_serde::to_vec(record) {
            Ok(bytes) => Payload::Record(bytes),
            // A record is plain data; if it can't be written, what is known of it is its id.
            Err(_) => Payload::Raw(Vec::new()),
        };
        Reject {
            payload,
            key: Some(record.id.to_string()),
            reason: reason.into(),
            location: String::new(),
            kind: record.kind,
        }
    }

    /// How many bytes of payload are kept.
    pub fn bytes(&self) -> usize {
        self.payload.bytes().len()
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
    /// What kind of stage rejected it: stages of different kinds may have the same name. `None` in letters of
    /// versions that did not know.
    #[serde(default)]
    pub by: Option<RejectedBy>,
    /// What became of it.
    #[serde(default)]
    pub fate: Fate,
    /// Its type, if it is known; see [`kind`](DeadLetter::kind).
    #[serde(default, deserialize_with = "known_kind")]
    pub kind: Option<Kind>,
}

/// What kind of stage rejected an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectedBy {
    /// A source, which could not read it.
    Source,
    /// A transform.
    Transform,
    /// A sink, which can't store it.
    Sink,
    /// The receiver of an uploading sink, which refused it after its epoch.
    Receiver,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It is dead.
    #[default]
    Dead,
    /// A deletion or a higher revision of its record passed in this epoch: it counts as superseded, and is kept to be
    /// looked at.
    Withdrawn(Epoch),
    /// It was put in again in this epoch. It is kept, hidden, for as long as a checkpoint of before is.
    Retried(Epoch),
}

impl Fate {
    /// When it was decided.
    pub fn epoch(self) -> Option<Epoch> {
        match self {
            Fate::Dead => None,
            Fate::Withdrawn(epoch) | Fate::Retried(epoch) => Some(epoch),
        }
    }
}

/// A type of which this process can't take in the name is not known: the letter is read all the same.
fn known_kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Kind>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| Kind::from_data(&name).ok()))
}

impl DeadLetter {
    /// Its type, as far as that is known: letters of versions that did not keep it may hold a record that has one.
    pub fn kind(&self) -> Option<Kind> {
        self.kind.or_else(|| self.payload.to_record()?.kind)
    }

    /// Which record it is, as far as that is known. What could not be read but for its id counts as its newest revision,
    /// so that only a deletion withdraws it.
    pub fn record_key(&self) -> Option<RecordKey> {
        if let Some(record) = self.payload.to_record() {
            return Some(record.key());
        }
        let id = RecordId::parse(self.key.as_deref()?)?;
        Some(RecordKey { id, change: Change::Added, revision: u32::MAX })
    }

    /// Whether `keeper` decides what becomes of it.
    pub fn is_kept_by(&self, keeper: &LetterKeeper) -> bool {
        match (keeper, self.by) {
            (LetterKeeper::Engine, by) => by != Some(RejectedBy::Receiver),
            (LetterKeeper::Receiver(sink), by) => by == Some(RejectedBy::Receiver) && self.stage == *sink,
        }
    }

    /// Whether it is dead, `keeper` decides what becomes of it, and one of `passed`, which are sorted, withdraws it.
    pub fn is_withdrawn_by(&self, passed: &[RecordKey], keeper: &LetterKeeper) -> bool {
        self.fate == Fate::Dead
            && self.is_kept_by(keeper)
            && self.record_key().is_some_and(|key| {
                let from = passed.partition_point(|passed| passed.id < key.id);
                let same = passed[from..].iter().take_while(|passed| passed.id == key.id);
                same.into_iter().any(|passed| passed.supersedes(key))
            })
    }
}

/// Who decides what becomes of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterKeeper {
    /// The engine, in saves.
    Engine,
    /// This uploading sink, in its acknowledgements: what its receiver refused.
    Receiver(Name),
}

/// Which dead letter of a pipeline: the epoch it belongs to and its number in that. Written `12.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LetterId {
    /// The epoch.
    pub epoch: Epoch,
    /// Its number among those of the epoch.
    pub number: u64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<LetterId, String> {
        let parts = text.split_once('.').and_then(|(epoch, number)| {
            Some(LetterId { epoch: Epoch(epoch.parse().ok()?), number: number.parse().ok()? })
        });
        parts.ok_or_else(|| "expected an id as `dlq ls` shows it, such as 12.3".to_owned())
    }
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
