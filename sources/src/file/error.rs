//! Errors of reading.

use std::{io, path::Path};

use afferent_core::{Error, ErrorKind};

/// Why `path` could not be read. What an operator has to mend is `Config`, unless the source follows files: then it may
/// be mended while it runs.
pub(super) fn read_error(path: &Path, error: io::Error, follow: bool) -> Error {
    let (lasting, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (true, "check that this user may read it"),
        io::ErrorKind::NotFound => (true, "check the path"),
        io::ErrorKind::NotADirectory => (true, "a part of the path is a file"),
        io::ErrorKind::IsADirectory => (true, "name the files in it, as in `dir/*.ndjson`"),
        _ => (false, "see the cause"),
    };
    let kind =
        if lasting && !follow { ErrorKind::Config } else { ErrorKind::Transient { retry_after: None } };
    Error::new(kind, format!("can't read {}: {error} ({hint})", path.display()))
}
