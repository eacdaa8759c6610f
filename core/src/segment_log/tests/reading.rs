//! Tests of readers.

use std::sync::mpsc;

use super::{super::layout::FRAME_LEN, *};

/// Scenario: readers with different limits and positions, while entries come and go. Guarantees: G3, each reads every entry
/// from its position to its limit, in order, none twice, and nothing that is not synced.
#[test]
fn a_reader_stops_at_its_limit() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, None).unwrap();
    fill(&mut log, &[1000; 10]);
    let (middle, mut entries) = (log.sync().unwrap(), Entries::new());
    fill(&mut log, &[1000; 10]);
    let mut reader = log.reader(log.first());
    let mut read = |log: &SegmentLog, limit| {
        let mut numbers = Vec::new();
        while {
            reader.read(limit, &mut entries).unwrap();
            !entries.is_empty()
        } {
            numbers.extend(entries.iter().map(|entry| entry.position.number()));
        }
        assert!(entries.damage().is_none());
        assert!(reader.position() <= log.synced());
        numbers
    };
    let limit = LogPosition { number: 4, ..LogPosition::default() };
    assert_eq!(read(&log, limit), [0, 1, 2, 3]);
    assert_eq!(read(&log, limit), [0; 0]);
    assert_eq!(read(&log, middle), [4, 5, 6, 7, 8, 9]);
    // Some of these were synced when segments were rolled.
    let rolled = read(&log, log.end());
    assert_eq!(rolled, (10..log.synced().number()).collect::<Vec<_>>());
    log.sync().unwrap();
    assert_eq!(read(&log, log.end()).last(), Some(&19));
}

/// Scenario: a reader begins at each position that an append, a sync or another reader gave, or with a wrong idea of where
/// that is, also after a restart. Guarantees: G3, positions keep their meaning.
#[test]
fn every_position_is_found_again() {
    let disk = SimDisk::new(2);
    let (mut log, _) = open(&disk, None).unwrap();
    let mut positions = vec![log.first()];
    for serial in 0..30 {
        match log.append(&payload(serial, 700)).unwrap() {
            Appended::At(position) => positions.push(position),
            Appended::Full => panic!("there is room"),
        }
        if serial % 3 == 0 {
            positions.push(log.sync().unwrap());
        }
    }
    log.sync().unwrap();
    let (mut reader, mut entries) = (log.reader(log.first()), Entries::new());
    while reader.position() < log.end() {
        reader.read(log.end(), &mut entries).unwrap();
        positions.extend(entries.iter().map(|entry| entry.after));
    }
    let (log, _) = open(&disk, None).unwrap();
    for position in positions.clone() {
        let packed = rmp_serde::to_vec(&position).unwrap();
        assert!(packed.len() <= 28, "{} bytes", packed.len());
        let position: LogPosition = rmp_serde::from_slice(&packed).unwrap();
        let wrong = LogPosition { offset: position.offset + 3, ..position };
        let nowhere = LogPosition { segment: 77, offset: u64::MAX, ..position };
        for from in [position, wrong, nowhere] {
            let (found, damage) = read_from(&log, from);
            assert_eq!(damage, []);
            assert_eq!(found.into_keys().collect::<Vec<_>>(), (position.number()..30).collect::<Vec<_>>());
        }
    }
}

/// Scenario: a reader's entries are trimmed before it read them. Guarantees: G1, it is told which, and goes on.
#[test]
fn a_reader_that_was_overtaken_is_told() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk, None).unwrap();
    let (mut late, mut entries) = (log.reader(log.first()), Entries::new());
    fill(&mut log, &[1700; 8]);
    log.sync().unwrap();
    late.read(LogPosition { number: 1, ..LogPosition::default() }, &mut entries).unwrap();
    log.trim(log.end()).unwrap();
    late.read(log.end(), &mut entries).unwrap();
    assert_eq!(entries.damage().unwrap().entries, 1..log.first().number());
    assert!(late.position() >= log.first());
}

/// Scenario: payloads that look like frames, also copied from the log itself, around damage. Guarantees: G4, nothing inside
/// a payload is taken for an entry.
#[test]
fn a_payload_is_no_frame() {
    let disk = SimDisk::new(4);
    let (mut log, _) = open(&disk, None).unwrap();
    fill(&mut log, &[60]);
    log.sync().unwrap();
    let (other, file) = (SimDisk::new(4), files(&disk).remove(0));
    let (mut strange, _) =
        SegmentLog::open_unchecked(other.shared(), &directory(), LIMITS, None, &mut Random::from_seed(8))
            .unwrap();
    for _ in 0..3 {
        let _ = strange.append(b"the body of another entry").unwrap();
    }
    strange.sync().unwrap();
    let mut image = vec![0; len_of(&other, &file) as usize];
    other.shared().open(&file, crate::disk::OpenMode::Read).unwrap().read_at(0, &mut image).unwrap();
    let _ = log.append(&image[576..]).unwrap();
    fill(&mut log, &[60]);
    log.sync().unwrap();
    // The head of the entry with the image.
    disk.flip(&file, (576 + 60 + 2 * FRAME_LEN as u64) * 8).unwrap();
    let (log, report) = open(&disk, None).unwrap();
    assert_eq!(report.damage.len(), 1);
    let (entries, damage) = read_all(&log);
    assert_eq!(entries.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(damage[0].entries, 1..2);
}

/// Scenario: a thread follows the log while another appends, rolls and trims what was read. Guarantees: G3 and G7, the
/// reader gets every entry once, in order, as written.
#[test]
fn reading_goes_on_while_the_log_is_written() {
    const ENTRIES: u64 = 3000;
    let disk = SimDisk::new(5);
    let (mut log, _) = open(&disk, None).unwrap();
    let mut reader = log.reader(log.first());
    let (released, limits) = mpsc::channel::<LogPosition>();
    let (acknowledged, positions) = mpsc::channel();
    let follower = std::thread::spawn(move || {
        let (mut entries, mut next) = (Entries::new(), 0);
        for limit in limits {
            while reader.position() < limit {
                reader.read(limit, &mut entries).unwrap();
                assert_eq!(entries.damage(), None);
                for entry in entries.iter() {
                    assert_eq!(entry.position.number(), next);
                    assert!(entry.payload == payload(next, (next % 1500) as usize));
                    next += 1;
                }
            }
            acknowledged.send(reader.position()).unwrap();
        }
        next
    });
    let mut serial = 0;
    while serial < ENTRIES {
        match log.append(&payload(serial, (serial % 1500) as usize)).unwrap() {
            Appended::At(_) => serial += 1,
            Appended::Full => log.trim(positions.recv().unwrap()).unwrap(),
        }
        if serial % 7 == 0 {
            released.send(log.sync().unwrap()).unwrap();
        }
    }
    released.send(log.sync().unwrap()).unwrap();
    drop(released);
    assert_eq!(follower.join().unwrap(), ENTRIES);
}
