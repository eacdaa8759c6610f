//! Reads a whole file: its own keys, then stage by stage.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::{Name, Problem, Record, config::Configure, engine::When};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Definition, StageInfo,
    checkpoint::PipelineKeys,
    codes::{self, Code},
    diagnostic::{Diagnostic, Report},
    document::{inside, locate},
    environment::{Expanded, Lookup},
    names::{self, MAX_PIPELINE_NAME, MAX_STAGE_NAME, is_name},
    queues::QueueUse,
    source::{expected, expecting, format_of},
    strict::{self, Owner, invalid},
    suggest,
    test::{self, PipelineTest, TestKeys},
    when::when,
};
use crate::{
    cel::Predicate,
    expect::Expected,
    registry::{Loaded, Make, Registry, Row, StageKind, absent},
    spec::MakeStages,
};

/// How messages call the file's own table.
const PIPELINE: &str = "the pipeline";

pub(super) fn load(
    text: &str,
    path: &Path,
    registry: &Registry,
    lookup: &Lookup<'_>,
) -> Result<Definition, Report> {
    let report = |pipeline, diagnostics| Report::new(path.to_owned(), text.into(), pipeline, diagnostics);
    let (document, errors) = DeTable::parse_recoverable(text);
    // Only the first in the text: what follows a syntax error is often misread.
    if let Some(error) = errors.iter().min_by_key(|error| error.span().map(|span| span.start)) {
        let diagnostic = Diagnostic::new(
            &codes::SYNTAX,
            error.span().unwrap_or(0..0),
            format!("invalid TOML: {}", error.message()),
        );
        return Err(report(None, vec![diagnostic]));
    }
    let mut root = document.into_inner();
    let expanded = Expanded::all(&mut root, text, lookup);
    let mut loader = Loader {
        text,
        base: path.parent().unwrap_or(Path::new("")),
        diagnostics: Vec::new(),
        paths: Vec::new(),
        queues: Vec::new(),
    };

    let keys = loader.pipeline(&root);
    let mut stages = MakeStages::default();
    let mut overview = Vec::new();
    for stage in loader.stages(&root, StageKind::Source, registry.sources(), registry) {
        let make = stage.make.map(|make| expecting(make, stage.expected));
        stages.sources.extend(make.map(|make| (stage.info.name.clone(), make)));
        overview.push(stage.info);
    }
    for stage in loader.stages(&root, StageKind::Transform, registry.transforms(), registry) {
        stages.transforms.extend(stage.make.map(|make| (stage.info.name.clone(), make)));
        overview.push(stage.info);
    }
    for stage in loader.stages(&root, StageKind::Sink, registry.sinks(), registry) {
        stages.sinks.extend(stage.make.map(|make| (stage.info.name.clone(), make, stage.when)));
        overview.push(stage.info);
    }

    let tests = loader.tests(&root);
    let (mut diagnostics, queues) = (loader.diagnostics, loader.queues);
    diagnostics.retain(|diagnostic| !expanded.is_unknown(&diagnostic.span));
    for diagnostic in &mut diagnostics {
        diagnostic.message = expanded.redact(&diagnostic.message);
        diagnostic.label = expanded.redact(&diagnostic.label);
        diagnostic.help = diagnostic.help.take().map(|help| expanded.redact(&help));
    }
    diagnostics.extend(expanded.diagnostics);
    let report = report(keys.as_ref().map(|keys| keys.name.clone()), diagnostics);
    match keys {
        Some(keys) if !report.has_errors() => Ok(Definition {
            settings: keys.settings(),
            name: Name::from(keys.name),
            stages: stages.into(),
            overview,
            queues,
            tests: tests.into(),
            name_span: root.get("name").map_or(0..0, |name| name.span()),
            warnings: report,
        }),
        _ => Err(report),
    }
}

struct Loader<'a> {
    text: &'a str,
    base: &'a Path,
    diagnostics: Vec<Diagnostic>,
    /// What sources and sinks so far read and write, where that is said, and who they are.
    paths: Vec<(PathBuf, Range<usize>, String)>,
    queues: Vec<QueueUse>,
}

