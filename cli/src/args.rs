//! The command line, as clap reads it.

use std::path::PathBuf;

use afferent::afferent_core::{LetterId, Name, config::Span};
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::{drive::DRAIN, import::Destination, retry::RetryArgs};

/// Health data pipelines: declarative, checkpointed, exactly once.
#[derive(Debug, Parser)]
#[command(name = "afferent", version, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  afferent run pipelines/examples/quickstart.toml --until-idle
  afferent import export.zip --to sqlite:health.db")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where state is kept unless something else is said.
pub(crate) const DEFAULT_DATA: &str = "./.afferent";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where state is kept: checkpoints and dead letters
    #[arg(long, global = true, value_name = "DIR", env = "AFFERENT_DATA", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    /// For whom output is: people, or programs (one JSON object a line)
    #[arg(short = 'o', long, global = true, value_name = "FORM", default_value = "human")]
    pub(crate) output: Form,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// For whom output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run pipelines in the foreground, from where they stopped
    ///
    /// It ends by itself when all sources have ended, or with Ctrl-C: the first
    /// one delivers what was read, for at most --drain, and saves a checkpoint,
    /// the second stops at once. Neither loses anything.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  afferent run pipelines/examples/quickstart.toml --until-idle
  afferent run vitals.toml sleep.toml --until-idle --timeout 10min -o json"
    )]
    Run(RunArgs),
    /// Check pipeline files without opening anything
    #[command(after_help = "\
Examples:
  afferent validate pipelines/examples/quickstart.toml
  afferent validate *.toml -o json")]
    Validate(ValidateArgs),
    /// Run the tests that stand in pipeline files
    ///
    /// Each [[test]] says what the transforms make of some records. Nothing else
    /// is run or opened. It ends with 1 if something else comes out.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  afferent test vitals.toml
  afferent test *.toml --junit target/pipelines.xml"
    )]
    Test(TestArgs),
    /// Read an Apple Health export into a database or files
    ///
    /// It goes on where it stopped if it was interrupted. A second import of the
    /// same export into the same database changes nothing.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  afferent import export.zip --to sqlite:health.db
  afferent import export.zip --dry-run"
    )]
    Import(ImportArgs),
    /// Look at records that could not be processed or delivered, and put them in again
    #[command(
        subcommand,
        after_help = "\
Examples:
  afferent dlq ls
  afferent dlq show vitals 12.0 --reveal"
    )]
    Dlq(DlqCommand),
    /// Check that everything that came in is accounted for
    ///
    /// Shows the accounts of the last checkpoints, one for each sink and its
    /// rows by type, and ends with 1 if one does not balance:
    /// read + derived = delivered + filtered + superseded + dead + pending.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  afferent audit
  afferent audit vitals -o json"
    )]
    Audit(AuditArgs),
    /// See who reads the queues between pipelines, and what waits for whom
    #[command(
        subcommand,
        after_help = "\
Examples:
  afferent queue ls
  afferent queue detach steps dashboard"
    )]
    Queue(QueueCommand),
    /// Explain an error code
    #[command(after_help = "\
Examples:
  afferent explain AF-0112
  afferent explain 0130")]
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// End when everything that is there has been delivered
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// With --until-idle: give up after this time, with exit code 75
    #[arg(long, value_name = "DURATION", requires = "until_idle")]
    pub(crate) timeout: Option<Span>,
    /// Forget the pipelines' checkpoints and start from nothing
    #[arg(long)]
    pub(crate) from_start: bool,
    /// After the first Ctrl-C, wait so long for receivers; what they have not acknowledged by then is kept
    #[arg(long, value_name = "DURATION", default_value_t = Span(DRAIN))]
    pub(crate) drain: Span,
    /// End the process that holds the state directory, if one does (Linux)
    #[arg(long)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write what comes out into the files, in place of what was expected
    #[arg(long)]
    pub(crate) update: bool,
    /// Write the results as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// export.zip as the Health app makes it, the folder it was unpacked to, or the export.xml in it
    #[arg(value_name = "EXPORT")]
    pub(crate) export: PathBuf,
    /// Where to: sqlite:FILE, ndjson:FILE, or csv:DIR for a file per type
    #[arg(long, value_name = "DESTINATION", required_unless_present = "dry_run")]
    pub(crate) to: Option<Destination>,
    /// Only count what is there
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only these types, such as HeartRate,StepCount
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// Only records that start at this time or later, such as 2025-01-31
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only records that start before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The pseudonymous id of the person whose export it is
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// List them: of all pipelines how many, of one each with its reason
    #[command(after_help = "\
Examples:
  afferent dlq ls
  afferent dlq ls vitals --limit 1000")]
    Ls {
        /// The pipeline's name
        pipeline: Option<Name>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one
    #[command(after_help = "\
Examples:
  afferent dlq show vitals 12.0
  afferent dlq show vitals 12.0 --reveal")]
    Show {
        /// The pipeline's name
        pipeline: Name,
        /// Its id, as `ls` shows it
        id: LetterId,
        /// Show the payload, which may hold health values
        #[arg(long)]
        reveal: bool,
    },
    /// Write all of a pipeline with their payloads, one JSON object a line
    #[command(after_help = "\
Examples:
  afferent dlq export vitals --reveal > letters.ndjson
  afferent dlq export vitals --reveal | jq .reason")]
    Export {
        /// The pipeline's name
        pipeline: Name,
        /// Payloads may hold health values
        #[arg(long)]
        reveal: bool,
    },
    /// Put them into the pipeline again, where they were rejected
    ///
    /// Nothing is read from the pipeline's sources. What is rejected again is a
    /// dead letter again. It ends when the receivers have acknowledged
    /// everything. Interrupted at any moment, it loses and repeats nothing.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  afferent dlq retry vitals.toml --all
  afferent dlq retry vitals.toml 12.0 12.1 --timeout 10min"
    )]
    Retry(RetryArgs),
    /// Remove them for good
    #[command(after_help = "\
Examples:
  afferent dlq drop vitals 12.0 12.1 --yes
  afferent dlq drop vitals --all --yes")]
    Drop {
        /// The pipeline's name
        pipeline: Name,
        /// Their ids, as `ls` shows them
        #[arg(conflicts_with = "all")]
        ids: Vec<LetterId>,
        /// All of the pipeline
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List the pipelines that are registered to read a queue, and how many entries they have not read
    #[command(after_help = "\
Examples:
  afferent queue ls
  afferent queue ls -o json")]
    Ls,
    /// Take a pipeline off the list of a queue's readers: the queue keeps nothing for it any more
    ///
    /// If it runs again it is registered again, and goes on where it was, or at
    /// the oldest entry that is still there.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Examples:
  afferent queue detach steps dashboard
  afferent queue detach steps dashboard --data /var/lib/afferent"
    )]
    Detach {
        /// The queue's name
        queue: Name,
        /// The name of the pipeline that reads it
        pipeline: Name,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only this pipeline
    pub(crate) pipeline: Option<Name>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code, such as AF-0112
    #[arg(value_name = "CODE")]
    pub(crate) code: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Scenario: the definition of the command line. Guarantees: clap finds no contradiction in it, and every help ends
    /// with two examples.
    #[test]
    fn the_command_line_is_sound() {
        let command = Cli::command();
        command.clone().debug_assert();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        for command in commands.chain(command.get_subcommands().flat_map(|command| command.get_subcommands()))
        {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert_eq!(
                help.lines().filter(|line| line.starts_with("  afferent ")).count(),
                2,
                "{}",
                command.get_name()
            );
        }
    }
}
