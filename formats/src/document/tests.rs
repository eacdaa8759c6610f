use afferent_core::{Batch, Record, Rejects, reject::Payload};
use proptest::prelude::*;

use super::*;
use crate::{Decoder, DecoderOptions, Location};

/// A dialect of numbers: `{"name":…,"list":[…]}`, `{"one":…}`. Its records are rejects, which is all that is looked at.
#[derive(Debug, Default)]
struct Numbers {
    name: String,
}

const DOCUMENT: u8 = 1;
const LIST: u8 = 2;

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Key("name")) => Visit::Note(1),
        (DOCUMENT, Step::Key("list")) => Visit::Enter(LIST),
        (DOCUMENT, Step::Key("one")) => Visit::Whole(DOCUMENT),
        (LIST, Step::Element) => Visit::Part(LIST),
        _ => Visit::Unknown,
    }
}

impl Dialect for Numbers {
    fn shape(&self) -> Shape {
        shape
    }

    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>) {
        out.reject(text.as_bytes(), format!("part {number} of {}", self.name), None, None);
    }

    fn note(&mut self, _: u8, text: &str) {
        self.name = text.to_owned();
    }

    fn leave(&mut self, state: u8, out: &mut Out<'_>) {
        if state == DOCUMENT {
            out.reject(b"", "left", None, None);
        }
    }

    fn give_up(&mut self, out: &mut Out<'_>) {
        out.reject(b"", "gave up", None, None);
    }
}

