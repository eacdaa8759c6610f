//! Tests of the runtime.

mod commands;
mod failures;
mod idle;
mod restart;
mod retry;
mod wake;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use afferent_core::{
    Kind, Pulled, Record, RecordId, Result, Source, SourceCx, Timestamp, Unit, Value,
    engine::{BoxStages, Settings},
    event::{Event, EventKind},
    random::Random,
    stage::Line,
    testing::{Recording, Script, ScriptSource, TestClock},
};
use tempfile::TempDir;
use tokio::sync::broadcast;

use super::*;
use crate::PipelineSpec;

/// Longer than anything takes under a paused clock.
const PATIENCE: Duration = Duration::from_secs(600);

fn options() -> RuntimeOptions {
    RuntimeOptions {
        clock: Arc::new(TestClock::default()),
        random: Random::from_seed(1),
        ..RuntimeOptions::default()
    }
}

async fn open(directory: &TempDir) -> Runtime {
    Runtime::open(directory.path(), options()).await.unwrap()
}

/// Records that differ in their ids.
fn records(count: u128) -> Vec<Record> {
    let value = Value::Quantity(60.0, Unit::parse("count/min").unwrap());
    let kind = Kind::parse("HeartRate").unwrap();
    let at = Timestamp::from_micros_clamped(0);
    (0..count).map(|id| Record::added(RecordId::from_u128(id), kind, at, at, value.clone())).collect()
}

/// What a test's pipeline is made of; its parts outlive the pipeline.
#[derive(Clone)]
struct Feed {
    script: Script<Record>,
    shown: Recording<Record>,
    trouble: Trouble,
}

/// What a source does on its first pulls, over all lives, instead of giving records.
#[derive(Clone, Default)]
struct Trouble {
    left: Arc<AtomicU32>,
    panics: bool,
}

impl Feed {
    /// A hundred records and an end.
    fn finite() -> Feed {
        Feed { script: Script::new(records(100)), shown: Recording::default(), trouble: Trouble::default() }
    }

    /// A hundred records, and then it is drained.
    fn endless() -> Feed {
        let mut feed = Feed::finite();
        feed.script.finite = false;
        feed
    }

    fn failing(mut self, times: u32, panics: bool) -> Feed {
        self.trouble = Trouble { left: Arc::new(AtomicU32::new(times)), panics };
        self
    }

    fn spec(&self, name: &str) -> PipelineSpec {
        let feed = self.clone();
        PipelineSpec::new(name, Settings::default(), move || {
            let source = TroubledSource { trouble: feed.trouble.clone(), source: feed.script.source() };
            BoxStages::new(
                vec![("source".into(), Box::new(source))],
                Line::new(Vec::new())?,
                vec![("sink".into(), Box::new(feed.shown.sink()), None)],
            )
        })
    }

    /// Each record is visible once and in order.
    fn assert_shown(&self) {
        assert_eq!(self.shown.visible(), *self.script.items);
    }
}

struct TroubledSource {
    trouble: Trouble,
    source: ScriptSource<Record>,
}

impl Source for TroubledSource {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        self.source.open(cx).await
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let due =
            self.trouble.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match due {
            Ok(_) if self.trouble.panics => panic!("a scripted panic"),
            Ok(_) => Err(afferent_core::Error::bug("a scripted defect")),
            Err(_) => self.source.next().await,
        }
    }
}

/// Waits for an event of `pipeline`.
async fn wait_for(
    events: &mut broadcast::Receiver<Event>,
    pipeline: &str,
    wanted: impl Fn(&EventKind) -> bool,
) {
    loop {
        let event = events.recv().await.unwrap();
        if event.pipeline.as_str() == pipeline && wanted(&event.kind) {
            return;
        }
    }
}
