#![allow(
    clippy::disallowed_methods,
    reason = "tests write, rename and remove the files that the source reads"
)]

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use afferent_core::{
    ErrorKind, Limits, Position, Record, Reject, Source,
    config::Configure,
    disk::{Disk, DiskFile, DiskLock, FileInfo, OpenMode, OsDisk},
    event::EventKind,
    reject::Payload,
    testing::{Surroundings, source_contract},
};
use afferent_formats::Format;
use proptest::prelude::*;

use super::*;

fn config(path: &Path) -> Config {
    Config { path: path.to_str().unwrap().to_owned(), follow: false, format: Format::Json, strict: false }
}

fn follow(path: &Path) -> Config {
    Config { follow: true, ..config(path) }
}

/// A line whose value is `number`.
fn line(number: u64) -> String {
    format!(
        "{{\"type\":\"StepCount\",\"start\":\"2025-01-31T08:00:00Z\",\"value\":{number},\"unit\":\"count\"}}\n"
    )
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.value.as_f64().unwrap() as u64).collect()
}

/// What a source gave until it was drained or ended.
struct Read {
    numbers: Vec<u64>,
    rejects: Vec<Reject>,
    position: Option<Position>,
}

async fn read(source: &mut FileSource) -> Read {
    let mut read = Read { numbers: Vec::new(), rejects: Vec::new(), position: None };
    while let Some(mut pulled) = source.next().await.unwrap() {
        let drained = pulled.is_drained();
        read.numbers.extend(numbers(&pulled.batch));
        read.rejects.append(&mut pulled.rejects);
        read.position = Some(pulled.position);
        if drained {
            break;
        }
    }
    read
}

async fn open(config: Config, surroundings: &Surroundings, position: Option<Position>) -> FileSource {
    let mut source = FileSource::new(config);
    source.open(surroundings.source(position)).await.unwrap();
    source
}

/// The alarms and notices that were sent.
fn told(surroundings: &mut Surroundings) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(event) = surroundings.events.try_recv() {
        match event.kind {
            EventKind::Alarm { message, .. } => told.push(format!("alarm: {message}")),
            EventKind::Notice { message, .. } => told.push(format!("notice: {message}")),
            _ => {}
        }
    }
    told
}

fn small_limits(records: usize) -> Surroundings {
    let mut surroundings = Surroundings::new();
    surroundings.limits = Limits { records, bytes: 1 << 20 };
    surroundings
}

/// Scenario: several files with blank lines, CRLF, a byte order mark, an empty file, bad lines and a last line without
/// an end; stopped after every pull. Guarantees: G1, G2, G3, the files are read in the order of their names, each
/// good line once, each bad one a reject.
#[tokio::test]
async fn many_files_are_read_and_resumed_anywhere() {
    let surroundings = small_limits(3);
    let at = |name: &str| surroundings.path().join(name);
    fs::write(at("c.ndjson"), lines(20..25).trim_end()).unwrap();
    fs::write(at("a.ndjson"), format!("\u{feff}{}\r\n\n{{bad\n{}", line(0).trim_end(), lines(1..10)))
        .unwrap();
    fs::write(at("b.ndjson"), "").unwrap();
    fs::write(at("bb.ndjson"), "\n\n").unwrap();
    fs::write(at("other.txt"), "not read").unwrap();
    let config = config(&at("*.ndjson"));
    let all = source_contract(|| FileSource::new(config.clone()), &surroundings, 100).await;
    assert_eq!(numbers(&all), (0..10).chain(20..25).collect::<Vec<_>>());
    let given = read(&mut open(config, &surroundings, None).await).await;
    assert_eq!(given.rejects.len(), 1);
    assert_eq!(given.rejects[0].location, format!("{}:3", at("a.ndjson").display()));
}