fn read_with(strict: bool, pieces: &[&[u8]]) -> Vec<String> {
    let options = DecoderOptions { strict };
    let mut decoder = Documents::new(Numbers::default(), options);
    let (mut records, mut rejects, mut line) = (Batch::<Record>::new(), Rejects::new(), 1);
    for piece in pieces {
        decoder.decode(piece, Location { name: "in", line }, &mut records, &mut rejects);
        line += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    decoder.finish(Location { name: "in", line }, &mut records, &mut rejects);
    let shown =
        |payload: &Payload| String::from_utf8_lossy(payload.bytes()).chars().take(40).collect::<String>();
    rejects
        .iter()
        .map(|reject| format!("{} {}: {}", reject.location, reject.reason, shown(&reject.payload)))
        .collect()
}

fn read(text: &str) -> Vec<String> {
    read_with(false, &[text.as_bytes()])
}

/// Scenario: documents over lines, one after the other, in an array of numbers and texts, with empty ones and a mark before
/// them. Guarantees: G1, each part comes once, with its line and what was said before it.
#[test]
fn parts_come_with_what_is_said_of_them() {
    let text = "\u{feff}{\"name\": 7,\n \"list\": [1,\n {\"a\": [\"]\\\"\"]}]}\n{}[]{\"one\":1, \"list\": [5]}\n\"text\"";
    let expected = [
        "in:2 part 2 of 7: 1",
        "in:3 part 2 of 7: {\"a\": [\"]\\\"\"]}",
        "in:3 left: ",
        "in:4 left: ",
        "in:4 left: ",
        "in:4 part 1 of 7: {\"one\":1, \"list\": [5]}",
        "in:5 part 1 of 7: \"text\"",
    ];
    assert_eq!(read(text), expected);
}

/// Scenario: a mark before documents that is cut anywhere, and what only begins like one. Guarantees: G1, where pieces end does not
/// matter.
#[test]
fn a_mark_may_come_in_pieces() {
    let whole = b"\xef\xbb\xbf{\"list\":[1]}";
    let expected = read_with(false, &[whole]);
    assert_eq!(expected, ["in:1 part 2 of : 1", "in:1 left: "]);
    for cut in 0..whole.len() {
        for other in cut..whole.len() {
            let pieces = [&whole[..cut], &whole[cut..other], &whole[other..]];
            assert_eq!(read_with(false, &pieces), expected, "{cut} {other}");
        }
    }
    for begun in [&b"\xef"[..], b"\xef\xbb", b"\xef\xbbx", b"\xefx\n"] {
        let expected = read_with(false, &[begun]);
        assert!(expected.iter().any(|found| found.contains("expected JSON")), "{expected:?}");
        assert_eq!(read_with(false, &[&begun[..1], &begun[1..]]), expected);
    }
}

/// Scenario: values where no dialect has any, filled, empty and plain; documents that are none. Guarantees: G11, what could
/// hold a record is a reject, and in strict mode so is the rest.
#[test]
fn nothing_is_passed_over_in_silence() {
    let text = "{\"list\":[],\"more\":[{}, 1],\"none\":[{ }],\"n\":5} 12 [3]";
    let expected = [
        "in:1 expected a part of this format, found `more`: [{}, 1]",
        "in:1 expected a part of this format, found `none`: [{ }]",
        "in:1 left: ",
        "in:1 expected a document of this format, found another value: 12",
        "in:1 left: ",
    ];
    assert_eq!(read(text), expected);
    // The number behind `n`, and the one in an array that holds documents, too.
    assert_eq!(read_with(true, &[text.as_bytes()]).len(), 7);
}

/// Scenario: documents that are cut off, in a part and between parts, or go on as no JSON does; others behind them.
/// Guarantees: G1, what is before the place and after the next line is read; the rest is a reject; what waits is given up.
#[test]
fn what_breaks_off_is_a_reject_of_its_own() {
    for (text, expected) in [
        (
            "{\"list\":[1, {\"a\"",
            "in:1 expected JSON, found another text, or a document that breaks off: {\"a\"",
        ),
        ("{\"list\":[1", "in:1 expected JSON, found another text, or a document that breaks off: 1"),
        ("{\"list\":[1,", "in:1 expected JSON, found another text, or a document that breaks off: "),
        (
            "{\"list\":[1}\n ,5]",
            "in:1 expected JSON, found another text, or a document that breaks off: }\n ,5]",
        ),
        ("{\"list\":[1],}", "in:1 expected JSON, found another text, or a document that breaks off: }"),
        ("{\"list\":[1] 5", "in:1 expected JSON, found another text, or a document that breaks off: 5"),
        ("\u{1}\n", "in:1 expected JSON, found another text, or a document that breaks off: \u{1}\n"),
    ] {
        let found = read(text);
        assert_eq!(found[found.len() - 2..], ["in:1 gave up: ".to_owned(), expected.to_owned()], "{text}");
    }
    let found = read("{\"list\":[1}\n[nothing\n{\"list\":[2]}\n{\"list\":[3]}");
    let parts: Vec<&String> = found.iter().filter(|found| found.contains("part")).collect();
    assert_eq!(parts, ["in:1 part 2 of : 1", "in:3 part 2 of : 2", "in:4 part 2 of : 3"]);
}

/// Scenario: a part that is longer than any may be, in pieces, and one behind it. Guarantees: G7, only its head is kept; G1,
/// what follows is read.
#[test]
fn a_part_that_is_too_long_is_passed_over() {
    let piece = vec![b' '; 1 << 20];
    let mut pieces: Vec<&[u8]> = vec![b"{\"name\":1,\n\"list\":[\n{\"a\":0"];
    pieces.extend(std::iter::repeat_n(&piece[..], (MAX_PART_BYTES >> 20) + 2));
    pieces.push(b"},\n2]}");
    let found = read_with(false, &pieces);
    assert_eq!(found.len(), 3);
    assert!(
        found[0].starts_with("in:3 expected a part of at most 32 MiB, found one of 35651"),
        "{}",
        found[0]
    );
    assert_eq!(found[1..], ["in:4 part 2 of 1: 2", "in:4 left: "]);
}

/// Scenario: any bytes that look like documents, in one piece and in any. Guarantees: G1, where pieces end does not matter;
/// nothing panics.
#[test]
fn pieces_do_not_matter() {
    proptest!(|(
        text in "([{}\\[\\],:\"\\\\\n 1a]|\"list\":|\"name\":1|\\{\"list\":\\[)*",
        cuts in proptest::collection::vec(0..200_usize, 0..6),
    )| {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(read_with(true, &pieces), read_with(true, &[bytes]));
    });
}
