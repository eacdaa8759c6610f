//! Pipeline files: from TOML text to a checked definition to stages.
//!
//! A file holds one pipeline: `name`, `[checkpoint]`, and tables `[[source]]`, `[[transform]]` and `[[sink]]`. The keys of a
//! stage lie directly in its table: `type` selects the component, and everything but the keys that all stages of a
//! kind share (`type`, `name`; of sinks also `when`) is read strictly into the component's own `Config`, the struct that a
//! library user builds.
//!
//! A file may hold its own tests: `[[test]]`, which `afferent test` runs and `run` passes over ([`PipelineTest`]).
//!
//! **Everything that is wrong is said at once** ([`Report`]): every unknown key, and for every stage at least one
//! error, in file order, each with a stable code ([`codes`]), the place, what was expected and one thing to do.
//! Nothing is opened, and no value that came from the environment is ever repeated.
//!
//! ```
//! use afferent::{definition::Definition, registry::Registry};
//!
//! let text = "name = \"steps\"\n[[sink]]\ntype = \"nowhere\"\n";
//! let report = Definition::parse(text, "steps.toml".as_ref(), &Registry::builtin(), &|_| None).unwrap_err();
//! assert_eq!(report.diagnostics.len(), 2, "no source, and no sink of this type");
//! ```

mod checkpoint;
pub mod codes;
mod de;
mod diagnostic;
mod document;
mod environment;
mod load;
mod names;
mod queues;
mod source;
pub(crate) mod strict;
pub(crate) mod suggest;
mod test;
#[cfg(test)]
mod tests;
mod when;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::{Name, config::Guarantee, engine::Settings};
use afferent_formats::Format;

use self::queues::QueueUse;
pub use self::{
    checkpoint::{Checkpoint, DeadLetters, WhenFull},
    diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Report, Severity},
    environment::{Lookup, process},
    names::{MAX_PIPELINE_NAME, MAX_STAGE_NAME, is_name},
    queues::{Joined, joined},
    test::{Compared, PipelineTest, Tested},
};
use crate::{
    registry::{Registry, StageKind},
    spec::{DefinitionSource, MakeStages, PipelineSpec},
};

/// Longest pipeline file, in bytes; ours have a few KiB. It keeps a wrong path from filling the memory.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// A checked pipeline.
#[derive(Clone)]
pub struct Definition {
    name: Name,
    settings: Settings,
    stages: Arc<MakeStages>,
    overview: Vec<StageInfo>,
    /// The queues that it reads and writes.
    queues: Vec<QueueUse>,
    tests: Arc<[PipelineTest]>,
    /// Where the name stands in the text.
    name_span: Range<usize>,
    warnings: Report,
}

/// One stage of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageInfo {
    /// Which kind.
    pub kind: StageKind,
    /// Its name in the pipeline.
    pub name: Name,
    /// Its `type`.
    pub type_name: String,
    /// The file or directory it reads or writes, if it has a `path`; not where the environment is part of it.
    pub path: Option<PathBuf>,
    /// The queue it reads or writes, if its type is `queue`; not where the environment is part of the name.
    pub queue: Option<Name>,
    /// The form of what it reads, if it is a source that can be told.
    pub format: Option<Format>,
    /// What it promises, if it is a sink that says so.
    pub guarantee: Option<Guarantee>,
}

impl Definition {
    /// Reads the file at `path`, with this process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path, registry: &Registry) -> Result<Definition, Report> {
        let text = read_text(path).map_err(|(message, help)| {
            Report::of_file(
                path.to_owned(),
                &codes::UNREADABLE,
                format!("can't read {}: {message}", path.display()),
                help,
            )
        })?;
        Definition::parse(&text, path, registry, &process)
    }

    /// Reads `text`, which stands in the file at `path`: relative paths in it are relative to that file's directory.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        text: &str,
        path: &Path,
        registry: &Registry,
        lookup: &Lookup<'_>,
    ) -> Result<Definition, Report> {
        load::load(text, path, registry, lookup)
    }

    /// The pipeline's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// When epochs are closed.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Its stages, in the order of the pipeline.
    pub fn stages(&self) -> &[StageInfo] {
        &self.overview
    }

    /// What is worth a look although the pipeline can run.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// What is wrong when it is to run beside `other`, which has the same name and would share its state.
    pub fn same_name_as(&self, other: &Definition) -> Report {
        let mut report = self.warnings.clone();
        let message = format!("two pipelines are named `{}`", self.name);
        let diagnostic = Diagnostic::new(&codes::DUPLICATE_NAME, self.name_span.clone(), message)
            .label("the name keys the saved state")
            .help(format!(
                "the other one is in {}; give one of them another `name`",
                other.warnings.path.display()
            ));
        report.diagnostics = vec![diagnostic];
        report
    }

    /// What is needed to run it.
    ///
    /// # Errors
    /// When an environment variable that it needs is not set.
    pub fn spec(&self) -> Result<PipelineSpec, Report> {
        let mut report = self.warnings.clone();
        report.diagnostics.retain(|diagnostic| diagnostic.code == &codes::MISSING_VARIABLE);
        if !report.diagnostics.is_empty() {
            for diagnostic in &mut report.diagnostics {
                diagnostic.severity = Severity::Error;
            }
            return Err(report);
        }
        let stages = self.stages.clone();
        let mut spec = PipelineSpec::new(self.name.clone(), self.settings, move || stages.make());
        spec.source =
            Some(DefinitionSource { text: self.warnings.text.to_string(), path: self.warnings.path.clone() });
        Ok(spec)
    }
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .field("stages", &self.overview)
            .finish_non_exhaustive()
    }
}

/// The text of the file at `path`, or why there is none and what to do.
fn read_text(path: &Path) -> Result<String, (String, &'static str)> {
    use std::io::{ErrorKind, Read};
    let cause = |error: std::io::Error| {
        let help = match error.kind() {
            ErrorKind::NotFound => "check the path",
            ErrorKind::IsADirectory => "name a file in it",
            ErrorKind::PermissionDenied => "check that this user may read it",
            _ => "see the cause",
        };
        (error.to_string(), help)
    };
    let file = std::fs::File::open(path).map_err(cause)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cause)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(("it is longer than 1 MiB".to_owned(), "check that this is a pipeline file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (format!("byte {at} is not UTF-8"), "save it as UTF-8, or check that this is a pipeline file")
    })
}
