//! Crashes, foreign files, two writers and full disks.

mod take_over;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use afferent_core::{
    ErrorKind, Kind, RecordId, Timestamp, Unit, Value,
    clock::Clock,
    disk::{Disk, OpenMode, OsDisk},
    event::EventKind,
    testing::{Fault, Op, SimDisk, Surroundings, sink_contract},
};
use afferent_formats::{DecoderOptions, Location};
use proptest::prelude::*;

use super::*;

/// Three types, in runs of three.
const KINDS: [&str; 3] = ["HeartRate", "RespiratoryRate", "RestingHeartRate"];

pub(super) fn record(number: u64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 1_000_000);
    Record::added(
        RecordId::from_u128(number.into()),
        Kind::parse(KINDS[(number / 3 % 3) as usize]).unwrap(),
        start,
        start,
        Value::Quantity(60.25, Unit::parse("count/min").unwrap()),
    )
}

pub(super) fn batch(numbers: std::ops::Range<u64>) -> Batch<Record> {
    numbers.map(record).collect()
}

/// The ways in which records are spread over files.
#[derive(Clone, Copy, Debug)]
enum Shape {
    One,
    Rolled(u64),
    PerType,
}

fn shaped(around: &Surroundings, format: Format, shape: Shape) -> Config {
    match shape {
        Shape::One => config(around, format, None),
        Shape::Rolled(bytes) => config(around, format, by_size(bytes)),
        Shape::PerType => per_type(around, format),
    }
}

pub(super) fn per_type(around: &Surroundings, format: Format) -> Config {
    Config { path: around.path().join("out/{type}.txt"), format, roll: None }
}

fn config(around: &Surroundings, format: Format, roll: Option<Roll>) -> Config {
    Config { path: around.path().join("out/vitals.txt"), format, roll }
}

fn by_size(bytes: u64) -> Option<Roll> {
    Some(Roll { every: None, size: Some(Size(bytes)) })
}

pub(super) async fn open(
    around: &Surroundings,
    config: &Config,
    token: Option<&Token>,
) -> (FileSink, Opened) {
    let mut sink = FileSink::new(config.clone());
    let opened = sink.open(around.sink(token.cloned(), 1)).await.unwrap();
    (sink, opened)
}

pub(super) async fn prepare(sink: &mut FileSink) -> Token {
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    assert!(prepared.rejects.is_empty());
    prepared.token.unwrap()
}

/// Drops the sink as a crash does, and waits until nothing of it can act any more.
pub(super) async fn crash(around: &Surroundings, sink: FileSink) {
    drop(sink);
    around.blocking.idle().await;
}

/// The files that are no sidecars, by name.
pub(super) fn files(around: &Surroundings) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for path in around.disk.list(&around.path().join("out")).unwrap() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with('.') {
            let file = around.disk.open(&path, OpenMode::Read).unwrap();
            let mut bytes = vec![0; file.info().unwrap().len as usize];
            file.read_at(0, &mut bytes).unwrap();
            files.insert(name, String::from_utf8(bytes).unwrap());
        }
    }
    files
}

/// The numbers of the records in a file; checks that it has one header if it is CSV.
pub(super) fn numbers_in(text: &str, format: Format) -> Vec<u64> {
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines = text.lines().skip(usize::from(format == Format::Csv));
    let number = |line: &str| {
        let id = line.split('-').nth(4).expect("a line with a uuid");
        u64::from_str_radix(&id[..12], 16).unwrap()
    };
    lines.map(number).collect()
}

/// The numbers of all records, in the order in which the files and their lines stand.
fn numbers(around: &Surroundings, format: Format) -> Vec<u64> {
    files(around).values().flat_map(|text| numbers_in(text, format)).collect()
}

/// The numbers of all records in the order they came, as far as `shape` keeps it: each type's order is its own.
fn shown(around: &Surroundings, format: Format, shape: Shape) -> Vec<u64> {
    let mut shown = numbers(around, format);
    if matches!(shape, Shape::PerType) {
        for text in files(around).values() {
            assert!(numbers_in(text, format).is_sorted(), "the order within a type");
        }
        shown.sort_unstable();
    }
    shown
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64),
    Prepare,
    /// A crash, after which the file has some more bytes that never were a whole line.
    Crash(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..40_u64).prop_map(Step::Write),
        2 => Just(Step::Prepare),
        2 => prop::collection::vec(any::<u8>(), 0..50).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..30)
}

