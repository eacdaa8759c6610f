//! Tests of the bounds.

use super::*;

/// Scenario: a log fills up, is read and trimmed, many times over. Guarantees: G7 and G11: a full log refuses without
/// an error and without losing anything, trimming makes room, and however full it was, what is read can be trimmed.
#[test]
fn a_full_log_pushes_back_until_it_is_trimmed() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, None).unwrap();
    let mut serial = 0;
    for _ in 0..20 {
        let mut taken = 0;
        while let Appended::At(_) = log.append(&payload(serial, 900)).unwrap() {
            serial += 1;
            taken += 1;
        }
        assert!(taken > 30, "only {taken} entries fit into {} bytes", LIMITS.max_bytes);
        assert_eq!(log.end().number(), serial);
        let end = log.sync().unwrap();
        assert_eq!(log.append(&payload(serial, 900)).unwrap(), Appended::Full);
        let on_disk: u64 = files(&disk).iter().map(|path| len_of(&disk, path)).sum();
        assert!(on_disk <= LIMITS.max_bytes + 20, "{on_disk} bytes");
        assert_eq!(
            on_disk.div_ceil(64),
            (log.bytes() + 20).div_ceil(64),
            "it knows its size, but for a mark"
        );
        log.trim(end).unwrap();
        assert_eq!(files(&disk).len(), 1);
        assert!(log.bytes() <= SEGMENT / 2, "{} bytes are left", log.bytes());
    }
}

/// Scenario: entries longer than a segment, up to the longest that is allowed, and one byte longer. Guarantees: G7, a long
/// entry has a segment of its own and always fits once the log was trimmed; a longer one is refused as data.
#[test]
fn a_long_entry_has_a_segment_of_its_own() {
    let disk = SimDisk::new(2);
    let (mut log, _) = open(&disk, None).unwrap();
    let most = log.max_entry_bytes() as usize;
    fill(&mut log, &[100, 3 * SEGMENT as usize, 100, 100]);
    log.sync().unwrap();
    assert_eq!(files(&disk).len(), 3);
    assert_eq!(read_all(&log).0.len(), 4);

    assert_eq!(log.append(&vec![1; most]).unwrap(), Appended::Full);
    log.trim(log.end()).unwrap();
    assert!(matches!(log.append(&vec![1; most]).unwrap(), Appended::At(_)));
    let end = log.sync().unwrap();
    assert_eq!(read_all(&log).0[&4].len(), most);
    log.trim(end).unwrap();
    assert!(log.bytes() <= SEGMENT / 2, "a log of which nothing is needed is small");
    assert_eq!(log.append(&vec![1; most + 1]).unwrap_err().kind(), ErrorKind::Data);
    fill(&mut log, &[1]);
}

/// Scenario: limits that make no sense. Guarantees: they are refused before anything is opened, and what is asked for
/// by a bound alone makes sense.
#[test]
fn senseless_limits_are_refused() {
    let refused =
        [(MIN_SEGMENT_BYTES - 1, 1 << 30), (MAX_SEGMENT_BYTES + 1, 1 << 40), (1 << 20, (2 << 20) - 1)];
    for (segment_bytes, max_bytes) in refused {
        let limits = LogLimits { segment_bytes, max_bytes };
        let disk = SimDisk::new(3);
        let opened = SegmentLog::open(disk.shared(), &directory(), limits, None, &mut Random::from_seed(1));
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(disk.operations(None), 0);
    }
    for max_bytes in [2 * MIN_SEGMENT_BYTES, 1 << 20, 1 << 30] {
        LogLimits::new(max_bytes).check().unwrap();
    }
    assert_eq!(LogLimits::new(1 << 30).segment_bytes, DEFAULT_SEGMENT_BYTES);
}

/// Scenario: many small entries. Guarantees: appending costs no call per entry.
#[test]
fn appending_gathers() {
    let disk = SimDisk::new(4);
    let limits = LogLimits::new(64 << 20);
    let (mut log, _) =
        SegmentLog::open(disk.shared(), &directory(), limits, None, &mut Random::from_seed(1)).unwrap();
    let before = disk.operations(None);
    for serial in 0..10_000 {
        let _ = log.append(&payload(serial, 80)).unwrap();
    }
    log.sync().unwrap();
    let calls = disk.operations(None) - before;
    assert!(calls <= 1_000_000 / (120 << 10) + 4, "{calls} calls for 1 MB");
    let (mut reader, mut entries) = (log.reader(log.first()), Entries::new());
    let before = disk.operations(None);
    while reader.position() < log.end() {
        reader.read(log.end(), &mut entries).unwrap();
    }
    let calls = disk.operations(None) - before;
    assert!(calls <= 1_000_000 / (60 << 10) + 4, "{calls} calls for 1 MB");
}
