//! [`Reader`]: what runs in the blocking jobs. It finds, reads and decodes.

use std::sync::Arc;

use afferent_core::{
    Batch, Error, Limits, Position, Pulled, Record, Reject, Rejects, Result, SourceCx,
    disk::{Disk, DiskFile, FileId},
    event::StageEvents,
};
use afferent_formats::{Decoder, DecoderOptions, Location, Resumption};

use super::{
    Config, MAX_ITEM_BYTES,
    error::read_error,
    files::{Files, Visit},
    position,
    window::{Found, READ_BYTES, Window},
};

/// Bytes between two reports of progress; some twenty a second at full speed.
const PROGRESS_BYTES: u64 = 16 << 20;

/// Reads the files of one source, step by step.
#[derive(Debug)]
pub(super) struct Reader {
    config: Config,
    limits: Limits,
    events: StageEvents,
    files: Files,
    /// The file that is read, by its index in the list.
    cursor: usize,
    /// The file that was read last, if it is not at its end or may grow.
    open: Option<Open>,
    /// Whether that is the file at the cursor.
    entered: bool,
    /// Whether to look which files there are before the next pass.
    scan_due: bool,
    /// Whether the marks moved since the last position that was given.
    moved: bool,
    progress: Progress,
}

/// The file that is being read.
struct Open {
    id: FileId,
    name: String,
    file: Arc<dyn DiskFile>,
    window: Window,
    decoder: Box<dyn Decoder>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Bytes of a finite source.
#[derive(Debug, Default)]
struct Progress {
    done: u64,
    total: u64,
    reported: u64,
}

/// What one step gave.
#[derive(Debug)]
pub(super) enum Step {
    /// Records, rejects, or at least another position.
    Pulled(Pulled<Record>),
    /// Nothing more for now.
    Dry(Position),
    /// Nothing more ever.
    End,
}

impl Reader {
    /// Finds the files and where each is, after the position in `cx`.
    pub(super) fn open(config: Config, cx: &SourceCx) -> Result<Reader> {
        let marks = match &cx.position {
            None => Vec::new(),
            Some(position) => {
                if position.fingerprint != config.path {
                    cx.events.notice(format!(
                        "the path was {}; files that were read under it go on where they were",
                        position.fingerprint
                    ));
                }
                position::load(position)?
            }
        };
        let disk: Arc<dyn Disk> = cx.disk.clone();
        let mut files = Files::new(config.path.clone(), config.follow, disk, cx.events.clone(), marks);
        files.scan()?;
        if files.list.is_empty() && !config.follow {
            return Err(Error::config(format!(
                "no file matches {}; check the path, or set `follow = true` to wait for one",
                config.path
            )));
        }
        let mut progress = Progress::default();
        for known in files.list.iter().filter(|_| !config.follow) {
            let info =
                cx.disk.info(&known.mark.path).map_err(|error| read_error(&known.mark.path, error, false))?;
            progress.done += known.mark.offset;
            progress.total += info.map_or(0, |info| info.len);
        }
        Ok(Reader {
            limits: cx.limits,
            events: cx.events.clone(),
            config,
            files,
            cursor: 0,
            open: None,
            entered: false,
            scan_due: false,
            moved: false,
            progress,
        })
    }

    /// Reads on, into the empty `batch`. After an error that may heal, the next step goes on from the same place.
    pub(super) fn step(&mut self, batch: Batch<Record>) -> Result<Step> {
        let step = self.try_step(batch);
        if step.is_err() {
            // What the window holds may not be what the mark says.
            if let Some(open) = self.open.take() {
                self.files.unsee(open.id);
            }
            self.entered = false;
        }
        step
    }

    fn try_step(&mut self, mut batch: Batch<Record>) -> Result<Step> {
        if self.scan_due {
            self.files.scan()?;
            self.scan_due = false;
        }
        while self.cursor < self.files.list.len() {
            if self.entered || self.enter()? {
                self.entered = true;
                let rejects = self.read(&mut batch)?;
                if !batch.is_empty() || !rejects.is_empty() {
                    let position = self.position()?;
                    return Ok(Step::Pulled(Pulled { batch, rejects, position, seal: false }));
                }
            }
            self.leave();
        }
        if self.config.follow {
            (self.cursor, self.scan_due) = (0, true);
            return Ok(Step::Dry(self.position()?));
        }
        if self.moved {
            let position = self.position()?;
            return Ok(Step::Pulled(Pulled { batch, rejects: Rejects::new(), position, seal: false }));
        }
        self.events.progress(self.progress.total, Some(self.progress.total));
        Ok(Step::End)
    }

