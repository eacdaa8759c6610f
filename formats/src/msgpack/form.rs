//! `format = "msgpack"`: the wire form as MessagePack, in files and bodies of other programs.
//!
//! A record is a map with the keys of the [wire form](crate::wire), and everything said there holds. A file or body is one
//! record after the other, or arrays of them. Records are found by their structure: a record that is none, in a map that is
//! whole, is a reject of its own; where the bytes are no MessagePack nothing behind them can be found, and the rest is one
//! reject.
//!
//! | MessagePack | is |
//! |---|---|
//! | nil, truth values, whole numbers, doubles, texts, arrays, maps with texts as keys | what JSON has |
//! | a float of 32 bits | the double of the same value |
//! | a timestamp (extension −1) | the text of its instant |
//! | bytes, other extensions, numbers that are not finite, other keys | nothing: a reject |
//!
//! What is written is of the first row: whole numbers in as few bytes as they take, all others as doubles, times as texts. A record
//! with JSON whose numbers have more digits than a double, or whose arrays and objects lie in one another too deeply, is refused.

use std::fmt;

use afferent_core::{Batch, Record, Reject, Rejects, Timestamp};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use crate::{
    Decoder, DecoderOptions, Location,
    wire::{Refused, WireDecoder, write_number, write_text},
};

#[cfg(test)]
mod tests;

/// Longest record, as [`MAX_PART_BYTES`](crate::document::MAX_PART_BYTES).
const MAX_RECORD_BYTES: usize = crate::document::MAX_PART_BYTES;

/// How deep arrays and maps may lie in one another: as in JSON.
pub(super) const MAX_DEPTH: usize = 128;

/// Reads records from MessagePack, in pieces of any length.
#[derive(Debug)]
pub(crate) struct MsgpackDecoder {
    wire: WireDecoder,
    /// What has no end yet.
    kept: Vec<u8>,
    /// Elements of an array that are still to come.
    elements: u64,
    /// Nothing behind this can be found.
    is_broken: bool,
    /// The record as JSON.
    json: Vec<u8>,
    /// How many records came.
    count: u64,
}

impl MsgpackDecoder {
    pub(crate) fn new(options: DecoderOptions) -> MsgpackDecoder {
        MsgpackDecoder {
            wire: WireDecoder::new(options),
            kept: Vec::new(),
            elements: 0,
            is_broken: false,
            json: Vec::new(),
            count: 0,
        }
    }

    /// Reads all that is whole in `bytes`; how many bytes that were.
    fn read(&mut self, bytes: &[u8], name: &str, out: &mut Batch<Record>, rejects: &mut Rejects) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_broken {
            let rest = &bytes[at..];
            if self.elements == 0
                && let Some((count, length)) = array_header(rest)
            {
                let Some(count) = count else { break };
                self.elements = count;
                at += length;
                continue;
            }
            match extent(rest) {
                Ok(length) => {
                    self.elements = self.elements.saturating_sub(1);
                    self.count += 1;
                    if let Err(reject) = self.record(&rest[..length], name, out) {
                        rejects.push(*reject);
                    }
                    at += length;
                }
                Err(Stop::Short) => break,
                Err(Stop::Broken) => self.is_broken = true,
            }
        }
        if self.is_broken && at < bytes.len() {
            self.count += 1;
            let reason = "expected MessagePack, found other bytes; nothing behind them can be read";
            rejects.push(Reject::raw(&bytes[at..], reason, self.location(name)));
            at = bytes.len();
        }
        at
    }

    fn record(&mut self, bytes: &[u8], name: &str, out: &mut Batch<Record>) -> Result<(), Box<Reject>> {
        let reject = |reason: String, location: String| Box::new(Reject::raw(bytes, reason, location));
        self.json.clear();
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        deserializer.set_max_depth(MAX_DEPTH);
        // What rmp_serde says may hold a value; what we say does not.
        let written = ToJson(&mut self.json).deserialize(&mut deserializer).map_err(|error| match error {
            rmp_serde::decode::Error::Uncategorized(ours) => ours,
            rmp_serde::decode::Error::DepthLimitExceeded => {
                "arrays and maps lie in one another too deeply".to_owned()
            }
            _ => "expected what JSON can say, found another value".to_owned(),
        });
        written.map_err(|reason| reject(reason, self.location(name)))?;
        let json = std::str::from_utf8(&self.json)
            .map_err(|_| reject("expected UTF-8".to_owned(), self.location(name)))?;
        match self.wire.decode_record(json) {
            Ok(record) => {
                out.push(record);
                Ok(())
            }
            Err(Refused { id, reason, .. }) => {
                let mut reject = reject(reason, self.location(name));
                reject.key = id.map(|id| id.to_string());
                Err(reject)
            }
        }
    }

    fn location(&self, name: &str) -> String {
        format!("{name}:record {}", self.count)
    }
}

impl Decoder for MsgpackDecoder {
    fn decode(&mut self, bytes: &[u8], at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        if self.is_broken {
            // It was said.
            return;
        }
        let mut kept = std::mem::take(&mut self.kept);
        if kept.is_empty() {
            let done = self.read(bytes, at.name, out, rejects);
            kept.extend_from_slice(&bytes[done..]);
        } else {
            kept.extend_from_slice(bytes);
            let done = self.read(&kept, at.name, out, rejects);
            if done == 0 && kept.len() > MAX_RECORD_BYTES {
                self.count += 1;
                let reason = format!(
                    "expected a record of at most {} MiB, found a longer one",
                    MAX_RECORD_BYTES >> 20
                );
                rejects.push(Reject::raw(&kept, reason, self.location(at.name)));
                (self.is_broken, kept) = (true, Vec::new());
            }
            kept.drain(..done.min(kept.len()));
        }
        self.kept = kept;
    }

