//! [`ByType`]: one file per type, written in jobs.
//!
//! **Exactly once.** The token has the mark (name, file, length) of each file that was written to. A file that no
//! token has was begun after it, by this sink or by somebody else, and only the [`Journal`] tells which: it records
//! the file, and how long it was, after it was created and before the first byte is written. So `open` knows of every
//! file:
//!
//! | the file is | and is cut back to |
//! |---|---|
//! | in the token | the token's length; shorter is `State` |
//! | in the journal only | the journal's length: 0, or what stood there before |
//! | in neither | nothing: it is somebody else's, or empty |
//!
//! A file that is cut to nothing is left where it is: the replay is about to write it again. Entries of the journal
//! that the token does not confirm are dropped once their files are cut back: what somebody writes to these later is
//! never cut.
//!
//! **Bounds.** [`MAX_FILES`] files, so tokens of some 100 KiB at most; [`MAX_OPEN_FILES`] of them open; one
//! buffer for all. A batch is sorted by type, which keeps the order within each, and each file gets its part in one
//! write.
//!
//! **Closing a file** syncs it first. A sync through a handle that was opened later would write the same pages, but
//! would not learn of an error that the system met between the two handles.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    mem,
    path::{Path, PathBuf},
    slice,
    sync::Arc,
};

use afferent_core::{
    Batch, Generation, Kind, Opened, Prepared, Record, Reject, Rejects, Result, SinkCx,
    disk::{Disk, OpenMode},
    event::StageEvents,
    io_error,
};
use afferent_formats::{Encoder, Format};

use super::{
    Config,
    guard::{Claim, Guard},
    journal::Journal,
    names::{Names, TypeNames},
    open::{only_read, other_format, other_writer},
    tail::{BUFFER_BYTES, Found, Left, Tail},
    token::{Mark, TypesToken},
};

/// Files of one sink. HealthKit has some two hundred types; a feed with more than this is one that puts something
/// else where the type belongs, and it would fill the directory and every token.
pub(super) const MAX_FILES: usize = 1024;

/// Files that are open at once: an export comes type by type, and no phone measures as many types within an epoch. A
/// process gets at least 256 handles everywhere, for everything.
pub(super) const MAX_OPEN_FILES: usize = 64;

const _: () = assert!(MAX_FILES == 1024, "`TOO_MANY` names it");
const TOO_MANY: &str = "its type would need one more file than the 1,024 that this sink writes at most; `select` types before it, or write them to one file";
const TOO_LONG: &str =
    "its type makes the name of a file longer than 255 bytes; write it to one file with the others";

/// A directory of files, one per type, and what writing them needs.
pub(super) struct ByType {
    disk: Arc<dyn Disk>,
    events: StageEvents,
    guard: Guard,
    names: Names,
    type_names: TypeNames,
    path: String,
    format: Format,
    begun: Generation,
    journal: Journal,
    encoder: Box<dyn Encoder>,
    buffer: Vec<u8>,
    files: Vec<TypeFile>,
    /// The file of each type that came, or why it has none.
    of_kind: HashMap<Option<Kind>, std::result::Result<usize, &'static str>>,
    open: usize,
    /// Counts uses of files, to tell which was used least recently.
    uses: u64,
    rejects: Rejects,
}

struct TypeFile {
    mark: Mark,
    tail: Option<Tail>,
    used: u64,
}

impl ByType {
    /// Opens the sink as the tables of [this](self) and the [parent](super) module say. No file is opened yet, except to
    /// cut it back.
    pub(super) fn open(
        config: &Config,
        names: Names,
        type_names: TypeNames,
        cx: SinkCx,
        guard: Guard,
    ) -> Result<(ByType, Opened)> {
        let disk = &*cx.disk;
        let path = names.path().to_string_lossy().into_owned();
        let mut token = TypesToken::read(cx.token.as_ref(), &path)?;
        if token.as_ref().is_some_and(|token| token.format != config.format) {
            return Err(other_format(&path));
        }
        if guard.behind() {
            cx.events.alarm(other_writer(&path));
            token = None;
        }
        let begun = token.as_ref().map_or(cx.fence.generation, |token| token.begun);
        let owner = Claim::of(&cx.fence, begun);
        let mut journal = Journal::read(disk, names.sidecar("begun"), owner)?;
        let (marks, opened) = match token {
            Some(token) => roll_back(&cx, &names, token.files, &journal, &guard)?,
            None => (Vec::new(), Opened::Elsewhere),
        };
        journal.keep(disk, |begun| {
            marks.iter().any(|mark| mark.name == begun.name && mark.file == begun.file)
        })?;
        let by_type = ByType {
            guard,
            names,
            type_names,
            path,
            format: config.format,
            begun,
            journal,
            encoder: config.format.encoder().ok_or_else(only_read)?,
            buffer: Vec::new(),
            files: marks.into_iter().map(|mark| TypeFile { mark, tail: None, used: 0 }).collect(),
            of_kind: HashMap::new(),
            open: 0,
            uses: 0,
            rejects: Vec::new(),
            events: cx.events,
            disk: cx.disk,
        };
        Ok((by_type, opened))
    }

