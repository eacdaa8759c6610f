//! Hostile receivers, drawn from seeds.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use afferent::{
    Definition, Registry,
    runtime::{Runtime, RuntimeOptions},
};
use afferent_core::{
    CheckpointStore, Name,
    engine::{End, Outcome},
    event::EventKind,
    ledger::NO_TYPE,
    random::Random,
    testing::TestClock,
};
use afferent_tests::{
    given::{Given, Identity},
    receiver::{Authority, Fault, Protocol, Receiver, Script, Tally},
};

use crate::clock;

/// Scripts of each test, of which there are four; more with `AFFERENT_CASES`.
const SCRIPTS: u64 = 125;
/// Scripts at a time: while one waits for its disk or for its clock, others go on.
const AT_ONCE: usize = 8;
/// A script that takes so long, by its own clock, hangs.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Scenario: receivers, and networks before them, that do everything they do ([`Fault`]), drawn from a seed. Guarantees:
/// G1, G2, G3, G4, G8, G11: each record arrives once and unchanged, in the order of its subject and type, a deletion
/// after its addition; each record that is refused is one dead letter; the ledger balances, with the right numbers, also by type; refused credentials, and
/// nothing else, raise an alarm about credentials.
#[test]
fn hostile_receivers_0() {
    play_all(0);
}

/// Scenario and guarantees: as above, with other seeds.
#[test]
fn hostile_receivers_1() {
    play_all(1);
}

/// Scenario and guarantees: as above, with other seeds.
#[test]
fn hostile_receivers_2() {
    play_all(2);
}

/// Scenario and guarantees: as above, with other seeds.
#[test]
fn hostile_receivers_3() {
    play_all(3);
}

/// What happened over all scripts.
#[derive(Debug, Default)]
struct Sum {
    faults: Tally,
    requests: u64,
    repeats: u64,
    /// Scripts with an alarm about credentials.
    alarms: u64,
    records: usize,
}

/// Plays a quarter of all scripts, or the one that `AFFERENT_SEED` names. Every fault must really have been done.
fn play_all(quarter: u64) {
    let number = |variable| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let scripts = number("AFFERENT_CASES").unwrap_or(SCRIPTS);
    if let Some(seed) = number("AFFERENT_SEED") {
        play(seed, &Authority::new(), &mut Sum::default());
        return;
    }
    let (next, authority) = (AtomicU64::new(0), Authority::new());
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                let mut own = Sum::default();
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= scripts {
                        break;
                    }
                    play(case * 4 + quarter, &authority, &mut own);
                }
                let mut sum = sum.lock().unwrap();
                own.faults
                    .into_iter()
                    .for_each(|(fault, times)| *sum.faults.entry(fault).or_default() += times);
                sum.requests += own.requests;
                sum.repeats += own.repeats;
                sum.alarms += own.alarms;
                sum.records += own.records;
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("{sum:?}");
    for fault in Fault::all() {
        assert!(sum.faults.contains_key(&fault), "{fault:?} never happened: {:?}", sum.faults);
    }
    assert!(sum.alarms > 0, "refused credentials raise an alarm: {sum:?}");
    assert!(sum.repeats > scripts / 4, "bodies were sent again: {sum:?}");
}

/// Plays one script from its beginning to its end.
fn play(seed: u64, authority: &Authority, sum: &mut Sum) {
    let said = Seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        clock::run_while_at_rest();
        tokio::time::timeout(PATIENCE, run(seed, authority, sum)).await.expect("it comes to its end");
    });
    drop(said);
}

/// Says the seed of a script that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("AFFERENT_SEED={}", self.0);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own seed and files")]
async fn run(seed: u64, authority: &Authority, sum: &mut Sum) {
    let mut random = fastrand::Rng::with_seed(seed);
    let poison = if random.bool() { 0.0 } else { 0.02 };
    let count = random.usize(1..250);
    let given = Given::draw(count, poison, &mut random);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("ca.pem"), authority.pem()).unwrap();
    let script = Script::draw(&mut random);
    let token = script.unauthorized.map(|_| place.path().join("token"));
    let shape = Shape::draw(&mut random, &script);
    let wall = Arc::new(TestClock::default());
    let receiver =
        Receiver::start(script, given.poison.iter().cloned(), authority, token, wall.clone(), random.u64(..))
            .await;

    std::fs::write(place.path().join("in.ndjson"), given.files(count).collect::<String>()).unwrap();
    let random = Random::from_seed(random.u64(..));
    let options = RuntimeOptions { clock: wall, random, ..RuntimeOptions::default() };
    let runtime = Runtime::open(&place.path().join("state"), options).await.unwrap();
    let mut events = runtime.events();
    let text = shape.pipeline(&receiver, place.path());
    let definition =
        Definition::parse(&text, &place.path().join("uploads.toml"), &Registry::builtin(), &|_| None)
            .unwrap_or_else(|report| panic!("{report:?}\n{text}"));
    let mut spec = definition.spec().unwrap();
    spec.settings.limits.records = shape.pull;
    let outcome = runtime.run(spec).await.unwrap().wait().await.unwrap();
    let letters = runtime.store().dead_letters(&Name::from("uploads"), usize::MAX).await.unwrap();
    let keys = letters.into_iter().filter_map(|letter| letter.key).collect();
    runtime.shutdown(Duration::from_secs(60)).await.unwrap();
    let mut alarms = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::Alarm { message, .. } = event.kind {
            alarms.push(message);
        }
    }
    sum.alarms += u64::from(check_alarms(seed, &receiver, &alarms));
    check(seed, &given, &receiver, &outcome, keys);

    let books = receiver.books();
    for (fault, times) in &books.faults {
        *sum.faults.entry(*fault).or_default() += times;
    }
    sum.requests += books.requests;
    sum.repeats += books.repeats;
    sum.records += given.records.len();
}

