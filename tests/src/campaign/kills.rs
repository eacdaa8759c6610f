//! `kill -9` of the real command at random moments, a fifth of them while it recovers from the last, before a hostile receiver
//! and with real files: mock HealthKit → filter, dedupe → SQLite, NDJSON and an upload, all at once; of every other seed the
//! upload is a pipeline of its own, and a queue joins them.
//!
//! Moments are scaled to the length of an undisturbed run, so that kills hit on any machine. In the end the file is the
//! undisturbed one byte for byte, the database row by row, the account number by number; and the receiver has each record
//! once, unchanged and in order. Only what SQLite calls *superseded* may be *delivered* there, and the other way round: an addition
//! that is replayed finds the tombstone that its first time has left.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use afferent_core::clock::SystemClock;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    Case,
    machine::{pause, runtime, seeded},
};
use crate::{
    Place,
    given::{Given, identity},
    receiver::{Authority, Fault, Protocol, Receiver, Script},
    records::rows,
};

/// Kills of one place, which then comes to its end.
const KILLS: u64 = 10;
/// One kill in so many comes while the process recovers.
const RECOVERING: u64 = 5;
/// Of an undisturbed run, the part in which a process recovers.
const START: f64 = 0.15;
/// How long a process may take that nobody kills: far longer than any does.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command; its accounts are on stdout.
const RUN: &[&str] = &["run", "vitals.toml", "--until-idle", "-o", "json"];
/// The command where the upload is a pipeline of its own.
const RUN_JOINED: &[&str] = &["run", "vitals.toml", "uploads.toml", "--until-idle", "-o", "json"];
/// What the file and the database are called.
const FILE: &str = "out/vitals.ndjson";
const DATABASE: &str = "out/vitals.db";

/// How the upload gets its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    /// It is in the pipeline that reads them.
    None,
    /// Through a queue, in a pipeline of its own.
    Queue,
}

/// What joins the two pipelines.
const QUEUE: &str = "type = \"queue\"\nqueue = \"between\"\n";

fn upload(url: &str, tls: bool) -> String {
    let tls = if tls { "tls = { ca = \"ca.pem\" }\n" } else { "" };
    format!(
        r#"
type = "http"
url = "{url}"
batch = {{ records = 60 }}
timeouts = {{ connect = "2s", read = "2s", total = "3s" }}
{tls}"#
    )
}

fn pipeline(last_sink: &str) -> String {
    format!(
        r#"
name = "vitals"

[checkpoint]
every = "30ms"

[[source]]
type  = "healthkit"
store = {{ type = "mock", seed = 17, days = 3, users = 3, edits = 0.05, deletions = 0.05 }}
types = ["*"]

[[transform]]
type = "filter"
when = "type != 'HeartRate' || value > 50.0"

[[transform]]
type = "dedupe"

[[sink]]
type = "sqlite"
path = "{DATABASE}"

[[sink]]
type = "file"
path = "{FILE}"

[[sink]]
{last_sink}"#
    )
}

/// What an undisturbed run gives.
#[derive(Debug)]
struct Undisturbed {
    given: Given,
    file: String,
    rows: Vec<String>,
    accounts: Vec<Value>,
    takes: Duration,
}

/// A place and its receiver.
struct Field {
    /// What its receiver runs on.
    _runtime: Runtime,
    joint: Joint,
    place: Place,
    receiver: Receiver,
}

impl Field {
    fn new(joint: Joint, binary: &str, script: Script, seed: u64) -> Field {
        let (place, authority) = (Place::new(binary), Authority::new());
        let tls = script.protocol != Protocol::Plain;
        let runtime = runtime();
        let receiver =
            runtime.block_on(Receiver::start(script, [], &authority, None, SystemClock::shared(), seed));
        place.write("ca.pem", authority.pem());
        let upload = upload(receiver.url(), tls);
        if joint == Joint::Queue {
            let head = "name = \"uploads\"\n[checkpoint]\nevery = \"30ms\"\n";
            place.write("uploads.toml", format!("{head}[[source]]\n{QUEUE}[[sink]]\n{upload}"));
        }
        place.write("vitals.toml", pipeline(if joint == Joint::Queue { QUEUE } else { &upload }));
        place.write("out/.here", "");
        Field { _runtime: runtime, joint, place, receiver }
    }

