//! [`Names`]: what the files of a sink and their sidecars are called.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use afferent_core::Kind;

/// Fewest digits of a sequence, so that names sort as their numbers do for a million files.
const DIGITS: usize = 6;

/// Stands for the type in the name of a file.
const PLACEHOLDER: &str = "{type}";

/// Stands for the type of a deletion that has none. Outside HealthKit types have a dot, and HealthKit has none of this
/// name.
const UNTYPED: &str = "unknown";

/// Longest name of a file: what every file system in use takes.
const MAX_NAME_BYTES: usize = 255;

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

/// The files of one `path` with a placeholder: one per type, in one directory.
#[derive(Clone, Debug)]
pub(super) struct TypeNames {
    before: String,
    after: String,
}

impl TypeNames {
    /// The names of `path`; `None` if it has no placeholder.
    ///
    /// # Errors
    /// What is wrong with the placeholders of `path`: there may be one, in the name of the file.
    pub(super) fn of(path: &Path) -> Result<Option<TypeNames>, String> {
        let directory = path.parent().into_iter().flat_map(Path::components);
        if directory.into_iter().any(|part| part.as_os_str().to_string_lossy().contains(PLACEHOLDER)) {
            return Err(format!("expected `{PLACEHOLDER}` in the name of the file, found it in a directory"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut found = None;
        let mut from = 0;
        while let Some(start) = name[from..].find('{').map(|start| from + start) {
            let Some(end) = name[start..].find('}').map(|end| start + end + 1) else { break };
            if &name[start..end] != PLACEHOLDER {
                return Err(format!(
                    "expected no placeholder but `{PLACEHOLDER}`, found `{}`",
                    &name[start..end]
                ));
            }
            if found.is_some() {
                return Err(format!("expected `{PLACEHOLDER}` once, found it again"));
            }
            found = Some(TypeNames { before: name[..start].to_owned(), after: name[end..].to_owned() });
            from = end;
        }
        Ok(found)
    }

    /// The name of the file for `kind`; `None` if it would be longer than [`MAX_NAME_BYTES`]. What is neither a
    /// letter or digit of ASCII nor one of `.`, `_` and `-` becomes `%` and two hexadecimal digits a byte, so that two
    /// types never share a name.
    pub(super) fn file(&self, kind: Option<Kind>) -> Option<String> {
        let mut name = self.before.clone();
        for byte in kind.map_or(UNTYPED, Kind::short).bytes() {
            if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
                name.push(char::from(byte));
            } else {
                write!(name, "%{byte:02X}").expect("a string takes everything");
            }
        }
        name.push_str(&self.after);
        (name.len() <= MAX_NAME_BYTES).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: types of HealthKit, of others, none, and one whose name is as long as a type's can be. Guarantees: G2,
    /// no two types share a file, and none leaves its directory.
    #[test]
    fn each_type_has_a_name_of_its_own() {
        let names = TypeNames::of(Path::new("out/my-{type}.csv")).unwrap().unwrap();
        let name = |kind: &str| names.file(Some(Kind::from_data(kind).unwrap()));
        assert_eq!(name("HKQuantityTypeIdentifierHeartRate").unwrap(), "my-HeartRate.csv");
        assert_eq!(name("HKNewerThanThis").unwrap(), "my-HKNewerThanThis.csv");
        assert_eq!(name("com.example.mood").unwrap(), "my-com.example.mood.csv");
        assert_eq!(name("com.example/x:é%").unwrap(), "my-com.example%2Fx%3A%C3%A9%25.csv");
        assert_eq!(name(&format!("com.{}", "x".repeat(252))), None);
        assert_eq!(names.file(None).unwrap(), "my-unknown.csv");
        let mut all: Vec<String> = Kind::all().map(|kind| kind.short().to_lowercase()).collect();
        all.push(UNTYPED.to_owned());
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "also where names that differ in case are one");
    }

    /// Scenario: placeholders where they may be and where not. Guarantees: none is taken for a part of a name.
    #[test]
    fn placeholders_are_checked() {
        let of = |path: &str| TypeNames::of(Path::new(path));
        assert!(of("out/vitals.csv").unwrap().is_none());
        assert!(of("out/{odd/vi}tals{.csv").unwrap().is_none());
        for path in ["{type}", "out/{type}.csv", "out/{{type}}/../{type}.ndjson", "vitals.{type}"] {
            let expected = !path.contains("..");
            assert_eq!(of(path).is_ok_and(|names| names.is_some()), expected, "{path}");
        }
        for (path, found) in [
            ("out/{kind}.csv", "found `{kind}`"),
            ("out/{Type}.csv", "found `{Type}`"),
            ("out/{}.csv", "found `{}`"),
            ("out/{type}{type}.csv", "found it again"),
            ("out/{type}-{year}.csv", "found `{year}`"),
            ("{type}/vitals.csv", "found it in a directory"),
        ] {
            assert!(of(path).unwrap_err().contains(found), "{path}");
        }
    }

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
