//! [`Items`]: the records of a body, one text after the other, and whether they are records.

use afferent_core::Record;
use afferent_formats::wire::WireDecoder;
use serde_json::value::RawValue;

/// A mark that some programs write before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The records of a body: the elements of an array, or values one after the other, with line ends or other white space
/// between them. A body that begins with `[` is an array: no record does.
///
/// Nothing is copied and nothing recurses: however deep a text goes, looking for its end takes linear time and a bit of memory
/// for each level.
#[derive(Debug)]
pub(super) struct Items<'t> {
    text: &'t [u8],
    cursor: Cursor,
    /// Where the last item began.
    begin: usize,
}

/// Where in a body it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    at: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Begin,
    /// Before the first element of an array.
    First,
    /// After an element.
    Later,
    /// Before a value that stands for itself.
    Line,
}

/// What is no JSON, and where.
#[derive(Debug)]
pub(super) struct NotJson {
    /// What was expected; no text of the body.
    pub(super) reason: String,
}

impl<'t> Items<'t> {
    /// From `cursor` on.
    pub(super) fn new(text: &'t [u8], cursor: Cursor) -> Items<'t> {
        Items { text, cursor, begin: cursor.at }
    }

    pub(super) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The line in which the last item began, or should have, from 1.
    fn line(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.text[..self.begin]).count() as u64 + 1
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Result<Option<&'t str>, NotJson> {
        if self.cursor.place == Place::Begin {
            self.cursor.at = if self.text.starts_with(BOM) { BOM.len() } else { 0 };
            self.cursor.place = Place::Line;
            if self.peek() == Some(b'[') {
                self.cursor.at += 1;
                self.cursor.place = Place::First;
            }
        }
        match (self.cursor.place, self.peek()) {
            (Place::Line, None) => Ok(None),
            (Place::First | Place::Later, Some(b']')) => {
                self.cursor = Cursor { at: self.cursor.at + 1, place: Place::Later };
                match self.peek() {
                    None => {
                        // As many times as it is asked.
                        self.cursor.place = Place::Line;
                        Ok(None)
                    }
                    Some(_) => Err(expected("the end of the body after the array")),
                }
            }
            (Place::Later, Some(b',')) => {
                self.cursor.at += 1;
                self.peek();
                self.item().map(Some)
            }
            (Place::Later, _) => Err(expected("`,` or `]` after an element of the array")),
            (Place::First, _) => {
                self.cursor.place = Place::Later;
                self.item().map(Some)
            }
            (Place::Line | Place::Begin, Some(_)) => self.item().map(Some),
            (Place::Begin, None) => Ok(None),
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.cursor.at..];
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.cursor.at += rest.iter().take_while(|byte| is_space(byte)).count();
        self.begin = self.cursor.at;
        self.text.get(self.cursor.at).copied()
    }

    fn item(&mut self) -> Result<&'t str, NotJson> {
        let rest = &self.text[self.cursor.at..];
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&'t RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                self.cursor.at += values.byte_offset();
                Ok(value.get())
            }
            // Of a text that is no JSON, serde_json says what it expected and where, not what is there.
            Some(Err(error)) => Err(NotJson { reason: format!("not valid JSON: {error} of it") }),
            None => Err(expected("a record")),
        }
    }
}

fn expected(what: &str) -> NotJson {
    NotJson { reason: format!("expected {what}") }
}

/// How many records a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many are good.
    pub records: u32,
    /// How many are none; never of the wire form, whose bodies are good as a whole.
    pub rejected: u32,
}

/// The first bad record of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Which, from 1.
    pub record: u64,
    /// The line it begins in, from 1.
    pub line: u64,
    /// The field that is wrong, if it is one.
    pub field: Option<&'static str>,
    /// What was expected and what was found, without any value.
    pub reason: String,
}

/// Reads the records of a body in the wire form, and calls `found` for each.
///
/// # Errors
/// The first that is none. Those before it were found.
pub fn check_records(
    body: &[u8],
    decoder: &mut WireDecoder,
    mut found: impl FnMut(Record),
) -> Result<Checked, Malformed> {
    let mut items = Items::new(body, Cursor::default());
    let mut records = 0;
    loop {
        let item = items.next();
        let at = |items: &Items<'_>, field, reason| Malformed {
            record: u64::from(records) + 1,
            line: items.line(),
            field,
            reason,
        };
        match item {
            Ok(None) => return Ok(Checked { records, rejected: 0 }),
            Ok(Some(item)) => match decoder.decode_record(item) {
                Ok(record) => found(record),
                Err(refused) => return Err(at(&items, refused.field, refused.reason)),
            },
            Err(NotJson { reason }) => return Err(at(&items, None, reason)),
        }
        // A body has fewer bytes than this counts.
        records += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<String>, String> {
        let (mut found, mut cursor) = (Vec::new(), Cursor::default());
        loop {
            // Each from where the last one left off.
            let mut items = Items::new(text.as_bytes(), cursor);
            match items.next() {
                Ok(Some(item)) => found.push(item.to_owned()),
                Ok(None) => return Ok(found),
                Err(error) => return Err(error.reason),
            }
            cursor = items.cursor();
        }
    }

    /// Scenario: arrays, lines and values over several lines, taken up again after each item. Guarantees: G1, each item comes
    /// once, as it stands; G4.
    #[test]
    fn arrays_and_lines_are_the_same_items() {
        for text in [
            "[{\"a\":1},{\"b\":[2]}]",
            " [ {\"a\":1} ,\n{\"b\":[2]}\n]\n",
            "{\"a\":1}\n{\"b\":[2]}\n",
            "\u{feff}{\"a\":1}\r\n\r\n{\"b\":[2]}",
            "{\"a\":1}{\"b\":[2]}",
        ] {
            assert_eq!(items(text).unwrap(), ["{\"a\":1}", "{\"b\":[2]}"], "{text}");
        }
        assert_eq!(items("{\n \"a\" : 1\n}\n").unwrap(), ["{\n \"a\" : 1\n}"]);
        for none in ["", " \n", "[]", " [\n] "] {
            assert!(items(none).unwrap().is_empty(), "{none}");
        }
    }

    /// Scenario: bodies that are cut off, or not what they begin as. Guarantees: G1, each is refused.
    #[test]
    fn what_is_cut_off_is_refused() {
        for bad in [
            "[", "[{}", "[{},", "[{},]", "[,{}]", "[{}]]", "[{}] {}", "[{} {}]", "{", "{}]", "{},{}", "\"",
            "nul",
        ] {
            assert!(items(bad).is_err(), "{bad}: {:?}", items(bad));
        }
    }

    /// Scenario: a hundred thousand levels, of arrays and of objects, closed and not. Guarantees: G7, refused in linear time
    /// and without recursion.
    #[test]
    fn depth_costs_nothing() {
        let mut decoder = WireDecoder::new(Default::default());
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for levels in [1_000, 100_000] {
                let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
                for body in [
                    deep.clone(),
                    open.repeat(levels),
                    format!("{{\"metadata\":{{\"a\":{deep}}}}}"),
                    format!("{{\"value\":{deep}}}"),
                    format!("{{\"value\":{{\"json\":{deep}}}}}"),
                ] {
                    assert!(check_records(body.as_bytes(), &mut decoder, drop).is_err(), "{levels}");
                }
            }
        }
    }
}
