//! Which dead letters a retry puts in again, and where.
//!
//! | rejected by | goes in | if |
//! |---|---|---|
//! | a source | before all transforms | the source's `format` reads it as records now, one or more |
//! | a transform | into that transform | the pipeline has it |
//! | a sink, or its receiver | into that sink alone | the pipeline has it |
//!
//! Everything else is passed over, with a reason, and stays what it is: withdrawn letters, those of which only the head
//! was kept, what still can't be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use afferent_core::{
    CheckpointStore, DeadLetter, Epoch, LetterId, Name, Record, Result,
    blocking::Blocking,
    engine::{Again, BoxLetters, Entry, Letters},
    reject::{Fate, Payload, RejectedBy},
};
use afferent_formats::{Format, Location, decode_all};
use async_trait::async_trait;

use crate::{PipelineSpec, definition::StageInfo, registry::StageKind, state::RedbStore};

/// Letters that one epoch takes: few enough to be in memory with the longest payloads, enough that saves are not what
/// takes the time.
const GROUP: usize = 64;

/// Which dead letters are put in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All that are there when the retry begins.
    All,
    /// These.
    Ids(Vec<LetterId>),
}

/// A retry: what to run, and what became of the letters that were chosen.
#[derive(Debug)]
pub struct Retry {
    /// The pipeline, to be run like any other; it pulls from no source and ends when all is settled.
    pub spec: PipelineSpec,
    report: Shared,
}

/// What a retry did with the letters that were chosen.
#[derive(Clone, Debug, Default)]
pub struct RetryReport {
    /// Those that were put in.
    pub put_in: BTreeSet<LetterId>,
    /// Those that were not, and why; without any health value.
    pub passed_over: BTreeMap<LetterId, String>,
}

type Shared = Arc<Mutex<RetryReport>>;

impl Retry {
    /// The retry of a pipeline whose last checkpoint ends `last`.
    pub(super) fn new(
        spec: PipelineSpec,
        stages: &[StageInfo],
        selection: Selection,
        last: Epoch,
        store: Arc<RedbStore>,
    ) -> Retry {
        let report = Shared::default();
        let ids = match selection {
            Selection::All => None,
            Selection::Ids(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                Some(ids)
            }
        };
        let chosen = Chosen {
            pipeline: spec.name.clone(),
            stages: Arc::new(
                stages.iter().map(|stage| (stage.kind, stage.name.clone(), stage.format)).collect(),
            ),
            ids,
            last,
            after: None,
            store,
            blocking: Blocking::new(),
            report: report.clone(),
        };
        let letters = Arc::new(move || Box::new(chosen.clone()) as BoxLetters<Record, Record>);
        Retry { spec: PipelineSpec { letters: Some(letters), ..spec }, report }
    }

    /// What was done so far.
    pub fn report(&self) -> RetryReport {
        lock(&self.report).clone()
    }
}

fn lock(report: &Shared) -> MutexGuard<'_, RetryReport> {
    // Each change is one step.
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stages of the pipeline: kind, name, and of sources what they read.
type Stages = Vec<(StageKind, Name, Option<Format>)>;

/// The letters that were chosen and are left.
#[derive(Clone)]
struct Chosen {
    pipeline: Name,
    stages: Arc<Stages>,
    ids: Option<Vec<LetterId>>,
    /// Letters of later epochs are what became of those that were put in.
    last: Epoch,
    after: Option<LetterId>,
    store: Arc<RedbStore>,
    blocking: Blocking,
    report: Shared,
}

impl Chosen {
    /// The next letters, without a look at what they are; none is the end.
    async fn group(&mut self) -> Result<Vec<(LetterId, Option<DeadLetter>)>> {
        let after = self.after;
        let group = match &self.ids {
            None => {
                let letters = self.store.letters(&self.pipeline, after, GROUP).await?;
                let old = letters.into_iter().take_while(|(id, _)| id.epoch <= self.last);
                old.map(|(id, letter)| (id, Some(letter))).collect()
            }
            Some(ids) => {
                let mut group = Vec::new();
                for id in ids.iter().filter(|id| Some(**id) > after).take(GROUP) {
                    group.push((*id, self.store.letter(&self.pipeline, *id).await?));
                }
                group
            }
        };
        self.after = group.last().map(|(id, _)| *id).or(after);
        Ok(group)
    }
}

