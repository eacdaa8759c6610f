//! [`Walk`]: goes through JSON documents that come in pieces, and says where their parts are.

use std::ops::Range;

/// What a value is, by the state of what it lies in and its key there.
pub(crate) type Shape = fn(u8, Step<'_>) -> Visit;

/// The state outside of all documents, whose elements are the documents.
pub(crate) const ROOT: u8 = 0;

/// Where a value lies in what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'k> {
    /// Behind this key of an object.
    Key(&'k str),
    /// In an array, or, in [`ROOT`], a document.
    Element,
}

/// What to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Go into the array or object, whose state this is. A text in its place is a part with this number.
    Enter(u8),
    /// A part with this number.
    Part(u8),
    /// Of a first key: the object that it is in is a part with this number.
    Whole(u8),
    /// A part with this number that holds no record and may be left out.
    Note(u8),
    /// Nothing that is known.
    Unknown,
}

/// What a range of the input was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Part(u8),
    Note(u8),
    /// A value that is not known.
    Unknown,
    /// From the first byte that can't be there.
    Broken,
}

/// What is found next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole value.
    Value(What, Range<usize>),
    /// The end of what has this state.
    Left(u8),
    /// Nothing more in this piece.
    More,
}

/// Longest key that a dialect knows, and more: longer ones are not kept.
const MAX_KEY_BYTES: usize = 64;

/// Where it is in a document. The depth is bounded by the shape: what no shape goes into is only counted.
#[derive(Debug)]
pub(super) struct Walk {
    shape: Shape,
    levels: Vec<Level>,
    place: Place,
    key: Vec<u8>,
    /// What the value that it is in is, and where that began in the piece, or in what is kept of the ones before.
    open: Option<(What, usize)>,
    /// The byte before this one was a line end between values.
    at_line: bool,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    state: u8,
    is_object: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a value, or before the end of the array.
    Value {
        may_end: bool,
    },
    /// Before a key, or before the end of the object. Its first key says whether the object that began there is a part.
    Key {
        first: Option<usize>,
        may_end: bool,
    },
    InKey {
        first: Option<usize>,
        escaped: bool,
    },
    Colon {
        first: Option<usize>,
    },
    /// After a value.
    After,
    /// In a value that is not gone into, at this depth of its arrays and objects.
    Inside {
        depth: usize,
        quoted: bool,
        escaped: bool,
    },
    /// In a number or a word.
    Word,
    /// Behind what can't be there, with the last byte.
    Broken {
        last: u8,
    },
}

impl Walk {
    pub(super) fn new(shape: Shape) -> Walk {
        Walk {
            shape,
            levels: Vec::new(),
            place: Place::Value { may_end: false },
            key: Vec::new(),
            open: None,
            at_line: true,
        }
    }

    /// Whether it is between two documents.
    pub(super) fn is_outside(&self) -> bool {
        self.levels.is_empty() && matches!(self.place, Place::Value { .. })
    }

    /// Where the value that is open, or the object that may be one, began.
    pub(super) fn open(&self) -> Option<usize> {
        match self.place {
            Place::Key { first, .. } | Place::InKey { first, .. } | Place::Colon { first } => first,
            _ => self.open.map(|(_, begin)| begin),
        }
    }

    /// What is open began at the beginning of what comes next: what is before it was given up.
    pub(super) fn rebase(&mut self) {
        match &mut self.place {
            Place::Key { first, .. } | Place::InKey { first, .. } | Place::Colon { first } => {
                *first = first.map(|_| 0);
            }
            _ => self.open = self.open.map(|(what, _)| (what, 0)),
        }
    }

