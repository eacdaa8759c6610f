//! The log, to stderr.
//!
//! What people need to know comes as events and is shown without a log. The log is for looking deeper: `-v`, or
//! `AFFERENT_LOG` with the directives of `tracing-subscriber` (`info`, `afferent_core=debug`).

use tracing_subscriber::{EnvFilter, fmt};

use crate::args::Global;

/// The environment variable.
const VARIABLE: &str = "AFFERENT_LOG";

/// Starts the log.
///
/// # Errors
/// What is wrong with `AFFERENT_LOG`.
pub(crate) fn start(global: &Global) -> Result<(), String> {
    let default = match (global.quiet, global.verbose) {
        (true, _) | (false, 0) => "off",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let directives = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| format!("{VARIABLE} can't be read: {error}; write a level such as \"info\""))?;
    let colour = global.color != clap::ColorChoice::Never
        && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    // A second start (of a test in this process) keeps the first.
    let _ = fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr).try_init();
    Ok(())
}
