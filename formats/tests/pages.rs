//! The pages of `docs/formats`: what they say a body gives is what it gives.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;

use afferent_core::{Batch, Rejects};
use afferent_formats::{DecoderOptions, Format, Location};

/// Formats whose records are described elsewhere: the wire form, and CSV and MessagePack that carry the same.
const OURS: [Format; 2] = [Format::Json, Format::Csv];

fn page(format: Format) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/formats/{}.md", format.name()))
}

/// What a body gives: its records in the wire form, one a line, and the reasons of what is none.
fn given(format: Format, body: &str) -> String {
    let (mut records, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "body", line: 1 };
    let mut decoder = format.decoder(DecoderOptions::default()).unwrap();
    decoder.decode(body.as_bytes(), at, &mut records, &mut rejects);
    decoder.finish(at, &mut records, &mut rejects);
    let mut out = Vec::new();
    let mut encoder = Format::Json.encoder().unwrap();
    for record in records.iter() {
        encoder.encode(record, &mut out).unwrap();
    }
    let mut text = String::from_utf8(out).unwrap();
    for reject in rejects {
        text += &format!("# rejected: {} ({})\n", reject.reason, reject.location);
    }
    text
}

/// The page with what its bodies give behind them, and how many bodies it has.
fn filled(format: Format, text: &str) -> (String, usize) {
    let (mut out, mut rest, mut body, mut bodies) = (String::new(), text, None, 0);
    while let Some((before, block)) = rest.split_once("```") {
        let (content, after) = block.split_once("```").unwrap();
        let (language, content) = content.split_once('\n').unwrap();
        let given = match (language, body.take()) {
            ("ndjson", Some(body)) => {
                bodies += 1;
                given(format, body)
            }
            _ => content.to_owned(),
        };
        body = matches!(language, "json" | "form").then_some(content);
        out += &format!("{before}```{language}\n{given}```");
        rest = after;
    }
    (out + rest, bodies)
}

/// Scenario: each body on each page of a dialect. Guarantees: it gives what the block behind it says; every dialect has a page
/// with a body.
#[test]
#[allow(clippy::disallowed_methods, reason = "a page is written anew when that is asked for")]
fn bodies_give_what_their_page_says() {
    let is_foreign = |format: &Format| !OURS.contains(format) && *format != Format::Msgpack;
    for format in Format::ALL.iter().copied().filter(is_foreign) {
        let text = std::fs::read_to_string(page(format)).expect("a page of the format");
        let (filled, bodies) = filled(format, &text);
        assert!(bodies > 0, "{} has no body", format.name());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(page(format), &filled).unwrap();
        } else {
            assert!(
                filled == text,
                "docs/formats/{}.md is stale; run this test with UPDATE_DOCS=1",
                format.name()
            );
        }
    }
}
