//! Diagnostics: what is wrong with a pipeline file, and where.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use super::codes::Code;

/// Most diagnostics that are reported of one file: more than anybody reads at once.
pub const MAX_DIAGNOSTICS: usize = 20;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline can't run.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its stable code.
    pub code: &'static Code,
    /// How bad it is.
    pub severity: Severity,
    /// What was expected and what was found; names the stage.
    pub message: String,
    /// Where, as a byte range of the file's text.
    pub span: Range<usize>,
    /// What is said at the span; may be empty.
    pub label: String,
    /// Other places that explain it, each with what is said there.
    pub related: Vec<(Range<usize>, String)>,
    /// One thing to do.
    pub help: Option<String>,
    /// The stage it is about, if one.
    pub stage: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: &'static Code, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: None,
            stage: None,
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    pub(crate) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Diagnostic {
        self.related.push((span, label.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn warning(mut self) -> Diagnostic {
        self.severity = Severity::Warning;
        self
    }
}

/// The diagnostics of one file, in file order, with the text they point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// The pipeline's name, if it could be read.
    pub pipeline: Option<String>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are than [`MAX_DIAGNOSTICS`].
    pub omitted: usize,
}

impl Report {
    /// A report that puts `diagnostics` into file order and keeps the first [`MAX_DIAGNOSTICS`].
    pub(crate) fn new(
        path: PathBuf,
        text: Arc<str>,
        pipeline: Option<String>,
        mut diagnostics: Vec<Diagnostic>,
    ) -> Report {
        // Warnings never push errors out.
        diagnostics.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span.start));
        let omitted = diagnostics.len().saturating_sub(MAX_DIAGNOSTICS);
        diagnostics.truncate(MAX_DIAGNOSTICS);
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        Report { path, text, pipeline, diagnostics, omitted }
    }

    /// A report of one diagnostic that is about the whole file.
    pub fn of_file(path: PathBuf, code: &'static Code, message: impl Into<String>, help: &str) -> Report {
        let diagnostic = Diagnostic::new(code, 0..0, message).help(help);
        Report { path, text: "".into(), pipeline: None, diagnostics: vec![diagnostic], omitted: 0 }
    }

    /// Whether the pipeline can't run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Line and column of a byte of the text, from 1; columns count characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(byte.min(self.text.len()))];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for Report {
    /// One line each: `file:line:column: error[AF-0112]: message (help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let (line, column) = self.position(diagnostic.span.start);
            let severity = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{line}:{column}: {severity}", self.path.display())?;
            write!(f, "[{}]: {}", diagnostic.code.id, diagnostic.message)?;
            if !diagnostic.label.is_empty() {
                write!(f, ": {}", diagnostic.label)?;
            }
            if let Some(help) = &diagnostic.help {
                write!(f, " ({help})")?;
            }
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

impl From<Report> for afferent_core::Error {
    fn from(report: Report) -> afferent_core::Error {
        afferent_core::Error::config(report.to_string())
    }
}
