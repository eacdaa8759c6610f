//! `[[test]]`: what a pipeline's transforms make of records, written next to them.
//!
//! ```toml
//! [[test]]
//! name = "a heart rate that is no heart rate is dropped"
//! input = '''
//! {"type":"HKQuantityTypeIdentifierHeartRate","start":"2025-01-01T08:00:00Z","end":"2025-01-01T08:00:00Z","value":900,"unit":"count/min"}
//! '''
//! output = ""
//! ```
//!
//! | key | |
//! |---|---|
//! | `name` | what it shows |
//! | `input` | records in the wire form, one a line; or a list of such texts, before and after each of which time passes as at a checkpoint |
//! | `output` | what comes out, in order; lines without an `id` match whatever id comes out |
//! | `dead` | how many records are rejected; by default none |
//! | `now` | what the clock shows when time passes; by default the epoch of 1970 |
//! | `ends` | whether the input ends, so that what is held comes out; by default it does |
//!
//! A test runs the transforms, and opens no source, no sink and no state; tables that transforms look up are read once. `run`
//! passes tests over.

use std::ops::Range;

use afferent_core::{
    Batch, Emit, Name, Problem, Record, Result, Timestamp,
    config::Configure,
    stage::{Line, Transforms},
};
use afferent_formats::{
    Decoder, DecoderOptions, Encoder, Location,
    wire::{WireDecoder, WireEncoder},
};
use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Definition;

/// The keys of `[[test]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestKeys {
    name: String,
    input: Steps,
    #[serde(default)]
    output: String,
    #[serde(default)]
    dead: u64,
    #[serde(default)]
    now: Option<String>,
    #[serde(default = "yes")]
    ends: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Steps {
    One(String),
    Several(Vec<String>),
}

impl Steps {
    fn texts(&self) -> &[String] {
        match self {
            Steps::One(text) => std::slice::from_ref(text),
            Steps::Several(texts) => texts,
        }
    }
}

impl Configure for TestKeys {
    fn check(&self) -> Vec<Problem> {
        PipelineTest::new(self, 0..0, false).err().unwrap_or_default()
    }
}

/// One test of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineTest {
    /// What it shows.
    pub name: String,
    steps: Vec<Vec<Record>>,
    expected: Vec<Expected>,
    dead: u64,
    now: Timestamp,
    ends: bool,
    /// Where its output stands in the text of the file, or is to stand.
    place: Range<usize>,
    /// Whether it stands there.
    is_written: bool,
}

/// A line that should come out.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    line: String,
    /// Whether its id matters.
    has_id: bool,
}

/// What came out of a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tested {
    /// Records in the wire form.
    pub lines: Vec<String>,
    /// Why records were rejected.
    pub dead: Vec<String>,
}

/// A line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It came out as expected.
    Same(String),
    /// It did not come out.
    Missing(String),
    /// It came out and was not expected.
    Unexpected(String),
}

