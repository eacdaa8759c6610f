//! `docs/reference/components.md`: every component and every key, generated from the registry and from the
//! documentation of each component's `Config`.

use std::fmt::Write;

use super::{Registry, StageKind};

/// Where each component's `Config` is documented.
const CONFIGS: &[(StageKind, &str, &str)] = &[
    (StageKind::Source, "healthkit", include_str!("../../../sources/src/healthkit/config.rs")),
    (StageKind::Source, "export", include_str!("../../../sources/src/export/mod.rs")),
    (StageKind::Source, "file", include_str!("../../../sources/src/file/config.rs")),
    (StageKind::Source, "queue", include_str!("../../../sources/src/queue/mod.rs")),
    (StageKind::Source, "webhook", include_str!("../../../sources/src/webhook/config.rs")),
    (StageKind::Transform, "select", include_str!("../transforms/select.rs")),
    (StageKind::Transform, "filter", include_str!("../transforms/filter.rs")),
    (StageKind::Transform, "set", include_str!("../transforms/set/mod.rs")),
    (StageKind::Transform, "units", include_str!("../transforms/units.rs")),
    (StageKind::Transform, "validate", include_str!("../transforms/validate/config.rs")),
    (StageKind::Transform, "dedupe", include_str!("../transforms/dedupe.rs")),
    (StageKind::Transform, "sample", include_str!("../transforms/sample.rs")),
    (StageKind::Transform, "throttle", include_str!("../transforms/throttle.rs")),
    (StageKind::Transform, "redact", include_str!("../transforms/redact.rs")),
    (StageKind::Transform, "keep", include_str!("../transforms/keep.rs")),
    (StageKind::Transform, "coarsen", include_str!("../transforms/coarsen.rs")),
    (StageKind::Transform, "pseudonymise", include_str!("../transforms/pseudonymise.rs")),
    (StageKind::Transform, "consent", include_str!("../transforms/consent/mod.rs")),
    (StageKind::Transform, "enrich", include_str!("../transforms/enrich/mod.rs")),
    (StageKind::Transform, "split", include_str!("../transforms/split.rs")),
    (StageKind::Transform, "join", include_str!("../transforms/join/config.rs")),
    (StageKind::Transform, "rate", include_str!("../transforms/rate.rs")),
    (StageKind::Transform, "tag", include_str!("../transforms/tag.rs")),
    (StageKind::Transform, "sort", include_str!("../transforms/sort.rs")),
    (StageKind::Transform, "latest", include_str!("../transforms/latest.rs")),
    (StageKind::Transform, "window", include_str!("../transforms/window/config.rs")),
    (StageKind::Transform, "statistics", include_str!("../transforms/statistics/config.rs")),
    (StageKind::Transform, "merge_sources", include_str!("../transforms/merge_sources/config.rs")),
    (StageKind::Sink, "file", include_str!("../../../sinks/src/file/mod.rs")),
    (StageKind::Sink, "sqlite", include_str!("../../../sinks/src/sqlite/mod.rs")),
    (StageKind::Sink, "http", include_str!("../../../sinks/src/http/config.rs")),
    (StageKind::Sink, "fhir", include_str!("../../../sinks/src/fhir/config.rs")),
    (StageKind::Sink, "queue", include_str!("../../../sinks/src/queue/mod.rs")),
    (StageKind::Sink, "stdout", include_str!("../../../sinks/src/stdout/mod.rs")),
    (StageKind::Sink, "blackhole", include_str!("../../../sinks/src/blackhole/mod.rs")),
];

const MOCK: &str = include_str!("../../../sources/src/healthkit/mock/config.rs");

