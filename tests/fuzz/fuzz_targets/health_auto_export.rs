//! Any bytes as bodies of health_auto_export.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("health_auto_export").check)(bytes);
});
