//! Tells people what pipelines do while they do it.
//!
//! On a terminal each pipeline has a line at the bottom that changes; elsewhere (a log) it says how far it is
//! every [`INTERVAL`]. What happens is said in a line of its own either way.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use afferent::afferent_core::{
    Name,
    clock::{Instant, instant},
    event::{Event, EventKind},
    ledger::Ledger,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    numbers::{bytes, count, counted, duration, per_second},
    ui::Ui,
};

/// How often a log hears how far a pipeline is: often enough to see that it lives, seldom enough to be read.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Over how long rates are measured: long enough not to jump, short enough to notice.
const WINDOW: Duration = Duration::from_secs(10);

/// Watches the events of pipelines.
pub(crate) struct Narrator<'u> {
    ui: &'u Ui,
    pipelines: BTreeMap<Name, Pipeline>,
}

/// What is known of one pipeline.
struct Pipeline {
    /// How people know it.
    title: String,
    read: Rate,
    delivered: u64,
    /// Records that receivers have not acknowledged; counted for each sink.
    waiting: u64,
    /// Bytes done and in all, by source.
    sources: BTreeMap<Name, (Rate, Option<u64>)>,
    bar: Option<ProgressBar>,
    /// It started once; what starts again after an error says so when it retries.
    started: bool,
    paused: bool,
    /// Sinks whose receivers refuse the credentials.
    refused: BTreeSet<Name>,
    /// What was last said of waiting and retrying, so that it is not said again and again.
    said: Option<String>,
    /// Records read and delivered when a log last heard of it.
    summarised: Option<(u64, u64)>,
}

/// An amount that grows, and how fast it did lately.
#[derive(Default)]
struct Rate {
    amount: u64,
    /// Where the window begins, and where the next will.
    from: Option<(Instant, u64)>,
    next: Option<(Instant, u64)>,
}

impl Rate {
    fn update(&mut self, amount: u64, now: Instant) {
        self.amount = amount;
        let (_, _) = (self.from.get_or_insert((now, amount)), self.next.get_or_insert((now, amount)));
        if self.next.is_some_and(|(at, _)| now.duration_since(at) > WINDOW) {
            self.from = self.next.replace((now, amount));
        }
    }

    fn per_second(&self, now: Instant) -> Option<u64> {
        let (at, amount) = self.from?;
        per_second(self.amount.saturating_sub(amount), now.duration_since(at))
    }
}

