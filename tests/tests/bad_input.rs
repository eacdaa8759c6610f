//! Bad input: each gives one clear error that says which file, where, and what to do, and the exit code of its kind;
//! good records before and after it are kept; nothing panics, and no message holds a health value.

use std::{io::Cursor, process::Stdio};

use afferent_sources::export::testing::write_export_zip;
use afferent_tests::{
    Place, Ran,
    records::{VALUE, line, lines},
};

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A file into another.
const COPY: &str = r#"
name = "copy"

[[source]]
type = "file"
path = "in.ndjson"

[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// The beginning of an export.
const EXPORT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<HealthData locale=\"en_NL\">\n";

/// A record of an export, with `date` as it stands in its tag.
fn element(date: &str) -> String {
    format!(
        " <Record type=\"HKQuantityTypeIdentifierHeartRate\" sourceName=\"Watch\" unit=\"count/min\" {date} value=\"{VALUE}\"/>\n"
    )
}

fn dated(day: u32) -> String {
    element(&format!(
        "startDate=\"2024-03-{day:02} 08:10:05 +0100\" endDate=\"2024-03-{day:02} 08:10:05 +0100\""
    ))
}

/// A place with [`COPY`] and `input` for it.
fn copying(input: impl AsRef<[u8]>) -> Place {
    let place = Place::new(BINARY);
    place.write("copy.toml", COPY);
    place.write("in.ndjson", input);
    place
}

/// Nothing panicked, and no health value was said.
#[track_caller]
fn discreet(ran: &Ran) {
    for never in ["panicked", "a defect", VALUE] {
        assert!(!ran.stderr.contains(never), "{never:?} in {}", ran.stderr);
    }
}

/// It ended with `code` and one error, which says all of `parts`.
#[track_caller]
fn refused(ran: Ran, code: i32, parts: &[&str]) -> Ran {
    let ran = ran.exits(code);
    discreet(&ran);
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error")).collect();
    let [error] = errors[..] else { panic!("one error, not {}:\n{}", errors.len(), ran.stderr) };
    for part in parts {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    ran
}

/// It ended with 65 because of `dead` records, of which it says all of `parts`.
#[track_caller]
fn dead_lettered(ran: Ran, dead: u32, parts: &[&str]) -> Ran {
    let ran = ran.exits(65);
    discreet(&ran);
    assert!(ran.stderr.contains(&format!("dead-lettered {dead} record")), "{}", ran.stderr);
    assert!(ran.stderr.contains("afferent dlq ls "), "it says where they are: {}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
    }
    ran
}

fn export_zip(records: u64) -> Vec<u8> {
    let mut zip = Cursor::new(Vec::new());
    write_export_zip(3, records, &mut zip).expect("an export");
    zip.into_inner()
}

/// Scenario: a zip that was cut in the middle, as an interrupted download leaves it. Guarantees: G8; one error.
#[test]
fn a_truncated_zip() {
    let place = Place::new(BINARY);
    let zip = export_zip(2000);
    place.write("export.zip", &zip[..zip.len() / 2]);
    let ran = place.run(&["import", "export.zip", "--to", "ndjson:out.ndjson"]);
    refused(ran, 65, &["export.zip is cut short", "copy or download it again"]);
}

/// Scenario: a zip whose data are damaged in the middle. Guarantees: G1, G8; what came before the damage is kept; one error
/// with the file in the zip and the byte.
#[test]
fn a_damaged_zip() {
    let place = Place::new(BINARY);
    let mut zip = export_zip(20_000);
    place.write("good.zip", &zip);
    let middle = zip.len() / 2;
    zip[middle..middle + 64].fill(0xff);
    place.write("export.zip", zip);
    place.run(&["import", "good.zip", "--to", "ndjson:good.ndjson"]).exits(0);
    let ran = place.run(&["import", "export.zip", "--to", "ndjson:out.ndjson"]);
    refused(
        ran,
        65,
        &["export.zip!apple_health_export/export.xml is damaged at byte", "copy or download it again"],
    );
    let (good, found) = (place.read("good.ndjson"), place.read("out.ndjson"));
    let same = good.lines().zip(found.lines()).take_while(|(good, found)| good == found).count();
    assert!(same > 5000, "only {same} records before the damage are there");
}

/// Scenario: an export.xml that ends in the middle of a record. Guarantees: G1, G8; the records before are kept.
#[test]
fn a_truncated_xml() {
    let place = Place::new(BINARY);
    place.write("export.xml", format!("{EXPORT}{}{} <Record type=\"HK", dated(1), dated(2)));
    let ran = place.run(&["import", "export.xml", "--to", "ndjson:out.ndjson"]);
    refused(ran, 65, &["export.xml ends at byte", "expected </HealthData>", "again"]);
    assert_eq!(place.read("out.ndjson").lines().count(), 2);
}

/// Scenario: files that are no export: a web page, a clinical document, nothing, another zip, a directory. Guarantees: one
/// error that says what was expected and found.
#[test]
fn files_that_are_no_export() {
    let place = Place::new(BINARY);
    let html = format!("<!DOCTYPE html>\n<html><body>{VALUE}</body></html>\n");
    place.write("page.xml", &html);
    place.write("page.zip", &html);
    place.write("cda.xml", "<?xml version=\"1.0\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"/>\n");
    place.write("nothing.zip", "");
    // The end of a zip that holds nothing.
    place.write("other.zip", [&b"PK\x05\x06"[..], &[0; 18]].concat());
    place.write("text.zip", "no zip and no XML");
    for (name, parts) in [
        ("page.xml", &["found the root <html>", "give the export.zip"][..]),
        ("page.zip", &["found the root <html>", "give the export.zip"]),
        ("cda.xml", &["found the root <ClinicalDocument>", "give the export.zip"]),
        ("nothing.zip", &["is empty", "again"]),
        ("other.zip", &["expected an XML document whose root is <HealthData>", "give the export.zip"]),
        ("text.zip", &["is no Apple Health export", "give the export.zip"]),
    ] {
        let ran = place.run(&["import", name, "--to", "sqlite:health.db"]);
        refused(ran, 65, &[&[name], parts].concat());
    }
    refused(
        place.run(&["import", ".", "--to", "sqlite:health.db"]),
        78,
        &["is a directory without an Apple Health export", "export.zip"],
    );
    let ran = place.run(&["import", "missing.zip", "--to", "sqlite:health.db"]);
    refused(ran, 78, &["missing.zip", "check the path"]);
}

/// Scenario: half a UTF-8 sequence in the middle of NDJSON. Guarantees: G1, G8, G11: the line is dead-lettered with its
/// place; those around it arrive.
#[test]
fn half_a_utf8_sequence() {
    let half = line(1).replace("\"unit\"", "\"subject\":\"caf\u{e9}\",\"unit\"").into_bytes();
    let second = half.iter().position(|byte| *byte == 0xc3).expect("an é") + 1;
    let half = [&half[..second], &half[second + 1..]].concat();
    let place = copying([line(0).into_bytes(), half, line(2).into_bytes()].concat());
    let ran = place.run(&["run", "copy.toml"]);
    dead_lettered(ran, 1, &["expected UTF-8", "in.ndjson:2"]);
    assert_eq!(place.read("out.ndjson"), line(0) + &line(2));
}

/// Scenario: a record without a date, in NDJSON and in an export. Guarantees: G1, G8, G11: it is dead-lettered with its
/// place and what is missing; those around it arrive.
#[test]
fn a_record_without_a_date() {
    let undated = line(1).replace("\"start\"", "\"began\"");
    let place = copying(line(0) + &undated + &line(2));
    dead_lettered(place.run(&["run", "copy.toml"]), 1, &["expected a time in `start`", "in.ndjson:2"]);
    assert_eq!(place.read("out.ndjson"), line(0) + &line(2));

    let export = format!("{EXPORT}{}{}{}</HealthData>\n", dated(1), element(""), dated(2));
    place.write("export.xml", &export);
    let offset = export.find(&element("")).expect("it is there") + 1;
    let ran = place.run(&["import", "export.xml", "--to", "ndjson:export.ndjson"]);
    dead_lettered(ran, 1, &["expected a startDate", &format!("export.xml:{offset}")]);
    assert_eq!(place.read("export.ndjson").lines().count(), 2);
}

/// Scenario: a line of 100 MB. Guarantees: G1, G7, G8, G11: it is dead-lettered with its place and the limit; those around it
/// arrive; no more memory is used than twice the limit of 16 MiB, over what a process has anyway.
#[test]
fn a_line_of_100_megabytes() {
    let long = format!("{{\"id\":\"{}\"}}\n", "7".repeat(100_000_000));
    let place = copying(line(0) + &long + &line(2));
    dead_lettered(place.run(&["run", "copy.toml"]), 1, &["at most 16 MiB", "in.ndjson:2"]);
    assert_eq!(place.read("out.ndjson"), line(0) + &line(2));

    // Memory is that of a living process: one that follows the file, and says when it has come past the line.
    #[cfg(target_os = "linux")]
    {
        let follow = COPY.replace("\"in.ndjson\"", "\"in.ndjson\"\nfollow = true");
        let follow =
            follow.replace("type = \"file\"\npath = \"out.ndjson\"", "type = \"stdout\"\nformat = \"json\"");
        place.write("follow.toml", follow.replace("\"copy\"", "\"follow\""));
        let mut running = place.start(&["run", "follow.toml"]);
        running.prints("000000000000");
        running.prints("000000000002");
        let peak = running.peak_memory();
        running.signal("INT");
        running.end().exits(130);
        assert!(peak < (2 * 16 + 24) << 20, "{} MiB", peak >> 20);
    }
}

/// Scenario: an element of an export that is longer than any is. Guarantees: G1, G7, G8, G11: as for a long line.
#[test]
fn an_element_of_20_megabytes() {
    let long = element(&format!("device=\"{}\"", "x".repeat(20 << 20)));
    let place = Place::new(BINARY);
    place.write("export.xml", format!("{EXPORT}{}{long}{}</HealthData>\n", dated(1), dated(2)));
    let ran = place.run(&["import", "export.xml", "--to", "ndjson:out.ndjson"]);
    dead_lettered(ran, 1, &["16 MiB", "export.xml:"]);
    assert_eq!(place.read("out.ndjson").lines().count(), 2);
}

/// Scenario: sinks and the state directory below a file, where nothing can be created (permissions would not do: they don't
/// bind root, as whom tests may run). Guarantees: one error with the path and what to do, at once.
#[test]
fn a_directory_that_cannot_be_written() {
    let place = copying(lines(0..3));
    place.write("file", "");
    place.write("below.toml", COPY.replace("out.ndjson", "file/out.ndjson"));
    refused(place.run(&["run", "below.toml"]), 73, &["file", "give another path"]);
    place.write(
        "sqlite.toml",
        COPY.replace("\"file\"\npath = \"out.ndjson\"", "\"sqlite\"\npath = \"file/health.db\""),
    );
    refused(place.run(&["run", "sqlite.toml"]), 73, &["file", "give another path"]);
    for state in ["file", "file/state"] {
        let ran = place.run(&["run", "copy.toml", "--data", state]);
        refused(ran, 73, &[state, "give another path"]);
    }
}

/// Scenario: the disk is full: a device that always is. Guarantees: G5: it is retried until `--timeout`, and said once with what
/// to do.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let place = copying(lines(0..3));
    place.write("full.toml", COPY.replace("out.ndjson", "/dev/full"));
    let ran = place.run(&["run", "full.toml", "--until-idle", "--timeout", "4s"]);
    let ran = refused(ran, 75, &["not idle after"]);
    assert_eq!(ran.stderr.matches("can't write to /dev/full").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("free some space and it goes on by itself"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("goes on after"), "retries are not told as starts: {}", ran.stderr);
}

/// Scenario: files can't grow beyond a limit of the process (a stand-in for a disk that fills up; no file system is mounted
/// for a test); then they can. Guarantees: G1, G2, G5: retried until `--timeout`; the next run goes on, and every record is
/// there once.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_and_heals() {
    let records = 200_000;
    let place = copying(lines(0..records));
    // The database and its reserve are there already, and smaller than the limit.
    place.write("first.toml", COPY.replace("copy", "first").replace("in.ndjson", "first.toml"));
    place.run(&["run", "first.toml"]).exits(65);
    let limited =
        format!("trap '' XFSZ; ulimit -f 4096; exec {BINARY} run copy.toml --until-idle --timeout 3s");
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &limited]).current_dir(place.path()).env("AFFERENT_DATA", place.path().join("state"));
    let ran = Ran::from(command.stdin(Stdio::null()).output().expect("bash starts"));
    let ran = refused(ran, 75, &["not idle after"]);
    assert!(ran.stderr.contains("out.ndjson") && ran.stderr.contains("retrying in"), "{}", ran.stderr);
    assert!(place.read("out.ndjson").lines().count() < records as usize, "the limit was hit");
    place.run(&["run", "copy.toml"]).exits(0);
    assert!(place.read("out.ndjson") == lines(0..records), "every record is there, once and in order");
}

