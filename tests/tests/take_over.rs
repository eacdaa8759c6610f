//! An owner is stopped (SIGSTOP) anywhere, another takes over and runs to the end, the first goes on (SIGCONT): it changes
//! nothing, in the checkpoint store, in files, in SQLite and at the receiver of an upload, and ends by itself as fenced.
//!
//! SQLite's write lock can't be passed over: where the first was stopped inside a transaction, the other waits for it. Then
//! the first goes on while the other still waits, and what is compared is the end.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests, though most of them not in the functions that are")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, mpsc},
    time::Duration,
};

use afferent::sinks::upload;
use afferent_core::{clock::SystemClock, engine, ledger::Account};
use afferent_tests::{
    Place, Ran, Running,
    given::Given,
    receiver::{Authority, Receiver, Script},
    records::rows,
    shared_store::SharedStore,
    timed,
};
use nix::{
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid},
    unistd::Pid,
};
use serde_json::Value;

const OWNER: &str = env!("CARGO_BIN_EXE_afferent-owner");
const AFFERENT: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// Random moments; more with `AFFERENT_CASES`.
const MOMENTS: usize = 24;
/// Cases at a time: most of them wait for the disk.
const AT_ONCE: usize = 3;
/// What each case reads.
const RECORDS: usize = 120;
/// Records of an epoch, which are a file each.
const EPOCH: usize = 12;

/// When the first owner is stopped.
#[derive(Clone, Debug)]
enum Stop {
    /// After this share of the time that an undisturbed run takes.
    After(f64),
    /// At a crash point, for the so-manieth time.
    At(String),
}

/// What a pipeline has put where others can see it.
#[derive(Debug, PartialEq)]
struct Shown {
    files: BTreeMap<PathBuf, Vec<u8>>,
    rows: Vec<String>,
    received: Vec<Value>,
    store: Vec<u8>,
}

/// A pipeline, what it reads, and its receiver.
struct World {
    place: Place,
    given: Given,
    receiver: Receiver,
    sqlite: bool,
}

impl World {
    async fn new(sqlite: bool, seed: u64) -> World {
        let mut random = seeded(seed);
        let mut given = Given::draw(RECORDS, 0.0, &mut random);
        given.poison = given.untouched().into_iter().step_by(15).collect();
        let (place, authority) = (Place::new(OWNER), Authority::new());
        let clock = SystemClock::shared();
        let poison = given.poison.iter().cloned();
        let receiver = Receiver::start(Script::default(), poison, &authority, None, clock, seed).await;
        for (number, file) in given.files(EPOCH).enumerate() {
            place.write(&format!("in/{number:04}.ndjson"), file);
        }
        let mut text = format!(
            r#"
name = "handed-over"
[checkpoint]
records = {EPOCH}
[[source]]
type = "file"
path = "in/*.ndjson"
[[sink]]
type = "file"
name = "whole"
path = "out/whole.ndjson"
[[sink]]
type = "file"
name = "rolled"
path = "out/rolled/it.ndjson"
roll = {{ size = "2KiB" }}
[[sink]]
type = "file"
name = "types"
path = "out/types/{{type}}.ndjson"
[[sink]]
type = "http"
url = "{}"
batch = {{ records = 5 }}
lanes = 3
"#,
            receiver.url()
        );
        if sqlite {
            text += "[[sink]]\ntype = \"sqlite\"\npath = \"out/health.db\"\n";
        }
        place.write("pipeline.toml", text);
        SharedStore::open(&place.path().join("store.db")).unwrap();
        World { place, given, receiver, sqlite }
    }

    fn database(&self) -> PathBuf {
        self.place.path().join("out/health.db")
    }

    fn start(&self, arguments: &[&str], stop_at: Option<&str>) -> Running {
        let mut command = self.place.command(arguments);
        command.envs(stop_at.map(|plan| ("AFFERENT_STOP_AT", plan)));
        Running::start(command)
    }