    /// Encodes the batch and writes it, type by type.
    pub(super) fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.guard.check_to_write(&*self.disk)?;
        // Stable, so the order within a type is kept.
        batch.sort_by_key(|record| record.kind);
        self.begin(batch)?;
        for records in batch.chunk_by(|one, next| one.kind == next.kind) {
            match self.of_kind[&records[0].kind] {
                Ok(index) => self.append(index, records)?,
                Err(reason) => {
                    self.rejects.extend(records.iter().map(|record| Reject::record(record, reason)));
                }
            }
        }
        batch.clear();
        Ok(())
    }

    /// Makes everything written durable and says where each file ends.
    pub(super) fn prepare(&mut self) -> Result<Prepared> {
        self.guard.check(&*self.disk)?;
        for tail in self.files.iter_mut().filter_map(|file| file.tail.as_mut()) {
            tail.sync()?;
        }
        let token = TypesToken {
            path: self.path.clone(),
            format: self.format,
            begun: self.begun,
            files: self.files.iter().map(|file| file.mark.clone()).collect(),
        };
        Ok(Prepared {
            token: Some(token.save()?),
            rejects: mem::take(&mut self.rejects),
            ..Prepared::default()
        })
    }

    /// Begins the files of types that came for the first time, with one write of the journal for all of them.
    fn begin(&mut self, batch: &[Record]) -> Result<()> {
        let mut fresh = Vec::new();
        for records in batch.chunk_by(|one, next| one.kind == next.kind) {
            let kind = records[0].kind;
            if !self.of_kind.contains_key(&kind) {
                let file = self.file_of(kind, &mut fresh)?;
                self.of_kind.insert(kind, file);
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        self.guard.check(&*self.disk)?;
        self.journal.add(&*self.disk, &fresh)
    }

    /// The file of a type, which is created if it is not there; a new one is added to `fresh`.
    fn file_of(
        &mut self,
        kind: Option<Kind>,
        fresh: &mut Vec<Mark>,
    ) -> Result<std::result::Result<usize, &'static str>> {
        let Some(name) = self.type_names.file(kind) else { return Ok(Err(TOO_LONG)) };
        if let Some(index) = self.files.iter().position(|file| file.mark.name == name) {
            return Ok(Ok(index));
        }
        if self.files.len() == MAX_FILES {
            return Ok(Err(TOO_MANY));
        }
        let mark = self.create(name)?;
        // Where case makes no difference, two types that differ in nothing else have one file.
        let same =
            |file: &TypeFile| file.mark.file == mark.file && file.mark.name.eq_ignore_ascii_case(&mark.name);
        if let Some(index) = self.files.iter().position(same) {
            return Ok(Ok(index));
        }
        fresh.push(mark.clone());
        self.files.push(TypeFile { mark, tail: None, used: 0 });
        Ok(Ok(self.files.len() - 1))
    }

    /// Creates a file, unless it stands there, and says where it ends.
    fn create(&self, name: String) -> Result<Mark> {
        let path = self.place(&name);
        let created = || self.disk.open(&path, OpenMode::Create)?.info();
        let info = created().map_err(|error| io_error("open", &path, error))?;
        Ok(Mark { name, file: info.id, length: info.len })
    }

    /// Encodes records of one type and writes them to their file.
    fn append(&mut self, index: usize, records: &[Record]) -> Result<()> {
        self.make_open(index)?;
        let file = &mut self.files[index];
        let tail = file.tail.as_mut().expect("it was opened above");
        for record in records {
            tail.lead(&*self.encoder, &mut self.buffer);
            if let Err(reason) = self.encoder.encode(record, &mut self.buffer) {
                self.rejects.push(Reject::record(record, reason));
            }
            if self.buffer.len() >= BUFFER_BYTES {
                tail.append(&mut self.buffer)?;
            }
        }
        tail.append(&mut self.buffer)?;
        file.mark.length = tail.length;
        Ok(())
    }

    /// Opens a file where it was left, and closes another if too many are open.
    fn make_open(&mut self, index: usize) -> Result<()> {
        self.uses += 1;
        self.files[index].used = self.uses;
        if self.files[index].tail.is_some() {
            return Ok(());
        }
        if self.open == MAX_OPEN_FILES {
            self.close_one()?;
        }
        let path = self.place(&self.files[index].mark.name);
        let mark = &self.files[index].mark;
        let left = Left { path: &path, id: mark.file, length: mark.length };
        let found = left.cut_back(&*self.disk, &self.guard)?;
        if found != Found::Kept {
            let name = mark.name.clone();
            self.events.alarm(taken_away(&path, 1, found));
            let mark = self.create(name)?;
            self.journal.add(&*self.disk, slice::from_ref(&mark))?;
            self.files[index].mark = mark;
        }
        let file = self.disk.open(&path, OpenMode::Write).map_err(|error| io_error("open", &path, error))?;
        // It may be that of a newer generation, which has raised the fence before.
        self.guard.check(&*self.disk)?;
        self.files[index].tail = Some(Tail::of(file, path)?);
        self.open += 1;
        Ok(())
    }

    /// Syncs and closes the file that was used least recently.
    fn close_one(&mut self) -> Result<()> {
        let open = self.files.iter_mut().filter(|file| file.tail.is_some());
        let oldest = open.min_by_key(|file| file.used).and_then(|file| file.tail.take());
        let mut tail = oldest.expect("it is called when files are open");
        self.open -= 1;
        tail.sync()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.names.path().with_file_name(name)
    }
}

