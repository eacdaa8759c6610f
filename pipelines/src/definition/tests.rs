//! Definitions: what is reported, all at once and at the right place; and what comes out when nothing is wrong.

use std::path::{Path, PathBuf};

use afferent_core::{
    Batch, Epoch, Error, Opened, Prepared, Problem, Pulled, Record, Result, Sink, SinkCx, Source, SourceCx,
    Token,
    config::{Configure, Size, Span},
    engine::BoxStages,
};
use serde::Deserialize;

use super::*;

/// A component of every shape that configuration has.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    batch: Limits,
    store: Option<Store>,
    #[serde(default)]
    types: Vec<String>,
    retries: Option<u8>,
    path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    records: Option<u32>,
    bytes: Option<Size>,
    linger: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Store {
    Mock { seed: u64, days: Option<u32> },
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(at) = self.url.find(' ') {
            problems.push(Problem::new("url", format!("a URL has no spaces: {}", self.url)).span(at..at + 1));
        }
        for (index, name) in self.types.iter().enumerate().filter(|(_, name)| name.contains('?')) {
            problems.push(Problem::new(&format!("types.{index}"), format!("unknown type `{name}`")));
        }
        if self.retries == Some(0) && self.batch.linger.is_some() {
            problems.push(Problem::new("", "it can't linger without retries").help("leave `retries` out"));
        }
        problems
    }

    fn resolve(&mut self, base: &Path) {
        self.path = self.path.take().map(|path| base.join(path));
    }
}

struct Nothing;

impl Source for Nothing {
    type Item = Record;
    async fn open(&mut self, _: SourceCx) -> Result<()> {
        Ok(())
    }
    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        Ok(None)
    }
}

impl Sink for Nothing {
    type Item = Record;
    async fn open(&mut self, _: SinkCx) -> Result<Opened> {
        Ok(Opened::Elsewhere)
    }
    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        batch.clear();
        Ok(())
    }
    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        Ok(Prepared::default())
    }
    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.source("feed", "a feed", |_: Config| Ok(Nothing));
    registry.sink("http", "an upload", |_: Config| Ok(Nothing));
    registry
}

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cr3t value".to_owned()),
        "HOST" => Some("clinic.example".to_owned()),
        _ => None,
    }
}

/// A file around the sink's keys `sink`.
fn file(sink: &str) -> String {
    format!("name = \"p\"\n[[source]]\ntype = \"feed\"\nurl = \"u\"\n[[sink]]\ntype = \"http\"\n{sink}\n")
}

/// Checks what is reported for `text`: per diagnostic its code, what is underlined, message, label and help.
fn check(text: &str, expected: &[&str]) {
    let found = match Definition::parse(text, Path::new("dir/p.toml"), &registry(), &environment) {
        Ok(definition) => definition.warnings,
        Err(report) => report,
    };
    let lines: Vec<String> = found
        .diagnostics
        .iter()
        .map(|d| {
            let mut line = format!("{} [{}] {}", d.code.id, &text[d.span.clone()], d.message);
            for (part, sign) in [(Some(&d.label), " ^ "), (d.help.as_ref(), " = ")] {
                line += &part
                    .filter(|part| !part.is_empty())
                    .map(|part| format!("{sign}{part}"))
                    .unwrap_or_default();
            }
            line
        })
        .collect();
    assert_eq!(lines, expected, "{text}");
}

const KEYS: &str = "keys of sink `http`: url, format, batch, store, types, retries, path, type, name, when";

/// Scenario: several misspelt keys, at the top, nested, and where serde forgets places. Guarantees: all are reported at
/// once, each underlined where it stands, with the nearest key; a key whose misspelling was reported is not also "missing".
#[test]
fn every_unknown_key_is_reported_with_a_suggestion() {
    check(
        &file(
            "ulr = 'u'\nbatch = { record = 5, bites = '1MiB' }\ncolour = 1\nstore = { type = 'mock', seed = 1, dais = 2 }",
        ),
        &[
            &format!("AF-0112 [ulr] unknown key `ulr` in sink `http` ^ did you mean `url`? = {KEYS}"),
            "AF-0112 [record] unknown key `record` in `batch` of sink `http` ^ did you mean `records`? = keys of `batch`: records, bytes, linger",
            "AF-0112 [bites] unknown key `bites` in `batch` of sink `http` ^ did you mean `bytes`? = keys of `batch`: records, bytes, linger",
            &format!("AF-0112 [colour] unknown key `colour` in sink `http` = {KEYS}"),
            "AF-0112 [dais] unknown key `dais` in `store` of sink `http` ^ did you mean `days`? = keys of `store`: seed, days",
        ],
    );
}

