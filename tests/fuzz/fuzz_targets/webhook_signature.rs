//! Any bytes as a signature and what it is of.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("webhook_signature").check)(bytes);
});
