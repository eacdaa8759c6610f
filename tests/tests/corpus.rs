//! The fuzzers' corpora, as ordinary tests: what fuzzing found once stays found.

use afferent_tests::fuzzing::{TARGETS, corpus, inputs};

/// Scenario: each input of the corpus of each parser. Guarantees: what its target says of any input.
#[test]
fn all() {
    for target in TARGETS {
        let inputs = inputs(*target);
        assert!(inputs.len() >= 3, "the corpus is there: {}", corpus(*target).display());
        for input in &inputs {
            (target.check)(input);
        }
    }
}
