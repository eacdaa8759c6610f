//! Bodies: received, counted and inflated within bounds.

use std::{io::Read, sync::Arc};

use flate2::{Decompress, FlushDecompress, Status, bufread::MultiGzDecoder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;

/// How much is inflated at once, and so by how much a body may pass its bound before it is refused.
pub(super) const CHUNK: usize = 32 << 10;
/// What decompressing zstd may hold beside its output, as a power of two: the 8 MiB that RFC 8878 §3.1.1.1.2 asks decoders to
/// support. A header may ask for terabytes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 as some senders understand it.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// The encoding that `Content-Encoding` names; `None` for others and for several at once.
    pub fn of(header: &str) -> Option<Encoding> {
        let names = [
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("deflate", Encoding::Deflate),
            ("zstd", Encoding::Zstd),
        ];
        let header = header.trim();
        names.iter().find(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, encoding)| *encoding)
    }
}

/// A share of the bytes that bodies may take in memory; given back when it is dropped.
#[derive(Debug)]
pub struct Budget {
    all: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// Nothing yet, of `all`.
    pub fn new(all: Arc<Semaphore>) -> Budget {
        Budget { all, taken: None }
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// `Busy` if others have them: waiting here with a body half read could wait for ever.
    pub fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
        let more = self.all.clone().try_acquire_many_owned(bytes).map_err(|_| Refusal::Busy)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }

    /// What it takes from.
    pub(super) fn all(&self) -> Arc<Semaphore> {
        self.all.clone()
    }

    /// How many bytes it has.
    pub fn taken(&self) -> usize {
        self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

/// Decompresses `body` into at most `limit` bytes, which `budget` has room for.
///
/// # Errors
/// `TooLarge` when it has more, `Busy` when there is no room, `Malformed` when it is not what `encoding` says.
pub fn inflate(
    body: &[u8],
    encoding: Encoding,
    limit: usize,
    budget: &mut Budget,
) -> Result<Vec<u8>, Refusal> {
    match encoding {
        Encoding::Identity => {
            if body.len() > limit {
                return Err(Refusal::TooLarge);
            }
            budget.take(body.len())?;
            Ok(body.to_vec())
        }
        Encoding::Gzip => read_all(MultiGzDecoder::new(body), limit, budget),
        Encoding::Deflate => inflate_deflate(body, limit, budget),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| broken())?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| broken())?;
            read_all(decoder, limit, budget)
        }
    }
}

/// Whether it begins as RFC 1950 §2.2 says.
fn is_zlib(body: &[u8]) -> bool {
    let [method, check, ..] = body else { return false };
    method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*check)).is_multiple_of(31)
}

/// Decompresses what RFC 1950 or 1951 says. By hand, because the readers of the library take the end of the input for that of
/// the stream: half a body would pass for a whole one.
fn inflate_deflate(body: &[u8], limit: usize, budget: &mut Budget) -> Result<Vec<u8>, Refusal> {
    let mut stream = Decompress::new(is_zlib(body));
    let (mut content, mut chunk) = (Vec::new(), [0; CHUNK]);
    loop {
        // Both count bytes of slices.
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        let status =
            stream.decompress(&body[read..], &mut chunk, FlushDecompress::None).map_err(|_| broken())?;
        let more = stream.total_out() as usize - written;
        if content.len() + more > limit {
            return Err(Refusal::TooLarge);
        }
        budget.take(more)?;
        extend(&mut content, &chunk[..more], limit);
        let is_whole = stream.total_in() as usize == body.len();
        match status {
            Status::StreamEnd if is_whole => return Ok(content),
            Status::StreamEnd => return Err(broken()),
            _ if more == 0 && stream.total_in() as usize == read => return Err(broken()),
            _ => {}
        }
    }
}

fn broken() -> Refusal {
    Refusal::broken("the body can't be decompressed; it is not what Content-Encoding says, or is cut off")
}

fn read_all(mut from: impl Read, limit: usize, budget: &mut Budget) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        let read = from.read(&mut chunk).map_err(|_| broken())?;
        if read == 0 {
            return Ok(content);
        }
        if content.len() + read > limit {
            return Err(Refusal::TooLarge);
        }
        budget.take(read)?;
        extend(&mut content, &chunk[..read], limit);
    }
}

/// Appends `bytes`, with memory for a quarter more than there is but never for more than `limit`: doubling would take twice
/// what a body may have.
pub(super) fn extend(content: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = content.len() + bytes.len();
    if needed > content.capacity() {
        let wanted = (needed + needed / 4).max(CHUNK).min(limit.max(needed));
        content.reserve_exact(wanted - content.len());
    }
    content.extend_from_slice(bytes);
}