/// Scenario: CSV as the file sink writes it, with cells over several lines, in two files; stopped after every pull.
/// Guarantees: G1, G2, G4, as above; the header is known again after a stop.
#[tokio::test]
async fn csv_is_resumed_anywhere() {
    let surroundings = small_limits(2);
    let (mut encoder, mut expected) = (Format::Csv.encoder().unwrap(), Vec::new());
    for (file, begin) in [("a.csv", 0), ("b.csv", 10)] {
        let mut bytes = Vec::new();
        encoder.header(&mut bytes);
        for number in begin..begin + 7 {
            let mut batch = afferent_core::Batch::new();
            let at = afferent_formats::Location { name: "", line: 1 };
            Format::Json.decoder(Default::default()).unwrap().decode(
                line(number).as_bytes(),
                at,
                &mut batch,
                &mut Vec::new(),
            );
            let mut record = batch.remove(0);
            record.subject = Some("two\nlines, \"quoted\"".into());
            encoder.encode(&record, &mut bytes).unwrap();
            expected.push(record);
        }
        fs::write(surroundings.path().join(file), bytes).unwrap();
    }
    let config = Config { format: Format::Csv, strict: true, ..config(&surroundings.path().join("?.csv")) };
    let all = source_contract(|| FileSource::new(config.clone()), &surroundings, 100).await;
    assert_eq!(all, expected);
}

/// Scenario: any lines in any number of files, any limits, one stop. Guarantees: G1, G2, G3, what is read before and
/// after the stop is what the files hold.
#[test]
fn any_files_are_read_whole() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let a_line = prop_oneof![
        6 => (0..1000_u64).prop_map(line),
        1 => Just("\n".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => "[a-z{}\"]{1,8}\n",
    ];
    let files = proptest::collection::vec(proptest::collection::vec(a_line, 0..12), 1..4);
    proptest!(ProptestConfig::with_cases(48), |(files in files, records in 1..9_usize, bytes in 1..400_usize, stop in 0..12_usize)| {
        let mut surroundings = Surroundings::new();
        surroundings.limits = Limits { records, bytes };
        let (mut expected, mut bad) = (Vec::new(), 0);
        for (index, lines) in files.iter().enumerate() {
            fs::write(surroundings.path().join(format!("{index}.ndjson")), lines.concat()).unwrap();
            for line in lines {
                match line.split_once("\"value\":") {
                    Some((_, rest)) => expected.push(rest.split(',').next().unwrap().parse::<u64>().unwrap()),
                    None => bad += usize::from(!line.trim().is_empty()),
                }
            }
        }
        let config = config(&surroundings.path().join("*"));
        let (found, rejected) = runtime.block_on(async {
            let mut source = open(config.clone(), &surroundings, None).await;
            let (mut found, mut rejected, mut position) = (Vec::new(), 0, None);
            for _ in 0..stop {
                let Some(pulled) = source.next().await.unwrap() else { break };
                assert!(pulled.batch.len() <= records);
                found.extend(numbers(&pulled.batch));
                rejected += pulled.rejects.len();
                position = Some(pulled.position);
            }
            drop(source);
            surroundings.blocking.idle().await;
            let rest = read(&mut open(config, &surroundings, position).await).await;
            found.extend(rest.numbers);
            (found, rejected + rest.rejects.len())
        });
        prop_assert_eq!(found, expected);
        prop_assert_eq!(rejected, bad);
    });
}

/// Scenario: a file grows while it is followed, once by half a line. Guarantees: G1, G2, each line is given once, when
/// its end is there; the source says once that it is drained.
#[tokio::test(start_paused = true)]
async fn a_growing_file_is_followed() {
    let surroundings = Surroundings::new();
    let path = surroundings.path().join("live.ndjson");
    let mut source = open(follow(&path), &surroundings, None).await;
    assert!(source.next().await.unwrap().unwrap().is_drained());
    append(&path, &lines(0..3));
    assert_eq!(read(&mut source).await.numbers, [0, 1, 2]);
    let next = line(3);
    let (head, tail) = next.split_at(20);
    append(&path, &(line(9) + head));
    assert_eq!(read(&mut source).await.numbers, [9]);
    // Nothing is whole: it pends, over many looks.
    let pends = tokio::time::timeout(POLL_INTERVAL * 10, source.next()).await;
    assert!(pends.is_err());
    append(&path, &(tail.to_owned() + &line(4)));
    let given = read(&mut source).await;
    assert_eq!(given.numbers, [3, 4]);
    append(&path, &line(5));
    let mut again = open(follow(&path), &surroundings, given.position).await;
    assert_eq!(read(&mut again).await.numbers, [5]);
}

