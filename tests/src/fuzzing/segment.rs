//! Segments of logs on disk.

use std::path::Path;

use afferent_core::{
    disk::{Disk, OpenMode},
    random::Random,
    segment_log::{Appended, Entries, LogLimits, MIN_SEGMENT_BYTES, Recovery, SegmentLog},
    testing::SimDisk,
};

use super::{hash, shape};

const DIRECTORY: &str = "/queue";
/// Length of a header, and where its copy begins; see `afferent_core::segment_log` for all of it.
const HEADER: usize = 576;
const COPY: usize = 512;
/// Most segments of one input.
const SEGMENTS: usize = 4;

/// Any bytes as the segments of a log: it opens, or says which program to use; it is read to its end, with entries and reports of
/// damage; it can be appended to, and then gives all that it gave before, and what was appended.
///
/// Checksums would hide all that lies behind them. So the first byte decides whether what follows is a segment as it stands, or
/// says how to put segments together as a log would, with right checksums and numbers that rise, from which entries and marks
/// are missing and between which there is garbage.
pub(super) fn segment(bytes: &[u8]) -> u64 {
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new(DIRECTORY)).expect("a disk without faults");
    let segments = match bytes.split_first() {
        Some((how, rest)) if *how < 128 => put_together(rest),
        Some((_, rest)) => vec![rest.to_vec()],
        None => Vec::new(),
    };
    for (number, segment) in (1..).zip(&segments) {
        let path = Path::new(DIRECTORY).join(format!("{number:020}.log"));
        let file = disk.open(&path, OpenMode::CreateNew).expect("a disk without faults");
        file.write_at(0, segment).expect("a disk without faults");
    }
    let (mut log, recovery) = match open(&disk) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(!error.message().is_empty(), "an error says something");
            return hash(shape(error.message()));
        }
    };
    let (before, damage) = read(&log);
    let Ok(Appended::At(position)) = log.append(b"appended") else { return hash("full") };
    log.sync().expect("a disk without faults");
    drop(log);
    let (log, again) = open(&disk).expect("what was open opens again");
    let (mut after, _) = read(&log);
    let appended = after.pop().expect("what was appended is there");
    assert_eq!(appended, (position.number(), b"appended".to_vec()), "what was appended is last");
    assert!(before == after, "entries change when the log is opened again");
    assert!(again.torn.is_none(), "what is open is not torn");
    hash((before.len().min(20), damage, recovery.torn.is_some(), recovery.damage.len()))
}

/// Puts segments together from instructions of four bytes: an entry, a mark, garbage, or the next segment.
fn put_together(instructions: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = vec![header(1, 0)];
    let mut next = 0;
    for instruction in instructions.chunks_exact(4) {
        let [what, a, b, c] = *instruction else { continue };
        // Mostly there is no gap.
        next += u64::from(a.saturating_sub(200) / 8);
        let at = segments.len();
        let Some(segment) = segments.last_mut() else { continue };
        match what % 5 {
            0 | 1 => {
                frame(segment, at as u64, next, Some(&vec![c; usize::from(b)]));
                next += 1;
            }
            2 => frame(segment, at as u64, next, None),
            3 => segment.extend(std::iter::repeat_n(b, usize::from(c))),
            _ if at < SEGMENTS => segments.push(header(at as u64 + 1, next)),
            _ => {}
        }
    }
    segments
}

fn header(segment: u64, first: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let mut block = b"AFLOGSEG\x01\0\0\0".to_vec();
    let crc = crc32c::crc32c(&block);
    block.extend_from_slice(&crc.to_le_bytes());
    block.extend_from_slice(&[7; 16]);
    block.extend_from_slice(&segment.to_le_bytes());
    block.extend_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&block);
    block.extend_from_slice(&crc.to_le_bytes());
    bytes[..block.len()].copy_from_slice(&block);
    bytes[COPY..COPY + block.len()].copy_from_slice(&block);
    bytes
}

/// Appends a frame: an entry, or a mark.
fn frame(out: &mut Vec<u8>, segment: u64, number: u64, payload: Option<&[u8]>) {
    let seed = crc32c::crc32c_append(crc32c::crc32c(&[7; 16]), &segment.to_le_bytes());
    let mut head = number.to_le_bytes().to_vec();
    let (length, crc) =
        payload.map_or((u32::MAX, 0), |payload| (payload.len() as u32, crc32c::crc32c(payload)));
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &head);
    head.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload.unwrap_or_default());
}

fn open(disk: &SimDisk) -> afferent_core::Result<(SegmentLog, Recovery)> {
    let limits = LogLimits { segment_bytes: MIN_SEGMENT_BYTES, max_bytes: 64 * MIN_SEGMENT_BYTES };
    SegmentLog::open(disk.shared(), Path::new(DIRECTORY), limits, None, &mut Random::from_seed(1))
}

/// All entries, and how often damage was met.
fn read(log: &SegmentLog) -> (Vec<(u64, Vec<u8>)>, usize) {
    let (mut reader, mut entries) = (log.reader(log.first()), Entries::new());
    let (mut all, mut damage): (Vec<(u64, Vec<u8>)>, usize) = (Vec::new(), 0);
    loop {
        reader.read(log.synced(), &mut entries).expect("a disk without faults");
        damage += usize::from(entries.damage().is_some());
        if entries.is_empty() && entries.damage().is_none() {
            return (all, damage);
        }
        for entry in entries.iter() {
            let number = entry.position.number();
            assert!(all.last().is_none_or(|(last, _)| *last < number), "numbers only rise");
            all.push((number, entry.payload.to_vec()));
        }
    }
}
