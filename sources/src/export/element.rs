//! Elements: where they begin and end in raw bytes, and what stands in them.
//!
//! An export is one flat list of small elements under a root, so it is cut into top-level elements first
//! ([`next_frame`]) and each is read by itself ([`Element`]): a damaged one costs itself alone, and the byte at which it
//! begins is exact. `quick_xml`'s whole-document reader gives neither, because it stops at the first byte that is not
//! UTF-8; its parsers of tags and attributes are what the ones here are compared with.

use std::{borrow::Cow, ops::Range};

use memchr::{memchr, memchr_iter, memmem};
use quick_xml::parser::{ElementParser, Parser};

/// How deep elements may be nested; exports nest three deep.
const MAX_DEPTH: usize = 16;

/// Most samples inside a workout: it has an effort score or two. More of them mean that its end is missing and that
/// these are the records that follow it.
const MAX_SAMPLES_OF_WORKOUT: usize = 64;

/// Elements that stand directly under the root. One of them inside another element (but a Record inside a
/// Correlation or Workout) means that the end of the outer one is missing.
const TOP_LEVEL: [&[u8]; 9] = [
    b"Record",
    b"Correlation",
    b"Workout",
    b"ActivitySummary",
    b"ClinicalRecord",
    b"Audiogram",
    b"VisionPrescription",
    b"ExportDate",
    b"Me",
];

/// The name of the root element of an export.
pub(super) const ROOT: &str = "HealthData";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Open,
    Empty,
    Close,
}

/// A tag, from its `<` to behind its `>`.
#[derive(Clone, Copy, Debug)]
struct Tag {
    start: usize,
    end: usize,
    shape: Shape,
}

enum Scan {
    Tag(Tag),
    /// A tag or comment begins here and does not end.
    Cut(usize),
    None,
}

/// The next tag at or after `from`; comments, CDATA and processing instructions are passed over.
fn next_tag(bytes: &[u8], mut from: usize) -> Scan {
    loop {
        let Some(found) = memchr(b'<', &bytes[from..]) else { return Scan::None };
        let start = from + found;
        let rest = &bytes[start + 1..];
        let passed = match rest {
            [] => return Scan::Cut(start),
            [b'!', b'-', b'-', ..] => memmem::find(&rest[3..], b"-->").map(|end| end + 6),
            [b'!', b'[', ..] => memmem::find(rest, b"]]>").map(|end| end + 3),
            [b'!' | b'?', ..] => memchr(b'>', rest).map(|end| end + 1),
            _ => {
                let Some(end) = tag_end(rest) else { return Scan::Cut(start) };
                let shape = match (rest[0], end.checked_sub(1).map(|last| rest[last])) {
                    (b'/', _) => Shape::Close,
                    (_, Some(b'/')) => Shape::Empty,
                    _ => Shape::Open,
                };
                return Scan::Tag(Tag { start, end: start + 1 + end + 1, shape });
            }
        };
        match passed {
            Some(passed) => from = start + 1 + passed,
            None => return Scan::Cut(start),
        }
    }
}

/// Where the `>` is that ends the tag whose `<` stands before `rest`: the first outside quotes.
///
/// It is nearly always the first of all, because exports write `&gt;` in values. That it is outside quotes is seen from
/// their number, which is counted many bytes at a time, where a parser stops at each of some sixteen.
fn tag_end(rest: &[u8]) -> Option<usize> {
    let end = memchr(b'>', rest)?;
    let tag = &rest[..end];
    let is_outside = tag.iter().fold(0_u32, |quotes, byte| quotes + u32::from(*byte == b'"')) % 2 == 0;
    if is_outside && !tag.contains(&b'\'') { Some(end) } else { ElementParser::Outside.feed(rest) }
}

/// The length of a name at the beginning of `bytes`.
fn name_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'))
        .unwrap_or(bytes.len())
}

