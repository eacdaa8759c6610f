//! Bits that rot.

use super::*;

/// Flips in all.
const FLIPS: u64 = 2000;

/// A log of several segments, with a cut behind it.
fn log() -> (SimDisk, LogPosition, BTreeMap<u64, Vec<u8>>) {
    let disk = SimDisk::new(0);
    let (mut log, _) = open(&disk, None).unwrap();
    fill(&mut log, &[300, 700, 1000, 20, 0, 1500, 900, 2000]);
    let cut = log.sync().unwrap();
    fill(&mut log, &[700, 900]);
    log.truncate(cut).unwrap();
    fill(&mut log, &[5000, 10, 1200, 600, 600, 300]);
    log.sync().unwrap();
    fill(&mut log, &[200, 1, 400]);
    let end = log.sync().unwrap();
    let (entries, damage) = read_all(&log);
    assert_eq!((entries.len(), damage.len()), (17, 0));
    (disk, end, entries)
}

/// Scenario: one bit of a log is inverted, any bit; the log is opened, with or without knowing its end, read, appended to
/// and read again. Guarantees: G1, G4 and G5: it opens; every entry that is read is as written; what is missing is
/// reported, number by number; at most what the bit was part of is lost.
#[test]
fn a_flipped_bit_is_detected_or_without_effect() {
    let (mut lost_some, mut without_effect) = (0, 0);
    for seed in 0..FLIPS {
        let mut random = Random::from_seed(seed);
        let (disk, end, written) = log();
        let files = files(&disk);
        let file = &files[random.below(files.len() as u64) as usize];
        let bit = random.below(len_of(&disk, file) * 8);
        disk.flip(file, bit).unwrap();
        let what = format!("seed {seed}, bit {bit} of {}", file.display());

        let expected = random.chance(0.5).then_some(end);
        let (mut log, report) = open(&disk, expected).unwrap();
        let (entries, damage) = read_all(&log);
        for (number, bytes) in &entries {
            assert_eq!(written.get(number), Some(bytes), "{what}: entry {number}");
        }
        let missing: Vec<u64> =
            written.keys().copied().filter(|number| !entries.contains_key(number)).collect();
        assert!(missing.len() <= 1, "{what}: {missing:?} are missing");
        let mut reported: Vec<u64> = damage.iter().flat_map(|damage| damage.entries.clone()).collect();
        if log.end().number() == end.number() {
            assert_eq!(reported, missing, "{what}");
        } else {
            // Without a mark, and without knowing the end, this is a torn tail; the report says so.
            assert!(expected.is_none() && report.torn.is_some(), "{what}");
            reported.extend(missing.clone());
        }
        if missing.is_empty() {
            without_effect += 1
        } else {
            lost_some += 1
        }

        let at = match log.append(b"more").unwrap() {
            Appended::At(position) => position,
            Appended::Full => panic!("{what}: there is room"),
        };
        assert!(at.number() >= entries.keys().max().map_or(0, |last| last + 1), "{what}");
        log.sync().unwrap();
        let (log, _) = open(&disk, Some(log.synced())).unwrap();
        assert_eq!(read_from(&log, at).0.into_values().collect::<Vec<_>>(), [b"more"], "{what}");
    }
    println!("{lost_some} flips lost an entry, {without_effect} none");
    assert!(lost_some > FLIPS / 2 && without_effect > FLIPS / 50);
}

/// Scenario: two places of a log are overwritten with noise of up to 2 KiB, headers too. Guarantees: as for one bit: it
/// opens, and nothing is read that was not written.
#[test]
fn noise_is_never_read() {
    for seed in 0..500 {
        let mut random = Random::from_seed(seed);
        let (disk, end, written) = log();
        for _ in 0..2 {
            let files = files(&disk);
            let file = &files[random.below(files.len() as u64) as usize];
            let (len, at) = (random.below(2000) as usize, random.below(len_of(&disk, file)));
            let noise: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
            disk.shared().open(file, crate::disk::OpenMode::Write).unwrap().write_at(at, &noise).unwrap();
        }
        let (log, report) = open(&disk, Some(end)).unwrap();
        assert_eq!(log.end(), end, "seed {seed}");
        let (entries, damage) = read_all(&log);
        let mut found: Vec<u64> = damage.iter().flat_map(|damage| damage.entries.clone()).collect();
        for (number, bytes) in entries {
            assert_eq!(written.get(&number), Some(&bytes), "seed {seed}, entry {number}");
            found.push(number);
        }
        found.sort_unstable();
        let first = log.first().number();
        assert_eq!(found, (first..end.number()).collect::<Vec<_>>(), "seed {seed}: all are read or reported");
        assert!(first == 0 || !report.damage.is_empty(), "seed {seed}");
    }
}
