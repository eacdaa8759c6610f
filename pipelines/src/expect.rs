//! `expect = { HeartRate = "6h" }` on a source: somebody hears when a type falls silent.
//!
//! A type is silent when no record of it has come for longer than it says, since the last one or since the start. That is one
//! alarm; the next record of it ends the silence, with a notice. Time is the injected clock's; what a source gave before
//! this start does not count. A source that is not asked for records, because its sinks are slow or the pipeline is paused,
//! is not silent.

use std::{pin::pin, sync::Arc, time::Duration};

use afferent_core::{
    BoxSource, Kind, Name, Pulled, Record, Result, Source, SourceCx, Timestamp,
    clock::{self, Clock},
    config::Span,
    event::StageEvents,
    metrics,
};

/// Which types a source is expected to give, and how often at least.
pub(crate) type Expected = Vec<(Kind, Duration)>;

/// A source of which types are expected.
pub(crate) struct Expecting {
    source: BoxSource<Record>,
    types: Vec<Type>,
    around: Option<Around>,
}

/// What it needs of its context.
struct Around {
    pipeline: Name,
    stage: Name,
    clock: Arc<dyn Clock>,
    events: StageEvents,
}

struct Type {
    kind: Kind,
    limit: Duration,
    /// Its last record, or the start.
    seen: Timestamp,
    silent: bool,
}

impl Expecting {
    pub(crate) fn new(source: BoxSource<Record>, expected: &Expected) -> Expecting {
        let types = expected.iter().map(|(kind, limit)| Type {
            kind: *kind,
            limit: *limit,
            seen: Timestamp::default(),
            silent: false,
        });
        Expecting { source, types: types.collect(), around: None }
    }
}

/// How long until the first of them falls silent; `None` when all are.
fn until_silence(types: &[Type], now: Timestamp) -> Option<Duration> {
    let left = |of: &Type| of.limit.saturating_sub(age(of, now));
    types.iter().filter(|of| !of.silent).map(left).min()
}

fn age(of: &Type, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.as_micros().saturating_sub(of.seen.as_micros())).unwrap_or(0))
}

/// Notes which types came.
fn hear(types: &mut [Type], records: &[Record], around: &Around) {
    let now = around.clock.now();
    // Records of one type come together, so few are looked up.
    for run in records.chunk_by(|one, other| one.kind == other.kind) {
        let kind = run.first().and_then(|record| record.kind);
        let Some(of) = types.iter_mut().find(|of| Some(of.kind) == kind) else { continue };
        of.seen = now;
        if std::mem::take(&mut of.silent) {
            around.events.notice(format!("{} comes again", of.kind.short()));
        }
    }
}

/// Tells which types have fallen silent.
fn tell(types: &mut [Type], around: &Around) {
    let now = around.clock.now();
    for of in types {
        if !of.silent && age(of, now) >= of.limit {
            of.silent = true;
            around.events.alarm(format!(
                "no record of {} has come for {}, and `expect` says there is one at least so often; look at what should give it",
                of.kind.short(),
                Span(of.limit)
            ));
        }
    }
}

fn count(types: &[Type], around: &Around) {
    let silent = types.iter().filter(|of| of.silent).count();
    metrics::types_silent(&around.pipeline, &around.stage, silent as u64);
}

impl Source for Expecting {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let around = Around {
            pipeline: cx.pipeline.clone(),
            stage: cx.stage.clone(),
            clock: cx.clock.clone(),
            events: cx.events.clone(),
        };
        let now = around.clock.now();
        self.types.iter_mut().for_each(|of| of.seen = now);
        count(&self.types, &around);
        self.around = Some(around);
        self.source.open(cx).await
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let Expecting { source, types, around } = self;
        let Some(around) = around else { return source.next().await };
        let mut pull = pin!(source.next());
        loop {
            let wait = until_silence(types, around.clock.now());
            let pulled = tokio::select! {
                biased;
                pulled = &mut pull => Some(pulled),
                () = clock::sleep(wait.unwrap_or_default()), if wait.is_some() => None,
            };
            let Some(pulled) = pulled else {
                tell(types, around);
                count(types, around);
                continue;
            };
            if let Ok(Some(pulled)) = &pulled {
                let before = types.iter().filter(|of| of.silent).count();
                hear(types, &pulled.batch, around);
                if types.iter().filter(|of| of.silent).count() != before {
                    count(types, around);
                }
            }
            return pulled;
        }
    }
}

