//! [`SegmentLog`]: appending, syncing, cutting and trimming.

use std::{io, path::Path, sync::Arc};

use super::{
    Appended, LogId, LogLimits, LogPosition, LogReader, Recovery,
    directory::Directory,
    index::{Index, Segment, Shared},
    layout::{Cut, FRAME_LEN, Frame, HEADER_LEN, Header, Seed},
    recovery::Recovered,
};
use crate::{
    Error, Result,
    disk::{Disk, DiskFile, OpenMode},
    io_error,
    random::Random,
};

/// What is gathered before it is written: enough that a call costs little per byte. It is also what a crash of the
/// process takes along without a sync.
const WRITE_BUFFER: usize = 128 << 10;

/// Numbers of segments that are left to an owner which was taken over: more than it can begin before it notices.
const LEFT_SEGMENTS: u64 = 1 << 10;

/// A log of numbered entries on disk. See the [module](super) for what is promised.
#[derive(Debug)]
pub struct SegmentLog {
    shared: Arc<Shared>,
    limits: LogLimits,
    /// `None` while the last segment is sealed: the next entry opens another.
    tail: Option<Tail>,
    /// The number of the next entry.
    number: u64,
    /// Bytes of all segments but the tail.
    sealed_bytes: u64,
    next_segment: u64,
    /// A removed segment may come back: no other may be removed before the directory was synced.
    may_come_back: bool,
    /// What failed, if nothing is certain any more.
    poison: Option<&'static str>,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Tail {
    file: Arc<dyn DiskFile>,
    header: Header,
    /// Bytes that are in the file.
    written: u64,
    /// What comes next. After opening it holds a mark: one that is in the file may be there in memory only.
    buffer: Vec<u8>,
}

impl Tail {
    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }
}

