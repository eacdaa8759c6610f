//! Any bytes as records in the wire form.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("wire").check)(bytes);
});