    /// Goes on from `at` to what is found next.
    pub(super) fn next(&mut self, bytes: &[u8], at: &mut usize) -> Found {
        while *at < bytes.len() {
            let byte = bytes[*at];
            match self.place {
                Place::Inside { .. } => {
                    if self.inside(bytes, at) {
                        return self.close(*at);
                    }
                }
                Place::Word => {
                    let is_over = |byte: &u8| {
                        matches!(byte, b',' | b']' | b'}' | b'"' | b'[' | b'{' | b':') || is_space(*byte)
                    };
                    match bytes[*at..].iter().position(is_over) {
                        Some(length) => {
                            *at += length;
                            return self.close(*at);
                        }
                        None => *at = bytes.len(),
                    }
                }
                Place::Broken { last } => {
                    if last == b'\n' && matches!(byte, b'{' | b'[') {
                        self.levels.clear();
                        return self.close(*at);
                    }
                    self.place = Place::Broken { last: byte };
                    *at += 1;
                }
                Place::InKey { first, escaped } => {
                    *at += 1;
                    self.place = match byte {
                        b'"' if !escaped => Place::Colon { first },
                        _ => {
                            // One that is longer is cut, and then is none that is known.
                            if self.key.len() <= MAX_KEY_BYTES {
                                self.key.push(byte);
                            }
                            Place::InKey { first, escaped: byte == b'\\' && !escaped }
                        }
                    };
                }
                _ if is_space(byte) => {
                    *at += 1;
                    self.at_line = byte == b'\n';
                    continue;
                }
                Place::Value { may_end } => {
                    if let Some(found) = self.value(byte, may_end, at) {
                        return found;
                    }
                }
                Place::Key { first, may_end } => {
                    *at += 1;
                    match byte {
                        b'"' => {
                            self.key.clear();
                            self.place = Place::InKey { first, escaped: false };
                        }
                        b'}' if may_end => return self.leave(),
                        _ => self.break_at(first.unwrap_or(*at - 1), at, byte),
                    }
                }
                Place::Colon { first } => {
                    *at += 1;
                    if byte != b':' {
                        self.break_at(first.unwrap_or(*at - 1), at, byte);
                    } else if let (Some(begin), Visit::Whole(number)) = (first, self.visit()) {
                        self.levels.pop();
                        self.open = Some((What::Part(number), begin));
                        self.place = Place::Inside { depth: 1, quoted: false, escaped: false };
                    } else {
                        self.place = Place::Value { may_end: false };
                    }
                }
                Place::After => {
                    *at += 1;
                    let is_object = self.levels.last().is_some_and(|level| level.is_object);
                    match byte {
                        b',' if is_object => self.place = Place::Key { first: None, may_end: false },
                        b',' => self.place = Place::Value { may_end: false },
                        b'}' if is_object => return self.leave(),
                        b']' if !is_object => return self.leave(),
                        _ => self.break_at(*at - 1, at, byte),
                    }
                }
            }
            self.at_line = false;
        }
        Found::More
    }

    /// There is nothing more: what is open ends here. `None` if nothing is.
    pub(super) fn end(&mut self, at: usize) -> Option<(What, Range<usize>)> {
        let begin = self.open();
        let what = match (self.place, self.open) {
            // A number has no end of its own.
            (Place::Word, Some((what, _))) if self.levels.is_empty() => what,
            _ => What::Broken,
        };
        let was_outside = self.is_outside();
        self.levels.clear();
        self.open = None;
        self.place = Place::Value { may_end: false };
        (!was_outside).then(|| (what, begin.unwrap_or(at)..at))
    }

    /// What the value behind the key, or the next element, is.
    fn visit(&self) -> Visit {
        let Some(level) = self.levels.last() else { return (self.shape)(ROOT, Step::Element) };
        if !level.is_object {
            return (self.shape)(level.state, Step::Element);
        }
        // Escapes in a key are kept as they are: no key that is known has one.
        std::str::from_utf8(&self.key).map_or(Visit::Unknown, |key| (self.shape)(level.state, Step::Key(key)))
    }

