//! What is particular to one file per type: files that no token has, foreign ones, many of them.

use afferent_core::{
    ErrorKind, RecordId, Sink, Token,
    disk::{DiskFile, DiskLock, FileInfo, OsDisk},
    testing::{SimDisk, Surroundings},
};

use super::{
    super::{
        FileSink,
        tests::{alarms, batch, crash, files, numbers_in, open, per_type, prepare, record},
    },
    *,
};

/// A record of a type outside HealthKit.
fn of_type(kind: &str, number: u64) -> Record {
    Record { kind: Some(Kind::from_data(kind).unwrap()), ..record(number) }
}

fn write_file(around: &Surroundings, name: &str, text: &str) {
    OsDisk.create_dir_all(&around.path().join("out")).unwrap();
    #[allow(clippy::disallowed_methods, reason = "somebody else's file")]
    std::fs::write(around.path().join("out").join(name), text).unwrap();
}

fn rename(around: &Surroundings, from: &str, to: &str) {
    OsDisk.rename(&around.path().join("out").join(from), &around.path().join(to)).unwrap();
}

/// Opens the stage's state itself, to look into it.
fn open_files(around: &Surroundings, token: Option<Token>, generation: u64) -> ByType {
    let config = per_type(around, Format::Json);
    let names = Names::of(&config.path).unwrap();
    let type_names = TypeNames::of(&config.path).unwrap().unwrap();
    let cx = around.sink(token, generation);
    let guard = super::super::Files::guard(&config, &cx).unwrap();
    ByType::open(&config, names, type_names, cx, guard).unwrap().0
}

/// Scenario: a crash after a new type's first records and before their save, twice; then a restart from an older
/// checkpoint. Guarantees: G2: the file that no token has is emptied, each time; G5.
#[tokio::test]
async fn a_type_that_no_checkpoint_knows_is_undone() {
    let mut around = Surroundings::new();
    let config = per_type(&around, Format::Csv);
    let (mut sink, opened) = open(&around, &config, None).await;
    assert_eq!(opened, Opened::Elsewhere);
    let first = prepare(&mut sink).await;
    assert!(files(&around).is_empty(), "no file before the first record");
    sink.write(&mut batch(0..3)).await.unwrap();
    let second = prepare(&mut sink).await;
    for _ in 0..2 {
        sink.write(&mut batch(3..6)).await.unwrap();
        crash(&around, sink).await;
        assert_eq!(files(&around).len(), 2);
        let (reopened, opened) = open(&around, &config, Some(&second)).await;
        assert_eq!(opened, Opened::Resumed);
        assert_eq!(files(&around)["RespiratoryRate.txt"], "");
        assert_eq!(numbers_in(&files(&around)["HeartRate.txt"], Format::Csv), [0, 1, 2]);
        sink = reopened;
    }
    sink.write(&mut batch(3..6)).await.unwrap();
    prepare(&mut sink).await;
    assert_eq!(numbers_in(&files(&around)["RespiratoryRate.txt"], Format::Csv), [3, 4, 5]);
    crash(&around, sink).await;

    let (_sink, opened) = open(&around, &config, Some(&first)).await;
    assert_eq!((opened, alarms(&mut around)), (Opened::Resumed, 0));
    assert!(files(&around).values().all(String::is_empty));
}