/// The documented fields of a source text's `pub struct Config`: key, meaning, and whether it must be given.
fn fields(source: &str) -> Vec<(String, String, bool)> {
    let body = source.split("pub struct Config {").nth(1).expect("a Config");
    // A struct without fields ends on its own line.
    let body = if body.starts_with('}') { "" } else { body.split("\n}").next().expect("an end") };
    let (mut fields, mut doc, mut required) = (Vec::new(), String::new(), true);
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc = format!("{doc} {}", text.trim()).trim().to_owned();
        } else if line.starts_with("#[serde(default") {
            required = false;
        } else if let Some((key, _)) = line.strip_prefix("pub ").and_then(|line| line.split_once(':')) {
            fields.push((key.to_owned(), std::mem::take(&mut doc), std::mem::replace(&mut required, true)));
        }
    }
    fields
}

fn table(page: &mut String, source: &str, all_optional: bool) {
    page.push_str("| key | | meaning |\n|---|---|---|\n");
    for (key, meaning, required) in fields(source) {
        let required = if required && !all_optional { "required" } else { "" };
        writeln!(page, "| `{key}` | {required} | {} |", meaning.replace('|', "\\|"))
            .expect("a string takes all");
    }
    page.push('\n');
}

fn reference() -> String {
    let mut page = "# Components and their keys

This page is generated from the registry and from the documentation of each component. Every source has the keys
`type`, `name` and `expect` (`{ HeartRate = \"6h\" }`: an alarm when no record of the type has come for so long, and the
gauge `afferent_source_types_silent`), every transform `type` and `name`, and every sink `type`, `name` and `when` (a
condition in CEL: which records it gets; deletions always). A name that is not given is the type, then `type-2`, and so on: it keys the stage's saved
state. Durations and sizes are texts with a unit: `\"500ms\"`, `\"6h\"`, `\"64KiB\"`. Relative paths are relative to the
pipeline file.

A file has `name`, and may have a table `[checkpoint]` with `every` (default `\"1s\"`), `records` (default 1,000,000)
and `bytes` (default `\"1GiB\"`): whichever comes first closes an epoch.

It may have a table `[dead_letters]`: `max_bytes` (default `\"64MiB\"`) is the room for them. Where it is used up,
`on_full = \"stop\"` (the default) stops the pipeline before it passes anything over, and `on_full = \"drop_oldest\"` drops
the oldest; withdrawn ones go first in either case. `max_age` drops older ones (by default none). What is dropped is
counted in `afferent_dead_letters_dropped_total`. When the oldest is older than `alarm_age` (default `\"7d\"`), an alarm
says so; `afferent_dead_letters_oldest_seconds` is how old it is.

"
    .to_owned();
    let registry = Registry::builtin();
    for kind in StageKind::ALL {
        for component in registry.components().iter().filter(|component| component.kind == kind) {
            writeln!(page, "## {} `{}`\n\n{}.\n", kind.word(), component.type_name, component.doc)
                .expect("a string takes all");
            let (_, _, source) = CONFIGS
                .iter()
                .find(|(of, name, _)| *of == kind && *name == component.type_name)
                .expect("every component is listed above");
            let keys: Vec<String> = fields(source).into_iter().map(|(key, ..)| key).collect();
            assert_eq!(
                keys, component.keys,
                "{}: the documented keys are those it reads",
                component.type_name
            );
            if keys.is_empty() {
                page.push_str("It has no keys of its own.\n\n");
            } else {
                table(&mut page, source, false);
            }
            if component.type_name == "healthkit" {
                page.push_str(
                    "`store = { type = \"host\", name = \"…\" }` is a store that the embedding program registered. \
                     `store = { type = \"mock\", … }` is the mock store; each of its keys has a default:\n\n",
                );
                table(&mut page, MOCK, true);
            }
        }
    }
    page.trim_end().to_owned() + "\n"
}

/// Scenario: the page in `docs/`. Guarantees: it lists every component of a full build with exactly the keys it
/// reads.
#[test]
#[allow(clippy::disallowed_methods, reason = "writes the page when asked to")]
fn the_page_of_components_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/components.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).expect("the page can be written");
    }
    let page = std::fs::read_to_string(path).expect("the page is there");
    assert!(page == reference(), "docs/reference/components.md is stale; run this test with UPDATE_DOCS=1");
}