    /// The key of the value that was found last, if it has one.
    pub(super) fn key(&self) -> &str {
        let is_in_object = self.levels.last().is_some_and(|level| level.is_object);
        if is_in_object { std::str::from_utf8(&self.key).unwrap_or_default() } else { "" }
    }

    fn value(&mut self, byte: u8, may_end: bool, at: &mut usize) -> Option<Found> {
        let begin = *at;
        if byte == b']' && may_end {
            *at += 1;
            return Some(self.leave());
        }
        let what = match self.visit() {
            Visit::Enter(state) if matches!(byte, b'{' | b'[') => {
                *at += 1;
                let is_object = byte == b'{';
                self.levels.push(Level { state, is_object });
                self.place = if is_object {
                    Place::Key { first: Some(begin), may_end: true }
                } else {
                    Place::Value { may_end: true }
                };
                return None;
            }
            Visit::Enter(number) if byte == b'"' => What::Part(number),
            Visit::Part(number) => What::Part(number),
            Visit::Note(number) => What::Note(number),
            Visit::Enter(_) | Visit::Whole(_) | Visit::Unknown => What::Unknown,
        };
        self.place = match byte {
            b'"' => Place::Inside { depth: 0, quoted: true, escaped: false },
            b'{' | b'[' => Place::Inside { depth: 1, quoted: false, escaped: false },
            b'-' | b'0'..=b'9' | b'a'..=b'z' => Place::Word,
            _ => {
                *at += 1;
                self.break_at(begin, at, byte);
                return None;
            }
        };
        self.open = Some((what, begin));
        *at += 1;
        None
    }

    /// Goes on in a value; whether it ends.
    fn inside(&mut self, bytes: &[u8], at: &mut usize) -> bool {
        let Place::Inside { mut depth, mut quoted, mut escaped } = self.place else { return false };
        let mut is_over = false;
        while *at < bytes.len() && !is_over {
            if escaped {
                escaped = false;
                *at += 1;
            } else if quoted {
                let rest = &bytes[*at..];
                let length = memchr::memchr(b'"', rest).unwrap_or(rest.len());
                // In a text that holds JSON nearly every quote has one.
                let slashes = rest[..length].iter().rev().take_while(|byte| **byte == b'\\').count();
                let is_escaped = slashes % 2 == 1;
                *at += length;
                if *at == bytes.len() {
                    escaped = is_escaped;
                    break;
                }
                *at += 1;
                quoted = is_escaped;
                is_over = depth == 0 && !quoted;
            } else {
                let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'{' | b'}' | b'[' | b']');
                *at += bytes[*at..].iter().take_while(is_plain).count();
                let Some(byte) = bytes.get(*at) else { break };
                *at += 1;
                match byte {
                    b'"' => quoted = true,
                    b'{' | b'[' => depth += 1,
                    _ => {
                        depth -= 1;
                        is_over = depth == 0;
                    }
                }
            }
        }
        self.place = Place::Inside { depth, quoted, escaped };
        is_over
    }

    fn close(&mut self, end: usize) -> Found {
        self.after();
        match self.open.take() {
            Some((what, begin)) => Found::Value(what, begin..end),
            // Every place from which this is reached opened one.
            None => Found::More,
        }
    }

    fn leave(&mut self) -> Found {
        let state = self.levels.pop().map_or(ROOT, |level| level.state);
        self.after();
        Found::Left(state)
    }

    fn after(&mut self) {
        self.at_line = false;
        self.place = if self.levels.is_empty() { Place::Value { may_end: false } } else { Place::After };
    }

    /// What begins at `begin` can't be there because of `byte`, which was read last.
    fn break_at(&mut self, begin: usize, at: &mut usize, byte: u8) {
        self.open = Some((What::Broken, begin));
        self.place = Place::Broken { last: byte };
        if self.at_line && matches!(byte, b'{' | b'[') {
            // The next document begins here.
            *at -= 1;
            self.place = Place::Broken { last: b'\n' };
        }
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
