//! [`StageKey`]: a stage of a pipeline, as queues know it.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Name, Problem, Result};

/// Stands between pipeline and stage in a file's name; no name may have it.
const SEPARATOR: char = '~';

/// A stage of a pipeline: a producer or a consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageKey {
    /// The pipeline.
    pub pipeline: Name,
    /// The source or sink.
    pub stage: Name,
}

impl StageKey {
    /// The name of its file or directory.
    pub(super) fn file_name(&self) -> String {
        format!("{}{SEPARATOR}{}", self.pipeline, self.stage)
    }

    /// The stage that a file or directory is about; `None` for what is something else.
    pub(super) fn of_file(path: &Path) -> Option<StageKey> {
        let (pipeline, stage) = path.file_name()?.to_str()?.split_once(SEPARATOR)?;
        Some(StageKey { pipeline: Name::from(pipeline), stage: Name::from(stage) })
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pipeline, self.stage)
    }
}

/// Longest name of a queue, in bytes; as long as a stage's.
const MAX_NAME: usize = 64;

/// What is wrong with the name of a queue, as a component's configuration says it (key `queue`).
pub fn check_name(queue: &Name) -> Option<Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let is_name = queue.len() <= MAX_NAME
        && queue.chars().all(allowed)
        && queue.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let problem = || {
        Problem::new("queue", "a queue can't have this name").help(format!(
            "use 1 to {MAX_NAME} characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or digit"
        ))
    };
    (!is_name).then(problem)
}

/// Whether `names` can be parts of file names. Pipeline files allow no others; a library user may try.
///
/// # Errors
/// `Config`.
pub(super) fn check(names: &[&Name]) -> Result<()> {
    let is_safe = |name: &Name| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        name.chars().all(allowed) && !name.is_empty() && !name.starts_with('.')
    };
    match names.iter().find(|name| !is_safe(name)) {
        Some(name) => Err(Error::config(format!(
            "`{name}` can't take part in a queue: expected letters, digits, `-`, `_` and `.`, the first a letter or digit"
        ))),
        None => Ok(()),
    }
}
