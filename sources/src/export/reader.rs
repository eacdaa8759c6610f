//! The reader's thread: inflate, cut into elements, convert, queue.

use std::{io::Read, ops::Range, path::PathBuf};

use afferent_core::{
    Batch, Error, Limits, Record, Reject, Rejects, Result, Value,
    event::StageEvents,
    queue::{Sender, Weigh},
    reject::HEAD_BYTES,
};
use tokio::sync::oneshot;

use super::{
    convert::{Converter, Failure, Made, Rules},
    element::{Frame, Passing, ROOT, Reason, next_frame},
    locate::{Located, read_error},
    position::Place,
    prolog::{self, Found},
    skipped::{Skip, Skipped},
    window::{MAX_ELEMENT_BYTES, Window},
};

/// Bytes of XML after which a place goes out though no batch is full, so that a filter that drops nearly everything
/// does not keep the position, and with it a restart, more than a second behind.
const BYTES_BETWEEN_PLACES: u64 = 64 << 20;

/// What the thread needs.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) path: PathBuf,
    pub(super) rules: Rules,
    pub(super) limits: Limits,
    /// Where to resume, in the export with this fingerprint.
    pub(super) resume: Option<(String, Place)>,
    pub(super) events: StageEvents,
    /// Whether to tell at the end what was passed over.
    pub(super) tells_skipped: bool,
}

/// What the thread found when it opened the export.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fingerprint: String,
    /// Bytes of XML.
    pub(super) size: u64,
    /// Where it begins.
    pub(super) place: Place,
}

/// Records and what could not be read as one, up to a place.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) batch: Batch<Record>,
    pub(super) rejects: Rejects,
    pub(super) place: Place,
    /// The epoch is to be closed behind it.
    pub(super) seal: bool,
}

impl Weigh for Chunk {
    fn records(&self) -> usize {
        self.batch.len() + self.rejects.len()
    }
    fn bytes(&self) -> usize {
        self.batch.bytes() + self.rejects.iter().map(Reject::bytes).sum::<usize>()
    }
}

/// Why the thread ends before the end of the export.
enum Stop {
    /// Nobody takes what it reads.
    Closed,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Reads the export to its end or until the queue is closed.
///
/// # Errors
/// `Config`, `State` or `Transient`, after everything good before it was queued.
pub(super) fn run(task: Task, opened: oneshot::Sender<Opened>, queue: Sender<Chunk>) -> Result<()> {
    let Task { path, rules, limits, resume, events, tells_skipped } = task;
    let mut located = Located::open(&path)?;
    let beside = located.beside()?;
    let place = match resume {
        Some((fingerprint, place)) if fingerprint == located.fingerprint => {
            let Located { label, size, .. } = &located;
            events.notice(format!("going on in {label} at byte {} of {size}", place.offset));
            place
        }
        Some(_) => {
            events.notice(format!("another export stands at {}; it is read whole", path.display()));
            Place::default()
        }
        None => Place::default(),
    };
    let found = Opened { fingerprint: located.fingerprint.clone(), size: located.size, place: place.clone() };
    if opened.send(found).is_err() {
        return Ok(());
    }
    let label = located.label.clone();
    let path = located.path.clone();
    let others = located.others;
    let (input, discard) = located.read_from(place.offset)?;
    let window = Window::new(input, place.offset - discard);
    let is_first = place == Place::default();
    let mut out = Output::new(queue, limits, place);
    if is_first && others > 0 {
        out.place.skipped.add_many(Skip::OtherExport, others);
        events
            .notice(format!("{others} more in the same place, each smaller than {label}, will not be read"));
    }
    let converter = Converter::new(rules, beside);
    let mut reader = Reader { path, label, window, converter, out, events, made: Made::default() };
    match reader.read(discard) {
        Ok(()) => {
            if tells_skipped {
                reader.tell_skipped();
            }
            Ok(())
        }
        Err(Stop::Closed) => Ok(()),
        Err(Stop::Failed(error)) => {
            // What is good before the failure goes out; if nobody takes it any more, nobody hears of the error.
            let _ = reader.out.flush(true);
            Err(error)
        }
    }
}

struct Reader<R> {
    path: PathBuf,
    label: String,
    window: Window<R>,
    converter: Converter,
    out: Output,
    events: StageEvents,
    /// What the element at hand gave.
    made: Made,
}

impl<R: Read> Reader<R> {
    fn read(&mut self, discard: u64) -> Result<(), Stop> {
        self.read_electrocardiograms()?;
        if self.out.place.offset > 0 {
            self.discard(discard)?;
            self.read_elements()?;
        } else if self.enter_root()? {
            self.read_elements()?;
        }
        // Before the last records go out, so that they are sealed if the checksum is wrong.
        self.read_rest()?;
        let Place { named, skipped, .. } = &mut self.out.place;
        // Once: a place behind the end may be resumed from.
        if let Some(named) = named.take() {
            self.converter.count_unnamed(&named, skipped)?;
            self.out.has_moved = true;
        }
        self.out.flush(false)
    }