fn check(seed: u64, given: &Given, receiver: &Receiver, outcome: &Outcome, mut dead: Vec<String>) {
    let books = receiver.books();
    assert_eq!(books.violations, Vec::<String>::new(), "seed {seed}");
    given.check(&books.committed).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    assert_eq!(outcome.end, End::Finished, "seed {seed}");
    let account = outcome.ledger.accounts["http"];
    assert!(outcome.ledger.is_balanced(), "seed {seed}: {account:?}");
    let numbers = [account.read, account.delivered, account.dead, account.pending];
    let expected = [given.records.len(), given.welcome(), given.poison.len(), 0];
    assert_eq!(numbers, expected.map(|number| number as u64), "seed {seed}: {account:?}");
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    for record in &books.committed {
        *types.entry(record["type"].as_str().unwrap_or(NO_TYPE)).or_default() += 1;
    }
    let rows = outcome.ledger.types["http"].0.iter().filter(|(_, row)| row.delivered > 0);
    let rows: BTreeMap<&str, u64> = rows.map(|(name, row)| (name.as_str(), row.delivered)).collect();
    assert_eq!(rows, types, "seed {seed}: of each type, what the receiver has");
    dead.sort_unstable();
    let refused: Vec<&Identity> = given.poison.iter().collect();
    assert!(
        dead.iter().eq(refused.iter().map(|(id, ..)| id)),
        "seed {seed}: dead are {dead:?}, refused {refused:?}"
    );
}

/// Whether refused credentials were alarmed; nothing else may raise that alarm.
fn check_alarms(seed: u64, receiver: &Receiver, alarms: &[String]) -> bool {
    let refused = receiver.books().faults.contains_key(&Fault::Unauthorized);
    let told = alarms.iter().any(|alarm| alarm.contains("credentials"));
    assert!(refused || !told, "seed {seed}: {alarms:?}");
    assert!(!alarms.iter().any(|alarm| alarm.contains(Receiver::SECRET)), "seed {seed}: a secret was told");
    told
}

/// How a pipeline uploads.
#[derive(Debug)]
struct Shape {
    epoch: u64,
    pull: usize,
    records: usize,
    lanes: usize,
    framing: &'static str,
    compression: &'static str,
    tls: bool,
    token: bool,
    delivery: &'static str,
    /// Requests a second.
    rate: Option<u64>,
}

impl Shape {
    fn draw(random: &mut fastrand::Rng, script: &Script) -> Shape {
        Shape {
            epoch: random.u64(1..100),
            pull: random.usize(1..50),
            records: random.usize(1..20),
            lanes: random.usize(1..6),
            framing: ["array", "lines"][random.usize(..2)],
            compression: ["none", "gzip", "zstd"][random.usize(..3)],
            tls: script.protocol != Protocol::Plain,
            token: script.unauthorized.is_some(),
            // Without deaths it promises the same.
            delivery: if random.f64() < 0.1 { "direct" } else { "outbox" },
            rate: (random.f64() < 0.1).then(|| random.u64(1..20)),
        }
    }

    fn pipeline(&self, receiver: &Receiver, place: &Path) -> String {
        let Shape { epoch, records, lanes, framing, compression, delivery, .. } = self;
        let url = receiver.url();
        let mut text = format!(
            "name = \"uploads\"\n[checkpoint]\nrecords = {epoch}\n\
             [[source]]\ntype = \"file\"\npath = \"in.ndjson\"\n\
             [[sink]]\ntype = \"http\"\nurl = \"{url}\"\nbatch = {{ records = {records} }}\nlanes = {lanes}\n\
             framing = \"{framing}\"\ncompression = \"{compression}\"\n\
             delivery = \"{delivery}\"\n\
             timeouts = {{ connect = \"5s\", read = \"5s\", total = \"8s\" }}\n"
        );
        if self.tls {
            text += &format!("tls = {{ ca = {:?} }}\n", place.join("ca.pem"));
        }
        if self.token {
            text += &format!("auth = {{ bearer = {{ file = {:?} }} }}\n", place.join("token"));
        }
        if let Some(rate) = self.rate {
            text += &format!("rate = {{ requests = {rate}, per = \"1s\" }}\n");
        }
        text
    }
}