    /// One process, which is killed `after` so long unless it has ended.
    fn live(&self, after: Duration) -> Lived {
        let command = if self.joint == Joint::Queue { RUN_JOINED } else { RUN };
        Lived::run(self.place.command(command), after)
    }

    fn rows(&self) -> Vec<String> {
        rows(&self.place.path().join(DATABASE))
    }
}

/// What became of a process.
#[derive(Debug)]
pub(super) struct Lived {
    /// `None` when it was killed.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    /// From its start until its pipeline ran, if it came to that.
    pub(super) recovery: Option<Duration>,
    /// Whether it panicked, or said that it found a defect.
    pub(super) defect: Option<String>,
}

impl Lived {
    /// Runs `command`, and kills it with SIGKILL after `after` unless it has ended by then.
    #[allow(clippy::disallowed_methods, reason = "measures another process")]
    pub(super) fn run(mut command: Command, after: Duration) -> Lived {
        command.env("AFFERENT_LOG", "afferent_core=info").stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().expect("the command starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut stdout = child.stdout.take().expect("it is piped");
        let heard = Arc::new(Mutex::new((None, None)));
        let hears = heard.clone();
        let listener = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut heard = hears.lock().unwrap_or_else(PoisonError::into_inner);
                if line.contains(": started") {
                    heard.0.get_or_insert_with(|| began.elapsed());
                }
                if line.contains("panicked") || line.contains("a defect") {
                    heard.1.get_or_insert(line);
                }
            }
        });
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            // What a killed process was about to say is of no use.
            let _ = stdout.read_to_string(&mut text);
            text
        });
        let deadline = began + after;
        let status = loop {
            if let Some(status) = child.try_wait().expect("it is ours") {
                break status;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // It may have ended by now.
                let _ = child.kill();
                break child.wait().expect("it is ours");
            }
            pause(left.min(Duration::from_millis(5)));
        };
        let stdout = reader.join().expect("it only reads");
        listener.join().expect("it only reads");
        let (recovery, defect) = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        Lived { code: status.code(), stdout, recovery, defect }
    }

    pub(super) fn accounts(&self) -> Vec<Value> {
        let read = |line| {
            let mut account: Value = serde_json::from_str(line).unwrap_or_default();
            // How often it was saved is no one's account.
            if let Some(account) = account.as_object_mut() {
                account.remove("epochs");
                if account["sink"] == "sqlite" {
                    let superseded = account.remove("superseded").and_then(|number| number.as_u64());
                    let delivered =
                        account["delivered"].as_u64().zip(superseded).map(|(one, other)| one + other);
                    account.insert("delivered".to_owned(), delivered.into());
                }
            }
            account
        };
        let mut accounts: Vec<Value> = self.stdout.lines().map(read).collect();
        // Of two pipelines either may be the first to end.
        accounts.sort_by_key(|account| account["pipeline"].to_string());
        accounts
    }
}

fn undisturbed(joint: Joint, binary: &str) -> &'static Undisturbed {
    static ONCE: [OnceLock<Undisturbed>; 2] = [const { OnceLock::new() }; 2];
    ONCE[joint as usize].get_or_init(|| {
        let field = Field::new(joint, binary, Script::default(), 0);
        let (lived, takes) = crate::timed(|| field.live(PATIENCE));
        assert_eq!(lived.code, Some(0), "an undisturbed run comes to its end: {lived:?}");
        let file = field.place.read(FILE);
        let records = file.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        let given = Given { records: records.expect("lines of JSON"), poison: Default::default() };
        given.check(&field.receiver.books().committed).expect("an undisturbed run is right");
        Undisturbed { given, file, rows: field.rows(), accounts: lived.accounts(), takes }
    })
}

/// How far a place is, after each of its lives.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Records that its receiver has.
    pub received: u64,
    /// Records that it will have.
    pub given: u64,
    /// Records that it has more than once.
    pub duplicated: u64,
    /// How long the last life took to run again, if it followed a kill and came to that.
    pub recovery: Option<Duration>,
    /// Whether the last life was killed.
    pub killed: bool,
}

/// Plays one seed: a place that is killed again and again, and then comes to its end.
pub fn play(seed: u64, binary: &str) -> Case {
    watch(seed, binary, |_| {})
}

