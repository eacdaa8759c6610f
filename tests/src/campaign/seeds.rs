//! Seeds that failed once: a file of `fault<TAB>seed<TAB>commit`, which CI plays first. They stay when the defect is mended, as
//! regression tests do.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Where they are.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("campaign-seeds.tsv")
}

/// All of them, each with its fault.
///
/// # Panics
/// If the file can't be read, or a line is none.
pub fn all() -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(path()).expect("the file of seeds");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let seeds = lines.map(|line| {
        let mut fields = line.split('\t');
        let fault = fields.next().expect("a fault");
        let seed = fields.next().and_then(|seed| seed.parse().ok()).expect("a seed is a number");
        (fault.to_owned(), seed)
    });
    seeds.collect()
}

/// The seeds of `fault`.
pub fn of(fault: &str) -> Vec<u64> {
    all().into_iter().filter(|(of, _)| of == fault).map(|(_, seed)| seed).collect()
}

/// Adds seeds that are not there yet.
///
/// # Errors
/// If the file can't be written.
#[allow(clippy::disallowed_methods, reason = "a file of the repository, no state")]
pub fn add(fault: &str, seeds: impl IntoIterator<Item = u64>, commit: &str) -> std::io::Result<()> {
    let known = of(fault);
    let mut file = std::fs::OpenOptions::new().append(true).open(path())?;
    for seed in seeds.into_iter().filter(|seed| !known.contains(seed)) {
        writeln!(file, "{fault}\t{seed}\t{commit}")?;
    }
    Ok(())
}
