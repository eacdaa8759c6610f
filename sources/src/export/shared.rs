//! [`Shared`]: one open file, read at several places.

use std::{
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
    sync::Arc,
};

/// Bytes read from the file at a time, below the inflater.
const BUFFER_BYTES: usize = 64 << 10;

/// A reader with a place of its own. Clones share the file and nothing else, so that the document is read while files
/// beside it are.
#[derive(Debug)]
pub(super) struct Shared {
    file: Arc<File>,
    length: u64,
    /// Where the buffer begins in the file.
    start: u64,
    buffer: Vec<u8>,
    /// What of the buffer was read.
    used: usize,
}

impl Shared {
    pub(super) fn new(file: File) -> io::Result<Shared> {
        let length = file.metadata()?.len();
        Ok(Shared { file: Arc::new(file), length, start: 0, buffer: Vec::new(), used: 0 })
    }

    fn place(&self) -> u64 {
        self.start + self.used as u64
    }
}

impl Clone for Shared {
    fn clone(&self) -> Shared {
        Shared {
            file: self.file.clone(),
            length: self.length,
            start: self.place(),
            buffer: Vec::new(),
            used: 0,
        }
    }
}

impl BufRead for Shared {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() {
            self.start = self.place();
            self.used = 0;
            self.buffer.resize(BUFFER_BYTES, 0);
            let read = read_at(&self.file, &mut self.buffer, self.start);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used = (self.used + amount).min(self.buffer.len());
    }
}

impl Read for Shared {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.place().checked_add_signed(by),
        };
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match place.checked_sub(self.start).and_then(|used| usize::try_from(used).ok()) {
            Some(used) if used <= self.buffer.len() => self.used = used,
            _ => {
                self.buffer.clear();
                (self.start, self.used) = (place, 0);
            }
        }
        Ok(place)
    }
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], place: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, place)
}

#[cfg(windows)]
fn read_at(file: &File, out: &mut [u8], place: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a file of several buffers is read at two places, with steps back, forth and behind its end. Guarantees: G4,
    /// each reader gives the bytes of its place.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
    fn places_are_their_own() {
        let around = afferent_core::testing::Surroundings::new();
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let path = around.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        let mut one = Shared::new(File::open(path).unwrap()).unwrap();
        let expect = |shared: &mut Shared, at: usize, count: usize| {
            let mut out = vec![0; count];
            shared.read_exact(&mut out).unwrap();
            assert!(out == bytes[at..at + count], "{count} bytes at {at}");
        };
        expect(&mut one, 0, 10);
        let mut two = one.clone();
        expect(&mut one, 10, 100_000);
        expect(&mut two, 10, 5);
        for (to, at) in [
            (SeekFrom::Start(70_000), 70_000),
            (SeekFrom::Current(-10), 69_995),
            (SeekFrom::End(-100), 199_900),
        ] {
            assert_eq!(one.seek(to).unwrap(), at);
            expect(&mut one, at as usize, 5);
        }
        expect(&mut two, 15, 5);
        one.seek(SeekFrom::End(10)).unwrap();
        assert_eq!(one.read(&mut [0; 4]).unwrap(), 0);
        assert!(two.seek(SeekFrom::Current(-21)).is_err());
    }
}
