//! Tests of failing operations and full disks.

use super::*;

/// A history with everything a log does.
fn history(subject: &mut Subject) -> Result<()> {
    for round in 0..3 {
        for len in [10, 900, 0, 1700, 300] {
            subject.append(len)?;
        }
        subject.sync()?;
        subject.append(2000)?;
        subject.append(700 * round)?;
        subject.truncate(0.7)?;
        subject.append(5000)?;
        subject.sync()?;
        subject.append(10)?;
        subject.trim(0.5)?;
        subject.append(30)?;
        subject.truncate(0.4)?;
    }
    subject.append(2500)?;
    subject.sync()?;
    subject.trim(1.0)?;
    subject.append(100)?;
    subject.sync()
}

/// Scenario: each operation of a history fails, once, in each way; then the process or the power ends. Guarantees: G1,
/// G2 and G5: it opens again by itself, with everything that was synced, and goes on.
#[test]
fn any_operation_may_fail() {
    let mut count = 0;
    for fault in [Fault::Io, Fault::Full, Fault::Halt] {
        for n in 0.. {
            let mut hit = false;
            for end in 0..3 {
                let what = format!("{fault:?} at operation {n}, end {end}");
                let mut subject = Subject::new(n ^ (end << 32));
                subject.disk.fail(None, n, fault);
                hit = match history(&mut subject) {
                    Ok(()) => false,
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{what}: {error:?}");
                        true
                    }
                };
                subject.disk.heal();
                if end > 0 {
                    subject.disk = subject.disk.power_loss(n + end);
                }
                subject.reopen(end == 2, &what);
                history(&mut subject).unwrap();
                subject.reopen(true, &what);
                subject.disk = subject.disk.power_loss(n);
                subject.reopen(false, &what);
                count += u64::from(hit);
            }
            if !hit && n > subject_operations() {
                break;
            }
        }
    }
    assert!(count > 500, "{count} faults were met");
}

/// Operations of a history in which nothing fails.
fn subject_operations() -> u64 {
    let mut subject = Subject::new(0);
    let before = subject.disk.operations(None);
    history(&mut subject).unwrap();
    subject.disk.operations(None) - before
}

/// Scenario: each operation of opening a log that a crash left with work to do fails. Guarantees: G5, the next opening
/// finds the same.
#[test]
fn opening_may_fail_at_any_operation() {
    for n in 0.. {
        let mut subject = Subject::new(n);
        for len in [1000, 2000, 3000, 100, 200] {
            subject.append(len).unwrap();
        }
        subject.sync().unwrap();
        subject.append(300).unwrap();
        // The cut is written, and nothing of it done.
        subject.disk.fail(Some(Op::Remove), 0, Fault::Io);
        assert!(subject.truncate(0.4).is_err());
        subject.disk.heal();
        for power_loss in [false, true] {
            subject.disk.fail(None, n, Fault::Io);
            if let Err(error) = open(&subject.disk, None) {
                assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "operation {n}: {error}");
            } else if n > 60 {
                return;
            }
            subject.disk.heal();
            if power_loss {
                subject.disk = subject.disk.power_loss(n);
            }
        }
        subject.reopen(false, &format!("operation {n}"));
        assert!(subject.entries.len() <= 3, "operation {n}: what was cut off is gone");
    }
}

/// Scenario: a sync fails. Guarantees: G1, the handle does nothing any more, not even a second sync, until the log is
/// opened again; then what it could read is synced anew.
#[test]
fn a_failed_sync_poisons() {
    for seed in 0..50 {
        let mut subject = Subject::new(seed);
        subject.append(700).unwrap();
        subject.sync().unwrap();
        for _ in 0..4 {
            subject.append(600).unwrap();
        }
        subject.disk.fail(Some(Op::Sync), 0, Fault::Io);
        assert!(subject.sync().is_err());
        let before = subject.disk.operations(None);
        let end = subject.log.end();
        let errors = [
            subject.log.append(b"more").map(drop),
            subject.log.sync().map(drop),
            subject.log.truncate(end),
            subject.log.trim(end),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Transient { .. }));
            assert!(error.message().contains("open it again"), "{error}");
        }
        assert_eq!(subject.disk.operations(None), before, "seed {seed}: nothing was tried");
        subject.reopen(true, &format!("seed {seed}"));
        subject.disk = subject.disk.power_loss(seed);
        subject.reopen(true, &format!("seed {seed}"));
    }
}