/// As [`play`], and tells `watcher` after each life.
pub fn watch(seed: u64, binary: &str, mut watcher: impl FnMut(Seen)) -> Case {
    let mut random = seeded(seed);
    let mut case = Case::default();
    let joint = [Joint::None, Joint::Queue][(seed % 2) as usize];
    if joint == Joint::Queue {
        case.note("pipelines joined by a queue");
    }
    let expected = undisturbed(joint, binary);
    case.records = expected.given.welcome() as u64;
    let share = random.f64() * 0.03;
    let odds =
        [Fault::ServerError, Fault::CutBeforeCommit, Fault::CutAfterCommit, Fault::ServerErrorAfterCommit];
    let script = Script {
        protocol: [Protocol::Plain, Protocol::Http2][random.usize(..2)],
        odds: odds.map(|fault| (fault, share)).into(),
        ..Script::default()
    };
    let field = Field::new(joint, binary, script, random.u64(..));
    let mut is_after_kill = false;
    for number in 0.. {
        let recovers = random.u64(..RECOVERING) == 0 && is_after_kill;
        let part = if recovers { random.f64() * START } else { START + random.f64() * 0.85 };
        let after = if number < KILLS { expected.takes.mul_f64(part) } else { PATIENCE };
        let lived = field.live(after);
        let recovery = lived.recovery.filter(|_| is_after_kill);
        case.recoveries.extend(recovery);
        watcher(seen(&field, expected, recovery, lived.code.is_none()));
        if let Some(defect) = &lived.defect {
            case.blame(defect.clone());
        }
        match lived.code {
            None if number >= KILLS => {
                case.blame(format!("it is still there after {PATIENCE:?}"));
                break;
            }
            None => {
                case.faults += 1;
                is_after_kill = true;
                if recovers {
                    case.note("kills while it recovered");
                }
            }
            Some(0) => {
                compare(&field, &lived, expected, &mut case);
                break;
            }
            Some(code) => {
                case.blame(format!("it ended with {code} after {number} kills"));
                break;
            }
        }
    }
    case
}

fn seen(field: &Field, expected: &Undisturbed, recovery: Option<Duration>, killed: bool) -> Seen {
    let committed = &field.receiver.books().committed;
    let distinct = committed.iter().map(identity).collect::<BTreeSet<_>>().len() as u64;
    let received = committed.len() as u64;
    let given = expected.given.welcome() as u64;
    Seen { received, given, duplicated: received - distinct, recovery, killed }
}

fn compare(field: &Field, lived: &Lived, expected: &'static Undisturbed, case: &mut Case) {
    let books = field.receiver.books();
    case.add("bodies sent again", books.repeats);
    case.add("faults of the receiver", books.faults.values().sum());
    if let Some(violation) = books.violations.first() {
        case.blame(violation.clone());
    }
    let difference = expected.given.difference(&books.committed);
    (case.lost, case.duplicated) = (difference.lost, difference.duplicated);
    if let Some(wrong) = difference.first {
        case.blame(format!("at the receiver: {wrong}"));
    }
    let (file, rows) = (field.place.read(FILE), field.rows());
    let all_of = |rows: &'static [String]| rows.iter().map(String::as_str).collect::<Vec<_>>();
    let lines = (file.lines().collect::<Vec<_>>(), expected.file.lines().collect::<Vec<_>>());
    let rows = (rows.iter().map(String::as_str).collect::<Vec<_>>(), all_of(&expected.rows));
    for (what, (found, expected)) in [("file", lines), ("database", rows)] {
        if found == expected {
            continue;
        }
        let (lost, duplicated) = missing_and_repeated(&expected, &found);
        case.lost += lost;
        case.duplicated += duplicated;
        case.blame(format!("the {what}: {} of {} lines, or another order", found.len(), expected.len()));
    }
    let accounts = lived.accounts();
    if accounts != expected.accounts {
        case.blame(format!("the accounts: {accounts:?}, expected {:?}", expected.accounts));
    }
}

/// How many of `expected` are not among `found`, and how many of these are there again.
fn missing_and_repeated(expected: &[&str], found: &[&str]) -> (u64, u64) {
    let mut times = std::collections::BTreeMap::<&str, u64>::new();
    found.iter().for_each(|line| *times.entry(line).or_default() += 1);
    let missing = expected.iter().filter(|line| !times.contains_key(*line)).count();
    (missing as u64, times.values().map(|times| times - 1).sum())
}
