//! Fuzzing: what must hold of any input of every parser, and a fuzzer that needs nothing but a stable compiler.
//!
//! A [`Target`] takes any bytes, checks what must hold of them, and panics if it does not: no panic of the parser; an error has a
//! place and says something; what was read survives being written and read again. `tests/fuzz/fuzz_targets` hands the same functions
//! to libFuzzer (`scripts/fuzz`), `tests/tests/corpus.rs` plays the corpora, and `tests/tests/campaign` and `scripts/campaign`
//! run [`fuzz`] for seconds and for hours.

mod checkpoint;
mod dialects;
mod expressions;
mod files;
mod mutate;
mod records;
mod segment;
mod webhook;

use std::{
    any::Any,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mutate::Pool;

use crate::campaign::panics;

/// A parser and what must hold of any input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its corpus, too.
    pub name: &'static str,
    /// Takes any bytes; how they behaved, as a number: inputs that behave differently are worth keeping.
    pub check: fn(&[u8]) -> u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "wire", check: records::wire },
    Target { name: "csv", check: records::csv },
    Target { name: "msgpack", check: dialects::msgpack },
    Target { name: "health_kit_reporter", check: dialects::health_kit_reporter },
    Target { name: "health_auto_export", check: dialects::health_auto_export },
    Target { name: "react_native_healthkit", check: dialects::react_native_healthkit },
    Target { name: "flutter_health", check: dialects::flutter_health },
    Target { name: "open_wearables", check: dialects::open_wearables },
    Target { name: "health_connect", check: dialects::health_connect },
    Target { name: "vendors", check: dialects::vendors },
    Target { name: "export", check: files::export },
    Target { name: "toml", check: files::toml },
    Target { name: "cel", check: expressions::cel },
    Target { name: "segment", check: segment::segment },
    Target { name: "checkpoint", check: checkpoint::checkpoint },
    Target { name: "webhook_body", check: webhook::body },
    Target { name: "webhook_signature", check: webhook::signature },
];

/// The longest that one input may take. It takes milliseconds; this is for a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(10);

/// The target of this name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("no target is named {name}"))
}

/// Where the corpus of a target is.
pub fn corpus(target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

/// What is in the corpus of a target, in the order of its files' names.
///
/// # Panics
/// If it can't be read.
pub fn inputs(target: Target) -> Vec<Vec<u8>> {
    let folder = std::fs::read_dir(corpus(target)).expect("the corpus");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("an input")).collect()
}

/// What fuzzing did.
#[derive(Clone, Debug, Default)]
pub struct Fuzzed {
    /// Inputs that were tried.
    pub inputs: u64,
    /// Ways in which they behaved.
    pub behaviours: u64,
    /// An input that must not behave as it did, where it was put, and what it did.
    pub found: Option<(PathBuf, String)>,
}

/// Fuzzes `target` for so long, from its corpus on, or until something is found.
#[allow(clippy::disallowed_methods, reason = "how long fuzzing itself runs")]
pub fn fuzz(target: Target, length: Duration, seed: u64) -> Fuzzed {
    panics::watch();
    let mut pool = Pool::new(inputs(target), seed);
    let mut fuzzed = Fuzzed::default();
    let began = Instant::now();
    while began.elapsed() < length {
        let input = pool.next();
        let tried = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
        fuzzed.inputs += 1;
        let wrong = match result {
            Ok(_) if tried.elapsed() > PATIENCE => Some(format!("it took {:?}", tried.elapsed())),
            Ok(behaviour) => {
                fuzzed.behaviours += u64::from(pool.learn(behaviour, input.clone()));
                None
            }
            Err(panic) => Some(text(&*panic).to_owned()),
        };
        if let Some(wrong) = wrong {
            fuzzed.found = Some((keep(target, &input), wrong));
            break;
        }
    }
    fuzzed
}

/// Keeps an input for a person to look at.
#[allow(clippy::disallowed_methods, reason = "what a fuzzer found, no state")]
fn keep(target: Target, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts").join(target.name);
    let path = folder.join(format!("found-{:016x}", hash(input)));
    // That it can't be kept must not hide that it was found.
    let _ = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    path
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

/// How something behaved, as a number.
fn hash(behaviour: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    behaviour.hash(&mut hasher);
    hasher.finish()
}

/// What an error says, without the numbers in it: those differ from input to input, and mean nothing.
fn shape(message: &str) -> String {
    message.chars().filter(|character| !character.is_ascii_digit()).take(60).collect()
}