/// Scenario: the state of another pipeline of the same name, which read another file. Guarantees: G1, G11: positions of another
/// input are not used; everything is read, and that is said.
#[test]
fn a_checkpoint_of_another_pipeline() {
    let other = copying(lines(0..3));
    other.run(&["run", "copy.toml"]).exits(0);
    let place = copying(lines(10..15));
    let status = std::process::Command::new("cp")
        .arg("-r")
        .args([other.path().join("state"), place.path().join("state")])
        .status();
    assert!(status.expect("the `cp` command").success());
    let ran = place.run(&["run", "copy.toml"]).exits(0);
    discreet(&ran);
    assert_eq!(place.read("out.ndjson"), lines(10..15), "{}", ran.stderr);
    for said in ["another file stands at in.ndjson", "out.ndjson: the last checkpoint ends in this file"] {
        assert!(ran.stderr.contains(said), "{said:?} in {}", ran.stderr);
    }
}

/// Scenario: the state database is empty, no database, cut, or written over in its middle. Guarantees: G5, G8: one error that
/// names it and says what to do, and doing so helps; what was damaged is kept aside.
#[test]
fn a_corrupted_state_directory() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    let damages: [Damage; 4] = [
        ("empty", Vec::clear),
        ("text", |bytes| *bytes = b"hello\n".to_vec()),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
        ("written over", |bytes| {
            let end = bytes.len();
            bytes[4096..end].fill(0xa5);
        }),
    ];
    for (what, damage) in damages {
        let place = copying(lines(0..3));
        place.run(&["run", "copy.toml"]).exits(0);
        let database = place.path().join("state/state.redb");
        let mut bytes = std::fs::read(&database).expect("the database");
        damage(&mut bytes);
        place.write("state/state.redb", &bytes);
        let ran = refused(place.run(&["run", "copy.toml"]), 65, &["state/state.redb", "--from-start"]);
        assert!(ran.stderr.contains("set it aside"), "{what}: {}", ran.stderr);
        let ran = place.run(&["run", "copy.toml", "--from-start"]).exits(0);
        discreet(&ran);
        assert_eq!(place.read("out.ndjson"), lines(0..3).repeat(2), "{what}: a file is appended to");
        assert!(place.path().join("state/state.redb.damaged-1").exists(), "{what}");
    }
}