/// Scenario: values of the wrong type, out of range, or not in the list. Guarantees: each is underlined itself, in arrays
/// and tagged tables too; the first does not hide the others.
#[test]
fn every_wrong_value_is_underlined() {
    check(
        &file(
            "url = 5\nformat = 'jsn'\nbatch = { records = -1, linger = '5' }\ntypes = ['a', 7]\nretries = 300\nstore = { type = 'mock', seed = 'x' }",
        ),
        &[
            "AF-0113 [5] wrong type of `url` in sink `http` ^ expected a string, found an integer",
            "AF-0115 ['jsn'] invalid `format` in sink `http`: expected `json` or `csv` ^ did you mean `json`?",
            "AF-0115 [-1] invalid `batch.records` in sink `http`: expected a whole number, 0 or more",
            "AF-0115 ['5'] invalid `batch.linger` in sink `http`: expected a whole number with a unit, such as \"500ms\", \"1s\", \"5min\", \"6h\" or \"7d\"",
            "AF-0113 [7] wrong type of `types` in sink `http` ^ expected a string, found an integer",
            "AF-0115 [300] invalid `retries` in sink `http`: expected a whole number, 0 or more",
            "AF-0113 ['x'] wrong type of `store.seed` in sink `http` ^ expected a whole number, 0 or more, found a string",
        ],
    );
    check(
        &file("url = 'u'\nstore = { type = 'moc', seed = 1 }"),
        &["AF-0115 ['moc'] invalid `store.type` in sink `http`: expected `mock` ^ did you mean `mock`?"],
    );
}

/// Scenario: something required is not there. Guarantees: what is missing is named, at the stage it is missing from.
#[test]
fn missing_keys_and_stages_are_named() {
    check(
        &file("store = { type = 'mock' }"),
        &["AF-0114 [{ type = 'mock' }] `store` of sink `http` needs the key `seed` ^ `seed` is missing"],
    );
    check(&file(""), &["AF-0114 [\"http\"] sink `http` needs the key `url` ^ `url` is missing"]);
    check(
        "nmae = 'p'\n[[source]]\nurl = 'u'\n",
        &[
            "AF-0112 [nmae] unknown key `nmae` in the pipeline ^ did you mean `name`? = keys of the pipeline: name, checkpoint, dead_letters, source, transform, sink, test",
            "AF-0104 [nmae] the pipeline has no sink = add a table `[[sink]]` with a `type`",
            "AF-0114 [[[source]]] a source needs the key `type` ^ `type` is missing = types of source: feed",
        ],
    );
    check(
        "",
        &[
            "AF-0114 [] the pipeline needs the key `name` ^ `name` is missing",
            "AF-0104 [] the pipeline has no source = add a table `[[source]]` with a `type`",
            "AF-0104 [] the pipeline has no sink = add a table `[[sink]]` with a `type`",
        ],
    );
}

/// Scenario: a type nobody knows, one of another kind, one bracket too few. Guarantees: one way out is named.
#[test]
fn types_and_brackets() {
    check(
        "name = 'p'\n[source]\ntype = 'fed'\n[[transform]]\ntype = 'http'\n[[sink]]\ntype = 'kafka'\n",
        &[
            "AF-0113 [[source]] `source` is not a list of stages ^ write `[[source]]`, with two brackets",
            "AF-0110 ['fed'] unknown type of source `fed` ^ did you mean `feed`? = types of source: feed",
            "AF-0110 ['http'] unknown type of transform `http` ^ `http` is a sink; write `[[sink]]` = types of transform: ",
            "AF-0110 ['kafka'] unknown type of sink `kafka` = types of sink: http",
        ],
    );
}