/// Scenario: the disk is full in the middle of a write, and later has room. Guarantees: G1 and G5, nothing is lost and
/// the same handle goes on.
#[test]
fn a_full_disk_heals() {
    let mut subject = Subject::new(1);
    subject.append(1000).unwrap();
    subject.sync().unwrap();
    subject.disk.set_capacity(Some(subject.disk.used()));
    let (mut failed, mut taken) = (0, 0);
    for _ in 0..10 {
        for _ in 0..3 {
            match subject.append(900) {
                Ok(()) => taken += 1,
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
                    failed += 1;
                }
            }
        }
        failed += u64::from(subject.sync().is_err());
    }
    assert!(failed > 10 && taken > 1, "{failed} failures, {taken} appends");
    subject.disk.set_capacity(None);
    subject.sync().unwrap();
    subject.check("with room again");
    subject.append(900).unwrap();
    subject.sync().unwrap();
    subject.reopen(true, "with room again");
}

/// Scenario: the disk is full to the last block, and the process starts again. Guarantees: G5 and G6, the log opens, is
/// cut back, read and trimmed without needing room.
#[test]
fn opening_and_cutting_need_no_room() {
    let mut subject = Subject::new(5);
    for _ in 0..3 {
        for _ in 0..4 {
            subject.append(1100).unwrap();
        }
        subject.sync().unwrap();
    }
    for _ in 0..3 {
        subject.append(1000).unwrap();
    }
    subject.disk.set_capacity(Some(0));
    subject.disk = subject.disk.power_loss(9);
    subject.reopen(true, "full");
    subject.truncate(0.5).unwrap();
    subject.check("full");
    assert!(subject.trim(0.9).is_ok());
    subject.reopen(true, "full");
    assert!(subject.append(10).is_err());
    subject.disk.set_capacity(None);
    subject.append(10).unwrap();
    subject.sync().unwrap();
}

/// Scenario: segments are trimmed one after the other, then the power fails. Guarantees: G1, those that come back are the
/// newest of them: no hole appears, and no damage is reported.
#[test]
fn trimming_leaves_no_hole() {
    for seed in 0..100 {
        let mut subject = Subject::new(seed);
        for _ in 0..12 {
            subject.append(1700).unwrap();
        }
        subject.sync().unwrap();
        for _ in 0..3 {
            subject.trim(0.3).unwrap();
        }
        subject.disk = subject.disk.power_loss(seed);
        subject.reopen(true, &format!("seed {seed}"));
    }
}

/// Scenario: a segment can be neither created nor removed again; the log goes on in the one before; then the power fails
/// and may bring it back. Guarantees: G1, the half-made segment hides nothing that was synced since.
#[test]
fn a_half_made_segment_does_not_come_back() {
    for seed in 0..300 {
        let mut subject = Subject::new(seed);
        subject.append(3000).unwrap();
        subject.sync().unwrap();
        subject.disk.fail(Some(Op::Write), 0, Fault::Io);
        subject.disk.fail(Some(Op::Remove), 0, Fault::Io);
        assert!(subject.append(1000).is_err());
        subject.reopen(true, &format!("seed {seed}"));
        subject.append(100).unwrap();
        subject.sync().unwrap();
        subject.disk = subject.disk.power_loss(seed);
        subject.reopen(false, &format!("seed {seed}"));
    }
}
