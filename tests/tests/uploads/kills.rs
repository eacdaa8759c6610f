//! `kill -9` of the sender.

use std::{
    collections::BTreeMap,
    io::Read,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use afferent_core::clock;
use afferent_tests::{
    given::Given,
    receiver::{Fault, Moment, Protocol, Script},
    sender::{Sender, UPLOAD},
};

use crate::BINARY;

/// Kills that must hit.
const KILLS: u32 = 100;
/// Those of them that must hit while the receiver has not got everything.
const IN_THE_MIDST: u32 = 60;
/// Kills of one sender, which then comes to its end.
const KILLS_OF_ONE: u32 = 25;
/// How long after an event a late kill comes, at most: about what saving acknowledgements takes, or starting.
const LATE: Duration = Duration::from_millis(60);

/// When a life ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    /// So long after its start.
    Early(Duration),
    /// At the so-manieth moment of a kind.
    At(Moment, u32),
    /// So long after the so-manieth answer.
    Late(u32, Duration),
    /// When it wants to.
    Never,
}

impl Plan {
    fn draw(random: &mut fastrand::Rng) -> Plan {
        let late = LATE.mul_f64(random.f64());
        match random.u32(..6) {
            0 => Plan::Early(late),
            1 => Plan::At(Moment::Connected, random.u32(1..4)),
            2 => Plan::At(Moment::Read, random.u32(1..10)),
            3 | 4 => Plan::At(Moment::Decided, random.u32(1..10)),
            _ => Plan::Late(random.u32(1..8), late),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Plan::Early(_) => "while it starts",
            Plan::At(Moment::Connected, _) => "when it has connected",
            Plan::At(Moment::Read, _) => "before a commit",
            Plan::At(Moment::Decided, _) => "between a commit and its answer",
            Plan::Late(..) => "after an answer",
            Plan::Never => "never",
        }
    }
}

/// The process that runs now.
#[derive(Debug)]
struct Life {
    /// Which of all.
    number: u32,
    child: Option<Child>,
    plan: Plan,
    moments: BTreeMap<&'static str, u32>,
    killed: bool,
}

impl Life {
    fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended; it is ours until it was waited for.
            self.killed |= child.kill().is_ok();
        }
    }

    /// Something has happened at the receiver; whether the process was killed for it.
    fn sees(&mut self, moment: Moment, of: &Arc<Mutex<Life>>) -> bool {
        let kind = match moment {
            Moment::Connected => "connected",
            Moment::Read => "read",
            Moment::Decided => "decided",
        };
        let count = self.moments.entry(kind).or_default();
        *count += 1;
        match self.plan {
            Plan::At(at, times) if at == moment && times == *count => {
                self.kill();
                self.killed
            }
            Plan::Late(times, wait) if moment == Moment::Decided && times == *count => {
                kill_late(of.clone(), self.number, wait);
                false
            }
            _ => false,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the test stands for the operating system")]
fn kill_late(life: Arc<Mutex<Life>>, number: u32, wait: Duration) {
    tokio::spawn(async move {
        clock::sleep(wait).await;
        let mut life = life.lock().unwrap();
        if life.number == number {
            life.kill();
        }
    });
}

/// A random number generator from `AFFERENT_SEED`, or from the operating system; its seed is printed.
#[allow(clippy::disallowed_methods, reason = "a test draws its own moments and says so")]
fn random() -> fastrand::Rng {
    let seed = std::env::var("AFFERENT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("AFFERENT_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Scenario: the sender is killed again and again, while it starts, before and after commits of its receiver and while it
/// saves what it was told, and the receiver is hostile meanwhile; then it comes to its end. Guarantees: G1, G2, G3, G5:
/// each record has arrived once and unchanged, in its order; each refused record is one dead letter; the ledger balances.
#[test]
fn a_killed_sender_loses_and_repeats_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut random = random();
    let (mut kills, mut in_the_midst, mut repeats) = (0, 0, 0);
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for round in 0.. {
        if kills >= KILLS {
            break;
        }
        assert!(round < 30, "only {kills} of {KILLS} kills hit");
        let given = Given::draw(600, 0.01, &mut random);
        let protocol = [Protocol::Plain, Protocol::Http2][round % 2];
        let odds =
            [Fault::ServerError, Fault::CutBeforeCommit, Fault::CutAfterCommit].map(|fault| (fault, 0.02));
        let script = Script { protocol, odds: odds.into(), most_records: 4, ..Script::default() };
        let sender = runtime.block_on(Sender::new(BINARY, given, script, 10, random.u64(..)));
        let life = Arc::new(Mutex::new(Life {
            number: 0,
            child: None,
            plan: Plan::Never,
            moments: BTreeMap::new(),
            killed: false,
        }));
        let seen = life.clone();
        sender.receiver.tell(Box::new(move |moment| seen.lock().unwrap().sees(moment, &seen)));
        for number in 1.. {
            let plan = if number > KILLS_OF_ONE { Plan::Never } else { Plan::draw(&mut random) };
            let mut stdout = {
                // Nothing is seen of it before its plan is known.
                let mut life = life.lock().unwrap();
                let command = &mut sender.place.command(UPLOAD);
                let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                let stdout = child.stdout.take().unwrap();
                *life = Life { number, child: Some(child), plan, moments: BTreeMap::new(), killed: false };
                stdout
            };
            if let Plan::Early(wait) = plan {
                runtime.block_on(async { kill_late(life.clone(), number, wait) });
            }
            let mut said = String::new();
            stdout.read_to_string(&mut said).unwrap();
            let (status, killed) = {
                let mut life = life.lock().unwrap();
                let status = life.child.take().unwrap().wait().unwrap();
                (status, life.killed)
            };
            match status.code() {
                // 65: there are dead letters of this run.
                Some(code) => {
                    assert!(code == 0 || code == 65, "after {number} lives: {status}");
                    let checked = runtime.block_on(sender.check(&said));
                    checked.unwrap_or_else(|wrong| panic!("after {number} lives: {wrong}"));
                    break;
                }
                None => {
                    assert!(killed, "after {number} lives: {status}");
                    kills += 1;
                    *kinds.entry(plan.kind()).or_default() += 1;
                    let got = sender.receiver.books().committed.len();
                    in_the_midst += u32::from(got < sender.given.welcome());
                }
            }
        }
        repeats += sender.receiver.books().repeats;
    }
    println!("{kills} kills, {in_the_midst} in the midst, {kinds:?}; {repeats} bodies were sent again");
    assert!(in_the_midst >= IN_THE_MIDST, "{in_the_midst} of {kills} kills hit in the midst");
    assert_eq!(kinds.len(), 5, "kills of each kind hit: {kinds:?}");
    assert!(repeats > 0, "bodies were sent again");
}