/// The name in a tag that begins with `<` or `</`.
fn tag_name(tag: &[u8]) -> &[u8] {
    let content = tag.strip_prefix(b"</").unwrap_or(&tag[1..]);
    &content[..name_len(content)]
}

/// Where, within an unfinished or suspicious tag, another tag begins: XML has no bare `<` in a tag, so the first
/// one was never closed. A `<` that no name follows may be part of a value that was not escaped.
fn tag_within(tag: &[u8]) -> Option<usize> {
    memchr_iter(b'<', &tag[1..])
        .map(|at| at + 1)
        .find(|at| matches!(tag.get(at + 1), Some(b'/' | b'A'..=b'Z' | b'a'..=b'z')))
}

/// Why an element can't be read, without any value of it.
pub(super) type Reason = Cow<'static, str>;

/// What stands next under the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole element, and the length of its first tag.
    Element(Range<usize>, usize),
    /// Something that is no whole element, up to where the next one may begin, and why.
    Broken(Range<usize>, &'static str),
    /// The root ends.
    End,
    /// From here on nothing is whole: more input is needed.
    More(usize),
}

/// The next element under the root, at or after `from`.
pub(super) fn next_frame(bytes: &[u8], from: usize) -> Frame {
    let mut at = from;
    let first = loop {
        match next_tag(bytes, at) {
            Scan::None => return Frame::More(bytes.len()),
            Scan::Cut(start) => return cut(bytes, start, start),
            Scan::Tag(tag) if tag.shape != Shape::Close => break tag,
            Scan::Tag(tag) if tag_name(&bytes[tag.start..tag.end]) == ROOT.as_bytes() => return Frame::End,
            // The end of an element whose beginning was broken.
            Scan::Tag(tag) => at = tag.end,
        }
    };
    let outer = tag_name(&bytes[first.start..first.end]);
    let start = first.start;
    let (mut tag, mut depth, mut too_deep) = (first, 0, false);
    // The first Record in a Workout, and how many there are.
    let (mut sample, mut samples) = (None, 0);
    loop {
        if let Some(within) = tag_within(&bytes[tag.start..tag.end]) {
            return Frame::Broken(start..tag.start + within, "a tag of the element is not closed");
        }
        if tag.start > start {
            let inner = &bytes[tag.start..tag.end];
            if outer == b"Workout" && tag.shape != Shape::Close && tag_name(inner) == b"Record" {
                sample = sample.or(Some(tag.start));
                samples += 1;
            }
            if is_outside(outer, inner, tag.shape) || samples > MAX_SAMPLES_OF_WORKOUT {
                let end = sample.unwrap_or(tag.start);
                return Frame::Broken(start..end, "the end tag of the element is missing");
            }
        }
        match tag.shape {
            Shape::Open => depth += 1,
            Shape::Close => depth -= 1,
            Shape::Empty => {}
        }
        too_deep |= depth > MAX_DEPTH;
        if depth == 0 {
            return match too_deep {
                true => Frame::Broken(start..tag.end, "elements are nested more than 16 deep"),
                false => Frame::Element(start..tag.end, first.end - start),
            };
        }
        tag = match next_tag(bytes, tag.end) {
            Scan::Tag(tag) => tag,
            Scan::Cut(at) => return cut(bytes, start, at),
            Scan::None => return Frame::More(start),
        };
    }
}

/// The tag at `at`, of the element that begins at `start`, does not end.
fn cut(bytes: &[u8], start: usize, at: usize) -> Frame {
    match tag_within(&bytes[at..]) {
        Some(within) if !bytes[at..].starts_with(b"<!") => {
            Frame::Broken(start..at + within, "a tag of the element is not closed")
        }
        _ => Frame::More(start),
    }
}

/// Whether a tag can't be inside the element `outer`.
fn is_outside(outer: &[u8], tag: &[u8], shape: Shape) -> bool {
    let name = tag_name(tag);
    match shape {
        Shape::Close => name == ROOT.as_bytes(),
        _ => {
            TOP_LEVEL.contains(&name) && !(name == b"Record" && matches!(outer, b"Correlation" | b"Workout"))
        }
    }
}