/// Scenario: the state was written by a newer version. Guarantees: one error that says so; nothing changes, not even with
/// `--from-start`.
#[test]
fn the_state_of_a_newer_version() {
    const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let place = copying(lines(0..3));
    place.run(&["run", "copy.toml"]).exits(0);
    let database = redb::Database::open(place.path().join("state/state.redb")).expect("the database");
    let transaction = database.begin_write().expect("a transaction");
    // A row: the checksum of its key, after the key's length, and of its value; the value.
    let version = 99_u16.to_be_bytes();
    let checksum = crc32c::crc32c(&[&6_u64.to_be_bytes()[..], b"schema", &version].concat());
    let row = [&checksum.to_be_bytes()[..], &version].concat();
    transaction.open_table(META).expect("a table").insert("schema", row.as_slice()).expect("a newer version");
    transaction.commit().expect("a commit");
    drop(database);
    for more in [&[][..], &["--from-start"]] {
        let ran = place.run(&[&["run", "copy.toml"], more].concat());
        refused(ran, 65, &["state", "newer version", "layout 99", "use that version"]);
    }
}

/// Scenario: unknown keys in several stages, one of them a misspelling. Guarantees: all are reported at once with file, line and
/// column, and nothing is created.
#[test]
fn unknown_keys() {
    let place = copying(lines(0..3));
    place.write("copy.toml", COPY.replace("path =", "paht ="));
    let ran = place.run(&["run", "copy.toml"]).exits(78);
    discreet(&ran);
    for part in ["error[AF-0112]", "copy.toml:6:1", "copy.toml:10:1", "did you mean `path`?", "2 errors"] {
        assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
    }
    assert!(!place.path().join("state").exists());
}

