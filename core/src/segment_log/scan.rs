//! Reading the frames of a whole segment.

use std::io;

use super::{
    layout::{Frame, HEADER_LEN, Header},
    window::Window,
};

/// Bytes that are no frame, or numbers that are missing, with valid frames after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The number that was expected.
    pub(super) number: u64,
    /// The number that was found after it.
    pub(super) next: u64,
    /// Entries before it.
    entries: u64,
}

/// What the frames of a segment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// In order.
    pub(super) holes: Vec<Hole>,
    /// Where the last valid frame ends.
    pub(super) offset: u64,
    /// The number after the last valid entry.
    pub(super) number: u64,
    /// Where the last mark begins.
    pub(super) mark: Option<u64>,
    /// Valid entries.
    entries: u64,
}

impl Scan {
    /// Reads all frames.
    pub(super) fn of(window: &mut Window, header: &Header) -> io::Result<Scan> {
        let mut scan = Scan {
            holes: Vec::new(),
            offset: HEADER_LEN as u64,
            number: header.first,
            mark: None,
            entries: 0,
        };
        let seed = header.seed();
        loop {
            let frame = window.frame(scan.offset, seed)?;
            match frame.extent().filter(|(number, _)| *number >= scan.number) {
                Some((number, len)) => {
                    if number > scan.number {
                        scan.hole(scan.offset, number);
                    }
                    if let Frame::Mark { .. } = frame {
                        scan.mark = Some(scan.offset);
                        scan.number = number;
                    } else {
                        scan.entries += 1;
                        scan.number = number + 1;
                    }
                    scan.offset += len;
                }
                None => match window.find(scan.offset + 1, seed, scan.number..=u64::MAX)? {
                    Some((to, next)) => {
                        scan.hole(to, next);
                        (scan.offset, scan.number) = (to, next);
                    }
                    None => return Ok(scan),
                },
            }
        }
    }

    /// Forgets what lies behind the first hole for which `is_known` is not true; how many entries these were.
    pub(super) fn cut(&mut self, is_known: impl Fn(&Hole) -> bool) -> u64 {
        let Some(keep) = self.holes.iter().position(|hole| !is_known(hole)) else { return 0 };
        let hole = self.holes[keep];
        let cut = self.entries - hole.entries;
        self.holes.truncate(keep);
        (self.offset, self.number, self.entries) = (hole.from, hole.number, hole.entries);
        cut
    }

    fn hole(&mut self, to: u64, next: u64) {
        let hole = Hole { from: self.offset, to, number: self.number, next, entries: self.entries };
        self.holes.push(hole);
    }
}
