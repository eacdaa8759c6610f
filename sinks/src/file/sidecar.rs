//! Sidecars: small files of JSON beside the written ones, each with a checksum in a line of its own: a generation in which a bit
//! has flipped would keep everybody out for ever. Those of before, without one, are read.

use std::path::Path;

use afferent_core::{
    Error, Result,
    disk::{Disk, OpenMode, directory_of},
    io_error,
};
use serde::{Serialize, de::DeserializeOwned};

/// Longest sidecar that is read: the longest that is ever written, several times over. A longer one is none of ours.
const MAX_SIDECAR_BYTES: u64 = 2 << 20;

/// What a sidecar says. One that can't be read as such says nothing: nobody should have to delete a file (G5).
pub(super) fn read<T: DeserializeOwned + Default>(disk: &dyn Disk, path: &Path) -> Result<T> {
    let failed = |error| io_error("read", path, error);
    let Some(info) = disk.info(path).map_err(failed)? else { return Ok(T::default()) };
    if info.len > MAX_SIDECAR_BYTES {
        return Ok(T::default());
    }
    let file = disk.open(path, OpenMode::Read).map_err(failed)?;
    let mut bytes = vec![0; info.len as usize];
    let length = file.read_at(0, &mut bytes).map_err(failed)?;
    Ok(content(&bytes[..length]).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default())
}

/// The JSON of a sidecar; `None` when it is not what was written.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Some(bytes) };
    let (json, sum) = (&bytes[..end], &bytes[end + 1..]);
    (sum == checksum(json).as_bytes()).then_some(json)
}

fn checksum(json: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(json))
}

/// Replaces a sidecar as a whole and durably: a crash leaves the old one or the new one.
pub(super) fn replace(disk: &dyn Disk, path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec(value)
        .map_err(|error| Error::bug("a sidecar can't be written as JSON").with_source(error))?;
    let sum = checksum(&bytes);
    bytes.push(b'\n');
    bytes.extend_from_slice(sum.as_bytes());
    let mut fresh = path.as_os_str().to_owned();
    fresh.push("-new");
    let fresh = Path::new(&fresh);
    let write = || {
        let file = disk.open(fresh, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        disk.rename(fresh, path)?;
        disk.sync_dir(directory_of(path))
    };
    write().map_err(|error| io_error("write", path, error))
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::SimDisk;

    use super::*;

    /// Scenario: each bit of a sidecar flips; and one was written before there were checksums. Guarantees: G5: what is read is what was
    /// written, or nothing.
    #[test]
    fn a_flipped_bit_says_nothing() {
        let (disk, path) = (SimDisk::new(1), Path::new("/beside"));
        let numbers = vec![71_u64, 12];
        replace(&disk, path, &numbers).unwrap();
        assert_eq!(read::<Vec<u64>>(&disk, path).unwrap(), numbers);
        let bits = disk.content(path).unwrap().len() as u64 * 8;
        for bit in 0..bits {
            disk.flip(path, bit).unwrap();
            let found: Vec<u64> = read(&disk, path).unwrap();
            assert_eq!(found, [0_u64; 0], "bit {bit}");
            disk.flip(path, bit).unwrap();
        }
        let old = disk.open(path, OpenMode::Write).unwrap();
        old.set_len(0).unwrap();
        old.write_at(0, b"[71,12]").unwrap();
        assert_eq!(read::<Vec<u64>>(&disk, path).unwrap(), numbers);
    }
}