    fn finish(&mut self, at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        let kept = std::mem::take(&mut self.kept);
        let done = self.read(&kept, at.name, out, rejects);
        if done < kept.len() || (self.elements > 0 && !self.is_broken) {
            self.count += 1;
            let reason = "expected more: the file or body ends in the middle of a record or an array";
            rejects.push(Reject::raw(&kept[done..], reason, self.location(at.name)));
        }
        (self.elements, self.is_broken, self.count) = (0, false, 0);
    }
}

/// Whether `bytes` are MessagePack to their end: values one after the other.
pub fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        match extent(&bytes[at..]) {
            Ok(length) => at += length,
            Err(Stop::Short | Stop::Broken) => return false,
        }
    }
    true
}

/// Why a value has no end.
enum Stop {
    /// It is not here yet.
    Short,
    /// No value begins so.
    Broken,
}

/// The count of the array that begins here, if it is whole, and how long its header is; `None` if it is no array.
fn array_header(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    match bytes[0] {
        marker @ 0x90..=0x9f => Some((Some(u64::from(marker & 0x0f)), 1)),
        0xdc => Some((number(bytes, 1, 2), 3)),
        0xdd => Some((number(bytes, 1, 4), 5)),
        _ => None,
    }
}

/// A whole number of `length` bytes.
fn number(bytes: &[u8], from: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(from..from + length)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// How long the value that begins here is. Nothing recurses: values that are still to come are counted.
fn extent(bytes: &[u8]) -> Result<usize, Stop> {
    let (mut at, mut to_come) = (0_usize, 1_u64);
    while to_come > 0 {
        to_come -= 1;
        let marker = *bytes.get(at).ok_or(Stop::Short)?;
        let counted = |length: usize| number(bytes, at + 1, length).ok_or(Stop::Short);
        // How long the marker and what is in place is, and how many values follow.
        let (length, values) = match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (1, 0),
            0x80..=0x8f => (1, 2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => (1, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (1 + u64::from(marker & 0x1f), 0),
            0xc1 => return Err(Stop::Broken),
            0xc4 | 0xd9 => (2 + counted(1)?, 0),
            0xc5 | 0xda => (3 + counted(2)?, 0),
            0xc6 | 0xdb => (5 + counted(4)?, 0),
            0xc7 => (3 + counted(1)?, 0),
            0xc8 => (4 + counted(2)?, 0),
            0xc9 => (6 + counted(4)?, 0),
            0xcc | 0xd0 => (2, 0),
            0xcd | 0xd1 => (3, 0),
            0xca | 0xce | 0xd2 => (5, 0),
            0xcb | 0xcf | 0xd3 => (9, 0),
            0xd4..=0xd8 => (2 + (1 << (marker - 0xd4)), 0),
            0xdc => (3, counted(2)?),
            0xdd => (5, counted(4)?),
            0xde => (3, 2 * counted(2)?),
            0xdf => (5, 2 * counted(4)?),
        };
        at += usize::try_from(length).map_err(|_| Stop::Short)?;
        to_come += values;
        // Each value takes a byte at least.
        if at as u64 + to_come > bytes.len() as u64 {
            return Err(Stop::Short);
        }
    }
    Ok(at)
}

/// Writes a value as JSON.
struct ToJson<'o>(&'o mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for ToJson<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ToJson<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON can say")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        write_number(value, self.0).map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        write_text(text, self.0);
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // An extension: its number and its bytes.
        let (tag, Bytes(bytes)): (i8, Bytes) = Deserialize::deserialize(deserializer)?;
        let text = timestamp(tag, &bytes)
            .ok_or_else(|| D::Error::custom("expected what JSON can say, found an extension"))?;
        write_text(&text.to_string(), self.0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        let begin = self.0.len();
        loop {
            let before = self.0.len();
            if before > begin {
                self.0.push(b',');
            }
            if seq.next_element_seed(ToJson(self.0))?.is_none() {
                self.0.truncate(before);
                self.0.push(b']');
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push(b'{');
        let begin = self.0.len();
        loop {
            let before = self.0.len();
            if before > begin {
                self.0.push(b',');
            }
            if map.next_key_seed(Key(self.0))?.is_none() {
                self.0.truncate(before);
                self.0.push(b'}');
                return Ok(());
            }
            self.0.push(b':');
            map.next_value_seed(ToJson(self.0))?;
        }
    }
}

/// The bytes of an extension.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Copied;
        impl Visitor<'_> for Copied {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Copied)
    }
}

/// Writes the key of a map, which has to be a text.
struct Key<'o>(&'o mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        write_text(text, self.0);
        Ok(())
    }
}

/// The instant of a timestamp (MessagePack specification, "Timestamp extension type").
fn timestamp(tag: i8, bytes: &[u8]) -> Option<Timestamp> {
    let (seconds, nanos) = match (tag, bytes.len()) {
        (-1, 4) => (i64::try_from(number(bytes, 0, 4)?).ok()?, 0),
        (-1, 8) => {
            let both = number(bytes, 0, 8)?;
            ((both & 0x3_ffff_ffff) as i64, both >> 34)
        }
        (-1, 12) => (number(bytes, 4, 8)? as i64, number(bytes, 0, 4)?),
        _ => return None,
    };
    // Fewer than 10⁹ are allowed; more would be another second.
    let micros = i64::try_from(nanos / 1_000).ok().filter(|micros| *micros < 1_000_000)?;
    Timestamp::from_micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?)
}
