//! Tests of damage, one kind each.

use super::{super::layout::HEADER_LEN, *};
use crate::disk::{Disk, OpenMode};

/// Overwrites bytes of a file.
fn overwrite(disk: &SimDisk, file: &Path, at: u64, bytes: &[u8]) {
    disk.shared().open(file, OpenMode::Write).unwrap().write_at(at, bytes).unwrap();
}

fn numbers(entries: &BTreeMap<u64, Vec<u8>>) -> Vec<u64> {
    entries.keys().copied().collect()
}

/// Scenario: of three entries that were synced together, the second rots; nothing was appended later. Guarantees: G1, the
/// mark tells that they were synced, so this is damage, and the third is kept.
#[test]
fn a_mark_tells_damage_from_a_torn_tail() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, None).unwrap();
    fill(&mut log, &[100, 100, 100]);
    log.sync().unwrap();
    let file = files(&disk).remove(0);
    overwrite(&disk, &file, HEADER_LEN as u64 + 150, &[0; 10]);

    let (mut log, report) = open(&disk, None).unwrap();
    let [damage] = &report.damage[..] else { panic!("{report:?}") };
    assert_eq!((damage.entries.clone(), damage.bytes.clone()), (1..2, 696..816));
    assert_eq!(report.torn, None);
    let kept = damage.kept.clone().expect("there is room");
    assert_eq!(len_of(&disk, &kept), len_of(&disk, &file), "the segment is copied as it was");
    assert_eq!(
        damage.to_string(),
        format!(
            "segment 1 is damaged from byte 696 to 816; entry 1 is lost; its bytes are kept in {}",
            kept.display()
        )
    );
    fill(&mut log, &[50]);
    log.sync().unwrap();
    assert_eq!(files(&disk).len(), 2, "a scarred segment is left alone");
    let (entries, damage) = read_all(&log);
    assert_eq!(numbers(&entries), [0, 2, 3]);
    assert_eq!(damage.iter().map(Damage::lost).sum::<u64>(), 1);
}

/// Scenario: unsynced entries of which the second did not reach the disk, but the third did. Guarantees: G3, what was not
/// synced is a prefix: the third is cut off, too, and reported.
#[test]
fn a_torn_tail_is_cut_with_what_follows() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, None).unwrap();
    fill(&mut log, &[100]);
    log.sync().unwrap();
    fill(&mut log, &[100, 100, 100]);
    log.sync().unwrap();
    let file = files(&disk).pop().unwrap();
    let len = len_of(&disk, &file);
    // As a power loss may leave it: without the mark, and without the second of three.
    overwrite(&disk, &file, len - 20, &[0; 20]);
    overwrite(&disk, &file, len - 20 - 200, &[0; 20]);

    let (log, report) = open(&disk, None).unwrap();
    let torn = report.torn.expect("it is torn");
    assert_eq!((torn.entries, torn.bytes), (1, 260));
    assert!(torn.kept.is_some(), "whole entries are not thrown away");
    assert_eq!(report.damage, []);
    assert_eq!(numbers(&read_all(&log).0), [0, 1]);
    assert_eq!(log.end().number(), 2);
}

/// Scenario: the last entries are gone, file and all, although their owner knows that they were synced. Guarantees: G1, it
/// is told what is lost, and no number is used twice.
#[test]
fn an_end_before_the_expected_one_is_damage() {
    for vanished in [false, true] {
        let disk = SimDisk::new(2);
        let (mut log, _) = open(&disk, None).unwrap();
        fill(&mut log, &[1000, 1000, 1000, 1000, 1000]);
        let end = log.sync().unwrap();
        let last = files(&disk).pop().unwrap();
        if vanished {
            disk.remove(&last).unwrap();
        } else {
            disk.open(&last, OpenMode::Write).unwrap().set_len(HEADER_LEN as u64 + 1500).unwrap();
        }
        let (mut log, report) = open(&disk, Some(end)).unwrap();
        let lost: Vec<u64> = report.damage.iter().flat_map(|damage| damage.entries.clone()).collect();
        assert_eq!(lost, if vanished { [3, 4].as_slice() } else { &[4] });
        assert_eq!(log.end(), end);
        fill(&mut log, &[10]);
        log.sync().unwrap();
        let (entries, damage) = read_all(&log);
        let seen: Vec<u64> = damage.iter().flat_map(|damage| damage.entries.clone()).collect();
        assert_eq!(seen, lost);
        assert_eq!(numbers(&entries), if vanished { [0, 1, 2, 5].as_slice() } else { &[0, 1, 2, 3, 5] });
    }
}

