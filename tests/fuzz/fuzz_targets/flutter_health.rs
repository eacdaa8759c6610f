//! Any bytes as bodies of flutter_health.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("flutter_health").check)(bytes);
});
