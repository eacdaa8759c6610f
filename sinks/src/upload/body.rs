//! Bodies as they lie in the outbox, and as they are sent.
//!
//! An entry of the outbox is, after a byte of version: the length of the head (u32, little-endian), the head, the
//! length of the index, the index, and to the end the body as it is sent. Head and index are MessagePack. The head of version 2
//! says of which types the body's records are, and its index of which each is; records of version 1 have no type here. That of
//! version 3 says what allowed them to be sent. The index, where each record lies, is only read when the receiver refuses the body,
//! when it has refused others that the body's records may supersede, or when what may be sent has changed.

use std::{io::Read, ops::Range};

use afferent_core::{Census, Change, Epoch, Error, Kind, RecordId, RecordKey, Result, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Compression, Key, MAX_BATCH_BYTES, compress, packer::MAX_RECORD_BYTES};

/// Version of an entry of the outbox.
const VERSION: u8 = 3;

/// The longest body before compression: as much as is packed, and a record that is longer.
const MAX_PLAIN_BYTES: u64 = MAX_BATCH_BYTES + MAX_RECORD_BYTES as u64;

/// What an entry takes besides its index and its body: the head, two lengths, and the frame of the log.
const OVERHEAD: usize = 128;

/// A body that is final: every attempt sends the same bytes under the same key.
#[derive(Clone, Debug)]
pub struct SealedBody {
    /// Names it, for the receiver to recognise it by.
    pub key: Key,
    /// How many records are in it.
    pub records: u32,
    /// How `content` is compressed.
    pub compression: Compression,
    /// What is sent. It holds health values: never put it into a log or an error.
    pub content: Bytes,
}

impl SealedBody {
    /// The body before compression; `None` if it can't be taken apart.
    pub(crate) fn plain(&self) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        let read = match self.compression {
            Compression::None => return Some(self.content.to_vec()),
            Compression::Gzip => {
                flate2::read::GzDecoder::new(&*self.content).take(MAX_PLAIN_BYTES).read_to_end(&mut plain)
            }
            Compression::Zstd => zstd::Decoder::new(&*self.content)
                .and_then(|decoder| decoder.take(MAX_PLAIN_BYTES).read_to_end(&mut plain)),
        };
        read.is_ok().then_some(plain)
    }
}

/// What the driver needs to know of a body without looking into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) key: Key,
    pub(super) epoch: Epoch,
    pub(super) lane: u16,
    pub(super) records: u32,
    /// It is sent when all entries before this number are settled.
    pub(super) after: u64,
    pub(super) compression: Compression,
    /// Length of the body before compression.
    pub(super) plain: u64,
    pub(super) sealed_at: Timestamp,
    /// The types of its records, and how many there are of each.
    #[serde(default)]
    pub(super) types: Vec<OfType>,
    /// The version of the permission that all its records had when it was sealed; 0 of none.
    #[serde(default)]
    pub(super) permission: u64,
}

/// So many records of a type. A type of which this process can't take in the name is none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OfType {
    #[serde(deserialize_with = "known_kind")]
    pub(super) kind: Option<Kind>,
    pub(super) records: u32,
}

fn known_kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Kind>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| Kind::from_data(&name).ok()))
}

impl Head {
    /// The type of the record that lies at `place`.
    fn kind(&self, place: &Place) -> Option<Kind> {
        self.types.get(usize::from(place.of_type))?.kind
    }

    /// The records by type.
    pub(super) fn census(&self) -> Census {
        let mut census: Census =
            self.types.iter().map(|of_type| (of_type.kind, u64::from(of_type.records))).collect();
        census.fill(u64::from(self.records));
        census
    }
}

/// Where a record lies in the uncompressed body, and which it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) id: RecordId,
    pub(super) change: Change,
    pub(super) revision: u32,
    /// Its place among the types of the head.
    #[serde(default)]
    pub(super) of_type: u16,
    /// The record in MessagePack, where nothing reads it back from the body: what is refused must be a record, to be put in
    /// again. Empty otherwise.
    #[serde(default, with = "copied", skip_serializing_if = "Vec::is_empty")]
    pub(super) copy: Vec<u8>,
}

/// Bytes as MessagePack's bytes, not as an array of numbers.
mod copied {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;

        impl de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

impl Place {
    /// What the record is known by.
    pub(super) fn key(&self) -> RecordKey {
        RecordKey { id: self.id, change: self.change, revision: self.revision }
    }
}

/// An entry of the outbox.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) head: Head,
    index: Bytes,
    content: Bytes,
}

impl Entry {
    pub(super) fn new(head: Head, places: &[Place], content: Vec<u8>) -> Result<Entry> {
        Ok(Entry { head, index: pack(&places)?.into(), content: content.into() })
    }

