//! Both sides of a queue without an engine: a test commits for them.

use std::{path::Path, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::sync::watch;

use super::*;
use crate::{
    Batch, Committed, Epoch, Error, ErrorKind, Incarnation, Name, Opened, Position, Pulled, Result, Token,
    disk::{Disk, DiskFile, DiskLock, FileInfo, OpenMode, OsDisk},
    event::EventKind,
    testing::{SimDisk, Surroundings},
};

/// Bytes of an entry of [`append`].
const ENTRY: u64 = 17;

fn decode(payload: &[u8], batch: &mut Batch<u64>) -> Result<()> {
    let damaged = || Error::state("a number of eight bytes");
    for number in payload.chunks(8) {
        batch.push(u64::from_le_bytes(number.try_into().map_err(|_| damaged())?));
    }
    Ok(())
}

fn queue() -> Name {
    Name::from("steps")
}

/// A sink and what it knows.
struct Writing {
    producer: Producer,
    room: Room,
    opened: Opened,
    token: Token,
}

impl Writing {
    /// Opens after `token` and commits epoch 0, or what the token says.
    async fn open(around: &Surroundings, token: Option<Token>, max_bytes: u64) -> Writing {
        Writing::open_as(around, token, max_bytes, 1, 1).await
    }

    async fn open_as(
        around: &Surroundings,
        token: Option<Token>,
        max_bytes: u64,
        generation: u64,
        incarnation: u128,
    ) -> Writing {
        let mut cx = around.sink(token.clone(), generation);
        cx.incarnation = Incarnation::from_u128(incarnation);
        let (mut producer, room, opened) = around.queues.produce(&queue(), max_bytes, &cx).await.unwrap();
        if opened == Opened::Resumed {
            producer.commit(&token.unwrap()).unwrap();
        }
        let mut writing = Writing { token: producer.prepare().unwrap(), producer, room, opened };
        writing.release();
        writing
    }

    /// Appends one entry for each number.
    fn append(&mut self, numbers: impl IntoIterator<Item = u64>) -> &mut Writing {
        for number in numbers {
            self.producer.append(&number.to_le_bytes()).unwrap();
        }
        self
    }

    fn prepare(&mut self) -> &mut Writing {
        self.token = self.producer.prepare().unwrap();
        self
    }

    fn release(&mut self) {
        self.producer.commit(&self.token).unwrap();
    }

    fn epoch(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.append(numbers).prepare().release();
    }
}

/// A source, and what it has committed.
struct Reading {
    consumer: Consumer<u64>,
    committed: watch::Sender<Committed>,
    pulls: u64,
    position: Option<Position>,
}

impl Reading {
    async fn open(around: &Surroundings, stage: &str, position: Option<Position>) -> Reading {
        let mut cx = around.source(position.clone());
        cx.stage = Name::from(stage);
        let committed = watch::channel(Committed { position: position.clone(), ..Committed::default() }).0;
        cx.committed = committed.subscribe();
        let consumer = around.queues.consume(&queue(), decode, cx).await.unwrap();
        Reading { consumer, committed, pulls: 0, position }
    }

    /// Reads until it is drained.
    async fn read(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        loop {
            let pulled = self.consumer.next().await.unwrap();
            let drained = pulled.is_drained();
            let Pulled { batch, position, .. } = pulled;
            numbers.extend(batch.into_vec());
            self.pulls += 1;
            self.position = Some(position);
            if drained {
                return numbers;
            }
        }
    }

    /// Commits what was read, in the oldest kept checkpoint as well.
    fn commit(&self) {
        let position = self.position.clone();
        self.committed.send_replace(Committed { epoch: Epoch(0), pulls: self.pulls, position });
    }
}

fn alarms(around: &mut Surroundings) -> Vec<String> {
    let mut alarms = Vec::new();
    while let Ok(event) = around.events.try_recv() {
        if let EventKind::Alarm { message, .. } = event.kind {
            alarms.push(message);
        }
    }
    alarms
}

/// As a process that starts anew sees the queues: nothing is known but what is on disk and in the store.
fn new_process(around: &mut Surroundings) {
    around.queues = Queues::new(around.disk.clone(), around.path().join("queues"), around.store.clone());
}

/// Scenario: entries that are appended, then prepared, then committed; two consumers, of which one comes late. Guarantees: G2: an
/// entry is read when its epoch is committed and not before; G3: in order, by each consumer once.
#[tokio::test]
async fn what_is_committed_is_read() {
    let around = Surroundings::new();
    let mut reading = Reading::open(&around, "early", None).await;
    assert_eq!(reading.read().await, []);
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    assert_eq!(writing.opened, Opened::Elsewhere);
    reading.read().await;
    writing.append(0..3);
    assert!(reading.consumer.next().now_or_never().is_none(), "it was only appended");
    writing.prepare();
    assert!(reading.consumer.next().now_or_never().is_none(), "it was only prepared");
    writing.release();
    assert_eq!(reading.read().await, [0, 1, 2]);
    writing.epoch(3..5);
    assert_eq!(reading.read().await, [3, 4]);
    let mut late = Reading::open(&around, "late", None).await;
    assert_eq!(late.read().await, [0, 1, 2, 3, 4]);
}

/// Scenario: a pull takes fewer records than an entry has, and another consumer goes on after each. Guarantees: G1 and G2: a position
/// inside an entry is one.
#[tokio::test]
async fn a_position_may_be_inside_an_entry() {
    let mut around = Surroundings::new();
    around.limits.records = 3;
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    let entry = |numbers: std::ops::Range<u64>| numbers.flat_map(u64::to_le_bytes).collect::<Vec<u8>>();
    writing.producer.append(&entry(0..8)).unwrap();
    writing.producer.append(&entry(8..10)).unwrap();
    writing.epoch([]);
    let mut reading = Reading::open(&around, "source", None).await;
    let mut position = None;
    let mut read = Vec::new();
    for _ in 0..4 {
        let pulled = reading.consumer.next().await.unwrap();
        assert!(pulled.batch.len() <= 3);
        read.extend(pulled.batch.into_vec());
        let mut other = Reading::open(&around, "other", Some(pulled.position.clone())).await;
        assert_eq!([read.clone(), other.read().await].concat(), (0..10).collect::<Vec<_>>());
        position = Some(pulled.position);
    }
    assert_eq!(read, (0..10).collect::<Vec<_>>());
    assert!(position.is_some());
}

/// Scenario: entries of three epochs, and the process dies after it has prepared a fourth; the next one opens with the third's
/// token. Guarantees: G1 and G2: what was not committed is cut off, and a consumer that starts first does not see it.
#[tokio::test]
async fn what_lies_after_the_token_is_cut_off() {
    let mut around = Surroundings::new();
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    writing.epoch(0..10);
    let token = writing.token.clone();
    writing.append(10..20).prepare();
    drop(writing);
    new_process(&mut around);
    let mut reading = Reading::open(&around, "source", None).await;
    assert_eq!(reading.read().await, [], "no checkpoint says what is released");
    let mut writing = Writing::open(&around, Some(token), 1 << 20).await;
    assert_eq!(writing.opened, Opened::Resumed);
    assert_eq!(reading.read().await, (0..10).collect::<Vec<_>>());
    writing.epoch(30..31);
    assert_eq!(reading.read().await, [30]);
    assert_eq!(alarms(&mut around), [] as [String; 0]);
}

/// Scenario: a bound of ten entries; a consumer reads and commits. Guarantees: G7: the producer waits at exactly the bound, is woken by
/// a commit, and an open epoch that is larger does not wait for itself.
#[tokio::test]
async fn a_full_queue_pushes_back_at_its_bound() {
    let mut around = Surroundings::new();
    let mut reading = Reading::open(&around, "source", None).await;
    let mut writing = Writing::open(&around, None, 10 * ENTRY).await;
    reading.read().await;
    for number in 0..30 {
        assert!(writing.room.wait(WhenFull::Wait).now_or_never().is_some(), "nothing is released");
        writing.append([number]);
    }
    writing.prepare().release();
    assert!(writing.room.wait(WhenFull::Detach).now_or_never().is_none(), "30 entries wait");
    assert_eq!(reading.read().await.len(), 30);
    let mut waits = Box::pin(writing.room.wait(WhenFull::Detach));
    assert!((&mut waits).now_or_never().is_none(), "they were read and not committed");
    reading.commit();
    assert!(waits.await.unwrap());
    let mut written = 0;
    for number in 30..60 {
        if writing.room.wait(WhenFull::Wait).now_or_never().is_none() {
            break;
        }
        writing.epoch([number]);
        written += 1;
    }
    assert_eq!(written, 10, "exactly the bound");
    assert_eq!(alarms(&mut around), [] as [String; 0], "a slow consumer is no alarm");
}

/// Scenario: a consumer goes away, the queue fills, with either policy; then it comes back. Guarantees: G11: by default the producer
/// waits and says for whom; by policy the consumer is detached, loudly, and at its return it is told what is gone.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_away_is_waited_for_or_detached() {
    let mut around = Surroundings::new();
    let mut reading = Reading::open(&around, "source", None).await;
    // Segments have 64 KiB at least, and only whole ones are removed.
    let bound = 100 * 1009;
    let mut writing = Writing::open(&around, None, bound).await;
    let long = vec![0; 1000];
    let fill = |writing: &mut Writing, entries: u64| {
        for _ in 0..entries {
            writing.producer.append(&long).unwrap();
            writing.epoch([]);
        }
    };
    fill(&mut writing, 10);
    assert_eq!(reading.read().await.len(), 10 * 125);
    reading.commit();
    let position = reading.position.clone();
    drop(reading);
    fill(&mut writing, 100);
    assert!(writing.room.wait(WhenFull::Detach).now_or_never().is_none());
    assert_eq!(alarms(&mut around), [] as [String; 0], "it may be about to come back");
    let waited = tokio::time::timeout(Duration::from_secs(3600), writing.room.wait(WhenFull::Wait));
    assert!(waited.await.is_err(), "by default it is waited for");
    let said = alarms(&mut around);
    assert_eq!(said.len(), 1, "once: {said:?}");
    assert!(said[0].contains("`test/source`") && said[0].contains("does not run here"), "{said:?}");

    assert!(!writing.room.wait(WhenFull::Detach).await.unwrap(), "nobody is left to wait for");
    let said = alarms(&mut around);
    assert!(said.len() == 1 && said[0].contains("100 entries"), "{said:?}");
    let gone = writing.producer.forgo().unwrap();
    assert!(gone > 10, "{gone} entries");
    writing.room.forwent(gone);
    assert_eq!(alarms(&mut around).len(), 1);

    let mut reading = Reading::open(&around, "source", position).await;
    let left = reading.read().await.len() as u64 / 125;
    assert_eq!(left, 110 - gone, "it goes on at the oldest that is there");
    let said = alarms(&mut around);
    assert!(said.iter().any(|said| said.contains(&format!("{} entries", gone - 10))), "{said:?}");
}

