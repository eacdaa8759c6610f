//! The form of an entry: version, bytes before it, what the sink gave.

use crate::{Error, Result};

/// `1 entry`, `12 entries`.
pub(super) fn counted(entries: u64) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}

const VERSION: u8 = 1;
/// Bytes that an entry has beside what the sink gave.
pub(super) const HEADER_LEN: usize = 9;

/// Writes an entry into `out`, which is cleared; `before` are the bytes of all entries before it.
pub(super) fn encode(before: u64, payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(VERSION);
    out.extend_from_slice(&before.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The bytes before an entry, and what the sink gave.
///
/// # Errors
/// `State` when a newer version wrote it, or when it is none.
pub(super) fn decode(entry: &[u8]) -> Result<(u64, &[u8])> {
    let Some((header, payload)) = entry.split_first_chunk::<HEADER_LEN>() else {
        return Err(Error::state("an entry of a queue is cut short"));
    };
    let (version, before) = (header[0], &header[1..]);
    if version != VERSION {
        return Err(Error::state(format!(
            "an entry of a queue has version {version}, this program reads {VERSION}; use the program that wrote it, or a newer one"
        )));
    }
    let before = before.first_chunk().copied().expect("a header has eight bytes behind its version");
    Ok((u64::from_le_bytes(before), payload))
}
