//! [`LogReader`]: following a log.

use std::{io, ops::Range, sync::Arc};

use super::{
    Damage, LogId, LogPosition,
    index::{Segment, Shared},
    layout::{FRAME_LEN, Frame, Seed},
    window::{CHUNK, Window},
};
use crate::{
    Result,
    disk::{DiskFile, OpenMode},
    io_error,
};

/// Reads entries from a position on. It may be used at the same time as the log, in another thread.
#[derive(Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
    position: LogPosition,
    /// The file of a segment, opened when first needed.
    open: Option<(u64, Arc<dyn DiskFile>)>,
    /// The position was given, not found: what it says about bytes may be wrong.
    is_hint: bool,
}

/// Entries in order, or what was passed over instead. Used again, it allocates nothing.
#[derive(Debug, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    /// Where each entry is in the log, and its payload in `bytes`.
    entries: Vec<(LogPosition, Range<usize>)>,
    damage: Option<Damage>,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it is.
    pub position: LogPosition,
    /// Where the next one is.
    pub after: LogPosition,
    /// What was appended.
    pub payload: &'a [u8],
}

impl Entries {
    /// None yet.
    pub fn new() -> Entries {
        Entries::default()
    }

    /// The entries.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.entries.iter().map(|(position, payload)| {
            let offset = position.offset + (FRAME_LEN + payload.len()) as u64;
            let after = LogPosition { number: position.number + 1, offset, ..*position };
            Entry { position: *position, after, payload: &self.bytes[payload.clone()] }
        })
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What could not be read and was passed over; the next read goes on behind it.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.damage = None;
        self.bytes.clear();
        // One long entry must not hold its memory for ever.
        self.bytes.shrink_to(2 * CHUNK);
    }
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>, position: LogPosition) -> LogReader {
        LogReader { shared, position, open: None, is_hint: true }
    }

    /// The log it reads.
    pub fn id(&self) -> LogId {
        self.shared.id
    }

    /// Where it is: before the entry that it reads next.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Reads the next entries before `limit`: what is whole in a chunk of 64 KiB, or one that is longer. None when it is
    /// at `limit` or at the synced end of the log. Damage is passed over and reported, without entries.
    ///
    /// # Errors
    /// As the disk fails; it is then where it was before.
    pub fn read(&mut self, limit: LogPosition, entries: &mut Entries) -> Result<()> {
        entries.clear();
        while entries.is_empty() && entries.damage.is_none() {
            let (limit, first, found) = {
                let index = self.shared.index();
                let limit = limit.number.min(index.synced.number);
                (limit, index.first(), index.containing(self.position.number))
            };
            let wanted = self.position.number;
            if wanted >= limit {
                break;
            }
            let Some((segment, next)) = found else {
                // Trimmed before it was read, which its owner should not have done.
                let lost = wanted..first.number.min(limit);
                self.position = LogPosition { number: lost.end, ..first };
                entries.damage =
                    Some(Damage { segment: first.segment, bytes: 0..0, entries: lost, kept: None });
                break;
            };
            self.read_segment(&segment, limit, next, entries)?;
        }
        Ok(())
    }

    /// Reads entries of `segment`, whose successor begins with entry `next`.
    fn read_segment(
        &mut self,
        segment: &Segment,
        limit: u64,
        next: u64,
        entries: &mut Entries,
    ) -> Result<()> {
        let path = self.shared.directory.segment(segment.number);
        let io = |error| io_error("read", &path, error);
        let wanted = self.position.number;
        let Some(file) = self.file(segment.number).map_err(io)? else {
            // If it was trimmed meanwhile, the index says so at the next look.
            if self.shared.index().segments.contains(segment) {
                let lost = wanted..next.min(limit);
                self.position =
                    LogPosition { number: lost.end, segment: segment.number, offset: segment.len };
                entries.damage =
                    Some(Damage { segment: segment.number, bytes: 0..0, entries: lost, kept: None });
            }
            return Ok(());
        };
        let seed = Seed::new(self.shared.id, segment.number);
        let mut walk = Walk {
            window: Window::new(file, segment.len, std::mem::take(&mut entries.bytes)),
            seed,
            place: self.position,
            wanted,
        };
        let is_elsewhere = self.position.segment != segment.number;
        let is_wrong = self.is_hint && !is_elsewhere && !walk.is_at_frame().map_err(io)?;
        if is_elsewhere || is_wrong {
            walk.place = segment.begin();
        }
        let hole = walk.entries(limit, next, &mut entries.entries);
        entries.bytes = walk.window.into_buffer();
        let hole = hole.map_err(io)?;
        (self.is_hint, self.position) = (false, walk.place);
        if let Some(hole) = hole {
            let kept = self.shared.directory.keep_copy(segment.number);
            let lost = wanted..hole.number.min(limit);
            entries.damage =
                Some(Damage { segment: segment.number, bytes: hole.bytes, entries: lost.clone(), kept });
            // What is lost beyond the limit is told to whoever may read there.
            self.position.number = lost.end;
        }
        Ok(())
    }

    /// The file of a segment; `None` if it is gone.
    fn file(&mut self, segment: u64) -> io::Result<Option<Arc<dyn DiskFile>>> {
        if let Some((number, file)) = &self.open
            && *number == segment
        {
            return Ok(Some(file.clone()));
        }
        let directory = &self.shared.directory;
        match directory.disk.open(&directory.segment(segment), OpenMode::Read) {
            Ok(file) => {
                self.open = Some((segment, file.clone()));
                Ok(Some(file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A walk along the frames of a segment.
#[derive(Debug)]
struct Walk {
    window: Window,
    seed: Seed,
    /// Where it is, and the number that the next entry there has.
    place: LogPosition,
    /// Entries before this number are of no interest.
    wanted: u64,
}

/// Entries that are wanted and not there.
#[derive(Debug)]
struct Hole {
    bytes: Range<u64>,
    /// The number after the last that is missing.
    number: u64,
}

impl Walk {
    /// Whether the frame that is expected is there.
    fn is_at_frame(&mut self) -> io::Result<bool> {
        let frame = self.window.frame(self.place.offset, self.seed)?;
        Ok(frame.extent().is_some_and(|(number, _)| number == self.place.number))
    }

    /// Goes on as far as `limit`, or as entries are in memory once one was found. A hole before the first entry is
    /// returned.
    fn entries(
        &mut self,
        limit: u64,
        next: u64,
        out: &mut Vec<(LogPosition, Range<usize>)>,
    ) -> io::Result<Option<Hole>> {
        while self.place.number < limit {
            let frame = match out.is_empty() {
                true => self.window.frame(self.place.offset, self.seed)?,
                false => Frame::decode(self.window.buffered(self.place.offset), self.seed),
            };
            match frame {
                Frame::Entry { number, len } if number == self.place.number => {
                    if number >= self.wanted {
                        let payload = self.window.index(self.place.offset) + FRAME_LEN;
                        out.push((self.place, payload..payload + len));
                    }
                    self.place.number += 1;
                    self.place.offset += (FRAME_LEN + len) as u64;
                }
                Frame::Mark { number } if number == self.place.number => {
                    self.place.offset += FRAME_LEN as u64;
                }
                _ if !out.is_empty() => break,
                frame => {
                    let hole = self.pass(frame, next)?;
                    if hole.number > self.wanted {
                        return Ok(Some(hole));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Passes over what is no frame, or not the one that is expected, to the next that can be found, or to the end.
    fn pass(&mut self, frame: Frame, next: u64) -> io::Result<Hole> {
        let LogPosition { number, offset, .. } = self.place;
        let here = frame.extent().map(|(number, _)| (offset, number)).filter(|(_, found)| *found > number);
        let found = match here {
            Some(here) => Some(here),
            None => self.window.find(offset + 1, self.seed, number..=next)?,
        };
        let (to, found) = found.unwrap_or_else(|| (self.window.end().max(offset), next));
        (self.place.number, self.place.offset) = (found, to);
        Ok(Hole { bytes: offset..to, number: found })
    }
}