    /// Replaces `out` by the entry's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.push(VERSION);
        for part in [&pack(&self.head)?[..], &self.index] {
            let length = u32::try_from(part.len()).map_err(|_| Error::bug("a body has too many records"))?;
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&self.content);
        Ok(())
    }

    /// Reads what [`encode`](Entry::encode) wrote.
    ///
    /// # Errors
    /// `State` when a newer program wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Entry> {
        let Some((&version, rest)) = bytes.split_first() else { return Err(damaged()) };
        if version == 0 || version > VERSION {
            return Err(Error::state(format!(
                "a body in the outbox has version {version}, this program reads 1 to {VERSION}; use the program that wrote it, or a newer one"
            )));
        }
        let (head, rest) = split(rest)?;
        let (index, content) = split(rest)?;
        let head = rmp_serde::from_slice(head).map_err(|_| damaged())?;
        Ok(Entry { head, index: Bytes::copy_from_slice(index), content: Bytes::copy_from_slice(content) })
    }

    /// The whole body, to be sent.
    pub(super) fn body(&self) -> SealedBody {
        let Head { key, records, compression, .. } = self.head;
        SealedBody { key, records, compression, content: self.content.clone() }
    }

    /// The records of `range` by type; to tell them in a part of the body, its index is read.
    pub(super) fn census(&self, range: Range<u32>) -> Result<Census> {
        if range == (0..self.head.records) {
            return Ok(self.head.census());
        }
        let places: Vec<Place> = rmp_serde::from_slice(&self.index).map_err(|_| damaged())?;
        let places = places.get(range.start as usize..range.end as usize).ok_or_else(damaged)?;
        Ok(places.iter().map(|place| (self.head.kind(place), 1)).collect())
    }

    /// The records of `range` that may supersede others.
    pub(super) fn superseding(&self, range: Range<u32>) -> Result<Vec<RecordKey>> {
        let places: Vec<Place> = rmp_serde::from_slice(&self.index).map_err(|_| damaged())?;
        let places = places.get(range.start as usize..range.end as usize).ok_or_else(damaged)?;
        Ok(places.iter().map(Place::key).filter(|key| key.is_superseding()).collect())
    }

    /// About how many bytes it takes, on disk as in memory, which is what bounds count. The index is not small beside a
    /// body that was compressed.
    pub(super) fn bytes(&self) -> u64 {
        (OVERHEAD + self.index.len() + self.content.len()) as u64
    }

    /// The type of the record that lies at `place`.
    pub(super) fn kind(&self, place: &Place) -> Option<Kind> {
        self.head.kind(place)
    }

    /// Takes it apart; it may take a while.
    pub(super) fn unpack(&self) -> Result<Unpacked> {
        let length = usize::try_from(self.head.plain).map_err(|_| damaged())?;
        let plain = match self.head.compression {
            Compression::None => self.content.clone(),
            compression => compress::unpack(compression, &self.content, length)?.into(),
        };
        let places: Vec<Place> = rmp_serde::from_slice(&self.index).map_err(|_| damaged())?;
        let fits = |place: &Place| (place.offset as usize + place.length as usize) <= plain.len();
        if plain.len() != length || places.len() != self.head.records as usize || !places.iter().all(fits) {
            return Err(damaged());
        }
        Ok(Unpacked { plain, places })
    }
}

/// A body taken apart, to send parts of it.
#[derive(Clone, Debug)]
pub(super) struct Unpacked {
    plain: Bytes,
    pub(super) places: Vec<Place>,
}

impl Unpacked {
    /// A body of the records `range`: what stands before the first record of the whole and behind its last stands
    /// around them, too. It is not compressed: it must be the same bytes whichever version of a compressor made it.
    pub(super) fn part(&self, range: Range<u32>) -> Bytes {
        let (first, last) = (self.places.first(), self.places.last());
        let (Some(first), Some(last)) = (first, last) else { return Bytes::new() };
        let from = &self.places[range.start as usize];
        let to = &self.places[range.end as usize - 1];
        let mut part = Vec::new();
        part.extend_from_slice(&self.plain[..first.offset as usize]);
        part.extend_from_slice(&self.plain[from.offset as usize..(to.offset + to.length) as usize]);
        part.extend_from_slice(&self.plain[(last.offset + last.length) as usize..]);
        part.into()
    }

    /// The bytes of one record.
    pub(super) fn record(&self, index: u32) -> &[u8] {
        let place = &self.places[index as usize];
        &self.plain[place.offset as usize..(place.offset + place.length) as usize]
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)
}

fn pack(value: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec(value).map_err(|_| Error::bug("a body's head can't be written as MessagePack"))
}

/// The log's checksum was right, so this is no damage of the disk.
fn damaged() -> Error {
    Error::state("a body in the outbox can't be read; it was written by another program")
}
