//! Opening one file or rolled ones: who may write, what lies after the token, and where to go on.

use afferent_core::{
    Error, Opened, Result, SinkCx, Timestamp,
    disk::{Disk, OpenMode, directory_of},
    io_error,
};

use super::{
    Config,
    guard::Guard,
    names::Names,
    tail::{Found, Left, Tail},
    token::FileToken,
    writer::{Current, Writer},
};

/// The first file of a rolling sink.
const FIRST_SEQUENCE: u64 = 1;

/// Opens the sink as the table of the [module](super) says.
pub(super) fn open(config: Config, names: Names, cx: SinkCx, guard: Guard) -> Result<(Writer, Opened)> {
    let disk = &*cx.disk;
    let path = names.path().to_string_lossy().into_owned();
    let token = FileToken::read(cx.token.as_ref(), &path)?;
    if let Some(token) = &token
        && token.format != config.format
    {
        return Err(other_format(&path));
    }
    let rolled = config.roll.is_some();
    let resumed = match &token {
        Some(_) if guard.behind() => {
            cx.events.alarm(other_writer(&path));
            None
        }
        Some(token) => roll_back(&cx, &names, token, &guard)?.filter(|_| rolled == (token.sequence > 0)),
        None => None,
    };
    let (current, opened, created) = match resumed {
        // Of one that was taken over the files were copied: the token is another.
        Some(current) => match &token {
            Some(token) if (current.tail.id, current.sequence) == (token.file, token.sequence) => {
                (current, Opened::Resumed, false)
            }
            _ => (current, Opened::Elsewhere, true),
        },
        None => {
            // After a rolled file that is gone its successor is begun: its own name may come back.
            let fewest = token.as_ref().map_or(FIRST_SEQUENCE, |token| token.sequence + 1);
            let current = begin(disk, &names, rolled.then_some(fewest), cx.clock.now())?;
            // Also when the file stood there: a process that died may have created it and not synced its name.
            (current, Opened::Elsewhere, true)
        }
    };
    let template = FileToken {
        path,
        format: config.format,
        file: current.tail.id,
        sequence: current.sequence,
        length: current.tail.length,
        begun: current.begun,
    };
    let writer = Writer {
        guard,
        names,
        roll: config.roll,
        template,
        encoder: config.format.encoder().ok_or_else(only_read)?,
        buffer: Vec::new(),
        current,
        rejects: Vec::new(),
        created,
        disk: cx.disk,
        clock: cx.clock,
    };
    Ok((writer, opened))
}

/// The format can't be written, which the check of the configuration says with more words.
pub(super) fn only_read() -> Error {
    Error::config("in `format`: this form is only read")
}

/// The files are in another format than is asked for now.
pub(super) fn other_format(path: &str) -> Error {
    Error::config(format!(
        "{path} was begun in another format; give the sink another path, or its old format"
    ))
}

/// What lies after the token may be another pipeline's.
pub(super) fn other_writer(path: &str) -> String {
    format!(
        "{path}: another pipeline has written here since the last checkpoint; nothing is cut back, records go on at the end; give each pipeline a path of its own"
    )
}

/// Cuts the token's file back and removes later ones. `None`, with an alarm, when it is gone.
fn roll_back(cx: &SinkCx, names: &Names, token: &FileToken, guard: &Guard) -> Result<Option<Current>> {
    let disk = &*cx.disk;
    let newest = match token.sequence {
        0 => 0,
        sequence => remove_after(disk, names, sequence, guard)?,
    };
    let path = names.file(token.sequence);
    let left = Left { path: &path, id: token.file, length: token.length };
    let (found, _) = left.restore(disk, guard)?;
    let what = match (found, token.sequence) {
        (Found::Kept, 1..) if guard.taken_over() => {
            // Whoever was taken over would begin it next.
            let path = names.file(newest + 1);
            let io = |error| io_error("create", &path, error);
            let file = disk.open(&path, OpenMode::CreateNew).map_err(io)?;
            return Ok(Some(Current::of(Tail::of(file, path)?, newest + 1, cx.clock.now())));
        }
        (Found::Kept, _) => {
            let file = disk.open(&path, OpenMode::Write).map_err(|error| io_error("open", &path, error))?;
            return Ok(Some(Current::of(Tail::of(file, path)?, token.sequence, token.begun)));
        }
        (Found::Gone, _) => "it is gone; a new one is begun",
        (Found::Another, 0) => "another file stands in its place; records go on at its end",
        (Found::Another, _) => "another file stands in its place; the next one is begun",
    };
    cx.events.alarm(format!("{}: the last checkpoint ends in this file, but {what}", path.display()));
    Ok(None)
}

/// Removes the files after `sequence`, the last one first: a crash on the way leaves no gap. The newest that was there.
fn remove_after(disk: &dyn Disk, names: &Names, sequence: u64, guard: &Guard) -> Result<u64> {
    let mut later = sequences(disk, names)?;
    later.retain(|found| *found > sequence);
    later.sort_unstable();
    for found in later.iter().rev() {
        // After they were listed: none of a newer generation, which would be among them, is removed.
        guard.check(disk)?;
        let path = names.file(*found);
        disk.remove(&path).map_err(|error| io_error("remove", &path, error))?;
    }
    if !later.is_empty() {
        let directory = directory_of(names.path());
        disk.sync_dir(directory).map_err(|error| io_error("sync the directory", directory, error))?;
    }
    Ok(later.last().copied().unwrap_or(sequence))
}

/// The file to begin in, at the end of what stands there. A rolling sink begins in
/// its newest file, but not before `fewest`.
fn begin(disk: &dyn Disk, names: &Names, fewest: Option<u64>, now: Timestamp) -> Result<Current> {
    let sequence = match fewest {
        Some(fewest) => sequences(disk, names)?.into_iter().fold(fewest, u64::max),
        None => 0,
    };
    let path = names.file(sequence);
    let file = disk.open(&path, OpenMode::Create).map_err(|error| io_error("open", &path, error))?;
    Ok(Current::of(Tail::of(file, path)?, sequence, now))
}

fn sequences(disk: &dyn Disk, names: &Names) -> Result<Vec<u64>> {
    let directory = directory_of(names.path());
    let files = disk.list(directory).map_err(|error| io_error("list", directory, error))?;
    Ok(files.iter().filter_map(|file| names.sequence(file)).collect())
}
