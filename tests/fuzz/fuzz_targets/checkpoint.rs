//! Any bytes as damage of a state database.

#![no_main]

use afferent_tests::campaign::panics;
use libfuzzer_sys::fuzz_target;

// The fuzzer's hook ends it with any panic; some damage the database reports by one, which is caught and stays unheard.
fuzz_target!(init: panics::watch(), |bytes: &[u8]| {
    (afferent_tests::fuzzing::target("checkpoint").check)(bytes);
});