/// Scenario: names that collide or can't be names. Guarantees: both places are shown, and default names count up.
#[test]
fn names_are_unique_and_allowed() {
    let sinks = "url = 'u'\n[[sink]]\ntype = 'http'\nurl = 'u'\n[[sink]]\ntype = 'http'\nname = 'http-2'\nurl = 'u'\n";
    check(
        &file(sinks),
        &[
            "AF-0105 ['http-2'] two sinks are named `http-2` ^ named again here = give one of them another `name`",
        ],
    );
    check(
        &file("url = 'u'\nname = 'My Sink'").replace("\"p\"", "'../p'"),
        &[
            "AF-0103 ['../p'] a pipeline can't have this name ^ for example `p` = use 1 to 128 characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or digit",
            "AF-0103 ['My Sink'] a stage can't have this name ^ for example `my-sink` = use 1 to 64 characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or digit",
        ],
    );
}

/// Scenario: problems that a component finds itself. Guarantees: they are underlined as exactly as the component says, and
/// the stage is named.
#[test]
fn problems_of_components_have_places() {
    check(
        &file("url = 'a b'\ntypes = ['x', 'y?']\nretries = 0\nbatch.linger = '1s'"),
        &[
            "AF-0116 [\"http\"] invalid sink `http`: it can't linger without retries = leave `retries` out",
            "AF-0120 [ ] invalid `url` in sink `http`: a URL has no spaces: a b",
            "AF-0115 ['y?'] invalid `types` in sink `http`: unknown type `y?`",
        ],
    );
}

/// Scenario: secrets from the environment, set, missing and malformed. Guarantees: G8: no value is repeated; a value
/// that is not known yet is not judged; a missing one keeps the pipeline from running, not from being checked.
#[test]
fn the_environment_is_used_and_never_repeated() {
    check(
        &file("url = '${TOKEN}'"),
        &["AF-0120 ['${TOKEN}'] invalid `url` in sink `http`: a URL has no spaces: ${TOKEN}"],
    );
    check(
        &file("url = 'u'\nformat = 'x${NONE}'\npath = '${NONE}'"),
        &["AF-0130 [${NONE}] the environment variable `NONE` is not set = set it: export NONE=…"],
    );
    check(
        &file("url = 'u'\npath = 'a${b c}'"),
        &[
            "AF-0131 [${b c}] `${` is not followed by a variable's name and `}` = write `${NAME}`, or `$${` for a plain `${`",
        ],
    );
    check(&file("url = 'a$${b'"), &[]);

    let text = file("url = 'u'\npath = '${NONE}'");
    let definition = Definition::parse(&text, Path::new("p.toml"), &registry(), &environment).unwrap();
    let report = definition.spec().unwrap_err();
    assert!(report.has_errors());
    assert_eq!(Error::from(report).kind(), afferent_core::ErrorKind::Config);
}

/// Scenario: text that is no TOML, with an error that derails the parser. Guarantees: the first error alone is shown.
#[test]
fn only_the_first_syntax_error_is_shown() {
    check(
        "name = \nx = [1,\n[[sink]]\n",
        &["AF-0101 [] invalid TOML: string values must be quoted, expected literal string"],
    );
}

/// Scenario: more errors than anybody reads. Guarantees: G7: the report is bounded and says so.
#[test]
fn reports_are_bounded() {
    let keys: String = (0..50).map(|i| format!("unknown{i} = 1\n")).collect();
    let report = Definition::parse(
        &file(&format!("url = 'u'\n{keys}")),
        Path::new("p.toml"),
        &registry(),
        &environment,
    );
    let report = report.unwrap_err();
    assert_eq!(report.diagnostics.len(), MAX_DIAGNOSTICS);
    assert!(report.omitted > 0 && report.to_string().ends_with("more"));
}