    /// Reads the recordings beside the document, from the first that was not given.
    fn read_electrocardiograms(&mut self) -> Result<(), Stop> {
        for name in self.converter.electrocardiograms()? {
            if self.out.place.recording.as_ref().is_some_and(|last| name <= *last) {
                continue;
            }
            self.out.check_taken()?;
            self.converter.electrocardiogram(&name, &mut self.made)?;
            self.out.name(self.converter.take_named());
            self.out.push_recording(&mut self.made, name)?;
        }
        Ok(())
    }

    /// Passes over everything up to and with the root's own tag; `false` if nothing can stand in it (`<HealthData/>`).
    fn enter_root(&mut self) -> Result<bool, Stop> {
        self.window.refill(0);
        let Found::Export(start) = prolog::find_root(self.window.bytes()) else {
            // It was there when the file was opened.
            return Err(self.cut_short());
        };
        let Some(end) = memchr::memchr(b'>', &self.window.bytes()[start..]) else {
            return Err(self.cut_short());
        };
        let is_empty = self.window.bytes()[..start + end].ends_with(b"/");
        self.window.drop_front(start + end + 1);
        Ok(!is_empty)
    }

    /// Passes over the first `bytes` of the input, unparsed.
    fn discard(&mut self, mut bytes: u64) -> Result<(), Stop> {
        while bytes > 0 {
            self.out.check_taken()?;
            if self.window.has_ended() {
                return Err(self.cut_short());
            }
            self.window.refill(0);
            let used = self.window.bytes().len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.window.drop_front(used);
            bytes -= used as u64;
        }
        Ok(())
    }

    /// Reads the elements under the root, up to the end of the root.
    fn read_elements(&mut self) -> Result<(), Stop> {
        let mut at = 0;
        loop {
            match next_frame(self.window.bytes(), at) {
                Frame::Element(range, tag_len) => {
                    at = range.end;
                    self.read_element(range, tag_len)?;
                }
                Frame::Broken(range, reason) => {
                    at = range.end;
                    self.reject(range, reason.into())?;
                }
                Frame::End => return Ok(()),
                Frame::More(_) if self.window.has_ended() => return Err(self.cut_short()),
                Frame::More(0) if self.window.is_full() => {
                    self.pass_over()?;
                    at = 0;
                }
                Frame::More(start) => {
                    self.out.check_taken()?;
                    self.window.refill(start);
                    at = 0;
                }
            }
        }
    }

    /// Reads the whole element at `range` in the window, whose first tag is `tag_len` long.
    fn read_element(&mut self, range: Range<usize>, tag_len: usize) -> Result<(), Stop> {
        let end = self.window.offset() + range.end as u64;
        match self.converter.convert(&self.window.bytes()[range.clone()], tag_len, &mut self.made) {
            Ok(()) => {
                if let Some(date) = self.made.exported.take() {
                    self.events.notice(format!("reading {}, exported {date}", self.label));
                }
                self.out.push_made(&mut self.made, range.len())?;
                let routes = std::mem::take(&mut self.made.routes);
                for route in routes {
                    self.out.check_taken()?;
                    self.converter.named_route(route, &mut self.made)?;
                    self.out.push_made(&mut self.made, 0)?;
                }
                self.out.name(self.converter.take_named());
                self.out.pass(end)
            }
            Err(Failure::Bad(reason)) => {
                self.made.clear();
                self.reject(range, reason)
            }
            Err(Failure::Failed(error)) => Err(error.into()),
        }
    }

