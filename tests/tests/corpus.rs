//! The fuzzers' corpora, as ordinary tests: what fuzzing found once stays found.

use std::path::Path;

use afferent_sources::export::testing::check;

/// Scenario: each input of the corpus of exports. Guarantees: what `check` says of any input.
#[test]
fn exports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/export");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        check(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
        inputs += 1;
    }
    assert!(inputs >= 5, "the corpus is there");
}
