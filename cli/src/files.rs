//! Reads pipeline files for `run` and `validate`.

use std::path::PathBuf;

use afferent::{
    Registry,
    definition::{self, Definition, Report},
};

/// What came of reading files.
pub(crate) struct Read {
    pub(crate) definitions: Vec<Definition>,
    /// Of the files that can't run.
    pub(crate) errors: Vec<Report>,
    /// Of files that do not fit together as they might be meant to.
    pub(crate) warnings: Vec<Report>,
}

/// Reads all `files`. Two of one name in one state directory would share a checkpoint, and queues could lead back to where
/// records came from: both are errors.
pub(crate) fn read(files: &[PathBuf], registry: &Registry) -> Read {
    let mut read = Read { definitions: Vec::new(), errors: Vec::new(), warnings: Vec::new() };
    for path in files {
        match Definition::read(path, registry) {
            Ok(definition) => match read.definitions.iter().find(|other| other.name() == definition.name()) {
                Some(other) => read.errors.push(definition.same_name_as(other)),
                None => read.definitions.push(definition),
            },
            Err(report) => read.errors.push(report),
        }
    }
    let joined = definition::joined(&read.definitions);
    let is_in_cycle = |definition: &Definition| {
        joined.errors.iter().any(|report| report.path == definition.warnings().path)
    };
    read.definitions.retain(|definition| !is_in_cycle(definition));
    read.errors.extend(joined.errors);
    read.warnings = joined.warnings;
    read
}
