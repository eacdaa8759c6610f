//! The workspace itself: which crates there are and which way they depend on one another.

use std::{collections::BTreeMap, path::Path};

/// Each crate's folder, its package, and the packages of the workspace that it may use (tests apart).
const LAYOUT: &[(&str, &str, &[&str])] = &[
    ("core", "afferent-core", &[]),
    ("formats", "afferent-formats", &["afferent-core"]),
    ("sources", "afferent-sources", &["afferent-core", "afferent-formats"]),
    ("sinks", "afferent-sinks", &["afferent-core", "afferent-formats"]),
    ("pipelines", "afferent", &["afferent-core", "afferent-formats", "afferent-sources", "afferent-sinks"]),
    ("cli", "afferent-cli", &["afferent"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder")
}

fn manifest(folder: &str) -> toml::Table {
    let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    text.parse().expect("TOML")
}

/// Scenario: the manifests as they are. Guarantees: `core ← formats ← sources, sinks ← pipelines ← cli`; sources
/// and sinks never see each other; no library is named `core`; every dependency is pinned once, at the top.
#[test]
fn crates_depend_one_way() {
    let members: BTreeMap<&str, (&str, &[&str])> =
        LAYOUT.iter().map(|(folder, package, uses)| (*folder, (*package, *uses))).collect();
    let ours: Vec<&str> = LAYOUT.iter().map(|(_, package, _)| *package).collect();
    for (folder, (package, may_use)) in members {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(package));
        let dependencies = manifest["dependencies"].as_table().expect("dependencies");
        for (name, dependency) in dependencies {
            assert!(
                !ours.contains(&name.as_str()) || may_use.contains(&name.as_str()),
                "{package} must not depend on {name}"
            );
            let pinned_above = dependency.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            assert!(pinned_above, "{package}: {name} is not pinned in the workspace's manifest");
        }
    }
    for (folder, _, _) in LAYOUT {
        assert_ne!(manifest(folder)["package"]["name"].as_str(), Some("core"));
    }
}

/// Scenario: the packages that the design fixes. Guarantees: each is a dependency that is really used in code.
#[test]
fn the_fixed_packages_are_used() {
    let source = |folder: &str| {
        let mut text = String::new();
        let mut open = vec![root().join(folder).join("src")];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()),
                );
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                text.push_str(&std::fs::read_to_string(&path).expect("a source file"));
            }
        }
        text
    };
    let text: String = LAYOUT.iter().map(|(folder, ..)| source(folder)).collect();
    for package in ["tokio_stream", "futures", "async_trait", "serde", "rmp_serde", "metrics"] {
        let used = [format!("use {package}::"), format!("{package}::")];
        assert!(used.iter().any(|used| text.contains(used)), "{package} is not used");
    }
}
