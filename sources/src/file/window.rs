//! [`Window`]: the piece of a file that is in memory.

use std::{io, ops::Range, sync::Arc};

use afferent_core::{Limits, disk::DiskFile, reject};
use afferent_formats::{Format, Splitter};

use super::MAX_ITEM_BYTES;

/// How much is read at once: large enough that the call costs nothing, small enough for the cache.
pub(super) const READ_BYTES: usize = 256 << 10;

/// A buffer that is larger after a long item is given back.
const KEPT_BYTES: usize = 8 * READ_BYTES;

/// The piece of a file that is in memory, and the search for the ends of its items.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    format: Format,
    /// Zeros behind `filled`.
    buffer: Vec<u8>,
    /// The first byte that was not given.
    begin: usize,
    /// Up to here the splitter has looked.
    searched: usize,
    filled: usize,
    /// Where in the file `filled` is.
    offset: u64,
    splitter: Splitter,
    skip: Option<Skip>,
}

/// An item that is too long, while it is passed over.
#[derive(Debug)]
struct Skip {
    head: Vec<u8>,
    length: u64,
    lines: u64,
    crc: u32,
}

/// What a window gives.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Whole items, as a range of [`Window::bytes`].
    Items(Range<usize>),
    /// An item that was too long.
    TooLong {
        /// Its first bytes.
        head: Vec<u8>,
        /// Its length, with its line end.
        length: u64,
        /// How many lines it was.
        lines: u64,
        /// CRC-32C of its bytes.
        crc: u32,
    },
    /// The end of the file, as it is now.
    End,
}

impl Window {
    /// A window on `file` at `offset`, where an item begins.
    pub(super) fn new(file: Arc<dyn DiskFile>, offset: u64, format: Format) -> Window {
        Window {
            file,
            format,
            buffer: Vec::new(),
            begin: 0,
            searched: 0,
            filled: 0,
            offset,
            splitter: Splitter::new(format),
            skip: None,
        }
    }

    /// What a [`Found::Items`] is a range of, until the next call of [`next`](Window::next).
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// How far the file was read.
    pub(super) fn seen(&self) -> u64 {
        self.offset
    }

    /// The next items, as many as `limits` allow. At the end of the file, an item that has no end there is given if
    /// `last` says that none will come, else it waits.
    ///
    /// # Errors
    /// Those of the disk; the window is of no use then.
    pub(super) fn next(&mut self, limits: Limits, last: bool) -> io::Result<Found> {
        let (mut end, mut items) = (self.begin, 0);
        loop {
            if self.skip.is_some() {
                return self.pass_over(last);
            }
            while items < limits.records.max(1) && (items == 0 || end - self.begin < limits.bytes) {
                let Some(length) = self.splitter.find_end(&self.buffer[self.searched..self.filled]) else {
                    self.searched = self.filled;
                    break;
                };
                self.searched += length;
                end = self.searched;
                items += 1;
            }
            let full = items >= limits.records.max(1) || (items > 0 && end - self.begin >= limits.bytes);
            // If the limits are not reached, what is behind the items is the beginning of another.
            let too_long = self.filled - end > MAX_ITEM_BYTES;
            if full || (too_long && items > 0) {
                break;
            }
            if too_long {
                self.begin_skip();
                continue;
            }
            let moved = self.make_room();
            end -= moved;
            if self.read()? == 0 {
                break;
            }
        }
        if items == 0 && last {
            end = self.filled;
            self.searched = self.filled;
        }
        if end == self.begin {
            return Ok(Found::End);
        }
        let range = self.begin..end;
        self.begin = end;
        Ok(Found::Items(range))
    }

    fn begin_skip(&mut self) {
        let head = self.buffer[self.begin..self.begin + reject::HEAD_BYTES].to_vec();
        let mut skip = Skip { head, length: 0, lines: 0, crc: 0 };
        skip.add(&self.buffer[self.begin..self.filled]);
        self.skip = Some(skip);
        (self.begin, self.searched, self.filled) = (0, 0, 0);
        self.buffer = Vec::new();
        // To the next line end, whatever it is in: a stray quote must not hide the rest of the file.
        self.splitter = Splitter::new(Format::Json);
    }

    fn pass_over(&mut self, last: bool) -> io::Result<Found> {
        let skip = self.skip.as_mut().expect("the caller has seen it");
        loop {
            let rest = &self.buffer[self.begin..self.filled];
            let end = self.splitter.find_end(rest);
            skip.add(&rest[..end.unwrap_or(rest.len())]);
            self.begin = end.map_or(self.filled, |length| self.begin + length);
            self.searched = self.begin;
            if end.is_some() {
                break;
            }
            (self.begin, self.searched, self.filled) = (0, 0, 0);
            self.buffer.resize(READ_BYTES, 0);
            let read = self.file.read_at(self.offset, &mut self.buffer)?;
            self.filled = read;
            self.offset += read as u64;
            if read == 0 {
                if last {
                    break;
                }
                return Ok(Found::End);
            }
        }
        self.splitter = Splitter::new(self.format);
        let Skip { head, length, lines, crc } = self.skip.take().expect("it was there above");
        Ok(Found::TooLong { head, length, lines, crc })
    }

    /// Makes room for a read and says by how much the content moved.
    fn make_room(&mut self) -> usize {
        let moved = self.begin;
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.begin = 0;
        self.searched -= moved;
        self.filled -= moved;
        let needed = self.filled + READ_BYTES;
        if self.buffer.capacity() > KEPT_BYTES && needed < KEPT_BYTES / 2 {
            self.buffer.truncate(needed);
            self.buffer.shrink_to(KEPT_BYTES);
        }
        if self.buffer.len() < needed {
            // Reserved in two steps, so that a long item is not copied from buffer to ever larger buffer, each of
            // which the allocator may keep; memory that is only reserved costs nothing.
            let capacity =
                if needed <= KEPT_BYTES { KEPT_BYTES } else { needed.max(MAX_ITEM_BYTES + 2 * READ_BYTES) };
            self.buffer.reserve_exact(capacity - self.buffer.len());
            self.buffer.resize(needed, 0);
        }
        moved
    }

    fn read(&mut self) -> io::Result<usize> {
        let read = self.file.read_at(self.offset, &mut self.buffer[self.filled..][..READ_BYTES])?;
        self.filled += read;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Skip {
    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }
}
