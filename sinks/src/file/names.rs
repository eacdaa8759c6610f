//! [`Names`]: what the files of a sink and their sidecars are called.

use std::path::{Path, PathBuf};

/// Fewest digits of a sequence, so that names sort as their numbers do for a million files.
const DIGITS: usize = 6;

/// The files of one `path`.
///
/// Sequence 0 is `path` itself, for a sink that does not roll. The others stand beside it and have their
/// sequence in the name from creation: `out/vitals.ndjson` → `out/vitals.000001.ndjson`.
#[derive(Clone, Debug)]
pub(super) struct Names {
    path: PathBuf,
    stem: String,
    /// With its dot; empty if there is none.
    extension: String,
}

impl Names {
    /// The names of `path`; `None` if it does not end in the name of a file.
    pub(super) fn of(path: &Path) -> Option<Names> {
        let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
        let stem = text(path.file_stem()?);
        let extension = path.extension().map(|extension| format!(".{}", text(extension))).unwrap_or_default();
        Some(Names { path: path.to_owned(), stem, extension })
    }

    /// The path as configured.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of `sequence`.
    pub(super) fn file(&self, sequence: u64) -> PathBuf {
        if sequence == 0 {
            return self.path.clone();
        }
        self.path.with_file_name(format!("{}.{sequence:0DIGITS$}{}", self.stem, self.extension))
    }

    /// The sequence of a file of the same directory; `None` for a file that is not one of these.
    pub(super) fn sequence(&self, file: &Path) -> Option<u64> {
        let name = file.file_name()?.to_str()?;
        let digits = name.strip_prefix(&self.stem)?.strip_prefix('.')?.strip_suffix(&self.extension)?;
        let sequence = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
        // Only the name this sink would have given: `vitals.7.ndjson` is somebody else's.
        (sequence > 0 && self.file(sequence).file_name() == file.file_name()).then_some(sequence)
    }

    /// A sidecar: `.vitals.ndjson.lock`.
    pub(super) fn sidecar(&self, suffix: &str) -> PathBuf {
        self.path.with_file_name(format!(".{}{}.{suffix}", self.stem, self.extension))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: names of rolled files and names that only look alike. Guarantees: G1, a rollback removes no
    /// file of anybody else.
    #[test]
    fn only_its_own_names_have_a_sequence() {
        let names = Names::of(Path::new("out/vitals.ndjson")).unwrap();
        assert_eq!(names.file(0), Path::new("out/vitals.ndjson"));
        assert_eq!(names.file(1), Path::new("out/vitals.000001.ndjson"));
        assert_eq!(names.sidecar("lock"), Path::new("out/.vitals.ndjson.lock"));
        for sequence in [1, 999_999, 1_000_000] {
            assert_eq!(names.sequence(&names.file(sequence)), Some(sequence));
        }
        for other in [
            "vitals.ndjson",
            "vitals.7.ndjson",
            "vitals.000000.ndjson",
            "vitals.0000001.ndjson",
            "vitals.00001a.ndjson",
            "vitals.000001.csv",
            "vitals2.000001.ndjson",
            "vitals.+00001.ndjson",
        ] {
            assert_eq!(names.sequence(&Path::new("out").join(other)), None, "{other}");
        }
        assert_eq!(Names::of(Path::new("vitals")).unwrap().file(3), Path::new("vitals.000003"));
        assert!(Names::of(Path::new("..")).is_none());
    }
}