/// Cuts all files back: to their marks in the token, or to where the journal says that they were begun. Files that
/// are gone are left out, with an alarm.
fn roll_back(
    cx: &SinkCx,
    names: &Names,
    marks: Vec<Mark>,
    journal: &Journal,
    guard: &Guard,
) -> Result<(Vec<Mark>, Opened)> {
    let disk = &*cx.disk;
    let place = |mark: &Mark| names.path().with_file_name(&mark.name);
    let (mut gone, mut exchanged) = (Vec::new(), Vec::new());
    let mut kept = Vec::with_capacity(marks.len());
    let restore = |mark: &Mark| {
        let path = place(mark);
        Left { path: &path, id: mark.file, length: mark.length }.restore(disk, guard)
    };
    let mut copied = false;
    for mark in marks {
        let (found, copy) = restore(&mark)?;
        copied |= copy.is_some();
        match found {
            Found::Kept => kept.push(Mark { file: copy.unwrap_or(mark.file), ..mark }),
            Found::Gone => gone.push(mark.name),
            Found::Another => exchanged.push(mark.name),
        }
    }
    for begun in journal.files() {
        if kept.iter().all(|mark| mark.name != begun.name) {
            let path = place(begun);
            let found = disk.info(&path).map_err(|error| io_error("look at", &path, error))?;
            // Shorter: nothing of this sink is in it, and no checkpoint counts on it.
            if found.is_some_and(|found| {
                found.len > begun.length || (guard.taken_over() && found.len == begun.length)
            }) {
                restore(begun)?;
            }
        }
    }
    let same = gone.is_empty() && exchanged.is_empty() && !copied;
    let opened = if same { Opened::Resumed } else { Opened::Elsewhere };
    for (found, names_of) in [(Found::Gone, gone), (Found::Another, exchanged)] {
        if let Some(first) = names_of.first() {
            let path = names.path().with_file_name(first);
            cx.events.alarm(taken_away(&path, names_of.len(), found));
        }
    }
    Ok((kept, opened))
}

/// Tells of files that were taken away, of which `first` is one.
fn taken_away(first: &Path, count: usize, found: Found) -> String {
    let these = match count {
        1 => "this file".to_owned(),
        count => format!("this file and {} more", count - 1),
    };
    let what = match (found, count) {
        (Found::Another, 1) => "another stands in its place; records go on at its end",
        (Found::Another, _) => "others stand in their places; records go on at their ends",
        (_, 1) => "it is gone; a new one is begun",
        (_, _) => "they are gone; new ones are begun",
    };
    format!("{}: the last checkpoint ends in {these}, but {what}", first.display())
}
