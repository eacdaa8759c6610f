//! [`Documents`]: hands the parts of documents to their dialect.

use std::fmt;

use afferent_core::{Batch, Kind, Record, RecordId, Reject, Rejects, reject::HEAD_BYTES};

use super::{
    MAX_PART_BYTES,
    walk::{Found, Shape, Walk, What, is_space},
};
use crate::{Decoder, DecoderOptions, Location, wire::printable};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What tells the documents of one dialect from those of another.
pub(crate) trait Dialect: fmt::Debug + Send {
    /// Which values hold records.
    fn shape(&self) -> Shape;

    /// A whole part.
    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>);

    /// A value that says something of the parts around it.
    fn note(&mut self, number: u8, text: &str) {
        let _ = (number, text);
    }

    /// The end of an array or object that was gone into.
    fn leave(&mut self, state: u8, out: &mut Out<'_>) {
        let _ = (state, out);
    }

    /// The document broke off: what waits for something behind it waits in vain.
    fn give_up(&mut self, out: &mut Out<'_>) {
        let _ = out;
    }
}

/// Where the records of a part go, and what is none.
pub(crate) struct Out<'a> {
    records: &'a mut Batch<Record>,
    rejects: &'a mut Rejects,
    place: Place<'a>,
}

/// Where a part began; a line is only counted for a reject.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    line: u64,
    before: &'a [u8],
}

impl Out<'_> {
    pub(crate) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Rejects `payload`, which is a document of its own.
    pub(crate) fn reject(
        &mut self,
        payload: &[u8],
        reason: impl Into<String>,
        id: Option<RecordId>,
        kind: Option<Kind>,
    ) {
        let mut reject = Reject::raw(payload, reason, self.place.location());
        reject.key = id.map(|id| id.to_string());
        reject.kind = kind;
        self.rejects.push(reject);
    }
}

impl Place<'_> {
    fn location(&self) -> String {
        let line = self.line + memchr::memchr_iter(b'\n', self.before).count() as u64;
        format!("{}:{line}", self.name)
    }
}

/// Reads documents of the dialect `D`; see the module's documentation.
#[derive(Debug)]
pub(crate) struct Documents<D> {
    dialect: D,
    strict: bool,
    walk: Walk,
    /// What was read of the part that is open, and the line it began in.
    kept: Vec<u8>,
    line: u64,
    /// Instead, of a part that is too long.
    long: Option<Long>,
    began: bool,
    /// How many bytes of a mark the input has begun with, if it has not gone on yet.
    mark: usize,
}

#[derive(Debug)]
struct Long {
    head: Vec<u8>,
    length: u64,
    crc: u32,
    line: u64,
}

impl Long {
    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }
}

impl<D: Dialect> Documents<D> {
    pub(crate) fn new(dialect: D, options: DecoderOptions) -> Documents<D> {
        Documents {
            walk: Walk::new(dialect.shape()),
            dialect,
            strict: options.strict,
            kept: Vec::new(),
            line: 1,
            long: None,
            began: false,
            mark: 0,
        }
    }

    /// Goes through `bytes` from `at` on, where the first byte is in line `line`.
    fn read(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        place: Place<'_>,
        records: &mut Batch<Record>,
        rejects: &mut Rejects,
    ) {
        loop {
            let found = self.walk.next(bytes, &mut at);
            let at_begin = |begin: usize| Place { before: &bytes[..begin], ..place };
            match found {
                Found::More => return,
                Found::Left(state) => {
                    let place = at_begin(at);
                    self.dialect.leave(state, &mut Out { records, rejects, place });
                }
                Found::Value(what, range) => {
                    let mut out = Out { records, rejects, place: at_begin(range.start) };
                    match self.long.take() {
                        Some(mut long) => {
                            long.add(&bytes[range]);
                            out.place = Place { line: long.line, before: &[], ..place };
                            self.too_long(what, long, &mut out);
                        }
                        None => self.value(what, &bytes[range], &mut out),
                    }
                }
            }
        }
    }

