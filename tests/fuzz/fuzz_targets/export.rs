//! Any bytes as an Apple Health export.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("export").check)(bytes);
});
