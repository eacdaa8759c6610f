//! Opening a log: from what is on disk to what it was.

use std::{collections::VecDeque, io, ops::Range, sync::Arc};

use super::{
    Damage, LogId, LogLimits, LogPosition, Recovery, Torn,
    directory::Directory,
    index::Segment,
    layout::{Cut, FRAME_LEN, Found, HEADER_LEN, Header},
    scan::{Hole, Scan},
    window::{CHUNK, Window},
};
use crate::{
    Error, Result,
    disk::{DiskFile, OpenMode},
    io_error,
    random::Random,
};

/// What was found on disk, with all repairs done and synced.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) id: LogId,
    /// All segments, the last one as far as it is synced; none if there is no log.
    pub(super) segments: VecDeque<Segment>,
    /// The file of the last segment, if entries may be appended to it.
    pub(super) tail: Option<Arc<dyn DiskFile>>,
    /// The number of the next entry.
    pub(super) number: u64,
    /// The number of the next segment.
    pub(super) next_segment: u64,
    pub(super) report: Recovery,
}

/// A segment with a valid header.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    header: Header,
    cut: Option<Cut>,
    len: u64,
}

impl Recovered {
    /// Reads what is there, finishes what a crash interrupted, and sets damage aside.
    pub(super) fn read(
        directory: &Directory,
        limits: &LogLimits,
        expected: Option<LogPosition>,
        random: &mut Random,
    ) -> Result<Recovered> {
        let path = &directory.path;
        directory.disk.create_dir_all(path).map_err(|error| io_error("create", path, error))?;
        let numbers = directory.segments()?;
        let newest = numbers.last().copied().unwrap_or(0);
        let (mut candidates, mut unreadable) = read_headers(directory, &numbers)?;
        let id = candidates.last().map_or_else(|| LogId::from_u128(random.u128()), |last| last.header.log);
        reject_strangers(id, &mut candidates, &mut unreadable);
        let void_through = finish_cuts(directory, &mut candidates, &mut unreadable)?;

        let mut recovered = Recovered {
            id,
            segments: candidates.iter().map(Candidate::segment).collect(),
            tail: None,
            number: 0,
            next_segment: newest.max(void_through) + 1,
            report: Recovery::default(),
        };
        let mut floor = expected.map_or(0, LogPosition::number);
        for segment in unreadable {
            floor = floor.max(recovered.set_aside(directory, segment)?);
        }
        if let Some(last) = candidates.last() {
            recovered.read_last(directory, limits, expected, last)?;
        }
        recovered.go_on_at(floor);
        // What was created or removed by a handle that failed must not change its mind later.
        directory.sync()?;
        Ok(recovered)
    }

    /// Moves a segment without a header away; the number after the last entry that can be found in it.
    fn set_aside(&mut self, directory: &Directory, segment: u64) -> Result<u64> {
        let (file, len) = open(directory, segment, OpenMode::Read)?;
        let header = Header { log: self.id, segment, first: 0 };
        let scan = Scan::of(&mut Window::new(file, len, Vec::new()), &header)
            .map_err(|error| io_error("read", &directory.segment(segment), error))?;
        let kept = directory.move_aside(segment)?;
        self.report.damage.push(Damage { segment, bytes: 0..len, entries: 0..0, kept: Some(kept) });
        Ok(scan.number)
    }

    /// Reads the frames of the last segment and makes sure that it ends, on disk, where they do.
    fn read_last(
        &mut self,
        directory: &Directory,
        limits: &LogLimits,
        expected: Option<LogPosition>,
        last: &Candidate,
    ) -> Result<()> {
        let segment = last.header.segment;
        let path = directory.segment(segment);
        let io = |error| io_error("read", &path, error);
        let (file, len) = open(directory, segment, OpenMode::Write)?;
        let mut scan = Scan::of(&mut Window::new(file.clone(), len, Vec::new()), &last.header).map_err(io)?;
        let synced = last.cut.map_or(scan.mark, |cut| Some(cut.offset));
        let is_known = |hole: &Hole| {
            synced.is_some_and(|synced| hole.from < synced)
                || expected.is_some_and(|expected| hole.number < expected.number)
        };
        let entries = scan.cut(is_known);
        // Where a segment was cut, the frames must reach; before `expected`, too.
        let missing = last.cut.map_or(0, |cut| cut.number).max(expected.map_or(0, LogPosition::number));
        let is_damaged = !scan.holes.is_empty() || scan.number < missing;
        let kept = (is_damaged || entries > 0).then(|| directory.keep_copy(segment)).flatten();

        for hole in &scan.holes {
            let bytes = hole.from..hole.to;
            let entries = hole.number..hole.next;
            self.report.damage.push(Damage { segment, bytes, entries, kept: kept.clone() });
        }
        if scan.number < missing {
            let entries = scan.number..missing;
            self.report.damage.push(Damage {
                segment,
                bytes: scan.offset..len.max(scan.offset),
                entries,
                kept,
            });
        } else if len > scan.offset {
            self.report.torn = Some(Torn { bytes: len - scan.offset, entries, kept });
        }
        if last.cut.is_none() {
            settle(&*file, &last.header, &scan, len).map_err(|error| io_error("repair", &path, error))?;
        }

        self.number = scan.number.max(missing);
        if let Some(known) = self.segments.back_mut() {
            // A mark at the end is written again before anything is appended: see `Tail`.
            let ends_with_mark = scan.mark.filter(|mark| mark + FRAME_LEN as u64 == scan.offset);
            known.len = ends_with_mark.unwrap_or(scan.offset);
        }
        // A segment with a scar is left alone: the next entry opens a new one, whose checksums nothing old fits.
        let is_whole = !is_damaged && len <= scan.offset && last.cut.is_none();
        self.tail = (is_whole && scan.offset < limits.segment_bytes).then_some(file);
        Ok(())
    }

