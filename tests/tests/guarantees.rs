//! The page about guarantees says what is true.

use std::path::Path;

/// Scenario: every test that `docs/guarantees.md` names. Guarantees: it is there, in the file that is named; each guarantee has a
/// section, and names tests.
#[test]
fn every_named_test_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/guarantees.md")).expect("the page");
    let mut named = 0;
    for name in page.split('`').skip(1).step_by(2).filter(|name| name.contains(".rs")) {
        let (file, test) = name.split_once("::").unwrap_or((name, ""));
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("fn {test}")), "{name} is not there");
        named += 1;
    }
    assert!(named > 20, "only {named} tests are named");
    for number in 1..=11 {
        assert!(page.contains(&format!("\n## G{number}: ")), "G{number} has a section");
    }
}