    fn value(&mut self, what: What, bytes: &[u8], out: &mut Out<'_>) {
        if what == What::Broken {
            self.dialect.give_up(out);
            out.reject(bytes, "expected JSON, found another text, or a document that breaks off", None, None);
            return;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to() + 1;
                let reason = format!("expected UTF-8, found another byte at byte {at} of the part");
                out.reject(bytes, reason, None, None);
                return;
            }
        };
        match what {
            What::Part(number) => self.dialect.part(number, text, out),
            What::Note(number) => self.dialect.note(number, text),
            What::Unknown | What::Broken => self.unknown(text, out),
        }
    }

    fn unknown(&mut self, text: &str, out: &mut Out<'_>) {
        let is_filled = text.starts_with(['{', '['])
            && text.bytes().skip(1).any(|byte| !is_space(byte) && !matches!(byte, b'}' | b']'));
        if is_filled || self.strict || self.walk.is_outside() {
            let reason = match self.walk.key() {
                "" => "expected a document of this format, found another value".to_owned(),
                key => format!("expected a part of this format, found `{}`", printable(key)),
            };
            out.reject(text.as_bytes(), reason, None, None);
        }
    }

    fn too_long(&mut self, what: What, long: Long, out: &mut Out<'_>) {
        if what == What::Broken {
            self.dialect.give_up(out);
        }
        let Long { head, length, crc, .. } = long;
        let reason =
            format!("expected a part of at most {} MiB, found one of {length} bytes", MAX_PART_BYTES >> 20);
        out.rejects.push(Reject::too_long(&head, length, crc, reason, out.place.location()));
    }

    /// Keeps what `bytes` begins with of a part that does not end in it.
    fn keep(&mut self, bytes: &[u8]) {
        match &mut self.long {
            Some(long) => long.add(bytes),
            None if bytes.len() > MAX_PART_BYTES => {
                let head = bytes[..HEAD_BYTES].to_vec();
                let mut long = Long { head, length: 0, crc: 0, line: self.line };
                long.add(bytes);
                self.long = Some(long);
            }
            None => {
                self.kept.extend_from_slice(bytes);
            }
        }
        self.walk.rebase();
    }
}

impl<D: Dialect> Decoder for Documents<D> {
    fn decode(&mut self, bytes: &[u8], at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        if bytes.is_empty() {
            return;
        }
        let joined;
        let bytes = if self.began {
            bytes
        } else {
            let seen = std::mem::take(&mut self.mark);
            let rest = &BOM[seen..];
            if bytes.len() < rest.len() && rest.starts_with(bytes) {
                self.mark = seen + bytes.len();
                return;
            }
            match bytes.strip_prefix(rest) {
                Some(bytes) => bytes,
                None if seen == 0 => bytes,
                None => {
                    joined = [&BOM[..seen], bytes].concat();
                    &joined
                }
            }
        };
        self.began = true;
        let is_kept = !self.kept.is_empty();
        let mut kept = std::mem::take(&mut self.kept);
        // All that is read, from where the open part began.
        let (all, from, line) = if is_kept {
            let from = kept.len();
            kept.extend_from_slice(bytes);
            (kept.as_slice(), from, self.line)
        } else {
            (bytes, 0, at.line)
        };
        self.read(all, from, Place { name: at.name, line, before: &[] }, out, rejects);
        if let Some(begin) = self.walk.open() {
            if self.long.is_none() {
                self.line = line + memchr::memchr_iter(b'\n', &all[..begin]).count() as u64;
            }
            if is_kept && begin == 0 && all.len() <= MAX_PART_BYTES {
                self.kept = kept;
            } else {
                self.keep(&all[begin..]);
            }
        }
    }

    fn finish(&mut self, at: Location<'_>, records: &mut Batch<Record>, rejects: &mut Rejects) {
        // What only began like a mark is none.
        let begun = &BOM[..std::mem::take(&mut self.mark)];
        self.began = true;
        self.decode(begun, at, records, rejects);
        let kept = std::mem::take(&mut self.kept);
        let is_open = self.walk.open().is_some();
        let line = if is_open { self.line } else { at.line };
        let ended = self.walk.end(kept.len());
        let mut out = Out { records, rejects, place: Place { name: at.name, line, before: &[] } };
        match (ended, self.long.take()) {
            (None, _) => {}
            (Some((what, _)), Some(long)) => self.too_long(what, long, &mut out),
            (Some((what, range)), None) => self.value(what, &kept[range], &mut out),
        }
        self.began = false;
    }
}
