//! Which files a path or glob means.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use afferent_core::{Error, Result};

use super::{MAX_FILES, error::read_error};

/// The files that `pattern` means, in the order of their names. A path that exists is that file, whatever
/// characters are in it. Directories that a glob finds are passed over.
///
/// # Errors
/// `Config` for a directory, a broken glob and more than [`MAX_FILES`] files; else see [`read_error`].
pub(super) fn expand(pattern: &str, follow: bool) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(Error::config(format!(
                "expected files, found the directory {pattern}; name the files in it, as in `{}`",
                path.join("*.ndjson").display()
            )));
        }
        Ok(_) => return Ok(vec![path.to_owned()]),
        // What is no name of a file may still be a glob.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Err(error) => return Err(read_error(path, error, follow)),
    }
    let found = ::glob::glob(pattern).map_err(|error| {
        Error::config(format!("{pattern} is not a glob: {} at byte {}", error.msg, error.pos))
    })?;
    let mut paths = Vec::new();
    for entry in found {
        let path = entry.map_err(|error| {
            let path = error.path().to_owned();
            read_error(&path, error.into(), follow)
        })?;
        if path.is_dir() {
            continue;
        }
        if paths.len() == MAX_FILES {
            return Err(Error::config(format!(
                "{pattern} matches more than {MAX_FILES} files, which is as many as one source reads; narrow it, or use several sources"
            )));
        }
        paths.push(path);
    }
    paths.sort();
    Ok(paths)
}