/// Scenario: a followed file is renamed with lines in it that were not read, and another takes its name; while the
/// source runs, and while it does not. Guarantees: G1, G2, G3, the rest of the first comes first, then the
/// other from its beginning.
#[tokio::test(start_paused = true)]
async fn rotation_loses_and_repeats_nothing() {
    for restart in [false, true] {
        for pattern in ["app.log", "app.log*"] {
            let mut surroundings = Surroundings::new();
            let path = surroundings.path().join("app.log");
            let config = follow(&surroundings.path().join(pattern));
            append(&path, &lines(0..5));
            let mut source = open(config.clone(), &surroundings, None).await;
            let given = read(&mut source).await;
            assert_eq!(given.numbers, [0, 1, 2, 3, 4]);
            append(&path, &lines(5..8));
            fs::rename(&path, path.with_extension("log.1")).unwrap();
            append(&path, &lines(8..10));
            if restart {
                source = open(config, &surroundings, given.position).await;
            }
            let mut numbers = read(&mut source).await.numbers;
            while numbers.len() < 5 {
                numbers.extend(read(&mut source).await.numbers);
            }
            assert_eq!(numbers, [5, 6, 7, 8, 9], "{pattern}, restart: {restart}");
            let told = told(&mut surroundings);
            assert!(told[0].starts_with("notice: ") && told[0].contains("is now"), "{told:?}");
            // And again, so that a rotated file is rotated on.
            fs::rename(path.with_extension("log.1"), path.with_extension("log.2")).unwrap();
            fs::rename(&path, path.with_extension("log.1")).unwrap();
            append(&path, &line(10));
            assert_eq!(read(&mut source).await.numbers, [10]);
        }
    }
}

/// Scenario: a followed file is cut to nothing and written anew, shorter and longer than before; while the source runs,
/// and while it does not. Guarantees: G1, it is read from its beginning, with a notice.
#[tokio::test(start_paused = true)]
async fn truncation_starts_from_the_beginning() {
    for (restart, more) in [(false, 2), (false, 9), (true, 2), (true, 9)] {
        let mut surroundings = Surroundings::new();
        let path = surroundings.path().join("app.log");
        append(&path, &lines(0..5));
        let mut source = open(follow(&path), &surroundings, None).await;
        let given = read(&mut source).await;
        fs::write(&path, lines(100..100 + more)).unwrap();
        if restart {
            source = open(follow(&path), &surroundings, given.position).await;
        }
        assert_eq!(read(&mut source).await.numbers, (100..100 + more).collect::<Vec<_>>());
        let told = told(&mut surroundings);
        assert!(told.len() == 1 && told[0].contains("was truncated or written anew"), "{told:?}");
    }
}

/// Scenario: files appear under a followed glob, and files that were read to their end are deleted. Guarantees: G1, new ones
/// are read; nobody is alarmed.
#[tokio::test(start_paused = true)]
async fn new_files_are_found_and_finished_ones_may_go() {
    let mut surroundings = Surroundings::new();
    let at = |name: &str| surroundings.path().join(name);
    append(&at("b.ndjson"), &line(1));
    let mut source = open(follow(&at("*.ndjson")), &surroundings, None).await;
    assert_eq!(read(&mut source).await.numbers, [1]);
    append(&at("a.ndjson"), &line(2));
    append(&at("b.ndjson"), &line(3));
    assert_eq!(read(&mut source).await.numbers, [3, 2]);
    fs::remove_file(at("b.ndjson")).unwrap();
    append(&at("a.ndjson"), &line(4));
    let given = read(&mut source).await;
    assert_eq!(given.numbers, [4]);
    fs::remove_file(at("a.ndjson")).unwrap();
    append(&at("c.ndjson"), &line(5));
    let mut again = open(follow(&at("*.ndjson")), &surroundings, given.position).await;
    assert_eq!(read(&mut again).await.numbers, [5]);
    assert_eq!(told(&mut surroundings), [] as [String; 0]);
}

