//! [`Splitter`]: where an item of a file ends.

use crate::{Format, Resumption};

/// How long a piece of a form is whose decoder takes pieces of any length: about as long as the shortest record that such a
/// form has, so that counting pieces bounds the records that a batch gets.
const PIECE_BYTES: usize = 64;

/// Finds the ends of items (lines of NDJSON, rows of CSV, which may span lines) in bytes that come in pieces.
///
/// It follows the same rules as the decoders: a quote opens a quoted cell only at the beginning of a cell. Of a form that is
/// read from its beginning ([`Resumption::Everything`]) any piece of bytes is an item.
#[derive(Clone, Debug)]
pub struct Splitter {
    format: Format,
    state: State,
}

/// Where in a row of CSV the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted cell: it closes the cell, unless another follows.
    Closing,
}

impl Splitter {
    /// A splitter at the beginning of an item.
    pub fn new(format: Format) -> Splitter {
        Splitter { format, state: State::CellStart }
    }

    /// The length of the rest of the item in `bytes`, with its line end; the next call begins a new item.
    /// `None` if the item does not end here; the next call goes on with what follows `bytes`.
    pub fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = match self.format {
            Format::Csv => self.find_row_end(bytes),
            format if format.resumption() == Resumption::Everything => {
                (!bytes.is_empty()).then(|| bytes.len().min(PIECE_BYTES))
            }
            _ => memchr::memchr(b'\n', bytes).map(|at| at + 1),
        };
        if end.is_some() {
            self.state = State::CellStart;
        }
        end
    }

    fn find_row_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            (at, self.state) = match self.state {
                State::CellStart | State::Closing => {
                    let next = match rest[0] {
                        b'\n' => return Some(at + 1),
                        b'"' => State::Quoted,
                        b',' => State::CellStart,
                        _ => State::Plain,
                    };
                    (at + 1, next)
                }
                State::Plain => match memchr::memchr2(b',', b'\n', rest) {
                    Some(found) if rest[found] == b'\n' => return Some(at + found + 1),
                    Some(found) => (at + found + 1, State::CellStart),
                    None => (bytes.len(), State::Plain),
                },
                State::Quoted => match memchr::memchr(b'"', rest) {
                    Some(found) => (at + found + 1, State::Closing),
                    None => (bytes.len(), State::Quoted),
                },
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(format: Format, pieces: &[&[u8]]) -> Vec<usize> {
        let (mut splitter, mut ends, mut begin) = (Splitter::new(format), Vec::new(), 0);
        for piece in pieces {
            let mut at = 0;
            while let Some(length) = splitter.find_end(&piece[at..]) {
                at += length;
                ends.push(begin + at);
            }
            begin += piece.len();
        }
        ends
    }

    /// Scenario: rows with quotes and line ends in and outside of quoted cells. Guarantees: G1, no row is cut
    /// in two and none swallows the next.
    #[test]
    fn rows_end_where_csv_says() {
        let rows = [
            "a,b\n",
            "\"\"\r\",b\n",
            "\"x\ny\",b\n",
            "5\" monitor,b\n",
            "\"say \"\"hi\"\"\n\",b\r\n",
            "\n",
            ",\"\"\r\n",
        ];
        let ends: Vec<usize> = rows
            .iter()
            .scan(0, |end, row| {
                *end += row.len();
                Some(*end)
            })
            .collect();
        assert_eq!(split(Format::Csv, &[rows.concat().as_bytes()]), ends);
        assert_eq!(split(Format::Json, &[b"{}\n{\"a\":\"\\n\"}\n{"]), [3, 14]);
    }

    /// Scenario: any bytes, in one piece and in two. Guarantees: G1, the pieces in which a file is read do
    /// not matter.
    #[test]
    fn pieces_do_not_matter() {
        proptest!(|(text in "[ab,\"\r\n]{0,40}", cut in 0_usize..40)| {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            for format in [Format::Json, Format::Csv] {
                prop_assert_eq!(split(format, &[bytes]), split(format, &[head, tail]));
            }
        });
    }
}
