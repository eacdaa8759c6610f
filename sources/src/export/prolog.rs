//! What stands before the root element: declaration, comments and a DTD that may be broken.
//!
//! The DTD of iOS 16 does not close some of its declarations, so it is not parsed. In a DTD, whole or broken, every
//! `<` begins a declaration (`<!`), a comment or an instruction; the first `<` that a name follows is the root.

use std::io::{self, Read};

use memchr::{memchr, memmem};

use super::element::ROOT;

/// How far the root element is looked for. Apple's DTD has 11 KiB.
pub(super) const MAX_PROLOG_BYTES: usize = 128 << 10;

/// Bytes looked at first: enough to see that a file is no XML.
const FIRST_LOOK: usize = 4 << 10;

/// What a document begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The root of an export, whose tag begins here.
    Export(usize),
    /// Another root element, called so.
    Other(String),
    /// Something that is no XML.
    NoXml,
    /// No root so far.
    Nothing,
}

impl Found {
    /// What was found, for an error.
    pub(super) fn describe(&self) -> String {
        match self {
            Found::Export(_) => format!("<{ROOT}>"),
            Found::Other(name) => format!("the root <{name}>"),
            Found::NoXml => "something that is neither".to_owned(),
            Found::Nothing => format!("no root element in the first {} KiB", MAX_PROLOG_BYTES >> 10),
        }
    }
}

/// Looks for the root in the first bytes of a document.
pub(super) fn find_root(bytes: &[u8]) -> Found {
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    // Control characters are dropped from exports everywhere, so they may stand here too.
    match bytes[at..].iter().find(|byte| **byte > b' ') {
        Some(b'<') => {}
        Some(_) => return Found::NoXml,
        None => return Found::Nothing,
    }
    while let Some(found) = memchr(b'<', &bytes[at..]) {
        let start = at + found;
        let rest = &bytes[start + 1..];
        let passed = match rest {
            [b'!', b'-', b'-', ..] => memmem::find(&rest[3..], b"-->").map(|end| end + 6),
            [b'!', ..] => Some(1),
            [b'?', ..] => memmem::find(rest, b"?>").map(|end| end + 2),
            [first, ..] if first.is_ascii_alphabetic() || *first == b'_' || *first >= 0x80 => {
                let end =
                    rest.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
                return end.map_or(Found::Nothing, |end| named(start, &rest[..end]));
            }
            [] => None,
            [..] => return Found::NoXml,
        };
        match passed {
            Some(passed) => at = start + 1 + passed,
            None => break,
        }
    }
    Found::Nothing
}

fn named(start: usize, name: &[u8]) -> Found {
    if name == ROOT.as_bytes() {
        Found::Export(start)
    } else {
        Found::Other(String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned())
    }
}

/// Looks for the root at the beginning of `input`.
pub(super) fn find_root_in(input: &mut impl Read) -> io::Result<Found> {
    let mut bytes = Vec::with_capacity(FIRST_LOOK);
    let mut look = FIRST_LOOK;
    loop {
        let before = bytes.len();
        input.by_ref().take((look - before) as u64).read_to_end(&mut bytes)?;
        let found = find_root(&bytes);
        let is_all = bytes.len() < look || look >= MAX_PROLOG_BYTES;
        if found != Found::Nothing || is_all {
            return Ok(found);
        }
        look = (look * 4).min(MAX_PROLOG_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: documents that begin in the ways exports and other files do. Guarantees: an export is known by its
    /// root, whatever its DTD is like.
    #[test]
    fn the_root_decides() {
        let broken = b"<?xml version=\"1.0\"?>\n<!DOCTYPE HealthData [\n<!-- <HealthData> ]> -->\n<!ATTLIST A\n b CDATA #IMPLIED\n<!ELEMENT HealthData EMPTY>\n]>\n<HealthData locale=\"x\">";
        let start = broken.len() - b"<HealthData locale=\"x\">".len();
        assert_eq!(find_root(broken), Found::Export(start));
        assert_eq!(find_root(b"\xef\xbb\xbf\x0b<HealthData>"), Found::Export(4));
        assert_eq!(find_root(b"<!DOCTYPE html><html><body>"), Found::Other("html".into()));
        assert_eq!(find_root(b"<HealthDat"), Found::Nothing);
        assert_eq!(find_root(b"<!-- <HealthData>"), Found::Nothing);
        assert_eq!(find_root(b"{\"a\": \"<HealthData>\"}"), Found::NoXml);
        assert_eq!(find_root(b"</HealthData>"), Found::NoXml);
        assert_eq!(find_root(b""), Found::Nothing);
    }
}
