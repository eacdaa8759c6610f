//! A window over the input: what is read and not yet used, with its offset.

use std::io::{self, Read};

/// Bytes of a window to begin with: hundreds of elements, so that what is moved when it is refilled is nothing
/// to speak of.
pub(super) const WINDOW_BYTES: usize = 256 << 10;

/// Longest element that is read. A day's workout with a place for every second is 21 MiB in the oldest exports,
/// a few hours' 4 MiB; newer ones keep places in files of their own.
pub(super) const MAX_ELEMENT_BYTES: usize = 16 << 20;

/// What is read and not yet used.
#[derive(Debug)]
pub(super) struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    filled: usize,
    offset: u64,
    ended: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Window<R> {
    /// An empty window; the first byte of `input` has `offset`.
    pub(super) fn new(input: R, offset: u64) -> Window<R> {
        Window { input, buffer: vec![0; WINDOW_BYTES], filled: 0, offset, ended: false, failed: None }
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// The offset of its first byte in the input.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the input gives no more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it may not grow and nothing can be dropped: an element is longer than it may be.
    pub(super) fn is_full(&self) -> bool {
        self.filled >= MAX_ELEMENT_BYTES
    }

    /// Why the input ended before its end, if it did.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    /// Drops the first `used` bytes.
    pub(super) fn drop_front(&mut self, used: usize) {
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        self.offset += used as u64;
    }

    /// Drops the first `used` bytes and reads until the window is full or the input ends. A failure of the input
    /// ends it, and is kept until what came before it is used.
    pub(super) fn refill(&mut self, used: usize) {
        self.drop_front(used);
        if self.filled > self.buffer.len() / 2 {
            self.buffer.resize((self.buffer.len() * 2).min(MAX_ELEMENT_BYTES), 0);
        } else if self.buffer.len() > WINDOW_BYTES && self.filled < WINDOW_BYTES / 2 {
            self.buffer.truncate(WINDOW_BYTES);
            self.buffer.shrink_to_fit();
        }
        while self.filled < self.buffer.len() && !self.ended {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(error);
                    self.ended = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: an input that comes in small pieces and then fails. Guarantees: G1, what came before the failure is
    /// there, offsets are right; G7, the window grows only for what is kept.
    #[test]
    fn what_came_before_a_failure_is_kept() {
        struct Failing(usize);
        impl Read for Failing {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let count = out.len().min(1000).min(self.0);
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                out[..count].fill(b'x');
                self.0 -= count;
                Ok(count)
            }
        }
        let mut window = Window::new(Failing(WINDOW_BYTES * 3 + 10), 7);
        window.refill(0);
        assert_eq!(window.bytes().len(), WINDOW_BYTES);
        window.refill(WINDOW_BYTES - 5);
        assert_eq!((window.bytes().len(), window.offset()), (WINDOW_BYTES, 7 + WINDOW_BYTES as u64 - 5));
        window.refill(0);
        assert_eq!(window.bytes().len(), 2 * WINDOW_BYTES);
        window.refill(2 * WINDOW_BYTES - 1);
        assert_eq!(window.bytes().len(), 16);
        assert!(window.has_ended() && window.take_failure().is_some());
    }
}
