//! Seeds that failed once.

use afferent_tests::campaign::{Play, SIMULATED, seeds};

#[cfg(unix)]
const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// Scenario: every seed in the file of those that failed. Guarantees: those of the campaign; each fault in the file is one.
#[test]
fn those_that_failed_do_not_any_more() {
    for (fault, seed) in seeds::all() {
        let simulated = SIMULATED.iter().find(|(name, _)| *name == fault).map(|(_, play)| *play);
        let case: Play = match fault.as_str() {
            _ if simulated.is_some() => simulated.expect("it was found"),
            #[cfg(unix)]
            "signature" => afferent_tests::campaign::signatures::play,
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
