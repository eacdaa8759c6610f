//! What the command says and where: stdout is data, stderr is talk.
//!
//! A reader that goes away (`afferent … | head`) ends nothing: what can't be written is not written, and the
//! pipelines go on.

use std::{
    fmt,
    io::{IsTerminal, Write},
};

use anstream::{AutoStream, ColorChoice};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::args::{Form, Global};

/// Bold red, as rustc's.
const RED: &str = "\x1b[1;91m";
/// Bold yellow.
const YELLOW: &str = "\x1b[1;93m";
/// Back to plain.
const PLAIN: &str = "\x1b[0m";

/// Both outputs.
pub(crate) struct Ui {
    form: Form,
    color: ColorChoice,
    quiet: bool,
    bars: MultiProgress,
}

impl Ui {
    pub(crate) fn new(global: &Global) -> Ui {
        let color = match global.color {
            clap::ColorChoice::Auto => ColorChoice::Auto,
            clap::ColorChoice::Always => ColorChoice::Always,
            clap::ColorChoice::Never => ColorChoice::Never,
        };
        Ui { form: global.output, color, quiet: global.quiet, bars: MultiProgress::new() }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Whether somebody looks at a screen.
    pub(crate) fn is_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The progress bars, which talk must not cut through.
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Draws no bars: something else writes to the screen.
    pub(crate) fn hide_bars(&self) {
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// A line of data.
    pub(crate) fn data(&self, line: impl fmt::Display) {
        let mut stdout = AutoStream::new(std::io::stdout(), self.color).lock();
        let _ = writeln!(stdout, "{line}");
    }

    /// A line of data for programs.
    pub(crate) fn json(&self, value: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(value) {
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{line}");
        }
    }

    /// Talk that `-q` silences.
    pub(crate) fn say(&self, line: impl fmt::Display) {
        if !self.quiet {
            self.talk(line);
        }
    }

    /// Talk that nothing silences.
    pub(crate) fn talk(&self, line: impl fmt::Display) {
        self.bars.suspend(|| {
            let mut stderr = AutoStream::new(std::io::stderr(), self.color).lock();
            let _ = writeln!(stderr, "{line}");
        });
    }

    /// Asks for a yes on a terminal; elsewhere there is nobody to ask.
    pub(crate) fn confirms(&self, question: impl fmt::Display) -> bool {
        if !std::io::stdin().is_terminal() || !self.is_terminal() {
            return false;
        }
        self.talk(format_args!("{question} [y/N]"));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    /// `error: …`.
    pub(crate) fn error(&self, message: impl fmt::Display) {
        self.talk(format_args!("{RED}error{PLAIN}: {message}"));
    }

    /// `warning: …`.
    pub(crate) fn warning(&self, message: impl fmt::Display) {
        self.talk(format_args!("{YELLOW}warning{PLAIN}: {message}"));
    }
}
