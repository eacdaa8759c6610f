//! Any bytes as bodies of health_kit_reporter.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("health_kit_reporter").check)(bytes);
});