/// Scenario: many epochs; one consumer keeps up, another is three checkpoints behind, then catches up. Guarantees: G1: nothing is
/// removed that the slower one needs; G7: what nobody needs is.
#[tokio::test]
async fn what_nobody_needs_is_removed() {
    let around = Surroundings::new();
    let (mut fast, mut slow) =
        (Reading::open(&around, "fast", None).await, Reading::open(&around, "slow", None).await);
    let mut writing = Writing::open(&around, None, 64 << 10).await;
    let segments = || {
        let directory = around.path().join("queues/steps/producers/test~sink/log");
        around.disk.list(&directory).unwrap().len()
    };
    let long = vec![7; 8000];
    for _ in 0..100 {
        writing.producer.append(&long).unwrap();
        writing.epoch([]);
        fast.read().await;
        fast.commit();
    }
    assert!(segments() > 10, "{} segments", segments());
    assert_eq!(slow.read().await.len(), 100 * 1000);
    slow.commit();
    writing.epoch([]);
    assert!(segments() <= 2, "{} segments", segments());
}

/// Scenario: a producer falls back to an older checkpoint, twice, under new incarnations, while one consumer stands behind the cut and
/// another before it. Guarantees: G1: the first goes to the cut with an alarm, the second reads on without one; both read what is
/// written there now.
#[tokio::test]
async fn a_consumer_past_a_cut_goes_to_the_cut() {
    let mut around = Surroundings::new();
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    let mut before = Reading::open(&around, "before", None).await;
    let mut past = Reading::open(&around, "past", None).await;
    writing.epoch(0..10);
    let older = writing.token.clone();
    assert_eq!(before.read().await.len(), 10);
    writing.epoch(10..20);
    assert_eq!(past.read().await.len(), 20);
    drop(writing);
    let mut writing = Writing::open_as(&around, Some(older), 1 << 20, 2, 2).await;
    assert_eq!(writing.opened, Opened::Resumed);
    assert_eq!(past.read().await, []);
    let said = alarms(&mut around);
    assert!(said.len() == 1 && said[0].contains("10 entries that were read"), "{said:?}");
    writing.epoch(100..105);
    assert_eq!(past.read().await, (100..105).collect::<Vec<_>>());
    assert_eq!(before.read().await, (100..105).collect::<Vec<_>>());
    assert_eq!(alarms(&mut around), [] as [String; 0]);
    // And over a restart of the consumer.
    let position = past.position.clone();
    drop(past);
    writing.epoch([105]);
    let mut past = Reading::open(&around, "past", position).await;
    assert_eq!(past.read().await, [105]);
}

