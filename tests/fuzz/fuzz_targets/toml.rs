//! Any bytes as a pipeline file.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("toml").check)(bytes);
});
