//! What people and programs see for every code, as snapshots.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use afferent::{
    Registry,
    definition::{Definition, codes},
};

use super::*;

/// A good source, for files that are about something else.
const SOURCE: &str = "[[source]]\ntype = \"healthkit\"\nstore = { type = \"mock\" }\ntypes = [\"*\"]\n";
/// A good sink.
const SINK: &str = "[[sink]]\ntype = \"blackhole\"\n";

/// A file for each way to go wrong, by the code that it is mainly about.
fn cases() -> Vec<(&'static str, String)> {
    let around = |middle: &str| format!("name = \"steps\"\n\n{SOURCE}\n{middle}\n{SINK}");
    let sink = |sink: &str| format!("name = \"steps\"\n\n{SOURCE}\n{sink}");
    vec![
        ("AF-0101 syntax", "name = steps\n".to_owned()),
        ("AF-0103 names", around("").replace("\"steps\"", "\"My Steps\"")),
        ("AF-0104 no stage", "name = \"steps\"\n".to_owned()),
        ("AF-0105 duplicate", sink(&format!("{SINK}name = \"out\"\n\n{SINK}name = \"out\"\n"))),
        ("AF-0110 type", sink("[[sink]]\ntype = \"sqlit\"\npath = \"health.db\"\n")),
        (
            "AF-0112 key",
            sink("[[sink]]\ntype = \"file\"\npaht = \"steps.ndjson\"\nrol = { size = \"1MiB\" }\n"),
        ),
        ("AF-0112 nested key", around("[checkpoint]\nevry = \"1s\"\n")),
        ("AF-0113 type of value", sink("[[sink]]\ntype = \"file\"\npath = 7\n")),
        ("AF-0114 missing", sink("[[sink]]\ntype = \"sqlite\"\n")),
        (
            "AF-0115 value",
            sink("[[sink]]\ntype = \"file\"\npath = \"a\"\nformat = \"jsn\"\nroll = { size = \"10\" }\n"),
        ),
        ("AF-0115 type of health data", around("").replace("\"*\"", "\"HartRate\", \"StepCount\"")),
        (
            "AF-0116 one path",
            sink("[[sink]]\ntype = \"file\"\npath = \"a\"\n\n[[sink]]\ntype = \"sqlite\"\npath = \"./a\"\n"),
        ),
        ("AF-0115 unit", around("[[transform]]\ntype = \"units\"\nto = { HeartRate = \"kg\" }\n")),
        (
            "AF-0120 filter",
            around("[[transform]]\ntype = \"filter\"\nwhen = \"type != 'HeartRate' || vlaue > 30.0\"\n"),
        ),
        ("AF-0120 syntax", around("[[transform]]\ntype = \"filter\"\nwhen = \"value > \"\n")),
        (
            "AF-0120 set",
            around("[[transform]]\ntype = \"set\"\nto = { subject = \"value + 1.0\", idd = \"id\" }\n"),
        ),
        ("AF-0120 when", sink(&format!("{SINK}when = \"type == 'StepCont'\"\n"))),
        (
            "AF-0120 escapes",
            around(
                "[[transform]]\ntype = \"filter\"\nwhen = \"type != \\\"HeartRate\\\" || vlaue > 30.0\"\n",
            ),
        ),
        (
            "AF-0130 variable",
            sink("[[sink]]\ntype = \"file\"\npath = \"${AFFERENT_TEST_NOT_SET}/steps.ndjson\"\n"),
        ),
        ("AF-0131 no variable", sink("[[sink]]\ntype = \"file\"\npath = \"${my path}\"\n")),
        ("AF-0140 advice", around("").replace("\"mock\"", "\"mock\", spurious = 0.1")),
        (
            "several",
            format!(
                "nmae = \"steps\"\n\n{SOURCE}colour = 1\n\n[[transform]]\ntype = \"filtr\"\n\n[[sink]]\npath = \"x\"\n"
            ),
        ),
    ]
}

fn report(text: &str) -> Report {
    let environment = |_: &str| None;
    match Definition::parse(text, Path::new("pipelines/steps.toml"), &Registry::builtin(), &environment) {
        Ok(definition) => definition.warnings().clone(),
        Err(report) => report,
    }
}