    /// What others can see now. Files are seen by what they hold: where rolled ones end differs, and empty ones are none.
    fn shown(&self) -> Shown {
        let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        let mut found = Vec::new();
        for folder in ["", "rolled", "types"] {
            let Ok(entries) = fs::read_dir(self.place.path().join("out").join(folder)) else { continue };
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        // Rolled files in their order.
        found.sort();
        for path in found {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name.contains(".db") || path.is_dir() {
                continue;
            }
            let folder = path.parent().unwrap();
            let shown = if folder.ends_with("rolled") { folder.to_owned() } else { path.clone() };
            let shown = shown.strip_prefix(self.place.path()).unwrap().to_owned();
            files.entry(shown).or_default().extend(fs::read(&path).unwrap());
        }
        files.retain(|_, bytes| !bytes.is_empty());
        let rows = if self.sqlite { rows(&self.database()) } else { Vec::new() };
        let received = self.receiver.books().committed.clone();
        let store = SharedStore::content(&self.place.path().join("store.db")).unwrap();
        Shown { files, rows, received, store }
    }

    /// Checks what `shown` is in the end, and the accounts that the last owner has printed.
    fn check(&self, shown: &Shown, undisturbed: &Shown, ran: &Ran, what: &str) {
        assert_eq!(self.receiver.books().violations, Vec::<String>::new(), "{what}");
        self.given.check(&shown.received).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        for (path, expected) in &undisturbed.files {
            let found = shown.files.get(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            assert_eq!(found.as_deref(), str::from_utf8(expected).ok(), "{what}: {}", path.display());
        }
        assert_eq!(shown.files.len(), undisturbed.files.len(), "{what}: no other files");
        if self.sqlite {
            assert_eq!(shown.rows, undisturbed.rows, "{what}");
        }
        assert!(!ran.stderr.contains("alarm"), "{what}: {}", ran.stderr);
        let accounts: BTreeMap<String, Account> = serde_json::from_str(ran.stdout.trim()).unwrap();
        for (sink, account) in accounts {
            let dead = if sink == "http" { self.given.poison.len() } else { 0 };
            assert!(account.is_balanced(), "{what}: {sink}: {account:?}");
            let numbers = (account.read, account.dead, account.pending);
            assert_eq!(numbers, (RECORDS as u64, dead as u64, 0), "{what}: {sink}");
        }
    }
}

/// Waits until the process is stopped, or has ended; whether it is stopped.
fn is_stopped(running: &Running) -> bool {
    let id = Id::Pid(Pid::from_raw(i32::try_from(running.id()).unwrap()));
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    matches!(waitid(id, flags).unwrap(), WaitStatus::Stopped(..))
}

/// Whether somebody is inside a transaction that writes.
fn is_locked(database: &Path) -> bool {
    if !database.exists() {
        return false;
    }
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
}

fn wait(time: Duration) {
    let (_sender, never) = mpsc::channel::<()>();
    // It ends by its time-out.
    let _ = never.recv_timeout(time);
}

/// What came of a case.
#[derive(Debug, Default, Clone, Copy)]
struct Came {
    /// The first owner was stopped before its end.
    stopped: u32,
    /// The other waited for it to leave a transaction.
    waited: u32,
    /// The first ended as fenced.
    fenced: u32,
}

/// One case: `undisturbed` is what the same pipeline shows that nobody stops.
fn hand_over(world: &World, undisturbed: &Shown, stop: &Stop, length: Duration) -> Came {
    let what = format!("{stop:?}, sqlite: {}", world.sqlite);
    let first = match stop {
        Stop::After(share) => {
            let first = world.start(&["."], None);
            wait(length.mul_f64(*share));
            first.signal("STOP");
            first
        }
        Stop::At(plan) => world.start(&["."], Some(plan)),
    };
    let mut stopped = is_stopped(&first);
    // A store that is shared in this way can't be used while somebody is stopped in it.
    while stopped && is_locked(&world.place.path().join("store.db")) {
        first.signal("CONT");
        wait(Duration::from_millis(1));
        first.signal("STOP");
        stopped = is_stopped(&first);
    }
    if !stopped {
        first.end().exits(0);
        return Came::default();
    }
    let waits = world.sqlite && is_locked(&world.database());
    let mut second = world.start(&[".", "--take-over"], None);
    let (ran, zombie) = if waits {
        second.says("another writer holds the database");
        first.signal("CONT");
        let zombie = first.end();
        (second.end(), zombie)
    } else {
        let ran = second.end();
        let before = world.shown();
        first.signal("CONT");
        let zombie = first.end();
        assert!(before == world.shown(), "{what}: the first has changed something: {}", zombie.stderr);
        (ran, zombie)
    };
    let ran = ran.exits(0);
    // Stopped after its last save, it may come to its end without another word.
    assert!(matches!(zombie.code, Some(75 | 0)), "{what}: {zombie:?}");
    world.check(&world.shown(), undisturbed, &ran, &what);
    let requests = world.receiver.books().requests;
    let again = world.start(&["."], None).end().exits(0);
    world.check(&world.shown(), undisturbed, &again, &format!("{what}, afterwards"));
    assert_eq!(world.receiver.books().requests, requests, "{what}: nothing was left to send");
    Came { stopped: 1, waited: u32::from(waits), fenced: u32::from(zombie.code == Some(75)) }
}

/// Hands over at all `stops`, with and without SQLite in turn; the seed of each is its number.
fn hand_over_at(stops: Vec<Stop>) -> Came {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (cases, came) = (Mutex::new(stops.into_iter().enumerate()), Mutex::new(Came::default()));
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some((seed, stop)) = next(&cases) {
                    let sqlite = seed % 3 == 2;
                    let seed = seed as u64;
                    let quiet = runtime.block_on(World::new(sqlite, seed));
                    let (ran, length) = timed(|| quiet.start(&["."], None).end());
                    let (ran, undisturbed) = (ran.exits(0), quiet.shown());
                    quiet.check(&undisturbed, &undisturbed, &ran, "undisturbed");
                    let world = runtime.block_on(World::new(sqlite, seed));
                    let one = hand_over(&world, &undisturbed, &stop, length);
                    let mut came = came.lock().unwrap();
                    came.stopped += one.stopped;
                    came.waited += one.waited;
                    came.fenced += one.fenced;
                }
            });
        }
    });
    came.into_inner().unwrap()
}

