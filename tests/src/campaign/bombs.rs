//! Input that is far larger than it may be, or far deeper, or that unpacks to a thousand times its size: the real command
//! refuses it, or makes a dead letter of it, before it takes twice the limit in memory.

use std::{
    io::{Cursor, Write},
    time::Duration,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Case, machine::pause};
use crate::{Place, Ran, records::line};

/// The longest item that a source takes, in MiB.
const ITEM_MIB: u64 = 16;
/// What a process takes anyway, code and threads and all, in MiB.
const ANYWAY_MIB: u64 = 24;
/// The most that the command may take while it refuses a bomb.
pub const MOST_MIB: u64 = 2 * ITEM_MIB + ANYWAY_MIB;

/// How often is looked how much memory there is.
const LOOK: Duration = Duration::from_millis(1);
/// How deep.
const DEPTH: usize = 100_000;
/// How long, in bytes.
const LENGTH: usize = 100_000_000;

/// A bomb: what it is, and what becomes of it; the memory that it took.
type Bomb = (&'static str, fn(&Place) -> Result<u64, String>);

/// All of them.
pub const BOMBS: &[Bomb] = &[
    ("a line of 100 MB of JSON", |place| {
        let long = format!("{{\"id\":\"{}\"}}\n", "7".repeat(LENGTH));
        between_two_lines(place, "in.ndjson", "json", &long, "at most 16 MiB")
    }),
    ("a record of 100 MB of CSV", |place| {
        let header = "id,type,start,end,value,unit\n";
        let row = |number: u32| {
            format!(
                "00000000-0000-4000-8000-{number:012},HeartRate,2025-01-01T00:00:00Z,2025-01-01T00:00:00Z,61,count/min\n"
            )
        };
        let text = format!("{header}{}\"{}\"\n{}", row(0), "7".repeat(LENGTH), row(1));
        dead_lettered(place, "in.csv", "csv", &text, "16 MiB", 2)
    }),
    ("JSON that is 100,000 deep", |place| {
        let deep = format!("{{\"id\":{}{}}}\n", "[".repeat(DEPTH), "]".repeat(DEPTH));
        between_two_lines(place, "in.ndjson", "json", &deep, "dead-lettered 1 record")
    }),
    ("metadata that are 100,000 deep", |place| {
        let deep = format!(
            "{},\"metadata\":{}1{}}}\n",
            line(7).trim_end().trim_end_matches('}'),
            "{\"a\":".repeat(DEPTH),
            "}".repeat(DEPTH)
        );
        between_two_lines(place, "in.ndjson", "json", &deep, "dead-lettered 1 record")
    }),
    ("XML that is 100,000 deep", |place| {
        let deep = format!(
            "<HealthData>{}{}</HealthData>",
            "<Correlation>".repeat(DEPTH),
            "</Correlation>".repeat(DEPTH)
        );
        place.write("export.xml", deep);
        imported(place, "export.xml")
    }),
    ("an element of 2 GB in a zip of 2 MB", |place| {
        place.write("export.zip", zip_bomb(2_000_000_000).map_err(|error| error.to_string())?);
        imported(place, "export.zip")
    }),
    ("an expression that is 100,000 deep", |place| {
        invalid(place, &format!("when = \"{}true{}\"", "(".repeat(DEPTH), ")".repeat(DEPTH)))
    }),
    ("an expression of 100,000 nots", |place| {
        invalid(place, &format!("when = \"{}true\"", "!".repeat(DEPTH)))
    }),
    ("a pipeline file that is 100,000 deep", |place| {
        invalid(place, &format!("when = {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)))
    }),
    ("a pipeline file of 100 MB", |place| invalid(place, &format!("# {}\n", "7".repeat(LENGTH)))),
];

/// Throws all of them.
pub fn play(binary: &str) -> Case {
    let mut case = Case::default();
    let mut most = 0;
    for (what, throw) in BOMBS {
        case.faults += 1;
        match throw(&Place::new(binary)) {
            Ok(peak) if peak >> 20 > MOST_MIB => {
                case.blame(format!("{what}: {} MiB of memory, at most {MOST_MIB}", peak >> 20));
            }
            Ok(peak) => most = peak.max(most),
            Err(wrong) => case.blame(format!("{what}: {wrong}")),
        }
    }
    case.add("MiB of memory at most", most >> 20);
    case
}

/// Runs the command; and the most memory that it had, in bytes, as seen while it ran.
fn run(place: &Place, arguments: &[&str]) -> (Ran, u64) {
    let mut running = place.start(arguments);
    let mut peak = 0;
    while let Some(now) = running.memory() {
        peak = now.max(peak);
        pause(LOOK);
    }
    (running.end(), peak)
}

/// Zeros and a tag, without end, as a zip.
fn zip_bomb(bytes: usize) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true);
    zip.start_file("apple_health_export/export.xml", options)?;
    zip.write_all(b"<HealthData><Record type=\"HKQuantityTypeIdentifierHeartRate\" device=\"")?;
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..bytes >> 20 {
        zip.write_all(&chunk)?;
    }
    zip.write_all(b"\"/></HealthData>")?;
    Ok(zip.finish()?.into_inner())
}

/// A bomb among good lines: they arrive, and it is a dead letter.
fn between_two_lines(place: &Place, name: &str, format: &str, bomb: &str, says: &str) -> Result<u64, String> {
    dead_lettered(place, name, format, &(line(0) + bomb + &line(2)), says, 2)
}

fn dead_lettered(
    place: &Place,
    name: &str,
    format: &str,
    text: &str,
    says: &str,
    good: usize,
) -> Result<u64, String> {
    place.write(name, text);
    place.write(
        "copy.toml",
        format!(
            "name = \"copy\"\n[[source]]\ntype = \"file\"\npath = \"{name}\"\nformat = \"{format}\"\n\
             [[sink]]\ntype = \"file\"\npath = \"out.ndjson\"\n"
        ),
    );
    let (ran, peak) = run(place, &["run", "copy.toml"]);
    let arrived =
        std::fs::read_to_string(place.path().join("out.ndjson")).unwrap_or_default().lines().count();
    match (ran.code, arrived) {
        (Some(65), arrived) if arrived == good && ran.stderr.contains(says) => Ok(peak),
        (code, arrived) => Err(format!("{code:?}, {arrived} of {good} arrived: {}", head(&ran.stderr))),
    }
}

/// An import of it ends by itself, with an error or dead letters, and not as a crash.
fn imported(place: &Place, name: &str) -> Result<u64, String> {
    let (ran, peak) = run(place, &["import", name, "--to", "ndjson:out.ndjson"]);
    match ran.code {
        Some(65) => Ok(peak),
        code => Err(format!("{code:?}: {}", head(&ran.stderr))),
    }
}

/// A pipeline file with it is refused.
fn invalid(place: &Place, bomb: &str) -> Result<u64, String> {
    place.write(
        "bomb.toml",
        format!(
            "name = \"bomb\"\n[[source]]\ntype = \"file\"\npath = \"in.ndjson\"\n\
             [[transform]]\ntype = \"filter\"\n{bomb}\n[[sink]]\ntype = \"file\"\npath = \"out.ndjson\"\n"
        ),
    );
    let (ran, peak) = run(place, &["validate", "bomb.toml"]);
    match ran.code {
        Some(78) => Ok(peak),
        code => Err(format!("{code:?}: {}", head(&ran.stderr))),
    }
}

fn head(text: &str) -> String {
    text.chars().take(300).collect()
}