async fn survives(steps: Vec<Step>, format: Format, shape: Shape) {
    let around = Surroundings::new();
    let config = shaped(&around, format, shape);
    let (mut sink, opened) = open(&around, &config, None).await;
    assert_eq!(opened, Opened::Elsewhere);
    let mut token = prepare(&mut sink).await;
    assert!(files(&around).values().all(String::is_empty), "nothing before the first save");
    let (mut saved, mut next) = (0, 0);
    for step in steps.into_iter().chain([Step::Prepare]) {
        match step {
            Step::Write(count) => {
                let mut batch = batch(next..next + count);
                sink.write(&mut batch).await.unwrap();
                assert!(batch.is_empty());
                next += count;
            }
            Step::Prepare => {
                token = prepare(&mut sink).await;
                sink.commit(Epoch(1), Some(&token)).await.unwrap();
                saved = next;
            }
            Step::Crash(torn) => {
                crash(&around, sink).await;
                // Bytes of this sink are torn only where it wrote: of files per type, empty ones are nobody's.
                let files = files(&around);
                let written = |text: &str| !matches!(shape, Shape::PerType) || !text.is_empty();
                if let Some((last, _)) = files.iter().rfind(|(_, text)| written(text)) {
                    let path = around.path().join("out").join(last);
                    let mut bytes = std::fs::read(&path).unwrap();
                    bytes.extend(torn);
                    #[allow(clippy::disallowed_methods, reason = "what a crash leaves")]
                    std::fs::write(&path, bytes).unwrap();
                }
                let (reopened, opened) = open(&around, &config, Some(&token)).await;
                assert_eq!(opened, Opened::Resumed);
                sink = reopened;
                next = saved;
            }
        }
    }
    assert_eq!(shown(&around, format, shape), (0..next).collect::<Vec<_>>());
    if let Some(limit) = config.roll.and_then(|roll| roll.size) {
        for text in files(&around).values() {
            assert!(text.len() as u64 <= limit.0, "a file is longer than it may be");
        }
    }
}

/// Scenario: random writes, prepares and crashes with torn bytes after them, in each format, rolled or not or
/// per type. Guarantees: G1, G2, G3; G5, each time the last token is enough to go on.
#[test]
fn any_crash_is_rolled_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    proptest!(ProptestConfig::with_cases(64), |(
        steps in steps(),
        format in prop_oneof![Just(Format::Json), Just(Format::Csv)],
        shape in prop::sample::select(vec![Shape::One, Shape::Rolled(2_000), Shape::Rolled(60_000), Shape::PerType]),
    )| {
        runtime.block_on(survives(steps, format, shape));
    });
}

/// Scenario: records as MessagePack in a file that is cut back after a crash. Guarantees: G1, G2, G4: no line end comes between the
/// records, and all of them are read again.
#[tokio::test]
async fn messagepack_has_no_lines() {
    let around = Surroundings::new();
    let config = config(&around, Format::Msgpack, None);
    let (mut sink, _) = open(&around, &config, None).await;
    let mut token = prepare(&mut sink).await;
    for (range, is_lost) in [(0..3, false), (3..5, true), (3..9, false)] {
        sink.write(&mut batch(range)).await.unwrap();
        if is_lost {
            crash(&around, sink).await;
            (sink, _) = open(&around, &config, Some(&token)).await;
        } else {
            token = prepare(&mut sink).await;
            sink.commit(Epoch(1), Some(&token)).await.unwrap();
        }
    }
    let bytes = std::fs::read(&config.path).unwrap();
    let (mut found, mut rejects) = (Batch::new(), Vec::new());
    let at = Location { name: "vitals", line: 1 };
    let mut decoder = Format::Msgpack.decoder(DecoderOptions { strict: true }).unwrap();
    decoder.decode(&bytes, at, &mut found, &mut rejects);
    decoder.finish(at, &mut found, &mut rejects);
    assert_eq!((found.into_vec(), rejects), (batch(0..9).into_vec(), Vec::new()));
}