/// Scenario: a file is deleted before it was read to its end: while it is held open, while the source is down, and
/// with half a line at its end. Guarantees: G1, what can be read is read; what can not is an alarm, once.
#[tokio::test(start_paused = true)]
async fn a_vanished_file_alarms() {
    let mut surroundings = small_limits(2);
    let path = surroundings.path().join("app.log");
    append(&path, &lines(0..5));
    let mut source = open(follow(&path), &surroundings, None).await;
    let first = source.next().await.unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(read(&mut source).await.numbers, [2, 3, 4]);
    assert_eq!(told(&mut surroundings), [] as [String; 0]);

    let mut again = open(follow(&path), &surroundings, Some(first.position)).await;
    assert_eq!(read(&mut again).await.numbers, [] as [u64; 0]);
    let alarms = told(&mut surroundings);
    assert!(
        alarms.len() == 1 && alarms[0].starts_with("alarm: ") && alarms[0].contains("line 3"),
        "{alarms:?}"
    );

    append(&path, &line(6));
    append(&path, "{\"half\":");
    assert_eq!(read(&mut again).await.numbers, [6]);
    fs::remove_file(&path).unwrap();
    append(&path.with_file_name("other"), "");
    let pends = tokio::time::timeout(POLL_INTERVAL * 10, again.next()).await;
    assert!(pends.is_err());
    assert_eq!(told(&mut surroundings).len(), 1);
}

/// Scenario: a finite source is run again after its end: nothing changed, a file grew, one came, one was replaced.
/// Guarantees: G1, G2, only what is new is read.
#[tokio::test]
async fn a_second_run_reads_what_is_new() {
    let mut surroundings = Surroundings::new();
    let at = |name: &str| surroundings.path().join(name);
    fs::write(at("b.ndjson"), lines(0..3)).unwrap();
    fs::write(at("c.ndjson"), lines(3..6)).unwrap();
    let config = config(&at("*.ndjson"));
    let first = read(&mut open(config.clone(), &surroundings, None).await).await;
    let second = read(&mut open(config.clone(), &surroundings, first.position.clone()).await).await;
    assert_eq!(second.numbers, [] as [u64; 0]);
    append(&at("b.ndjson"), &line(6));
    fs::write(at("a.ndjson"), line(7)).unwrap();
    fs::write(at("new"), lines(8..10)).unwrap();
    fs::rename(at("new"), at("c.ndjson")).unwrap();
    let third = read(&mut open(config, &surroundings, first.position).await).await;
    assert_eq!(third.numbers, [6, 7, 8, 9]);
    let notice =
        format!("notice: another file stands at {}: it is read from its beginning", at("c.ndjson").display());
    // The old one is gone, so no name of the list is taken any more; it was read to its end.
    assert!(told(&mut surroundings).iter().all(|told| *told == notice));
}

