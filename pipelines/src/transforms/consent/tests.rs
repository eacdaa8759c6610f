use std::{path::PathBuf, sync::Arc};

use afferent_core::{record::Correlation, testing::transform_contract};
use tempfile::TempDir;

use super::*;
use crate::transforms::testing::{deletion, key_paths, quantity, records};

fn table(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("consents.csv");
    write(&path, text);
    (directory, path)
}

#[allow(clippy::disallowed_methods, reason = "the test stands for whoever writes tables")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn consent(path: &Path, purpose: &str, refused: Refused) -> Consent {
    let config = Config { table: path.to_owned(), format: None, purpose: purpose.into(), refused };
    Consent::new(&config).expect("a configuration")
}

fn of(subject: &str, record: Record) -> Record {
    Record { subject: Some(subject.into()), ..record }
}

fn ids(records: &[Record]) -> Vec<u128> {
    records.iter().map(|record| record.id.as_u128()).collect()
}

const TABLE: &str = "subject,type,purpose,granted\n\
                     ada,*,research,\n\
                     ada,BodyMass,research,false\n\
                     ben,HeartRate,research,TRUE\n\
                     eve,*,care,true\n";

/// Scenario: subjects with a consent for all types, for one, for all but one, for another purpose, and none; a record without a
/// subject; deletions. Guarantees: G11; without a row there is no consent, the row of a type beats that of all, and deletions pass.
#[test]
fn without_a_row_there_is_no_consent() {
    let (_directory, path) = table(TABLE);
    let input = [
        of("ada", quantity(1, "HeartRate", 60.0, 0)),
        of("ada", quantity(2, "BodyMass", 70.0, 0)),
        of("ben", quantity(3, "HeartRate", 60.0, 0)),
        of("ben", quantity(4, "StepCount", 6.0, 0)),
        of("eve", quantity(5, "HeartRate", 60.0, 0)),
        of("fay", quantity(6, "HeartRate", 60.0, 0)),
        quantity(7, "HeartRate", 60.0, 0),
        of("fay", deletion(8, Some("HeartRate"))),
        deletion(9, None),
    ];
    let run = |purpose| transform_contract(|| consent(&path, purpose, Refused::Drop), &input, 0..20);
    assert_eq!(ids(&run("research")), [1, 3, 8, 9]);
    assert_eq!(ids(&run("care")), [5, 8, 9]);
    assert_eq!(ids(&run("marketing")), [8, 9]);
}

/// Scenario: random records, dropped and as dead letters. Guarantees: G1; each is accounted for.
#[test]
fn what_does_not_pass_is_accounted_for() {
    let (_directory, path) = table("subject,type,purpose\na,StepCount,x\n");
    let input = records(600, 4);
    for refused in [Refused::Drop, Refused::Reject] {
        let output = transform_contract(|| consent(&path, "x", refused), &input, 0..10);
        let (mut stage, mut out) = (consent(&path, "x", refused), Emit::new());
        stage.look(Timestamp::default()).unwrap()().unwrap();
        stage.apply(&mut input.iter().cloned().collect(), &mut out).unwrap();
        let counted = if refused == Refused::Drop { out.counts().filtered } else { out.counts().dead };
        assert_eq!(counted as usize, input.len() - output.len());
        assert!(counted > 100 && output.len() > 50);
    }
}

/// Scenario: a correlation whose own type has a consent, and a sample in it that has none. Guarantees: it does not pass.
#[test]
fn a_correlation_passes_as_a_whole() {
    let (_directory, path) = table("subject,type,purpose\nada,*,x\nben,BloodPressure,x\n");
    let pressure = |id, subject: &str| {
        let mut record = of(subject, quantity(id, "BloodPressureSystolic", 120.0, 0));
        let samples = vec![record.clone()];
        record.kind = Some(Kind::parse("BloodPressure").unwrap());
        record.value = Value::Correlation(Arc::new(Correlation { samples }));
        record
    };
    let input = [pressure(1, "ada"), pressure(2, "ben")];
    assert_eq!(ids(&transform_contract(|| consent(&path, "x", Refused::Drop), &input, 0..3)), [1]);
}