    /// Lets numbers go on at `floor`, if they did not come as far.
    fn go_on_at(&mut self, floor: u64) {
        if self.number < floor {
            self.number = floor;
            self.tail = None;
        }
    }
}

impl Candidate {
    fn segment(&self) -> Segment {
        Segment { number: self.header.segment, first: self.header.first, len: self.len }
    }
}

/// Opens the file of a segment; the file and its length.
fn open(directory: &Directory, segment: u64, mode: OpenMode) -> Result<(Arc<dyn DiskFile>, u64)> {
    let path = directory.segment(segment);
    let opened = directory.disk.open(&path, mode).and_then(|file| {
        let len = file.info()?.len;
        Ok((file, len))
    });
    opened.map_err(|error| io_error("open", &path, error))
}

/// The segments with a valid header, and the numbers of those without. Removes creations that were cut short.
fn read_headers(directory: &Directory, numbers: &[u64]) -> Result<(Vec<Candidate>, Vec<u64>)> {
    let (mut candidates, mut unreadable) = (Vec::new(), Vec::new());
    for &segment in numbers {
        let path = directory.segment(segment);
        let (file, len) = open(directory, segment, OpenMode::Read)?;
        let mut bytes = [0; HEADER_LEN];
        let read = file.read_at(0, &mut bytes).map_err(|error| io_error("read", &path, error))?;
        match Header::decode(&bytes[..read], segment) {
            Found::Header(header) => {
                let cut = Cut::decode(&bytes[..read], header.seed());
                candidates.push(Candidate { header, cut, len });
            }
            Found::Newer(version) => {
                return Err(Error::state(format!(
                    "{} was written by a newer version of Afferent (its format is {version}); use that one, or a newer one",
                    path.display()
                )));
            }
            Found::Invalid if len <= HEADER_LEN as u64 => directory.remove(segment)?,
            Found::Invalid => unreadable.push(segment),
        }
    }
    Ok((candidates, unreadable))
}

/// Takes out segments of other logs, and those whose numbers come after their successor's.
fn reject_strangers(id: LogId, candidates: &mut Vec<Candidate>, unreadable: &mut Vec<u64>) {
    let mut next = u64::MAX;
    let mut kept = VecDeque::new();
    for candidate in candidates.drain(..).rev() {
        if candidate.header.log == id && candidate.header.first <= next {
            next = candidate.header.first;
            kept.push_front(candidate);
        } else {
            unreadable.push(candidate.header.segment);
        }
    }
    candidates.extend(kept);
}

/// Finishes cuts that a crash interrupted; the highest number of a segment that was ever void.
fn finish_cuts(
    directory: &Directory,
    candidates: &mut Vec<Candidate>,
    unreadable: &mut Vec<u64>,
) -> Result<u64> {
    let mut through = 0;
    for at in 0.. {
        let Some(&Candidate { header, cut, len }) = candidates.get(at) else { break };
        let Some(cut) = cut else { continue };
        let is_void = |segment: u64| segment > header.segment && segment <= cut.through;
        let mut void: Vec<u64> = unreadable.extract_if(.., |segment| is_void(*segment)).collect();
        let later = candidates.extract_if(.., |candidate| is_void(candidate.header.segment));
        void.extend(later.map(|candidate| candidate.header.segment));
        if !void.is_empty() || len > cut.offset {
            cut.carry_out(directory, header.segment, header.seed(), &void)?;
            candidates[at].len = len.min(cut.offset);
        }
        through = through.max(cut.through);
    }
    Ok(through)
}

/// Makes header and valid frames of the last segment durable, and what follows them go away.
fn settle(file: &dyn DiskFile, header: &Header, scan: &Scan, len: u64) -> io::Result<()> {
    let from = match scan.mark {
        Some(mark) => mark,
        None => {
            // Nothing says that its creation was completed.
            file.write_at(0, &header.encode())?;
            HEADER_LEN as u64
        }
    };
    let is_in_doubt = scan.mark.is_none() || scan.offset > from + FRAME_LEN as u64;
    if is_in_doubt {
        rewrite(file, from..scan.offset)?;
    }
    if len > scan.offset {
        file.set_len(scan.offset)?;
    }
    if is_in_doubt || len > scan.offset {
        file.sync()?;
    }
    Ok(())
}

/// Writes bytes over with what they read as: a sync that failed may have left them in memory only.
fn rewrite(file: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).map_or(CHUNK, |left| left.min(CHUNK));
        let read = file.read_at(at, &mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(at, &buffer[..read])?;
        at += read as u64;
    }
    Ok(())
}