/// Scenario: an environment variable that is not set. Guarantees: 78 with its place and how to set it.
#[test]
fn a_missing_environment_variable() {
    let place = copying(lines(0..3));
    place.write("copy.toml", COPY.replace("in.ndjson", "${AFFERENT_TEST_NOT_SET}/in.ndjson"));
    let ran = place.run(&["run", "copy.toml"]).exits(78);
    discreet(&ran);
    for part in ["error[AF-0130]", "copy.toml:6:9", "export AFFERENT_TEST_NOT_SET="] {
        assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
    }
}

/// Scenario: a second process in a state directory that is in use. Guarantees: G10: one error that says by whom and what to do;
/// the first goes on undisturbed.
#[test]
fn a_second_process() {
    let place = copying(lines(0..3));
    let follow = COPY.replace("\"in.ndjson\"", "\"in.ndjson\"\nfollow = true");
    let follow =
        follow.replace("type = \"file\"\npath = \"out.ndjson\"", "type = \"stdout\"\nformat = \"json\"");
    place.write("follow.toml", follow);
    let mut running = place.start(&["run", "follow.toml"]);
    running.prints("000000000002");
    let first = format!("process {}", running.id());
    refused(
        place.run(&["run", "copy.toml"]),
        73,
        &["state", &first, "afferent run --take-over", "or use another directory"],
    );
    place.write("in.ndjson", lines(0..6));
    running.prints("000000000005");
    running.signal("INT");
    running.end().exits(130);
}

