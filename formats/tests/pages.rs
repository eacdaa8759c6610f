//! The pages of `docs/formats`: what they say a body gives is what it gives.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeSet, path::PathBuf};

use afferent_core::{Batch, Rejects};
use afferent_formats::{DecoderOptions, Format, Location};

/// Formats whose records are described elsewhere: the wire form, and CSV and MessagePack that carry the same.
const OURS: [Format; 2] = [Format::Json, Format::Csv];

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/formats/{name}.md"))
}

/// The page of a format. Vendors' webhooks share one, which names the format before each body.
fn page_of(format: Format) -> &'static str {
    match format {
        Format::HealthKitReporter
        | Format::HealthAutoExport
        | Format::ReactNativeHealthkit
        | Format::FlutterHealth
        | Format::OpenWearables
        | Format::HealthConnect => format.name(),
        _ => "vendors",
    }
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

/// The page with what its bodies give behind them, and the formats of its bodies.
fn filled(name: &str, text: &str) -> (String, BTreeSet<&'static str>) {
    let (mut out, mut rest, mut body, mut formats) = (String::new(), text, None, BTreeSet::new());
    let mut format = Format::ALL.iter().copied().find(|format| format.name() == name);
    while let Some((before, block)) = rest.split_once("```") {
        let (content, after) = block.split_once("```").unwrap();
        let (language, content) = content.split_once('\n').unwrap();
        // The last heading that is the name of a format says whose body it is.
        for line in before.lines().filter_map(|line| line.strip_prefix("## ")) {
            format = Format::ALL.iter().copied().find(|format| format.name() == line).or(format);
        }
        let given = match (language, body.take(), format) {
            ("ndjson", Some(body), Some(format)) => {
                formats.insert(format.name());
                given(format, body)
            }
            _ => content.to_owned(),
        };
        body = matches!(language, "json" | "text").then_some(content);
        out += &format!("{before}```{language}\n{given}```");
        rest = after;
    }
    (out + rest, formats)
}

/// Scenario: each body on each page of a dialect. Guarantees: it gives what the block behind it says; every dialect has a body on
/// its page.
#[test]
#[allow(clippy::disallowed_methods, reason = "a page is written anew when that is asked for")]
fn bodies_give_what_their_page_says() {
    // What is only written has pages of another kind.
    let is_read = |format: &Format| format.check_read().is_none();
    let is_foreign =
        |format: &Format| is_read(format) && !OURS.contains(format) && *format != Format::Msgpack;
    let foreign: Vec<Format> = Format::ALL.iter().copied().filter(is_foreign).collect();
    let pages: BTreeSet<&str> = foreign.iter().map(|format| page_of(*format)).collect();
    let mut shown = BTreeSet::new();
    for name in pages {
        let text = std::fs::read_to_string(page(name)).expect("a page of the format");
        let (filled, formats) = filled(name, &text);
        shown.extend(formats);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(page(name), &filled).unwrap();
        } else {
            assert!(filled == text, "docs/formats/{name}.md is stale; run this test with UPDATE_DOCS=1");
        }
    }
    for format in foreign {
        assert!(shown.contains(format.name()), "{} has no body on its page", format.name());
    }
}
