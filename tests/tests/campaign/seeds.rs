//! Seeds that failed once.

use afferent_tests::campaign::{Case, bit_flips, clock_jumps, outage, power_loss, seeds, sweep};

#[cfg(unix)]
const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// Scenario: every seed in the file of those that failed. Guarantees: those of the campaign; each fault in the file is one.
#[test]
fn those_that_failed_do_not_any_more() {
    for (fault, seed) in seeds::all() {
        let case: fn(u64) -> Case = match fault.as_str() {
            "power loss" => power_loss::play,
            "sweep" => sweep::play,
            "bit flip" => bit_flips::play,
            "clock" => clock_jumps::play,
            "outage" => outage::play,
            #[cfg(unix)]
            "kill" => |seed| afferent_tests::campaign::kills::play(seed, BINARY),
            #[cfg(unix)]
            "abort" => |seed| afferent_tests::campaign::aborts::play(seed, 3, BINARY),
            other => panic!("no fault is called {other}"),
        };
        let played = case(seed);
        assert_eq!(played.wrong, None, "{fault}, seed {seed}");
        assert_eq!((played.lost, played.duplicated), (0, 0), "{fault}, seed {seed}");
    }
}
