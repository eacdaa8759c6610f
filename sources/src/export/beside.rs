//! The files beside the XML: routes, electrocardiograms, clinical documents.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufReader, ErrorKind as Io, Read},
    path::{Component, Path, PathBuf},
};

use afferent_core::{Reject, Result, io_error, reject::HEAD_BYTES};
use zip::{ZipArchive, result::ZipError};

use super::locate::{FILE_BUFFER, entry_names, file_name, zip_error};

/// What the folder of electrocardiograms is called.
const ECG_FOLDER: &str = "electrocardiograms";

/// Reads the files beside the XML, by the paths that elements name them with.
#[derive(Debug)]
pub(super) enum Beside {
    /// In the zip, which is opened a second time: the XML is inflated meanwhile.
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
    archive: ZipArchive<BufReader<File>>,
    /// The folder of the XML: empty, or with a slash at its end.
    folder: String,
    /// Entries in that folder and those below it, by whole name.
    by_name: HashMap<String, usize>,
    /// The same by the last part of the name, for exports that were unpacked and packed again. Export files have names
    /// of their own, whatever folder they are in.
    by_last: HashMap<String, usize>,
}

impl Beside {
    /// The files beside the entry `xml` of the zip at `path`.
    ///
    /// # Errors
    /// As of opening the zip.
    pub(super) fn in_zip(path: &Path, xml: &str) -> Result<Beside> {
        let file = File::open(path).map_err(|error| io_error("open", path, error))?;
        let mut archive = ZipArchive::new(BufReader::with_capacity(FILE_BUFFER, file))
            .map_err(|error| zip_error(path, None, error))?;
        let folder = xml.rfind('/').map_or("", |slash| &xml[..=slash]).to_owned();
        let (mut by_name, mut by_last) = (HashMap::new(), HashMap::new());
        for (index, name) in entry_names(path, &mut archive)? {
            if name != xml && name.starts_with(&folder) {
                by_last.entry(last(&name).to_owned()).or_insert(index);
                by_name.insert(name, index);
            }
        }
        let zip = file_name(path);
        Ok(Beside::Zip(Box::new(Entries { zip, archive, folder, by_name, by_last })))
    }

    /// The names of the electrocardiograms, in order. They stand in no element.
    ///
    /// # Errors
    /// `Transient` when the directory can't be read.
    pub(super) fn electrocardiograms(&self) -> Result<Vec<String>> {
        let is_csv = |name: &str| name.to_ascii_lowercase().ends_with(".csv");
        let mut names: Vec<String> = match self {
            Beside::Zip(entries) => {
                let folder = format!("{}{ECG_FOLDER}/", entries.folder);
                let names = entries.by_name.keys().filter_map(|name| name.strip_prefix(&folder));
                names.map(str::to_owned).collect()
            }
            Beside::Directory(directory) => {
                let folder = directory.join(ECG_FOLDER);
                let failed = |error| io_error("read", &folder, error);
                let listed = match fs::read_dir(&folder) {
                    Ok(listed) => listed,
                    Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => {
                        return Ok(Vec::new());
                    }
                    Err(error) => return Err(failed(error)),
                };
                let mut names = Vec::new();
                for entry in listed {
                    names.extend(entry.map_err(failed)?.file_name().into_string());
                }
                names
            }
        };
        names.retain(|name| is_csv(name));
        names.sort_unstable();
        Ok(names.into_iter().map(|name| format!("{ECG_FOLDER}/{name}")).collect())
    }

    /// Reads with `parse` the file that an element names as `/workout-routes/route.gpx`: relative to the folder of the XML.
    ///
    /// # Errors
    /// `Transient` when the file system fails.
    pub(super) fn read<T>(
        &mut self,
        pointer: &str,
        parse: impl FnOnce(&mut dyn Read) -> Result<T, Unread>,
    ) -> Result<Side<T>> {
        let pointer = pointer.trim_start_matches('/');
        match self {
            Beside::Zip(entries) => {
                let name = format!("{}{pointer}", entries.folder);
                let index = entries.by_name.get(&name).or_else(|| entries.by_last.get(last(pointer)));
                let Some(index) = index else { return Ok(Side::Missing) };
                let label = format!("{}!{name}", entries.zip);
                match entries.archive.by_index(*index) {
                    Ok(entry) => read(entry, label, parse),
                    Err(ZipError::Io(error)) if error.raw_os_error().is_some() => {
                        Err(io_error("read", Path::new(&label), error))
                    }
                    Err(error) => {
                        Ok(Side::Bad(Reject::raw(&[], format!("the file can't be unpacked: {error}"), label)))
                    }
                }
            }
            Beside::Directory(directory) => {
                let relative = Path::new(pointer);
                // The path comes from the export: it must not lead out of its folder.
                let stays = relative.components().all(|part| matches!(part, Component::Normal(_)));
                if pointer.is_empty() || !stays {
                    return Ok(Side::Missing);
                }
                let path = directory.join(relative);
                match File::open(&path) {
                    Ok(file) => read(file, pointer.to_owned(), parse),
                    Err(error) => match error.kind() {
                        Io::NotFound | Io::NotADirectory | Io::InvalidFilename => Ok(Side::Missing),
                        Io::PermissionDenied => Ok(Side::Bad(Reject::raw(
                            &[],
                            format!("the file can't be opened: {error}"),
                            pointer,
                        ))),
                        _ => Err(io_error("open", &path, error)),
                    },
                }
            }
        }
    }
}

fn read<T>(
    input: impl Read,
    label: String,
    parse: impl FnOnce(&mut dyn Read) -> Result<T, Unread>,
) -> Result<Side<T>> {
    let mut input = Watched { input, head: Vec::new(), length: 0, crc: 0 };
    match parse(&mut input) {
        Ok(value) => Ok(Side::Read(value)),
        Err(Unread::Failed(error)) => Err(io_error("read", Path::new(&label), error)),
        Err(Unread::Bad(reason)) => {
            Ok(Side::Bad(Reject::too_long(&input.head, input.length, input.crc, reason, label)))
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

/// The last part of a path.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
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
