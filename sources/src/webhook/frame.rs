//! An entry of the log: a body, and what is known of it.
//!
//! ```text
//!  0  version, 1 or 2           u8     14  hash of the content  u64
//!  1  flags: 1, it has an id    u8     22  id             16 bytes
//!  2  received, µs since 1970  i64     38  content
//! 10  records                  u32
//! ```
//!
//! Numbers are little-endian. The content is the body after decompression, which was found to be good: in the wire form an array,
//! or one record after the other. The id is a hash of what the sender sent. A body of another form has version 2 and the length
//! and the name of the form before its content, so that a version that knows only the wire form refuses it, and a pipeline whose
//! `format` was changed reads what is still in the log as what it is.

use afferent_core::{Error, Result, Timestamp};
use afferent_formats::Format;
use ring::digest::{SHA256, digest};

/// Bytes before the content.
pub(super) const HEAD: usize = 38;
/// Of bodies in the wire form.
const VERSION: u8 = 1;
/// Of bodies that say their form.
const WITH_FORMAT: u8 = 2;
const HAS_ID: u8 = 1;

/// A body's id, as it is kept: a hash, so that what a sender puts into an id is nowhere on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BodyId(pub(super) u128);

impl BodyId {
    /// The id in the header `name`.
    pub(super) fn new(name: &str, value: &str) -> BodyId {
        let mut text = name.as_bytes().to_vec();
        text.push(b'\n');
        text.extend_from_slice(value.as_bytes());
        BodyId(u128::from_le_bytes(first(&text)))
    }
}

/// A hash that tells one body from another under the same id.
pub(super) fn content_hash(content: &[u8]) -> u64 {
    u64::from_le_bytes(first(content))
}

/// The first bytes of a SHA-256.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = digest(&SHA256, bytes);
    digest.as_ref()[..N].try_into().expect("a SHA-256 has 32 bytes")
}

/// What is known of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) received: Timestamp,
    pub(super) records: u32,
    /// Of the content.
    pub(super) hash: u64,
    pub(super) id: Option<BodyId>,
    pub(super) format: Format,
}

impl Head {
    /// An entry with this head.
    pub(super) fn with(&self, content: &[u8]) -> Vec<u8> {
        let mut entry = Vec::with_capacity(HEAD + content.len());
        let is_wire = self.format == Format::Json;
        entry.push(if is_wire { VERSION } else { WITH_FORMAT });
        entry.push(if self.id.is_some() { HAS_ID } else { 0 });
        entry.extend_from_slice(&self.received.as_micros().to_le_bytes());
        entry.extend_from_slice(&self.records.to_le_bytes());
        entry.extend_from_slice(&self.hash.to_le_bytes());
        entry.extend_from_slice(&self.id.map_or(0, |id| id.0).to_le_bytes());
        debug_assert_eq!(entry.len(), HEAD, "the layout above");
        if !is_wire {
            let name = self.format.name();
            // Names of forms are words.
            entry.push(name.len() as u8);
            entry.extend_from_slice(name.as_bytes());
        }
        entry.extend_from_slice(content);
        entry
    }

    /// The head and the content of an entry.
    pub(super) fn split(entry: &[u8]) -> Result<(Head, &[u8])> {
        let version = entry.first().copied().unwrap_or(0);
        if version > WITH_FORMAT {
            return Err(Error::state(format!(
                "the webhook's log was written by a newer version of Afferent (its entries have version {version}); use that \
                 one, or a newer one"
            )));
        }
        let Some((head, content)) = entry.split_at_checked(HEAD).filter(|_| version >= VERSION) else {
            return Err(Error::state(
                "an entry of the webhook's log is no body; it was written by another program",
            ));
        };
        fn at<const N: usize>(head: &[u8], from: usize) -> [u8; N] {
            head[from..from + N].try_into().expect("the head is as long as that")
        }
        let (format, content) =
            if version == VERSION { (Format::Json, content) } else { split_format(content)? };
        let head = Head {
            format,
            received: Timestamp::from_micros_clamped(i64::from_le_bytes(at(head, 2))),
            records: u32::from_le_bytes(at(head, 10)),
            hash: u64::from_le_bytes(at(head, 14)),
            id: (head[1] & HAS_ID != 0).then(|| BodyId(u128::from_le_bytes(at(head, 22)))),
        };
        Ok((head, content))
    }
}

/// The form and what is in it.
fn split_format(content: &[u8]) -> Result<(Format, &[u8])> {
    let split = content.split_first().and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
    let (name, content) = split.ok_or_else(|| {
        Error::state("an entry of the webhook's log is cut off; it was written by another program")
    })?;
    let format = Format::ALL.iter().find(|format| format.name().as_bytes() == name);
    let format = format.ok_or_else(|| {
        Error::state(
            "an entry of the webhook's log is in a form that this version of Afferent does not know; use the one that wrote it, or \
             a newer one",
        )
    })?;
    Ok((*format, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: entries with and without an id, cut off, and of a newer version. Guarantees: G4, what is read is what was
    /// written; G5, a newer form is refused clearly.
    #[test]
    fn entries_are_read_as_they_were_written() {
        let id = BodyId::new("webhook-id", "msg_1");
        assert_ne!(id, BodyId::new("idempotency-key", "msg_1"));
        for id in [None, Some(id)] {
            let received = Timestamp::from_micros_clamped(-5);
            for format in Format::ALL {
                let head = Head { received, records: 7, hash: content_hash(b"[]"), id, format: *format };
                let entry = head.with(b"[]");
                assert_eq!(Head::split(&entry).unwrap(), (head, &b"[]"[..]));
            }
            let head = Head { received, records: 7, hash: content_hash(b"[]"), id, format: Format::Json };
            let mut entry = head.with(b"[]");
            // As it was before there were others.
            assert_eq!((entry[0], &entry[HEAD..]), (1, &b"[]"[..]));
            assert!(Head::split(&entry[..HEAD - 1]).is_err());
            assert!(Head::split(&[&[2][..], &entry[1..HEAD], &[3, b'x']].concat()).is_err());
            assert!(Head::split(&[&[2][..], &entry[1..HEAD], &[1, b'x']].concat()).is_err());
            entry[0] = 9;
            assert!(Head::split(&entry).unwrap_err().message().contains("newer"));
        }
    }
}