impl SegmentLog {
    /// Opens the log in `directory`, or creates it. One process, and in it one handle, may have it open.
    ///
    /// `expected` is where the log is known to have ended, durably: should it end before that, damage is reported, and
    /// numbers go on there. Everything that is in the log afterwards is synced.
    ///
    /// # Errors
    /// `Config` for limits that make no sense, `State` for a log of a newer version, `Transient` or `CantCreate` as
    /// the disk fails. Damage is no error.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        limits: LogLimits,
        expected: Option<LogPosition>,
        random: &mut Random,
    ) -> Result<(SegmentLog, Recovery)> {
        limits.check()?;
        SegmentLog::open_unchecked(disk, directory, limits, expected, random)
    }

    /// [`open`](SegmentLog::open), with limits that need not make sense.
    pub(super) fn open_unchecked(
        disk: Arc<dyn Disk>,
        directory: &Path,
        limits: LogLimits,
        expected: Option<LogPosition>,
        random: &mut Random,
    ) -> Result<(SegmentLog, Recovery)> {
        let directory = Directory { disk, path: directory.to_owned() };
        let Recovered { id, segments, tail, number, next_segment, report } =
            Recovered::read(&directory, &limits, expected, random)?;
        let last = segments.back().copied();
        let synced =
            last.map_or_else(LogPosition::default, |last| LogPosition { number, ..end_of(&last, number) });
        let mut log = SegmentLog {
            shared: Arc::new(Shared::new(directory, id, Index { segments, synced })),
            limits,
            tail: None,
            number,
            sealed_bytes: 0,
            next_segment,
            may_come_back: false,
            poison: None,
        };
        match (tail, last) {
            (Some(file), Some(last)) => {
                let header = Header { log: id, segment: last.number, first: last.first };
                let mut buffer = Vec::new();
                Frame::encode_mark(&mut buffer, header.seed(), number);
                log.tail = Some(Tail { file, header, written: last.len, buffer });
            }
            (_, None) => log.create_segment()?,
            (None, Some(_)) => {}
        }
        log.count_sealed();
        Ok((log, report))
    }

    /// Tells this log from another that later stands in the same directory.
    pub fn id(&self) -> LogId {
        self.shared.id
    }

    /// Where the oldest segment begins. What is before it was trimmed.
    pub fn first(&self) -> LogPosition {
        self.shared.index().first()
    }

    /// Where the next entry goes.
    pub fn end(&self) -> LogPosition {
        match &self.tail {
            Some(tail) => {
                LogPosition { number: self.number, segment: tail.header.segment, offset: tail.end() }
            }
            None => end_of(self.shared.index().last(), self.number),
        }
    }

    /// Up to where everything survives a power loss: what a reader may read, and what a token may say.
    pub fn synced(&self) -> LogPosition {
        self.shared.index().synced
    }

    /// Whether no entry is left in it.
    pub fn is_empty(&self) -> bool {
        self.first().number == self.number
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.sealed_bytes + self.tail.as_ref().map_or(0, Tail::end)
    }

    /// The longest entry that it takes.
    pub fn max_entry_bytes(&self) -> u64 {
        self.limits.max_entry_bytes()
    }

    /// A reader that begins at `from`.
    pub fn reader(&self, from: LogPosition) -> LogReader {
        LogReader::new(self.shared.clone(), from)
    }

    /// Appends an entry, in memory until the buffer is full or synced.
    ///
    /// # Errors
    /// `Data` if the entry is too long. `Transient` if what was in the buffer could not be written: the entry was not
    /// taken, everything before it still is.
    pub fn append(&mut self, payload: &[u8]) -> Result<Appended> {
        self.check()?;
        let (len, most) = (payload.len() as u64, self.max_entry_bytes());
        if len > most {
            return Err(Error::data(format!("an entry of {len} bytes is longer than the {most} allowed")));
        }
        let frame = FRAME_LEN as u64 + len;
        let fits = |tail: &Tail| {
            let is_fresh = tail.header.first == self.number;
            is_fresh || tail.end() + frame <= self.limits.segment_bytes
        };
        let rolls = !self.tail.as_ref().is_some_and(fits);
        let header = if rolls { HEADER_LEN as u64 } else { 0 };
        if self.bytes() + header + frame > self.limits.max_bytes {
            return Ok(Appended::Full);
        }
        if rolls {
            self.seal()?;
            self.create_segment()?;
        } else if self.tail.as_ref().is_some_and(|tail| tail.buffer.len() + payload.len() > WRITE_BUFFER) {
            self.flush()?;
        }
        let position = self.end();
        let tail = self.tail.as_mut().expect("the last segment was just opened");
        Frame::encode_entry(&mut tail.buffer, tail.header.seed(), self.number, payload);
        self.number += 1;
        Ok(Appended::At(position))
    }

    /// Makes everything appended durable; where that ends.
    ///
    /// # Errors
    /// `Transient`. If the disk is full, everything is kept and it can be called again. If the sync itself failed the
    /// log is poisoned: open it again.
    pub fn sync(&mut self) -> Result<LogPosition> {
        self.check()?;
        if self.number > self.synced().number {
            self.sync_tail()?;
            self.mark();
        }
        Ok(self.synced())
    }

    /// Cuts off all entries from `to` on, durably: either all of them or, after a crash, none. What is left is synced.
    ///
    /// # Errors
    /// `State` if `to` is not a position in the log. `Transient` if the disk fails; the log is then poisoned.
    pub fn truncate(&mut self, to: LogPosition) -> Result<()> {
        self.check()?;
        self.check_place(to)?;
        self.sync()?;
        if to.number < self.number {
            self.cut_at(to).inspect_err(|_| self.poison = Some("cut"))?;
        }
        Ok(())
    }

    fn check_place(&self, to: LogPosition) -> Result<()> {
        let (first, end) = (self.first().number, self.number);
        if (first..=end).contains(&to.number) {
            return Ok(());
        }
        Err(Error::state(format!(
            "the log {} can't be cut back to entry {}: it has entries {first} to {end}",
            self.shared.directory.path.display(),
            to.number
        )))
    }

    /// Cuts off all entries from `to` on like [`truncate`](SegmentLog::truncate), for an owner that follows another which may
    /// still have the log open and go on writing. All that it can reach is void by the cut: what it writes to its last
    /// segment, and those that it begins next. Nothing of them is ever read, and the next opening removes it.
    ///
    /// # Errors
    /// As [`truncate`](SegmentLog::truncate).
    pub fn take_over(&mut self, to: LogPosition) -> Result<()> {
        self.check()?;
        self.check_place(to)?;
        self.sync()?;
        self.next_segment += LEFT_SEGMENTS;
        self.cut_at(to).inspect_err(|_| self.poison = Some("cut"))
    }

    /// Removes the segments whose entries are all before `to`. A power loss may bring the last of them back.
    ///
    /// # Errors
    /// `Transient` if the disk fails.
    pub fn trim(&mut self, to: LogPosition) -> Result<()> {
        while self.trim_one(to)? {}
        Ok(())
    }

    /// Removes one of the segments that [`trim`](SegmentLog::trim) would remove; whether there was one. Each costs a sync of
    /// the directory: who appends need not wait for all of them.
    ///
    /// # Errors
    /// `Transient` if the disk fails.
    pub fn trim_one(&mut self, to: LogPosition) -> Result<bool> {
        self.check()?;
        if self.remove_before(to)? {
            return Ok(true);
        }
        // What is left is one segment, of which nothing is needed. It must not count against the bound for ever.
        if to >= self.end() && self.bytes() > self.limits.segment_bytes / 2 {
            self.seal()?;
            self.create_segment()?;
            return self.remove_before(to);
        }
        Ok(false)
    }

    fn check(&self) -> Result<()> {
        match self.poison {
            None => Ok(()),
            Some(what) => Err(Error::transient(format!(
                "the log {} was given up when it failed to {what}; open it again",
                self.shared.directory.path.display()
            ))),
        }
    }

    /// Removes the first segment if all of it is before `to`; whether it was.
    fn remove_before(&mut self, to: LogPosition) -> Result<bool> {
        let segment = {
            let mut index = self.shared.index();
            match index.segments.get(1) {
                Some(next) if next.first <= to.number => index.segments.pop_front(),
                _ => None,
            }
        };
        let Some(segment) = segment else { return Ok(false) };
        let directory = &self.shared.directory;
        let synced = if self.may_come_back { directory.sync() } else { Ok(()) };
        if synced.is_err() {
            self.poison = Some("sync its directory");
        }
        self.may_come_back = true;
        let removed = synced.and_then(|()| directory.remove(segment.number));
        if removed.is_err() {
            self.shared.index().segments.push_front(segment);
        }
        self.count_sealed();
        removed.map(|()| true)
    }

    /// Writes the buffer.
    fn flush(&mut self) -> Result<()> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        if let Err(error) = tail.file.write_at(tail.written, &tail.buffer) {
            let segment = tail.header.segment;
            if tail.file.set_len(tail.written).is_err() {
                self.poison = Some("write");
            }
            return Err(io_error("write", &self.shared.directory.segment(segment), error));
        }
        tail.written = tail.end();
        tail.buffer.clear();
        tail.buffer.shrink_to(2 * WRITE_BUFFER);
        Ok(())
    }

    /// Makes the last segment durable.
    fn sync_tail(&mut self) -> Result<()> {
        if self.number == self.synced().number {
            return Ok(());
        }
        self.flush()?;
        let Some(tail) = &self.tail else { return Ok(()) };
        if let Err(error) = tail.file.sync() {
            self.poison = Some("sync");
            return Err(io_error("sync", &self.shared.directory.segment(tail.header.segment), error));
        }
        let end = self.end();
        let mut index = self.shared.index();
        index.synced = end;
        index.last().len = end.offset;
        Ok(())
    }

    /// Notes in the last segment that everything before was synced. It may fail: the next write goes to the same place.
    fn mark(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        debug_assert!(tail.buffer.is_empty(), "a mark comes directly after a sync");
        Frame::encode_mark(&mut tail.buffer, tail.header.seed(), self.number);
        if tail.file.write_at(tail.written, &tail.buffer).is_ok() {
            tail.written = tail.end();
        }
        tail.buffer.clear();
    }

    /// Ends the last segment, durably.
    fn seal(&mut self) -> Result<()> {
        self.sync_tail()?;
        self.tail = None;
        self.count_sealed();
        Ok(())
    }

    /// Begins a segment, durably. The one before is sealed.
    fn create_segment(&mut self) -> Result<()> {
        let header = Header { log: self.shared.id, segment: self.next_segment, first: self.number };
        self.next_segment += 1;
        let directory = &self.shared.directory;
        let path = directory.segment(header.segment);
        let file = match create(&*directory.disk, &path, &header) {
            Ok(file) => file,
            Err(error) => {
                // It must not come back once more was appended to the segment before.
                if directory.remove(header.segment).and_then(|()| directory.sync()).is_err() {
                    self.poison = Some("remove a segment that it could not create");
                }
                return Err(io_error("create", &path, error));
            }
        };
        if let Err(error) = file.sync().and_then(|()| directory.disk.sync_dir(&directory.path)) {
            self.poison = Some("sync a new segment");
            return Err(io_error("sync", &path, error));
        }
        self.may_come_back = false;
        let (tail, segment) = (HEADER_LEN as u64, header.segment);
        self.tail = Some(Tail { file, header, written: tail, buffer: Vec::new() });
        let mut index = self.shared.index();
        index.segments.push_back(Segment { number: segment, first: self.number, len: tail });
        index.synced = LogPosition { number: self.number, segment, offset: tail };
        Ok(())
    }

    fn cut_at(&mut self, to: LogPosition) -> Result<()> {
        let directory = &self.shared.directory;
        let (segment, _) = self.shared.index().containing(to.number).expect("it was checked");
        let seed = Seed::new(self.shared.id, segment.number);
        let cut = Cut::before(to, directory, &segment, seed, self.next_segment - 1)?;
        let later = |known: &&Segment| known.number > segment.number;
        let void: Vec<u64> =
            self.shared.index().segments.iter().filter(later).map(|segment| segment.number).collect();
        cut.carry_out(directory, segment.number, seed, &void)?;
        let mut index = self.shared.index();
        index.segments.retain(|known| known.number <= segment.number);
        index.last().len = cut.offset;
        index.synced = LogPosition { number: to.number, segment: segment.number, offset: cut.offset };
        drop(index);
        self.number = to.number;
        self.tail = None;
        self.count_sealed();
        Ok(())
    }

    fn count_sealed(&mut self) {
        let index = self.shared.index();
        let sealed = index.segments.len() - usize::from(self.tail.is_some());
        self.sealed_bytes = index.segments.iter().take(sealed).map(|segment| segment.len).sum();
    }
}

fn end_of(segment: &Segment, number: u64) -> LogPosition {
    LogPosition { number, segment: segment.number, offset: segment.len }
}

fn create(disk: &dyn Disk, path: &Path, header: &Header) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, OpenMode::CreateNew)?;
    file.write_at(0, &header.encode())?;
    Ok(file)
}
