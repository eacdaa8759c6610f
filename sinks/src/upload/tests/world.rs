//! A pipeline that uploads, over many lives: processes that die, disks that lose power, receivers that misbehave.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use afferent_core::{
    Census, Change, CheckpointStore, Kind, LetterId, MemoryStore, Name, Record, RecordId, Result, Timestamp,
    Unit, Value, clock,
    engine::{
        self, Again, BoxLetters, EngineCx, Entry, Letters, Outcome, Settings as EngineSettings, Stages,
    },
    event::{Event, EventKind, Events},
    ledger::NO_TYPE,
    mailbox::mailbox,
    queue::disk::Queues,
    random::Random,
    reject::Fate,
    stage::{BoxTransform, Line},
    testing::{Script as SourceScript, SimDisk, TestClock},
};
use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{
    consent::{Consent, Table},
    receiver::{Receiver, Script},
};
use crate::upload::{BatchLimits, Compression, Delivery, Framing, Settings, Upload};

/// A pipeline and all that outlives its processes.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) store: Arc<MemoryStore>,
    pub(super) disk: SimDisk,
    pub(super) receiver: Receiver,
    pub(super) settings: Settings,
    pub(super) engine: EngineSettings,
    pub(super) source: SourceScript<Record>,
    /// Who has withdrawn a consent; without it nobody is asked.
    pub(super) table: Option<Table>,
    /// What the receiver refuses.
    pub(super) poison: BTreeSet<(RecordId, Change)>,
    /// How long the processes have run.
    pub(super) passed: Duration,
    pub(super) events: Option<broadcast::Receiver<Event>>,
}

/// A record of `subject`.
pub(super) fn record(number: u64, subject: Option<&str>) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000 + number as i64 * 1_000_000);
    let mut record = Record::added(
        RecordId::from_u128(number.into()),
        Kind::parse("HeartRate").unwrap(),
        start,
        start,
        Value::Quantity(60.25, Unit::parse("count/min").unwrap()),
    );
    record.subject = subject.map(Name::from);
    record
}

/// Additions of a few subjects, and deletions of some of them, of which half do not say whose.
pub(super) fn records(count: u64, random: &mut Random) -> Vec<Record> {
    const SUBJECTS: [Option<&str>; 6] = [Some("ada"), Some("bo"), Some("cy"), Some("dee"), Some("eve"), None];
    let mut records: Vec<Record> = Vec::new();
    for number in 0..count {
        let earlier = random.below(records.len().max(1) as u64) as usize;
        match records.get(earlier) {
            Some(earlier) if random.chance(0.1) && !earlier.is_deletion() => {
                let (id, subject) = (earlier.id, earlier.subject.clone());
                if records.iter().any(|record| record.id == id && record.is_deletion()) {
                    continue;
                }
                let mut deletion = Record::deleted(id, None);
                deletion.subject = subject.filter(|_| random.chance(0.5));
                records.push(deletion);
            }
            _ => records.push(record(number, SUBJECTS[random.below(6) as usize])),
        }
    }
    records
}

impl World {
    /// A receiver that behaves, and defaults.
    pub(super) fn new(records: Vec<Record>) -> World {
        World {
            seed: 0,
            random: Random::from_seed(0),
            store: Arc::new(MemoryStore::new()),
            disk: SimDisk::new(0),
            receiver: Receiver::new(Script::default(), BTreeSet::new(), 0),
            settings: Settings::default(),
            engine: EngineSettings::default(),
            source: SourceScript::new(records),
            poison: BTreeSet::new(),
            table: None,
            passed: Duration::ZERO,
            events: None,
        }
    }

    /// Everything drawn from a seed.
    pub(super) fn draw(seed: u64) -> World {
        let mut random = Random::from_seed(seed);
        let records = records(1 + random.below(300), &mut random);
        let poison: BTreeSet<(RecordId, Change)> =
            records.iter().filter(|_| random.chance(0.02)).map(|record| (record.id, record.change)).collect();
        let mut misbehaves = |most: f64| if random.chance(0.5) { 0.0 } else { random.unit() * most };
        let mut script = Script {
            failing: misbehaves(0.4),
            lost_answers: misbehaves(0.3),
            too_many: misbehaves(0.1),
            later: misbehaves(0.1),
            slow: misbehaves(1.0),
            partly: seed.is_multiple_of(3),
            ..Script::default()
        };
        if random.chance(0.3) {
            let from = random.below(50);
            script.unauthorized = (from, from + random.below(30));
        }
        script.most = random.chance(0.3).then(|| 1 + random.below(6) as u32);
        let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
        let settings = Settings {
            framing: if random.chance(0.5) { Framing::Array } else { Framing::Lines },
            compression: compressions[random.below(3) as usize],
            batch: BatchLimits { records: 1 + random.below(20) as usize, ..BatchLimits::default() },
            lanes: 1 + random.below(4) as u16,
            max_bytes: 500 + random.below(20_000),
            ..Settings::default()
        };
        let mut engine = EngineSettings { records: 1 + random.below(100), ..EngineSettings::default() };
        engine.limits.records = 1 + random.below(20) as usize;
        let source = SourceScript { faults: random.unit() * 0.1, ..SourceScript::new(records) };
        World {
            seed,
            store: Arc::new(MemoryStore::new()),
            disk: SimDisk::new(seed),
            receiver: Receiver::new(script, poison.clone(), random.u64()),
            settings,
            engine,
            source,
            table: None,
            poison,
            passed: Duration::ZERO,
            events: None,
            random,
        }
    }

