//! The campaign for hours; see `afferent_tests::campaign`. `scripts/campaign` builds and starts it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of the repository's own, for people"
)]

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    plan::main()
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    eprintln!("the campaign kills processes as Unix does, and runs there only");
    std::process::ExitCode::FAILURE
}

#[cfg(unix)]
mod plan {
    use std::{
        path::{Path, PathBuf},
        process::ExitCode,
        time::{Duration, Instant},
    };

    use afferent_tests::{
        campaign::{
            Books, Case, Extent, SIMULATED, aborts, bit_flips, bombs, clock_jumps, cores, drive,
            is_deterministic, kills, outage, power_loss, recovery,
            report::{Report, Row},
            seeds, signatures, slow_clients, sweep,
        },
        fuzzing,
    };

    /// Seeds that are played twice, of each simulated fault.
    const TWICE: u64 = 200;
    /// State that is recovered.
    const STATE: u64 = 1 << 30;
    /// How long that may take.
    const RECOVERY: Duration = Duration::from_secs(2);
    /// Aborts of one place.
    const ABORTS_IN_A_ROW: usize = 3;
    /// Real processes at a time: most of them wait for the disk.
    const PROCESSES: usize = 4;

    /// What the campaign was asked for.
    struct Asked {
        hours: f64,
        first: u64,
        only: Vec<String>,
        commit: String,
        date: String,
        page: PathBuf,
    }

    impl Asked {
        fn read() -> Result<Asked, String> {
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/campaign.md");
            let mut asked = Asked {
                hours: 1.0,
                first: fastrand::u64(..) >> 24,
                only: Vec::new(),
                commit: "unknown".to_owned(),
                date: "an unknown day".to_owned(),
                page,
            };
            let mut words = std::env::args().skip(1);
            while let Some(word) = words.next() {
                let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                let number = || format!("{word} {value}: expected a number");
                match word.as_str() {
                    "--hours" => asked.hours = value.parse().map_err(|_| number())?,
                    "--from" => asked.first = value.parse().map_err(|_| number())?,
                    "--only" => asked.only.push(value),
                    "--commit" => asked.commit = value,
                    "--date" => asked.date = value,
                    "--page" => asked.page = value.into(),
                    _ => {
                        return Err(format!(
                            "{word} is not known; --hours N, --only FAULT, --from SEED, --page FILE are"
                        ));
                    }
                }
            }
            Ok(asked)
        }
    }

    /// The campaign as it goes on.
    struct Campaign {
        asked: Asked,
        began: Instant,
        binary: String,
        report: Report,
    }

