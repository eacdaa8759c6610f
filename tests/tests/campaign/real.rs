//! Faults of the real command.

use std::{collections::BTreeSet, time::Duration};

use afferent_tests::campaign::{
    Books, Extent, aborts, bombs, drive, kills, recovery, signatures, slow_clients,
};

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// Kills that must hit, and a fifth of them, less some luck, while a process recovers.
const KILLS: u64 = 200;
/// Places at a time, each of which is killed up to ten times: how often, depends on how far the machine lets it come.
const PLACES: u64 = 20;
/// So many places at most, before too few kills are a failure.
const MOST_PLACES: u64 = 8 * PLACES;
/// Senders at a time: most of them wait for the disk.
const AT_ONCE: usize = 4;
/// Bytes of state that are recovered here; the campaign recovers 1 GiB.
const STATE: u64 = 32 << 20;
/// How long that may take, on a machine that does other things as well.
const RECOVERY: Duration = Duration::from_secs(2);

/// Scenario: see [`kills`]. Guarantees: those of the campaign; the file is the undisturbed one byte for byte, the database row
/// by row.
#[test]
fn kills_at_random_moments() {
    let mut books = Books::default();
    for first in (0..MOST_PLACES).step_by(PLACES as usize) {
        let extent = Extent { first, ..Extent::of(PLACES).at_once(AT_ONCE) };
        books.merge(drive(extent, |seed| kills::play(seed, BINARY)));
        if books.faults >= KILLS {
            break;
        }
    }
    books.finish();
    println!("{:?} {:?}", books.notes, books.recovery());
    books.assert_clean();
    assert!(books.faults >= KILLS, "only {} of {KILLS} kills hit", books.faults);
    let recovering = books.noted("kills while it recovered");
    assert!(recovering >= books.faults / 8, "only {recovering} of {} hit while it recovered", books.faults);
    assert!(books.noted("bodies sent again") > 0, "no body was sent again");
}

/// Scenario: see [`aborts`]: each crash point once, at the first start and later. Guarantees: those of the campaign; no point is
/// passed by.
#[test]
fn aborts_at_every_crash_point() {
    let books = drive(Extent::of(aborts::plans(1).len() as u64).at_once(AT_ONCE), |seed| {
        aborts::play(seed, 1, BINARY)
    });
    books.assert_clean();
    let reached: BTreeSet<&str> = books.notes.keys().copied().collect();
    let missed: Vec<&str> = aborts::points().filter(|point| !reached.contains(point)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}

/// Scenario: see [`recovery`], with less state than the campaign has. Guarantees: G5: it runs again by itself, at once.
#[test]
fn recovery_of_much_state() {
    let case = recovery::play(STATE, RECOVERY, BINARY);
    println!("{case:?}");
    assert_eq!(case.wrong, None);
}

/// Scenario: see [`signatures`]: 10^5 requests. Guarantees: none is taken that should not be, and all that should.
#[test]
fn signatures() {
    let books = drive(Extent::of(100_000 / signatures::REQUESTS), signatures::play);
    println!("{:?}", books.notes);
    books.assert_clean();
    assert!(books.noted("good ones taken") > 0);
}

/// Scenario: see [`slow_clients`], with 1,000. Guarantees: G6, G7: whoever posts is not held up; G1, G2 for what was posted.
#[test]
fn slow_clients() {
    let case = slow_clients::play(1000, BINARY);
    println!("{case:?}");
    assert_eq!(case.wrong, None);
    assert_eq!((case.lost, case.duplicated), (0, 0));
}

/// Scenario: see [`bombs`]. Guarantees: G7, G11: each is refused or dead-lettered, what is around it arrives, and no more memory is
/// used than twice the limit of an item, besides what a process has anyway.
#[test]
fn bombs() {
    let case = bombs::play(BINARY);
    println!("{case:?}");
    assert_eq!(case.wrong, None);
}
