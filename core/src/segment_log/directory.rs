//! The directory of a log: names of segments, and what is kept aside.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::window::CHUNK;
use crate::{
    Error, Result,
    disk::{Disk, OpenMode, directory_of},
    io_error,
};

/// Damaged segments kept in a log's directory. More than these say nothing new, and the disk must not fill.
const MAX_DAMAGED: usize = 16;
/// Logs that may have been set aside: after that many an operator is needed.
const MAX_SET_ASIDE: u32 = 1000;
/// Digits in a segment's name: all of 64 bits, so that names sort as numbers do.
const DIGITS: usize = 20;

/// The directory of a log.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
}

impl Directory {
    /// The file of a segment.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:0DIGITS$}.log"))
    }

    /// The segments that are there, in order.
    pub(super) fn segments(&self) -> Result<Vec<u64>> {
        segments_in(&*self.disk, &self.path)
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.disk.sync_dir(&self.path).map_err(|error| io_error("sync", &self.path, error))
    }

    pub(super) fn remove(&self, segment: u64) -> Result<()> {
        let path = self.segment(segment);
        self.disk.remove(&path).map_err(|error| io_error("remove", &path, error))
    }

    /// Copies a damaged segment to `damaged/`. That this fails, on a full disk perhaps, is not allowed to hold up
    /// what is still whole.
    pub(super) fn keep_copy(&self, segment: u64) -> Option<PathBuf> {
        let kept = self.copy(segment);
        kept.unwrap_or_else(|error| {
            let path = self.segment(segment);
            tracing::error!(path = %path.display(), "a damaged segment could not be copied: {error}");
            None
        })
    }

    fn copy(&self, segment: u64) -> io::Result<Option<PathBuf>> {
        let Some((damaged, kept)) = self.place_for(segment)? else { return Ok(None) };
        if self.disk.info(&kept)?.is_some() {
            return Ok(Some(kept));
        }
        let copy = kept.with_extension("new");
        let copied = self.copy_to(segment, &copy).and_then(|()| self.disk.rename(&copy, &kept));
        if let Err(error) = copied {
            // Half a copy would only take space; what failed is reported, not this.
            let _ = self.disk.remove(&copy);
            return Err(error);
        }
        self.disk.sync_dir(&damaged)?;
        Ok(Some(kept))
    }

    fn copy_to(&self, segment: u64, to: &Path) -> io::Result<()> {
        let from = self.disk.open(&self.segment(segment), OpenMode::Read)?;
        let to = self.disk.open(to, OpenMode::Create)?;
        to.set_len(0)?;
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        loop {
            let read = from.read_at(done, &mut buffer)?;
            if read == 0 {
                return to.sync();
            }
            to.write_at(done, &buffer[..read])?;
            done += read as u64;
        }
    }

    /// Moves a segment that can't be read at all to `damaged/`.
    pub(super) fn move_aside(&self, segment: u64) -> Result<PathBuf> {
        let path = self.segment(segment);
        let moved = || {
            let damaged = self.path.join("damaged");
            let kept = self.kept(segment);
            self.disk.create_dir_all(&damaged)?;
            self.disk.rename(&path, &kept)?;
            self.disk.sync_dir(&damaged)?;
            self.disk.sync_dir(&self.path)?;
            Ok(kept)
        };
        moved().map_err(|error| io_error("set aside", &path, error))
    }

    fn kept(&self, segment: u64) -> PathBuf {
        self.path.join("damaged").join(format!("{segment:0DIGITS$}.log"))
    }

    /// `damaged/` and the place for a segment in it, if it may hold one more.
    fn place_for(&self, segment: u64) -> io::Result<Option<(PathBuf, PathBuf)>> {
        let damaged = self.path.join("damaged");
        self.disk.create_dir_all(&damaged)?;
        let (present, kept) = (self.disk.list(&damaged)?, self.kept(segment));
        let room = present.len() < MAX_DAMAGED || present.contains(&kept);
        Ok(room.then_some((damaged, kept)))
    }
}

/// Moves a log out of the way, to `DIRECTORY.aside-N`, so that another begins in its place; where it went, or `None`
/// if there was none. For an owner without a checkpoint: what is in the log belongs to a history that it does not know.
///
/// Segments move newest first: after a crash the rest is still a log, and the next call moves it, too.
///
/// # Errors
/// `State` when too many were set aside, else as the disk fails.
pub fn set_aside(disk: &dyn Disk, directory: &Path) -> Result<Option<PathBuf>> {
    let segments = segments_in(disk, directory)?;
    if segments.is_empty() {
        return Ok(None);
    }
    let io = |error| io_error("set aside", directory, error);
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    for number in 1..=MAX_SET_ASIDE {
        let aside = directory_of(directory).join(format!("{name}.aside-{number}"));
        if disk.info(&aside).map_err(io)?.is_some() {
            continue;
        }
        disk.create_dir_all(&aside).map_err(io)?;
        for segment in segments.into_iter().rev() {
            let name = format!("{segment:0DIGITS$}.log");
            disk.rename(&directory.join(&name), &aside.join(&name)).map_err(io)?;
            disk.sync_dir(&aside).and_then(|()| disk.sync_dir(directory)).map_err(io)?;
        }
        return Ok(Some(aside));
    }
    Err(Error::state(format!(
        "beside {} are {MAX_SET_ASIDE} logs that were set aside; move them elsewhere and find out why",
        directory.display()
    )))
}

fn segments_in(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>> {
    let present = disk.list(directory).map_err(|error| io_error("list", directory, error))?;
    let mut segments: Vec<u64> = present.iter().filter_map(|path| segment_number(path)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The number of the segment that a file's name gives it.
fn segment_number(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let is_name = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| digits.parse().ok())?
}