/// Scenario: a line of 100 MB between good ones. Guarantees: G1, the good ones are kept and the long one is a reject
/// with its line, length and checksum; G7, no more than the limit of it is kept in memory.
#[tokio::test]
async fn a_very_long_line_is_a_reject() {
    const LENGTH: usize = 100_000_000;
    let surroundings = Surroundings::new();
    let path = surroundings.path().join("long.ndjson");
    append(&path, &lines(0..2));
    append(&path, &("x".repeat(LENGTH) + "\n"));
    append(&path, &lines(2..4));
    let given = read(&mut open(config(&path), &surroundings, None).await).await;
    assert_eq!(given.numbers, [0, 1, 2, 3]);
    let [reject] = given.rejects.as_slice() else { panic!("{} rejects", given.rejects.len()) };
    assert_eq!(reject.location, format!("{}:3", path.display()));
    assert_eq!(reject.reason, "expected a line of at most 16 MiB, found one of 100000001 bytes");
    let Payload::Head { head, length, crc } = &reject.payload else { panic!("kept whole") };
    assert_eq!((head.len(), *length), (afferent_core::reject::HEAD_BYTES, LENGTH as u64 + 1));
    assert_eq!(*crc, crc32c::crc32c(("x".repeat(LENGTH) + "\n").as_bytes()));
}

/// Scenario: a quote that is never closed, near the beginning of a large CSV. Guarantees: G1, G7, it costs a bounded
/// part of the file, as a reject, and the rest is read.
#[tokio::test]
async fn a_stray_quote_does_not_hide_the_rest() {
    let surroundings = Surroundings::new();
    let path = surroundings.path().join("quote.csv");
    let row = "2025-01-31T08:00:00Z,StepCount,7,count\n";
    append(&path, "start,type,value,unit\n");
    append(&path, &row.repeat(10));
    append(&path, "\"2025-01-31T08:00:00Z,StepCount,7,count\n");
    let hidden = MAX_ITEM_BYTES / row.len();
    append(&path, &row.repeat(hidden + 20_000));
    let config = Config { format: Format::Csv, ..config(&path) };
    let given = read(&mut open(config, &surroundings, None).await).await;
    assert_eq!(given.rejects.len(), 1);
    assert_eq!(given.rejects[0].location, format!("{}:12", path.display()));
    assert!((10_010..20_011).contains(&given.numbers.len()), "{}", given.numbers.len());
}

/// Scenario: half a UTF-8 sequence, a line without a date. Guarantees: G1, each is a reject, the others are kept.
#[tokio::test]
async fn bad_lines_are_rejects() {
    let surroundings = Surroundings::new();
    let path = surroundings.path().join("bad.ndjson");
    let mut bytes = line(1).into_bytes();
    bytes.extend_from_slice(
        b"{\"type\":\"\xe2\x82\"}\n{\"type\":\"StepCount\",\"value\":1,\"unit\":\"count\"}\n",
    );
    bytes.extend_from_slice(line(2).as_bytes());
    fs::write(&path, bytes).unwrap();
    let given = read(&mut open(config(&path), &surroundings, None).await).await;
    assert_eq!(given.numbers, [1, 2]);
    let reasons: Vec<_> = given.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["expected UTF-8, found another byte at column 10", "expected a time in `start`, found none"]
    );
}

/// Scenario: what can't be opened. Guarantees: one clear error of a kind that says what to do, and no reject.
#[tokio::test]
async fn what_can_not_be_read_is_an_error() {
    let surroundings = Surroundings::new();
    let fails = async |config: Config, position: Option<Position>| {
        let mut source = FileSource::new(config);
        match source.open(surroundings.source(position)).await {
            Err(error) => error,
            Ok(()) => source.next().await.unwrap_err(),
        }
    };
    let missing = surroundings.path().join("*.ndjson");
    let error = fails(config(&missing), None).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with(&format!("no file matches {}", missing.display())), "{error}");

    let error = fails(config(surroundings.path()), None).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with("expected files, found the directory"), "{error}");

    let newer = Position::new(2, "x", &()).unwrap();
    let error = fails(config(&missing), Some(newer)).await;
    assert_eq!(error.kind(), ErrorKind::State);
}