/// Scenario: three batches of which each fills several files. Guarantees: G3; a file never exceeds its size, and
/// names carry their sequence from creation.
#[tokio::test]
async fn files_roll_by_size() {
    let around = Surroundings::new();
    let config = config(&around, Format::Csv, by_size(1_000));
    let (mut sink, _) = open(&around, &config, None).await;
    prepare(&mut sink).await;
    for start in [0, 20, 40] {
        sink.write(&mut batch(start..start + 20)).await.unwrap();
    }
    prepare(&mut sink).await;
    let files = files(&around);
    assert!(files.len() > 3);
    for (index, (name, text)) in files.iter().enumerate() {
        assert_eq!(*name, format!("vitals.{:06}.txt", index + 1));
        assert!(text.len() <= 1_000);
        assert!(text.starts_with("id,"), "each file has a header");
    }
    assert_eq!(numbers(&around, Format::Csv), (0..60).collect::<Vec<_>>());
}

/// A clock that a test sets.
#[derive(Debug, Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.load(Ordering::SeqCst))
    }
}

/// Scenario: rolled each hour; batches within an hour, after it, and after a restart in the next. Guarantees: G2,
/// the restart neither rolls early nor forgets when the file was begun.
#[tokio::test]
async fn files_roll_by_time() {
    const MINUTE: i64 = 60_000_000;
    let around = Surroundings::new();
    let roll = Roll { every: Some(Span(Duration::from_secs(3600))), size: None };
    let config = config(&around, Format::Json, Some(roll));
    let hands = Arc::new(Hands::default());
    let at = |minutes: i64| hands.0.store(minutes * MINUTE, Ordering::SeqCst);
    let reopen = async |token: Option<Token>| {
        let mut cx = around.sink(token, 1);
        cx.clock = hands.clone();
        let mut sink = FileSink::new(config.clone());
        sink.open(cx).await.unwrap();
        sink
    };
    at(10);
    let mut sink = reopen(None).await;
    prepare(&mut sink).await;
    for (minutes, number) in [(10, 0), (59, 1), (60, 2)] {
        at(minutes);
        sink.write(&mut batch(number..number + 1)).await.unwrap();
        prepare(&mut sink).await;
    }
    let token = prepare(&mut sink).await;
    crash(&around, sink).await;
    at(119);
    let mut sink = reopen(Some(token)).await;
    sink.write(&mut batch(3..4)).await.unwrap();
    prepare(&mut sink).await;
    at(240);
    sink.write(&mut batch(4..5)).await.unwrap();
    prepare(&mut sink).await;
    let lines: Vec<usize> = files(&around).values().map(|text| text.lines().count()).collect();
    assert_eq!(lines, [2, 2, 1]);
}

/// Scenario: a file without a last line end stands at the path at the first start, and a crash follows the first
/// write. Guarantees: G1, G2: what stood there stays as it was, once.
#[tokio::test]
async fn what_stood_there_is_appended_to() {
    let around = Surroundings::new();
    let config = config(&around, Format::Csv, None);
    let (sink, _) = open(&around, &config, None).await;
    crash(&around, sink).await;
    #[allow(clippy::disallowed_methods, reason = "somebody else's file")]
    std::fs::write(&config.path, "id,mine\n1,2").unwrap();
    let (mut sink, opened) = open(&around, &config, None).await;
    assert_eq!(opened, Opened::Elsewhere);
    let token = prepare(&mut sink).await;
    for _ in 0..2 {
        sink.write(&mut batch(0..1)).await.unwrap();
        prepare(&mut sink).await;
        let text = std::fs::read_to_string(&config.path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[..2], ["id,mine", "1,2"]);
        crash(&around, sink).await;
        sink = open(&around, &config, Some(&token)).await.0;
    }
}

pub(super) fn alarms(around: &mut Surroundings) -> usize {
    let mut alarms = 0;
    while let Ok(event) = around.events.try_recv() {
        alarms += usize::from(matches!(event.kind, EventKind::Alarm { .. }));
    }
    alarms
}

