//! Sidecars: small files of JSON beside the written ones.

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
    Ok(serde_json::from_slice(&bytes[..length]).unwrap_or_default())
}

/// Replaces a sidecar as a whole and durably: a crash leaves the old one or the new one.
pub(super) fn replace(disk: &dyn Disk, path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Error::bug("a sidecar can't be written as JSON").with_source(error))?;
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