    /// Opens the file at the cursor if there is more in it.
    fn enter(&mut self) -> Result<bool> {
        let (file, grown) = match self.files.visit(self.cursor)? {
            Visit::Nothing => return Ok(false),
            Visit::More(file) => (file, true),
            Visit::Rewound(file) => (file, false),
        };
        let mark = &self.files.list[self.cursor].mark;
        // A file that grew is read on with what is in memory of its last item.
        if grown && self.open.as_ref().is_some_and(|open| open.id == mark.id) {
            return Ok(true);
        }
        let name = mark.path.display().to_string();
        let decoder = self.config.format.decoder(DecoderOptions { strict: self.config.strict });
        let mut decoder = decoder.ok_or_else(|| Error::config("in `format`: this form is only written"))?;
        match self.config.format.resumption() {
            _ if mark.offset == 0 => {}
            Resumption::Items => {}
            Resumption::Header => self.read_header(&file, &name, &mut *decoder)?,
            Resumption::Everything => self.read_again(&file, mark.offset, &name, &mut *decoder)?,
        }
        let window = Window::new(file.clone(), mark.offset, self.config.format);
        self.open = Some(Open { id: mark.id, name, file, window, decoder });
        Ok(true)
    }

    /// Gives the decoder the header of a file that is read from its middle. What was to be said of it was said when it
    /// was read first.
    fn read_header(&self, file: &Arc<dyn DiskFile>, name: &str, decoder: &mut dyn Decoder) -> Result<()> {
        let mut window = Window::new(file.clone(), 0, self.config.format);
        let limits = Limits { records: 1, bytes: 1 };
        let fail = |error| read_error(name.as_ref(), error, self.config.follow);
        while let Found::Items(range) = window.next(limits, true).map_err(fail)? {
            let item = &window.bytes()[range];
            decoder.decode(item, Location { name, line: 1 }, &mut Batch::new(), &mut Rejects::new());
            if !item.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Gives the decoder everything before `end` of a file that is read from its middle. What came of it was given before.
    fn read_again(
        &self,
        file: &Arc<dyn DiskFile>,
        end: u64,
        name: &str,
        decoder: &mut dyn Decoder,
    ) -> Result<()> {
        let (mut batch, mut rejects) = (Batch::new(), Rejects::new());
        let (mut at, mut line) = (0, 1);
        let mut buffer = vec![0; READ_BYTES];
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(READ_BYTES).min(READ_BYTES);
            let read = file.read_at(at, &mut buffer[..wanted]);
            let read = read.map_err(|error| read_error(name.as_ref(), error, self.config.follow))?;
            if read == 0 {
                // It was looked at a moment ago, and had as much; the next look finds out.
                return Err(Error::transient(format!("{name} became shorter while it was read")));
            }
            decoder.decode(&buffer[..read], Location { name, line }, &mut batch, &mut rejects);
            batch.clear();
            rejects.clear();
            line += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
            at += read as u64;
        }
        Ok(())
    }

    /// Goes on to the next file.
    fn leave(&mut self) {
        self.entered = false;
        if self.files.leave(self.cursor) {
            self.cursor += 1;
        }
    }

    /// Reads the next records of the open file into `batch`, and the next rejects; none of either at its end.
    fn read(&mut self, batch: &mut Batch<Record>) -> Result<Rejects> {
        let open = self.open.as_mut().expect("the caller opened it");
        let known = &mut self.files.list[self.cursor];
        let fail = |error| read_error(open.name.as_ref(), error, self.config.follow);
        loop {
            let found = open.window.next(self.limits, !self.config.follow).map_err(fail)?;
            known.seen = open.window.seen();
            let mut rejects = Rejects::new();
            let (bytes, lines) = match found {
                Found::End => return Ok(rejects),
                Found::Items(range) => {
                    let items = &open.window.bytes()[range];
                    let at = Location { name: &open.name, line: known.mark.line };
                    open.decoder.decode(items, at, batch, &mut rejects);
                    batch.add_bytes(items.len());
                    (items.len() as u64, memchr::memchr_iter(b'\n', items).count() as u64)
                }
                Found::TooLong { head, length, lines, crc } => {
                    let reason = format!(
                        "expected a line of at most {} MiB, found one of {} bytes",
                        MAX_ITEM_BYTES >> 20,
                        length
                    );
                    let location = format!("{}:{}", open.name, known.mark.line);
                    rejects.push(Reject::too_long(&head, length, crc, reason, location));
                    (length, lines)
                }
            };
            // Before the mark moves: nothing may fail between that and giving the records.
            let length = open.file.info().map_err(fail)?.len;
            known.mark.offset += bytes;
            known.mark.line += lines;
            known.mark.done = length == known.mark.offset;
            if known.mark.done && !self.config.follow {
                let at = Location { name: &open.name, line: known.mark.line };
                open.decoder.finish(at, batch, &mut rejects);
            }
            self.moved = true;
            self.progress.add(bytes, &self.events, self.config.follow);
            if !batch.is_empty() || !rejects.is_empty() {
                return Ok(rejects);
            }
        }
    }

    /// Where the files are that were begun. Those that were not are found again.
    fn position(&mut self) -> Result<Position> {
        self.moved = false;
        let begun = self.files.list.iter().map(|known| &known.mark).filter(|mark| mark.offset > 0);
        position::save(&self.config.path, begun)
    }
}

impl Progress {
    fn add(&mut self, bytes: u64, events: &StageEvents, follow: bool) {
        self.done += bytes;
        if !follow && self.done - self.reported >= PROGRESS_BYTES {
            self.reported = self.done;
            events.progress(self.done, Some(self.total.max(self.done)));
        }
    }
}