    /// Rejects what stands at `range` in the window.
    fn reject(&mut self, range: Range<usize>, reason: Reason) -> Result<(), Stop> {
        let offset = self.window.offset();
        let location = location(&self.label, offset + range.start as u64);
        let end = offset + range.end as u64;
        self.out.reject(Reject::raw(&self.window.bytes()[range], reason, location), end)
    }

    /// Passes over the element at the beginning of the window, which is longer than one may be.
    fn pass_over(&mut self) -> Result<(), Stop> {
        let start = self.window.offset();
        let head = self.window.bytes()[..HEAD_BYTES].to_vec();
        let mut passing = Passing::default();
        let used = loop {
            self.out.check_taken()?;
            match passing.feed(self.window.bytes()) {
                Some(used) => break used,
                None if self.window.has_ended() => return Err(self.cut_short()),
                None => self.window.refill(self.window.bytes().len()),
            }
        };
        self.window.drop_front(used);
        let reason = format!("the element is longer than {} MiB", MAX_ELEMENT_BYTES >> 20);
        let reject =
            Reject::too_long(&head, passing.length, passing.crc, reason, location(&self.label, start));
        self.out.reject(reject, self.window.offset())
    }

    /// Reads what follows the root, so that the checksum of a zip is verified.
    fn read_rest(&mut self) -> Result<(), Stop> {
        while !self.window.has_ended() {
            self.out.check_taken()?;
            self.window.refill(self.window.bytes().len());
        }
        match self.window.take_failure() {
            Some(error) => Err(read_error(&self.path, &self.label, self.end_of_input(), error).into()),
            None => Ok(()),
        }
    }

    /// The error of an input that ended before the root did.
    fn cut_short(&mut self) -> Stop {
        let end = self.end_of_input();
        match self.window.take_failure() {
            Some(error) => read_error(&self.path, &self.label, end, error).into(),
            None => Error::state(format!(
                "{} ends at byte {end} in the middle of the document: expected </{ROOT}>; what came before is kept; \
                 copy or unzip it again, or export again on the phone",
                self.label
            ))
            .into(),
        }
    }

    fn end_of_input(&self) -> u64 {
        self.window.offset() + self.window.bytes().len() as u64
    }

    /// Says what was passed over though somebody may want it.
    fn tell_skipped(&self) {
        let skipped = self.out.place.skipped.iter();
        let told: Vec<String> = skipped
            .filter(|(skip, _)| {
                !matches!(skip, Skip::NotWanted | Skip::Characteristics | Skip::ClinicalSummary)
            })
            .map(|(skip, count)| format!("{skip}: {count}"))
            .collect();
        if !told.is_empty() {
            self.events.notice(format!("passed over in {}: {}", self.label, told.join("; ")));
        }
    }
}

/// Bytes of a record that were read from a file beside the document.
fn bytes_beside(record: &Record) -> usize {
    match &record.value {
        Value::Route(route) => size_of_val(&*route.locations),
        Value::Electrocardiogram(ecg) => size_of_val(&*ecg.voltages),
        Value::Clinical(clinical) => clinical.document.as_ref().map_or(0, |document| document.len()),
        _ => 0,
    }
}

fn location(label: &str, offset: u64) -> String {
    format!("{label}:{offset}")
}

/// What is read and not yet queued.
struct Output {
    queue: Sender<Chunk>,
    limits: Limits,
    batch: Batch<Record>,
    rejects: Rejects,
    reject_bytes: usize,
    /// Behind what is in `batch` and `rejects`.
    place: Place,
    /// What the element at hand passed over; it counts when the element is dealt with.
    skipped: Skipped,
    /// How many records and rejects of it there were so far.
    seen: u32,
    /// The offset that was last queued.
    sent: u64,
    /// Whether something but the offset has moved on since something was queued: a recording, what was passed over.
    has_moved: bool,
}

impl Output {
    fn new(queue: Sender<Chunk>, limits: Limits, place: Place) -> Output {
        Output {
            queue,
            limits,
            batch: Batch::new(),
            rejects: Rejects::new(),
            reject_bytes: 0,
            skipped: Skipped::default(),
            seen: 0,
            sent: place.offset,
            has_moved: false,
            place,
        }
    }

