//! [`Files`]: the files a source knows, through rotation, replacement and loss.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use afferent_core::{
    Result,
    disk::{Disk, DiskFile, FileId, OpenMode, directory_of},
    event::StageEvents,
};

use super::{
    MAX_HANDLES,
    error::read_error,
    glob::expand,
    position::{Head, Mark},
};

/// The files a source knows, in the order in which they are read.
#[derive(Debug)]
pub(super) struct Files {
    pattern: String,
    follow: bool,
    disk: Arc<dyn Disk>,
    events: StageEvents,
    pub(super) list: Vec<Known>,
    /// Counts visits, to find the handle that was not used for longest.
    visits: u64,
}

/// One file.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) mark: Mark,
    /// How far it was read, an item without end included; below that there is nothing new.
    pub(super) seen: u64,
    handle: Option<Arc<dyn DiskFile>>,
    visit: u64,
    /// Whether no name leads to it any more; its handle still does.
    unlinked: bool,
}

impl Known {
    fn new(mark: Mark) -> Known {
        Known { seen: mark.offset, mark, handle: None, visit: 0, unlinked: false }
    }

    /// Back to the beginning.
    fn rewind(&mut self) {
        (self.mark.offset, self.mark.line, self.mark.done) = (0, 1, false);
        (self.mark.head, self.seen) = (Head::default(), 0);
    }
}

/// What a visit found.
#[derive(Debug)]
pub(super) enum Visit {
    /// Nothing new.
    Nothing,
    /// Bytes behind what was seen.
    More(Arc<dyn DiskFile>),
    /// Another content: it is to be read from its beginning.
    Rewound(Arc<dyn DiskFile>),
}

impl Files {
    pub(super) fn new(
        pattern: String,
        follow: bool,
        disk: Arc<dyn Disk>,
        events: StageEvents,
        marks: Vec<Mark>,
    ) -> Files {
        let list = marks.into_iter().map(Known::new).collect();
        Files { pattern, follow, disk, events, list, visits: 0 }
    }

    /// Looks which files there are now: finds those that were renamed, adds new ones at the end, and forgets those that
    /// are gone.
    pub(super) fn scan(&mut self) -> Result<()> {
        let mut paths: Vec<(PathBuf, FileId)> = Vec::new();
        let mut by_id: HashMap<FileId, PathBuf> = HashMap::new();
        for path in expand(&self.pattern, self.follow)? {
            // One that vanished since, or can't be looked at yet, is found by a later scan or not at all.
            let info = self.disk.info(&path).map_err(|error| read_error(&path, error, self.follow))?;
            if let Some(info) = info {
                by_id.entry(info.id).or_insert_with(|| path.clone());
                paths.push((path, info.id));
            }
        }
        let mut gone = Vec::new();
        for (index, known) in self.list.iter_mut().enumerate() {
            let mark = &mut known.mark;
            let path = match by_id.get(&mark.id) {
                Some(path) => Some(path.clone()),
                None => find(&*self.disk, &mark.path, mark.id)
                    .map_err(|error| read_error(&mark.path, error, self.follow))?,
            };
            known.unlinked = path.is_none();
            match path {
                Some(path) if path != mark.path => {
                    let (old, new) = (mark.path.display(), path.display());
                    self.events.notice(format!("{old} is now {new}: it is read there to its end"));
                    mark.path = path;
                }
                Some(_) => {}
                // Its handle still leads to it.
                None if known.handle.is_some() => {}
                None => gone.push(index),
            }
        }
        let mut vacated = HashSet::new();
        for index in gone.into_iter().rev() {
            vacated.insert(self.list[index].mark.path.clone());
            self.forget(index);
        }
        let mut known: HashSet<FileId> = self.list.iter().map(|known| known.mark.id).collect();
        for (path, id) in paths {
            if known.insert(id) {
                if vacated.contains(&path) || self.list.iter().any(|known| known.mark.path == path) {
                    let path = path.display();
                    self.events
                        .notice(format!("another file stands at {path}: it is read from its beginning"));
                }
                let mark = Mark { path, id, head: Head::default(), offset: 0, line: 1, done: false };
                self.list.push(Known::new(mark));
            }
        }
        Ok(())
    }

