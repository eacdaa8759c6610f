//! Every parser, fuzzed for a while. `scripts/fuzz` looks into the program as it does so, and `scripts/campaign` takes an hour each.

use std::time::Duration;

use afferent_tests::fuzzing::{fuzz, target};

/// How long each.
const LENGTH: Duration = Duration::from_secs(20);

/// Fuzzes a parser, with the seed of `AFFERENT_SEED` or another each time.
fn fuzzed(name: &str) {
    let seed = std::env::var("AFFERENT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("AFFERENT_SEED={seed}");
    let fuzzed = fuzz(target(name), LENGTH, seed);
    println!("{name}: {} inputs, {} behaviours", fuzzed.inputs, fuzzed.behaviours);
    assert!(fuzzed.found.is_none(), "{:?}", fuzzed.found);
    assert!(fuzzed.inputs > 100, "only {} inputs were tried", fuzzed.inputs);
}

/// A test of each parser. Scenario: inputs made from its corpus, for 20 s. Guarantees: what its target says of any input.
macro_rules! fuzzed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzzed(stringify!($name));
        })*
    };
}

fuzzed! {
    wire csv export toml cel segment checkpoint webhook_body webhook_signature
    msgpack health_kit_reporter health_auto_export react_native_healthkit flutter_health open_wearables health_connect vendors
}