/// Scenario: the disk refuses an open, and fails a read in the middle. Guarantees: a refused file is `Config`, or for a
/// followed one `Transient`; after a failed read the source goes on where it was (G1, G2).
#[tokio::test(start_paused = true)]
async fn errors_of_the_disk_have_their_kinds() {
    let disk = Arc::new(FaultyDisk::default());
    let mut surroundings = small_limits(1000);
    surroundings.disk = disk.clone();
    let path = surroundings.path().join("a.ndjson");
    fs::write(&path, lines(0..20_000)).unwrap();
    for (config, kind) in
        [(config(&path), ErrorKind::Config), (follow(&path), ErrorKind::Transient { retry_after: None })]
    {
        disk.fault.store(FaultyDisk::REFUSE_OPEN, Ordering::SeqCst);
        let mut source = open(config, &surroundings, None).await;
        let error = source.next().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains("check that this user may read it"), "{error}");
    }
    disk.fault.store(0, Ordering::SeqCst);
    let mut source = open(config(&path), &surroundings, None).await;
    let mut found = Vec::new();
    let mut failed = 0;
    loop {
        match source.next().await {
            Ok(Some(pulled)) => found.extend(numbers(&pulled.batch)),
            Ok(None) => break,
            Err(error) => {
                assert!(error.kind().is_retryable(), "{error}");
                failed += 1;
            }
        }
        if found.len() == 3000 && failed == 0 {
            disk.fault.store(FaultyDisk::FAIL_READ, Ordering::SeqCst);
        }
    }
    assert_eq!((found, failed), ((0..20_000).collect(), 1));
}

/// Scenario: a source resumes near the end of a large file. Guarantees: it seeks: apart from the file's beginning, which
/// tells it from others, nothing before the position is read.
#[tokio::test]
async fn resuming_seeks() {
    let disk = Arc::new(FaultyDisk::default());
    let mut surroundings = small_limits(10_000);
    surroundings.disk = disk.clone();
    let path = surroundings.path().join("a.ndjson");
    let text = lines(0..100_000);
    fs::write(&path, &text).unwrap();
    let mut source = open(config(&path), &surroundings, None).await;
    let mut position = None;
    for _ in 0..9 {
        position = source.next().await.unwrap().map(|pulled| pulled.position);
    }
    drop(source);
    surroundings.blocking.idle().await;
    disk.lowest.store(u64::MAX, Ordering::SeqCst);
    let rest = read(&mut open(config(&path), &surroundings, position).await).await;
    assert_eq!(rest.numbers, (90_000..100_000).collect::<Vec<_>>());
    assert_eq!(disk.lowest.load(Ordering::SeqCst), lines(0..90_000).len() as u64);
}

/// Scenario: paths as configuration writes them. Guarantees: what is wrong is found without opening anything; a
/// relative path lies beside its file, whatever characters the directory has.
#[test]
fn configuration_is_checked_and_resolved() {
    let with = |path: &str| config(Path::new(path));
    assert_eq!(with("in/*.ndjson").check(), []);
    assert_eq!(with("").check().len(), 1);
    let problem = with("in/[a.ndjson").check().remove(0);
    assert_eq!((problem.key_path, problem.span.is_some()), (vec!["path".to_owned()], true));
    let mut relative = with("in/*.ndjson");
    relative.resolve(Path::new("/home/a[1]"));
    assert_eq!(relative.path, "/home/a[[]1[]]/in/*.ndjson");
    let mut absolute = with("/in/*.ndjson");
    absolute.resolve(Path::new("/home"));
    assert_eq!(absolute.path, "/in/*.ndjson");
}

/// Scenario: a glob's characters in the name of the directory and of a file. Guarantees: the file is found.
#[tokio::test]
async fn a_name_may_look_like_a_glob() {
    let surroundings = Surroundings::new();
    let directory = surroundings.path().join("a[1]");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("b[2].ndjson"), line(1)).unwrap();
    assert_eq!(
        read(&mut open(config(&directory.join("b[2].ndjson")), &surroundings, None).await).await.numbers,
        [1]
    );
    let mut relative = config(Path::new("*.ndjson"));
    relative.resolve(&directory);
    assert_eq!(read(&mut open(relative, &surroundings, None).await).await.numbers, [1]);
}