    /// Takes what an element of `bytes` gave, without what was given of it before a restart.
    fn push_made(&mut self, made: &mut Made, bytes: usize) -> Result<(), Stop> {
        let mut weight = bytes;
        for record in made.records.drain(..) {
            let weight = std::mem::take(&mut weight) + bytes_beside(&record);
            if self.is_new() {
                self.push_record(record, weight)?;
                self.place.given = self.seen;
            }
        }
        for reject in made.rejects.drain(..) {
            if self.is_new() {
                self.push_reject(reject)?;
                self.place.given = self.seen;
            }
        }
        self.skipped.take(&mut made.skipped);
        Ok(())
    }

    /// Whether the next record or reject of the element at hand was not given before a restart.
    fn is_new(&mut self) -> bool {
        self.seen += 1;
        self.seen > self.place.given
    }

    /// Takes what the recording called `name` gave: a record, a reject, or nothing.
    fn push_recording(&mut self, made: &mut Made, name: String) -> Result<(), Stop> {
        for record in made.records.drain(..) {
            let weight = bytes_beside(&record);
            self.push_record(record, weight)?;
        }
        for reject in made.rejects.drain(..) {
            self.push_reject(reject)?;
        }
        self.place.skipped.take(&mut made.skipped);
        self.place.recording = Some(name);
        self.has_moved = true;
        Ok(())
    }

    /// The element at hand names these files beside the document.
    fn name(&mut self, files: impl Iterator<Item = u32>) {
        if let Some(named) = &mut self.place.named {
            named.extend(files);
        }
    }

    fn push_record(&mut self, record: Record, weight: usize) -> Result<(), Stop> {
        self.make_room(weight)?;
        self.batch.push(record);
        self.batch.add_bytes(weight);
        Ok(())
    }

    fn reject(&mut self, reject: Reject, end: u64) -> Result<(), Stop> {
        self.push_reject(reject)?;
        self.pass(end)
    }

    fn push_reject(&mut self, reject: Reject) -> Result<(), Stop> {
        self.make_room(reject.bytes())?;
        self.reject_bytes += reject.bytes();
        self.rejects.push(reject);
        Ok(())
    }

    /// The element that ends at `end` is dealt with.
    fn pass(&mut self, end: u64) -> Result<(), Stop> {
        self.place.offset = end;
        (self.place.given, self.seen) = (0, 0);
        self.place.skipped.take(&mut self.skipped);
        if end - self.sent >= BYTES_BETWEEN_PLACES { self.flush(true) } else { Ok(()) }
    }

    /// Queues the batch if `bytes` more don't fit.
    ///
    /// It is queued before the next record and not when it is full, and whatever else is queued is sealed: so when
    /// the export fails, the last good records are still here or sealed, never in an epoch that the failure undoes.
    fn make_room(&mut self, bytes: usize) -> Result<(), Stop> {
        let records = self.batch.len() + self.rejects.len();
        let is_full = records >= self.limits.records
            || records > 0 && self.batch.bytes() + self.reject_bytes + bytes > self.limits.bytes;
        if is_full { self.flush(false) } else { Ok(()) }
    }

    fn flush(&mut self, seal: bool) -> Result<(), Stop> {
        if self.batch.is_empty()
            && self.rejects.is_empty()
            && self.sent == self.place.offset
            && !self.has_moved
        {
            return Ok(());
        }
        // An empty sealed pull would say that the source is drained.
        let seal = seal && !(self.batch.is_empty() && self.rejects.is_empty());
        let room = self.batch.len();
        let chunk = Chunk {
            batch: std::mem::replace(&mut self.batch, Batch::with_capacity(room)),
            rejects: std::mem::take(&mut self.rejects),
            place: self.place.clone(),
            seal,
        };
        self.reject_bytes = 0;
        self.sent = self.place.offset;
        self.has_moved = false;
        self.queue.blocking_send(chunk).map_err(|_| Stop::Closed)
    }

    /// Stops when nobody takes what is read, also where nothing is queued for long.
    fn check_taken(&self) -> Result<(), Stop> {
        if self.queue.is_closed() { Err(Stop::Closed) } else { Ok(()) }
    }
}