/// Codes that no text of a file gives here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("AF-0102", "it is about files that can't be read: see below"),
    ("AF-0106", "it is about several files: see below"),
    ("AF-0107", "it is about several files: see below"),
    ("AF-0111", "it depends on the features of the build"),
];

/// Scenario: every way to go wrong with a file. Guarantees: each code is shown as rustc would show it, says what was
/// expected, what was found and one thing to do, and is the same for programs; none is forgotten.
#[test]
fn every_code_as_people_and_programs_see_it() {
    let mut seen: BTreeSet<&str> = ELSEWHERE.iter().map(|(code, _)| *code).collect();
    let (mut people, mut programs) = (String::new(), String::new());
    for (title, text) in cases() {
        let report = report(&text);
        assert!(!report.diagnostics.is_empty(), "{title}");
        writeln!(people, "=== {title}\n").unwrap();
        for diagnostic in &report.diagnostics {
            seen.insert(diagnostic.code.id);
            writeln!(people, "{}\n", human(&report, diagnostic, &Renderer::plain())).unwrap();
            writeln!(programs, "{}", serde_json::to_string(&json(&report, diagnostic)).unwrap()).unwrap();
        }
        let code = title.split(' ').next().unwrap();
        assert!(!code.starts_with("AF-") || report.diagnostics.iter().any(|d| d.code.id == code), "{title}");
    }
    insta::assert_snapshot!("people", people);
    insta::assert_snapshot!("programs", programs);
    for code in codes::CODES {
        assert!(seen.contains(code.id), "{} is not shown", code.id);
    }
}

/// Scenario: a pipeline that reads what it writes, and two files whose queues have loose ends. Guarantees: as above, at the name of the
/// queue.
#[test]
fn files_that_do_not_fit_together() {
    let definition = |name: &str, from: &str, to: &str| {
        let text = format!(
            "name = \"{name}\"\n[[source]]\ntype = \"queue\"\nqueue = \"{from}\"\n[[sink]]\ntype = \"queue\"\nqueue = \"{to}\"\n"
        );
        let path = format!("{name}.toml");
        Definition::parse(&text, Path::new(&path), &Registry::builtin(), &|_| None)
            .expect("it is valid alone")
    };
    let show = |reports: &[Report]| -> Vec<String> { reports.iter().map(ToString::to_string).collect() };
    let joined = afferent::definition::joined(&[definition("a", "x", "x")]);
    assert_eq!(
        show(&joined.errors),
        [
            "a.toml:7:9: error[AF-0106]: queues lead from pipeline `a` back to itself: a → `x` → a: records would go round for ever (let this sink write to another queue, or to another sink)"
        ]
    );
    let joined = afferent::definition::joined(&[definition("a", "x", "y"), definition("b", "y", "z")]);
    assert!(joined.errors.is_empty());
    assert_eq!(
        show(&joined.warnings),
        [
            "a.toml:4:9: warning[AF-0107]: none of these files writes to the queue `x` (add the file of the pipeline that writes to it, or check the name)",
            "b.toml:7:9: warning[AF-0107]: none of these files reads the queue `z` (add the file of the pipeline that reads it, or check the name; until one has, the queue fills and then pushes back)",
        ]
    );
    let joined = afferent::definition::joined(&[definition("a", "x", "y")]);
    assert!(joined.warnings.is_empty(), "one file alone says nothing of others");
}

/// Scenario: a file that is not there. Guarantees: the path and what to do are said, without an empty snippet.
#[test]
fn a_file_that_is_not_there() {
    let report = Definition::read(Path::new("no/such.toml"), &Registry::builtin()).unwrap_err();
    insta::assert_snapshot!("no_file", human(&report, &report.diagnostics[0], &Renderer::plain()));
}

/// Scenario: text of a file that would move the cursor or hide an error. Guarantees: it is shown, not obeyed.
#[test]
fn control_characters_are_shown() {
    let report = report("name = \"a\"\n\"\\u001b[2Jx\" = 1\n");
    let shown = human(&report, &report.diagnostics[0], &Renderer::plain());
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
