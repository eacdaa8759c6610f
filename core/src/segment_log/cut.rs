//! Making a cut and carrying it out. See the [module](super) for the order and its reason.

use std::io;

use super::{
    LogPosition,
    directory::Directory,
    index::Segment,
    layout::{Cut, HEADER_LEN, Seed},
    window::Window,
};
use crate::{Result, disk::OpenMode, io_error};

impl Cut {
    /// The cut before entry `to` of `segment`, whose seed is `seed`, in a log with segments up to `through`.
    pub(super) fn before(
        to: LogPosition,
        directory: &Directory,
        segment: &Segment,
        seed: Seed,
        through: u64,
    ) -> Result<Cut> {
        let path = directory.segment(segment.number);
        let offset = directory.disk.open(&path, OpenMode::Read).and_then(|file| {
            let mut window = Window::new(file, segment.len, Vec::new());
            let hint = (to.segment == segment.number).then_some(to.offset);
            locate(&mut window, seed, to.number, hint)
        });
        let offset = offset.map_err(|error| io_error("read", &path, error))?;
        Ok(Cut { number: to.number, offset, through })
    }

    /// Cuts `segment`, whose seed is `seed`, and removes the segments `void`. Can be done again, as a whole or from any
    /// point of it.
    pub(super) fn carry_out(
        &self,
        directory: &Directory,
        segment: u64,
        seed: Seed,
        void: &[u64],
    ) -> Result<()> {
        let path = directory.segment(segment);
        let io = |error| io_error("cut", &path, error);
        let file = directory.disk.open(&path, OpenMode::Write).map_err(io)?;
        let mut header = [0; HEADER_LEN];
        file.read_at(0, &mut header).map_err(io)?;
        // Also when it can be read already: a sync that failed may have left it in memory only.
        file.write_at(self.place_in(&header, seed) as u64, &self.encode(seed)).map_err(io)?;
        file.sync().map_err(io)?;
        for segment in void {
            directory.remove(*segment)?;
        }
        if !void.is_empty() {
            directory.sync()?;
        }
        if file.info().map_err(io)?.len > self.offset {
            file.set_len(self.offset).map_err(io)?;
            file.sync().map_err(io)?;
        }
        Ok(())
    }
}

/// Where in a segment entry `number` begins, or, if it was lost, the next one that is there.
fn locate(window: &mut Window, seed: Seed, number: u64, hint: Option<u64>) -> io::Result<u64> {
    if let Some(hint) = hint
        && window.frame(hint, seed)?.extent().is_some_and(|(found, _)| found == number)
    {
        return Ok(hint);
    }
    let mut offset = HEADER_LEN as u64;
    loop {
        match window.frame(offset, seed)?.extent() {
            Some((found, _)) if found >= number => return Ok(offset),
            Some((_, len)) => offset += len,
            None => match window.find(offset + 1, seed, 0..=u64::MAX)? {
                Some((next, _)) => offset = next,
                None => return Ok(offset.min(window.end())),
            },
        }
    }
}
