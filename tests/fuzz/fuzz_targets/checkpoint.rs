//! Any bytes as damage of a state database.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("checkpoint").check)(bytes);
});
