//! The `afferent` command.
//!
//! stdout is data, stderr is talk; exit codes are those of sysexits.h where one fits ([`main`]). Nothing but
//! reading the command line and telling people what happens is done here: pipelines are the engine's.
//!
//! | module | what it is about |
//! |---|---|
//! | `args` | the command line |
//! | `run`, `validate`, `test`, `import`, `dlq`, `retry`, `audit`, `queue`, `explain` | the commands |
//! | `drive` | pipelines run to their end, signals, time-outs |
//! | `render`, `narrator`, `account`, `ui` | what people and programs get to see |

mod account;
mod args;
mod audit;
mod census;
mod dlq;
mod drive;
mod exit;
mod explain;
mod files;
mod import;
mod logging;
mod narrator;
mod numbers;
mod panics;
mod queue;
mod render;
mod retry;
mod run;
mod signals;
mod test;
mod ui;
mod validate;

use std::{num::NonZero, panic::AssertUnwindSafe, process::ExitCode, thread::available_parallelism};

use clap::Parser;

use self::{
    args::{Cli, Command, DlqCommand},
    exit::Exit,
    ui::Ui,
};

/// Threads that move records. A pipeline is one task, and what blocks runs elsewhere, so more would idle.
const WORKERS: std::ops::RangeInclusive<usize> = 2..=4;

/// Threads for blocking jobs: each stage has at most one in flight, so this serves a dozen pipelines at once, and
/// more of them take turns.
const MAX_BLOCKING_THREADS: usize = 64;

/// Runs the command of this process's arguments.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | it did what was asked |
/// | 1 | a check failed |
/// | 2 | the command line is wrong |
/// | 65 | bad data or state, or records of this run were dead-lettered |
/// | 70 | a defect |
/// | 73 | something can't be created |
/// | 75 | try again later; also `--timeout` |
/// | 77 | credentials were refused |
/// | 78 | the configuration is wrong |
/// | 130, 143 | Ctrl-C, a request to terminate |
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(&cli.global);
    if let Err(message) = logging::start(&cli.global) {
        ui.error(message);
        return Exit::Usage.into();
    }
    panics::say_without_values();
    // The hook has said what there is to say.
    std::panic::catch_unwind(AssertUnwindSafe(|| dispatch(&cli, &ui))).unwrap_or(Exit::Bug).into()
}

fn dispatch(cli: &Cli, ui: &Ui) -> Exit {
    match &cli.command {
        Command::Run(args) => block_on(run::run(args, &cli.global, ui), ui),
        Command::Import(args) => block_on(import::import(args, &cli.global, ui), ui),
        Command::Dlq(DlqCommand::Retry(args)) => block_on(retry::retry(args, &cli.global, ui), ui),
        Command::Dlq(command) => block_on(dlq::dlq(command, &cli.global, ui), ui),
        Command::Queue(command) => block_on(queue::queue(command, &cli.global, ui), ui),
        Command::Audit(args) => block_on(audit::audit(args, &cli.global, ui), ui),
        Command::Test(args) => test::test(args, ui),
        Command::Validate(args) => validate::validate(args, ui),
        Command::Explain(args) => explain::explain(args, ui),
    }
}

fn block_on(command: impl Future<Output = Exit>, ui: &Ui) -> Exit {
    let cores = available_parallelism().map_or(*WORKERS.start(), NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(*WORKERS.start(), *WORKERS.end()))
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("afferent")
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            ui.error(format_args!("can't start threads: {error}; raise the limit on processes"));
            Exit::TryAgain
        }
    }
}