impl<'u> Narrator<'u> {
    pub(crate) fn new(ui: &'u Ui, titles: BTreeMap<Name, String>) -> Narrator<'u> {
        let pipelines = titles.into_iter().map(|(name, title)| {
            let bar = (ui.is_terminal() && !ui.is_quiet()).then(|| {
                let bar = ui.bars().add(ProgressBar::new_spinner());
                bar.set_prefix(title.clone());
                bar.set_style(style("{spinner} {prefix}: {wide_msg}"));
                bar
            });
            let pipeline = Pipeline {
                title,
                read: Rate::default(),
                delivered: 0,
                waiting: 0,
                sources: BTreeMap::new(),
                bar,
                started: false,
                paused: false,
                refused: BTreeSet::new(),
                said: None,
                summarised: None,
            };
            (name, pipeline)
        });
        Narrator { ui, pipelines: pipelines.collect() }
    }

    /// Whether a pipeline waits for credentials or an operator.
    pub(crate) fn is_paused(&self, pipeline: &Name) -> bool {
        self.pipelines.get(pipeline).is_some_and(|pipeline| pipeline.paused || !pipeline.refused.is_empty())
    }

    /// How many records wait for their receivers, as of the last epochs; counted for each sink.
    pub(crate) fn waiting(&self) -> u64 {
        self.pipelines.values().map(|pipeline| pipeline.waiting).sum()
    }

    /// Says what happened.
    pub(crate) fn hear(&mut self, event: Event) {
        let Some(pipeline) = self.pipelines.get_mut(&event.pipeline) else { return };
        let (name, ui) = (pipeline.title.clone(), self.ui);
        match event.kind {
            EventKind::Started { from, .. } => {
                // Its sinks are new: what is still refused is said again.
                pipeline.refused.clear();
                if let (false, Some(epoch)) = (std::mem::replace(&mut pipeline.started, true), from) {
                    ui.say(format_args!("{name}: goes on after epoch {epoch}"));
                }
            }
            EventKind::Committed { ledger, .. } => pipeline.committed(&ledger),
            EventKind::Progress { stage, done, total } => pipeline.progress(stage, done, total),
            EventKind::Waiting { stage, reason } => {
                pipeline.once(format!("{name}: {stage} waits for {reason}"), |line| ui.say(line));
            }
            EventKind::Retrying { error, after_ms } => {
                let after = duration(Duration::from_millis(after_ms));
                let line = format!("{name}: {error}");
                pipeline.once(line, |line| ui.warning(format_args!("{line}; retrying in {after}")));
            }
            EventKind::Paused { reason } => {
                pipeline.paused = true;
                pipeline.once(format!("{name}: paused: {reason}"), |line| ui.warning(line));
            }
            EventKind::Resumed => {
                pipeline.paused = false;
                pipeline.said = None;
                ui.say(format_args!("{name}: goes on"));
            }
            // An alarm says it to people.
            EventKind::Credentials { stage, accepted: false } => drop(pipeline.refused.insert(stage)),
            EventKind::Credentials { stage, accepted: true } => drop(pipeline.refused.remove(&stage)),
            EventKind::DeadLettered { count: records, total } => ui.warning(format_args!(
                "{name}: dead-lettered {}, {} in all",
                counted(records, "record"),
                count(total)
            )),
            EventKind::Alarm { stage, message } => {
                ui.warning(format_args!("{name}{}: {message}", at(&stage)))
            }
            EventKind::Notice { stage, message } => ui.say(format_args!("{name}{}: {message}", at(&stage))),
            _ => {}
        }
        pipeline.draw();
    }

    /// Says how far all are, where no terminal shows it.
    pub(crate) fn summarise(&mut self) {
        if self.ui.is_terminal() {
            return;
        }
        for pipeline in self.pipelines.values_mut() {
            let reached = (pipeline.read.amount, pipeline.delivered);
            // An idle pipeline is no news.
            if pipeline.summarised.replace(reached) != Some(reached) {
                self.ui.say(format_args!("{}: {}", pipeline.title, pipeline.line(instant())));
            }
        }
    }

    /// The pipeline has ended: its line goes.
    pub(crate) fn ended(&mut self, pipeline: &Name) {
        if let Some(pipeline) = self.pipelines.remove(pipeline)
            && let Some(bar) = pipeline.bar
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Narrator<'_> {
    fn drop(&mut self) {
        let names: Vec<Name> = self.pipelines.keys().cloned().collect();
        names.iter().for_each(|name| self.ended(name));
    }
}

impl Pipeline {
    fn committed(&mut self, ledger: &Ledger) {
        // All accounts of a pipeline read the same; one whose sink was added later has read less.
        let read = ledger.accounts.values().map(|account| account.read).max().unwrap_or(0);
        self.delivered = ledger.accounts.values().map(|account| account.delivered).max().unwrap_or(0);
        let held = ledger.held_total();
        let pending = ledger.accounts.values().map(|account| account.pending.saturating_sub(held));
        self.waiting = pending.sum();
        self.read.update(read, instant());
        self.said = None;
    }

    fn progress(&mut self, stage: Name, done: u64, total: Option<u64>) {
        let (rate, known) = self.sources.entry(stage).or_default();
        rate.update(done, instant());
        *known = total;
    }

    fn once(&mut self, line: String, say: impl FnOnce(&str)) {
        if self.said.as_ref() != Some(&line) {
            say(&line);
            self.said = Some(line);
        }
    }

    fn draw(&mut self) {
        let Some(bar) = &self.bar else { return };
        // A bar of its own only for one source whose end is known.
        if let [(rate, Some(total))] = self.sources.values().collect::<Vec<_>>()[..] {
            if bar.length().is_none() {
                bar.set_style(style("{spinner} {prefix} [{bar:20}] {wide_msg}"));
            }
            bar.set_length(*total);
            bar.set_position(rate.amount);
        } else {
            bar.tick();
        }
        bar.set_message(self.line(instant()));
    }

    /// `12,345 records read, 3,210/s; 42 % of 312.5 MiB, 3.2 MiB/s, 4 min 10 s left`.
    fn line(&self, now: Instant) -> String {
        let mut line =
            format!("{} read, {} delivered", counted(self.read.amount, "record"), count(self.delivered));
        if let Some(rate) = self.read.per_second(now) {
            line += &format!(", {}/s", count(rate));
        }
        for (rate, total) in self.sources.values() {
            let speed = rate.per_second(now);
            line += &match total {
                Some(total) => format!("; {} % of {}", 100 * rate.amount / (*total).max(1), bytes(*total)),
                None => format!("; {}", bytes(rate.amount)),
            };
            if let Some(speed) = speed {
                line += &format!(", {}/s", bytes(speed));
            }
            if let (Some(total), Some(speed @ 1..)) = (total, speed) {
                let left = Duration::from_secs(total.saturating_sub(rate.amount) / speed);
                line += &format!(", {} left", duration(left));
            }
        }
        line
    }
}

fn at(stage: &Option<Name>) -> String {
    stage.as_ref().map(|stage| format!(": {stage}")).unwrap_or_default()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is written in this file")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: an import that is half done after ten seconds. Guarantees: rate and time left are what a person would
    /// reckon.
    #[test]
    fn rates_and_times_left_are_right() {
        let start = instant();
        let later = start + Duration::from_secs(8);
        let mut pipeline = Pipeline {
            title: "import".to_owned(),
            read: Rate::default(),
            delivered: 7_000,
            waiting: 0,
            sources: BTreeMap::new(),
            bar: None,
            started: false,
            paused: false,
            refused: BTreeSet::new(),
            said: None,
            summarised: None,
        };
        pipeline.read.update(0, start);
        pipeline.read.update(8_000, later);
        let (rate, total) = pipeline.sources.entry(Name::from("export")).or_default();
        rate.update(0, start);
        rate.update(8 << 20, later);
        *total = Some(16 << 20);
        assert_eq!(
            pipeline.line(later),
            "8,000 records read, 7,000 delivered, 1,000/s; 50 % of 16.0 MiB, 1.0 MiB/s, 8.0 s left"
        );
    }
}
