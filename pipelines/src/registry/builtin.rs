//! The components of this build, one row each.

use super::{Registry, StageKind};

pub(super) fn registry() -> Registry {
    Registry::default()
}

/// Components that are Cargo features of this crate.
const FEATURES: &[(StageKind, &str, &str, bool)] = &[
    (StageKind::Source, "export", "export", cfg!(feature = "export")),
    (StageKind::Source, "file", "file", cfg!(feature = "file")),
    (StageKind::Sink, "sqlite", "sqlite", cfg!(feature = "sqlite")),
];

/// The feature that a component needs and this build lacks.
pub(crate) fn absent(kind: StageKind, type_name: &str) -> Option<&'static str> {
    let row = FEATURES.iter().find(|(of, name, ..)| *of == kind && *name == type_name);
    row.filter(|(.., built)| !built).map(|(_, _, feature, _)| *feature)
}
