//! Diagnostics: in rustc's form for people, one JSON object each for programs.

use afferent::definition::{Diagnostic, Report, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

use crate::{numbers::counted, ui::Ui};

/// Where a program's diagnostics go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// They are what the command is asked for.
    Data,
    /// They are why it can't do what it is asked for.
    Talk,
}

/// Shows the diagnostics of a file.
pub(crate) fn show(report: &Report, channel: Channel, ui: &Ui) {
    for diagnostic in &report.diagnostics {
        match (ui.is_json(), channel) {
            (true, Channel::Data) => ui.json(&json(report, diagnostic)),
            (true, Channel::Talk) => {
                ui.talk(serde_json::to_string(&json(report, diagnostic)).unwrap_or_default());
            }
            (false, _) if ui.is_quiet() && diagnostic.severity == Severity::Warning => {}
            (false, _) => ui.talk(format_args!("{}\n", human(report, diagnostic, &Renderer::styled()))),
        }
    }
    if report.omitted > 0 && !ui.is_json() {
        ui.talk(format_args!("and {} more\n", report.omitted));
    }
}

/// The last line after errors in `files` files.
pub(crate) fn conclude(reports: &[Report], ui: &Ui) {
    let errors = |report: &Report| {
        let shown = report.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        shown.count() + report.omitted
    };
    let total: usize = reports.iter().map(errors).sum();
    let Some(first) =
        reports.iter().flat_map(|report| &report.diagnostics).find(|d| d.severity == Severity::Error)
    else {
        return;
    };
    if !ui.is_json() {
        let code = first.code.id;
        ui.error(format_args!("{}; `afferent explain {code}` says more", counted(total as u64, "error")));
    }
}

/// A diagnostic as rustc would show it.
pub(crate) fn human(report: &Report, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.id);
    let path = report.path.display().to_string();
    let mut group: Group<'_> = if report.text.is_empty() {
        title.element(Origin::path(path))
    } else {
        let label = (!diagnostic.label.is_empty()).then_some(diagnostic.label.as_str());
        let primary = AnnotationKind::Primary.span(diagnostic.span.clone()).label(label);
        let related = diagnostic
            .related
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(span.clone()).label(label.as_str()));
        title.element(Snippet::source(&*report.text).path(path).annotation(primary).annotations(related))
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
    }
    renderer.render(&[group])
}

/// A diagnostic for programs.
#[derive(Serialize)]
pub(crate) struct Json<'a> {
    code: &'static str,
    severity: &'static str,
    file: String,
    pipeline: Option<&'a str>,
    stage: Option<&'a str>,
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    span: Span,
    message: &'a str,
    label: &'a str,
    help: Option<&'a str>,
}

/// Bytes of the file.
#[derive(Serialize)]
struct Span {
    start: usize,
    end: usize,
}

pub(crate) fn json<'a>(report: &'a Report, diagnostic: &'a Diagnostic) -> Json<'a> {
    let (line, column) = report.position(diagnostic.span.start);
    Json {
        code: diagnostic.code.id,
        severity: match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        file: report.path.display().to_string(),
        pipeline: report.pipeline.as_deref(),
        stage: diagnostic.stage.as_deref(),
        line,
        column,
        span: Span { start: diagnostic.span.start, end: diagnostic.span.end },
        message: &diagnostic.message,
        label: &diagnostic.label,
        help: diagnostic.help.as_deref(),
    }
}

#[cfg(test)]
mod tests;
