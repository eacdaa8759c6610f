//! A window on a file: reads in chunks, looks at frames.

use std::{io, ops::RangeInclusive, sync::Arc};

use super::layout::{FRAME_LEN, Frame, Seed, number_of};
use crate::disk::DiskFile;

/// How much is read at once: enough that a call costs little per byte, little enough for many readers.
pub(super) const CHUNK: usize = 64 << 10;

/// Part of a file in memory.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    /// Nothing from here on is looked at.
    end: u64,
    /// Where `bytes` begin in the file.
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// On the first `end` bytes of `file`; `buffer` is used again.
    pub(super) fn new(file: Arc<dyn DiskFile>, end: u64, mut buffer: Vec<u8>) -> Window {
        buffer.clear();
        Window { file, end, start: 0, bytes: buffer }
    }

    /// What is in memory.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Where what is looked at of the file ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where `offset`, which is in memory, is there.
    pub(super) fn index(&self, offset: u64) -> usize {
        (offset - self.start) as usize
    }

    /// The bytes from `offset` on that are in memory.
    pub(super) fn buffered(&self, offset: u64) -> &[u8] {
        let skip = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default()
    }

    /// The bytes from `offset` on: at least `len`, unless the end comes first.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        if self.buffered(offset).len() < len.min(left) {
            self.start = offset;
            self.bytes.resize(len.max(CHUNK).min(left), 0);
            let read = self.file.read_at(offset, &mut self.bytes);
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            if read? < len.max(CHUNK).min(left) {
                self.end = offset + self.bytes.len() as u64;
            }
        }
        Ok(self.buffered(offset))
    }

    /// The frame at `offset`: whole or invalid.
    pub(super) fn frame(&mut self, offset: u64, seed: Seed) -> io::Result<Frame> {
        let mut needed = FRAME_LEN;
        loop {
            let bytes = self.at(offset, needed)?;
            match Frame::decode(bytes, seed) {
                Frame::Short(more) if more > needed && bytes.len() >= needed => needed = more,
                Frame::Short(_) => return Ok(Frame::Invalid),
                frame => return Ok(frame),
            }
        }
    }

    /// The first valid frame at `from` or after, whose number is one of `numbers`: its offset and number.
    ///
    /// It takes linear time, whatever is in the bytes: payloads are looked at only behind a valid head, and nobody
    /// outside can make one, because its checksum begins with the log's id.
    pub(super) fn find(
        &mut self,
        from: u64,
        seed: Seed,
        numbers: RangeInclusive<u64>,
    ) -> io::Result<Option<(u64, u64)>> {
        let mut offset = from;
        loop {
            let bytes = self.at(offset, FRAME_LEN)?;
            if bytes.len() < FRAME_LEN {
                return Ok(None);
            }
            let candidate = bytes.windows(FRAME_LEN).position(|bytes| {
                number_of(bytes).is_some_and(|number| numbers.contains(&number))
                    && Frame::decode(bytes, seed) != Frame::Invalid
            });
            let Some(skip) = candidate else {
                offset += (bytes.len() - FRAME_LEN + 1) as u64;
                continue;
            };
            offset += skip as u64;
            if let Some((number, _)) = self.frame(offset, seed)?.extent() {
                return Ok(Some((offset, number)));
            }
            offset += 1;
        }
    }
}