/// Scenario: a file with nothing wrong. Guarantees: settings, names and paths are what it says, its stages can be made
/// any number of times, and what is stored has no secret in it.
#[test]
fn a_good_file_makes_stages_again_and_again() {
    let mut registry = registry();
    let (seen, paths) = std::sync::mpsc::channel();
    registry.sink("file", "a file", move |config: Config| {
        seen.send((config.url, config.path)).unwrap();
        Ok(Nothing)
    });
    let text = "name = 'p'\n[checkpoint]\nevery = '5s'\nrecords = 10\n[[source]]\ntype = 'feed'\nurl = 'u'\n\
                [[sink]]\ntype = 'file'\nurl = '${HOST}'\npath = 'out.ndjson'\n[[sink]]\ntype = 'http'\nurl = 'u'\nname = 'up'\n";
    let definition = Definition::parse(text, Path::new("dir/p.toml"), &registry, &environment).unwrap();
    assert_eq!(definition.settings().every.as_secs(), 5);
    assert_eq!(definition.settings().records, 10);
    let names: Vec<&str> = definition.stages().iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["feed", "file", "up"]);
    let spec = definition.spec().unwrap();
    for _ in 0..2 {
        let _: BoxStages<Record> = (spec.factory)().unwrap();
        assert_eq!(
            paths.recv().unwrap(),
            ("clinic.example".to_owned(), Some(PathBuf::from("dir/out.ndjson")))
        );
    }
    assert!(spec.source.is_some_and(|source| source.text == text));
}

/// Scenario: two sinks with one path, and a sink that writes what the source reads. Guarantees: both places are shown;
/// files that feed on themselves or overwrite each other are never started.
#[test]
fn stages_stay_out_of_each_others_files() {
    let text = "url = 'u'\npath = 'a'\n[[sink]]\ntype = 'http'\nurl = 'u'\npath = './a'\n";
    check(
        &file(text),
        &[
            "AF-0116 ['./a'] sink `http-2` writes what sink `http` uses ^ the same path = give one of them another `path`",
        ],
    );
    check(
        &file("url = 'u'\npath = 'in'").replace("\n[[sink]]", "\npath = 'in'\n[[sink]]"),
        &[
            "AF-0116 ['in'] sink `http` writes what source `feed` uses ^ the same path = give one of them another `path`",
        ],
    );
}

/// Scenario: a sink's `when` that is wrong, and one that is right. Guarantees: the part of the expression that is wrong is
/// underlined.
#[test]
fn when_is_checked() {
    let text = file("url = 'u'\nwhen = \"type == 'StepCount' && vlaue > 3\"");
    let report = Definition::parse(&text, Path::new("p.toml"), &registry(), &environment).unwrap_err();
    let [diagnostic] = report.diagnostics.as_slice() else { panic!("{report}") };
    assert_eq!((diagnostic.code.id, &text[diagnostic.span.clone()]), ("AF-0120", "vlaue"));
    check(
        &file("url = 'u'\nwhen = true"),
        &[
            "AF-0113 [true] wrong type of `when` in sink `http` ^ expected an expression in quotes, found a boolean",
        ],
    );
    check(&file("url = 'u'\nwhen = 'value > 3'"), &[]);
}

/// Scenario: types that a source should give, some of them no types and some without a time. Guarantees: each is told at its
/// place; what is right is accepted by every source.
#[test]
fn expected_types_are_checked() {
    let parse = |expect: &str| {
        let text = format!(
            "name = \"a\"\n[[source]]\ntype = \"healthkit\"\nstore = {{ type = \"mock\" }}\ntypes = [\"*\"]\nexpect = {expect}\n[[sink]]\ntype = \"blackhole\"\n"
        );
        Definition::parse(&text, Path::new("a.toml"), &Registry::builtin(), &|_| None)
            .map_err(|report| report.diagnostics.iter().map(|found| found.code.id).collect::<Vec<_>>())
    };
    assert!(parse("{ HeartRate = \"6h\", StepCount = \"1d\" }").is_ok());
    for (expect, count) in [
        ("\"6h\"", 1),
        ("{ HartRate = \"6h\" }", 1),
        ("{ HeartRate = \"6 moons\" }", 1),
        ("{ HeartRate = 6 }", 1),
        ("{ HeartRate = \"0s\", HartRate = 1 }", 3),
    ] {
        let found = parse(expect).expect_err(expect);
        assert_eq!(found.len(), count, "{expect}: {found:?}");
    }
}