    #[allow(clippy::disallowed_methods, reason = "how long the campaign itself runs")]
    pub(super) fn main() -> ExitCode {
        let asked = match Asked::read() {
            Ok(asked) => asked,
            Err(wrong) => {
                eprintln!("error: {wrong}");
                return ExitCode::from(2);
            }
        };
        let here = std::env::current_exe().expect("a program knows where it is");
        let binary = here.with_file_name("afferent-under-test").to_string_lossy().into_owned();
        let report = Report {
            hours: asked.hours,
            commit: asked.commit.clone(),
            date: asked.date.clone(),
            first: asked.first,
            twice: TWICE,
            rows: Vec::new(),
        };
        let mut campaign = Campaign { asked, began: Instant::now(), binary, report };
        campaign.run();
        if campaign.report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    impl Campaign {
        /// The share `part` of all the time.
        fn part(&self, part: f64) -> Duration {
            Duration::from_secs_f64(self.asked.hours * 3600.0 * part)
        }

        fn extent(&self, seeds: u64, part: f64) -> Extent {
            Extent { first: self.asked.first, seeds, limit: Some(self.part(part)), at_once: cores() }
        }

        fn wants(&self, fault: &str) -> bool {
            self.asked.only.is_empty() || self.asked.only.iter().any(|only| only == fault)
        }

        /// Plays one fault, if it is wanted, after the seeds of it that failed before, and enters it.
        fn fault(
            &mut self,
            fault: &'static str,
            what: &str,
            asked: &str,
            extent: Extent,
            case: impl Fn(u64) -> Case + Sync,
        ) {
            if !self.wants(fault) {
                return;
            }
            println!("{fault}: {what}");
            let known = seeds::of(fault);
            let mut books = drive(Extent::of(known.len() as u64), |place| case(known[place as usize]));
            for (seed, _) in &mut books.failures {
                *seed = known[*seed as usize];
            }
            let took = books.took;
            let played = drive(extent, &case);
            let done = format!("{} seeds", played.cases);
            books.merge(played);
            books.took += took;
            books.finish();
            self.enter(Row { fault, what: what.to_owned(), asked: asked.to_owned(), done, books });
        }

        fn enter(&mut self, row: Row) {
            let Books { cases, faults, lost, duplicated, panics, failures, took, .. } = &row.books;
            println!(
                "  {cases} seeds, {faults} faults, {lost} lost, {duplicated} duplicated, {panics} panics, {} failures, {took:?}",
                failures.len()
            );
            for (seed, wrong) in failures.iter().take(5) {
                println!("  seed {seed}: {wrong}");
            }
            // The others have no seeds that repeat them.
            let has_seeds = !["bombs", "recovery", "slow clients", "fuzz"].contains(&row.fault);
            let failed = failures.iter().map(|(seed, _)| *seed).filter(|_| has_seeds);
            if let Err(error) = seeds::add(row.fault, failed, &self.asked.commit) {
                eprintln!("error: seeds that failed can't be kept: {error}");
            }
            self.report.rows.push(row);
            // After each fault, so that an interrupted campaign leaves what it found.
            if let Err(error) = self.report.save(&self.asked.page) {
                eprintln!("error: {} can't be written: {error}", self.asked.page.display());
            }
        }

        fn run(&mut self) {
            self.check_determinism();
            let binary = self.binary.clone();
            self.once("bombs", "oversize and bombs, by the real command", "all", || bombs::play(&binary));
            self.once("recovery", "1 GiB of state, killed and started again", "1 GiB", || {
                recovery::play(STATE, RECOVERY, &binary)
            });
            self.once(
                "slow clients",
                "10,000 connections, idle or slow, while somebody posts",
                "10,000",
                || slow_clients::play(10_000, &binary),
            );
            let extent = self.extent(10_000_000 / signatures::REQUESTS, 0.03);
            self.fault(
                "signature",
                "forged, stale, moved and truncated signatures, a thousand requests each seed",
                "10^7 requests",
                extent,
                signatures::play,
            );
            let plans = aborts::plans(ABORTS_IN_A_ROW).len() as u64;
            let aborts = Extent { first: 0, at_once: PROCESSES, ..self.extent(plans * 20, 0.13) };
            self.fault(
                "abort",
                "the real command aborts at each crash point, three times in a row",
                &format!("all {} points × 3 × 20 seeds ({} seeds)", aborts::points().count(), plans * 20),
                aborts,
                |seed| aborts::play(seed, ABORTS_IN_A_ROW, &binary),
            );
            self.fault(
                "kill",
                "the real command is killed at random moments, a fifth of them while it recovers, before a hostile receiver",
                "10,000 kills (1,000 seeds of ten)",
                self.extent(1000, 0.25).at_once(PROCESSES),
                |seed| kills::play(seed, &binary),
            );
            let length = (0..100).map(sweep::length).sum();
            let sweeps = Extent { first: 0, ..self.extent(length, 0.1) };
            let asked = format!("full, of 100 pipelines ({length} seeds)");
            self.fault(
                "sweep",
                "the n-th operation fails: full disk, I/O error, failed sync",
                &asked,
                sweeps,
                sweep::play,
            );
            self.fault(
                "bit flip",
                "bits flip in the state directory",
                "100,000",
                self.extent(100_000, 0.12),
                bit_flips::play,
            );
            self.fault(
                "clock",
                "clocks jump by ten years, the machine sleeps for 8 h",
                "20,000",
                self.extent(20_000, 0.06),
                clock_jumps::play,
            );
            self.fault(
                "outage",
                "the receiver is away for up to 20 minutes",
                "2,000",
                self.extent(2_000, 0.03),
                outage::play,
            );
            self.fuzz();
            let left = self.part(1.0).saturating_sub(self.began.elapsed());
            let rest = Extent { limit: Some(left), ..self.extent(u64::MAX, 0.0) };
            self.fault(
                "power loss",
                "torn, reordered and lost writes",
                "as many as the hours allow",
                rest,
                power_loss::play,
            );
        }

        /// Nothing below can be trusted without.
        fn check_determinism(&self) {
            let first = self.asked.first;
            for (fault, case) in SIMULATED.iter().filter(|(fault, _)| self.wants(fault)) {
                let first = if *fault == "sweep" { 0 } else { first };
                let same = std::thread::scope(|threads| {
                    let checked = threads.spawn(|| is_deterministic(first..first + TWICE, case));
                    checked.join().unwrap_or_else(|_| Err("a seed panicked".to_owned()))
                });
                if let Err(other) = same {
                    panic!("{fault}: {other}");
                }
            }
            println!("determinism: {TWICE} seeds of each simulated fault gave the same trace twice");
        }

        /// Plays a fault that is the same each time.
        fn once(&mut self, fault: &'static str, what: &str, asked: &str, case: impl Fn() -> Case + Sync) {
            self.fault(fault, what, asked, Extent { at_once: 1, ..Extent::of(1) }, |_| case());
        }

        /// Fuzzes every target, a part of the time each, as many at once as there are cores.
        fn fuzz(&mut self) {
            if !self.wants("fuzz") {
                return;
            }
            let length = self.part(0.2).mul_f64(cores() as f64 / fuzzing::TARGETS.len() as f64);
            let first = self.asked.first;
            println!("fuzz: {length:?} each");
            let targets = fuzzing::TARGETS.len() as u64;
            let books = drive(Extent::of(targets), |number| {
                let target = fuzzing::TARGETS[number as usize];
                let fuzzed = fuzzing::fuzz(target, length, first);
                let mut case = Case { faults: fuzzed.inputs, ..Case::default() };
                case.add(target.name, fuzzed.inputs);
                if let Some((path, wrong)) = fuzzed.found {
                    let file = path.file_name().unwrap_or_default().display();
                    case.blame(format!(
                        "{}: {wrong}: tests/fuzz/artifacts/{}/{file}",
                        target.name, target.name
                    ));
                }
                case
            });
            let done = format!("{} s each", length.as_secs());
            let what = format!("{targets} parsers, any bytes; inputs that were tried");
            self.enter(Row { fault: "fuzz", what, asked: "1 h each".to_owned(), done, books });
        }
    }
}