/// Passes over an element that is too long to be held, without holding it.
#[derive(Debug, Default)]
pub(super) struct Passing {
    depth: usize,
    /// The tag the last bytes were in.
    tag: Option<PassingTag>,
    /// Bytes passed so far.
    pub(super) length: u64,
    /// Their CRC-32C.
    pub(super) crc: u32,
}

#[derive(Debug)]
struct PassingTag {
    parser: ElementParser,
    /// Its first byte after `<`, and its last byte so far; 0 before there is one.
    first: u8,
    last: u8,
}

impl Passing {
    /// Takes more of the element; gives where in `bytes` it ended, if it did.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = self.find_end(bytes);
        let passed = &bytes[..end.unwrap_or(bytes.len())];
        self.length += passed.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, passed);
        end
    }

    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let Some(tag) = &mut self.tag else {
                at += memchr(b'<', &bytes[at..])? + 1;
                self.tag = Some(PassingTag { parser: ElementParser::Outside, first: 0, last: 0 });
                continue;
            };
            let rest = &bytes[at..];
            let end = tag.parser.feed(rest);
            let seen = &rest[..end.unwrap_or(rest.len())];
            if let Some(within) = tag_within_part(seen) {
                return Some(at + within);
            }
            if tag.first == 0 {
                tag.first = seen.first().copied().unwrap_or(0);
            }
            tag.last = seen.last().copied().unwrap_or(tag.last);
            at += end? + 1;
            match (tag.first, tag.last) {
                (b'/', _) => self.depth = self.depth.saturating_sub(1),
                (b'!' | b'?', _) | (_, b'/') => {}
                _ => self.depth += 1,
            }
            self.tag = None;
            if self.depth == 0 {
                return Some(at);
            }
        }
    }
}

/// As [`tag_within`], for the middle of a tag.
fn tag_within_part(part: &[u8]) -> Option<usize> {
    memchr_iter(b'<', part).find(|at| matches!(part.get(at + 1), Some(b'/' | b'A'..=b'Z' | b'a'..=b'z')))
}

/// The attribute that `text` begins with: its name, its raw value, and what stands behind it.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'"' | b'\'');
    let (name, rest) = text.split_at(text.bytes().position(|byte| is_end(&byte)).filter(|len| *len > 0)?);
    let rest = rest.trim_ascii_start().strip_prefix('=')?.trim_ascii_start();
    let quote = *rest.as_bytes().first().filter(|quote| matches!(quote, b'"' | b'\''))?;
    let rest = &rest[1..];
    let end = memchr(quote, rest.as_bytes())?;
    Some((name, &rest[..end], &rest[end + 1..]))
}

/// An element of valid UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// Its tag without `<`, `>` and `/>`.
    tag: &'a str,
    name_len: usize,
    /// What stands between its tags.
    inner: &'a str,
}

