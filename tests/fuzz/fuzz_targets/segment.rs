//! Any bytes as segments of a log.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("segment").check)(bytes);
});
