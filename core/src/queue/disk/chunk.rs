//! Reading and decoding entries, in jobs.

use std::{sync::Arc, vec};

use super::{
    Decode, entry,
    log::{Log, Reader, Release},
};
use crate::{
    Batch, Result,
    random::Random,
    segment_log::{Damage, LogPosition},
};

/// The records of one entry that were not given yet.
#[derive(Debug)]
pub(super) struct Piece<T> {
    /// The entry.
    pub(super) place: LogPosition,
    /// The next one.
    pub(super) after: LogPosition,
    /// Bytes of the entries before it, and its own.
    pub(super) before: u64,
    pub(super) bytes: u64,
    /// What its records that were not given count in a batch.
    pub(super) weight: u64,
    pub(super) records: vec::IntoIter<T>,
}

/// What a job has read.
#[derive(Debug)]
pub(super) struct Chunk<T> {
    /// For the next job; none when the log is not there, or when this is stale.
    pub(super) reader: Option<Reader>,
    /// The log was opened anew meanwhile: what was read may have been cut, and nothing of it is here.
    pub(super) stale: bool,
    /// Where the oldest entry was, if a reader was made.
    pub(super) first: Option<LogPosition>,
    pub(super) pieces: Vec<Piece<T>>,
    pub(super) damage: Option<Damage>,
}

/// Reads what comes next in `log`, before the end of `release`: with `reader`, or from `from`, or from the oldest entry on.
pub(super) fn read<T>(
    log: &Arc<Log>,
    reader: Option<Reader>,
    from: Option<LogPosition>,
    release: &Release,
    decode: Decode<T>,
    random: &mut Random,
) -> Result<Chunk<T>> {
    let mut chunk = Chunk { reader: None, stale: false, first: None, pieces: Vec::new(), damage: None };
    let reader = match reader {
        Some(reader) => Some(reader),
        None => log.reader(release, from, random)?.map(|(reader, first)| {
            chunk.first = Some(first);
            reader
        }),
    };
    let Some(mut reader) = reader else { return Ok(chunk) };
    reader.reader.read(release.end, &mut reader.entries)?;
    if log.seen().opening != reader.opening {
        return Ok(Chunk { stale: true, ..chunk });
    }
    for entry in reader.entries.iter() {
        let (before, payload) = entry::decode(entry.payload)?;
        let mut records = Batch::new();
        decode(payload, &mut records)?;
        chunk.pieces.push(Piece {
            place: entry.position,
            after: entry.after,
            before,
            bytes: entry.payload.len() as u64,
            weight: entry.payload.len() as u64,
            records: records.into_vec().into_iter(),
        });
    }
    chunk.damage = reader.entries.damage().cloned();
    chunk.reader = Some(reader);
    Ok(chunk)
}