impl<'a> Element<'a> {
    /// The element that `text` is, as [`next_frame`] found it, with the length of its first tag.
    pub(super) fn whole(text: &'a str, tag_len: usize) -> Option<Element<'a>> {
        let tag = text.get(..tag_len)?;
        let (tag, inner) = if tag_len == text.len() {
            (tag.strip_suffix("/>")?, "")
        } else {
            (tag.strip_suffix('>')?, text.get(tag_len..text.rfind('<')?)?)
        };
        let tag = tag.strip_prefix('<')?;
        Some(Element { tag, name_len: name_len(tag.as_bytes()), inner })
    }

    /// The first element in `text`, and where it ends.
    pub(super) fn first(text: &'a str) -> Option<(Element<'a>, usize)> {
        let bytes = text.as_bytes();
        let mut at = 0;
        let first = loop {
            match next_tag(bytes, at) {
                Scan::Tag(tag) if tag.shape == Shape::Close => at = tag.end,
                Scan::Tag(tag) => break tag,
                Scan::Cut(_) | Scan::None => return None,
            }
        };
        let end = first.end - if first.shape == Shape::Empty { 2 } else { 1 };
        let tag = &text[first.start + 1..end];
        let name_len = name_len(tag.as_bytes());
        if first.shape == Shape::Empty {
            return Some((Element { tag, name_len, inner: "" }, first.end));
        }
        let (mut last, mut depth) = (first, 1);
        while depth > 0 {
            let Scan::Tag(tag) = next_tag(bytes, last.end) else { return None };
            match tag.shape {
                Shape::Open => depth += 1,
                Shape::Close => depth -= 1,
                Shape::Empty => {}
            }
            last = tag;
        }
        Some((Element { tag, name_len, inner: &text[first.end..last.start] }, last.end))
    }

    /// Its name.
    pub(super) fn name(&self) -> &'a str {
        &self.tag[..self.name_len]
    }

    /// Calls `each` with the name and raw value of every attribute, in order; names may repeat.
    ///
    /// # Errors
    /// When something in the tag is not of the form `name="value"`.
    pub(super) fn attributes(&self, mut each: impl FnMut(&'a str, &'a str)) -> Result<(), Reason> {
        let mut rest = self.tag[self.name_len..].trim_ascii_start();
        while !rest.is_empty() {
            let (name, value, behind) =
                attribute(rest).ok_or("an attribute is not of the form name=\"value\"")?;
            each(name, value);
            rest = behind.trim_ascii_start();
        }
        Ok(())
    }

    /// The raw value of the first attribute called `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut found = None;
        // A malformed attribute is reported where all are read.
        let _ = self.attributes(|key, value| {
            if key == name {
                found.get_or_insert(value);
            }
        });
        found
    }

    /// The elements directly in it.
    pub(super) fn children(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let mut rest = self.inner;
        std::iter::from_fn(move || {
            let (child, end) = Element::first(rest)?;
            rest = &rest[end..];
            Some(child)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::events::attributes::{Attribute, Attributes};

    use super::*;

    /// What `quick_xml` reads, and whether all of it is well-formed.
    fn peer(tag: &str) -> (Vec<(&str, &str)>, bool) {
        let mut all = Vec::new();
        for attribute in Attributes::new(tag, 1).with_checks(false) {
            let Ok(Attribute { key, value: Cow::Borrowed(value) }) = attribute else { return (all, false) };
            all.push((key.0, value));
        }
        (all, true)
    }

    proptest! {
        /// Scenario: tags of attributes, blanks, quotes, and what is out of place. Guarantees: G4, ends and attributes are those
        /// that `quick_xml` finds; what it refuses is refused, and so are names with quotes, which it takes.
        #[test]
        fn tags_are_read_as_by_quick_xml(parts in prop::collection::vec(
            prop::sample::select(vec![
                " a=\"1\"", " b='2'", "\n c = \"3 > 2\"", " d=\"it's\"", " e='\"'", " ", "\t", "x", "=", "\"", "'", ">", "é",
            ]), 0..8,
        )) {
            let text = parts.concat();
            prop_assert_eq!(tag_end(text.as_bytes()), ElementParser::Outside.feed(text.as_bytes()));
            let tag = format!("R {}", text.replace('>', ""));
            let element = Element { tag: &tag, name_len: 1, inner: "" };
            let mut all = Vec::new();
            let is_whole = element.attributes(|name, value| all.push((name, value))).is_ok();
            let (expected, is_well_formed) = peer(&tag);
            let are_names = expected.iter().all(|(name, _)| !name.contains(['=', '"', '\'']));
            prop_assert_eq!(is_whole, is_well_formed && are_names, "{}", tag);
            if is_whole {
                prop_assert_eq!(all, expected, "{}", tag);
            }
        }
    }
}