/// Scenario: a producer starts without a checkpoint, and its log has entries. Guarantees: they are set aside, never cut, with an alarm; a
/// consumer begins with the new log.
#[tokio::test]
async fn without_a_checkpoint_a_log_is_set_aside() {
    let mut around = Surroundings::new();
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    let mut reading = Reading::open(&around, "source", None).await;
    writing.epoch(0..10);
    assert_eq!(reading.read().await.len(), 10);
    drop(writing);
    let mut writing = Writing::open_as(&around, None, 1 << 20, 2, 2).await;
    assert_eq!(writing.opened, Opened::Elsewhere);
    let said = alarms(&mut around);
    assert!(said.len() == 1 && said[0].contains("log.aside-1"), "{said:?}");
    writing.epoch(0..3);
    assert_eq!(reading.read().await, [0, 1, 2]);
    let aside = around.path().join("queues/steps/producers/test~sink/log.aside-1");
    assert_eq!(around.disk.list(&aside).unwrap().len(), 1);
}

/// Scenario: a bit of an entry rots between its release and its reading. Guarantees: G5 and G11: it is passed over with an alarm that says
/// how many entries were lost; the others are read.
#[tokio::test]
async fn damage_is_passed_over_and_told() {
    let mut around = Surroundings::new();
    let disk = SimDisk::new(1);
    around.disk = disk.shared();
    new_process(&mut around);
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    writing.epoch(0..10);
    let log = around.path().join("queues/steps/producers/test~sink/log/00000000000000000001.log");
    let frame = 20 + ENTRY;
    disk.flip(&log, 8 * (576 + 3 * frame + 25)).unwrap();
    let mut reading = Reading::open(&around, "source", None).await;
    assert_eq!(reading.read().await, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    let said = alarms(&mut around);
    assert!(said.len() == 1 && said[0].contains("1 entry"), "{said:?}");
}

/// Scenario: a newer generation opens the log where locks do not hold. Guarantees: G10: the older one appends, prepares, commits and
/// trims nothing more.
#[tokio::test]
async fn an_older_generation_changes_nothing() {
    let mut around = Surroundings::new();
    around.disk = Arc::new(WithoutLocks(OsDisk::shared()));
    new_process(&mut around);
    let mut older = Writing::open_as(&around, None, 1 << 20, 1, 1).await;
    older.epoch(0..10);
    let token = older.token.clone();
    older.append(10..12);
    new_process(&mut around);
    let mut newer = Writing::open_as(&around, Some(token.clone()), 1 << 20, 2, 1).await;
    newer.epoch(20..22);
    let fenced = |result: Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Fenced);
    fenced(older.producer.append(&7_u64.to_le_bytes()));
    fenced(older.producer.prepare().map(drop));
    fenced(older.producer.commit(&token));
    fenced(older.producer.forgo().map(drop));
    let mut reading = Reading::open(&around, "source", None).await;
    assert_eq!(reading.read().await, (0..10).chain(20..22).collect::<Vec<_>>());
    let error = around.queues.produce(&queue(), 1 << 20, &around.sink(Some(token), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "it can't open any more either");
}

/// Scenario: a life that was dropped has a job under way when the next one, in the same process, has opened the log. Guarantees: G10: its
/// append is refused.
#[tokio::test]
async fn a_dropped_life_appends_nothing() {
    let mut around = Surroundings::new();
    around.disk = Arc::new(WithoutLocks(OsDisk::shared()));
    new_process(&mut around);
    let mut older = Writing::open(&around, None, 1 << 20).await;
    let token = older.token.clone();
    let _newer = Writing::open(&around, Some(token), 1 << 20).await;
    assert_eq!(older.producer.append(&[0; 8]).unwrap_err().kind(), ErrorKind::Fenced);
}

/// Scenario: consumers of two queues, listed and taken off the lists. Guarantees: one that reads stays; the others no longer hold anything.
#[tokio::test]
async fn consumers_are_listed_and_dismissed() {
    let mut around = Surroundings::new();
    let mut writing = Writing::open(&around, None, 1 << 20).await;
    let (one, two) = (Reading::open(&around, "one", None).await, Reading::open(&around, "two", None).await);
    writing.epoch(0..4);
    drop(two);
    let registered = around.queues.registered(&around.blocking).await.unwrap();
    let listed: Vec<_> =
        registered.iter().map(|one| (one.consumer.to_string(), one.attached, one.entries)).collect();
    assert_eq!(listed, [("test/one".to_owned(), true, 4), ("test/two".to_owned(), false, 4)]);
    let gone = around.queues.dismiss(&Name::from("test"), None, &around.blocking).await.unwrap();
    assert_eq!(gone.iter().map(ToString::to_string).collect::<Vec<_>>(), ["test/two"]);
    drop(one);
    new_process(&mut around);
    assert_eq!(around.queues.registered(&around.blocking).await.unwrap().len(), 1, "it was done durably");
}

/// Scenario: names that can't be parts of paths. Guarantees: they are refused.
#[tokio::test]
async fn names_that_are_no_names_are_refused() {
    let around = Surroundings::new();
    for name in ["", "..", "a/b", "a~b", "A b"] {
        let error = around.queues.produce(&Name::from(name), 1, &around.sink(None, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        assert!(check_name(&Name::from(name)).is_some());
    }
    assert!(check_name(&Name::from("steps.1_a-b")).is_none());
}

/// A disk whose locks keep nobody out, as on some network file systems.
#[derive(Debug)]
struct WithoutLocks(Arc<dyn Disk>);

#[derive(Debug)]
struct NoLock;
impl DiskLock for NoLock {}

impl Disk for WithoutLocks {
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn DiskFile>> {
        self.0.open(path, mode)
    }
    fn info(&self, path: &Path) -> std::io::Result<Option<FileInfo>> {
        self.0.info(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        self.0.list(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.0.sync_dir(path)
    }
    fn lock(&self, _: &Path) -> std::io::Result<Option<Box<dyn DiskLock>>> {
        Ok(Some(Box::new(NoLock)))
    }
}
