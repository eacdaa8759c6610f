//! Faults of a simulated machine.

use afferent_tests::campaign::{
    Books, Case, Extent, SIMULATED, bit_flips, clock_jumps, drive, is_deterministic, outage, power_loss,
    sweep,
};

/// Seeds that are played twice, of each fault.
const TWICE: u64 = 30;

/// Plays seeds, or the one that `AFFERENT_SEED` names.
fn play(seeds: u64, case: impl Fn(u64) -> Case + Sync) -> Option<Books> {
    if let Ok(seed) = std::env::var("AFFERENT_SEED") {
        let case = case(seed.parse().expect("a number"));
        println!("{case:#?}");
        assert_eq!(case.wrong, None);
        return None;
    }
    let books = drive(Extent::of(seeds), case);
    println!("{:?}", Books { failures: Vec::new(), recoveries: Vec::new(), ..books.clone() });
    books.assert_clean();
    assert_eq!(books.cases, seeds);
    Some(books)
}

/// Scenario: seeds of every simulated fault, each played twice. Guarantees: the same seed gives the same trace: every operation
/// on the disk with its bytes, every body with its time. All that follows rests on it.
#[test]
fn a_seed_repeats_a_run() {
    for (fault, case) in SIMULATED {
        is_deterministic(0..TWICE, case).unwrap_or_else(|other| panic!("{fault}: {other}"));
    }
}

/// Scenario: see [`power_loss`]. Guarantees: those of the campaign; losses hit, also while a machine recovers.
#[test]
fn power_loss() {
    let Some(books) = play(5000, power_loss::play) else { return };
    assert!(books.faults > 5000, "{} losses", books.faults);
    assert!(books.noted("while it recovered") > 500 && books.noted("bodies sent again") > 500);
}

/// Scenario: see [`sweep`]: all operations of one pipeline. Guarantees: those of the campaign, and G6: it goes on by itself.
#[test]
fn every_operation_fails_once() {
    let seeds = sweep::length(0);
    let Some(books) = play(seeds, sweep::play) else { return };
    assert!(books.faults > seeds * 9 / 10, "{} of {seeds} faults struck", books.faults);
}

/// Scenario: see [`bit_flips`]. Guarantees: what a flipped bit does is nothing, or somebody is told; no value changes, nothing
/// panics, and nothing is tried for ever.
#[test]
fn bit_flips() {
    let Some(books) = play(2000, bit_flips::play) else { return };
    for what in ["without effect", "told what is lost or may repeat", "refused to start, and said why"] {
        assert!(books.noted(what) > 0, "{what} never happened: {:?}", books.notes);
    }
}

/// Scenario: see [`clock_jumps`]. Guarantees: those of the campaign, and G6.
#[test]
fn clock_jumps() {
    play(500, clock_jumps::play);
}

/// Scenario: see [`outage`]. Guarantees: those of the campaign, G6, and that retrying is no burden on a receiver.
#[test]
fn outages() {
    let Some(books) = play(200, outage::play) else { return };
    assert!(books.faults > 150, "{} outages struck", books.faults);
}
