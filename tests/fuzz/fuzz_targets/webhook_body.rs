//! Any bytes as what is posted to a webhook.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    (afferent_tests::fuzzing::target("webhook_body").check)(bytes);
});
