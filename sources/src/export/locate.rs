//! Finds the export's XML: in a zip or as it is, by what it contains and never by what it is called.

use std::{
    fs::{self, File},
    io::{self, ErrorKind as Io, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use afferent_core::{Error, ErrorKind, Result, disk::directory_of, io_error};
use zip::{ZipArchive, result::ZipError};

use super::{
    beside::Beside,
    element::ROOT,
    prolog::{self, Found, MAX_PROLOG_BYTES},
    shared::Shared,
};

/// How much of a plain XML is in its fingerprint: the DTD, the time of the export and the first records.
const FINGERPRINT_BYTES: u64 = 64 << 10;

/// What to do about a damaged file.
const GET_IT_AGAIN: &str = "copy or download it again, or export again on the phone";

/// The XML of an export, found and not yet read.
#[derive(Debug)]
pub(super) struct Located {
    kind: Kind,
    /// How people are told of it: `export.zip!apple_health_export/export.xml`.
    pub(super) label: String,
    /// What tells this export from another.
    pub(super) fingerprint: String,
    /// Bytes of XML.
    pub(super) size: u64,
    /// The zip or the plain XML.
    pub(super) path: PathBuf,
    /// Further exports in the same zip or folder, smaller than this one.
    pub(super) others: u64,
}

#[derive(Debug)]
enum Kind {
    Zip { archive: ZipArchive<Shared>, index: usize, name: String },
    Xml(File),
}

impl Located {
    /// Finds the export in the file at `path`.
    ///
    /// # Errors
    /// `Config` when there is no file to read, `State` when it is no export or damaged.
    pub(super) fn open(path: &Path) -> Result<Located> {
        let metadata = fs::metadata(path).map_err(|error| cant_open(path, error))?;
        if metadata.is_dir() {
            return Located::in_directory(path);
        }
        if !metadata.is_file() {
            return Err(Error::config(format!(
                "{} is no file; expected an export.zip, the folder it was unpacked to, or the export.xml in it",
                path.display()
            )));
        }
        let mut file = File::open(path).map_err(|error| cant_open(path, error))?;
        if metadata.len() == 0 {
            return Err(Error::state(format!("{} is empty; {GET_IT_AGAIN}", path.display())));
        }
        let head = read_head(&mut file, FINGERPRINT_BYTES).map_err(|error| io_error("read", path, error))?;
        if head.starts_with(b"PK") {
            return Located::in_zip(path, file);
        }
        file.rewind().map_err(|error| io_error("read", path, error))?;
        match prolog::find_root_in(&mut file).map_err(|error| io_error("read", path, error))? {
            Found::Export(_) => Ok(Located {
                label: file_name(path),
                fingerprint: format!(
                    "xml {} {:08x}{}",
                    metadata.len(),
                    crc32c::crc32c(&head),
                    Beside::fingerprint(directory_of(path))?
                ),
                size: metadata.len(),
                kind: Kind::Xml(file),
                path: path.to_owned(),
                others: 0,
            }),
            other => Err(Error::state(format!(
                "{} is no Apple Health export: expected a zip or an XML document whose root is <HealthData>, found {}; \
                 give the export.zip as the phone made it, or the export.xml in it",
                path.display(),
                other.describe()
            ))),
        }
    }

    fn in_zip(path: &Path, file: File) -> Result<Located> {
        let shared = Shared::new(file).map_err(|error| io_error("read", path, error))?;
        let mut archive = ZipArchive::new(shared).map_err(|error| zip_error(path, None, error))?;
        let mut entries = Vec::with_capacity(archive.len());
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index).map_err(|error| zip_error(path, None, error))?;
            if entry.is_file() && !is_junk(&String::from_utf8_lossy(entry.name_raw())) {
                entries.push((entry.size(), index));
            }
        }
        // The export is nearly always the largest entry.
        entries.sort_by_key(|(size, index)| (std::cmp::Reverse(*size), *index));
        let mut refused = None;
        let mut located: Option<Located> = None;
        for (size, index) in entries {
            let (name, encrypted, crc) = {
                let entry = archive.by_index_data(index).map_err(|error| zip_error(path, None, error))?;
                let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
                (name, entry.encrypted(), entry.crc32())
            };
            if located.is_some() && !name.to_ascii_lowercase().ends_with(".xml") {
                continue;
            }
            if encrypted {
                refused.get_or_insert_with(|| {
                    Error::state(format!(
                        "{}: {name} is encrypted; unzip it with its password and give the export.xml",
                        path.display()
                    ))
                });
                continue;
            }
            let label = format!("{}!{name}", file_name(path));
            let found = archive
                .by_index(index)
                .map_err(|error| zip_error(path, Some(&name), error))
                .and_then(|mut entry| {
                    prolog::find_root_in(&mut entry).map_err(|error| read_error(path, &label, 0, error))
                });
            match (found, &mut located) {
                (Ok(Found::Export(_)), Some(located)) => located.others += 1,
                (Ok(Found::Export(_)), None) => {
                    located = Some(Located {
                        label,
                        fingerprint: format!("zip {name} {size} {crc:08x}"),
                        size,
                        kind: Kind::Zip { archive: archive.clone(), index, name },
                        path: path.to_owned(),
                        others: 0,
                    });
                }
                (Ok(_), _) => {}
                (Err(error), _) => {
                    refused.get_or_insert(error);
                }
            }
        }
        if let Some(located) = located {
            return Ok(located);
        }
        Err(refused.unwrap_or_else(|| {
            Error::state(format!(
                "{}: no Apple Health export in this zip: expected an XML document whose root is <HealthData>; \
                 give the export.zip as the phone made it",
                path.display()
            ))
        }))
    }

    /// Finds the export in a folder that an export.zip was unpacked to, or in a folder in that.
    fn in_directory(directory: &Path) -> Result<Located> {
        let mut folders = vec![directory.to_owned()];
        folders.extend(entries_of(directory)?.into_iter().filter(|path| path.is_dir()));
        for folder in folders {
            let mut documents = Vec::new();
            for path in entries_of(&folder)? {
                let is_xml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"));
                let size = fs::metadata(&path).ok().filter(fs::Metadata::is_file).map(|found| found.len());
                let size = size.filter(|size| is_xml && *size > 0);
                documents.extend(size.map(|size| (std::cmp::Reverse(size), path)));
            }
            documents.sort_unstable();
            let mut found: Option<Located> = None;
            for (_, path) in documents {
                match (Located::open(&path), &mut found) {
                    (Ok(_), Some(found)) => found.others += 1,
                    (Ok(located), None) => found = Some(located),
                    // Another document, such as export_cda.xml.
                    (Err(error), _) if error.kind() == ErrorKind::State => {}
                    (Err(error), None) => return Err(error),
                    (Err(_), Some(_)) => {}
                }
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(Error::config(format!(
            "{} is a directory without an Apple Health export: expected an XML document in it whose root is <{ROOT}>; \
             give the export.zip as the phone made it, or the folder it was unpacked to",
            directory.display()
        )))
    }

    /// The files beside the XML.
    ///
    /// # Errors
    /// As of opening the zip.
    pub(super) fn beside(&self) -> Result<Beside> {
        match &self.kind {
            Kind::Zip { archive, name, .. } => Beside::in_zip(&self.path, archive.clone(), name),
            Kind::Xml(_) => Ok(Beside::in_directory(directory_of(&self.path))),
        }
    }

    /// Reads the XML from `offset` on: a plain one by seeking; of a zip, the caller has to pass over the first
    /// bytes itself, and is told how many.
    pub(super) fn read_from(&mut self, offset: u64) -> Result<(Box<dyn Read + '_>, u64)> {
        let path = &self.path;
        match &mut self.kind {
            Kind::Zip { archive, index, .. } => {
                let entry = archive.by_index(*index).map_err(|error| zip_error(path, None, error))?;
                Ok((Box::new(entry), offset))
            }
            Kind::Xml(file) => {
                file.seek(SeekFrom::Start(offset)).map_err(|error| io_error("read", path, error))?;
                Ok((Box::new(file), 0))
            }
        }
    }
}

/// Whether it is what the Mac adds to a zip or folder; its names are like the real ones.
pub(super) fn is_junk(name: &str) -> bool {
    name.split('/').any(|part| part == "__MACOSX") || file_part(name).starts_with("._")
}

fn file_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What is in a directory, but for what the Mac adds, by name.
fn entries_of(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| io_error("read", directory, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !is_junk(&entry.file_name().to_string_lossy()) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The error of reading the XML called `label` at `offset`: what the operating system did not say is what inflate
/// and the checksum found.
pub(super) fn read_error(path: &Path, label: &str, offset: u64, error: io::Error) -> Error {
    if error.raw_os_error().is_some() {
        io_error("read", path, error)
    } else if error.kind() == Io::Unsupported {
        not_supported(label, &error)
    } else {
        Error::state(format!("{label} is damaged at byte {offset} of the XML: {error}; {GET_IT_AGAIN}"))
    }
}

fn not_supported(what: &str, error: &dyn std::error::Error) -> Error {
    Error::state(format!(
        "{what} is packed in a way that is not supported ({error}); unzip it and give the export.xml"
    ))
}

fn cant_open(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        Io::NotFound | Io::PermissionDenied | Io::NotADirectory => Error::config(format!(
            "can't read {}: {error}; check the path and its permissions",
            path.display()
        )),
        _ => io_error("read", path, error),
    }
}

pub(super) fn zip_error(path: &Path, entry: Option<&str>, error: ZipError) -> Error {
    let place = entry.map(|name| format!("!{name}")).unwrap_or_default();
    let path_text = format!("{}{place}", path.display());
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => io_error("read", path, error),
        error @ (ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_)) => {
            not_supported(&path_text, &error)
        }
        // Opened as a whole: the directory at the end is what the zip reader reads first.
        error if entry.is_none() => Error::state(format!(
            "{path_text} is cut short or damaged: the directory at the end of the zip is missing or unreadable ({error}); {GET_IT_AGAIN}"
        )),
        error => Error::state(format!("{path_text} is damaged ({error}); {GET_IT_AGAIN}")),
    }
}

fn read_head(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

const _: () =
    assert!(MAX_PROLOG_BYTES <= super::window::WINDOW_BYTES, "the prolog is looked at in one window");
