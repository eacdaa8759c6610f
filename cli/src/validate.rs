//! `afferent validate`: checks files and opens nothing.

use afferent::{
    Registry,
    definition::{Definition, Severity},
    registry::StageKind,
};

use serde_json::json;

use crate::{
    args::ValidateArgs,
    exit::Exit,
    files,
    numbers::counted,
    render::{self, Channel},
    ui::Ui,
};

pub(crate) fn validate(args: &ValidateArgs, ui: &Ui) -> Exit {
    let read = files::read(&args.files, &Registry::builtin());
    for definition in &read.definitions {
        render::show(definition.warnings(), Channel::Data, ui);
        if !ui.is_json() {
            ui.data(overview(definition));
        }
        guarantees(definition, ui);
    }
    for report in read.warnings.iter().chain(&read.errors) {
        render::show(report, Channel::Data, ui);
    }
    render::conclude(&read.errors, ui);
    if read.errors.is_empty() { Exit::Ok } else { Exit::Config }
}

/// What each sink promises, and why: `  http: exactly once, at a receiver that …`.
fn guarantees(definition: &Definition, ui: &Ui) {
    for stage in definition.stages() {
        let Some(guarantee) = &stage.guarantee else { continue };
        let (pipeline, sink) = (definition.name().as_str(), stage.name.as_str());
        let (name, why) = (guarantee.name(), guarantee.why());
        if ui.is_json() {
            ui.json(&json!({ "pipeline": pipeline, "sink": sink, "guarantee": name, "why": why }));
        } else {
            ui.data(format_args!("  {sink}: {name}: {why}"));
        }
    }
}

/// `steps.toml: steps is valid: healthkit → filter → sqlite, file`.
fn overview(definition: &Definition) -> String {
    let of = |kind| {
        let stages = definition.stages().iter().filter(move |stage| stage.kind == kind);
        stages.map(|stage| stage.name.as_str()).collect::<Vec<_>>()
    };
    let mut line = vec![of(StageKind::Source).join(", ")];
    line.extend(of(StageKind::Transform).into_iter().map(str::to_owned));
    line.push(of(StageKind::Sink).join(", "));
    let warnings = definition.warnings();
    let count =
        warnings.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning).count();
    let but = if count == 0 { String::new() } else { format!(", with {}", counted(count as u64, "warning")) };
    format!("{}: {} is valid{but}: {}", warnings.path.display(), definition.name(), line.join(" → "))
}