/// Scenario: between two runs the file is taken away, exchanged, or the path is changed; also rolled. Guarantees:
/// G5, each goes on by itself; an operator is told of the first two.
#[tokio::test]
async fn a_file_that_is_gone_is_begun_anew() {
    for roll in [None, by_size(1_000_000)] {
        let mut around = Surroundings::new();
        let config = config(&around, Format::Json, roll.clone());
        let (mut sink, _) = open(&around, &config, None).await;
        sink.write(&mut batch(0..3)).await.unwrap();
        let token = prepare(&mut sink).await;
        crash(&around, sink).await;
        let first = around.path().join("out").join(files(&around).keys().next().unwrap());

        let moved = Config { path: around.path().join("elsewhere/vitals.txt"), ..config.clone() };
        let (sink, opened) = open(&around, &moved, Some(&token)).await;
        assert_eq!((opened, alarms(&mut around)), (Opened::Elsewhere, 0));
        crash(&around, sink).await;

        let aside = around.path().join("aside");
        #[allow(clippy::disallowed_methods, reason = "what an operator does")]
        std::fs::rename(&first, &aside).unwrap();
        let (mut sink, opened) = open(&around, &config, Some(&token)).await;
        assert_eq!((opened, alarms(&mut around)), (Opened::Elsewhere, 1));
        let fresh = prepare(&mut sink).await;
        sink.write(&mut batch(3..5)).await.unwrap();
        prepare(&mut sink).await;
        assert_eq!(numbers(&around, Format::Json), [3, 4]);
        crash(&around, sink).await;
        assert_eq!(open(&around, &config, Some(&fresh)).await.1, Opened::Resumed);
        around.blocking.idle().await;

        // Another file in its place: nothing of it is cut.
        let before = files(&around);
        #[allow(clippy::disallowed_methods, reason = "what an operator does")]
        std::fs::rename(&aside, &first).unwrap();
        let (_sink, opened) = open(&around, &config, Some(&fresh)).await;
        match roll {
            None => assert_eq!((opened, alarms(&mut around)), (Opened::Elsewhere, 1)),
            Some(_) => {
                // The token's file is the second one, which is still there.
                assert_eq!((opened, alarms(&mut around)), (Opened::Resumed, 0));
                assert_eq!(before.len() + 1, files(&around).len());
            }
        }
        assert_eq!(std::fs::read_to_string(&first).unwrap().lines().count(), 3);
    }
}