    /// Looks at one file.
    pub(super) fn visit(&mut self, index: usize) -> Result<Visit> {
        self.visits += 1;
        let follow = self.follow;
        let known = &mut self.list[index];
        known.visit = self.visits;
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |error| read_error(&path, error, follow)
        };
        let info = match &known.handle {
            Some(handle) => Some(handle.info()),
            None => self.disk.info(&known.mark.path).transpose(),
        };
        let info = match info.transpose().map_err(fail(&known.mark.path))? {
            Some(info) if info.id == known.mark.id => info,
            // Renamed or gone since the scan: the next one finds out.
            _ if follow => return Ok(Visit::Nothing),
            _ => return Err(read_error(&known.mark.path, io::ErrorKind::NotFound.into(), follow)),
        };
        if info.len == known.seen {
            known.mark.done = known.mark.offset == info.len;
            return Ok(Visit::Nothing);
        }
        let handle = match &known.handle {
            Some(handle) => handle.clone(),
            None => {
                let handle =
                    self.disk.open(&known.mark.path, OpenMode::Read).map_err(fail(&known.mark.path))?;
                if handle.info().map_err(fail(&known.mark.path))?.id != known.mark.id {
                    return Ok(Visit::Nothing);
                }
                known.handle = Some(handle.clone());
                handle
            }
        };
        let same =
            info.len > known.seen && known.mark.head.matches(&*handle).map_err(fail(&known.mark.path))?;
        if !same {
            let path = known.mark.path.display();
            self.events
                .notice(format!("{path} was truncated or written anew: it is read from its beginning"));
            known.rewind();
            known.mark.head.matches(&*handle).map_err(fail(&known.mark.path))?;
        }
        self.limit_handles(index);
        Ok(if same { Visit::More(handle) } else { Visit::Rewound(handle) })
    }

    /// Called when nothing more is in a file: a file without a name is let go, one that is not followed is closed.
    /// Whether it is still in the list.
    pub(super) fn leave(&mut self, index: usize) -> bool {
        if self.list[index].unlinked {
            self.forget(index);
            return false;
        }
        if !self.follow {
            self.list[index].handle = None;
        }
        true
    }

    /// Forgets what was read beyond the mark of a file.
    pub(super) fn unsee(&mut self, id: FileId) {
        if let Some(known) = self.list.iter_mut().find(|known| known.mark.id == id) {
            known.seen = known.mark.offset;
        }
    }

    fn forget(&mut self, index: usize) {
        let mark = self.list.remove(index).mark;
        if !mark.done {
            self.events.alarm(format!(
                "{} vanished before it was read to its end: it was read to byte {} (line {}); keep rotated files in their directory until they are read",
                mark.path.display(),
                mark.offset,
                mark.line
            ));
        }
    }

    fn limit_handles(&mut self, keep: usize) {
        let open = |(index, known): &(usize, &mut Known)| {
            *index != keep && known.handle.is_some() && !known.unlinked
        };
        if self.list.iter().filter(|known| known.handle.is_some()).count() > MAX_HANDLES
            && let Some((_, known)) =
                self.list.iter_mut().enumerate().filter(open).min_by_key(|(_, known)| known.visit)
        {
            known.handle = None;
        }
    }
}

/// Where the file `id` is that was at `path`: there, or under another name in the same directory.
fn find(disk: &dyn Disk, path: &Path, id: FileId) -> io::Result<Option<PathBuf>> {
    let is_it = |path: &Path| matches!(disk.info(path), Ok(Some(info)) if info.id == id);
    if is_it(path) {
        return Ok(Some(path.to_owned()));
    }
    Ok(disk.list(directory_of(path))?.into_iter().find(|path| is_it(path)))
}
