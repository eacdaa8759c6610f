//! The files beside the XML: routes, electrocardiograms, clinical documents.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, ErrorKind as Io, Read},
    path::{Component, Path, PathBuf},
};

use afferent_core::{Error, Reject, Result, io_error, reject::HEAD_BYTES};
use foldhash::fast::FixedState;
use zip::{ZipArchive, result::ZipError};

use super::{
    locate::{file_name, is_junk, zip_error},
    shared::Shared,
};

/// What the folder of electrocardiograms is called.
const ECG_FOLDER: &str = "electrocardiograms";

/// The folders that an export has beside its XML.
const FOLDERS: [&str; 3] = [ECG_FOLDER, "workout-routes", "clinical-records"];

/// How the name of the clinical summary ends, whatever the language of the phone.
const SUMMARY: &str = "_cda.xml";

/// Most files of a zip that are looked at: an export has thousands, and each takes some hundred bytes of memory.
const MAX_ENTRIES: usize = 200_000;

/// Reads the files beside the XML, by the paths that elements name them with.
#[derive(Debug)]
pub(super) struct Beside {
    files: Files,
    /// Which were asked for since [`take_named`](Beside::take_named), by their names.
    named: Vec<u32>,
}

#[derive(Debug)]
enum Files {
    Zip(Box<Entries>),
    /// In the directory that the XML is in.
    Directory(PathBuf),
}

/// What became of a file beside the XML.
pub(super) enum Side<T> {
    Read(T),
    /// It is there and is not what it should be.
    Bad(Reject),
    Missing,
}

/// Whether a reject keeps the head of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Kept,
    Dropped,
}

/// Why a file could not be read.
pub(super) enum Unread {
    /// The file system failed.
    Failed(io::Error),
    /// Its content is not what it should be; without any value of it.
    Bad(String),
}

impl From<io::Error> for Unread {
    /// What the operating system did not say is what inflate and the checksum of the zip found.
    fn from(error: io::Error) -> Unread {
        if error.raw_os_error().is_some() {
            Unread::Failed(error)
        } else {
            Unread::Bad(format!("the file is damaged: {error}"))
        }
    }
}

#[derive(Debug)]
pub(super) struct Entries {
    zip: String,
    archive: ZipArchive<Shared>,
    /// The folder of the XML: empty, or with a slash at its end.
    folder: String,
    /// Entries in that folder and those below it, by a hash of their raw names; those that share one follow from the
    /// names themselves.
    by_name: HashMap<u64, Vec<u32>, FixedState>,
}