impl PipelineTest {
    /// Of its keys, with the place of its output.
    pub(super) fn new(
        keys: &TestKeys,
        place: Range<usize>,
        is_written: bool,
    ) -> Result<PipelineTest, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut read = |text: &str, key: &str| {
            let (mut batch, mut rejects) = (Batch::new(), Vec::new());
            let at = Location { name: key, line: 1 };
            let mut decoder = WireDecoder::new(DecoderOptions::default());
            decoder.decode(text.as_bytes(), at, &mut batch, &mut rejects);
            for reject in rejects {
                problems.push(Problem::new(key, format!("{}: {}", reject.location, reject.reason)));
            }
            batch.into_vec()
        };
        let steps: Vec<Vec<Record>> =
            keys.input.texts().iter().map(|text| read(&lines_of(text), "input")).collect();
        let expected = read(&lines_of(&keys.output), "output");
        let written = keys.output.lines().filter(|line| !line.trim().is_empty());
        let expected = expected
            .iter()
            .zip(written)
            .map(|(record, line)| Expected { line: encode(record), has_id: line.contains("\"id\"") });
        let expected = expected.collect();
        let now = keys
            .now
            .as_deref()
            .map_or(Some(Timestamp::default()), |now| Timestamp::parse_rfc3339(now).map(|(time, _)| time));
        if now.is_none() {
            let problem = Problem::new("now", "expected a time such as \"2025-01-31T08:00:00Z\"");
            problems.push(problem);
        }
        let Some(now) = now.filter(|_| problems.is_empty()) else { return Err(problems) };
        let (name, dead, ends) = (keys.name.clone(), keys.dead, keys.ends);
        Ok(PipelineTest { name, steps, expected, dead, now, ends, place, is_written })
    }

    /// What is expected and what came out, line by line; `None` if it is the same.
    pub fn compare(&self, tested: &Tested) -> Option<Vec<Compared>> {
        let is = |expected: &Expected, line: &String| {
            if expected.has_id {
                expected.line == *line
            } else {
                without_id(&expected.line) == without_id(line)
            }
        };
        let is_same = self.expected.len() == tested.lines.len()
            && self.expected.iter().zip(&tested.lines).all(|(expected, line)| is(expected, line));
        if is_same && self.dead == tested.dead.len() as u64 {
            return None;
        }
        let shown = |expected: &Expected| match expected.has_id {
            true => expected.line.clone(),
            false => without_id(&expected.line),
        };
        let (mut compared, mut at) = (Vec::new(), 0);
        // What came out where it was expected, or later; it is enough to see what differs.
        for expected in &self.expected {
            match tested.lines[at..].iter().position(|line| is(expected, line)) {
                Some(skipped) => {
                    let unexpected = tested.lines[at..at + skipped].iter().cloned();
                    compared.extend(unexpected.map(Compared::Unexpected));
                    at += skipped + 1;
                    compared.push(Compared::Same(shown(expected)));
                }
                None => compared.push(Compared::Missing(shown(expected))),
            }
        }
        compared.extend(tested.lines[at..].iter().cloned().map(Compared::Unexpected));
        if self.dead != tested.dead.len() as u64 {
            compared.push(Compared::Missing(format!("dead = {}", self.dead)));
            compared.push(Compared::Unexpected(format!("dead = {}", tested.dead.len())));
            compared.extend(tested.dead.iter().map(|reason| Compared::Unexpected(format!("  {reason}"))));
        }
        Some(compared)
    }

    /// The text that takes the place of its output, and that place.
    pub fn rewritten(&self, tested: &Tested) -> (Range<usize>, String) {
        let lines: String = tested.lines.iter().map(|line| format!("{line}\n")).collect();
        let literal = if lines.contains("'''") {
            toml::Value::String(lines).to_string()
        } else {
            format!("'''\n{lines}'''")
        };
        let text = if self.is_written { literal } else { format!("\noutput = {literal}") };
        (self.place.clone(), text)
    }

    /// Whether a run would reject as many records as it says; what can't be rewritten.
    pub fn expects_dead(&self, tested: &Tested) -> bool {
        self.dead == tested.dead.len() as u64
    }
}

/// The text without what is before its first line.
fn lines_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{}\n", line.trim())).collect()
}

fn encode(record: &Record) -> String {
    let mut line = Vec::new();
    match WireEncoder.encode(record, &mut line) {
        Ok(()) => String::from_utf8_lossy(&line).trim_end().to_owned(),
        Err(reason) => format!("a record that has no wire form: {reason}"),
    }
}

/// A line of the wire form without its id, which comes first.
fn without_id(line: &str) -> String {
    match line.strip_prefix("{\"id\":\"").and_then(|rest| rest.split_once("\",")) {
        Some((_, rest)) => format!("{{{rest}"),
        None => line.to_owned(),
    }
}

/// Where the output of the test in `table` stands or is to stand, and whether it does.
pub(super) fn place(table: &DeTable<'_>) -> (Range<usize>, bool) {
    let span = |key: &str| table.get(key).map(Spanned::<DeValue<'_>>::span);
    match (span("output"), span("input")) {
        (Some(output), _) => (output, true),
        (None, Some(input)) => (input.end..input.end, false),
        (None, None) => (0..0, false),
    }
}

impl Definition {
    /// Its tests, in the order of the file.
    pub fn tests(&self) -> &[PipelineTest] {
        &self.tests
    }

    /// Runs a test: all transforms, and nothing else.
    ///
    /// # Errors
    /// When a transform can't be made, or fails.
    pub fn run_test(&self, test: &PipelineTest) -> Result<Tested> {
        let made = self.stages.transforms.iter().map(|(name, make)| {
            let made: Result<_> = make().map_err(|error| error.at(name));
            Ok((Name::clone(name), made?))
        });
        let mut line = Line::new(made.collect::<Result<_>>()?)?.counting(Record::count);
        line.stages(&mut |stage| {
            stage.open(&self.name)?;
            // It may block: nothing else goes on in a test.
            let looked = stage.look(test.now).map(|look| look().map_err(|error| error.at(stage.name())));
            looked.transpose().map(drop)
        })?;
        let mut out = Emit::new();
        for step in &test.steps {
            line.tick(test.now, &mut out)?;
            line.apply(&mut Batch::from(step.clone()), &mut out)?;
            line.tick(test.now, &mut out)?;
        }
        if test.ends {
            line.finish(&mut out)?;
        }
        let dead =
            out.take_rejects().into_iter().map(|(stage, reject)| format!("{stage}: {}", reject.reason));
        Ok(Tested { dead: dead.collect(), lines: out.batch.iter().map(encode).collect() })
    }
}