/// A stage that was read.
struct Stage<S> {
    info: StageInfo,
    /// What makes it, if nothing is wrong with it.
    make: Option<Make<S>>,
    when: Option<Make<When<Record>>>,
    /// Which types a source should give.
    expected: Expected,
}

impl Loader<'_> {
    /// Reads the keys that belong to no stage.
    fn pipeline(&mut self, root: &DeTable<'_>) -> Option<PipelineKeys> {
        let first = root.iter().map(|(key, _)| key.span()).min_by_key(|span| span.start).unwrap_or(0..0);
        let shared: Vec<&str> = StageKind::ALL.map(StageKind::word).into_iter().chain(["test"]).collect();
        let owner = Owner { name: PIPELINE, anchor: first.clone(), shared: &shared };
        let read = strict::read::<PipelineKeys>(root, &owner);
        self.diagnostics.extend(read.diagnostics);
        for kind in [StageKind::Source, StageKind::Sink] {
            if !root.contains_key(kind.word()) {
                let word = kind.word();
                let message = format!("{PIPELINE} has no {word}");
                let diagnostic = Diagnostic::new(&codes::NO_STAGE, first.clone(), message);
                self.diagnostics.push(diagnostic.help(format!("add a table `[[{word}]]` with a `type`")));
            }
        }
        let keys = read.value?;
        for problem in keys.check() {
            let diagnostic = self.problem(root, &owner, problem);
            self.diagnostics.push(diagnostic);
        }
        if let Some(name) = root.get("name") {
            self.check_name(name, "pipeline", MAX_PIPELINE_NAME);
        }
        Some(keys)
    }

    /// Reads the tests.
    fn tests(&mut self, root: &DeTable<'_>) -> Vec<PipelineTest> {
        let Some(value) = root.get("test") else { return Vec::new() };
        let DeValue::Array(tables) = value.get_ref() else {
            let diagnostic =
                Diagnostic::new(&codes::WRONG_TYPE, value.span(), "`test` is not a list of tests");
            self.diagnostics.push(diagnostic.label("write `[[test]]`, with two brackets"));
            return Vec::new();
        };
        let mut tests = Vec::new();
        for value in tables {
            let DeValue::Table(table) = value.get_ref() else {
                let message = format!("a test is a table, not {}", type_of(value));
                self.diagnostics.push(Diagnostic::new(&codes::WRONG_TYPE, value.span(), message));
                continue;
            };
            let owner = Owner { name: "a test", anchor: value.span(), shared: &[] };
            let read = strict::read::<TestKeys>(table, &owner);
            self.diagnostics.extend(read.diagnostics);
            let (place, is_written) = test::place(table);
            match read.value.map(|keys| PipelineTest::new(&keys, place, is_written)) {
                Some(Ok(test)) => tests.push(test),
                Some(Err(problems)) => {
                    for problem in problems {
                        let diagnostic = self.problem(table, &owner, problem);
                        self.diagnostics.push(diagnostic);
                    }
                }
                None => {}
            }
        }
        tests
    }

    /// Reads the stages of one kind.
    fn stages<S: 'static>(
        &mut self,
        root: &DeTable<'_>,
        kind: StageKind,
        rows: &BTreeMap<String, Row<S>>,
        registry: &Registry,
    ) -> Vec<Stage<S>> {
        let word = kind.word();
        let Some(value) = root.get(word) else { return Vec::new() };
        let tables: &[Spanned<DeValue<'_>>] = match value.get_ref() {
            DeValue::Array(array) => array,
            _ => {
                let message = format!("`{word}` is not a list of stages");
                let diagnostic = Diagnostic::new(&codes::WRONG_TYPE, value.span(), message);
                self.diagnostics.push(diagnostic.label(format!("write `[[{word}]]`, with two brackets")));
                // What is wrong inside is worth knowing all the same.
                std::slice::from_ref(value)
            }
        };
        let mut names = Names::default();
        let mut stages = Vec::new();
        for value in tables {
            let DeValue::Table(table) = value.get_ref() else {
                if value.span() != root[word].span() {
                    let message = format!("a {word} is a table, not {}", type_of(value));
                    self.diagnostics.push(Diagnostic::new(&codes::WRONG_TYPE, value.span(), message));
                }
                continue;
            };
            let from = self.diagnostics.len();
            let stage = self.stage(table, value.span(), kind, rows, registry, &mut names);
            if let Some(stage) = &stage {
                for diagnostic in &mut self.diagnostics[from..] {
                    diagnostic.stage = Some(stage.info.name.to_string());
                }
            }
            stages.extend(stage);
        }
        stages
    }

    fn stage<S: 'static>(
        &mut self,
        table: &DeTable<'_>,
        header: Range<usize>,
        kind: StageKind,
        rows: &BTreeMap<String, Row<S>>,
        registry: &Registry,
        names: &mut Names,
    ) -> Option<Stage<S>> {
        let word = kind.word();
        let (type_name, anchor) = self.type_name(table, header, kind, rows)?;
        let name = self.name_of(table, &type_name, &anchor, kind, names);
        let owner_name = format!("{word} `{name}`");
        let shared: &[&str] = match kind {
            StageKind::Source => &["type", "name", "expect"],
            StageKind::Transform => &["type", "name"],
            StageKind::Sink => &["type", "name", "when"],
        };
        let owner = Owner { name: &owner_name, anchor: anchor.clone(), shared };
        let when = (kind == StageKind::Sink).then(|| table.get("when")).flatten();
        let when = when.and_then(|value| self.when(value, &owner));
        let expect = (kind == StageKind::Source).then(|| table.get("expect")).flatten();
        let expected = expect.map(|value| expected(value, &owner, &mut self.diagnostics)).unwrap_or_default();
        let path = table.get("path").and_then(|value| match value.get_ref() {
            DeValue::String(path) if !self.text[value.span()].contains("${") => Some(self.base.join(&**path)),
            _ => None,
        });
        if let (Some(path), Some(value)) = (&path, table.get("path")) {
            self.check_path(path, value.span(), kind, &owner);
        }
        let name = Name::from(name);
        let queue = (type_name == "queue").then(|| table.get("queue")).flatten();
        let queue = queue.and_then(|value| match value.get_ref() {
            DeValue::String(queue) if !self.text[value.span()].contains("${") => {
                let queue = Name::from(&**queue);
                let (stage, span) = (name.clone(), value.span());
                self.queues.push(QueueUse { kind, stage, queue: queue.clone(), span });
                Some(queue)
            }
            _ => None,
        });
        let mut info = StageInfo {
            kind,
            name,
            type_name: type_name.clone(),
            path,
            queue,
            format: None,
            guarantee: None,
        };

        let Some(row) = rows.get(&type_name) else {
            self.diagnostics.push(unknown_type(&type_name, anchor, kind, rows, registry));
            return Some(Stage { info, make: None, when, expected });
        };
        let Loaded { make, diagnostics, problems, guarantee } = row.load(table, &owner, self.base);
        info.guarantee = guarantee;
        info.format = (kind == StageKind::Source && row.keys.contains(&"format")).then(|| format_of(table));
        self.diagnostics.extend(diagnostics);
        for problem in problems {
            let diagnostic = self.problem(table, &owner, problem);
            self.diagnostics.push(diagnostic);
        }
        Some(Stage { info, make, when, expected })
    }

    /// The `type` of a stage, and where it stands.
    fn type_name<S>(
        &mut self,
        table: &DeTable<'_>,
        header: Range<usize>,
        kind: StageKind,
        rows: &BTreeMap<String, Row<S>>,
    ) -> Option<(String, Range<usize>)> {
        let word = kind.word();
        let types =
            || format!("types of {word}: {}", rows.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
        let Some(value) = table.get("type") else {
            let diagnostic =
                Diagnostic::new(&codes::MISSING_KEY, header, format!("a {word} needs the key `type`"));
            self.diagnostics.push(diagnostic.label("`type` is missing").help(types()));
            return None;
        };
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("wrong type of `type` in a {word}");
            let label = format!("expected a string, found {}", type_of(value));
            self.diagnostics
                .push(Diagnostic::new(&codes::WRONG_TYPE, value.span(), message).label(label).help(types()));
            return None;
        };
        Some((text.to_string(), value.span()))
    }

    /// The stage's name: given, or after its type.
    fn name_of(
        &mut self,
        table: &DeTable<'_>,
        type_name: &str,
        anchor: &Range<usize>,
        kind: StageKind,
        names: &mut Names,
    ) -> String {
        let of_type = names.of_type.entry(type_name.to_owned()).or_default();
        *of_type += 1;
        let (name, span) = match table.get("name") {
            None if *of_type == 1 => (type_name.to_owned(), anchor.clone()),
            None => (format!("{type_name}-{of_type}"), anchor.clone()),
            Some(value) => match value.get_ref() {
                DeValue::String(name) => {
                    self.check_name(value, "stage", MAX_STAGE_NAME);
                    (name.to_string(), value.span())
                }
                _ => {
                    let message = format!("wrong type of `name` in {} `{type_name}`", kind.word());
                    let label = format!("expected a string, found {}", type_of(value));
                    self.diagnostics
                        .push(Diagnostic::new(&codes::WRONG_TYPE, value.span(), message).label(label));
                    (type_name.to_owned(), anchor.clone())
                }
            },
        };
        if let Some(earlier) = names.taken.get(&name) {
            let message = format!("two {}s are named `{name}`", kind.word());
            let diagnostic = Diagnostic::new(&codes::DUPLICATE_NAME, span, message)
                .label("named again here")
                .related(earlier.clone(), "first named here")
                .help("give one of them another `name`");
            self.diagnostics.push(diagnostic);
        } else {
            names.taken.insert(name.clone(), span);
        }
        name
    }

    fn check_name(&mut self, value: &Spanned<DeValue<'_>>, what: &str, max: usize) {
        let DeValue::String(name) = value.get_ref() else { return };
        if is_name(name, max) {
            return;
        }
        let help =
            format!("use 1 to {max} characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or digit");
        let diagnostic =
            Diagnostic::new(&codes::BAD_NAME, value.span(), format!("a {what} can't have this name"))
                .help(help);
        self.diagnostics.push(match names::allowed(name, max) {
            Some(allowed) => diagnostic.label(format!("for example `{allowed}`")),
            None => diagnostic,
        });
    }

    /// Which records a sink gets: those for which the expression is true, and every deletion.
    fn when(&mut self, value: &Spanned<DeValue<'_>>, owner: &Owner<'_>) -> Option<Make<When<Record>>> {
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("wrong type of `when` in {}", owner.name);
            let label = format!("expected an expression in quotes, found {}", type_of(value));
            self.diagnostics.push(Diagnostic::new(&codes::WRONG_TYPE, value.span(), message).label(label));
            return None;
        };
        match Predicate::compile(text) {
            Ok(predicate) => Some(Arc::new(move || Ok(when(predicate.clone())))),
            Err(problems) => {
                for problem in problems {
                    let diagnostic = self.place(value, "when", owner, problem);
                    self.diagnostics.push(diagnostic);
                }
                None
            }
        }
    }

    /// Whether the stage gets in the way of one before it: what one sink writes, no other may write and no source
    /// may read.
    fn check_path(&mut self, path: &Path, span: Range<usize>, kind: StageKind, owner: &Owner<'_>) {
        if kind == StageKind::Sink
            && let Some((_, earlier, user)) = self.paths.iter().find(|(other, ..)| other == path)
        {
            let message = format!("{} writes what {user} uses", owner.name);
            let diagnostic = Diagnostic::new(&codes::IMPOSSIBLE, span.clone(), message)
                .label("the same path")
                .related(earlier.clone(), format!("used by {user}"))
                .help("give one of them another `path`");
            self.diagnostics.push(diagnostic);
        }
        if kind != StageKind::Transform {
            self.paths.push((path.to_owned(), span, owner.name.to_owned()));
        }
    }

    /// What a component finds wrong, at its place.
    fn problem(&self, table: &DeTable<'_>, owner: &Owner<'_>, problem: Problem) -> Diagnostic {
        // Indices of arrays are left out: the element is underlined.
        let keys = problem.key_path.iter().filter(|key| key.parse::<usize>().is_err());
        let path = keys.map(String::as_str).collect::<Vec<_>>().join(".");
        match locate(table, &problem.key_path) {
            Some(value) => self.place(value, &path, owner, problem),
            None => finish(owner.anchor.clone(), &path, owner, problem),
        }
    }

    /// A problem of `value`, at the part of it that it is about.
    fn place(
        &self,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        owner: &Owner<'_>,
        problem: Problem,
    ) -> Diagnostic {
        let span = match (value.get_ref(), problem.span.clone()) {
            (DeValue::String(text), Some(part)) => inside(self.text, &value.span(), text, part),
            _ => value.span(),
        };
        finish(span, path, owner, problem)
    }
}