/// Scenario: the file is shorter than the checkpoint says; another time the format was changed. Guarantees: G1, G4:
/// neither is papered over, and the messages say what to do.
#[tokio::test]
async fn a_cut_file_and_another_format_are_refused() {
    let around = Surroundings::new();
    let config = config(&around, Format::Json, None);
    let (mut sink, _) = open(&around, &config, None).await;
    sink.write(&mut batch(0..3)).await.unwrap();
    let token = prepare(&mut sink).await;
    crash(&around, sink).await;

    let csv = Config { format: Format::Csv, ..config.clone() };
    let error = FileSink::new(csv).open(around.sink(Some(token.clone()), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);

    let file = OsDisk.open(&config.path, OpenMode::Write).unwrap();
    file.set_len(10).unwrap();
    let error = FileSink::new(config.clone()).open(around.sink(Some(token), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("has 10 bytes"), "{error}");
    assert!(error.message().contains("move it away"), "{error}");
}

/// Scenario: `roll` is added to a sink that ran without, and taken away again, with a torn tail each time.
/// Guarantees: G2: the file that is left is cut back to the checkpoint.
#[tokio::test]
async fn a_change_of_mode_rolls_back_too() {
    let around = Surroundings::new();
    let plain = config(&around, Format::Json, None);
    let rolled = Config { roll: by_size(1_000_000), ..plain.clone() };
    let mut token = None;
    for (round, config) in [&plain, &rolled, &plain, &rolled].into_iter().enumerate() {
        let (mut sink, opened) = open(&around, config, token.as_ref()).await;
        assert_eq!(opened, Opened::Elsewhere);
        let start = round as u64 * 10;
        sink.write(&mut batch(start..start + 2)).await.unwrap();
        token = Some(prepare(&mut sink).await);
        sink.write(&mut batch(start + 2..start + 9)).await.unwrap();
        crash(&around, sink).await;
    }
    let (_sink, _) = open(&around, &rolled, token.as_ref()).await;
    // Rolled files sort before the plain one.
    assert_eq!(numbers(&around, Format::Json), [10, 11, 30, 31, 0, 1, 20, 21]);
}

/// Scenario: a second sink opens the same path while the first is open. Guarantees: G2; it is told to wait, not to
/// give up, because the first may be about to end.
#[tokio::test]
async fn a_second_writer_waits() {
    let around = Surroundings::new();
    let config = config(&around, Format::Json, None);
    let (sink, _) = open(&around, &config, None).await;
    let error = FileSink::new(config.clone()).open(around.sink(None, 2)).await.unwrap_err();
    assert!(error.kind().is_retryable());
    assert!(error.message().contains("another sink writes to"), "{error}");
    crash(&around, sink).await;
    FileSink::new(config).open(around.sink(None, 2)).await.unwrap();
}

/// Scenario: the lock is lost (its file is removed) and a newer generation opens while the older one still runs.
/// Guarantees: G10: the older one writes nothing any more, neither in `write` nor in `prepare`, and can't open.
#[tokio::test]
async fn an_older_generation_changes_nothing() {
    let around = Surroundings::new();
    let config = config(&around, Format::Json, None);
    let (mut old, _) = open(&around, &config, None).await;
    old.write(&mut batch(0..2)).await.unwrap();
    let token = prepare(&mut old).await;
    OsDisk.remove(&around.path().join("out/.vitals.txt.lock")).unwrap();

    let mut new = FileSink::new(config.clone());
    assert_eq!(new.open(around.sink(Some(token.clone()), 2)).await.unwrap(), Opened::Resumed);
    old.write(&mut batch(2..4)).await.unwrap();
    assert_eq!(old.prepare(Epoch(2)).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(numbers(&around, Format::Json), [0, 1]);

    new.write(&mut batch(2..3)).await.unwrap();
    new.prepare(Epoch(2)).await.unwrap();
    crash(&around, new).await;
    let error = FileSink::new(config.clone()).open(around.sink(Some(token), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(numbers(&around, Format::Json), [0, 1, 2]);
}

/// Scenario: another pipeline writes after this one's checkpoint; this one opens, and dies before it has saved where it
/// opened, twice. Guarantees: G1: what the other one committed is not cut off, however often it is tried.
#[tokio::test]
async fn what_another_pipeline_wrote_is_never_cut_back() {
    for shape in [Shape::One, Shape::PerType] {
        let mut around = Surroundings::new();
        let config = shaped(&around, Format::Json, shape);
        let (mut sink, _) = open(&around, &config, None).await;
        sink.write(&mut batch(0..3)).await.unwrap();
        let token = prepare(&mut sink).await;
        crash(&around, sink).await;

        let mut other = FileSink::new(config.clone());
        let mut cx = around.sink(None, 1);
        cx.fence.pipeline = "other".into();
        other.open(cx).await.unwrap();
        other.write(&mut batch(10..12)).await.unwrap();
        prepare(&mut other).await;
        crash(&around, other).await;

        for generation in 2..4 {
            let mut sink = FileSink::new(config.clone());
            let opened = sink.open(around.sink(Some(token.clone()), generation)).await.unwrap();
            assert_eq!((opened, alarms(&mut around)), (Opened::Elsewhere, 1));
            prepare(&mut sink).await;
            crash(&around, sink).await;
        }
        let mut sink = FileSink::new(config.clone());
        sink.open(around.sink(Some(token), 4)).await.unwrap();
        let token = prepare(&mut sink).await;
        sink.write(&mut batch(20..23)).await.unwrap();
        crash(&around, sink).await;
        alarms(&mut around);

        let mut sink = FileSink::new(config.clone());
        let opened = sink.open(around.sink(Some(token), 5)).await.unwrap();
        assert_eq!((opened, alarms(&mut around)), (Opened::Resumed, 0));
        assert_eq!(shown(&around, Format::Json, shape), [0, 1, 2, 10, 11]);
    }
}

/// Scenario: the disk fills up within a batch; later a sync fails; each time the sink is opened again once the
/// disk has healed. Guarantees: G5; no half record, nothing twice, and no second sync of what failed.
#[tokio::test]
async fn a_sick_disk_heals() {
    let mut around = Surroundings::new();
    let disk = SimDisk::new(1);
    around.disk = disk.shared();
    let config = config(&around, Format::Json, None);
    let (mut sink, _) = open(&around, &config, None).await;
    let token = prepare(&mut sink).await;

    disk.set_capacity(Some(disk.used() + 4096));
    sink.write(&mut batch(0..100)).await.unwrap();
    let error = sink.prepare(Epoch(1)).await.unwrap_err();
    assert!(error.kind().is_retryable());
    assert!(error.message().contains("the disk is full"), "{error}");
    assert_eq!(sink.prepare(Epoch(1)).await.unwrap_err().kind(), ErrorKind::Bug, "it is poisoned");
    crash(&around, sink).await;

    disk.set_capacity(None);
    let (mut sink, _) = open(&around, &config, Some(&token)).await;
    sink.write(&mut batch(0..100)).await.unwrap();
    disk.fail(Some(Op::Sync), 0, Fault::Io);
    let syncs = disk.operations(Some(Op::Sync));
    assert!(sink.prepare(Epoch(1)).await.unwrap_err().kind().is_retryable());
    assert_eq!(disk.operations(Some(Op::Sync)), syncs + 1, "a failed sync is not repeated");
    crash(&around, sink).await;

    let (mut sink, opened) = open(&around, &config, Some(&token)).await;
    assert_eq!(opened, Opened::Resumed);
    sink.write(&mut batch(0..100)).await.unwrap();
    prepare(&mut sink).await;
    assert_eq!(numbers(&around, Format::Json), (0..100).collect::<Vec<_>>());
}

/// Writes 60 records in three epochs from the last saved token on; an error ends it.
async fn try_all(
    around: &Surroundings,
    config: &Config,
    saved: &mut Option<(Token, u64)>,
    generation: u64,
) -> Result<()> {
    let mut sink = FileSink::new(config.clone());
    let token = saved.as_ref().map(|(token, _)| token.clone());
    let opened = sink.open(around.sink(token, generation)).await?;
    let mut next = saved.as_ref().map_or(0, |(_, next)| *next);
    if opened == Opened::Elsewhere {
        let token = sink.prepare(Epoch(0)).await?.token.expect("a token");
        *saved = Some((token, next));
    }
    while next < 60 {
        sink.write(&mut batch(next..next + 10)).await?;
        sink.write(&mut batch(next + 10..next + 20)).await?;
        next += 20;
        let token = sink.prepare(Epoch(1)).await?.token.expect("a token");
        *saved = Some((token, next));
    }
    Ok(())
}

/// Scenario: the power fails at each single operation on the disk, rolled or not or per type; then it starts again.
/// Guarantees: G1, G2, G5: what a saved token counts was durable, and the rest is written once.
#[tokio::test]
async fn power_fails_at_each_operation() {
    let shapes =
        [(Format::Csv, Shape::One), (Format::Json, Shape::Rolled(1_500)), (Format::Csv, Shape::PerType)];
    for (format, shape) in shapes {
        for step in 0.. {
            let mut around = Surroundings::new();
            let disk = SimDisk::new(step);
            around.disk = disk.shared();
            let config = shaped(&around, format, shape);
            let mut saved = None;
            disk.fail(None, step, Fault::Halt);
            let undisturbed = try_all(&around, &config, &mut saved, 1).await.is_ok();
            around.blocking.idle().await;
            assert!(step < 1_000, "each run ends");

            around.disk = disk.power_loss(step).shared();
            let opens_where_it_should = saved.is_some();
            let outcome = try_all(&around, &config, &mut saved, 2).await;
            outcome.unwrap_or_else(|error| panic!("step {step}: {error}"));
            around.blocking.idle().await;
            assert_eq!(shown(&around, format, shape), (0..60).collect::<Vec<_>>(), "step {step}");
            assert_eq!(alarms(&mut around), 0, "step {step}: the token's file is there");
            if undisturbed {
                assert!(opens_where_it_should && step > 20);
                break;
            }
        }
    }
}

/// Scenario: the contract of all sinks. Guarantees: G1, G2, G3.
#[tokio::test]
async fn it_keeps_the_contract() {
    let records: Vec<(Record, u64)> = (0..300).map(|number| (record(number), number)).collect();
    for seed in 0..8 {
        for (format, shape) in [
            (Format::Json, Shape::One),
            (Format::Csv, Shape::Rolled(2_000)),
            (Format::Json, Shape::Rolled(50_000)),
            (Format::Csv, Shape::PerType),
        ] {
            let around = Surroundings::new();
            let config = shaped(&around, format, shape);
            let make = || FileSink::new(config.clone());
            sink_contract(make, || shown(&around, format, shape), &around, &records, seed).await;
        }
    }
}

/// Scenario: a directory stands at the path; another time the directory can't be created. Guarantees: one clear
/// error, which a retry does not help.
#[tokio::test]
async fn a_path_that_can_not_be_written() {
    let around = Surroundings::new();
    OsDisk.create_dir_all(&around.path().join("out/vitals.txt")).unwrap();
    OsDisk.open(&around.path().join("plain"), OpenMode::Create).unwrap();
    for path in ["out/vitals.txt", "plain/vitals.txt"] {
        let config = Config { path: around.path().join(path), format: Format::Json, roll: None };
        let error = FileSink::new(config).open(around.sink(None, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CantCreate, "{error}");
        assert!(error.message().contains(path.split('/').next().unwrap()), "{error}");
    }
}

/// Scenario: an addition without a value among good ones. Guarantees: G11: it is rejected in the epoch it belongs
/// to, once, and the others are written.
#[tokio::test]
async fn what_the_format_can_not_carry_is_rejected() {
    let around = Surroundings::new();
    let config = config(&around, Format::Json, None);
    let (mut sink, _) = open(&around, &config, None).await;
    prepare(&mut sink).await;
    let mut batch = batch(0..3);
    batch[1].value = Value::None;
    sink.write(&mut batch).await.unwrap();
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    assert_eq!(prepared.rejects.len(), 1);
    assert_eq!(prepared.rejects[0].key, Some(record(1).id.to_string()));
    assert_eq!(numbers(&around, Format::Json), [0, 2]);
    prepare(&mut sink).await;
}

/// Scenario: files and sidecars of a sink. Guarantees: G8: nobody but their owner can read health data.
#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let around = Surroundings::new();
    let config = config(&around, Format::Json, by_size(1_000));
    let (_sink, _) = open(&around, &config, None).await;
    for entry in std::fs::read_dir(around.path().join("out")).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Scenario: configurations as a file gives them. Guarantees: what can't work is said before anything is opened.
#[test]
fn configurations_are_checked() {
    let parse = |json: serde_json::Value| serde_json::from_value::<Config>(json);
    let good = parse(serde_json::json!({"path": "a.csv", "format": "csv", "roll": {"every": "1d"}})).unwrap();
    assert_eq!(good.check(), []);
    assert!(parse(serde_json::json!({"path": "a", "rol": {}})).is_err());
    let keys = |json| -> Vec<String> {
        parse(json).unwrap().check().iter().map(|problem| problem.key_path.join(".")).collect()
    };
    assert_eq!(keys(serde_json::json!({"path": "..", "roll": {}})), ["path", "roll"]);
    let zero = serde_json::json!({"path": "a", "roll": {"every": "0s", "size": "0B"}});
    assert_eq!(keys(zero), ["roll.every", "roll.size"]);
    assert_eq!(keys(serde_json::json!({"path": "out/{type}.csv"})), [""; 0]);
    assert_eq!(keys(serde_json::json!({"path": "out/{type}.csv", "roll": {"size": "1MiB"}})), ["roll"]);
    for path in ["{type}/a.csv", "{kind}.csv", "{type}-{type}.csv"] {
        let problems = parse(serde_json::json!({"path": path})).unwrap().check();
        assert_eq!(problems.len(), 1, "{path}");
        assert!(problems[0].help.as_ref().is_some_and(|help| help.contains("out/{type}.csv")));
    }
    let mut relative = good;
    relative.resolve(Path::new("/base"));
    assert_eq!(relative.path, Path::new("/base/a.csv"));
}
