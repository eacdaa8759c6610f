//! A process that owns a pipeline whose checkpoints are in a store that others share: `afferent-owner DIRECTORY
//! [--take-over]` runs `pipeline.toml` of the directory to its end, and prints its accounts.
//!
//! With `AFFERENT_STOP_AT="close.saved 2"` it stops itself, as SIGSTOP does, when it comes to that crash point for the second
//! time.

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use afferent::{Definition, Registry};
use afferent_core::{
    Error, ErrorKind, Result,
    clock::SystemClock,
    disk::OsDisk,
    engine::{self, Claim, EngineCx, Outcome},
    event::Events,
    mailbox::mailbox,
    queue::disk::Queues,
    random::Random,
};
use afferent_tests::shared_store::SharedStore;
use nix::sys::signal::{Signal, raise};

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]
fn main() -> ExitCode {
    if let Ok(plan) = std::env::var("AFFERENT_STOP_AT") {
        stop_at(&plan);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let claim = match arguments.get(1).map(String::as_str) {
        Some("--take-over") => Claim::taking_over(),
        _ => Claim::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.expect("a runtime").block_on(own(Path::new(&arguments[0]), claim)) {
        Ok(outcome) => {
            println!("{}", serde_json::to_string(&outcome.ledger.accounts).expect("accounts are plain data"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}: {:?}", std::error::Error::source(&error));
            ExitCode::from(if error.kind() == ErrorKind::Fenced { 75 } else { 1 })
        }
    }
}

async fn own(directory: &Path, claim: Claim) -> Result<Outcome> {
    let bad = |_| Error::config("the pipeline of the test is wrong");
    let definition = Definition::read(&directory.join("pipeline.toml"), &Registry::builtin()).map_err(bad)?;
    let spec = definition.spec().map_err(bad)?;
    let (_mailbox, commands) = mailbox();
    let (events, mut heard) = Events::alone(spec.name.clone());
    let store = Arc::new(SharedStore::open(&directory.join("store.db"))?);
    let cx = EngineCx {
        pipeline: spec.name.clone(),
        settings: spec.settings,
        queues: Queues::new(OsDisk::shared(), directory.join("queues"), store.clone()),
        store,
        claim,
        clock: SystemClock::shared(),
        disk: OsDisk::shared(),
        random: Random::from_os(),
        directory: directory.join("stages"),
        mailbox: commands,
        events,
        kill: Default::default(),
    };
    let factory = spec.factory.clone();
    let mut run = Box::pin(engine::run(cx, move || factory()));
    loop {
        tokio::select! {
            ended = &mut run => return ended,
            Ok(event) = heard.recv() => tell(&event.kind),
        }
    }
}

/// What the test may wait for, or must not find.
#[allow(clippy::print_stderr, reason = "it is a command")]
fn tell(event: &afferent_core::event::EventKind) {
    use afferent_core::event::EventKind;
    match event {
        EventKind::Retrying { error, .. } => eprintln!("retrying: {error}"),
        EventKind::Alarm { message, .. } => eprintln!("alarm: {message}"),
        EventKind::Started { generation, .. } => eprintln!("started as generation {generation}"),
        _ => {}
    }
}

fn stop_at(plan: &str) {
    let (point, times) = plan.split_once(' ').expect("a crash point and a number");
    let left = AtomicU32::new(times.parse().expect("a number"));
    let count_down = move || {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            raise(Signal::SIGSTOP).expect("a process may stop itself");
        }
    };
    fail::cfg_callback(point, count_down).expect("a crash point can be told what to do");
}
