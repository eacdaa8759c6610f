//! The sender aborts at each crash point.

use std::{os::unix::process::ExitStatusExt, sync::Mutex};

use afferent::sinks::upload;
use afferent_core::engine;
use afferent_tests::{given::Given, receiver::Script};

use crate::sender::{Sender, UPLOAD};

/// Where epoch 0 is made: nothing came before.
const FIRST_ONLY: &[&str] = &["start.prepared", "start.saved"];
/// A life that has saved an epoch whose bodies nobody was sent.
const EARLIER: &str = "close.saved 2";
/// The signal of an abort.
const SIGABRT: i32 = 6;
/// Senders at a time: most of them wait for the disk.
const AT_ONCE: usize = 4;

/// Scenario: the sender aborts at each crash point of the engine and of uploads, at its first start, and when an earlier
/// life has left bodies that nobody was sent; then it comes to its end. Guarantees: G1, G2, G3, G5: each record has arrived
/// once and unchanged, in its order; each refused record is one dead letter; the ledger balances. No point is passed by.
#[test]
fn a_sender_that_aborts_anywhere_loses_and_repeats_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let points = || engine::CRASH_POINTS.iter().chain(upload::CRASH_POINTS).copied();
    let later = points().filter(|point| !FIRST_ONLY.contains(point));
    let lives = points().map(|point| vec![format!("{point} 1")]);
    let lives = lives.chain(later.map(|point| vec![EARLIER.to_owned(), format!("{point} 1")]));
    let cases = Mutex::new(lives.enumerate());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some((seed, plans)) = next(&cases) {
                    abort_and_finish(&runtime, seed as u64, &plans);
                }
            });
        }
    });
}

fn next<T>(cases: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    cases.lock().unwrap().next()
}

/// A life for each of the plans, which ends as planned, and one that comes to its end.
fn abort_and_finish(runtime: &tokio::runtime::Runtime, seed: u64, plans: &[String]) {
    let mut random = seeded(seed);
    let mut given = Given::draw(60, 0.0, &mut random);
    // In every epoch, so that each life has something to narrow down.
    given.poison = given.untouched().into_iter().step_by(4).collect();
    let sender = runtime.block_on(Sender::new(given, Script::default(), 12, seed));
    for plan in plans {
        let output = sender.place.command(UPLOAD).env("AFFERENT_ABORT_AT", plan).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGABRT), "{plans:?}: never came to {plan}: {said}");
    }
    let ran = sender.place.run(UPLOAD);
    assert!(matches!(ran.code, Some(0 | 65)), "{plans:?}: {ran:?}");
    runtime.block_on(sender.check(&ran.stdout, &format!("{plans:?}")));
}

#[allow(clippy::disallowed_methods, reason = "the test's own seed")]
fn seeded(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}