fn finish(span: Range<usize>, path: &str, owner: &Owner<'_>, problem: Problem) -> Diagnostic {
    let code: &'static Code = match problem {
        Problem { warning: true, .. } => &codes::ADVICE,
        Problem { span: Some(_), .. } => &codes::EXPRESSION,
        _ if path.is_empty() => &codes::IMPOSSIBLE,
        _ => &codes::BAD_VALUE,
    };
    let diagnostic = match (problem.warning, path) {
        (false, _) => invalid(code, span, path, owner.name, &problem.message),
        (true, "") => Diagnostic::new(code, span, format!("{}: {}", owner.name, problem.message)),
        (true, _) => Diagnostic::new(code, span, format!("`{path}` in {}: {}", owner.name, problem.message)),
    };
    // A suggestion is best read right below what it would replace.
    let diagnostic = match problem.help {
        Some(help) if help.starts_with("did you mean") => diagnostic.label(help),
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    };
    if problem.warning { diagnostic.warning() } else { diagnostic }
}

/// A value's type with its article.
pub(super) fn type_of(value: &Spanned<DeValue<'_>>) -> String {
    let name = value.get_ref().type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// The names of the stages of one kind.
#[derive(Default)]
struct Names {
    /// Where each was given.
    taken: BTreeMap<String, Range<usize>>,
    /// How many stages of each type there were.
    of_type: BTreeMap<String, usize>,
}

fn unknown_type<S>(
    type_name: &str,
    span: Range<usize>,
    kind: StageKind,
    rows: &BTreeMap<String, Row<S>>,
    registry: &Registry,
) -> Diagnostic {
    let word = kind.word();
    if let Some(feature) = absent(kind, type_name) {
        let message =
            format!("{word} `{type_name}` is not in this build: it was built without feature `{feature}`");
        return Diagnostic::new(&codes::NOT_IN_BUILD, span, message)
            .help(format!("build with `--features {feature}`"));
    }
    let diagnostic =
        Diagnostic::new(&codes::UNKNOWN_TYPE, span, format!("unknown type of {word} `{type_name}`")).help(
            format!("types of {word}: {}", rows.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
        );
    if let Some(near) = suggest::nearest(type_name, rows.keys().map(String::as_str)) {
        return diagnostic.label(format!("did you mean `{near}`?"));
    }
    let elsewhere = registry.components().into_iter().find(|component| component.type_name == type_name);
    match elsewhere {
        Some(component) => {
            diagnostic.label(format!("`{type_name}` is a {0}; write `[[{0}]]`", component.kind.word()))
        }
        None => diagnostic,
    }
}
