//! How long the real command takes to run again over a large state: bodies that wait for a receiver that is away, and ids that
//! are remembered. It is killed once there is so much, and started again and again.

use std::{
    io::{BufWriter, Write},
    net::TcpListener,
    path::Path,
    time::Duration,
};

use afferent_core::clock;

use super::{Case, kills::Lived, machine::pause};
use crate::{Place, records::line};

/// Restarts that are measured.
const RESTARTS: u64 = 5;
/// How long filling may take: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How long a process is left alone once it was started.
const MOMENT: Duration = Duration::from_secs(5);
/// Records that `dedupe` remembers.
const REMEMBERED: u32 = 1_000_000;

const RUN: &[&str] = &["run", "away.toml", "-o", "json"];

/// Fills a state directory with at least `bytes`, and measures how long it takes to run again; `limit` is the longest.
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
pub fn play(bytes: u64, limit: Duration, binary: &str) -> Case {
    let mut case = Case::default();
    let place = Place::new(binary);
    // A port at which nobody is.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port();
    place.write(
        "away.toml",
        format!(
            "name = \"away\"\n[[source]]\ntype = \"file\"\npath = \"in.ndjson\"\n\
             [[transform]]\ntype = \"dedupe\"\ncapacity = {REMEMBERED}\n\
             [[sink]]\ntype = \"http\"\nurl = \"http://127.0.0.1:{port}/\"\nmax_bytes = \"{}MiB\"\n",
            (bytes >> 20) * 4 + 64,
        ),
    );
    let records = (bytes / line(0).len() as u64) as u32 + 1000;
    let file = std::fs::File::create(place.path().join("in.ndjson")).expect("a file of the test");
    let mut file = BufWriter::new(file);
    (0..records).try_for_each(|number| file.write_all(line(number).as_bytes())).expect("room for it");
    file.flush().expect("room for it");
    drop(file);

    let state = place.path().join("state");
    let mut filling = place.start(RUN);
    let began = clock::instant();
    while size_of(&state) < bytes && began.elapsed() < PATIENCE {
        pause(Duration::from_millis(50));
    }
    filling.kill();
    case.faults = 1;
    case.records = u64::from(records);
    let size = size_of(&state);
    case.add("MiB of state", size >> 20);
    if size < bytes {
        case.blame(format!("only {size} bytes of state after {PATIENCE:?}"));
    }
    for _ in 0..RESTARTS {
        let lived = Lived::run(place.command(RUN), MOMENT.max(limit * 2));
        case.faults += u64::from(lived.code.is_none());
        match lived.recovery {
            Some(recovery) => {
                if recovery > limit {
                    case.blame(format!("it took {recovery:?} to run again"));
                }
                case.recoveries.push(recovery);
            }
            None => case.blame(format!("it never ran again: {lived:?}")),
        }
    }
    case
}

/// Bytes of all files in a folder and below.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It was removed meanwhile.
        Err(_) => 0,
    });
    sizes.sum()
}
