//! The bytes of segments: headers, cuts and frames. See the [module](super) for their layout.

use std::{cmp::Reverse, fmt};

use serde::{Deserialize, Serialize};

/// The longest entry: whoever makes or reads one holds it in memory as a whole.
pub const MAX_ENTRY_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"AFLOGSEG";
const VERSION: u32 = 1;
/// Where frames begin.
pub(super) const HEADER_LEN: usize = COPY_AT + 64;
/// Where the header is again: another sector, so that both are not lost at once.
const COPY_AT: usize = 512;
const BLOCK_LEN: usize = 52;
/// Where cuts are: two, so that a new one never overwrites the one that holds.
const CUTS_AT: [usize; 2] = [64, 128];
const CUT_LEN: usize = 28;
/// What precedes the payload of an entry; the whole of a mark.
pub(super) const FRAME_LEN: usize = 20;
/// The length that makes a frame a mark.
const MARK: u32 = u32::MAX;

/// Tells a log from another that later stands in the same directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogId([u8; 16]);

impl LogId {
    pub(super) const fn from_u128(value: u128) -> LogId {
        LogId(value.to_be_bytes())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What every checksum in a segment begins with, so that none fits another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(log: LogId, segment: u64) -> Seed {
        Seed(crc32c::crc32c_append(crc32c::crc32c(&log.0), &segment.to_le_bytes()))
    }

    fn crc(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, bytes)
    }
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) log: LogId,
    pub(super) segment: u64,
    /// The number of its first entry.
    pub(super) first: u64,
}

/// What the header of a file turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Header(Header),
    /// Whole, and of a version that this program does not know.
    Newer(u32),
    Invalid,
}

impl Header {
    pub(super) fn seed(&self) -> Seed {
        Seed::new(self.log, self.segment)
    }

    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut block = [0; BLOCK_LEN];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_le_bytes());
        put_crc(&mut block, 12);
        block[16..32].copy_from_slice(&self.log.0);
        block[32..40].copy_from_slice(&self.segment.to_le_bytes());
        block[40..48].copy_from_slice(&self.first.to_le_bytes());
        put_crc(&mut block, 48);
        let mut bytes = [0; HEADER_LEN];
        bytes[..BLOCK_LEN].copy_from_slice(&block);
        bytes[COPY_AT..COPY_AT + BLOCK_LEN].copy_from_slice(&block);
        bytes
    }

    /// Reads the header of the file that is named after `segment`.
    pub(super) fn decode(bytes: &[u8], segment: u64) -> Found {
        let mut newer = None;
        for at in [0, COPY_AT] {
            let Some(block) = bytes.get(at..at + BLOCK_LEN) else { continue };
            if block[..8] != MAGIC || u32_at(block, 12) != crc32c::crc32c(&block[..12]) {
                continue;
            }
            let version = u32_at(block, 8);
            if version > VERSION {
                newer = Some(version);
            }
            let header = Header {
                log: LogId(block[16..32].try_into().expect("16 bytes")),
                segment: u64_at(block, 32),
                first: u64_at(block, 40),
            };
            let valid = version == VERSION && u32_at(block, 48) == crc32c::crc32c(&block[..48]);
            if valid && header.segment == segment {
                return Found::Header(header);
            }
        }
        newer.map_or(Found::Invalid, Found::Newer)
    }
}

/// Where a segment was cut, and which segments after it are void since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The number of the first entry that was cut off.
    pub(super) number: u64,
    /// Where it began.
    pub(super) offset: u64,
    /// Segments after this one, up to and with `through`, are void.
    pub(super) through: u64,
}