fn next<T>(cases: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    cases.lock().unwrap().next()
}

#[allow(clippy::disallowed_methods, reason = "the test's own seed")]
fn seeded(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}

/// Scenario: the owner is stopped at random moments, from its start to its end; another takes over and runs to the end; the
/// first goes on. Guarantees: G1, G2, G3, G10: nothing changes after it goes on, it ends as fenced, and in the end everything
/// is as if nobody had been stopped.
#[test]
#[allow(clippy::print_stdout, reason = "a test draws its own moments and says so")]
fn a_stopped_owner_changes_nothing() {
    let seed: u64 = std::env::var("AFFERENT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let count = std::env::var("AFFERENT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(MOMENTS);
    println!("AFFERENT_SEED={seed}");
    let mut random = seeded(seed);
    // Spread over the whole run, so that every phase is hit.
    let stops = (0..count).map(|number| Stop::After((number as f64 + random.f64()) / count as f64)).collect();
    let came = hand_over_at(stops);
    println!("{came:?} of {count}");
    assert!(came.stopped as usize * 10 >= count * 7, "{came:?}");
    assert!(came.fenced * 4 >= came.stopped * 3, "{came:?}");
}

/// Scenario: the owner is stopped at each crash point of the engine and of uploads, in its start, and later where it comes
/// by again. Guarantees: the same.
#[test]
#[allow(clippy::print_stdout, reason = "a test says what came of it")]
fn an_owner_that_is_stopped_at_any_point_changes_nothing() {
    let points = engine::CRASH_POINTS.iter().chain(upload::CRASH_POINTS);
    let stops: Vec<Stop> = points
        .flat_map(|point| {
            let again = point.starts_with("close.") || point.starts_with("upload.");
            [1, 3].into_iter().filter(move |times| *times == 1 || again).map(move |times| (point, times))
        })
        .filter(|(point, times)| *times == 1 || **point != "upload.opened")
        .map(|(point, times)| Stop::At(format!("{point} {times}")))
        .collect();
    let count = stops.len();
    let came = hand_over_at(stops);
    println!("{came:?} of {count}");
    // Restoring what was never saved, and the third refusal, are not met.
    assert!(came.stopped as usize + 4 >= count, "{came:?} of {count}");
    assert!(came.fenced * 4 >= came.stopped * 3, "{came:?}");
}

const FEED: &str = r#"
name = "feed"
[[source]]
type = "file"
path = "in.ndjson"
follow = true
[[sink]]
type = "file"
path = "out.ndjson"
"#;

/// Scenario: the state directory is held by a process that runs, by one that was stopped, and by one that the lock does not
/// name rightly. Guarantees: the second is told who holds it and how to take over; the first is ended, as a signal ends it, or
/// killed when it does not answer; nothing is lost or repeated; a process that does not have the lock is left alone.
#[test]
fn the_command_ends_who_holds_the_directory() {
    let place = Place::new(AFFERENT);
    place.write("in.ndjson", afferent_tests::records::lines(0..100));
    place.write("feed.toml", FEED);
    let run = ["run", "feed.toml", "-v"];
    let until_idle = ["run", "feed.toml", "--until-idle"];
    let take_over = ["run", "feed.toml", "--until-idle", "--take-over"];
    let wait_for_lines = |lines: usize| {
        let path = place.path().join("out.ndjson");
        while fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < lines {
            wait(Duration::from_millis(5));
        }
    };

    let first = place.start(&run);
    wait_for_lines(100);
    let refused = place.run(&until_idle).exits(73);
    assert!(refused.stderr.contains(&format!("process {}", first.id())), "{}", refused.stderr);
    assert!(refused.stderr.contains("--take-over"), "{}", refused.stderr);
    place.run(&take_over).exits(0);
    first.end().exits(143);

    place.write("in.ndjson", afferent_tests::records::lines(0..200));
    let first = place.start(&run);
    wait_for_lines(200);
    first.signal("STOP");
    assert!(is_stopped(&first));
    place.write("in.ndjson", afferent_tests::records::lines(0..300));
    place.run(&take_over).exits(0);
    assert_eq!(first.end().code, None, "it was killed");
    assert_eq!(place.read("out.ndjson").lines().count(), 300);

    let first = place.start(&run);
    // It writes its id after it has taken the lock.
    let lock = place.path().join("state/lock");
    while fs::read_to_string(&lock).unwrap() != first.id().to_string() {
        wait(Duration::from_millis(5));
    }
    place.write("state/lock", std::process::id().to_string());
    let refused = place.run(&take_over).exits(73);
    assert!(refused.stderr.contains("does not have it open"), "{}", refused.stderr);
    place.write("state/lock", first.id().to_string());
    place.run(&take_over).exits(0);
    first.end();
    assert_eq!(place.read("out.ndjson").lines().count(), 300);
}
