//! Any bytes as records in CSV.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("csv").check)(bytes);
});