/// Scenario: files of somebody else stand at the names of types, one ends without a line end, one appears only when a
/// new type's file was rolled back; crashes before and after the first save. Guarantees: G1, G2: what others wrote
/// stays as it was, a header stands only in files that were empty.
#[tokio::test]
async fn what_stood_there_is_appended_to() {
    let around = Surroundings::new();
    let config = per_type(&around, Format::Csv);
    write_file(&around, "HeartRate.txt", "id,mine\n1,2");
    write_file(&around, "RestingHeartRate.txt", "");
    write_file(&around, "StepCount.txt", "untouched");
    let (mut sink, _) = open(&around, &config, None).await;
    let token = prepare(&mut sink).await;
    for _ in 0..2 {
        sink.write(&mut batch(0..9)).await.unwrap();
        prepare(&mut sink).await;
        let files = files(&around);
        assert!(files["HeartRate.txt"].starts_with("id,mine\n1,2\n00000000-"));
        assert_eq!(numbers_in(&files["RestingHeartRate.txt"], Format::Csv), [6, 7, 8]);
        crash(&around, sink).await;
        sink = open(&around, &config, Some(&token)).await.0;
    }
    crash(&around, sink).await;
    let undone = files(&around);
    assert_eq!(undone["HeartRate.txt"], "id,mine\n1,2");
    assert_eq!(undone["RestingHeartRate.txt"], "");

    // What was undone is nobody's: another may write to it, and it is not cut again.
    write_file(&around, "RespiratoryRate.txt", "theirs\n");
    let (mut sink, opened) = open(&around, &config, Some(&token)).await;
    assert_eq!(opened, Opened::Resumed);
    sink.write(&mut batch(3..6)).await.unwrap();
    prepare(&mut sink).await;
    let files = files(&around);
    assert!(files["RespiratoryRate.txt"].starts_with("theirs\n00000000-"));
    assert_eq!(files["StepCount.txt"], "untouched");
}

/// Scenario: a history is forgotten and begun anew over its files, then crashes. Guarantees: G1: what the earlier one
/// wrote is appended to, and its journal means nothing any more.
#[tokio::test]
async fn a_new_history_goes_on_at_the_end() {
    let around = Surroundings::new();
    let mut sink = open_files(&around, None, 1);
    sink.write(&mut batch(0..3)).unwrap();
    sink.prepare().unwrap();
    drop(sink);
    let mut sink = open_files(&around, None, 2);
    let token = sink.prepare().unwrap().token;
    drop(sink);
    let mut sink = open_files(&around, token.clone(), 3);
    sink.write(&mut batch(9..12)).unwrap();
    drop(sink);
    open_files(&around, token, 4);
    assert_eq!(numbers_in(&files(&around)["HeartRate.txt"], Format::Json), [0, 1, 2]);
}

/// Scenario: of three files one is taken away and one exchanged between two runs; the first is put back later, when
/// nothing has come for it. Guarantees: G5, the sink goes on and tells an operator; G1, the file that was put back is
/// not cut.
#[tokio::test]
async fn files_that_are_taken_away() {
    let mut around = Surroundings::new();
    let config = per_type(&around, Format::Json);
    let (mut sink, _) = open(&around, &config, None).await;
    sink.write(&mut batch(0..9)).await.unwrap();
    let token = prepare(&mut sink).await;
    crash(&around, sink).await;
    rename(&around, "HeartRate.txt", "aside");
    rename(&around, "RespiratoryRate.txt", "aside too");
    write_file(&around, "RespiratoryRate.txt", "theirs\n");

    let (mut sink, opened) = open(&around, &config, Some(&token)).await;
    assert_eq!((opened, alarms(&mut around)), (Opened::Elsewhere, 2));
    let bridge = prepare(&mut sink).await;
    sink.write(&mut batch(12..18)).await.unwrap();
    crash(&around, sink).await;
    assert!(files(&around)["RespiratoryRate.txt"].starts_with("theirs\n{"));
    OsDisk.rename(&around.path().join("aside"), &around.path().join("out/HeartRate.txt")).unwrap();
    let (_sink, opened) = open(&around, &config, Some(&bridge)).await;
    assert_eq!((opened, alarms(&mut around)), (Opened::Resumed, 0));
    let files = files(&around);
    assert_eq!(numbers_in(&files["HeartRate.txt"], Format::Json), [0, 1, 2]);
    assert_eq!(files["RespiratoryRate.txt"], "theirs\n");
    assert_eq!(numbers_in(&files["RestingHeartRate.txt"], Format::Json), [6, 7, 8]);
}