/// Scenario: a consent is withdrawn while the pipeline runs, and the process dies. Guarantees: no record of an epoch that began after it passes,
/// neither before nor after the restart, also when the table is gone by then; those of others do.
#[test]
fn a_withdrawal_stays_in_force() {
    let (_directory, path) = table("subject,type,purpose\nada,*,x\nben,*,x\n");
    let input = || {
        Batch::from(vec![
            of("ada", quantity(1, "HeartRate", 1.0, 0)),
            of("ben", quantity(2, "HeartRate", 1.0, 0)),
        ])
    };
    let passed = |stage: &mut Consent| {
        let mut out = Emit::new();
        stage.apply(&mut input(), &mut out).unwrap();
        ids(&out.batch)
    };
    // The file is older than a second to whoever looks in a year's time.
    let now = |path: &Path| {
        let modified = std::fs::metadata(path).unwrap().modified().unwrap();
        let age = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_micros_clamped(age.as_micros() as i64 + 1_000_000)
    };
    let mut stage = consent(&path, "x", Refused::Drop);
    assert!(stage.look(now(&path)).unwrap()().unwrap().is_new);
    stage.snapshot().unwrap();
    assert_eq!(passed(&mut stage), [1, 2]);
    write(&path, "subject,type,purpose\nben,*,x\n");
    assert_eq!(passed(&mut stage), [1, 2], "the epoch goes on under the version with which it began");
    assert!(stage.look(now(&path)).unwrap()().unwrap().is_new);
    let Snapshot::Full(saved) = stage.snapshot().unwrap() else { panic!("it is new") };
    assert_eq!(passed(&mut stage), [2]);

    write(&path, "subject,typ");
    let mut stage = consent(&path, "x", Refused::Drop);
    stage.restore(Box::new([Ok((Vec::new(), saved))].into_iter())).unwrap();
    let looked = stage.look(now(&path)).unwrap()().unwrap();
    assert!(looked.is_stale && looked.alarm.is_some());
    assert_eq!(passed(&mut stage), [2]);
}

/// Scenario: rows that make no sense; a purpose that no row has. Guarantees: G8, G11; errors with their lines, without the subject; nothing passes
/// where nothing is said, and an alarm tells it.
#[test]
fn rows_that_make_no_sense_are_refused() {
    for (rows, expected) in [
        (
            "ada,*,x,\nada,*,x,false\n",
            "consents.csv:3: expected a row for each key, found the key of line 2 again",
        ),
        (
            "*,*,x,\n",
            "consents.csv:2: `subject`: expected a subject, found `*`: nobody consents for everybody",
        ),
        ("ada,HeartRat,x,\n", "consents.csv:2: `type`: expected `*`, a type that is known"),
        ("ada,,x,\n", "consents.csv:2: expected a value in `type`, found none"),
        ("ada,*,,\n", "consents.csv:2: expected a value in `purpose`, found none"),
        ("ada,*,x,maybe\n", "consents.csv:2: `granted`: expected `true` or `false`"),
    ] {
        let (_directory, path) = table(&format!("subject,type,purpose,granted\n{rows}"));
        let look = consent(&path, "x", Refused::Drop).look(Timestamp::default()).unwrap();
        let error = look().unwrap_err();
        assert!(error.message().contains(expected) && !error.message().contains("ada"), "{error}");
    }
    let (_directory, path) = table(TABLE);
    let looked = consent(&path, "researhc", Refused::Drop).look(Timestamp::default()).unwrap()().unwrap();
    assert!(looked.is_new && looked.alarm.is_some_and(|alarm| alarm.contains("`researhc`, found none")));
}

/// Scenario: what a sink asks before the table was read, then, after it was withdrawn from, and of one that was restored. Guarantees: nothing is
/// known before, each version is told from others and from nothing else, and a withdrawal is in force with the checkpoint that has it.
#[test]
fn sinks_can_ask_what_may_be_sent() {
    let (_directory, path) = table(TABLE);
    let now = |second: i64| Timestamp::from_micros_clamped(1_900_000_000_000_000 + second * 1_000_000);
    let mut stage = consent(&path, "research", Refused::Drop);
    assert!(matches!(stage.permission(), Permission::Unknown));
    stage.look(now(0)).unwrap()().unwrap();
    let first = stage.permission();
    let (ada, ben) =
        (of("ada", quantity(1, "HeartRate", 60.0, 0)), of("ben", quantity(2, "HeartRate", 60.0, 0)));
    assert!(first.allows(&ada) && first.allows(&ben));
    let Snapshot::Full(bytes) = stage.snapshot().unwrap() else { panic!("the table is saved") };
    let mut other = consent(&path, "research", Refused::Drop);
    other.restore(Box::new([Ok((Vec::new(), bytes))].into_iter())).unwrap();
    assert_eq!(other.permission().version(), first.version());
    write(&path, "subject,type,purpose\nben,HeartRate,research\n");
    assert!(stage.look(now(10)).unwrap()().unwrap().is_new);
    assert_eq!(stage.permission().version(), first.version(), "no checkpoint has it yet");
    stage.snapshot().unwrap();
    let second = stage.permission();
    assert_ne!(second.version(), first.version());
    assert!(!second.allows(&ada) && second.allows(&ben) && second.allows(&of("ada", deletion(1, None))));
    let both = first.and(second);
    assert!(!both.allows(&ada) && both.allows(&ben));
}

/// Scenario: what makes no sense. Guarantees: each is a problem at its place.
#[test]
fn problems_are_found_together() {
    let config: Config = toml::from_str("table = \"consents\"\npurpose = \"\"").unwrap();
    assert_eq!(key_paths(&config.check()), ["table", "purpose"]);
}
