//! Any bytes as bodies of vendors.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("vendors").check)(bytes);
});