/// Scenario: a file of the set is shorter than the checkpoint says; another time the format was changed; another time
/// the sink wrote one file before. Guarantees: G1, G4: the first two are refused, the third is another place.
#[tokio::test]
async fn what_does_not_fit_the_token() {
    let around = Surroundings::new();
    let config = per_type(&around, Format::Json);
    let (mut sink, _) = open(&around, &config, None).await;
    sink.write(&mut batch(0..9)).await.unwrap();
    let token = prepare(&mut sink).await;
    crash(&around, sink).await;

    let csv = Config { format: Format::Csv, ..config.clone() };
    let error = FileSink::new(csv).open(around.sink(Some(token.clone()), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);

    let one = Config { path: around.path().join("out/all.txt"), ..config.clone() };
    let (mut sink, opened) = open(&around, &one, Some(&token)).await;
    assert_eq!(opened, Opened::Elsewhere);
    let token_of_one = prepare(&mut sink).await;
    crash(&around, sink).await;
    let (sink, opened) = open(&around, &config, Some(&token_of_one)).await;
    assert_eq!(opened, Opened::Elsewhere);
    crash(&around, sink).await;

    let file = OsDisk.open(&around.path().join("out/HeartRate.txt"), OpenMode::Write).unwrap();
    file.set_len(10).unwrap();
    let error = FileSink::new(config).open(around.sink(Some(token), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("HeartRate.txt has 10 bytes"), "{error}");
}

/// Scenario: half as many types again as files may be open, in turn, over several epochs; the power fails after the
/// last. Guarantees: G7, never more open files than the limit; G1, closed ones are durable too; G3.
#[test]
fn more_types_than_open_files() {
    let mut around = Surroundings::new();
    let disk = SimDisk::new(1);
    around.disk = disk.shared();
    let kinds = MAX_OPEN_FILES as u64 * 3 / 2;
    let mut sink = open_files(&around, None, 1);
    let mut token = None;
    for round in 0..3 {
        for part in 0..4 {
            let numbers = (0..kinds).filter(|kind| kind % 4 >= part);
            let records = numbers.map(|kind| of_type(&format!("com.example.t{kind}"), round * 4 + part));
            sink.write(&mut records.collect()).unwrap();
            let open = sink.files.iter().filter(|file| file.tail.is_some()).count();
            assert!(open == sink.open && open <= MAX_OPEN_FILES);
        }
        token = sink.prepare().unwrap().token;
    }
    assert_eq!(sink.open, MAX_OPEN_FILES);
    drop(sink);
    around.disk = disk.power_loss(2).shared();
    open_files(&around, token, 2);
    let files = files(&around);
    assert_eq!(files.len() as u64, kinds);
    for (name, text) in files {
        let kind: u64 = name["com.example.t".len()..].split('.').next().unwrap().parse().unwrap();
        let expected: Vec<u64> = (0..12).filter(|number| kind % 4 >= number % 4).collect();
        assert_eq!(numbers_in(&text, Format::Json), expected, "{name}");
    }
}

/// Scenario: a file that had to be closed is gone when its type comes again. Guarantees: G5: an alarm, and a new one,
/// that survives a restart.
#[test]
fn a_closed_file_that_is_taken_away() {
    let mut around = Surroundings::new();
    let mut sink = open_files(&around, None, 1);
    sink.write(&mut batch(0..1)).unwrap();
    let kinds = 0..MAX_OPEN_FILES;
    sink.write(&mut kinds.map(|kind| of_type(&format!("com.example.t{kind}"), 1)).collect()).unwrap();
    let old = sink.prepare().unwrap().token;
    rename(&around, "HeartRate.txt", "aside");
    sink.write(&mut batch(2..3)).unwrap();
    assert_eq!(alarms(&mut around), 1);
    let new = sink.prepare().unwrap().token;
    drop(sink);
    for (token, left) in [(new, vec![2]), (old, vec![])] {
        open_files(&around, token, 2);
        assert_eq!(numbers_in(&files(&around)["HeartRate.txt"], Format::Json), left);
    }
}

/// Scenario: more types than there may be files, and one with a name that is too long, in one batch; then again after a
/// restart. Guarantees: G7; G11: each record over the limit is rejected with the reason, and the others are written.
#[test]
fn more_types_than_files() {
    let mut around = Surroundings::new();
    around.disk = SimDisk::new(1).shared();
    let mut sink = open_files(&around, None, 1);
    let long = format!("com.{}", "x".repeat(252));
    let all = || -> Batch<Record> {
        let kinds = (0..=MAX_FILES).map(|kind| of_type(&format!("com.example.t{kind}"), 0));
        kinds.chain([of_type(&long, 7)]).collect()
    };
    let rejected = |sink: &mut ByType| {
        let prepared = sink.prepare().unwrap();
        let mut reasons: Vec<String> =
            prepared.rejects.iter().map(|reject| reject.reason.to_string()).collect();
        reasons.sort_unstable();
        (reasons, prepared.token)
    };
    let mut records = all();
    sink.write(&mut records).unwrap();
    assert!(records.is_empty());
    let (reasons, token) = rejected(&mut sink);
    assert_eq!(reasons, [TOO_LONG, TOO_MANY]);
    drop(sink);
    let mut sink = open_files(&around, token, 2);
    sink.write(&mut all()).unwrap();
    assert_eq!(rejected(&mut sink).0, [TOO_LONG, TOO_MANY]);
    let files = files(&around);
    assert_eq!(files.len(), MAX_FILES);
    assert!(files.values().all(|text| text.lines().count() == 2));
}

/// Scenario: deletions, with and without a type. Guarantees: G3, G11: each stands behind its addition, or in a file of
/// those whose type nobody told.
#[test]
fn deletions_without_a_type_have_a_file() {
    let around = Surroundings::new();
    let mut sink = open_files(&around, None, 1);
    let deleted = |number: u64, kind| Record::deleted(RecordId::from_u128(number.into()), kind);
    let records = vec![deleted(8, None), record(0), deleted(0, record(0).kind), record(1), deleted(9, None)];
    sink.write(&mut records.into()).unwrap();
    sink.prepare().unwrap();
    let files = files(&around);
    assert_eq!(numbers_in(&files["HeartRate.txt"], Format::Json), [0, 0, 1]);
    assert_eq!(numbers_in(&files["unknown.txt"], Format::Json), [8, 9]);
}

/// A disk to which upper and lower case are the same, as on most Macs.
#[derive(Debug)]
struct CaselessDisk;

fn folded(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_ascii_lowercase();
    path.with_file_name(name)
}

impl Disk for CaselessDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn DiskFile>> {
        OsDisk.open(&folded(path), mode)
    }
    fn info(&self, path: &Path) -> std::io::Result<Option<FileInfo>> {
        OsDisk.info(&folded(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        OsDisk.rename(&folded(from), &folded(to))
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        OsDisk.remove(&folded(path))
    }
    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        OsDisk.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> std::io::Result<Vec<PathBuf>> {
        OsDisk.list(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        OsDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn DiskLock>>> {
        OsDisk.lock(&folded(path))
    }
}

/// Scenario: two types that differ only in case, on a disk that does not tell them apart, before and after a restart.
/// Guarantees: G1, G4: neither overwrites the other.
#[test]
fn types_that_differ_in_case_share_a_file_where_they_must() {
    let mut around = Surroundings::new();
    around.disk = Arc::new(CaselessDisk);
    let both = |number| [of_type("com.example.mood", number), of_type("com.example.Mood", number + 1)];
    let mut sink = open_files(&around, None, 1);
    sink.write(&mut both(0).into_iter().collect()).unwrap();
    let token = sink.prepare().unwrap().token;
    sink.write(&mut both(2).into_iter().collect()).unwrap();
    drop(sink);
    let mut sink = open_files(&around, token, 2);
    sink.write(&mut both(2).into_iter().rev().collect()).unwrap();
    sink.prepare().unwrap();
    let files = files(&around);
    let mut numbers = numbers_in(&files["com.example.mood.txt"], Format::Json);
    numbers.sort_unstable();
    assert_eq!((files.len(), numbers), (1, vec![0, 1, 2, 3]));
}
