//! Tests of the bytes on disk.

use super::{
    super::layout::{Cut, FRAME_LEN, Found, Frame, HEADER_LEN, Header, Seed},
    *,
};

const HEADER: Header =
    Header { log: LogId::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677), segment: 3, first: 1000 };

/// Scenario: a header, a cut, an entry and a mark, byte for byte. Guarantees: G5, a log that was written by this
/// version is read by the next.
#[test]
fn the_layout_is_what_is_documented() {
    let header = HEADER.encode();
    assert_eq!(header.len(), 576);
    assert_eq!(&header[..8], b"AFLOGSEG");
    assert_eq!(header[8..12], [1, 0, 0, 0]);
    assert_eq!(header[16..24], [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    assert_eq!(header[32..48], [3, 0, 0, 0, 0, 0, 0, 0, 0xe8, 0x03, 0, 0, 0, 0, 0, 0]);
    assert_eq!(header[48..52], crc32c::crc32c(&header[..48]).to_le_bytes());
    assert_eq!(header[..52], header[512..564]);
    let seed = crc32c::crc32c(&header[16..40]);

    let mut frames = Vec::new();
    Frame::encode_entry(&mut frames, HEADER.seed(), 1000, b"abc");
    Frame::encode_mark(&mut frames, HEADER.seed(), 1001);
    let (entry, mark) = frames.split_at(23);
    assert_eq!(entry[..12], [0xe8, 0x03, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(entry[12..16], crc32c::crc32c(b"abc").to_le_bytes());
    assert_eq!(entry[16..20], crc32c::crc32c_append(seed, &entry[..16]).to_le_bytes());
    assert_eq!(&entry[20..], b"abc");
    assert_eq!(mark[..12], [0xe9, 0x03, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(mark.len(), 20);

    let cut = Cut { number: 1000, offset: 576, through: 7 }.encode(HEADER.seed());
    assert_eq!(cut[8..24], [0x40, 0x02, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(cut[24..], crc32c::crc32c_append(seed, &cut[..24]).to_le_bytes());
}

/// Scenario: frames, whole and cut short anywhere, read with their own seed and with those of another segment and another
/// log. Guarantees: G4, only what was written in this segment is read.
#[test]
fn a_frame_is_read_only_where_it_was_written() {
    let mut bytes = Vec::new();
    Frame::encode_entry(&mut bytes, HEADER.seed(), 7, b"payload");
    assert_eq!(Frame::decode(&bytes, HEADER.seed()), Frame::Entry { number: 7, len: 7 });
    for len in 0..bytes.len() {
        let needed = if len < FRAME_LEN { FRAME_LEN } else { bytes.len() };
        assert_eq!(Frame::decode(&bytes[..len], HEADER.seed()), Frame::Short(needed));
    }
    for seed in [Seed::new(HEADER.log, 4), Seed::new(LogId::from_u128(1), 3)] {
        assert_eq!(Frame::decode(&bytes, seed), Frame::Invalid);
    }
    assert_eq!(Frame::decode(&[0; 64], HEADER.seed()), Frame::Invalid);
}

/// Scenario: one header is overwritten, then both; a header is of a newer version, or of another segment. Guarantees: G5,
/// either header will do, and damage is not mistaken for a newer version.
#[test]
fn either_header_will_do() {
    let whole = HEADER.encode();
    let (mut first, mut both) = (whole, whole);
    first[..512].fill(0xaa);
    both.fill(0xaa);
    assert_eq!(Header::decode(&whole, 3), Found::Header(HEADER));
    assert_eq!(Header::decode(&first, 3), Found::Header(HEADER));
    assert_eq!(Header::decode(&whole[..60], 3), Found::Header(HEADER));
    assert_eq!(Header::decode(&both, 3), Found::Invalid);
    assert_eq!(Header::decode(&whole, 4), Found::Invalid);

    let mut newer = [0; HEADER_LEN];
    newer[..12].copy_from_slice(&whole[..12]);
    newer[8] = 9;
    let crc = crc32c::crc32c(&newer[..12]);
    newer[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&newer, 3), Found::Newer(9));
    newer[9] ^= 1;
    assert_eq!(Header::decode(&newer, 3), Found::Invalid);
}

/// Scenario: cuts are written one after the other, the last one torn. Guarantees: G2, what was cut off stays so.
#[test]
fn a_torn_cut_leaves_the_one_before() {
    let seed = HEADER.seed();
    let mut header = HEADER.encode();
    let mut holding = None;
    for number in (0..6).rev() {
        let cut = Cut { number, offset: 576 + number, through: 10 - number };
        let at = cut.place_in(&header, seed);
        let mut torn = header;
        torn[at..at + 14].copy_from_slice(&cut.encode(seed)[..14]);
        assert_eq!(Cut::decode(&torn, seed), holding);
        header[at..at + 28].copy_from_slice(&cut.encode(seed));
        assert_eq!(cut.place_in(&header, seed), at, "again over itself");
        assert_eq!(Header::decode(&header, 3), Found::Header(HEADER));
        holding = Some(cut);
        assert_eq!(Cut::decode(&header, seed), holding);
    }
}