/// A file into another, with what a table says.
const ENRICHED: &str = r#"
name = "enriched"

[[source]]
type = "file"
path = "in-*.ndjson"

[[transform]]
type = "enrich"
table = "people.csv"
key = { type = "type" }
columns = ["group"]

[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// Scenario: a table that is missing, then bad, then good, then bad again, then gone, with new input each time. Guarantees: G1, G5, G8, G11;
/// without a good one nothing moves, and the error says file, line and what was found; afterwards the last good one is in
/// force over restarts, with an alarm.
#[test]
#[allow(clippy::disallowed_methods, reason = "the test stands for whoever removes tables")]
fn a_bad_table() {
    let place = Place::new(BINARY);
    place.write("enriched.toml", ENRICHED);
    place.write("in-1.ndjson", lines(0..10));
    refused(place.run(&["run", "enriched.toml"]), 78, &["enrich: can't read the table", "people.csv"]);
    place.write("people.csv", format!("type,group\n{VALUE}\n"));
    let parts = ["people.csv:2: expected 2 cells, as in the header, found 1"];
    refused(place.run(&["run", "enriched.toml"]), 78, &parts);
    assert_eq!(place.read("out.ndjson"), "", "nothing has moved");

    place.write("people.csv", "type,group\nHeartRate,one\n");
    place.run(&["run", "enriched.toml"]).exits(0);
    let grouped =
        || place.read("out.ndjson").lines().filter(|line| line.contains("\"group\":\"one\"")).count();
    assert_eq!(grouped(), 10);

    place.write("people.csv", format!("type,group\n{VALUE}\n"));
    let modified = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::open(place.path().join("people.csv"))
        .and_then(|file| file.set_modified(modified))
        .unwrap();
    place.write("in-2.ndjson", lines(10..20));
    let ran = place.run(&["run", "enriched.toml"]).exits(0);
    discreet(&ran);
    assert!(
        ran.stderr.contains("people.csv:2: expected 2 cells") && ran.stderr.contains("stays in force"),
        "{}",
        ran.stderr
    );
    assert_eq!(grouped(), 20);

    std::fs::remove_file(place.path().join("people.csv")).unwrap();
    place.write("in-3.ndjson", lines(20..30));
    let ran = place.run(&["run", "enriched.toml"]).exits(0);
    assert!(ran.stderr.contains("can't read the table"), "{}", ran.stderr);
    assert_eq!(grouped(), 30);
}