impl Cut {
    pub(super) fn encode(&self, seed: Seed) -> [u8; CUT_LEN] {
        let mut bytes = [0; CUT_LEN];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.through.to_le_bytes());
        let crc = seed.crc(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the cut that holds out of a header, if there is one: the lower, because a segment that was cut only shrinks; of
    /// two at the same place the one that voids more, because what was void stays so.
    pub(super) fn decode(header: &[u8], seed: Seed) -> Option<Cut> {
        let cuts = CUTS_AT.iter().filter_map(|at| Cut::decode_one(header.get(*at..*at + CUT_LEN)?, seed));
        cuts.min_by_key(|cut| (cut.number, Reverse(cut.through)))
    }

    /// Where this cut goes in a header: over itself, else where it leaves the cut that holds alone.
    pub(super) fn place_in(&self, header: &[u8], seed: Seed) -> usize {
        let holding = Cut::decode(header, seed);
        let at = |cut: Cut| {
            let is_there = |at: &usize| header.get(*at..*at + CUT_LEN) == Some(&cut.encode(seed));
            CUTS_AT.iter().position(is_there)
        };
        match holding.and_then(at) {
            Some(place) if holding == Some(*self) => CUTS_AT[place],
            Some(place) => CUTS_AT[1 - place],
            None => CUTS_AT[0],
        }
    }

    fn decode_one(bytes: &[u8], seed: Seed) -> Option<Cut> {
        let cut = Cut { number: u64_at(bytes, 0), offset: u64_at(bytes, 8), through: u64_at(bytes, 16) };
        (u32_at(bytes, 24) == seed.crc(&bytes[..24]) && cut.offset >= HEADER_LEN as u64).then_some(cut)
    }
}

/// What bytes at the beginning of a frame turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole entry, whose payload has `len` bytes.
    Entry {
        number: u64,
        len: usize,
    },
    /// Everything before it was synced; the next entry has this number.
    Mark {
        number: u64,
    },
    /// So far it is valid; this many bytes are needed to say more.
    Short(usize),
    Invalid,
}

impl Frame {
    /// Appends an entry to `out`.
    pub(super) fn encode_entry(out: &mut Vec<u8>, seed: Seed, number: u64, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("an entry is at most MAX_ENTRY_BYTES long");
        put_head(out, seed, number, len, crc32c::crc32c(payload));
        out.extend_from_slice(payload);
    }

    /// Appends a mark to `out`.
    pub(super) fn encode_mark(out: &mut Vec<u8>, seed: Seed, number: u64) {
        put_head(out, seed, number, MARK, 0);
    }

    /// Looks at bytes that begin with a frame.
    pub(super) fn decode(bytes: &[u8], seed: Seed) -> Frame {
        let Some((head, rest)) = bytes.split_first_chunk::<FRAME_LEN>() else {
            return Frame::Short(FRAME_LEN);
        };
        if u32_at(head, 16) != seed.crc(&head[..16]) {
            return Frame::Invalid;
        }
        let (number, len) = (u64_at(head, 0), u32_at(head, 8));
        if len == MARK {
            return Frame::Mark { number };
        }
        if u64::from(len) > MAX_ENTRY_BYTES {
            return Frame::Invalid;
        }
        let len = len as usize;
        match rest.get(..len) {
            None => Frame::Short(FRAME_LEN + len),
            Some(payload) if u32_at(head, 12) == crc32c::crc32c(payload) => Frame::Entry { number, len },
            Some(_) => Frame::Invalid,
        }
    }

    /// Number and length of a valid frame in the file.
    pub(super) fn extent(self) -> Option<(u64, u64)> {
        match self {
            Frame::Entry { number, len } => Some((number, (FRAME_LEN + len) as u64)),
            Frame::Mark { number } => Some((number, FRAME_LEN as u64)),
            Frame::Short(_) | Frame::Invalid => None,
        }
    }
}

/// The number that a frame at the beginning of `bytes` would have.
pub(super) fn number_of(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().copied().map(u64::from_le_bytes)
}

fn put_head(out: &mut Vec<u8>, seed: Seed, number: u64, len: u32, payload: u32) {
    let mut head = [0; FRAME_LEN];
    head[..8].copy_from_slice(&number.to_le_bytes());
    head[8..12].copy_from_slice(&len.to_le_bytes());
    head[12..16].copy_from_slice(&payload.to_le_bytes());
    let crc = seed.crc(&head[..16]);
    head[16..].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&head);
}

/// Puts the checksum of the first `at` bytes after them.
fn put_crc(bytes: &mut [u8], at: usize) {
    let crc = crc32c::crc32c(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