#[async_trait]
impl Letters<Record, Record> for Chosen {
    async fn next(&mut self) -> Result<Vec<Again<Record, Record>>> {
        loop {
            let group = self.group().await?;
            if group.is_empty() {
                return Ok(Vec::new());
            }
            let stages = self.stages.clone();
            let read = move || {
                let read = |(id, letter): (LetterId, Option<DeadLetter>)| match letter {
                    Some(letter) => (id, entry(&letter, &stages).map(|entry| Again { id, letter, entry })),
                    None => (id, Err("there is no such letter any more".to_owned())),
                };
                group.into_iter().map(read).collect::<Vec<_>>()
            };
            let read = self.blocking.spawn(read).await?;
            let mut again = Vec::new();
            let mut report = lock(&self.report);
            for (id, read) in read {
                match read {
                    Ok(letter) => {
                        report.put_in.insert(id);
                        again.push(letter);
                    }
                    // A life that was undone may have put it in before.
                    Err(_) if report.put_in.contains(&id) => {}
                    Err(reason) => drop(report.passed_over.insert(id, reason)),
                }
            }
            if !again.is_empty() {
                return Ok(again);
            }
        }
    }
}

/// Where a letter goes in, or why it can't.
fn entry(letter: &DeadLetter, stages: &Stages) -> Result<Entry<Record, Record>, String> {
    if letter.fate != Fate::Dead {
        return Err("it was withdrawn: its deletion or a higher revision has passed".to_owned());
    }
    let stage = &letter.stage;
    let of = |kind| stages.iter().find(move |(of, name, _)| *of == kind && name == stage);
    let is = |kind| of(kind).is_some();
    let by =
        letter.by.unwrap_or(match (is(StageKind::Sink), is(StageKind::Source), is(StageKind::Transform)) {
            (true, false, false) => RejectedBy::Sink,
            (_, true, _) => RejectedBy::Source,
            _ => RejectedBy::Transform,
        });
    let kind = match by {
        RejectedBy::Source => StageKind::Source,
        RejectedBy::Transform => StageKind::Transform,
        RejectedBy::Sink | RejectedBy::Receiver => StageKind::Sink,
    };
    let Some((_, _, format)) = of(kind) else {
        return Err(format!("the pipeline has no {} `{stage}` any more", kind.word()));
    };
    if kind == StageKind::Source {
        return Ok(Entry::Front(records(letter, *format)?));
    }
    let record = letter.payload.to_record().ok_or("what was kept of it can't be read as a record")?;
    Ok(match kind {
        StageKind::Sink => Entry::Sink(stage.clone(), record),
        _ => Entry::Transform(stage.clone(), record),
    })
}

/// The records in a letter of a source, whose bytes are read in `format`.
fn records(letter: &DeadLetter, format: Option<Format>) -> Result<Vec<Record>, String> {
    if let Some(record) = letter.payload.to_record() {
        return Ok(vec![record]);
    }
    let bytes = match (&letter.payload, format) {
        (Payload::Head { .. }, _) => {
            return Err("only its head was kept; give the whole to the source again".to_owned());
        }
        (_, Some(Format::Csv)) => {
            return Err("a row of CSV can't be read without its header; put both into a new file".to_owned());
        }
        (Payload::Raw(bytes), Some(format)) => [bytes, format.ending()].concat(),
        _ => return Err("what was kept of it can't be read as a record".to_owned()),
    };
    let at = Location { name: &letter.location, line: 1 };
    decode_all(format.unwrap_or_default(), &bytes, at)
        .map_err(|reason| format!("it still can't be read: {reason}"))
}
