//! Queues between pipelines: what one file writes and another reads, and whether that leads back to where it came from.

use std::ops::Range;

use afferent_core::Name;

use super::{Definition, Diagnostic, Report, codes};
use crate::registry::StageKind;

/// A stage that reads or writes a queue.
#[derive(Clone, Debug)]
pub(super) struct QueueUse {
    pub(super) kind: StageKind,
    pub(super) stage: Name,
    pub(super) queue: Name,
    /// Where its name stands in the text.
    pub(super) span: Range<usize>,
}

/// What comes of looking at several definitions together.
#[derive(Debug, Default)]
pub struct Joined {
    /// Cycles: the pipelines in them can't run.
    pub errors: Vec<Report>,
    /// Queues that none of several definitions reads, or writes.
    pub warnings: Vec<Report>,
}

impl Definition {
    /// The queues that it writes.
    pub fn writes(&self) -> impl Iterator<Item = &Name> {
        self.uses(StageKind::Sink).map(|used| &used.queue)
    }

    /// The queues that it reads.
    pub fn reads(&self) -> impl Iterator<Item = &Name> {
        self.uses(StageKind::Source).map(|used| &used.queue)
    }

    /// Whether it reads a queue that `other` writes.
    pub fn reads_from(&self, other: &Definition) -> bool {
        self.reads().any(|queue| other.writes().any(|written| written == queue))
    }

    fn uses(&self, kind: StageKind) -> impl Iterator<Item = &QueueUse> {
        self.queues.iter().filter(move |used| used.kind == kind)
    }

    fn report(&self, diagnostic: Diagnostic) -> Report {
        let mut report = self.warnings.clone();
        (report.diagnostics, report.omitted) = (vec![diagnostic], 0);
        report
    }
}

/// What is wrong with the queues of `definitions`, which are to run from one state directory.
pub fn joined(definitions: &[Definition]) -> Joined {
    let mut joined = Joined::default();
    let mut told = vec![false; definitions.len()];
    for start in 0..definitions.len() {
        if told[start] {
            continue;
        }
        if let Some(way) = way_back(definitions, start) {
            way.iter().for_each(|step| told[*step] = true);
            joined.errors.push(cycle(definitions, &way));
        }
    }
    if definitions.len() > 1 {
        joined.warnings.extend(loose(definitions));
    }
    joined
}

/// The shortest way from pipeline `start` back to itself, without `start` at its end.
fn way_back(definitions: &[Definition], start: usize) -> Option<Vec<usize>> {
    let mut from: Vec<Option<usize>> = vec![None; definitions.len()];
    let mut next = std::collections::VecDeque::from([start]);
    while let Some(at) = next.pop_front() {
        for reader in 0..definitions.len() {
            if !definitions[reader].reads_from(&definitions[at]) {
                continue;
            }
            if reader == start {
                let mut way = vec![at];
                while *way.last()? != start {
                    way.push(from[*way.last()?]?);
                }
                way.reverse();
                return Some(way);
            }
            if from[reader].is_none() {
                from[reader] = Some(at);
                next.push_back(reader);
            }
        }
    }
    None
}

/// `a → steps → b → sums → a`, at the queue that its last pipeline writes.
fn cycle(definitions: &[Definition], way: &[usize]) -> Report {
    let step = |index: usize| {
        let (writer, reader) = (&definitions[way[index]], &definitions[way[(index + 1) % way.len()]]);
        let written =
            writer.uses(StageKind::Sink).find(|used| reader.reads().any(|queue| *queue == used.queue));
        written.map(|used| (writer, used))
    };
    let steps: Vec<_> = (0..way.len()).filter_map(step).collect();
    let line: Vec<String> =
        steps.iter().map(|(writer, used)| format!("{} → `{}` → ", writer.name(), used.queue)).collect();
    let (writer, used) = steps.last().expect("a way back has a step");
    let first = definitions[way[0]].name();
    let message = format!("queues lead from pipeline `{first}` back to itself: {}{first}", line.concat());
    let mut diagnostic = Diagnostic::new(&codes::QUEUE_CYCLE, used.span.clone(), message)
        .label("records would go round for ever")
        .help("let this sink write to another queue, or to another sink");
    diagnostic.stage = Some(used.stage.to_string());
    writer.report(diagnostic)
}

/// Queues that one definition uses and none uses the other way.
fn loose(definitions: &[Definition]) -> Vec<Report> {
    let mut reports = Vec::new();
    for definition in definitions {
        for used in &definition.queues {
            let (is_joined, what, help) = match used.kind {
                StageKind::Sink => (
                    definitions.iter().any(|other| other.reads().any(|queue| *queue == used.queue)),
                    "reads",
                    "add the file of the pipeline that reads it, or check the name; until one has, the queue fills and then pushes back",
                ),
                _ => (
                    definitions.iter().any(|other| other.writes().any(|queue| *queue == used.queue)),
                    "writes to",
                    "add the file of the pipeline that writes to it, or check the name",
                ),
            };
            if !is_joined {
                let message = format!("none of these files {what} the queue `{}`", used.queue);
                let mut diagnostic =
                    Diagnostic::new(&codes::LOOSE_QUEUE, used.span.clone(), message).help(help).warning();
                diagnostic.stage = Some(used.stage.to_string());
                reports.push(definition.report(diagnostic));
            }
        }
    }
    reports
}
