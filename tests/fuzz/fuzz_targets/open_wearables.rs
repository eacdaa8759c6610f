//! Any bytes as bodies of open_wearables.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("open_wearables").check)(bytes);
});