impl Beside {
    /// The files beside the entry `xml` of `archive`, which was read from the zip at `path`.
    ///
    /// # Errors
    /// `State` when it is damaged or has too many entries.
    pub(super) fn in_zip(path: &Path, archive: ZipArchive<Shared>, xml: &str) -> Result<Beside> {
        if archive.len() > MAX_ENTRIES {
            return Err(Error::state(format!(
                "{} has {} entries, more than the {MAX_ENTRIES} of an Apple Health export; give the export.zip as \
                 the phone made it, or the folder it was unpacked to",
                path.display(),
                archive.len()
            )));
        }
        let folder = xml.rfind('/').map_or("", |slash| &xml[..=slash]).to_owned();
        let mut by_name: HashMap<u64, Vec<u32>, FixedState> = HashMap::default();
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index).map_err(|error| zip_error(path, None, error))?;
            let name = String::from_utf8_lossy(entry.name_raw());
            if entry.is_file() && *name != *xml && name.starts_with(&folder) && !is_junk(&name) {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                by_name.entry(hash(&name)).or_default().push(index);
            }
        }
        let entries = Entries { zip: file_name(path), archive, folder, by_name };
        Ok(Beside { files: Files::Zip(Box::new(entries)), named: Vec::new() })
    }

    /// The files in the directory that the XML is in.
    pub(super) fn in_directory(directory: &Path) -> Beside {
        Beside { files: Files::Directory(directory.to_owned()), named: Vec::new() }
    }

    /// The names of the electrocardiograms, in order. They stand in no element.
    ///
    /// # Errors
    /// `Transient` when the directory can't be read.
    pub(super) fn electrocardiograms(&mut self) -> Result<Vec<String>> {
        let mut names = match &mut self.files {
            Files::Zip(entries) => entries.names_in(ECG_FOLDER),
            Files::Directory(directory) => names_in(directory, ECG_FOLDER)?,
        };
        names.retain(|name| name.to_ascii_lowercase().ends_with(".csv"));
        names.sort_unstable();
        Ok(names.into_iter().map(|name| format!("{ECG_FOLDER}/{name}")).collect())
    }

    /// Names and sizes of the electrocardiograms in a directory, for its fingerprint: those of a zip do not change.
    pub(super) fn fingerprint(directory: &Path) -> Result<String> {
        let mut beside = Beside::in_directory(directory);
        let mut text = String::new();
        for name in beside.electrocardiograms()? {
            let size = fs::metadata(directory.join(&name)).map_or(0, |found| found.len());
            text += &format!("{name} {size}\n");
        }
        Ok(if text.is_empty() { text } else { format!(" {:08x}", crc32c::crc32c(text.as_bytes())) })
    }

    /// Reads with `parse` the file that an element names as `/workout-routes/route.gpx`: relative to the folder of the XML.
    ///
    /// # Errors
    /// `Transient` when the file system fails.
    pub(super) fn read<T>(
        &mut self,
        pointer: &str,
        head: Head,
        parse: impl FnOnce(&mut dyn Read) -> Result<T, Unread>,
    ) -> Result<Side<T>> {
        let pointer = pointer.trim_start_matches('/');
        self.named.push(short_hash(pointer));
        match &mut self.files {
            Files::Zip(entries) => {
                let name = format!("{}{pointer}", entries.folder);
                let Some(index) = entries.find(&name) else { return Ok(Side::Missing) };
                let label = format!("{}!{name}", entries.zip);
                match entries.archive.by_index(index) {
                    Ok(entry) => read(entry, label, head, parse),
                    Err(ZipError::Io(error)) if error.raw_os_error().is_some() => {
                        Err(io_error("read", Path::new(&label), error))
                    }
                    Err(error) => {
                        Ok(Side::Bad(Reject::raw(&[], format!("the file can't be unpacked: {error}"), label)))
                    }
                }
            }
            Files::Directory(directory) => {
                let relative = Path::new(pointer);
                if !is_inside(directory, relative).is_some_and(|found| found.is_file()) {
                    return Ok(Side::Missing);
                }
                let path = directory.join(relative);
                match File::open(&path) {
                    Ok(file) => read(file, pointer.to_owned(), head, parse),
                    Err(error) if error.kind() == Io::NotFound => Ok(Side::Missing),
                    Err(error) if error.kind() == Io::PermissionDenied => {
                        Ok(Side::Bad(Reject::raw(&[], format!("the file can't be opened: {error}"), pointer)))
                    }
                    Err(error) => Err(io_error("open", &path, error)),
                }
            }
        }
    }

    /// Which files were asked for since the last time: a hash of the name of each, for [`unnamed`](Beside::unnamed).
    pub(super) fn take_named(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.named.drain(..)
    }

    /// How many files beside the XML are not among those that were `named`. Of an unpacked export only its own folders are looked at: what
    /// else is beside a document may be anything.
    ///
    /// # Errors
    /// `Transient` when a directory can't be read.
    pub(super) fn unnamed(&mut self, named: &BTreeSet<u32>) -> Result<Unnamed> {
        let mut unnamed = Unnamed::default();
        let mut look_at = |name: &str| {
            if !name.contains('/') && name.to_ascii_lowercase().ends_with(SUMMARY) {
                unnamed.summaries += 1;
            } else if !named.contains(&short_hash(name)) {
                unnamed.files += 1;
            }
        };
        match &mut self.files {
            Files::Zip(entries) => entries.names().iter().for_each(|name| look_at(name)),
            Files::Directory(directory) => {
                for folder in FOLDERS {
                    names_in(directory, folder)?.iter().for_each(|name| look_at(&format!("{folder}/{name}")));
                }
                let of_directory = names_in(directory, "")?;
                of_directory.iter().filter(|name| name.ends_with(SUMMARY)).for_each(|name| look_at(name));
            }
        }
        Ok(unnamed)
    }
}