    /// One process: it runs to its end, or dies after `polls` polls of the pipeline.
    pub(super) fn live(&mut self, polls: Option<u64>) -> Option<Result<Outcome>> {
        self.process(polls, false)
    }

    /// One process that puts the dead letters in again, to its end or its death.
    pub(super) fn retry(&mut self, polls: Option<u64>) -> Option<Result<Outcome>> {
        self.process(polls, true)
    }

    fn process(&mut self, polls: Option<u64>, retries: bool) -> Option<Result<Outcome>> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (outcome, passed) = runtime.block_on(async {
            let began = clock::instant();
            let (_mailbox, commands) = mailbox();
            let (events, heard) = Events::alone(Name::from("test"));
            self.events = Some(heard);
            let start =
                Timestamp::from_micros_clamped(1_748_736_000_000_000 + self.passed.as_micros() as i64);
            let cx = EngineCx {
                pipeline: Name::from("test"),
                settings: self.engine,
                store: self.store.clone(),
                claim: Default::default(),
                clock: Arc::new(TestClock::new(start)),
                disk: self.disk.shared(),
                random: self.random.fork(),
                directory: PathBuf::from("/state"),
                queues: Queues::new(self.disk.shared(), PathBuf::from("/queues"), self.store.clone()),
                mailbox: commands,
                events,
                kill: Default::default(),
            };
            let (source, settings, receiver) = (&self.source, &self.settings, &self.receiver);
            let table = &self.table;
            let stages = || {
                let sink = Upload::new(settings.clone(), receiver.transport());
                let consent = table.iter().map(|table| {
                    let consent: BoxTransform<Record> = Box::new(Consent::new(table));
                    (Name::from("consent"), consent)
                });
                let transforms = Line::new(consent.collect())?.counting(Record::count);
                let stages = Stages::line(("source", source.source()), transforms, ("sink", sink));
                Ok(stages.withdrawing(Record::superseding).counting(Record::count, Record::count))
            };
            let letters =
                || Box::new(Left { store: self.store.clone(), after: None }) as BoxLetters<Record, Record>;
            let outcome = match retries {
                false => dies_after(Box::pin(engine::run(cx, stages)), polls).await,
                true => dies_after(Box::pin(engine::retry(cx, stages, letters)), polls).await,
            };
            (outcome, clock::instant().duration_since(began))
        });
        // Kills the driver, and waits for jobs as for the last writes of a process.
        drop(runtime);
        self.passed += passed;
        outcome
    }

    /// Runs to the end, and compares what the receiver has with what the source gave.
    pub(super) fn verify(&mut self) {
        let seed = self.seed;
        if self.settings.delivery == Delivery::Outbox {
            self.receiver.heal();
        }
        self.disk.heal();
        let outcome = match self.live(None) {
            Some(Ok(outcome)) => outcome,
            other => panic!("seed {seed}: it goes on to its end, not {other:?}"),
        };
        self.compare(&outcome);
    }

    pub(super) fn compare(&self, outcome: &Outcome) {
        let seed = self.seed;
        let items = &self.source.items;
        let applied = self.receiver.applied();
        let whole: Vec<(RecordId, Change)> = items
            .iter()
            .map(|record| (record.id, record.change))
            .filter(|record| !self.poison.contains(record))
            .collect();
        let mut sorted = (applied.clone(), whole.clone());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1, "seed {seed}: each record once");
        let place: BTreeMap<_, _> = applied.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut last: BTreeMap<Option<&Name>, usize> = BTreeMap::new();
        for record in items.iter().filter(|record| !self.poison.contains(&(record.id, record.change))) {
            let place_of = place[&(record.id, record.change)];
            let before = last.insert(record.subject.as_ref(), place_of);
            assert!(before.is_none_or(|before| before < place_of), "seed {seed}: the order of a subject");
            if record.is_deletion() {
                let added = place.get(&(record.id, Change::Added));
                assert!(
                    added.is_none_or(|added| *added < place_of),
                    "seed {seed}: a deletion overtook its addition"
                );
            }
        }
        let refused = items.len() - whole.len();
        let is_withdrawn = |(id, change): &(RecordId, Change)| {
            *change == Change::Added && place.contains_key(&(*id, Change::Deleted))
        };
        let withdrawn = self.withdrawn();
        let account = outcome.ledger.accounts["sink"];
        assert!(outcome.ledger.is_balanced(), "seed {seed}: {account:?}");
        assert_eq!(
            (account.read, account.delivered, account.superseded, account.dead, account.pending),
            (items.len() as u64, whole.len() as u64, withdrawn as u64, (refused - withdrawn) as u64, 0),
            "seed {seed}: {account:?}"
        );
        let taken = items.iter().filter(|record| !self.poison.contains(&(record.id, record.change)));
        let taken: Census = taken.map(|record| (record.kind, 1)).collect();
        for (kind, records) in taken.iter() {
            let row = outcome.ledger.types["sink"].0[kind.map_or(NO_TYPE, Kind::name)];
            assert_eq!(row.delivered, records, "seed {seed}: {kind:?}");
        }
        let letters = futures::executor::block_on(CheckpointStore::dead_letters(
            &*self.store,
            &Name::from("test"),
            usize::MAX,
        ))
        .unwrap();
        let mut keys: Vec<_> = letters
            .iter()
            .map(|letter| {
                let record = letter.payload.to_record().expect("a refused record is kept as one");
                (record.id, record.change, letter.fate != Fate::Dead)
            })
            .collect();
        let mut expected: Vec<_> = items
            .iter()
            .map(|record| (record.id, record.change))
            .filter(|record| self.poison.contains(record))
            .map(|record| (record.0, record.1, is_withdrawn(&record)))
            .collect();
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected, "seed {seed}: each refused record is one dead letter");
        assert_eq!(outcome.ledger.dead_letters, refused as u64, "seed {seed}");
    }

    /// Puts the dead letters in again, at a receiver that takes them now; each record that no deletion withdrew is there in
    /// the end, once.
    pub(super) fn verify_retry(&mut self) {
        let seed = self.seed;
        self.receiver.accept();
        let outcome = match self.retry(None) {
            Some(Ok(outcome)) => outcome,
            other => panic!("seed {seed}: the retry goes on to its end, not {other:?}"),
        };
        let mut applied = self.receiver.applied();
        applied.sort_unstable();
        let mut expected: Vec<_> =
            self.source.items.iter().map(|record| (record.id, record.change)).collect();
        let refused = self.poison.clone();
        let deleted =
            |id| expected.contains(&(id, Change::Deleted)) && !refused.contains(&(id, Change::Deleted));
        let withdrawn: BTreeSet<_> =
            refused.iter().filter(|(id, change)| *change == Change::Added && deleted(*id)).copied().collect();
        expected.retain(|key| !withdrawn.contains(key));
        expected.sort_unstable();
        assert_eq!(applied, expected, "seed {seed}: each record once");
        let account = outcome.ledger.accounts["sink"];
        assert!(outcome.ledger.is_balanced(), "seed {seed}: {account:?}");
        assert_eq!(
            (account.delivered, account.superseded, account.dead, account.pending),
            (expected.len() as u64, withdrawn.len() as u64, 0, 0),
            "seed {seed}: {account:?}"
        );
    }

    /// How many refused additions a deletion withdraws.
    pub(super) fn withdrawn(&self) -> usize {
        let keys = self.source.items.iter().map(|record| (record.id, record.change));
        let passes = |id| {
            let deletion = (id, Change::Deleted);
            let given = self.source.items.iter().any(|record| (record.id, record.change) == deletion);
            given && !self.poison.contains(&deletion)
        };
        keys.filter(|key| key.1 == Change::Added && self.poison.contains(key) && passes(key.0)).count()
    }

    /// The receiver refuses this record.
    pub(super) fn with_poison(mut self, number: u64) -> World {
        let id = RecordId::from_u128(number.into());
        self.receiver.refuse(id);
        self.poison.insert((id, Change::Added));
        self
    }

    /// What was alarmed in the last life.
    pub(super) fn alarms(&mut self) -> Vec<String> {
        let mut alarms = Vec::new();
        while let Some(Ok(event)) = self.events.as_mut().map(broadcast::Receiver::try_recv) {
            if let EventKind::Alarm { message, .. } = event.kind {
                alarms.push(message);
            }
        }
        alarms
    }

    pub(super) fn without_faults(mut self) -> World {
        self.source.faults = 0.0;
        self
    }

    pub(super) fn direct(mut self) -> World {
        self.settings.delivery = Delivery::Direct;
        self
    }
}

/// The dead letters that are left, a few at a time.
struct Left {
    store: Arc<MemoryStore>,
    after: Option<LetterId>,
}

#[async_trait]
impl Letters<Record, Record> for Left {
    async fn next(&mut self) -> Result<Vec<Again<Record, Record>>> {
        loop {
            let letters = self.store.letters(&Name::from("test"), self.after, 2).await?;
            let Some((last, _)) = letters.last() else { return Ok(Vec::new()) };
            self.after = Some(*last);
            let dead = letters.into_iter().filter(|(_, letter)| letter.fate == Fate::Dead);
            let again = dead.map(|(id, letter)| {
                let record = letter.payload.to_record().expect("a refused record is kept as one");
                let entry = Entry::Sink(letter.stage.clone(), record);
                Again { id, letter, entry }
            });
            let again: Vec<_> = again.collect();
            if !again.is_empty() {
                return Ok(again);
            }
        }
    }
}

/// Completes `future`, or drops it after `polls` polls.
async fn dies_after<T>(future: impl Future<Output = T>, polls: Option<u64>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if let Some(left) = &mut left {
            if *left == 0 {
                return Poll::Ready(None);
            }
            *left -= 1;
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