/// The operating system's disk, with a fault that can be switched on.
#[derive(Debug, Default)]
struct FaultyDisk {
    fault: Arc<AtomicU64>,
    /// The lowest offset of a read behind the beginning of a file.
    lowest: Arc<AtomicU64>,
}

impl FaultyDisk {
    const REFUSE_OPEN: u64 = 1;
    /// The next read fails.
    const FAIL_READ: u64 = 2;
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn DiskFile>,
    fault: Arc<AtomicU64>,
    lowest: Arc<AtomicU64>,
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if self.fault.load(Ordering::SeqCst) == FaultyDisk::REFUSE_OPEN {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let file = OsDisk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, fault: self.fault.clone(), lowest: self.lowest.clone() }))
    }
    fn info(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        OsDisk.info(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        OsDisk.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        OsDisk.lock(path)
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset > 0 {
            self.lowest.fetch_min(offset, Ordering::SeqCst);
            let fail =
                self.fault.compare_exchange(FaultyDisk::FAIL_READ, 0, Ordering::SeqCst, Ordering::SeqCst);
            if fail.is_ok() {
                return Err(io::Error::other("a fault of the test"));
            }
        }
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn info(&self) -> io::Result<FileInfo> {
        self.file.info()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// An event of health_kit_reporter with samples of `numbers`, over several lines.
fn event(numbers: std::ops::Range<u64>) -> String {
    let samples: Vec<String> = numbers
        .map(|number| {
            format!(
                "\"{{\\n \\\"identifier\\\":\\\"HKQuantityTypeIdentifierStepCount\\\",\\\"startTimestamp\\\":1735689600,\
                 \\\"harmonized\\\":{{\\\"value\\\":{number},\\\"unit\\\":\\\"count\\\"}}}}\""
            )
        })
        .collect();
    format!("{{\"samples\":[\n{}\n],\n\"deletedObjects\":[]}}", samples.join(",\n"))
}

/// Scenario: files of one JSON document, of one in each line, and of one that breaks off, in a dialect; stopped after every
/// pull. Guarantees: G1, G2, each sample comes once wherever reading is taken up again; what breaks off is a reject.
#[tokio::test]
async fn documents_are_read_and_resumed_anywhere() {
    let surroundings = small_limits(4);
    let at = |name: &str| surroundings.path().join(name);
    fs::write(at("a.json"), event(0..30)).unwrap();
    fs::write(
        at("b.json"),
        format!("{}\n{}\n", event(30..32).replace('\n', ""), event(32..40).replace('\n', "")),
    )
    .unwrap();
    fs::write(at("c.json"), &event(40..43)[..event(40..43).len() - 40]).unwrap();
    let config = Config { format: Format::HealthKitReporter, ..config(&at("*.json")) };
    let all = source_contract(|| FileSource::new(config.clone()), &surroundings, 1_000).await;
    assert_eq!(numbers(&all), (0..42).collect::<Vec<_>>());
    let given = read(&mut open(config, &surroundings, None).await).await;
    assert_eq!(given.rejects.len(), 1);
    assert_eq!(given.rejects[0].location, format!("{}:4", at("c.json").display()));
}

/// Scenario: a document that is followed while it is written, cut in the middle of a sample. Guarantees: G1, what is whole is
/// given at once, and the rest once it is there.
#[tokio::test(start_paused = true)]
async fn a_document_is_followed_while_it_grows() {
    let surroundings = small_limits(100);
    let path = surroundings.path().join("a.json");
    let text = event(0..3);
    append(&path, &text[..text.len() - 60]);
    let mut source =
        open(Config { format: Format::HealthKitReporter, ..follow(&path) }, &surroundings, None).await;
    assert_eq!(read(&mut source).await.numbers, [0, 1]);
    append(&path, &text[text.len() - 60..]);
    let more = read(&mut source).await;
    assert_eq!((more.numbers, more.rejects.len()), (vec![2], 0));
}