#[cfg(test)]
mod tests {
    use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use afferent_core::{
        Position, RecordId, Value,
        event::{Event, EventKind},
        testing::{Surroundings, TestClock},
    };
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::sync::mpsc;

    use super::*;

    /// What the gauge of silent types says.
    #[derive(Default)]
    struct Silent(Arc<AtomicU64>);

    impl Silent {
        fn types(&self) -> f64 {
            f64::from_bits(self.0.load(Ordering::SeqCst))
        }
    }

    impl Recorder for Silent {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            assert_eq!(key.name(), "afferent_source_types_silent");
            Gauge::from_arc(self.0.clone())
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    /// Gives a record when it is sent its type.
    struct Feed(mpsc::UnboundedReceiver<Kind>);

    impl Source for Feed {
        type Item = Record;
        async fn open(&mut self, _: SourceCx) -> Result<()> {
            Ok(())
        }
        async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
            let Some(kind) = self.0.recv().await else { return Ok(None) };
            let at = Timestamp::default();
            let record = Record::added(RecordId::from_u128(1), kind, at, at, Value::None);
            let position = Position::new(1, "feed", &0)?;
            Ok(Some(Pulled { batch: vec![record].into(), rejects: Vec::new(), position, seal: false }))
        }
    }

    fn told(surroundings: &mut Surroundings) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(Event { kind, .. }) = surroundings.events.try_recv() {
            match kind {
                EventKind::Alarm { message, .. } => told.push(format!("alarm: {message}")),
                EventKind::Notice { message, .. } => told.push(message),
                _ => {}
            }
        }
        told
    }

    /// Scenario: one of two expected types stops coming, for days, and comes again; the other comes all the while, and a
    /// third is not expected. Guarantees: one alarm for each silence, after the time it says, and a notice at its end; the gauge
    /// says how many are silent.
    #[tokio::test(start_paused = true)]
    async fn a_type_that_falls_silent_is_told_once() {
        let gauge = Silent::default();
        let _heard = ::metrics::set_default_local_recorder(&gauge);
        let kind = |name| Kind::parse(name).unwrap();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let (feed, receiver) = mpsc::unbounded_channel();
        let expected = vec![(kind("HeartRate"), hours(6)), (kind("StepCount"), hours(24))];
        let mut source = Expecting::new(Box::new(Feed(receiver)), &expected);
        let mut surroundings = Surroundings::new();
        let mut cx = surroundings.source(None);
        cx.clock = Arc::new(TestClock::default());
        source.open(cx).await.unwrap();

        let mut after = async |source: &mut Expecting, wait, name| {
            let pulled = async {
                let pulled = source.next().await.unwrap().unwrap();
                assert_eq!(pulled.batch.len(), 1);
            };
            let send = async {
                clock::sleep(wait).await;
                feed.send(kind(name)).unwrap();
            };
            futures::join!(pulled, send);
            told(&mut surroundings)
        };
        assert_eq!(after(&mut source, hours(5), "HeartRate").await, [""; 0]);
        assert_eq!(after(&mut source, hours(5), "StepCount").await, [""; 0]);
        let silent = after(&mut source, hours(2), "BodyMass").await;
        assert_eq!(silent.len(), 1, "{silent:?}");
        assert!(silent[0].starts_with("alarm: no record of HeartRate has come for 6h"), "{silent:?}");
        assert_eq!(gauge.types(), 1.0);
        assert_eq!(after(&mut source, hours(20), "StepCount").await, [""; 0], "once");
        assert_eq!(after(&mut source, hours(1), "HeartRate").await, ["HeartRate comes again"]);
        assert_eq!(gauge.types(), 0.0);
        let silent = after(&mut source, hours(40), "BodyMass").await;
        assert_eq!(silent.len(), 2, "both, each once: {silent:?}");
        assert_eq!(gauge.types(), 2.0);
    }
}