/// Scenario: in a log of several segments one loses both headers, one vanishes, one is cut short and one belongs to another
/// log. Guarantees: G1 and G5, the others are read, every lost entry is reported, nothing is deleted.
#[test]
fn whole_segments_are_passed_over() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk, None).unwrap();
    fill(&mut log, &[1700; 20]);
    let end = log.sync().unwrap();
    let segments = files(&disk);
    assert_eq!(segments.len(), 10);
    overwrite(&disk, &segments[1], 0, &[0xee; HEADER_LEN]);
    disk.remove(&segments[3]).unwrap();
    disk.open(&segments[5], OpenMode::Write).unwrap().set_len(HEADER_LEN as u64 + 1720 + 7).unwrap();
    let other = SimDisk::new(3);
    let (mut strange, _) =
        SegmentLog::open_unchecked(other.shared(), &directory(), LIMITS, None, &mut Random::from_seed(8))
            .unwrap();
    fill(&mut strange, &[1700; 20]);
    let len = len_of(&other, &segments[7]);
    let mut bytes = vec![0; len as usize];
    other.open(&segments[7], OpenMode::Read).unwrap().read_at(0, &mut bytes).unwrap();
    overwrite(&disk, &segments[7], 0, &bytes);

    let (log, report) = open(&disk, Some(end)).unwrap();
    let mut set_aside: Vec<u64> = report.damage.iter().map(|damage| damage.segment).collect();
    set_aside.sort_unstable();
    assert_eq!(set_aside, [2, 8]);
    for damage in &report.damage {
        assert!(disk.shared().info(damage.kept.as_ref().unwrap()).unwrap().is_some());
    }
    let (entries, damage) = read_all(&log);
    let lost: Vec<u64> = damage.iter().flat_map(|damage| damage.entries.clone()).collect();
    assert_eq!(lost, [2, 3, 6, 7, 11, 14, 15]);
    assert_eq!(entries.len(), 13);
    assert!(entries.iter().all(|(number, bytes)| *bytes == payload(*number, 1700)));
}

/// Scenario: the last segment loses both headers; the log has others, or none. Guarantees: G1 and G5: with others the
/// numbers found in it are not used again; without, the log has another id.
#[test]
fn a_lost_last_segment_takes_its_numbers_along() {
    for others in [false, true] {
        let disk = SimDisk::new(4);
        let (mut log, _) = open(&disk, None).unwrap();
        fill(&mut log, if others { &[3000, 1000, 500] } else { &[100, 100, 100] });
        log.sync().unwrap();
        let id = log.id();
        overwrite(&disk, &files(&disk).pop().unwrap(), 0, &[0; HEADER_LEN]);
        let mut random = Random::from_seed(99);
        let (mut log, report) =
            SegmentLog::open_unchecked(disk.shared(), &directory(), LIMITS, None, &mut random).unwrap();
        assert_eq!(report.damage.len(), 1);
        assert_eq!((log.id() == id, log.end().number()), if others { (true, 3) } else { (false, 0) });
        fill(&mut log, &[10]);
        log.sync().unwrap();
        let lost: u64 = read_all(&log).1.iter().map(Damage::lost).sum();
        assert_eq!(lost, if others { 2 } else { 0 });
    }
}

/// Scenario: damage everywhere, on a full disk, again and again. Guarantees: G5, G6 and G7: reading goes on although
/// nothing can be kept aside, and copies never fill the disk.
#[test]
fn keeping_damage_never_holds_up() {
    let disk = SimDisk::new(5);
    let limits = LogLimits { segment_bytes: SEGMENT, max_bytes: 1 << 20 };
    let open = || {
        SegmentLog::open_unchecked(disk.shared(), &directory(), limits, None, &mut Random::from_seed(1))
            .unwrap()
            .0
    };
    let mut log = open();
    fill(&mut log, &[1700; 80]);
    log.sync().unwrap();
    for file in files(&disk) {
        overwrite(&disk, &file, 700, &[1; 4]);
    }
    disk.set_capacity(Some(0));
    let (entries, damage) = read_all(&open());
    assert_eq!((entries.len(), damage.len()), (40, 40));
    assert!(damage.iter().all(|damage| damage.kept.is_none()));
    disk.set_capacity(None);
    let (entries, damage) = read_all(&open());
    assert_eq!((entries.len(), damage.len()), (40, 40));
    assert_eq!(disk.list(&directory().join("damaged")).unwrap().len(), 16);
}

/// Scenario: a segment of a newer version. Guarantees: it is refused clearly and left as it is.
#[test]
fn a_newer_version_is_refused() {
    let disk = SimDisk::new(6);
    drop(open(&disk, None).unwrap());
    let file = files(&disk).remove(0);
    let mut start = *b"AFLOGSEG\x02\0\0\0\0\0\0\0";
    let crc = crc32c::crc32c(&start[..12]);
    start[12..].copy_from_slice(&crc.to_le_bytes());
    for at in [0, 512] {
        overwrite(&disk, &file, at, &start);
    }
    let error = open(&disk, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("newer version"), "{error}");
    assert_eq!(len_of(&disk, &file), HEADER_LEN as u64);
}

/// Scenario: an owner without a checkpoint finds a log; setting it aside is interrupted at each operation. Guarantees: G1,
/// nothing of it is lost, and a new one begins.
#[test]
fn a_log_is_set_aside_whole() {
    for n in 0..60 {
        let disk = SimDisk::new(n);
        let (mut log, _) = open(&disk, None).unwrap();
        assert!(log.is_empty());
        fill(&mut log, &[1700; 9]);
        log.sync().unwrap();
        let segments = files(&disk).len();
        disk.fail(None, n, Fault::Halt);
        let first = set_aside(&disk, &directory());
        disk.heal();
        let again = set_aside(&disk, &directory()).unwrap();
        assert!(again.is_none() || first.is_err());
        let mut moved = 0;
        for number in 1..=2 {
            moved += disk.list(&PathBuf::from(format!("/queues/test.aside-{number}"))).unwrap().len();
        }
        assert_eq!(moved, segments, "operation {n}");
        let (log, report) = open(&disk, None).unwrap();
        assert!(log.is_empty() && log.end().number() == 0);
        assert_eq!(report, Recovery::default());
    }
    assert_eq!(set_aside(&SimDisk::new(0), &directory()).unwrap(), None);
}
