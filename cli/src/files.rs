//! Reads pipeline files for `run` and `validate`.

use std::path::PathBuf;

use afferent::{
    Registry,
    definition::{Definition, Report},
};

/// What came of reading files.
pub(crate) struct Read {
    pub(crate) definitions: Vec<Definition>,
    /// Of the files that can't run.
    pub(crate) errors: Vec<Report>,
}

/// Reads all `files`. Two of one name in one state directory would share a checkpoint, which is an error.
pub(crate) fn read(files: &[PathBuf], registry: &Registry) -> Read {
    let mut read = Read { definitions: Vec::new(), errors: Vec::new() };
    for path in files {
        match Definition::read(path, registry) {
            Ok(definition) => match read.definitions.iter().find(|other| other.name() == definition.name()) {
                Some(other) => read.errors.push(definition.same_name_as(other)),
                None => read.definitions.push(definition),
            },
            Err(report) => read.errors.push(report),
        }
    }
    read
}
