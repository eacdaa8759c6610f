//! A pipeline that is killed in a loop, with what was lost and what shows twice on the terminal. `scripts/chaos-demo` builds and
//! starts it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of the repository's own, for people"
)]

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    demo::main()
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    eprintln!("the demonstration kills processes as Unix does, and runs there only");
    std::process::ExitCode::FAILURE
}

#[cfg(unix)]
mod demo {
    use std::{
        io::{IsTerminal, Write},
        process::ExitCode,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        time::Duration,
    };

    use afferent_tests::campaign::kills::{self, Seen};

    /// What happened so far.
    #[derive(Default)]
    struct Counters {
        kills: u64,
        histories: u64,
        compared: u64,
        lost: u64,
        duplicated: u64,
        recoveries: Vec<Duration>,
        wrong: Option<String>,
    }

    impl Counters {
        fn line(&self, now: Option<Seen>) -> String {
            let under_way = now.map_or(String::new(), |seen| {
                format!(", {} of {} records under way", seen.received, seen.given)
            });
            let duplicated = self.duplicated + now.map_or(0, |seen| seen.duplicated);
            format!(
                "{} kills, {} histories compared ({} records){under_way}: {} lost, {duplicated} duplicated; recovery {}",
                self.kills,
                self.histories,
                self.compared,
                self.lost,
                self.recovery(),
            )
        }

        /// The middle one and the longest.
        fn recovery(&self) -> String {
            let mut sorted = self.recoveries.clone();
            sorted.sort_unstable();
            match (sorted.get(sorted.len() / 2), sorted.last()) {
                (Some(middle), Some(longest)) => {
                    format!("{} ms, at most {} ms", middle.as_millis(), longest.as_millis())
                }
                _ => "not yet".to_owned(),
            }
        }
    }

    pub(super) fn main() -> ExitCode {
        let most = match std::env::args().nth(1).map(|word| word.parse::<u64>()) {
            None => u64::MAX,
            Some(Ok(kills)) => kills,
            Some(Err(_)) => {
                eprintln!("usage: scripts/chaos-demo [KILLS]");
                return ExitCode::from(2);
            }
        };
        let here = std::env::current_exe().expect("a program knows where it is");
        let binary = here.with_file_name("afferent-under-test").to_string_lossy().into_owned();
        println!(
            "A pipeline (mock HealthKit → filter, dedupe → SQLite, a file, and uploads to a receiver that fails now and then) is\n\
             killed at random moments, some of them while it recovers from the last. After about ten kills it may come to its end,\n\
             and all that it wrote and sent is compared with a run that nobody disturbed. Ctrl-C ends this."
        );
        let interrupted = interrupts();
        let is_terminal = std::io::stdout().is_terminal();
        let mut counters = Counters::default();
        let first = fastrand::u64(..) >> 1;
        for seed in first.. {
            if counters.kills >= most || interrupted.load(Ordering::Relaxed) {
                break;
            }
            let case = kills::watch(seed, &binary, |seen| {
                counters.kills += u64::from(seen.killed);
                counters.recoveries.extend(seen.recovery);
                show(&counters.line(Some(seen)), is_terminal);
            });
            // Ctrl-C reaches the pipeline, too, which then ends early.
            if interrupted.load(Ordering::Relaxed) {
                break;
            }
            counters.histories += 1;
            counters.compared += case.records;
            counters.lost += case.lost;
            counters.duplicated += case.duplicated;
            if let Some(wrong) = case.wrong {
                counters.wrong = Some(format!("seed {seed}: {wrong}"));
                break;
            }
        }
        if is_terminal {
            println!();
        }
        println!("{}", counters.line(None));
        if let Some(wrong) = &counters.wrong {
            println!("wrong: {wrong}");
        }
        let is_clean = counters.wrong.is_none() && counters.lost + counters.duplicated == 0;
        if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// One line that changes on a terminal, one after the other in a log.
    fn show(line: &str, is_terminal: bool) {
        let mut out = std::io::stdout().lock();
        // Whoever looked may have gone away.
        let _ = match is_terminal {
            true => write!(out, "\r\x1b[2K{line}"),
            false => writeln!(out, "{line}"),
        };
        let _ = out.flush();
    }

    /// Becomes true at the first Ctrl-C; the second ends this process as ever.
    fn interrupts() -> Arc<AtomicBool> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let seen = interrupted.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    if seen.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
            });
        });
        interrupted
    }
}
