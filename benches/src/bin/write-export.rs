//! `write-export by-type|mixed RECORDS FILE`: an export.zip of invented values, or the XML alone if the file is called so.

use std::{fs::File, io::BufWriter, process::ExitCode};

use afferent_sources::export::testing::{Order, write_export_in, write_export_zip_in};

/// Another one gives another person.
const SEED: u64 = 7;

#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a tool of the benches")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (order, records, path) = match arguments.as_slice() {
        [order, records, path] if order == "by-type" => (Order::ByType, records, path),
        [order, records, path] if order == "mixed" => (Order::Mixed, records, path),
        _ => {
            eprintln!("usage: write-export by-type|mixed RECORDS FILE");
            return ExitCode::from(2);
        }
    };
    let written = records.parse().map_err(std::io::Error::other).and_then(|records| {
        let file = BufWriter::new(File::create(path)?);
        match path.ends_with(".xml") {
            true => write_export_in(order, SEED, records, file),
            false => write_export_zip_in(order, SEED, records, file),
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
