//! Files of people: exports and pipelines.

use std::{path::Path, sync::LazyLock};

use afferent::{Definition, Registry};

use super::{hash, shape};

/// Any bytes as an export.zip or export.xml.
pub(super) fn export(bytes: &[u8]) -> u64 {
    afferent_sources::export::testing::check(bytes);
    // The check says nothing of how it went; the first bytes tell forms apart.
    hash(&bytes[..bytes.len().min(4)])
}

/// Any bytes as a pipeline file: it is one, or each thing that is wrong with it has a place in it and says something.
pub(super) fn toml(bytes: &[u8]) -> u64 {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::builtin);
    let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
    let environment = |name: &str| (name == "SET").then(|| "a value".to_owned());
    match Definition::parse(text, Path::new("/fuzz.toml"), &REGISTRY, &environment) {
        Ok(definition) => {
            // A variable that is not set is only known to be missing when it is to run.
            let is_runnable = definition.spec().is_ok();
            assert!(is_runnable || text.contains("${"), "what is valid can be made");
            hash((is_runnable, definition.stages().len()))
        }
        Err(report) => {
            assert!(!report.diagnostics.is_empty(), "a report says something");
            let mut codes = Vec::new();
            for diagnostic in &report.diagnostics {
                assert!(!diagnostic.message.is_empty(), "a diagnostic says something");
                assert!(text.get(diagnostic.span.clone()).is_some(), "{:?} is in the text", diagnostic.span);
                for (span, _) in &diagnostic.related {
                    assert!(text.get(span.clone()).is_some(), "{span:?} is in the text");
                }
                codes.push(shape(&diagnostic.message));
            }
            codes.sort_unstable();
            hash(codes)
        }
    }
}
