//! Any bytes as bodies of react_native_healthkit.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("react_native_healthkit").check)(bytes);
});