/// Files beside the XML that no element named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unnamed {
    pub(super) files: u64,
    /// Clinical summaries are counted apart.
    pub(super) summaries: u64,
}

impl Entries {
    fn find(&mut self, name: &str) -> Option<usize> {
        let candidates = self.by_name.get(&hash(name))?;
        // Of several with one name the last counts, as to every unzip.
        for index in candidates.iter().rev() {
            let index = *index as usize;
            let entry = self.archive.by_index_data(index).ok()?;
            if String::from_utf8_lossy(entry.name_raw()) == name {
                return Some(index);
            }
        }
        None
    }

    /// The names of the files beside the XML, relative to its folder; of those with one name, each.
    fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for index in self.by_name.values().flatten() {
            let Ok(entry) = self.archive.by_index_data(*index as usize) else { continue };
            let name = String::from_utf8_lossy(entry.name_raw());
            names.extend(name.strip_prefix(&self.folder).map(str::to_owned));
        }
        names
    }

    /// The names of the files in a folder beside the XML, without those in folders below.
    fn names_in(&mut self, folder: &str) -> Vec<String> {
        let folder = format!("{folder}/");
        let in_folder = |name: String| name.strip_prefix(&folder).map(str::to_owned);
        self.names().into_iter().filter_map(in_folder).filter(|name| !name.contains('/')).collect()
    }
}

/// The names of the files in a folder of `directory`, or in itself (`""`), but for what the Mac adds; none where there is
/// no such folder.
fn names_in(directory: &Path, folder: &str) -> Result<Vec<String>> {
    let path = directory.join(folder);
    let failed = |error| io_error("read", &path, error);
    if !folder.is_empty() && !is_inside(directory, Path::new(folder)).is_some_and(|found| found.is_dir()) {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().map_err(failed)?.is_file() && !is_junk(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn hash(name: &str) -> u64 {
    use std::hash::BuildHasher;
    FixedState::default().hash_one(name)
}

/// Enough to tell thousands of files apart, in a position that is saved again and again.
fn short_hash(name: &str) -> u32 {
    crc32c::crc32c(name.as_bytes())
}

/// What stands at `relative` in `directory`, unless the way there leads through anything but folders. The path comes from
/// the export: it must not lead out of its folder, and neither must a link.
fn is_inside(directory: &Path, relative: &Path) -> Option<fs::Metadata> {
    let mut path = directory.to_owned();
    let mut found = None;
    for part in relative.components() {
        let Component::Normal(part) = part else { return None };
        path.push(part);
        found = Some(fs::symlink_metadata(&path).ok().filter(|found| !found.is_symlink())?);
    }
    found
}

fn read<T>(
    input: impl Read,
    label: String,
    head: Head,
    parse: impl FnOnce(&mut dyn Read) -> Result<T, Unread>,
) -> Result<Side<T>> {
    let mut input = Watched { input, head: Vec::new(), length: 0, crc: 0 };
    match parse(&mut input) {
        Ok(value) => Ok(Side::Read(value)),
        Err(Unread::Failed(error)) => Err(io_error("read", Path::new(&label), error)),
        Err(Unread::Bad(reason)) => {
            let kept = if head == Head::Kept { &input.head[..] } else { &[] };
            Ok(Side::Bad(Reject::too_long(kept, input.length, input.crc, reason, label)))
        }
    }
}

/// Remembers what a dead letter keeps of a file: its head, and length and checksum of what was read of it.
struct Watched<R> {
    input: R,
    head: Vec<u8>,
    length: u64,
    crc: u32,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        let bytes = &out[..count];
        self.head.extend_from_slice(&bytes[..count.min(HEAD_BYTES - self.head.len())]);
        self.length += count as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        Ok(count)
    }
}

/// Reads `input` whole, unless it is longer than `limit` bytes.
pub(super) fn read_whole(input: impl Read, limit: u64) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Unread::Bad(format!("the file is longer than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}
