//! `write-export RECORDS FILE`: an export.zip of invented values, or the XML alone if the file is called so.

use std::{fs::File, io::BufWriter, process::ExitCode};

use afferent_sources::export::testing::{write_export, write_export_zip};

/// Another one gives another person.
const SEED: u64 = 7;

#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a tool of the benches")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [records, path] = arguments.as_slice() else {
        eprintln!("usage: write-export RECORDS FILE");
        return ExitCode::from(2);
    };
    let written = records.parse().map_err(std::io::Error::other).and_then(|records| {
        let file = BufWriter::new(File::create(path)?);
        match path.ends_with(".xml") {
            true => write_export(SEED, records, file),
            false => write_export_zip(SEED, records, file),
        }
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
