//! Tests of two owners of one log.

use super::*;

/// Scenario: one owner takes a log over from another, which goes on: it appends, syncs, rolls, cuts and trims, or was about to
/// cut; at the end of the log or before it, again and again, with a restart at the end. Guarantees: G1, G10: the newer one's
/// log has what it had before the cut and what it appended, without damage, and nothing of the older one.
#[test]
fn an_owner_that_was_taken_over_changes_nothing() {
    for seed in 0..60 {
        let mut random = Random::from_seed(seed);
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk, None).unwrap();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        let mut zombies: Vec<SegmentLog> = Vec::new();
        let mut serial = 0;
        for _ in 0..3 {
            for _ in 0..random.below(12) {
                serial += 1;
                expected.push(payload(serial, 20 + random.below(900) as usize));
                let appended = log.append(expected.last().unwrap()).unwrap();
                assert!(matches!(appended, Appended::At(_)), "seed {seed}");
            }
            let end = log.sync().unwrap();
            // What no checkpoint knows.
            for _ in 0..random.below(6) {
                serial += 1;
                assert!(matches!(log.append(&payload(serial, 400)).unwrap(), Appended::At(_)), "seed {seed}");
            }
            if random.chance(0.5) {
                log.sync().unwrap();
            }
            let (mut newer, report) = open(&disk, Some(end)).unwrap();
            assert_eq!(report.damage, [], "seed {seed}");
            newer.take_over(end).unwrap();
            zombies.push(std::mem::replace(&mut log, newer));
            for zombie in &mut zombies {
                // Each of these may fail: the files are no longer what it left.
                for _ in 0..random.below(10) {
                    serial += 1;
                    let _ = match random.below(8) {
                        0 => zombie.sync().map(drop),
                        1 => zombie.truncate(end),
                        _ => zombie.append(&payload(serial, 700)).map(drop),
                    };
                }
            }
        }
        serial += 1;
        expected.push(payload(serial, 100));
        assert!(matches!(log.append(expected.last().unwrap()).unwrap(), Appended::At(_)), "seed {seed}");
        log.sync().unwrap();
        for zombie in &mut zombies {
            serial += 1;
            let _ = zombie.append(&payload(serial, 700)).and_then(|_| zombie.sync());
        }
        for restarted in [false, true] {
            if restarted {
                let end = log.synced();
                drop(log);
                let (again, report) = open(&disk, Some(end)).unwrap();
                assert_eq!(report.damage, [], "seed {seed}");
                log = again;
            }
            let (entries, damage) = read_all(&log);
            assert_eq!(damage, [], "seed {seed}");
            let found: Vec<Vec<u8>> = entries.into_values().collect();
            assert_eq!(found, expected, "seed {seed}, restarted: {restarted}");
        }
    }
}
