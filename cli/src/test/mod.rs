//! `afferent test`: runs the tests that stand in pipeline files.

mod junit;

use std::path::Path;

use afferent::{
    Registry,
    afferent_core::disk::{OpenMode, OsDisk},
    definition::{Compared, Definition, PipelineTest},
};
use serde_json::json;

use crate::{
    args::TestArgs,
    exit::Exit,
    files,
    numbers::counted,
    render::{self, Channel},
    ui::Ui,
};

/// How a test ended.
struct Outcome {
    /// The pipeline's.
    pipeline: String,
    /// The test's.
    name: String,
    /// What differs, line by line; empty if nothing does.
    failure: Vec<String>,
}

pub(crate) fn test(args: &TestArgs, ui: &Ui) -> Exit {
    let read = files::read(&args.files, &Registry::builtin());
    for report in &read.errors {
        render::show(report, Channel::Data, ui);
    }
    let mut outcomes = Vec::new();
    for definition in &read.definitions {
        let (file_outcomes, changes) = run(definition, args.update);
        if args.update && !changes.is_empty() {
            let path = &definition.warnings().path;
            if let Err(error) = rewrite(definition, changes) {
                ui.error(format_args!("can't write {}: {error}; check its permissions", path.display()));
                return Exit::CantCreate;
            }
            ui.say(format_args!("wrote {}", path.display()));
        }
        for outcome in &file_outcomes {
            tell(outcome, ui);
        }
        outcomes.extend(file_outcomes);
    }
    if let Some(path) = &args.junit
        && let Err(error) = write(path, junit::report(&outcomes).as_bytes())
    {
        ui.error(format_args!("can't write {}: {error}; check that its directory is there", path.display()));
        return Exit::CantCreate;
    }
    render::conclude(&read.errors, ui);
    if !read.errors.is_empty() {
        return Exit::Config;
    }
    conclude(&outcomes, ui);
    if outcomes.iter().all(|outcome| outcome.failure.is_empty()) { Exit::Ok } else { Exit::Check }
}

/// A change of a file's text: what is replaced, by what.
type Change = (std::ops::Range<usize>, String);

/// Runs the tests of a file; with `update`, what comes out takes the place of what was expected.
fn run(definition: &Definition, update: bool) -> (Vec<Outcome>, Vec<Change>) {
    let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
    for test in definition.tests() {
        let failure = match definition.run_test(test) {
            Err(error) => vec![format!("it could not be run: {error}")],
            Ok(tested) => match test.compare(&tested) {
                None => Vec::new(),
                Some(_) if update && test.expects_dead(&tested) => {
                    changes.push(test.rewritten(&tested));
                    Vec::new()
                }
                Some(compared) => compared.iter().map(line).collect(),
            },
        };
        outcomes.push(outcome(definition, test, failure));
    }
    (outcomes, changes)
}

fn outcome(definition: &Definition, test: &PipelineTest, failure: Vec<String>) -> Outcome {
    Outcome { pipeline: definition.name().to_string(), name: test.name.clone(), failure }
}

fn line(compared: &Compared) -> String {
    match compared {
        Compared::Same(line) => format!("  {line}"),
        Compared::Missing(line) => format!("- {line}"),
        Compared::Unexpected(line) => format!("+ {line}"),
    }
}

/// Writes the file with its changes.
fn rewrite(definition: &Definition, mut changes: Vec<Change>) -> std::io::Result<()> {
    let warnings = definition.warnings();
    let mut text = warnings.text.to_string();
    // From the end, so that what stands before stays where it is.
    changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    for (place, by) in changes {
        text.replace_range(place, &by);
    }
    write(&warnings.path, text.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = OsDisk::shared().open(path, OpenMode::Create)?;
    file.write_at(0, bytes)?;
    file.set_len(bytes.len() as u64)
}

/// `ok  daily-steps: midnight divides a walk`, or what differs.
fn tell(outcome: &Outcome, ui: &Ui) {
    let Outcome { pipeline, name, failure } = outcome;
    if ui.is_json() {
        ui.json(
            &json!({ "pipeline": pipeline, "test": name, "passed": failure.is_empty(), "diff": failure }),
        );
        return;
    }
    if failure.is_empty() {
        ui.data(format_args!("ok      {pipeline}: {name}"));
        return;
    }
    ui.data(format_args!("failed  {pipeline}: {name}"));
    for line in failure {
        ui.data(format_args!("        {line}"));
    }
}

fn conclude(outcomes: &[Outcome], ui: &Ui) {
    let failed = outcomes.iter().filter(|outcome| !outcome.failure.is_empty()).count();
    let all = counted(outcomes.len() as u64, "test");
    if failed > 0 {
        ui.error(format_args!(
            "{failed} of {all} failed: `-` is what was expected, `+` what came out; `--update` takes the latter for right"
        ));
    } else if outcomes.is_empty() {
        ui.warning("the files have no tests; add a table `[[test]]` with `input` and `output`");
    } else {
        ui.say(format_args!("{all} passed"));
    }
}
