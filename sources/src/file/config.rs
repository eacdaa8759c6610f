//! Configuration of a file source.

use std::path::Path;

use afferent_core::{Problem, config::Configure};
use afferent_formats::Format;
use serde::Deserialize;

/// Configuration of a file source.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The files: a path, or a glob such as `inbox/*.ndjson` or `logs/**/*.csv`.
    pub path: String,
    /// Whether to wait for more at the end, through rotation and truncation.
    #[serde(default)]
    pub follow: bool,
    /// The form of the files: `json` (NDJSON of the wire form), `csv`, or one of the dialects of `docs/formats`.
    #[serde(default, deserialize_with = "Format::deserialize_read")]
    pub format: Format,
    /// Whether to reject a record with an unknown field, instead of keeping it in the metadata.
    #[serde(default)]
    pub strict: bool,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.format.check_read().into_iter().collect();
        problems.extend(self.check_path());
        problems
    }

    fn resolve(&mut self, base: &Path) {
        if Path::new(&self.path).is_relative() {
            let base = ::glob::Pattern::escape(&base.to_string_lossy());
            self.path = Path::new(&base).join(&self.path).to_string_lossy().into_owned();
        }
    }
}

impl Config {
    fn check_path(&self) -> Option<Problem> {
        if self.path.is_empty() {
            return Some(Problem::new("path", "expected the path of a file or a glob, found an empty text"));
        }
        match ::glob::Pattern::new(&self.path) {
            Ok(_) => None,
            Err(error) => Some(
                Problem::new("path", format!("not a glob: {}", error.msg))
                    .help("write `[*]`, `[?]` or `[[]` for these characters themselves")
                    .span(error.pos..self.path.len()),
            ),
        }
    }
}
