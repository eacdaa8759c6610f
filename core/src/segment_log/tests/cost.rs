//! Tests of what opening costs.

use super::*;

/// Operations and bytes read by opening a log of `segments` segments with entries of `len` bytes.
fn cost(segments: usize, len: usize) -> (u64, u64) {
    let disk = SimDisk::new(1);
    let limits = LogLimits { segment_bytes: MIN_SEGMENT_BYTES, max_bytes: 1 << 30 };
    let mut random = Random::from_seed(1);
    let mut opened = || SegmentLog::open(disk.shared(), &directory(), limits, None, &mut random).unwrap().0;
    let mut log = opened();
    while files(&disk).len() < segments {
        for _ in 0..8 {
            let _ = log.append(&vec![1; len]).unwrap();
        }
    }
    log.sync().unwrap();
    let before = (disk.operations(None), disk.operations(Some(Op::Read)));
    drop(opened());
    (disk.operations(None) - before.0, disk.operations(Some(Op::Read)) - before.1)
}

/// Scenario: logs of 1 and of 200 segments, with little and with much in each. Guarantees: G5 and G7, opening costs a
/// few operations per segment and a scan of the last one, whatever the backlog has in bytes.
#[test]
fn opening_is_linear_in_the_tail() {
    let (one, one_reads) = cost(1, 10);
    let (many, many_reads) = cost(200, 10);
    let (more, more_reads) = cost(200, 60_000);
    println!(
        "operations (reads): 1 segment {one} ({one_reads}), 200 {many} ({many_reads}), 200 large {more} ({more_reads})"
    );
    let scan = MIN_SEGMENT_BYTES / (64 << 10) + 2;
    assert!(one_reads <= 1 + scan);
    assert!(many_reads <= 200 + scan && more_reads <= 200 + scan);
    assert!(many - one <= 199 * 3 + scan, "an open, a look and a read per segment");
    assert!(more.abs_diff(many) <= scan);
}
